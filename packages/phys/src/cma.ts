/**
 * Contiguous memory areas (`struct cma`): pageblocks of type CMA, whose free frames are lent to movable memory and come
 * back when the area's owner wants them, by migration (`cmaAlloc`, cma.co.ts). A bit says that the owner has the
 * 2^orderPerBit frames it stands for; who has a frame whose bit is clear is a borrower.
 *
 * Linux makes areas at boot, of reserved memory; here any time, of free memory. In Linux `cma->lock` protects the
 * bitmap; here no call has a point between looking at bits and setting them.
 */
import { checkInteger, InvariantError } from '@mmkit/base';
import { BLOCK_FREE, checkRange, someBlock, zoneOfRange } from './block-walk.ts';
import { pageblockType } from './buddy.ts';
import { freeContigRange } from './contig.ts';
import type { Phys } from './frame.ts';
import { linkFresh } from './free-area.ts';
import { retypePageblock } from './isolate.ts';
import { drainPages } from './pcp.ts';
import { MIGRATE_CMA, MIGRATE_PCPTYPES } from './zone.ts';

/** A contiguous memory area (`struct cma`). */
export class Cma {
  /** Its name. */
  readonly name: string;
  /** First PFN. */
  readonly start: number;
  /** How many frames it has. */
  readonly frames: number;
  /** log2 of the frames a bit stands for. */
  readonly orderPerBit: number;
  /** A bit for each 2^orderPerBit frames, 32 a word: set while the owner has them. `cmaAlloc` and `cmaRelease` only. */
  readonly bitmap: Uint32Array;

  constructor(name: string, start: number, frames: number, orderPerBit: number) {
    this.name = name;
    this.start = start;
    this.frames = frames;
    this.orderPerBit = orderPerBit;
    this.bitmap = new Uint32Array(Math.ceil((frames >>> orderPerBit) / 32));
  }
}

/** Bits of an area (`cma_bitmap_maxno`). */
export function cmaBits(cma: Cma): number {
  return cma.frames >>> cma.orderPerBit;
}

/** The bits that hold `count` frames (`cma_bitmap_pages_to_bits`). */
export function bitsOf(cma: Cma, count: number): number {
  return Math.ceil(count / 2 ** cma.orderPerBit);
}

export function testBit(cma: Cma, bit: number): boolean {
  return ((cma.bitmap[bit >>> 5]! >>> (bit & 31)) & 1) !== 0;
}

/** Sets the bits [from, from + count) (`bitmap_set`). */
export function setBits(cma: Cma, from: number, count: number): void {
  for (let bit = from; bit < from + count; bit++) cma.bitmap[bit >>> 5]! |= 1 << (bit & 31);
}

/** Clears the bits [from, from + count) (`bitmap_clear`). */
export function clearBits(cma: Cma, from: number, count: number): void {
  for (let bit = from; bit < from + count; bit++) cma.bitmap[bit >>> 5]! &= ~(1 << (bit & 31));
}

/**
 * Makes an area of the free frames [start, start + frames) (`cma_declare_contiguous` with a fixed base, and
 * `cma_init_reserved_areas`). RangeError: not whole pageblocks in one zone, or not whole bits. InvariantError, with
 * nothing changed: CMA_BUSY (not all of it is free, or exists), CMA_TYPE (part of it belongs to another area, or is
 * isolated, or reserved for atomic callers).
 */
export function declareCma(phys: Phys, name: string, start: number, frames: number, orderPerBit: number = 0): Cma {
  const size = 1 << phys.pageblockOrder;
  checkRange(phys, start, start + frames);
  checkInteger('orderPerBit', orderPerBit, 0, 30);
  const zone = zoneOfRange(phys, start, start + frames);
  if (start % size !== 0 || frames % size !== 0 || zone === null) {
    throw new RangeError(`start, frames: expected whole pageblocks of ${size} frames of one zone`);
  }
  if (frames % 2 ** orderPerBit !== 0)
    throw new RangeError(`frames: expected a multiple of 2^orderPerBit, got ${frames}`);
  for (let pfn = start; pfn < start + frames; pfn += size) {
    if (pageblockType(phys, pfn) < MIGRATE_PCPTYPES) continue;
    throw new InvariantError('CMA_TYPE', `the pageblock at frame ${pfn} is of type ${pageblockType(phys, pfn)}`);
  }
  if (someBlock(phys, zone, start, start + frames, (_pfn, _size, kind) => kind !== BLOCK_FREE)) {
    throw new InvariantError('CMA_BUSY', `not all frames from ${start} to ${start + frames} are free`);
  }
  linkFresh(phys, zone, start, start + frames);
  drainPages(phys);
  for (let pfn = start; pfn < start + frames; pfn += size) retypePageblock(phys, zone, pfn, MIGRATE_CMA);
  return new Cma(name, start, frames, orderPerBit);
}

/**
 * Gives back `count` frames `cmaAlloc` gave (`cma_release`). False, with nothing changed, when they do not lie in the
 * area. A bit of the bitmap stands for 2^orderPerBit frames and is cleared with the first of them, as in Linux: give
 * back whole bits.
 * InvariantError, with nothing changed: CMA_NOT_ALLOCATED, and what `freeContigRange` refuses.
 */
export function cmaRelease(phys: Phys, cma: Cma, pfn: number, count: number): boolean {
  checkInteger('pfn', pfn, 0, phys.frames - 1);
  checkInteger('count', count, 1, phys.frames);
  if (pfn < cma.start || pfn + count > cma.start + cma.frames) return false;
  const first = (pfn - cma.start) >>> cma.orderPerBit;
  const last = (pfn + count - 1 - cma.start) >>> cma.orderPerBit;
  for (let bit = first; bit <= last; bit++) {
    if (testBit(cma, bit)) continue;
    throw new InvariantError('CMA_NOT_ALLOCATED', `frames from ${pfn} on are not all the owner's of area ${cma.name}`);
  }
  freeContigRange(phys, pfn, count);
  clearBits(cma, first, last - first + 1);
  return true;
}
