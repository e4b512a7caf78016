/**
 * The folio lock: bit PG_locked of the frame's flags word (Linux: folio_trylock, folio_unlock). It protects a page's
 * place in its file (mapping and index), its contents while they are read in, and truncation. Waiting for it:
 * folio-lock.co.ts. Order: mmap_lock, invalidate_lock, folio lock, i_mmap lock, page-table lock.
 */
import { clearFlag, HOT_FLAGS, HOT_WORDS, PG_LOCKED, PG_WRITEBACK, Phys } from '@mmkit/phys';
import { Sched, tryLockBit, unlockBit, wakeTable } from '@mmkit/task';

/** What the folio lock needs of a machine; its memory is one, and its file cache. */
export interface Frames {
  readonly sched: Sched;
  readonly phys: Phys;
}

/** Takes the folio lock if it is free. */
export function folioTrylock(frames: Frames, pfn: number): boolean {
  return tryLockBit(frames.phys.hot, pfn * HOT_WORDS + HOT_FLAGS, PG_LOCKED);
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
