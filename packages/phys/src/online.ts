/** Memory that comes (`online_pages`), and the bookkeeping of memory that goes; offline.co.ts empties it first. */
import { checkInteger, EINVAL } from '@mmkit/base';
import { presentFrames, zoneOfRange } from './block-walk.ts';
import { freeOnePage } from './buddy.ts';
import { HOT_FLAGS } from './frame.ts';
import type { Phys } from './frame.ts';
import { retypePageblock, takeIsolated } from './isolate.ts';
import { PG_HWPOISON } from './page-flags.ts';
import { setupWatermarks } from './watermark.ts';
import { MIGRATE_MOVABLE } from './zone.ts';
import type { Zone } from './zone.ts';

/**
 * The zone of the whole pageblocks [start, start + nr), null: they are none. RangeError beyond the machine's frames.
 */
export function zoneOfPageblocks(phys: Phys, start: number, nr: number): Zone | null {
  checkInteger('start', start, 0, phys.frames - 1);
  checkInteger('nr', nr, 1, phys.frames - start);
  const size = 1 << phys.pageblockOrder;
  return start % size !== 0 || nr % size !== 0 ? null : zoneOfRange(phys, start, start + nr);
}

/** `nr` frames more (or less) exist in a zone (`adjust_present_page_count`, `adjust_managed_page_count`). */
function adjustZone(phys: Phys, zone: Zone, nr: number): void {
  zone.present += nr;
  zone.managed += nr;
  setupWatermarks(phys);
}

/**
 * Makes [start, start + nr), which does not exist, free MOVABLE memory at the end of its lists, before what is fresh
 * (`online_pages`): what `offlinePages` took, or a hole (`add_memory`). 0; -EINVAL with nothing changed: not whole
 * pageblocks of one zone, or part of it exists.
 */
export function onlinePages(phys: Phys, start: number, nr: number): number {
  const zone = zoneOfPageblocks(phys, start, nr);
  if (zone === null || presentFrames(phys, zone, start, start + nr) !== 0) return -EINVAL;
  const order = phys.pageblockOrder;
  for (let pfn = start; pfn < start + nr; pfn += 1 << order) {
    retypePageblock(phys, zone, pfn, MIGRATE_MOVABLE);
    freeOnePage(phys, zone, pfn, order, MIGRATE_MOVABLE, true);
  }
  adjustZone(phys, zone, nr);
  return 0;
}

/**
 * Takes [start, start + nr), all of it free and isolated, or poisoned, out of existence (`__offline_isolated_pages`).
 */
export function removePages(phys: Phys, zone: Zone, start: number, nr: number): void {
  takeIsolated(phys, zone, start, start + nr);
  for (let pfn = start; pfn < start + nr; pfn++) {
    if ((phys.hot[(pfn << 2) + HOT_FLAGS]! & PG_HWPOISON) === 0) continue;
    phys.hot[(pfn << 2) + HOT_FLAGS] = 0;
    phys.numPoisoned--;
  }
  for (let pfn = start; pfn < start + nr; pfn += 1 << phys.pageblockOrder) {
    retypePageblock(phys, zone, pfn, MIGRATE_MOVABLE);
  }
  adjustZone(phys, zone, -nr);
}
