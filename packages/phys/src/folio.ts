/**
 * Folios: a block allocated with GFP_COMP is a compound page, a large folio (`prep_compound_page`, `struct folio`). The
 * head has PG_HEAD, the order and the reference count; every other frame is a tail: PG_TAIL, HOT_OWNER = the head's
 * PFN, count 0. HOT_MAPCOUNT of each frame counts the entries that map that very page; what counts the folio as a whole
 * lies in the cold words of the first tail (frame.ts, TAIL_*). A single frame, and a block without GFP_COMP, is a small
 * folio.
 *
 * The functions named after `folio_add_anon_rmap_*` and so on change map counts only: references, owner,
 * PG_ANON_EXCLUSIVE and statistics are the caller's. In Linux the page-table lock and atomics protect map counts; here
 * calls run one at a time.
 *
 * Differs from Linux: map counts begin at 0, not −1, and `_nr_pages_mapped` has no bit for "mapped as a whole".
 */
import { checkInteger, InvariantError } from '@mmkit/base';
import {
  checkFrame,
  HOT_FLAGS,
  HOT_MAPCOUNT,
  HOT_OWNER,
  HOT_REFCOUNT,
  MAX_COUNT,
  TAIL_ENTIRE_MAPCOUNT,
  TAIL_LARGE_MAPCOUNT,
  TAIL_NR_PAGES_MAPPED,
  TAIL_PINCOUNT,
} from './frame.ts';
import type { Phys } from './frame.ts';
import { ORDER_SHIFT, PG_HEAD, PG_TAIL } from './page-flags.ts';

/** Index in `cold` of a folio-wide word (TAIL_*) of the large folio at `head`. */
export function tailWord(head: number, word: number): number {
  return ((head + 1) << 2) + word;
}

/** Makes a block whose words are zero, but for its head's count and order, a compound page. */
export function prepCompoundPage(phys: Phys, pfn: number, order: number): void {
  const hot = phys.hot;
  hot[(pfn << 2) + HOT_FLAGS]! |= PG_HEAD | (order << ORDER_SHIFT);
  const end = pfn + (1 << order);
  for (let frame = pfn + 1; frame < end; frame++) {
    hot[(frame << 2) + HOT_OWNER] = pfn;
    hot[(frame << 2) + HOT_FLAGS] = PG_TAIL;
  }
}

/**
 * Says whether the large folio at `pfn` may be freed: InvariantError FREE_MAPPED or FREE_PINNED when something maps or
 * pins it. Its words are the allocator's to zero.
 */
export function destroyLargeFolio(phys: Phys, pfn: number): void {
  const cold = phys.cold;
  const mapped = cold[tailWord(pfn, TAIL_LARGE_MAPCOUNT)]! | cold[tailWord(pfn, TAIL_ENTIRE_MAPCOUNT)]!;
  if (mapped !== 0) throw new InvariantError('FREE_MAPPED', `the large folio at frame ${pfn} is mapped`);
  const pins = cold[tailWord(pfn, TAIL_PINCOUNT)]!;
  if (pins !== 0) throw new InvariantError('FREE_PINNED', `the large folio at frame ${pfn} has ${pins} pins`);
}

/** The first frame of the folio that holds a frame (`compound_head`, `page_folio`): itself unless it is a tail. */
export function compoundHead(phys: Phys, pfn: number): number {
  checkFrame(phys, pfn);
  return headOf(phys.hot, pfn);
}

/** The same, unchecked. */
export function headOf(hot: Int32Array, pfn: number): number {
  return (hot[(pfn << 2) + HOT_FLAGS]! & PG_TAIL) === 0 ? pfn : hot[(pfn << 2) + HOT_OWNER]!;
}

/** True when a frame belongs to a large folio (`folio_test_large`, `PageCompound`). */
export function folioTestLarge(phys: Phys, pfn: number): boolean {
  checkFrame(phys, pfn);
  return (phys.hot[(pfn << 2) + HOT_FLAGS]! & (PG_HEAD | PG_TAIL)) !== 0;
}

/** The order of the folio that holds a frame (`folio_order`): 0 for a small one. */
export function folioOrder(phys: Phys, pfn: number): number {
  const flags = phys.hot[(compoundHead(phys, pfn) << 2) + HOT_FLAGS]!;
  return (flags & PG_HEAD) === 0 ? 0 : flags >>> ORDER_SHIFT;
}

/** How many frames the folio that holds a frame has (`folio_nr_pages`). */
export function folioNrPages(phys: Phys, pfn: number): number {
  return 1 << folioOrder(phys, pfn);
}

/** A folio-wide count of the folio that holds a frame; `small` for a small folio. */
function largeCount(phys: Phys, pfn: number, word: number, small: number): number {
  return folioTestLarge(phys, pfn) ? phys.cold[tailWord(headOf(phys.hot, pfn), word)]! : small;
}

/** Entries that map the folio that holds a frame, or a page of it (`folio_mapcount`). */
export function folioMapcount(phys: Phys, pfn: number): number {
  checkFrame(phys, pfn);
  return largeCount(phys, pfn, TAIL_LARGE_MAPCOUNT, phys.hot[(pfn << 2) + HOT_MAPCOUNT]!);
}

/** Of these, those that map a large folio as a whole (`folio_entire_mapcount`); 0 for a small one. */
export function folioEntireMapcount(phys: Phys, pfn: number): number {
  return largeCount(phys, pfn, TAIL_ENTIRE_MAPCOUNT, 0);
}

