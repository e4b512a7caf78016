/**
 * What happens to one folio when a per-CPU batch is drained (`lru_add`, `lru_activate`, `lru_move_tail`,
 * `lru_deactivate_file`, `lru_deactivate`, `lru_lazyfree`, `__mlock_folio` and its kin). Much may have changed since it
 * was put in the batch, so each looks again. Each takes the PFN of the folio's head.
 *
 * Differs from Linux: a folio is unevictable only while it is mlocked; no mapping is. Events are not counted.
 */
import { folioMapcount } from './folio.ts';
import { COLD_NEXT, COLD_PREV, HOT_FLAGS, HOT_OWNER, OWNER_ANON, OWNER_KIND_MASK } from './frame.ts';
import type { Phys } from './frame.ts';
import { lruDelFolio, lruvecAddFolio, lruvecAddFolioTail } from './lru.ts';
import {
  PG_ACTIVE,
  PG_DIRTY,
  PG_LRU,
  PG_MLOCKED,
  PG_OWNER_PRIV_1,
  PG_RECLAIM,
  PG_REFERENCED,
  PG_SWAPBACKED,
  PG_UNEVICTABLE,
  PG_WRITEBACK,
} from './page-flags.ts';

/** What a batch does to a folio. */
type Move = (phys: Phys, head: number) => void;

/** By batch, the last one's three by the low bits of its entries. */
export const LRU_MOVES: readonly Move[] = Object.freeze([
  add,
  rotate,
  deactivateFile,
  deactivate,
  lazyfree,
  activate,
  munlock,
  mlock,
  mlockNew,
]);

function flagsOf(phys: Phys, head: number): number {
  return phys.hot[(head << 2) + HOT_FLAGS]!;
}

/** Takes a folio off its list, changes its flags, and puts it in front of the list they name now. */
function move(phys: Phys, head: number, clear: number, set: number): void {
  lruDelFolio(phys, head);
  changeFlags(phys, head, clear, set);
  lruvecAddFolio(phys, head);
}

function changeFlags(phys: Phys, head: number, clear: number, set: number): void {
  phys.hot[(head << 2) + HOT_FLAGS] = (flagsOf(phys, head) & ~clear) | set;
}

/** Onto its list for the first time: the unevictable one if it is mlocked. */
function add(phys: Phys, head: number): void {
  phys.cold[(head << 2) + COLD_NEXT] = 0;
  if ((flagsOf(phys, head) & PG_MLOCKED) === 0) changeFlags(phys, head, PG_UNEVICTABLE, 0);
  else makeUnevictable(phys, head);
  lruvecAddFolio(phys, head);
}

/** A folio that is on no list belongs on the unevictable one, with one mlocked mapping. */
function makeUnevictable(phys: Phys, head: number): void {
  changeFlags(phys, head, PG_ACTIVE, PG_UNEVICTABLE);
  phys.cold[(head << 2) + COLD_PREV] = 1;
}

/** To the end of the inactive list, to be reclaimed next. */
function rotate(phys: Phys, head: number): void {
  if ((flagsOf(phys, head) & PG_UNEVICTABLE) !== 0) return;
  lruDelFolio(phys, head);
  changeFlags(phys, head, PG_ACTIVE, 0);
  lruvecAddFolioTail(phys, head);
}

/** A file's folio that nobody maps: inactive, at the end unless it must be written first. */
function deactivateFile(phys: Phys, head: number): void {
  const flags = flagsOf(phys, head);
  if ((flags & PG_UNEVICTABLE) !== 0 || folioMapcount(phys, head) !== 0) return;
  const clear = PG_ACTIVE | PG_REFERENCED;
  if ((flags & (PG_WRITEBACK | PG_DIRTY)) !== 0) return move(phys, head, clear, PG_RECLAIM);
  lruDelFolio(phys, head);
  changeFlags(phys, head, clear, 0);
  lruvecAddFolioTail(phys, head);
}

/** From an active list to the inactive one; what is unevictable is not active. */
function deactivate(phys: Phys, head: number): void {
  if ((flagsOf(phys, head) & PG_ACTIVE) !== 0) move(phys, head, PG_ACTIVE | PG_REFERENCED, 0);
}

/** Anonymous memory that may be dropped instead of swapped: among the inactive file pages. */
function lazyfree(phys: Phys, head: number): void {
  if (mayLazyfree(phys, head)) move(phys, head, PG_ACTIVE | PG_REFERENCED | PG_SWAPBACKED, 0);
}

/** Whether a folio is on a list and anonymous, not in the swap cache, not lazily freed yet, not unevictable. */
export function mayLazyfree(phys: Phys, head: number): boolean {
  const looked = PG_LRU | PG_SWAPBACKED | PG_OWNER_PRIV_1 | PG_UNEVICTABLE;
  const anon = (phys.hot[(head << 2) + HOT_OWNER]! & OWNER_KIND_MASK) === OWNER_ANON;
  return anon && (flagsOf(phys, head) & looked) === (PG_LRU | PG_SWAPBACKED);
}

/** From an inactive list to the active one. */
function activate(phys: Phys, head: number): void {
  if ((flagsOf(phys, head) & (PG_ACTIVE | PG_UNEVICTABLE)) === 0) move(phys, head, 0, PG_ACTIVE);
}

/** One mlocked mapping more, of a folio that is on a list: it becomes unevictable, or is counted. */
function mlock(phys: Phys, head: number): void {
  const flags = flagsOf(phys, head);
  if ((flags & PG_LRU) === 0) return;
  if ((flags & PG_MLOCKED) === 0) return rescue(phys, head);
  if ((flags & PG_UNEVICTABLE) !== 0) {
    phys.cold[(head << 2) + COLD_PREV]!++;
    return;
  }
  lruDelFolio(phys, head);
  makeUnevictable(phys, head);
  lruvecAddFolio(phys, head);
}

/** A folio on the unevictable list that is not mlocked any more goes back to the inactive one. */
function rescue(phys: Phys, head: number): void {
  if ((flagsOf(phys, head) & PG_UNEVICTABLE) !== 0) move(phys, head, PG_UNEVICTABLE, 0);
}

/** Onto a list for the first time, mlocked unless that is over already. */
function mlockNew(phys: Phys, head: number): void {
  phys.cold[(head << 2) + COLD_NEXT] = 0;
  if ((flagsOf(phys, head) & PG_MLOCKED) !== 0) makeUnevictable(phys, head);
  lruvecAddFolio(phys, head);
}

/** One mlocked mapping less; with the last one it may be reclaimed again. */
function munlock(phys: Phys, head: number): void {
  const listed = (flagsOf(phys, head) & PG_LRU) !== 0;
  if (listed && (flagsOf(phys, head) & PG_UNEVICTABLE) !== 0) {
    const at = (head << 2) + COLD_PREV;
    phys.cold[at]!--;
    if (phys.cold[at]! > 0) return;
  }
  changeFlags(phys, head, PG_MLOCKED, 0);
  if (listed) rescue(phys, head);
}
