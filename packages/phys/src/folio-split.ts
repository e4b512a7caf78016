/**
 * Splitting: a large folio into folios of any lower order (`split_huge_page_to_list_to_order`, N.12, N.21), and a block
 * that is not compound into single frames (`split_page`).
 *
 * Every reference to a large folio is a mapping, one of the cache's (one a page), or somebody's; a folio that anybody
 * but the caller holds or pins is not split. What is left goes where it belongs: mappings to the folio of their page,
 * cache references to the folios of the pages, the caller's to the folio of the page it named.
 *
 * Differs from Linux: Linux replaces the mappings by migration entries meanwhile, here they stay: nobody runs in
 * between. The cache's index of pages, pages beyond the end of a file, and waking who waits for the lock are the
 * caller's.
 */
import { checkInteger, EAGAIN, EBUSY, EINVAL, InvariantError } from '@mmkit/base';
import { compoundHead, folioMapcount, folioOrder, tailWord } from './folio.ts';
import {
  checkFrame,
  COLD_INDEX,
  COLD_PRIVATE,
  HOT_FLAGS,
  HOT_MAPCOUNT,
  HOT_OWNER,
  HOT_REFCOUNT,
  MAX_PAGE_ORDER,
  OWNER_ANON,
  OWNER_FILE,
  OWNER_KIND_MASK,
  OWNER_NONE,
  TAIL_ENTIRE_MAPCOUNT,
  TAIL_LARGE_MAPCOUNT,
  TAIL_NR_PAGES_MAPPED,
  TAIL_PINCOUNT,
} from './frame.ts';
import type { Phys } from './frame.ts';
import { lruAddSplitFolio } from './lru.ts';
import { freeLastReference } from './page-alloc.ts';
import {
  ORDER_SHIFT,
  PG_ACTIVE,
  PG_ANON_EXCLUSIVE,
  PG_DIRTY,
  PG_HEAD,
  PG_HWPOISON,
  PG_LOCKED,
  PG_LRU,
  PG_MLOCKED,
  PG_OWNER_PRIV_1,
  PG_PRIVATE,
  PG_REFERENCED,
  PG_SWAPBACKED,
  PG_TAIL,
  PG_UNEVICTABLE,
  PG_UPTODATE,
  PG_WORKINGSET,
  PG_WRITEBACK,
} from './page-flags.ts';

/** In the swap cache, when PG_SWAPBACKED is set too (`PG_swapcache`). */
const PG_SWAPCACHE = PG_OWNER_PRIV_1;
/** Flags each new folio takes from the one split. */
const COPIED =
  PG_REFERENCED |
  PG_SWAPBACKED |
  PG_SWAPCACHE |
  PG_MLOCKED |
  PG_UPTODATE |
  PG_ACTIVE |
  PG_WORKINGSET |
  PG_LOCKED |
  PG_UNEVICTABLE |
  PG_DIRTY;
/** Flags that are a page's own, wherever it stands in its folio. */
const OWN = PG_ANON_EXCLUSIVE | PG_HWPOISON;

/**
 * Makes single frames, each with a reference of its own, of a block that is not compound; those its head had stay there
 * (`split_page`). InvariantError, with nothing changed: SPLIT_COMPOUND, SPLIT_FREE.
 */
export function splitPage(phys: Phys, pfn: number): void {
  checkFrame(phys, pfn);
  const { hot } = phys;
  const flags = hot[(pfn << 2) + HOT_FLAGS]!;
  if ((flags & (PG_HEAD | PG_TAIL)) !== 0) {
    throw new InvariantError('SPLIT_COMPOUND', `frame ${pfn} belongs to a compound page`);
  }
  if (hot[(pfn << 2) + HOT_REFCOUNT] === 0) {
    throw new InvariantError('SPLIT_FREE', `frame ${pfn} is free, or inside a block`);
  }
  const end = pfn + (1 << (flags >>> ORDER_SHIFT));
  for (let frame = pfn + 1; frame < end; frame++) hot[(frame << 2) + HOT_REFCOUNT] = 1;
  hot[(pfn << 2) + HOT_FLAGS] = flags & ((1 << ORDER_SHIFT) - 1);
}

/**
 * Splits the locked large folio that holds `pfn` into folios of `newOrder`. The caller has one reference; it and the
 * lock stay with the folio that holds `pfn`. The others are unlocked and keep the references of their mappings and of
 * the cache; those with none are freed. Whatever maps it maps single pages: large entries have been split before. Flags
 * and owner are copied to each folio; PG_ANON_EXCLUSIVE, PG_HWPOISON and map counts stay with their pages.
 *
 * 0; or with nothing changed -EINVAL (no lower order; order 1 of anonymous memory, an order above 0 of the swap cache),
 * -EBUSY (without owner, as after truncation; under writeback; with private data), -EAGAIN (pinned, or held by others).
 * InvariantError SPLIT_FREE, SPLIT_UNLOCKED, SPLIT_MAPPED_WHOLE with nothing changed.
 */
