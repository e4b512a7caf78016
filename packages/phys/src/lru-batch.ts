/**
 * Per-CPU batches in front of the LRU lists (`struct cpu_fbatches`, `struct mlock_fbatch`): a folio that is to be put
 * on a list, or moved, waits in a batch of the current CPU, and the batch holds a reference to it. A batch is drained
 * when it has PAGEVEC_SIZE entries, at once for a large folio, and on demand. So a page just added has one reference
 * more than E.1's table says until `lruAddDrain`.
 *
 * All functions take any PFN of the folio. In Linux a batch belongs to its CPU, and draining takes `lruvec->lru_lock`;
 * here calls run one at a time.
 */
import { InvariantError } from '@mmkit/base';
import { compoundHead, folioTestLarge } from './folio.ts';
import { COLD_NEXT, HOT_FLAGS, HOT_REFCOUNT } from './frame.ts';
import type { Phys, PhysCpu } from './frame.ts';
import { LRU_MOVES, mayLazyfree } from './lru-move.ts';
import {
  PG_ACTIVE,
  PG_DIRTY,
  PG_LOCKED,
  PG_LRU,
  PG_MLOCKED,
  PG_REFERENCED,
  PG_RESERVED,
  PG_UNEVICTABLE,
} from './page-flags.ts';
import { getPage, putPage } from './refs.ts';

/** Entries of a batch that make it be drained. */
export const PAGEVEC_SIZE = 31;
/** COLD_NEXT of a folio that waits in a batch to be put on a list for the first time; no PFN. */
export const LRU_PENDING = -1;

// Indices of `cpu.lruBatches`, in the order they are drained. An entry is the head's PFN << 2, in the last batch with
// MLOCK or MLOCK_NEW besides; LRU_MOVES has what is done, by index plus those bits.

/** New folios (`lru_add`). */
const ADD = 0;
/** To the end of the inactive list (`lru_move_tail`). */
const ROTATE = 1;
/** Folios of files, to be reclaimed soon (`lru_deactivate_file`). */
const DEACTIVATE_FILE = 2;
/** From the active list to the inactive one (`lru_deactivate`). */
const DEACTIVATE = 3;
/** To be dropped instead of swapped (`lru_lazyfree`). */
const LAZYFREE = 4;
/** From the inactive list to the active one (`lru_activate`). */
const ACTIVATE = 5;
/** Mlocked and munlocked folios (`mlock_fbatch`). */
const MLOCKS = 6;
/** Bit of an entry of MLOCKS: one mlocked mapping more; without a bit: one less. */
const MLOCK = 1;
/** Bit of an entry of MLOCKS: new and mlocked. */
const MLOCK_NEW = 2;

/**
 * Puts a folio into a batch of the current CPU, with a reference of the batch's (`folio_batch_add_and_move`). A batch
 * that this fills is drained before as well: what it holds may be refused, and then nothing has happened to this folio.
 */
function queue(phys: Phys, kind: number, head: number, variant: number = 0): void {
  const batch = phys.cpu.lruBatches[kind]!;
  const full = fills(phys, batch, head);
  if (full) drainBatch(phys, batch, kind);
  getPage(phys, head);
  if (variant !== 0) phys.hot[(head << 2) + HOT_FLAGS]! |= PG_MLOCKED;
  if (kind === ADD || variant === MLOCK_NEW) phys.cold[(head << 2) + COLD_NEXT] = LRU_PENDING;
  batch.push((head << 2) | variant);
  if (full) drainBatch(phys, batch, kind);
}

/** True when this folio makes a batch be drained. */
function fills(phys: Phys, batch: readonly number[], head: number): boolean {
  return batch.length + 1 >= PAGEVEC_SIZE || folioTestLarge(phys, head);
}

/**
 * Does what the entries of a batch ask for and drops their references, in their order. When one of them throws, it and
 * those behind it stay in the batch.
 */
function drainBatch(phys: Phys, batch: number[], kind: number): void {
  let done = 0;
  try {
    for (; done < batch.length; done++) drainEntry(phys, batch[done]! >>> 2, kind, kind + (batch[done]! & 3));
  } finally {
    batch.splice(0, done);
  }
}

