/**
 * Views of the frame table: counts over all frames, and free blocks by order (`/proc/buddyinfo`). They walk the used
 * part of the table: for reports and tests, not for hot paths.
 */
import { frontierOrder } from './free-area.ts';
import { COLD_NEXT, HOT_FLAGS, HOT_REFCOUNT, MAX_PAGE_ORDER } from './frame.ts';
import type { Phys } from './frame.ts';
import { PG_RESERVED } from './page-flags.ts';
import { GUP_PIN_COUNTING_BIAS } from './refs.ts';

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

/** Counts the frames. */
export function countFrames(phys: Phys): FrameCounts {
  const { hot, frontier, frames, freeFrames } = phys;
  let reserved = 0;
  let pinned = 0;
  let pins = 0;
  for (let pfn = 0; pfn < frontier; pfn++) {
    const count = hot[(pfn << 2) + HOT_REFCOUNT]! >>> 0;
    if ((hot[(pfn << 2) + HOT_FLAGS]! & PG_RESERVED) !== 0) {
      reserved++;
    } else if (count >= GUP_PIN_COUNTING_BIAS) {
      pinned++;
      pins += Math.floor(count / GUP_PIN_COUNTING_BIAS);
    }
  }
  return { free: freeFrames, used: frames - freeFrames - reserved, reserved, pinned, pins };
}

/**
 * How many free blocks there are of each order 0 to 10, frames never used included; single frames kept in front of the
 * buddy lists are not, as in Linux (`drainPages` gives them back).
 */
export function buddyInfo(phys: Phys): number[] {
  const blocks = new Array<number>(MAX_PAGE_ORDER + 1).fill(0);
  for (let order = 0; order <= MAX_PAGE_ORDER; order++) {
    let pfn = phys.freeHeads[order]!;
    while (pfn !== 0) {
      blocks[order]!++;
      pfn = phys.cold[(pfn << 2) + COLD_NEXT]!;
    }
  }
  let pfn = phys.frontier;
  while (pfn < phys.frames) {
    const order = frontierOrder(pfn, phys.frames);
    blocks[order]!++;
    pfn += 1 << order;
  }
  return blocks;
}
