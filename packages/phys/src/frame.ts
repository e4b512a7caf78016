/**
 * The machine's memory as data: the frame table (Linux's `struct page` array), free lists and RAM chunks. Two int32
 * tables of four words a frame; word n of frame `pfn` is `table[(pfn << 2) + n]`.
 *
 * `hot` (what faults, GUP and unmap touch):
 *
 * | word | name | value |
 * |------|------|-------|
 * | 0 | HOT_REFCOUNT | references, Linux's `_refcount`; 0 = free, or the tail of a block; a pin counts 1024 |
 * | 1 | HOT_FLAGS | bits 0..20 Linux's page flags, 24..26 state (page-flags.ts), 28..31 the block's order (heads) |
 * | 2 | HOT_MAPCOUNT | page-table entries that map the frame, 0 = none (Linux's `_mapcount` + 1) |
 * | 3 | HOT_OWNER | handle << 2 \| kind (OWNER_*): Linux's `mapping` |
 *
 * `cold`:
 *
 * | word | name | value |
 * |------|------|-------|
 * | 0 | COLD_INDEX | offset in the owner, in pages |
 * | 1 | COLD_NEXT | list link, a PFN, 0 = none; free frames: the free list |
 * | 2 | COLD_PREV | list link, a PFN, 0 = none |
 * | 3 | COLD_PRIVATE | the owner's |
 *
 * All words of a free frame are zero, but for the flags of a free block's head and its links: so a frame never used is
 * a free frame, and making a machine touches no word per frame. Both tables are reserved whole and backed by the
 * operating system where touched.
 *
 * Differs from Linux: one zone, no migrate types, no watermarks. No lock: calls run one at a time (in Linux the zone
 * lock covers the lists, and counts are atomic). With `shared` other threads may read and write words and contents,
 * but only one may allocate, free, or touch a RAM chunk for the first time.
 */
import { checkInteger } from '@mmkit/base';
import { PG_RESERVED } from './page-flags.ts';

/** Words a frame has in `hot`. */
export const HOT_WORDS = 4;
/** Words a frame has in `cold`. */
export const COLD_WORDS = 4;
/** `hot`: reference count. */
export const HOT_REFCOUNT = 0;
/** `hot`: page flags and order. */
export const HOT_FLAGS = 1;
/** `hot`: number of mappings. */
export const HOT_MAPCOUNT = 2;
/** `hot`: owner handle and kind. */
export const HOT_OWNER = 3;
/** `cold`: offset in the owner, in pages. */
export const COLD_INDEX = 0;
/** `cold`: next frame of the list. */
export const COLD_NEXT = 1;
/** `cold`: previous frame of the list. */
export const COLD_PREV = 2;
/** `cold`: the owner's word. */
export const COLD_PRIVATE = 3;

/** Owner kind: nobody. */
export const OWNER_NONE = 0;
/** Owner kind: anonymous memory; the handle names an anon_vma. */
export const OWNER_ANON = 1;
/** Owner kind: page cache; the handle names an inode's mapping. */
export const OWNER_FILE = 2;
/** The bits of HOT_OWNER that hold the kind. */
export const OWNER_KIND_MASK = 3;
/** The handle is `owner >> OWNER_SHIFT`. */
export const OWNER_SHIFT = 2;

/** Largest order of a block: 2^10 frames (`MAX_PAGE_ORDER`). */
export const MAX_PAGE_ORDER = 10;
/** Fewest frames a machine may have. */
export const MIN_FRAMES = 16;
/** Most frames a machine may have: every word index stays below 2^31. */
export const MAX_FRAMES = 0x1fff_ffff;

/** Bytes of a RAM chunk, as a shift: 2 MiB. */
const CHUNK_SHIFT = 21;
/** The same for a small machine: making and zeroing 2 MiB would cost more than all its run (32 KiB: 4 µs). */
const SMALL_CHUNK_SHIFT = 15;
/** A small machine has at most this many bytes of RAM: 16 MiB. */
const SMALL_RAM = 0x100_0000;
/** Both tables share a buffer up to this many bytes each. */
const SMALL_TABLE = 0x10_0000;
/** The zero page's frame. */
const ZERO_PFN = 1;
/** The first frame that can be given out. */
const FIRST_FREE = 2;
/** Most single frames kept in front of the free lists. */
const PCP_HIGH = 64;

