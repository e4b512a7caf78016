/**
 * Taking locks: mutex, and locks that are one bit of a word: sleeping (folio lock) or spinning (page-table lock). Each
 * begins with a point.
 * Giving a lock back never waits and is an ordinary function: a critical section without points of its own is one step.
 */
import { InvariantError, P_LOCK } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { spinTrylockBit } from './bit.ts';
import { Mutex } from './mutex.ts';
import { Sched } from './state.ts';
import { waitTableQueue, wakeOne } from './wake.ts';
import { spinOn, waitOn, waitOnKillable } from './wait.sched.ts';

/** Takes the mutex, waiting as long as it takes. InvariantError 'LOCK_RECURSION' when the task holds it already. */
export function* mutexLock(sched: Sched, mutex: Mutex): Task<void> {
  yield P_LOCK;
  checkRecursion(sched, mutex);
  while (mutex.owner !== null) yield* waitOn(sched, mutex.queue);
  mutex.owner = sched.current;
}

/** As mutexLock, but a fatal signal ends the wait: -EINTR, the mutex not taken; 0 when taken. */
export function* mutexLockKillable(sched: Sched, mutex: Mutex): Task<number> {
  yield P_LOCK;
  checkRecursion(sched, mutex);
  while (mutex.owner !== null) {
    const error = yield* waitOnKillable(sched, mutex.queue);
    if (error !== 0) {
      // The wake-up may have been meant for us: pass it on.
      if (mutex.owner === null) wakeOne(mutex.queue);
      return error;
    }
  }
  mutex.owner = sched.current;
  return 0;
}

/**
 * Takes the lock that is bit `mask` of `words[index]`, waiting in the wait table under `index` (Linux: folio_lock,
 * bit_spin_lock). One array of words a machine may be used with it.
 */
export function* lockBit(sched: Sched, words: Int32Array, index: number, mask: number): Task<void> {
  yield P_LOCK;
  while ((words[index]! & mask) !== 0) yield* waitOn(sched, waitTableQueue(sched, index));
  words[index] = words[index]! | mask;
}

/**
 * Takes the spinlock that is bit `mask` of `words[index]` (Linux: bit_spin_lock). Its holder may not sleep until
 * `spinUnlockBit`; waiting for another spinlock, or for an IPI, is allowed.
 */
export function* spinLockBit(sched: Sched, words: Int32Array, index: number, mask: number): Task<void> {
  yield P_LOCK;
  while (!spinTrylockBit(sched, words, index, mask)) yield* spinOn(sched, waitTableQueue(sched, index));
}

/** As lockBit; -EINTR when a fatal signal ends the wait. */
export function* lockBitKillable(sched: Sched, words: Int32Array, index: number, mask: number): Task<number> {
  yield P_LOCK;
  while ((words[index]! & mask) !== 0) {
    const error = yield* waitOnKillable(sched, waitTableQueue(sched, index));
    if (error !== 0) return error;
  }
  words[index] = words[index]! | mask;
  return 0;
}

function checkRecursion(sched: Sched, mutex: Mutex): void {
  if (mutex.owner === sched.current) {
    throw new InvariantError('LOCK_RECURSION', `${sched.current.name} takes ${mutex.queue.name} twice`);
  }
}
