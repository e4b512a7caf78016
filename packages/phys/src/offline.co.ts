/**
 * Memory that goes away (`offline_pages`, N.12): isolated, emptied, taken from the buddy lists; its frames then are
 * like those of a hole, until `onlinePages`. Watermarks and per-CPU marks follow the size of the zone.
 *
 * Differs from Linux: the unit is a pageblock, not a section of 128 MiB; poison goes away with the memory; a folio that
 * cannot be moved ends it after five tries (Linux: a signal does).
 */
import { EINVAL } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { presentFrames } from './block-walk.ts';
import type { Phys } from './frame.ts';
import {
  countPageblocks,
  PB_ISOLATE_MODE_MEM_OFFLINE,
  startIsolatePageRange,
  testPagesIsolated,
  undoIsolatePageRange,
} from './isolate.ts';
import { lruAddDrainAll } from './lru-batch.ts';
import { migrateRange } from './migrate-range.co.ts';
import { removePages, zoneOfPageblocks } from './online.ts';
import { drainPages } from './pcp.ts';

/**
 * Takes [start, start + nr) out of the machine. 0, or:
 *
 * - -EINVAL, nothing changed: not whole pageblocks of one zone, or part of it does not exist.
 * - -EBUSY, nothing changed: a pageblock is isolated, or CMA; frames are reserved, or cannot move.
 * - -EBUSY, -ENOMEM: frames could not be moved, pinned ones never can; those moved before stay moved, free blocks may
 *   stand elsewhere in their lists.
 *
 * RangeError for numbers that are no range of this machine. It may sleep, in the `migrate` port only.
 */
export function* offlinePages(phys: Phys, start: number, nr: number): Task<number> {
  const end = start + nr;
  const zone = zoneOfPageblocks(phys, start, nr);
  if (zone === null || presentFrames(phys, zone, start, end) !== nr) return -EINVAL;
  const types = new Uint8Array(countPageblocks(phys, start, end));
  const refused = startIsolatePageRange(phys, start, end, PB_ISOLATE_MODE_MEM_OFFLINE, types);
  if (refused !== 0) return refused;
  let removed = false;
  // Whatever the port throws, no pageblock that stays is left isolated.
  try {
    lruAddDrainAll(phys);
    drainPages(phys);
    let error = yield* migrateRange(phys, start, end);
    if (error === 0) error = testPagesIsolated(phys, start, end, PB_ISOLATE_MODE_MEM_OFFLINE);
    if (error !== 0) return error;
    removePages(phys, zone, start, nr);
    removed = true;
    return 0;
  } finally {
    if (!removed) undoIsolatePageRange(phys, start, end, types);
  }
}
