/**
 * State of a mutex or spinlock, shared by both builds (taking one is coloured: lock.co.ts).
 */
import { InvariantError } from '@mmkit/base';
import { Sched, SimTask, WaitQueue } from './state.ts';
import { wakeOne } from './wake.ts';

/** A sleeping lock with one owner (Linux: struct mutex). */
export class Mutex {
  /** Who holds it, or null. */
  owner: SimTask | null;
  /** Who wants it, first come first. */
  readonly queue: WaitQueue;

  constructor(name: string) {
    this.owner = null;
    this.queue = new WaitQueue(name);
  }
}

/** Takes the mutex if it is free; false otherwise. */
export function mutexTrylock(sched: Sched, mutex: Mutex): boolean {
  if (mutex.owner !== null) return false;
  mutex.owner = sched.current;
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
  mutex.owner = null;
  wakeOne(mutex.queue);
}
