/**
 * Waiting for the folio lock, and for what ends with it or with writeback (Linux: folio_lock, folio_wait_locked,
 * folio_wait_writeback). A page stands for the folio that holds it.
 * All who wait for a folio sleep in one queue of the wait table. No point before a wait's first
 * test: who looks later finds what would have woken it.
 */
import type { Task } from '@mmkit/base';
import { compoundHead, PG_LOCKED, PG_WRITEBACK, testFlag } from '@mmkit/phys';
import { FOLIO_LOCK, waitTableQueue } from '@mmkit/task';
import { lockBit, lockBitKillable, waitOn, waitOnKillable } from '@mmkit/task/sched';
import { folioWord } from './folio.ts';
import type { Frames } from './folio.ts';

/** Takes the lock of the folio `pfn`; sleeps as long as it takes. */
export function* folioLock(frames: Frames, pfn: number): Task<void> {
  yield* lockBit(frames.sched, frames.phys.hot, folioWord(frames, pfn), PG_LOCKED, FOLIO_LOCK);
}

/** As folioLock: 0, or -EINTR when a fatal signal ends the wait. */
export function* folioLockKillable(frames: Frames, pfn: number): Task<number> {
  return yield* lockBitKillable(frames.sched, frames.phys.hot, folioWord(frames, pfn), PG_LOCKED, FOLIO_LOCK);
}

/** Waits until nobody holds the lock of a folio the caller has a reference of: 0, or -EINTR (folio_wait_locked_killable). */
export function* folioWaitLockedKillable(frames: Frames, pfn: number): Task<number> {
  while (testFlag(frames.phys, compoundHead(frames.phys, pfn), PG_LOCKED)) {
    const error = yield* waitOnKillable(frames.sched, waitTableQueue(frames.sched, folioWord(frames, pfn)));
    if (error !== 0) return error;
  }
  return 0;
}

/** Waits until a folio the caller has locked, or has a reference of, is not being written back (folio_wait_writeback). */
export function* folioWaitWriteback(frames: Frames, pfn: number): Task<void> {
  while (testFlag(frames.phys, compoundHead(frames.phys, pfn), PG_WRITEBACK)) {
    yield* waitOn(frames.sched, waitTableQueue(frames.sched, folioWord(frames, pfn)));
  }
}