/** Pages of a large folio that entries of their own map (`_nr_pages_mapped`); of a small one 0 or 1. */
export function folioNrPagesMapped(phys: Phys, pfn: number): number {
  checkFrame(phys, pfn);
  return largeCount(phys, pfn, TAIL_NR_PAGES_MAPPED, phys.hot[(pfn << 2) + HOT_MAPCOUNT] === 0 ? 0 : 1);
}

/** Pins of the large folio that holds a frame (`_pincount`); 0 for a small one, whose count holds them. */
export function folioPincount(phys: Phys, pfn: number): number {
  return largeCount(phys, pfn, TAIL_PINCOUNT, 0);
}

/** Throws unless [pfn, pfn + pages) lies in one folio that has references. */
function checkMapping(phys: Phys, pfn: number, pages: number): number {
  const head = compoundHead(phys, pfn);
  checkInteger('pages', pages, 1, head + folioNrPages(phys, pfn) - pfn);
  if (phys.hot[(head << 2) + HOT_REFCOUNT] === 0) {
    throw new InvariantError('MAP_FREE', `frame ${pfn} has no reference: it may not be mapped`);
  }
  return head;
}

/** InvariantError MAP_OVERFLOW unless a map count can take `entries` more. */
function checkRoom(count: number, entries: number, pfn: number): void {
  if (count <= MAX_COUNT - entries) return;
  throw new InvariantError('MAP_OVERFLOW', `frame ${pfn} is mapped ${count} times, ${entries} more are too many`);
}

/**
 * `pages` pages from `pfn` on got one more entry each (`folio_add_anon_rmap_ptes`, `folio_add_file_rmap_ptes`).
 * InvariantError MAP_FREE or MAP_OVERFLOW with nothing changed.
 */
export function folioAddRmapPtes(phys: Phys, pfn: number, pages: number = 1): void {
  const head = checkMapping(phys, pfn, pages);
  const { hot, cold } = phys;
  for (let frame = pfn; frame < pfn + pages; frame++) checkRoom(hot[(frame << 2) + HOT_MAPCOUNT]!, 1, frame);
  if (folioTestLarge(phys, head)) checkRoom(cold[tailWord(head, TAIL_LARGE_MAPCOUNT)]!, pages, head);
  let first = 0;
  for (let frame = pfn; frame < pfn + pages; frame++) {
    const at = (frame << 2) + HOT_MAPCOUNT;
    if (hot[at] === 0) first++;
    hot[at] = hot[at]! + 1;
  }
  if (!folioTestLarge(phys, head)) return;
  cold[tailWord(head, TAIL_LARGE_MAPCOUNT)]! += pages;
  cold[tailWord(head, TAIL_NR_PAGES_MAPPED)]! += first;
}

/**
 * `pages` pages from `pfn` on lost an entry each (`folio_remove_rmap_ptes`). InvariantError MAP_BELOW_ZERO, with
 * nothing changed, when one of them has none.
 */
export function folioRemoveRmapPtes(phys: Phys, pfn: number, pages: number = 1): void {
  const head = checkMapping(phys, pfn, pages);
  const { hot, cold } = phys;
  for (let frame = pfn; frame < pfn + pages; frame++) {
    if (hot[(frame << 2) + HOT_MAPCOUNT] === 0) {
      throw new InvariantError('MAP_BELOW_ZERO', `no entry of its own maps frame ${frame}`);
    }
  }
  let last = 0;
  for (let frame = pfn; frame < pfn + pages; frame++) {
    const at = (frame << 2) + HOT_MAPCOUNT;
    hot[at] = hot[at]! - 1;
    if (hot[at] === 0) last++;
  }
  if (!folioTestLarge(phys, head)) return;
  cold[tailWord(head, TAIL_LARGE_MAPCOUNT)]! -= pages;
  cold[tailWord(head, TAIL_NR_PAGES_MAPPED)]! -= last;
}

/** Throws unless the folio that holds a frame is large and has references. */
function checkEntire(phys: Phys, pfn: number): number {
  const head = checkMapping(phys, pfn, 1);
  if (!folioTestLarge(phys, pfn)) throw new InvariantError('NOT_LARGE', `frame ${pfn} belongs to no large folio`);
  return head;
}

/**
 * One large entry more maps the whole folio that holds a frame (`folio_add_anon_rmap_pmd`, `folio_add_file_rmap_pmd`).
 * InvariantError NOT_LARGE, MAP_FREE or MAP_OVERFLOW with nothing changed.
 */
export function folioAddRmapPmd(phys: Phys, pfn: number): void {
  const head = checkEntire(phys, pfn);
  checkRoom(phys.cold[tailWord(head, TAIL_LARGE_MAPCOUNT)]!, 1, head);
  phys.cold[tailWord(head, TAIL_ENTIRE_MAPCOUNT)]!++;
  phys.cold[tailWord(head, TAIL_LARGE_MAPCOUNT)]!++;
}

/**
 * One large entry less (`folio_remove_rmap_pmd`). An entry split into a table is both: `folioAddRmapPtes` of all pages,
 * with one reference less than there are pages, and this. InvariantError NOT_LARGE, MAP_FREE or MAP_BELOW_ZERO with
 * nothing changed.
 */
export function folioRemoveRmapPmd(phys: Phys, pfn: number): void {
  const head = checkEntire(phys, pfn);
  if (phys.cold[tailWord(head, TAIL_ENTIRE_MAPCOUNT)] === 0) {
    throw new InvariantError('MAP_BELOW_ZERO', `no large entry maps the folio at frame ${head}`);
  }
  phys.cold[tailWord(head, TAIL_ENTIRE_MAPCOUNT)]!--;
  phys.cold[tailWord(head, TAIL_LARGE_MAPCOUNT)]!--;
}
