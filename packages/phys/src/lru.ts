/**
 * LRU lists (`struct lruvec`; policy comes later): five lists a node of the folios that may be reclaimed, linked
 * through the cold words of their heads, the one added last first. Which list a folio belongs on: PG_SWAPBACKED tells
 * anonymous memory from file pages, PG_ACTIVE the active list, PG_UNEVICTABLE the unevictable one. That last one is
 * counted but not linked, as in Linux: COLD_PREV of a folio on it counts the mlocked mappings (`mlock_count`).
 *
 * `node.lruHeads`, `node.lruTails` hold the ends of the lists, `zone.lruPages` the pages of a zone on each. A folio on
 * a list has PG_LRU; while it has, only lru-move.ts changes PG_ACTIVE, PG_SWAPBACKED and PG_UNEVICTABLE.
 *
 * In Linux `lruvec->lru_lock` protects the lists; here calls run one at a time.
 */
import { checkInteger, InvariantError } from '@mmkit/base';
import { frameZone } from './buddy.ts';
import { compoundHead, folioNrPages } from './folio.ts';
import { COLD_NEXT, COLD_PREV, HOT_FLAGS, HOT_REFCOUNT, MAX_COUNT } from './frame.ts';
import type { MemNode, Phys } from './frame.ts';
import { PG_ACTIVE, PG_LRU, PG_SWAPBACKED, PG_UNEVICTABLE } from './page-flags.ts';

/** Anonymous memory not used lately. */
export const LRU_INACTIVE_ANON = 0;
/** Anonymous memory in use. */
export const LRU_ACTIVE_ANON = 1;
/** Pages of files, and lazily freed memory, not used lately. */
export const LRU_INACTIVE_FILE = 2;
/** Pages of files in use. */
export const LRU_ACTIVE_FILE = 3;
/** What may not be reclaimed: mlocked. Counted, not linked. */
export const LRU_UNEVICTABLE = 4;
/** How many lists there are. */
export const NR_LRU_LISTS = 5;

/** The list a folio belongs on by the flags of its head, whether it is there or not (`folio_lru_list`): LRU_*. */
export function folioLruList(phys: Phys, pfn: number): number {
  return listOf(phys.hot[(compoundHead(phys, pfn) << 2) + HOT_FLAGS]!);
}

function listOf(flags: number): number {
  if ((flags & PG_UNEVICTABLE) !== 0) return LRU_UNEVICTABLE;
  const list = (flags & PG_SWAPBACKED) !== 0 ? LRU_INACTIVE_ANON : LRU_INACTIVE_FILE;
  return (flags & PG_ACTIVE) !== 0 ? list + 1 : list;
}

/** The folios of an evictable list of a node, first to last: PFNs of their heads. */
export function lruFolios(phys: Phys, node: number, list: number): number[] {
  checkInteger('node', node, 0, phys.nodes.length - 1);
  checkInteger('list', list, LRU_INACTIVE_ANON, LRU_ACTIVE_FILE);
  const folios: number[] = [];
  let pfn = phys.nodes[node]!.lruHeads[list]!;
  while (pfn !== 0) {
    folios.push(pfn);
    pfn = phys.cold[(pfn << 2) + COLD_NEXT]!;
  }
  return folios;
}

/** Pages of a node on a list (`nr_inactive_anon` and so on). */
export function nodeLruPages(phys: Phys, node: number, list: number): number {
  checkInteger('node', node, 0, phys.nodes.length - 1);
  checkInteger('list', list, LRU_INACTIVE_ANON, LRU_UNEVICTABLE);
  return phys.zones.reduce((sum, zone) => (zone.node === node ? sum + zone.lruPages[list]! : sum), 0);
}

/** So many pages more (or less) are on a list (`update_lru_size`). */
function updateSize(phys: Phys, pfn: number, list: number, pages: number): void {
  const { lruPages } = frameZone(phys, pfn);
  lruPages[list] = lruPages[list]! + pages;
}

function nodeOf(phys: Phys, pfn: number): MemNode {
  return phys.nodes[frameZone(phys, pfn).node]!;
}

/** Puts the folio at `pfn`, its head, in front of the list its flags name (`lruvec_add_folio`) and sets PG_LRU. */
export function lruvecAddFolio(phys: Phys, pfn: number): void {
  const { lruHeads } = nodeOf(phys, pfn);
  const list = listOf(phys.hot[(pfn << 2) + HOT_FLAGS]!);
  countIn(phys, pfn, list);
  if (list !== LRU_UNEVICTABLE) link(phys, pfn, list, 0, lruHeads[list]!);
}

