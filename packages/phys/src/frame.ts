/**
 * The machine's memory as data: the frame table (Linux's `struct page` array), zones and RAM chunks. Two int32 tables
 * of four words a frame; word n of frame `pfn` is `table[(pfn << 2) + n]`.
 *
 * `hot` (what faults, GUP and unmap touch):
 *
 * | word | name | value |
 * |------|------|-------|
 * | 0 | HOT_REFCOUNT | references, Linux's `_refcount`; 0 = free, or inside a block; a small folio's pin counts 1024 |
 * | 1 | HOT_FLAGS | bits 0..21 Linux's page flags, 24..27 state (page-flags.ts), 28..31 the block's order (heads) |
 * | 2 | HOT_MAPCOUNT | page-table entries that map this very frame, 0 = none (Linux's `_mapcount` + 1) |
 * | 3 | HOT_OWNER | handle << 2 \| kind (OWNER_*): Linux's `mapping`; tails: the head's PFN |
 *
 * `cold`:
 *
 * | word | name | value | first tail of a large folio |
 * |------|------|-------|------|
 * | 0 | COLD_INDEX | offset in the owner, in pages | TAIL_LARGE_MAPCOUNT: mappings of the folio and of its pages |
 * | 1 | COLD_NEXT | list link, a PFN, 0 = none: free lists, LRU | TAIL_ENTIRE_MAPCOUNT: mappings by one large entry |
 * | 2 | COLD_PREV | list link, a PFN, 0 = none | TAIL_NR_PAGES_MAPPED: pages of it that entries of their own map |
 * | 3 | COLD_PRIVATE | the owner's | TAIL_PINCOUNT: pins |
 *
 * The second tail's cold words say who maps the folio (large-mapcount.ts).
 *
 * All words of a free frame are zero, but for the flags of a free block's head and its links: so a frame never used is
 * a free frame, and making a machine touches no word per frame. So are those of a frame in a hole. Both tables are
 * reserved whole and backed by the operating system where touched.
 *
 * `pageblocks` has a byte for each pageblock (2^pageblockOrder frames): zone index << 3 | migrate type.
 *
 * No lock: calls run one at a time (in Linux the zone lock covers the lists, and counts are atomic). With `shared`
 * other threads may read and write words and contents, and take and drop references (`@mmkit/phys/shared`); one thread,
 * the owner, allocates and frees.
 */
import type { Task } from '@mmkit/base';
import type { Failures } from './fail.ts';
import type { PinLedger } from './pin-ledger.ts';
import type { PcpList, Zone } from './zone.ts';

/** Words a frame has in `hot`. */
export const HOT_WORDS = 4;
/** Words a frame has in `cold`. */
export const COLD_WORDS = 4;
/** `hot`: reference count. */
export const HOT_REFCOUNT = 0;
/** Largest reference count. */
export const MAX_COUNT = 0x7fff_ffff;
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
/** `cold` of the first tail: mappings of the folio and of its pages, 0 = none (`_large_mapcount` + 1). */
export const TAIL_LARGE_MAPCOUNT = 0;
/** `cold` of the first tail: mappings by one large entry, 0 = none (`_entire_mapcount` + 1). */
export const TAIL_ENTIRE_MAPCOUNT = 1;
/** `cold` of the first tail: pages of the folio that have mappings of their own (`_nr_pages_mapped`). */
export const TAIL_NR_PAGES_MAPPED = 2;
/** `cold` of the first tail: pins (`_pincount`). */
export const TAIL_PINCOUNT = 3;

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

/** Word of `sharing`: pins taken by threads, since the owner last looked. */
export const SHARED_ACQUIRED = 0;
/** Word of `sharing`: pins they dropped. */
export const SHARED_RELEASED = 1;
/** Word of `sharing`: first block whose last reference a thread dropped, 0 = none; linked through COLD_PRIVATE. */
export const SHARED_FREED = 2;
/** How many words `sharing` has. */
const SHARED_WORDS = 3;

/** Largest order of a block: 2^10 frames (`MAX_PAGE_ORDER`). */
export const MAX_PAGE_ORDER = 10;

