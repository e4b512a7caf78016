/**
 * Taking locks: mutex, and locks that are one bit of a word: sleeping (folio lock) or spinning (page-table lock). Each
 * begins with a point, which declares the lock; where a signal may end the wait, nothing is declared (footprint.ts).
 * `cls` and `subclass` are the lock's place in the lock order (lockdep.ts); a bit lock without a class has none.
 * Giving a lock back never waits and is an ordinary function: a critical section without points of its own is one step.
 */
import { InvariantError, P_LOCK } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { spinTrylockBit } from './bit.ts';
import { writes } from './footprint.ts';
import { bitLockKey, LOCK_EXCLUSIVE, lockAcquire, lockAcquired } from './lockdep.ts';
import type { LockClass } from './lockdep.ts';
import { Mutex } from './mutex.ts';
import { Sched } from './state.ts';
import { waitTableQueue, wakeOne } from './wake.ts';
import { spinOn, waitOn, waitOnInterruptible, waitOnKillable } from './wait.sched.ts';

/** Takes the mutex, waiting as long as it takes. InvariantError 'LOCK_RECURSION' when the task holds it already. */
export function* mutexLock(sched: Sched, mutex: Mutex, subclass: number = 0): Task<void> {
  yield writes(sched, P_LOCK, mutex);
  checkRecursion(sched, mutex);
  if (sched.lockdep !== null) lockAcquire(sched, mutex, mutex.cls, LOCK_EXCLUSIVE, subclass);
  while (mutex.owner !== null) yield* waitOn(sched, mutex.queue);
  mutex.owner = sched.current;
  if (sched.lockdep !== null) lockAcquired(sched, mutex, mutex.cls, LOCK_EXCLUSIVE, subclass);
}

/** As mutexLock, but a fatal signal ends the wait: -EINTR, the mutex not taken; 0 when taken. */
export function* mutexLockKillable(sched: Sched, mutex: Mutex, subclass: number = 0): Task<number> {
  yield P_LOCK;
  checkRecursion(sched, mutex);
  if (sched.lockdep !== null) lockAcquire(sched, mutex, mutex.cls, LOCK_EXCLUSIVE, subclass);
  while (mutex.owner !== null) {
    const error = yield* waitOnKillable(sched, mutex.queue);
    if (error !== 0) return passOn(mutex, error);
  }
  mutex.owner = sched.current;
  if (sched.lockdep !== null) lockAcquired(sched, mutex, mutex.cls, LOCK_EXCLUSIVE, subclass);
  return 0;
}

/** As mutexLockKillable, for any signal (Linux: mutex_lock_interruptible). */
export function* mutexLockInterruptible(sched: Sched, mutex: Mutex, subclass: number = 0): Task<number> {
  yield P_LOCK;
  checkRecursion(sched, mutex);
  if (sched.lockdep !== null) lockAcquire(sched, mutex, mutex.cls, LOCK_EXCLUSIVE, subclass);
  while (mutex.owner !== null) {
    const error = yield* waitOnInterruptible(sched, mutex.queue);
    if (error !== 0) return passOn(mutex, error);
  }
  mutex.owner = sched.current;
  if (sched.lockdep !== null) lockAcquired(sched, mutex, mutex.cls, LOCK_EXCLUSIVE, subclass);
  return 0;
}

/**
 * Takes the lock that is bit `mask` of `words[index]`, waiting in the wait table under `index` (Linux: folio_lock,
 * bit_spin_lock). One array of words a machine may be used with it.
 */
export function* lockBit(
  sched: Sched,
  words: Int32Array,
  index: number,
  mask: number,
  cls: LockClass | null = null,
  subclass: number = 0,
): Task<void> {
  yield writes(sched, P_LOCK, words, index);
  if (sched.lockdep !== null && cls !== null) {
    lockAcquire(sched, bitLockKey(index, mask), cls, LOCK_EXCLUSIVE, subclass);
  }
  while ((words[index]! & mask) !== 0) yield* waitOn(sched, waitTableQueue(sched, index));
  words[index] = words[index]! | mask;
  if (sched.lockdep !== null && cls !== null) {
    lockAcquired(sched, bitLockKey(index, mask), cls, LOCK_EXCLUSIVE, subclass);
  }
}

/**
 * Takes the spinlock that is bit `mask` of `words[index]` (Linux: bit_spin_lock). Its holder may not sleep until
 * `spinUnlockBit`; waiting for another spinlock, or for an IPI, is allowed.
 */
export function* spinLockBit(
  sched: Sched,
  words: Int32Array,
  index: number,
  mask: number,
  cls: LockClass | null = null,
  subclass: number = 0,
): Task<void> {
  yield writes(sched, P_LOCK, words, index);
  if (sched.lockdep !== null && cls !== null) {
    lockAcquire(sched, bitLockKey(index, mask), cls, LOCK_EXCLUSIVE, subclass);
  }
  while (!spinTrylockBit(sched, words, index, mask, cls, subclass)) yield* spinOn(sched, waitTableQueue(sched, index));
}

/** As lockBit; -EINTR when a fatal signal ends the wait. */
export function* lockBitKillable(
  sched: Sched,
  words: Int32Array,
  index: number,
  mask: number,
  cls: LockClass | null = null,
  subclass: number = 0,
): Task<number> {
  yield P_LOCK;
  if (sched.lockdep !== null && cls !== null) {
    lockAcquire(sched, bitLockKey(index, mask), cls, LOCK_EXCLUSIVE, subclass);
  }
  while ((words[index]! & mask) !== 0) {
    const error = yield* waitOnKillable(sched, waitTableQueue(sched, index));
    if (error !== 0) return error;
  }
  words[index] = words[index]! | mask;
  if (sched.lockdep !== null && cls !== null) {
    lockAcquired(sched, bitLockKey(index, mask), cls, LOCK_EXCLUSIVE, subclass);
  }
  return 0;
}

/** Who gives up waiting passes the wake-up on that may have been meant for it. */
function passOn(mutex: Mutex, error: number): number {
  if (mutex.owner === null) wakeOne(mutex.queue);
  return error;
}

function checkRecursion(sched: Sched, mutex: Mutex): void {
  if (mutex.owner === sched.current) {
    throw new InvariantError('LOCK_RECURSION', `${sched.current.name} takes ${mutex.queue.name} twice`);
  }
}
