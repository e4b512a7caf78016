/**
 * The folio lock: bit PG_locked of the frame's flags word (Linux: folio_trylock, folio_unlock). It protects a page's
 * place in its file (mapping and index), its contents while they are read in, and truncation. Waiting for it:
 * folio-lock.co.ts. Order: mmap_lock, invalidate_lock, folio lock, i_mmap lock, page-table lock.
 */
import { clearFlag, HOT_FLAGS, HOT_WORDS, PG_LOCKED, PG_WRITEBACK, Phys } from '@mmkit/phys';
import {
  bitLockKey,
  FOLIO_LOCK,
  LOCK_EXCLUSIVE,
  lockAcquired,
  lockRelease,
  Sched,
  tryLockBit,
  unlockBit,
  wakeTable,
} from '@mmkit/task';

/** What the folio lock needs of a machine; its memory is one, and its file cache. */
export interface Frames {
  readonly sched: Sched;
  readonly phys: Phys;
}

/** Takes the folio lock if it is free. */
export function folioTrylock(frames: Frames, pfn: number): boolean {
  if (!tryLockBit(frames.phys.hot, pfn * HOT_WORDS + HOT_FLAGS, PG_LOCKED)) return false;
  folioLocked(frames, pfn);
  return true;
}

/** Tells the lock order, if it is checked, that the current task has a folio's lock, got without waiting. */
export function folioLocked({ sched }: Frames, pfn: number): void {
  if (sched.lockdep !== null) lockAcquired(sched, folioLockKey(pfn), FOLIO_LOCK, LOCK_EXCLUSIVE);
}

/** Tells it that the lock is no task's any more: I/O that was begun will give it back. */
export function folioLockToIo({ sched }: Frames, pfn: number): void {
  if (sched.lockdep !== null) lockRelease(sched, folioLockKey(pfn));
}

function folioLockKey(pfn: number): number {
  return bitLockKey(pfn * HOT_WORDS + HOT_FLAGS, PG_LOCKED);
}

/** Gives the folio lock back. */
export function folioUnlock(frames: Frames, pfn: number): void {
  unlockBit(frames.sched, frames.phys.hot, pfn * HOT_WORDS + HOT_FLAGS, PG_LOCKED);
}

/** The page has been written back: wakes who waits for that (folio_end_writeback). */
export function folioEndWriteback(frames: Frames, pfn: number): void {
  clearFlag(frames.phys, pfn, PG_WRITEBACK);
  wakeTable(frames.sched, pfn * HOT_WORDS + HOT_FLAGS);
}