/** The same at the end of the list (`lruvec_add_folio_tail`), of a folio that is not unevictable. */
export function lruvecAddFolioTail(phys: Phys, pfn: number): void {
  const { lruTails } = nodeOf(phys, pfn);
  const list = listOf(phys.hot[(pfn << 2) + HOT_FLAGS]!);
  countIn(phys, pfn, list);
  link(phys, pfn, list, lruTails[list]!, 0);
}

function countIn(phys: Phys, pfn: number, list: number): void {
  updateSize(phys, pfn, list, folioNrPages(phys, pfn));
  phys.hot[(pfn << 2) + HOT_FLAGS]! |= PG_LRU;
}

/** Links a folio between two neighbours of a list, 0: it becomes the first or the last. */
function link(phys: Phys, pfn: number, list: number, prev: number, next: number): void {
  const { cold } = phys;
  cold[(pfn << 2) + COLD_PREV] = prev;
  cold[(pfn << 2) + COLD_NEXT] = next;
  relink(phys, nodeOf(phys, pfn), list, prev, next, pfn, pfn);
}

/** Makes `first` follow `prev`, and `last` come before `next`, where 0 is the list itself. */
function relink(
  phys: Phys,
  node: MemNode,
  list: number,
  prev: number,
  next: number,
  first: number,
  last: number,
): void {
  if (prev !== 0) phys.cold[(prev << 2) + COLD_NEXT] = first;
  else node.lruHeads[list] = first;
  if (next !== 0) phys.cold[(next << 2) + COLD_PREV] = last;
  else node.lruTails[list] = last;
}

/**
 * Takes the folio at `pfn`, its head, off its list and clears PG_LRU (`lruvec_del_folio`); its other flags stay. Also
 * called when the last reference is gone (`__page_cache_release`). InvariantError LRU_CORRUPT, with nothing changed,
 * when its neighbours do not link to it: PG_LRU, or a flag that names the list, was changed by hand.
 */
export function lruDelFolio(phys: Phys, pfn: number): void {
  const { hot, cold } = phys;
  const list = listOf(hot[(pfn << 2) + HOT_FLAGS]!);
  const next = cold[(pfn << 2) + COLD_NEXT]!;
  const prev = cold[(pfn << 2) + COLD_PREV]!;
  if (list !== LRU_UNEVICTABLE) {
    const node = nodeOf(phys, pfn);
    const before = prev === 0 ? node.lruHeads[list] : cold[(prev << 2) + COLD_NEXT];
    const after = next === 0 ? node.lruTails[list] : cold[(next << 2) + COLD_PREV];
    if (before !== pfn || after !== pfn) {
      throw new InvariantError('LRU_CORRUPT', `frame ${pfn} is not where its words say on LRU list ${list}`);
    }
    relink(phys, node, list, prev, next, next, prev);
  }
  cold[(pfn << 2) + COLD_NEXT] = 0;
  cold[(pfn << 2) + COLD_PREV] = 0;
  hot[(pfn << 2) + HOT_FLAGS]! &= ~PG_LRU;
  updateSize(phys, pfn, list, -folioNrPages(phys, pfn));
}

/**
 * Takes the folio that holds `pfn` off its list for a while (`folio_isolate_lru`): true, and the caller has a
 * reference; false when it is on none, batches not drained included. InvariantError, with nothing changed: LRU_FREE for
 * a frame nobody uses, REF_OVERFLOW, LRU_CORRUPT.
 */
export function folioIsolateLru(phys: Phys, pfn: number): boolean {
  const head = compoundHead(phys, pfn);
  if (phys.hot[(head << 2) + HOT_REFCOUNT] === 0) {
    throw new InvariantError('LRU_FREE', `frame ${head} has no reference: it may not be isolated`);
  }
  if ((phys.hot[(head << 2) + HOT_FLAGS]! & PG_LRU) === 0) return false;
  if (phys.hot[(head << 2) + HOT_REFCOUNT] === MAX_COUNT) {
    throw new InvariantError('REF_OVERFLOW', `frame ${head} has too many references to be isolated`);
  }
  lruDelFolio(phys, head);
  phys.hot[(head << 2) + HOT_REFCOUNT]!++;
  return true;
}

/**
 * Puts `folio`, newly cut out of the folio at `head`, which is on a list, there too, right before it
 * (`lru_add_split_folio`). Its flags are copied already, and both orders are what they are after the split; the size of
 * the list stays. For folio-split.ts.
 */
export function lruAddSplitFolio(phys: Phys, head: number, folio: number): void {
  const { hot, cold } = phys;
  const list = listOf(hot[(head << 2) + HOT_FLAGS]!);
  if (list !== LRU_UNEVICTABLE) link(phys, folio, list, cold[(head << 2) + COLD_PREV]!, head);
  hot[(folio << 2) + HOT_FLAGS]! |= PG_LRU;
}