/** Bytes of a RAM chunk, as a shift: 2 MiB. */
const CHUNK_SHIFT = 21;
/** The same for a small machine: making and zeroing 2 MiB would cost more than all its run (32 KiB: 4 µs). */
const SMALL_CHUNK_SHIFT = 15;
/** A small machine has at most this many bytes of RAM: 16 MiB. */
const SMALL_RAM = 0x100_0000;
/** The zero page's frame. */
export const ZERO_PFN = 1;
/** Frames below are never given out: frame 0, which ends lists, and the zero page. */
export const FIRST_FREE = 2;

/** Memory of the machine. */
type Table = ArrayBuffer | SharedArrayBuffer;

/** A memory node (`struct pglist_data`). */
export class MemNode {
  /** Its zones by kind; null: it has none of this kind. */
  readonly zones: (Zone | null)[];
  /** The zones an allocation on this node tries, in turn: those of this node from MOVABLE down, then other nodes'. */
  readonly zonelist: Zone[];
  /** How many CPUs belong to it. */
  cpus: number;
  /** The first folio of each LRU list (LRU_*), 0 = none; that of LRU_UNEVICTABLE is not linked. lru.ts only. */
  readonly lruHeads: number[];
  /** The last folio of each LRU list, 0 = none. lru.ts only. */
  readonly lruTails: number[];

  constructor() {
    this.zones = [null, null, null, null];
    this.zonelist = [];
    this.cpus = 0;
    this.lruHeads = [0, 0, 0, 0, 0];
    this.lruTails = [0, 0, 0, 0, 0];
  }
}

/** What a CPU needs at hand to allocate and free. */
export class PhysCpu {
  /** Its number. */
  readonly index: number;
  /** Its node. */
  readonly node: number;
  /**
   * By the five low bits of GFP flags: the per-CPU list a single frame comes from; one that is always empty and full
   * where there is no such zone.
   */
  readonly byGfp: PcpList[];
  /**
   * By a pageblock's byte: the per-CPU list a single frame of that block goes to; that same one: it goes to the buddy
   * lists.
   */
  readonly byBlock: PcpList[];
  /** By LRU_BATCH_*: folios to be moved to or between LRU lists (`cpu_fbatches`). lru-batch.ts only. */
  readonly lruBatches: number[][];

  constructor(index: number, node: number) {
    this.index = index;
    this.node = node;
    this.byGfp = [];
    this.byBlock = [];
    this.lruBatches = [[], [], [], [], [], [], []];
  }
}

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
  /** What threads that share it count and free, words SHARED_*; empty unless `shared`. shared.ts only. */
  readonly sharing: Int32Array;
  /** The shared zero page: reserved, one reference of its own. */
  readonly zeroPfn: number;
  /** All zones, by index: node by node, from DMA up. */
  readonly zones: Zone[];
  /** All nodes, by number. */
  readonly nodes: MemNode[];
  /** All CPUs, by number. */
  readonly cpus: PhysCpu[];
  /** The CPU that runs: whoever schedules sets it. */
  cpu: PhysCpu;
  /** A byte for each pageblock: zone index << 3 | migrate type. */
  readonly pageblocks: Uint8Array;
  /** log2 of the frames of a pageblock. */
  readonly pageblockOrder: number;
  /** Frames kept free, in KiB (`vm.min_free_kbytes`); `setupWatermarks` after a change. */
  minFreeKbytes: number;
  /** Distance of the watermarks, in ten-thousandths of a zone (`vm.watermark_scale_factor`). */
  watermarkScaleFactor: number;
  /** True: frames have contents. False: counts and pins only, contents throw NO_CONTENTS. */
  readonly contents: boolean;
  /** Called where Linux reclaims or compacts; null: nothing can be reclaimed. */
  relieve: Relieve | null;
  /** Called to move a folio away; null: nothing can be moved. */
  migrate: Migrate | null;
  /** Allocations that are made to fail; null: none. */
  failures: Failures | null;
  /** Frames from here on were never given out nor touched: their contents are zero. ram.ts and page-alloc.ts only. */
  untouched: number;
  /** Frames with PG_HWPOISON (`num_poisoned_pages`). poison.ts only. */
  numPoisoned: number;
  /** vmstat `nr_foll_pin_acquired`: pins ever taken. Whoever takes pins adds to it. */
  nrFollPinAcquired: number;
  /** vmstat `nr_foll_pin_released`: pins ever dropped. Whoever drops pins adds to it. */
  nrFollPinReleased: number;
  /** Who holds pins; null: nobody keeps book. pin-report.ts only. */
  pinLedger: PinLedger | null;

  constructor(frames: number, pageSize: number, pageblockOrder: number, shared: boolean, contents: boolean) {
    const words = frames * HOT_WORDS;
    // `| 0` here and in Zone: to V8 `2 ** n` and what was divided by it are doubles, and so would every PFN be that was
    // compared with them or counted on from them: a read fault takes a fifth longer.
    const [buffer, second, offset] = makeTables(words * 4, shared);
    this.hot = new Int32Array(buffer, 0, words);
    this.cold = new Int32Array(second, offset, words);
    this.frames = frames | 0;
    this.pageShift = 31 - Math.clz32(pageSize);
    this.pageSize = pageSize | 0;
    this.chunkShift = chunkShift(frames, this.pageShift);
    this.chunks = [];
    this.chunkBytes = [];
    this.chunkDoubles = [];
    this.shared = shared;
    this.sharing = shared ? new Int32Array(new SharedArrayBuffer(SHARED_WORDS * 4)) : new Int32Array(0);
    this.contents = contents;
    this.zeroPfn = ZERO_PFN;
    this.zones = [];
    this.nodes = [];
    this.cpu = new PhysCpu(0, 0);
    this.cpus = [this.cpu];
    this.pageblocks = new Uint8Array(makeBuffer(Math.ceil(frames / 2 ** pageblockOrder), shared));
    this.pageblockOrder = pageblockOrder;
    this.minFreeKbytes = 0;
    this.watermarkScaleFactor = 10;
    this.relieve = null;
    this.migrate = null;
    this.failures = null;
    this.untouched = FIRST_FREE;
    this.numPoisoned = 0;
    this.nrFollPinAcquired = 0;
    this.nrFollPinReleased = 0;
    this.pinLedger = null;
  }

  /** Free frames, wherever they are: in the buddy lists and in per-CPU lists. */
  get freeFrames(): number {
    let free = 0;
    for (const zone of this.zones) {
      free += zone.free + zone.freeIsolated;
      for (const pcp of zone.pcps) free += pcp.count;
    }
    return free;
  }
}

