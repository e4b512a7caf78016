/**
 * Taking the semaphore (Linux: down_read, down_write and their slow paths; reference N.18). A point stands before the
 * fast path and another before the slow one: in between a reader's bias is already in the count, where others see it.
 * Once let in, or killed, a task leaves no trace in the queue.
 */
import { InvariantError, P_LOCK } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { waitOn, waitOnKillable } from '@mmkit/task/sched';
import type { Sched } from '@mmkit/task';
import { addWaiter, leaveQueue, tryWriteLock, wakeIfFree, wakeReaders } from './queue.ts';
import { downReadTrylock, downWriteTrylock } from './release.ts';
import { HANDOFF, READER_BIAS, RwSem, Waiter, WAITERS, WRITER_LOCKED } from './state.ts';

/**
 * Takes the semaphore for reading, waiting as long as it takes (Linux: down_read). InvariantError 'LOCK_RECURSION' when
 * the task holds it for writing.
 */
export function* downRead(sched: Sched, sem: RwSem): Task<void> {
  yield P_LOCK;
  if (!downReadTrylock(sem)) yield* downReadSlow(sched, sem, false);
}

/** As downRead, but a fatal signal ends the wait: -EINTR, nothing taken; 0 when taken (Linux: down_read_killable). */
export function* downReadKillable(sched: Sched, sem: RwSem): Task<number> {
  yield P_LOCK;
  return downReadTrylock(sem) ? 0 : yield* downReadSlow(sched, sem, true);
}

/**
 * Takes the semaphore for writing, waiting as long as it takes (Linux: down_write). InvariantError 'LOCK_RECURSION' when
 * the task holds it for writing already.
 */
export function* downWrite(sched: Sched, sem: RwSem): Task<void> {
  yield P_LOCK;
  if (!downWriteTrylock(sched, sem)) yield* downWriteSlow(sched, sem, false);
}

/** As downWrite, but a fatal signal ends the wait: -EINTR, nothing taken; 0 when taken (Linux: down_write_killable). */
export function* downWriteKillable(sched: Sched, sem: RwSem): Task<number> {
  yield P_LOCK;
  return downWriteTrylock(sched, sem) ? 0 : yield* downWriteSlow(sched, sem, true);
}

function* downReadSlow(sched: Sched, sem: RwSem, killable: boolean): Task<number> {
  checkRecursion(sched, sem);
  sem.count += READER_BIAS;
  sem.trying++;
  yield P_LOCK;
  sem.trying--;
  if (staysIn(sem)) {
    sem.readerOwned = true;
    if ((sem.count & WAITERS) !== 0) wakeReaders(sem);
    return 0;
  }
  const waiter = addWaiter(sched, sem, false);
  sem.count -= READER_BIAS;
  wakeIfFree(sched, sem);
  while (!waiter.granted) {
    const error = yield* sleepQueued(sched, sem, waiter, killable);
    // Let in before the signal came: the lock is ours.
    if (error === 0 || waiter.granted) continue;
    leaveQueue(sched, sem, waiter);
    return error;
  }
  return 0;
}

/**
 * May a reader in the slow path, its bias in the count, keep it? Yes when nobody queues. Yes when the lock is between two
 * holders, before the woken writer comes: it steals. No when other readers are inside: the writer must get its turn.
 */
function staysIn(sem: RwSem): boolean {
  if ((sem.count & WRITER_LOCKED) !== 0) return false;
  if (sem.waiters.length === 0) return true;
  return (sem.count & HANDOFF) === 0 && (!sem.readerOwned || sem.count < 2 * READER_BIAS);
}

function* downWriteSlow(sched: Sched, sem: RwSem, killable: boolean): Task<number> {
  checkRecursion(sched, sem);
  yield P_LOCK;
  const waiter = addWaiter(sched, sem, true);
  if (waiter !== sem.waiters[0]) wakeIfFree(sched, sem);
  let error = 0;
  while (!tryWriteLock(sem, waiter, sched.now)) {
    // Only now: a killed writer that finds the lock free takes it.
    if (error !== 0) {
      leaveQueue(sched, sem, waiter);
      return error;
    }
    error = yield* sleepQueued(sched, sem, waiter, killable);
  }
  return 0;
}

/** Sleeps until woken. A task that may not sleep at all leaves the queue before the error goes on. */
function* sleepQueued(sched: Sched, sem: RwSem, waiter: Waiter, killable: boolean): Task<number> {
  try {
    if (killable) return yield* waitOnKillable(sched, sem.queue);
    yield* waitOn(sched, sem.queue);
    return 0;
  } catch (error) {
    leaveQueue(sched, sem, waiter);
    throw error;
  }
}

function checkRecursion(sched: Sched, sem: RwSem): void {
  if (sem.owner === sched.current) {
    throw new InvariantError('LOCK_RECURSION', `${sched.current.name} holds ${sem.queue.name} for writing already`);
  }
}