export class Phys {
  /** HOT_WORDS words a frame; see the layout above. Whoever holds what Linux would hold may write them. */
  readonly hot: Int32Array;
  /** COLD_WORDS words a frame; see the layout above. */
  readonly cold: Int32Array;
  /** How many frames there are: PFNs are 0 to frames − 1. */
  readonly frames: number;
  /** log2 of the page size. */
  readonly pageShift: number;
  /** Bytes of a page: 4096, 16384 or 65536. */
  readonly pageSize: number;
  /** log2 of the frames of one RAM chunk. */
  readonly chunkShift: number;
  /** RAM, a chunk of 2^chunkShift frames each (the last may be shorter); undefined or absent: all zero. ram.ts only. */
  readonly chunks: (Int32Array | undefined)[];
  /** The same chunks as bytes. ram.ts only. */
  readonly chunkBytes: (Uint8Array | undefined)[];
  /** The same chunks as doubles: filling them is the fastest way to zero a frame. ram.ts only. */
  readonly chunkDoubles: (Float64Array | undefined)[];
  /** True when tables and chunks lie in SharedArrayBuffers. */
  readonly shared: boolean;
  /** The shared zero page: reserved, one reference of its own. */
  readonly zeroPfn: number;
  /** First free block of each order, 0 = none. free-area.ts only. */
  readonly freeHeads: Int32Array;
  /** Bit n: the list of order n is not empty. free-area.ts only. */
  freeOrders: number;
  /** Frames from here on were never used and are free, on no list. free-area.ts only. */
  frontier: number;
  /** Frames from here on were never given out nor touched: their contents are zero. ram.ts and page-alloc.ts only. */
  untouched: number;
  /** First of the single free frames in front of the lists, linked by COLD_NEXT; 0 = none. page-alloc.ts only. */
  pcpHead: number;
  /** How many there are. page-alloc.ts only. */
  pcpCount: number;
  /** How many there may be. */
  readonly pcpHigh: number;
  /** Free frames, wherever they are. page-alloc.ts only. */
  freeFrames: number;
  /** vmstat `nr_foll_pin_acquired`: pins ever taken. Whoever takes pins adds to it. */
  nrFollPinAcquired: number;
  /** vmstat `nr_foll_pin_released`: pins ever dropped. Whoever drops pins adds to it. */
  nrFollPinReleased: number;

  constructor(frames: number, pageSize: number, shared: boolean) {
    const hotBytes = frames * HOT_WORDS * 4;
    const coldBytes = frames * COLD_WORDS * 4;
    // One buffer makes a machine 1 µs cheaper; for a large one the host may refuse so large a reservation.
    const together = hotBytes <= SMALL_TABLE;
    const buffer = makeBuffer(together ? hotBytes + coldBytes : hotBytes, shared);
    this.hot = new Int32Array(buffer, 0, frames * HOT_WORDS);
    this.cold = new Int32Array(
      together ? buffer : makeBuffer(coldBytes, shared),
      together ? hotBytes : 0,
      frames * COLD_WORDS,
    );
    this.frames = frames;
    this.pageShift = 31 - Math.clz32(pageSize);
    this.pageSize = pageSize;
    this.chunkShift = chunkShift(frames, this.pageShift);
    this.chunks = [];
    this.chunkBytes = [];
    this.chunkDoubles = [];
    this.shared = shared;
    this.zeroPfn = ZERO_PFN;
    this.freeHeads = new Int32Array(MAX_PAGE_ORDER + 1);
    this.freeOrders = 0;
    this.frontier = FIRST_FREE;
    this.untouched = FIRST_FREE;
    this.pcpHead = 0;
    this.pcpCount = 0;
    this.pcpHigh = Math.min(PCP_HIGH, frames >> 3);
    this.freeFrames = frames - FIRST_FREE;
    this.nrFollPinAcquired = 0;
    this.nrFollPinReleased = 0;
  }
}

/** A zeroed buffer: of the tables here, of a chunk in ram.ts. */
export function makeBuffer(bytes: number, shared: boolean): ArrayBuffer | SharedArrayBuffer {
  return shared ? new SharedArrayBuffer(bytes) : new ArrayBuffer(bytes);
}

/** log2 of the frames of a chunk; at least one frame. */
function chunkShift(frames: number, pageShift: number): number {
  const bytes = frames * 2 ** pageShift <= SMALL_RAM ? SMALL_CHUNK_SHIFT : CHUNK_SHIFT;
  return Math.max(bytes - pageShift, 0);
}

export interface PhysOptions {
  /** Frames of RAM, 16 to 2^29 − 1; any integer. */
  readonly frames: number;
  /** Bytes of a page: 4096 (default), 16384 or 65536. */
  readonly pageSize?: 4096 | 16384 | 65536;
  /** True: tables and RAM lie in SharedArrayBuffers. Default false. */
  readonly shared?: boolean;
}

/**
 * Makes a machine's memory. Frame 0 is reserved and never given out (0 ends a list); frame 1 is the zero page.
 * Throws RangeError for bad options, and where the host cannot reserve 32 bytes a frame.
 */
export function createPhys(options: PhysOptions): Phys {
  const { frames, pageSize = 4096, shared = false } = options;
  checkInteger('frames', frames, MIN_FRAMES, MAX_FRAMES);
  if (pageSize !== 4096 && pageSize !== 16384 && pageSize !== 65536) {
    throw new RangeError(`pageSize: expected 4096, 16384 or 65536, got ${String(pageSize)}`);
  }
  const phys = new Phys(frames, pageSize, shared);
  for (let pfn = 0; pfn < FIRST_FREE; pfn++) {
    phys.hot[(pfn << 2) + HOT_REFCOUNT] = 1;
    phys.hot[(pfn << 2) + HOT_FLAGS] = PG_RESERVED;
  }
  return phys;
}

/** Throws RangeError unless `pfn` is a frame of this machine. */
export function checkFrame(phys: Phys, pfn: number): void {
  if (pfn >>> 0 !== pfn || pfn >= phys.frames) throw badFrame(phys, pfn);
}

/** Apart, so that `checkFrame` stays small enough to be compiled into its callers. */
function badFrame(phys: Phys, pfn: number): RangeError {
  return new RangeError(`pfn: expected an integer from 0 to ${phys.frames - 1}, got ${String(pfn)}`);
}
