/** The page-table lock, the parts that never wait, and the anonymous reverse map as counts (Linux: folio_add_new_anon_rmap …). */
import {
  clearFlag,
  COLD_INDEX,
  COLD_WORDS,
  compoundHead,
  folioAddMmMapcount,
  folioAddRmapPmd,
  folioAddRmapPtes,
  folioNrPages,
  folioOrder,
  folioRemoveRmapPmd,
  folioRemoveRmapPtes,
  folioSubMmMapcount,
  folioTestLarge,
  HOT_FLAGS,
  HOT_MAPCOUNT,
  HOT_OWNER,
  HOT_WORDS,
  OWNER_ANON,
  PG_ANON_EXCLUSIVE,
  PG_LOCKED,
  PG_SWAPBACKED,
  Phys,
  setFlag,
  testFlag,
} from '@mmkit/phys';
import { InvariantError } from '@mmkit/base';
import { PAGE_TABLE_LOCK, spinTrylockBit, spinUnlockBit, TP_PAGE_ALLOC, tracepoint } from '@mmkit/task';
import type { Memory } from './memory.ts';
import type { Mm } from './mm.ts';

/** Bits of the owner word that hold the kind. */
const OWNER_KIND = 3;

/** Takes the page-table lock of a table page if it is free. */
export function ptlTrylock(memory: Memory, table: number): boolean {
  const word = table * HOT_WORDS + HOT_FLAGS;
  return spinTrylockBit(memory.sched, memory.phys.hot, word, PG_LOCKED, PAGE_TABLE_LOCK);
}

/** Gives the page-table lock of a table page back. */
export function ptlUnlock(memory: Memory, table: number): void {
  spinUnlockBit(memory.sched, memory.phys.hot, table * HOT_WORDS + HOT_FLAGS, PG_LOCKED);
}

/** The owner word of the folio that holds a frame. */
function ownerOf(phys: Phys, pfn: number): number {
  return phys.hot[compoundHead(phys, pfn) * HOT_WORDS + HOT_OWNER]!;
}

/** True when the folio is anonymous memory (PageAnon). */
export function folioTestAnon(phys: Phys, pfn: number): boolean {
  return (ownerOf(phys, pfn) & OWNER_KIND) === OWNER_ANON;
}

/** Number of the folio's anon_vma; only for anonymous folios. */
export function folioAnonVma(phys: Phys, pfn: number): number {
  return ownerOf(phys, pfn) >>> 2;
}

/**
 * True when one process alone maps the page and may write it in place (PageAnonExclusive, B.15). Each page of a large folio
 * has a mark of its own; where one entry maps them all, the first page's is that of all.
 */
export function pageAnonExclusive(phys: Phys, pfn: number): boolean {
  return testFlag(phys, pfn, PG_ANON_EXCLUSIVE);
}

/**
 * A new anonymous folio is mapped for the first time: owner, index, exclusive, swap-backed unless `droppable`, and mapped by
 * one entry, a large one if it is large.
 */
export function folioAddNewAnonRmap(
  mm: Mm,
  pfn: number,
  anonVma: number,
  index: number,
  droppable: boolean = false,
): void {
  const { phys } = mm.memory;
  const { hot } = phys;
  const at = pfn * HOT_WORDS;
  if (hot[at + HOT_MAPCOUNT] !== 0) throw new InvariantError('RMAP_NOT_NEW', `frame ${pfn} is mapped already`);
  hot[at + HOT_OWNER] = (anonVma << 2) | OWNER_ANON;
  phys.cold[pfn * COLD_WORDS + COLD_INDEX] = index;
  setFlag(phys, pfn, droppable ? PG_ANON_EXCLUSIVE : PG_ANON_EXCLUSIVE | PG_SWAPBACKED);
  if (folioTestLarge(phys, pfn)) addRmapPmd(mm, pfn);
  else hot[at + HOT_MAPCOUNT] = 1;
  const { sched } = mm.memory;
  if (sched.tracepoints !== null) tracepoint(sched, TP_PAGE_ALLOC, pfn, folioOrder(phys, pfn));
}

/** fork maps the page once more, into `mm`, shared from now on (folio_try_dup_anon_rmap_pte after its pin test). */
export function folioDupAnonRmap(mm: Mm, pfn: number): void {
  const { phys } = mm.memory;
  clearFlag(phys, pfn, PG_ANON_EXCLUSIVE);
  if (folioTestLarge(phys, pfn)) addRmapPtes(mm, pfn, 1);
  else phys.hot[pfn * HOT_WORDS + HOT_MAPCOUNT]! += 1;
}

/** The same by one large entry for the whole folio (folio_try_dup_anon_rmap_pmd after its pin test). */
export function folioDupAnonRmapPmd(mm: Mm, head: number): void {
  clearFlag(mm.memory.phys, head, PG_ANON_EXCLUSIVE);
  addRmapPmd(mm, head);
}

/**
 * The large entry of a folio gives way to one entry a page, which needs a reference each, all but one of them got before;
 * an exclusive folio's pages are exclusive each (__split_huge_pmd_locked).
 */
export function folioSplitRmapPmd(mm: Mm, head: number): void {
  const { phys } = mm.memory;
  const pages = folioNrPages(phys, head);
  addRmapPtes(mm, head, pages);
  folioRemoveRmapPmd(phys, head);
  folioSubMmMapcount(phys, head, mm.id, 1);
  if (!pageAnonExclusive(phys, head)) return;
  for (let pfn = head + 1; pfn < head + pages; pfn++) setFlag(phys, pfn, PG_ANON_EXCLUSIVE);
}

function addRmapPmd(mm: Mm, head: number): void {
  folioAddRmapPmd(mm.memory.phys, head);
  folioAddMmMapcount(mm.memory.phys, head, mm.id, 1);
}

function addRmapPtes(mm: Mm, pfn: number, pages: number): void {
  folioAddRmapPtes(mm.memory.phys, pfn, pages);
  folioAddMmMapcount(mm.memory.phys, pfn, mm.id, pages);
}

/** A sole owner takes the page over (folio_move_anon_rmap, SetPageAnonExclusive). */
export function folioMoveAnonRmap(phys: Phys, pfn: number, anonVma: number): void {
  phys.hot[compoundHead(phys, pfn) * HOT_WORDS + HOT_OWNER] = (anonVma << 2) | OWNER_ANON;
  setFlag(phys, pfn, PG_ANON_EXCLUSIVE);
}

/** `mm` maps the page once less. InvariantError 'RMAP_BELOW_ZERO' when nobody does. */
export function folioRemoveRmap(mm: Mm, pfn: number): void {
  const { phys } = mm.memory;
  if (folioTestLarge(phys, pfn)) {
    folioRemoveRmapPtes(phys, pfn);
    folioSubMmMapcount(phys, pfn, mm.id, 1);
    return;
  }
  const at = pfn * HOT_WORDS + HOT_MAPCOUNT;
  const count = phys.hot[at]!;
  if (count === 0) throw new InvariantError('RMAP_BELOW_ZERO', `frame ${pfn} is not mapped`);
  phys.hot[at] = count - 1;
}

/** The large entry of `mm` for the folio at `head` is gone (folio_remove_rmap_pmd). */
export function folioUnmapPmd(mm: Mm, head: number): void {
  folioRemoveRmapPmd(mm.memory.phys, head);
  folioSubMmMapcount(mm.memory.phys, head, mm.id, 1);
}
