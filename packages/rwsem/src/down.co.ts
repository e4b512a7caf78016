/**
 * Taking the semaphore (Linux: down_read, down_write and their slow paths; reference N.18). A point stands before the
 * fast path and another before the slow one: in between a reader's bias is already in the count, where others see it.
 * Each declares the semaphore (footprint.ts of @mmkit/task). Once let in, or killed,
 * a task leaves no trace in the queue. `subclass` is for a second semaphore of the class (Linux: down_write_nested).
 */
import { InvariantError, P_LOCK } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { LOCK_EXCLUSIVE, LOCK_SHARED, lockAcquire, lockAcquired, writes } from '@mmkit/task';
import type { Sched } from '@mmkit/task';
import { waitOn, waitOnInterruptible, waitOnKillable } from '@mmkit/task/sched';
import { OWNER_READER, READER_BIAS, readerStays, WAITERS, WRITER_LOCKED } from './count.ts';
import { addWaiter, leaveQueue, markWake, tryWriteLock, wakeIfFree, wakeSpinner } from './queue.ts';
import { tryRead, tryWrite } from './release.ts';
import { optimisticSpin } from './spin.co.ts';
import { RwSem, setOwner, Waiter } from './state.ts';

/** What ends a wait before its time: nothing. */
const UNINTERRUPTIBLE = 0;
/** A fatal signal. */
const KILLABLE = 1;
/** Any signal. */
const INTERRUPTIBLE = 2;

/**
 * Takes the semaphore for reading, waiting as long as it takes (Linux: down_read). InvariantError 'LOCK_RECURSION' when
 * the task holds it for writing.
 */
export function* downRead(sched: Sched, sem: RwSem, subclass: number = 0): Task<void> {
  yield writes(sched, P_LOCK, sem);
  if (sched.lockdep === null && sem.count === 0) {
    sem.count = READER_BIAS;
    sem.ownerFlags |= OWNER_READER;
  } else yield* readOrWait(sched, sem, subclass, UNINTERRUPTIBLE);
}

/** As downRead, but a fatal signal ends the wait: -EINTR, nothing taken; 0 when taken (Linux: down_read_killable). */
export function* downReadKillable(sched: Sched, sem: RwSem, subclass: number = 0): Task<number> {
  yield writes(sched, P_LOCK, sem);
  return yield* readOrWait(sched, sem, subclass, KILLABLE);
}

/** As downReadKillable, for any signal (Linux: down_read_interruptible; it has no such thing for writing). */
export function* downReadInterruptible(sched: Sched, sem: RwSem, subclass: number = 0): Task<number> {
  yield writes(sched, P_LOCK, sem);
  return yield* readOrWait(sched, sem, subclass, INTERRUPTIBLE);
}

/**
 * Takes the semaphore for writing, waiting as long as it takes (Linux: down_write). InvariantError 'LOCK_RECURSION' when
 * the task holds it for writing already.
 */
export function* downWrite(sched: Sched, sem: RwSem, subclass: number = 0): Task<void> {
  yield writes(sched, P_LOCK, sem);
  if (sched.lockdep === null && sem.count === 0) {
    sem.count = WRITER_LOCKED;
    setOwner(sem, sched.current);
  } else yield* writeOrWait(sched, sem, subclass, UNINTERRUPTIBLE);
}

/** As downWrite, but a fatal signal ends the wait: -EINTR, nothing taken; 0 when taken (Linux: down_write_killable). */
export function* downWriteKillable(sched: Sched, sem: RwSem, subclass: number = 0): Task<number> {
  yield writes(sched, P_LOCK, sem);
  return yield* writeOrWait(sched, sem, subclass, KILLABLE);
}

function* readOrWait(sched: Sched, sem: RwSem, subclass: number, endedBy: number): Task<number> {
  if (sched.lockdep !== null) lockAcquire(sched, sem, sem.cls, LOCK_SHARED, subclass);
  const error = tryRead(sem) ? 0 : yield* downReadSlow(sched, sem, endedBy);
  if (error === 0 && sched.lockdep !== null) lockAcquired(sched, sem, sem.cls, LOCK_SHARED, subclass);
  return error;
}

function* writeOrWait(sched: Sched, sem: RwSem, subclass: number, endedBy: number): Task<number> {
  if (sched.lockdep !== null) lockAcquire(sched, sem, sem.cls, LOCK_EXCLUSIVE, subclass);
  const error = tryWrite(sched, sem) ? 0 : yield* downWriteSlow(sched, sem, endedBy);
  if (error === 0 && sched.lockdep !== null) lockAcquired(sched, sem, sem.cls, LOCK_EXCLUSIVE, subclass);
  return error;
}

function* downReadSlow(sched: Sched, sem: RwSem, endedBy: number): Task<number> {
  checkRecursion(sched, sem);
  sem.count += READER_BIAS;
  sem.trying++;
  yield writes(sched, P_LOCK, sem);
  sem.trying--;
  if (staysIn(sem)) {
    sem.ownerFlags |= OWNER_READER;
    if ((sem.count & WAITERS) !== 0) markWake(sched, sem, false);
    return 0;
  }
  const waiter = addWaiter(sched, sem, false);
  sem.count -= READER_BIAS;
  wakeIfFree(sched, sem);
  wakeSpinner(sem);
  while (!waiter.granted) {
    const error = yield* sleepQueued(sched, sem, waiter, endedBy);
    // Let in before the signal came: the lock is ours.
    if (error === 0 || waiter.granted) continue;
    leaveQueue(sched, sem, waiter);
    return error;
  }
  return 0;
}

/** May a reader in the slow path, its bias in the count, keep it? With an empty queue it waits for nobody but a writer. */
function staysIn(sem: RwSem): boolean {
  if ((sem.count & WRITER_LOCKED) === 0 && sem.waiters.length === 0) return true;
  return readerStays(sem.count, Math.floor(sem.count / READER_BIAS), (sem.ownerFlags & OWNER_READER) !== 0);
}

function* downWriteSlow(sched: Sched, sem: RwSem, endedBy: number): Task<number> {
  checkRecursion(sched, sem);
  yield writes(sched, P_LOCK, sem);
  if (sem.spinOnOwner && (yield* optimisticSpin(sched, sem))) return 0;
  const waiter = addWaiter(sched, sem, true);
  if (waiter !== sem.waiters[0]) wakeIfFree(sched, sem);
  let error = 0;
  while (!tryWriteLock(sched, sem, waiter)) {
    // Only now: a killed writer that finds the lock free takes it.
    if (error !== 0) {
      leaveQueue(sched, sem, waiter);
      return error;
    }
    error = yield* sleepQueued(sched, sem, waiter, endedBy);
  }
  return 0;
}

/** Sleeps until woken. A task that may not sleep at all leaves the queue before the error goes on. */
function* sleepQueued(sched: Sched, sem: RwSem, waiter: Waiter, endedBy: number): Task<number> {
  try {
    if (endedBy === KILLABLE) return yield* waitOnKillable(sched, sem.queue);
    if (endedBy === INTERRUPTIBLE) return yield* waitOnInterruptible(sched, sem.queue);
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
