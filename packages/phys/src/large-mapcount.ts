/**
 * Who maps a large folio (Linux: `folio_add_return_large_mapcount`, `folio_maybe_mapped_shared`, `_mm_id`): the second
 * tail's cold words name the first two address spaces that map it and count the entries of each.
 *
 * | word | value |
 * |------|-------|
 * | 0, 1 | TAIL_MM_ID, TAIL_MM_ID + 1: number of an address space, 0 = the slot is free |
 * | 2, 3 | TAIL_MM_MAPCOUNT, TAIL_MM_MAPCOUNT + 1: its entries, of the folio as a whole or of pages of it |
 *
 * A third address space finds no slot, and is not counted until it maps more of the folio after one became free: so a
 * folio may be called shared that is not, never the other way round. Folios of order 1 have no second tail:
 * such a one is called shared when a page of it is mapped twice. As all map counts, changed under the page-table lock in Linux; here calls run one at a time.
 */
import { checkInteger } from '@mmkit/base';
import { compoundHead, folioMapcount, folioNrPagesMapped, folioOrder } from './folio.ts';
import type { Phys } from './frame.ts';

/** `cold` of the second tail: the first of two words that name an address space. */
export const TAIL_MM_ID = 0;
/** `cold` of the second tail: the first of two words that count what it maps. */
export const TAIL_MM_MAPCOUNT = 2;

/** Index in `cold` of the first word of the second tail. */
function slotsOf(phys: Phys, pfn: number): number {
  return (compoundHead(phys, pfn) + 2) << 2;
}

/** Address space `mmId` (1 and up) maps the large folio that holds a frame with `entries` more entries. */
export function folioAddMmMapcount(phys: Phys, pfn: number, mmId: number, entries: number): void {
  checkInteger('mmId', mmId, 1, 0x7fff_ffff);
  checkInteger('entries', entries, 1, 0x7fff_ffff);
  const { cold } = phys;
  if (folioOrder(phys, pfn) < 2) return;
  const at = slotsOf(phys, pfn);
  let slot = slotOf(cold, at, mmId);
  if (slot < 0) slot = slotOf(cold, at, 0);
  if (slot < 0) return;
  cold[at + TAIL_MM_ID + slot] = mmId;
  cold[at + TAIL_MM_MAPCOUNT + slot]! += entries;
}

/** It maps it with `entries` less; of entries from before it had its slot nothing is known. */
export function folioSubMmMapcount(phys: Phys, pfn: number, mmId: number, entries: number): void {
  checkInteger('mmId', mmId, 1, 0x7fff_ffff);
  checkInteger('entries', entries, 1, 0x7fff_ffff);
  const { cold } = phys;
  if (folioOrder(phys, pfn) < 2) return;
  const at = slotsOf(phys, pfn);
  const slot = slotOf(cold, at, mmId);
  if (slot < 0) return;
  const left = Math.max(cold[at + TAIL_MM_MAPCOUNT + slot]! - entries, 0);
  cold[at + TAIL_MM_MAPCOUNT + slot] = left;
  if (left === 0) cold[at + TAIL_MM_ID + slot] = 0;
}

/** True unless one address space is known to have all the entries that map a folio (`folio_maybe_mapped_shared`). */
export function folioMaybeMappedShared(phys: Phys, pfn: number): boolean {
  const mappings = folioMapcount(phys, pfn);
  if (folioOrder(phys, pfn) < 2) return mappings > folioNrPagesMapped(phys, pfn);
  const at = slotsOf(phys, pfn) + TAIL_MM_MAPCOUNT;
  return mappings !== 0 && phys.cold[at] !== mappings && phys.cold[at + 1] !== mappings;
}

/** The slot of `mmId`, 0 or 1; -1 when it has none. */
function slotOf(cold: Int32Array, at: number, mmId: number): number {
  if (cold[at + TAIL_MM_ID] === mmId) return 0;
  return cold[at + TAIL_MM_ID + 1] === mmId ? 1 : -1;
}
