/** The page-table lock, the parts that never wait, and the anonymous reverse map as counts (Linux: folio_add_new_anon_rmap …). */
import {
  clearFlag,
  COLD_INDEX,
  COLD_WORDS,
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
import { spinTrylockBit, spinUnlockBit } from '@mmkit/task';
import type { Memory } from './memory.ts';

/** Bits of the owner word that hold the kind. */
const OWNER_KIND = 3;

/** Takes the page-table lock of a table page if it is free. */
export function ptlTrylock(memory: Memory, table: number): boolean {
  return spinTrylockBit(memory.sched, memory.phys.hot, table * HOT_WORDS + HOT_FLAGS, PG_LOCKED);
}

/** Gives the page-table lock of a table page back. */
export function ptlUnlock(memory: Memory, table: number): void {
  spinUnlockBit(memory.sched, memory.phys.hot, table * HOT_WORDS + HOT_FLAGS, PG_LOCKED);
}

/** True when the folio is anonymous memory (PageAnon). */
export function folioTestAnon(phys: Phys, pfn: number): boolean {
  return (phys.hot[pfn * HOT_WORDS + HOT_OWNER]! & OWNER_KIND) === OWNER_ANON;
}

/** Number of the folio's anon_vma; only for anonymous folios. */
export function folioAnonVma(phys: Phys, pfn: number): number {
  return phys.hot[pfn * HOT_WORDS + HOT_OWNER]! >>> 2;
}

/** True when one process alone maps the page and may write it in place (PageAnonExclusive, B.15). */
export function pageAnonExclusive(phys: Phys, pfn: number): boolean {
  return testFlag(phys, pfn, PG_ANON_EXCLUSIVE);
}

/** A new anonymous page is mapped for the first time: owner, index, map count 1, exclusive, swap-backed. */
export function folioAddNewAnonRmap(phys: Phys, pfn: number, anonVma: number, index: number): void {
  const hot = phys.hot;
  const at = pfn * HOT_WORDS;
  if (hot[at + HOT_MAPCOUNT] !== 0) throw new InvariantError('RMAP_NOT_NEW', `frame ${pfn} is mapped already`);
  hot[at + HOT_OWNER] = (anonVma << 2) | OWNER_ANON;
  hot[at + HOT_MAPCOUNT] = 1;
  phys.cold[pfn * COLD_WORDS + COLD_INDEX] = index;
  setFlag(phys, pfn, PG_ANON_EXCLUSIVE | PG_SWAPBACKED);
}

/** fork maps the page once more, shared from now on (folio_try_dup_anon_rmap_pte after its pin test). */
export function folioDupAnonRmap(phys: Phys, pfn: number): void {
  clearFlag(phys, pfn, PG_ANON_EXCLUSIVE);
  const at = pfn * HOT_WORDS + HOT_MAPCOUNT;
  phys.hot[at] = phys.hot[at]! + 1;
}

/** A sole owner found by its reference count takes the page over (folio_move_anon_rmap, SetPageAnonExclusive). */
export function folioMoveAnonRmap(phys: Phys, pfn: number, anonVma: number): void {
  phys.hot[pfn * HOT_WORDS + HOT_OWNER] = (anonVma << 2) | OWNER_ANON;
  setFlag(phys, pfn, PG_ANON_EXCLUSIVE);
}

/** One mapping less. InvariantError 'RMAP_BELOW_ZERO' when there is none. */
export function folioRemoveRmap(phys: Phys, pfn: number): void {
  const at = pfn * HOT_WORDS + HOT_MAPCOUNT;
  const count = phys.hot[at]!;
  if (count === 0) throw new InvariantError('RMAP_BELOW_ZERO', `frame ${pfn} is not mapped`);
  phys.hot[at] = count - 1;
}