function drainEntry(phys: Phys, head: number, kind: number, move: number): void {
  if (phys.hot[(head << 2) + HOT_REFCOUNT] === 1) return dropLast(phys, head);
  const moved = kind >= ROTATE && kind <= ACTIVATE;
  if (!moved || (phys.hot[(head << 2) + HOT_FLAGS]! & PG_LRU) !== 0) LRU_MOVES[move]!(phys, head);
  putPage(phys, head);
}

/** The batch alone still holds the folio: it is freed without being moved. */
function dropLast(phys: Phys, head: number): void {
  const at = (head << 2) + COLD_NEXT;
  const next = phys.cold[at]!;
  if (next === LRU_PENDING) phys.cold[at] = 0;
  try {
    putPage(phys, head);
  } catch (error) {
    phys.cold[at] = next;
    throw error;
  }
}

/** The head of the folio that holds a frame; LRU_FREE when nobody uses it. */
function usedHead(phys: Phys, pfn: number): number {
  const head = compoundHead(phys, pfn);
  if (phys.hot[(head << 2) + HOT_REFCOUNT] !== 0) return head;
  throw new InvariantError('LRU_FREE', `frame ${head} has no reference: it has no business with LRU lists`);
}

/** The same for a folio that is to be put on a list for the first time. */
function newHead(phys: Phys, pfn: number): number {
  const head = usedHead(phys, pfn);
  const flags = phys.hot[(head << 2) + HOT_FLAGS]!;
  if ((flags & PG_RESERVED) !== 0) throw new InvariantError('LRU_RESERVED', `frame ${head} is reserved`);
  if ((flags & PG_LRU) !== 0 || phys.cold[(head << 2) + COLD_NEXT] === LRU_PENDING) {
    throw new InvariantError('LRU_ADD_TWICE', `the folio at frame ${head} is on an LRU list, or about to be`);
  }
  if ((flags & PG_ACTIVE) !== 0 && (flags & PG_UNEVICTABLE) !== 0) {
    throw new InvariantError('LRU_FLAGS', `the folio at frame ${head} is both active and unevictable`);
  }
  return head;
}

/** True when the folio is on a list and has none of `flags`. */
function listed(phys: Phys, head: number, flags: number): boolean {
  return (phys.hot[(head << 2) + HOT_FLAGS]! & (PG_LRU | flags)) === PG_LRU;
}

/**
 * Puts a new folio on the list its flags name, when the batch is drained (`folio_add_lru`). InvariantError, with
 * nothing changed: LRU_FREE, LRU_RESERVED, LRU_ADD_TWICE, LRU_FLAGS (active and unevictable), REF_OVERFLOW. What else
 * the batch holds is drained where this folio fills it, and an entry of it may be refused as `lruAddDrain` refuses it.
 */
export function folioAddLru(phys: Phys, pfn: number): void {
  queue(phys, ADD, newHead(phys, pfn));
}

/**
 * Puts a folio that was isolated back, and drops the isolation's reference (`folio_putback_lru`). Throws what
 * `folioAddLru` throws, and what `putPage` throws of a folio that nobody else holds and that would be freed at once.
 */
export function folioPutbackLru(phys: Phys, pfn: number): void {
  const head = newHead(phys, pfn);
  const batch = phys.cpu.lruBatches[ADD]!;
  if (phys.hot[(head << 2) + HOT_REFCOUNT] === 1 && fills(phys, batch, head)) drainBatch(phys, batch, ADD);
  else queue(phys, ADD, head);
  putPage(phys, head);
}

/** From the inactive list to the active one, when the batch is drained (`folio_activate`). */
export function folioActivate(phys: Phys, pfn: number): void {
  const head = usedHead(phys, pfn);
  if (listed(phys, head, PG_ACTIVE | PG_UNEVICTABLE)) queue(phys, ACTIVATE, head);
}