export function splitFolio(phys: Phys, pfn: number, newOrder: number): number {
  checkInteger('newOrder', newOrder, 0, MAX_PAGE_ORDER);
  const head = compoundHead(phys, pfn);
  const order = folioOrder(phys, head);
  const { hot } = phys;
  const refs = hot[(head << 2) + HOT_REFCOUNT]!;
  const flags = hot[(head << 2) + HOT_FLAGS]!;
  if (refs === 0) throw new InvariantError('SPLIT_FREE', `frame ${head} is free, or inside a block`);
  if ((flags & PG_LOCKED) === 0) throw new InvariantError('SPLIT_UNLOCKED', `the folio at ${head} is not locked`);
  const kind = hot[(head << 2) + HOT_OWNER]! & OWNER_KIND_MASK;
  const swapCache = kind === OWNER_ANON && (flags & PG_SWAPBACKED) !== 0 && (flags & PG_SWAPCACHE) !== 0;
  if (newOrder >= order || (newOrder === 1 && kind === OWNER_ANON) || (newOrder > 0 && swapCache)) return -EINVAL;
  if (kind === OWNER_NONE || (flags & (PG_WRITEBACK | PG_PRIVATE)) !== 0) return -EBUSY;
  const cached = swapCache || kind === OWNER_FILE ? 1 : 0;
  if (refs !== folioMapcount(phys, head) + (cached << order) + 1) return -EAGAIN;
  if (phys.cold[tailWord(head, TAIL_ENTIRE_MAPCOUNT)] !== 0) {
    throw new InvariantError('SPLIT_MAPPED_WHOLE', `large entries map the folio at ${head}`);
  }
  const end = head + (1 << order);
  const step = 1 << newOrder;
  // The words of the first two tails that counted the folio as a whole (order 1: of the first).
  phys.cold.fill(0, (head + 1) << 2, (head + Math.min(3, 1 << order)) << 2);
  for (let folio = head; folio < end; folio += step) makeFolio(phys, head, folio, newOrder, cached, swapCache);
  for (let folio = head; folio < end; folio += step) if (pfn < folio || pfn >= folio + step) dropFolio(phys, folio);
  return 0;
}

/**
 * Makes [folio, folio + 2^order) of the folio at `head`, which goes on meaning what is not yet split, one of its own.
 */
function makeFolio(phys: Phys, head: number, folio: number, order: number, cached: number, swapCache: boolean): void {
  const { hot, cold } = phys;
  const at = folio << 2;
  const from = head << 2;
  const kept = folio === head ? ~(PG_HEAD | (0xf << ORDER_SHIFT)) : OWN;
  const compound = order === 0 ? 0 : PG_HEAD | (order << ORDER_SHIFT);
  hot[at + HOT_FLAGS] = (hot[at + HOT_FLAGS]! & kept) | (hot[from + HOT_FLAGS]! & COPIED) | compound;
  if (folio !== head) {
    hot[at + HOT_OWNER] = hot[from + HOT_OWNER]!;
    cold[at + COLD_INDEX] = cold[from + COLD_INDEX]! + folio - head;
    if (swapCache) cold[at + COLD_PRIVATE] = cold[from + COLD_PRIVATE]! + folio - head;
    if ((hot[from + HOT_FLAGS]! & PG_LRU) !== 0) lruAddSplitFolio(phys, head, folio);
  }
  let mappings = hot[at + HOT_MAPCOUNT]!;
  let mapped = mappings === 0 ? 0 : 1;
  for (let tail = folio + 1; tail < folio + (1 << order); tail++) {
    const count = hot[(tail << 2) + HOT_MAPCOUNT]!;
    mappings += count;
    if (count !== 0) mapped++;
    hot[(tail << 2) + HOT_OWNER] = folio;
  }
  hot[at + HOT_REFCOUNT] = mappings + (cached << order) + 1;
  if (order === 0) return;
  cold[tailWord(folio, TAIL_LARGE_MAPCOUNT)] = mappings;
  cold[tailWord(folio, TAIL_ENTIRE_MAPCOUNT)] = 0;
  cold[tailWord(folio, TAIL_NR_PAGES_MAPPED)] = mapped;
  cold[tailWord(folio, TAIL_PINCOUNT)] = 0;
}

/** Unlocks a new folio and drops the reference the split gave it. */
function dropFolio(phys: Phys, folio: number): void {
  const at = folio << 2;
  phys.hot[at + HOT_FLAGS]! &= ~PG_LOCKED;
  if (phys.hot[at + HOT_REFCOUNT] === 1) freeLastReference(phys, folio);
  else phys.hot[at + HOT_REFCOUNT]!--;
}