/**
 * Where Linux enters direct reclaim or compaction: frees what it can for an allocation of `order` with `gfp` that
 * failed. Returns the frames it made free, 0 = no progress. A Task in the sched build.
 */
export type Relieve = (phys: Phys, gfp: number, order: number) => number | Task<number>;

/**
 * Moves the contents and all users of the folio whose head is `pfn` to one it allocates, and takes it off the LRU lists
 * first (`migrate_pages`): 0, and the old block is free or about to be; or a negative errno: -ENOMEM ends the whole
 * call, any other (-EAGAIN: pinned or otherwise held) is tried again, up to five times. A Task in the sched build.
 */
export type Migrate = (phys: Phys, pfn: number) => number | Task<number>;

/**
 * The buffers of two tables of `bytes`, and where in its own the second begins. One for both: V8 collects all garbage for
 * each large buffer it is asked for, which costs 6 ms and more, the reservation 0.1. Two where the host refuses so large a
 * reservation, as Linux does one larger than memory and swap.
 */
function makeTables(bytes: number, shared: boolean): [Table, Table, number] {
  try {
    const both = makeBuffer(2 * bytes, shared);
    return [both, both, bytes];
  } catch {
    return [makeBuffer(bytes, shared), makeBuffer(bytes, shared), 0];
  }
}

/** A zeroed buffer: of the tables here, of a chunk in ram.ts. */
export function makeBuffer(bytes: number, shared: boolean): Table {
  return shared ? new SharedArrayBuffer(bytes) : new ArrayBuffer(bytes);
}

/** log2 of the frames of a chunk; at least one frame. */
function chunkShift(frames: number, pageShift: number): number {
  const bytes = frames * 2 ** pageShift <= SMALL_RAM ? SMALL_CHUNK_SHIFT : CHUNK_SHIFT;
  return Math.max(bytes - pageShift, 0);
}

/** Throws RangeError unless `pfn` is a frame of this machine. */
export function checkFrame(phys: Phys, pfn: number): void {
  if (pfn >>> 0 !== pfn || pfn >= phys.frames) throw badFrame(phys, pfn);
}

/** Apart, so that `checkFrame` stays small enough to be compiled into its callers. */
function badFrame(phys: Phys, pfn: number): RangeError {
  return new RangeError(`pfn: expected an integer from 0 to ${phys.frames - 1}, got ${String(pfn)}`);
}