/** From the active list to the inactive one (`folio_deactivate`). */
export function folioDeactivate(phys: Phys, pfn: number): void {
  const head = usedHead(phys, pfn);
  const wanted = PG_LRU | PG_ACTIVE;
  if ((phys.hot[(head << 2) + HOT_FLAGS]! & wanted) === wanted) queue(phys, DEACTIVATE, head);
}

/** To where a file's folio is reclaimed soon, unless it is mapped then (`deactivate_file_folio`). */
export function deactivateFile(phys: Phys, pfn: number): void {
  const head = usedHead(phys, pfn);
  if (listed(phys, head, PG_UNEVICTABLE)) queue(phys, DEACTIVATE_FILE, head);
}

/** Anonymous memory may be dropped instead of swapped: among the inactive file pages (`folio_mark_lazyfree`). */
export function markLazyfree(phys: Phys, pfn: number): void {
  const head = usedHead(phys, pfn);
  if (mayLazyfree(phys, head)) queue(phys, LAZYFREE, head);
}

/** To the end of the inactive list: it was written for being reclaimed (`folio_rotate_reclaimable`). */
export function folioRotateReclaimable(phys: Phys, pfn: number): void {
  const head = usedHead(phys, pfn);
  if (listed(phys, head, PG_LOCKED | PG_DIRTY | PG_UNEVICTABLE)) queue(phys, ROTATE, head);
}

/**
 * The folio was accessed (`folio_mark_accessed`): the first time it becomes PG_REFERENCED, the second time active, at
 * once if it waits in this CPU's batch of new folios.
 */
export function folioMarkAccessed(phys: Phys, pfn: number): void {
  const head = usedHead(phys, pfn);
  const at = (head << 2) + HOT_FLAGS;
  const flags = phys.hot[at]!;
  if ((flags & PG_REFERENCED) === 0) {
    phys.hot[at] = flags | PG_REFERENCED;
  } else if ((flags & (PG_UNEVICTABLE | PG_ACTIVE)) === 0) {
    if ((flags & PG_LRU) !== 0) folioActivate(phys, head);
    else if (phys.cpu.lruBatches[ADD]!.includes(head << 2)) phys.hot[at] = flags | PG_ACTIVE;
    phys.hot[at]! &= ~PG_REFERENCED;
  }
}

/** One mlocked mapping more of a folio that is, or will be, on a list (`mlock_folio`). */
export function mlockFolio(phys: Phys, pfn: number): void {
  queue(phys, MLOCKS, usedHead(phys, pfn), MLOCK);
}

/** A new folio is mlocked and goes to the unevictable list; instead of `folioAddLru` (`mlock_new_folio`). */
export function mlockNewFolio(phys: Phys, pfn: number): void {
  queue(phys, MLOCKS, newHead(phys, pfn), MLOCK_NEW);
}

/** One mlocked mapping less (`munlock_folio`): PG_MLOCKED goes with the last, when the batch is drained. */
export function munlockFolio(phys: Phys, pfn: number): void {
  queue(phys, MLOCKS, usedHead(phys, pfn));
}

/** Drains the batches of the current CPU (`lru_add_drain`). */
export function lruAddDrain(phys: Phys): void {
  drainCpu(phys, phys.cpu);
}

/** Drains the batches of all CPUs (`lru_add_drain_all`). */
export function lruAddDrainAll(phys: Phys): void {
  for (const cpu of phys.cpus) drainCpu(phys, cpu);
}

function drainCpu(phys: Phys, cpu: PhysCpu): void {
  for (let kind = ADD; kind <= MLOCKS; kind++) drainBatch(phys, cpu.lruBatches[kind]!, kind);
}

/** The folios that wait in any CPU's batch to be put on a list for the first time. For checkPhys. */
export function pendingFolios(phys: Phys): number[] {
  return phys.cpus.flatMap(({ lruBatches }) => {
    const mlockNew = lruBatches[MLOCKS]!.filter((entry) => (entry & 3) === MLOCK_NEW);
    return [...lruBatches[ADD]!, ...mlockNew].map((entry) => entry >>> 2);
  });
}
