/**
 * Views of the frame table: counts over all frames, and free blocks by order (`/proc/buddyinfo`). They walk the used
 * part of the table: for reports and tests, not for hot paths.
 */
import { touchedRanges } from './free-area.ts';
import { HOT_FLAGS, HOT_REFCOUNT, MAX_PAGE_ORDER, TAIL_PINCOUNT } from './frame.ts';
import type { Phys } from './frame.ts';
import { PG_HEAD, PG_RESERVED } from './page-flags.ts';

/** What `countFrames` found, in frames unless said. */
export interface FrameCounts {
  /** Free. */
  readonly free: number;
  /** Given out. */
  readonly used: number;
  /** Never given out: frame 0 and the zero page. */
  readonly reserved: number;
  /** Frames given out that may be pinned: count ≥ 1024. */
  readonly pinned: number;
  /** Pins on them: the sum of floor(count / 1024). Exact while no frame has 1024 plain references. */
  readonly pins: number;
}

/**
 * Pins of the folio that begins at a frame: exact for a large one, else floor(count / 1024). 0 for a tail, and for what is
 * reserved.
 */
export function framePins(phys: Phys, pfn: number): number {
  const { hot, cold } = phys;
  const flags = hot[(pfn << 2) + HOT_FLAGS]!;
  if ((flags & PG_RESERVED) !== 0) return 0;
  if ((flags & PG_HEAD) !== 0) return cold[((pfn + 1) << 2) + TAIL_PINCOUNT]!;
  return hot[(pfn << 2) + HOT_REFCOUNT]! >>> 10;
}

/** Counts the frames. */
export function countFrames(phys: Phys): FrameCounts {
  const { hot, freeFrames } = phys;
  let reserved = 0;
  let pinned = 0;
  let pins = 0;
  const ranges = touchedRanges(phys);
  for (let i = 0; i < ranges.length; i += 2) {
    for (let pfn = ranges[i]!; pfn < ranges[i + 1]!; pfn++) {
      if ((hot[(pfn << 2) + HOT_FLAGS]! & PG_RESERVED) !== 0) reserved++;
      const own = framePins(phys, pfn);
      if (own > 0) pinned++;
      pins += own;
    }
  }
  let present = 0;
  for (const zone of phys.zones) present += zone.present;
  return { free: freeFrames, used: present - freeFrames - reserved, reserved, pinned, pins };
}

/**
 * How many free blocks there are of each order 0 to 10, frames never used included; single frames kept in front of the
 * buddy lists are not, as in Linux (`drainPages` gives them back).
 */
export function buddyInfo(phys: Phys): number[] {
  const blocks = new Array<number>(MAX_PAGE_ORDER + 1).fill(0);
  for (const zone of phys.zones) for (let i = 0; i <= MAX_PAGE_ORDER; i++) blocks[i]! += zone.nrFree[i]!;
  return blocks;
}
