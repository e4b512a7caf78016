/**
 * Walking a range of frames block by block, for who empties it (isolate.ts, contig.co.ts, offline.co.ts): what each
 * block is, without changing anything. No block goes beyond a multiple of 2^MAX_PAGE_ORDER frames, where zones begin
 * too, so a walk that begins at one meets every head.
 *
 * A frame that does not exist (in a hole, or offline) and a frame inside a free block have the same words, all zero; a
 * walk tells them apart, for it steps over blocks. In Linux the zone lock keeps the blocks as they are meanwhile.
 */
import { checkInteger } from '@mmkit/base';
import { HOT_FLAGS, HOT_REFCOUNT, MAX_PAGE_ORDER } from './frame.ts';
import type { Phys } from './frame.ts';
import { ORDER_SHIFT, PG_BUDDY, PG_HWPOISON, PG_PCP } from './page-flags.ts';
import type { Zone } from './zone.ts';

/** One frame that does not exist. */
export const BLOCK_NONE = 0;
/** A free block: in the buddy lists, on a per-CPU list, or never used. */
export const BLOCK_FREE = 1;
/** A block somebody has references to. */
export const BLOCK_USED = 2;
/** A poisoned frame nobody uses. */
export const BLOCK_POISONED = 3;

/** RangeError unless [start, end) is a range of frames of this machine, not empty. */
export function checkRange(phys: Phys, start: number, end: number): void {
  checkInteger('start', start, 0, phys.frames - 1);
  checkInteger('end', end, start + 1, phys.frames);
}

/** The zone that holds all of [start, end), null: none does. */
export function zoneOfRange(phys: Phys, start: number, end: number): Zone | null {
  return phys.zones.find((zone) => start >= zone.start && end <= zone.end) ?? null;
}

/** Where a walk that is to meet the block of `pfn` begins. */
export function walkStart(pfn: number): number {
  return pfn - (pfn % (1 << MAX_PAGE_ORDER));
}

/** What begins at `pfn`, a BLOCK_*: for a place a walk has come to. Fresh blocks look like BLOCK_NONE. */
export function blockKind(phys: Phys, pfn: number): number {
  const flags = phys.hot[(pfn << 2) + HOT_FLAGS]!;
  if ((flags & (PG_BUDDY | PG_PCP)) !== 0) return BLOCK_FREE;
  if (phys.hot[(pfn << 2) + HOT_REFCOUNT] !== 0) return BLOCK_USED;
  return (flags & PG_HWPOISON) !== 0 ? BLOCK_POISONED : BLOCK_NONE;
}

/** How many frames the block that begins at `pfn` has. */
export function blockSize(phys: Phys, pfn: number): number {
  return 1 << (phys.hot[(pfn << 2) + HOT_FLAGS]! >>> ORDER_SHIFT);
}

/** Whether `pfn` begins a block that was never used. */
function isFresh(zone: Zone, pfn: number): boolean {
  const { fresh } = zone;
  for (let i = 0; i < fresh.length; i += 2) if (pfn >= fresh[i]! && pfn < fresh[i + 1]!) return true;
  return false;
}

/**
 * Calls `test` for each block of a zone that touches [start, end), ascending, until it says true; whether it did. It
 * may give the block another use.
 */
export function someBlock(
  phys: Phys,
  zone: Zone,
  start: number,
  end: number,
  test: (pfn: number, size: number, kind: number) => boolean,
): boolean {
  for (let pfn = walkStart(start); pfn < end; ) {
    let kind = blockKind(phys, pfn);
    let size = blockSize(phys, pfn);
    if (kind === BLOCK_NONE && pfn % (1 << MAX_PAGE_ORDER) === 0 && isFresh(zone, pfn)) {
      kind = BLOCK_FREE;
      size = 1 << MAX_PAGE_ORDER;
    }
    if (pfn + size > start && test(pfn, size, kind)) return true;
    pfn += size;
  }
  return false;
}

/** Frames of [start, end) that exist. */
export function presentFrames(phys: Phys, zone: Zone, start: number, end: number): number {
  let present = 0;
  someBlock(phys, zone, start, end, (pfn, size, kind) => {
    if (kind !== BLOCK_NONE) present += Math.min(pfn + size, end) - Math.max(pfn, start);
    return false;
  });
  return present;
}
