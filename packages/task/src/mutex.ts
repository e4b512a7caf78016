/**
 * State of a mutex or spinlock, shared by both builds (taking one is coloured: lock.co.ts).
 */
import { InvariantError } from '@mmkit/base';
import { noteWrite } from './footprint.ts';
import { LOCK_EXCLUSIVE, lockAcquired, lockClass, lockRelease } from './lockdep.ts';
import type { LockClass } from './lockdep.ts';
import { Sched, SimTask, WaitQueue } from './state.ts';
import { wakeOne } from './wake.ts';

/** A sleeping lock with one owner (Linux: struct mutex). */
export class Mutex {
  /** Who holds it, or null. */
  owner: SimTask | null;
  /** Who wants it, first come first. */
  readonly queue: WaitQueue;
  /** Its place in the lock order. */
  readonly cls: LockClass;

  constructor(name: string, cls: LockClass = lockClass(name)) {
    this.cls = cls;
    this.owner = null;
    this.queue = new WaitQueue(name, () => (this.owner === null ? [] : [this.owner]));
  }
}

/** Takes the mutex if it is free; false otherwise. */
export function mutexTrylock(sched: Sched, mutex: Mutex): boolean {
  noteWrite(sched, mutex);
  if (mutex.owner !== null) return false;
  mutex.owner = sched.current;
  if (sched.lockdep !== null) lockAcquired(sched, mutex, mutex.cls, LOCK_EXCLUSIVE);
  return true;
}

/** Gives the mutex back. InvariantError 'LOCK_NOT_HELD' when the current task does not hold it. */
export function mutexUnlock(sched: Sched, mutex: Mutex): void {
  if (mutex.owner !== sched.current) {
    throw new InvariantError(
      'LOCK_NOT_HELD',
      `${sched.current.name} unlocks ${mutex.queue.name}, which it does not hold`,
    );
  }
  noteWrite(sched, mutex);
  mutex.owner = null;
  if (sched.lockdep !== null) lockRelease(sched, mutex);
  wakeOne(mutex.queue);
}
