/**
 * The folio lock: bit PG_locked of the frame's flags word (Linux: folio_trylock, folio_unlock). It protects a page's
 * place in its file (mapping and index), its contents while they are read in, and truncation. Waiting for it:
 * folio-lock.co.ts. Order: mmap_lock, invalidate_lock, folio lock, i_mmap lock, page-table lock.
 */
import { clearFlag, compoundHead, HOT_FLAGS, HOT_WORDS, PG_LOCKED, PG_WRITEBACK, Phys } from '@mmkit/phys';
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

/** Index of the flags of the folio that holds a page in `hot`: where its lock is, and what who waits for it sleeps on. */
export function folioWord({ phys }: Frames, page: number): number {
  return compoundHead(phys, page) * HOT_WORDS + HOT_FLAGS;
}

/** Takes the lock of the folio that holds a page if it is free. */
export function folioTrylock(frames: Frames, page: number): boolean {
  if (!tryLockBit(frames.phys.hot, folioWord(frames, page), PG_LOCKED)) return false;
  folioLocked(frames, page);
  return true;
}

/** Tells the lock order, if it is checked, that the current task has a folio's lock, got without waiting. */
export function folioLocked(frames: Frames, page: number): void {
  const { sched } = frames;
  if (sched.lockdep !== null) lockAcquired(sched, folioLockKey(frames, page), FOLIO_LOCK, LOCK_EXCLUSIVE);
}

/** Tells it that the lock is no task's any more: I/O that was begun will give it back. */
export function folioLockToIo(frames: Frames, page: number): void {
  const { sched } = frames;
  if (sched.lockdep !== null) lockRelease(sched, folioLockKey(frames, page));
}

function folioLockKey(frames: Frames, page: number): number {
  return bitLockKey(folioWord(frames, page), PG_LOCKED);
}

/** Gives the folio lock back. */
export function folioUnlock(frames: Frames, page: number): void {
  unlockBit(frames.sched, frames.phys.hot, folioWord(frames, page), PG_LOCKED);
}

/** The folio that holds a page has been written back: wakes who waits for that (folio_end_writeback). */
export function folioEndWriteback(frames: Frames, page: number): void {
  clearFlag(frames.phys, compoundHead(frames.phys, page), PG_WRITEBACK);
  wakeTable(frames.sched, folioWord(frames, page));
}
