/** Who holds the semaphore (Linux: rwsem_is_locked, rwsem_is_contended, rwsem_assert_held; mmap_assert_locked). */
import { InvariantError } from '@mmkit/base';
import { READER_BIAS } from './count.ts';
import { RwSem } from './state.ts';

/** How many read holds there are. */
export function readerCount(sem: RwSem): number {
  return Math.floor(sem.count / READER_BIAS) - sem.trying;
}

/** True while readers or a writer hold it. */
export function isLocked(sem: RwSem): boolean {
  return sem.owner !== null || readerCount(sem) > 0;
}

/** True while a writer holds it. */
export function isWriteLocked(sem: RwSem): boolean {
  return sem.owner !== null;
}

/** True while somebody is in the queue (Linux: rwsem_is_contended). */
export function isContended(sem: RwSem): boolean {
  return sem.waiters.length > 0;
}

/** InvariantError 'LOCK_NOT_HELD' unless somebody holds it, for reading or writing (Linux: mmap_assert_locked). */
export function assertHeld(sem: RwSem): void {
  if (!isLocked(sem)) throw new InvariantError('LOCK_NOT_HELD', `${sem.queue.name} is not held`);
}

/** InvariantError 'LOCK_NOT_HELD' unless a writer holds it (Linux: mmap_assert_write_locked). */
export function assertHeldWrite(sem: RwSem): void {
  if (!isWriteLocked(sem)) throw new InvariantError('LOCK_NOT_HELD', `${sem.queue.name} is not held for writing`);
}
