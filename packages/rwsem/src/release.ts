/**
 * What never waits: trying, giving back, downgrading (Linux: down_*_trylock, up_read, up_write, downgrade_write). The
 * change of the count and the wake-up are one step here, so nobody comes in between, as a stealing writer may in Linux.
 */
import { InvariantError } from '@mmkit/base';
import type { Sched } from '@mmkit/task';
import { wakeAny, wakeReaders } from './queue.ts';
import { READ_FAILED_MASK, READER_BIAS, RwSem, WAITERS, WRITER_LOCKED } from './state.ts';

/** Takes the semaphore for reading if no writer holds it and nobody waits; false otherwise (Linux: down_read_trylock). */
export function downReadTrylock(sem: RwSem): boolean {
  if ((sem.count & READ_FAILED_MASK) !== 0) return false;
  sem.count += READER_BIAS;
  sem.readerOwned = true;
  return true;
}

/** Takes the semaphore for writing if nobody holds it or waits; false otherwise (Linux: down_write_trylock). */
export function downWriteTrylock(sched: Sched, sem: RwSem): boolean {
  if (sem.count !== 0) return false;
  sem.count = WRITER_LOCKED;
  sem.owner = sched.current;
  sem.readerOwned = false;
  return true;
}

/**
 * Gives one read hold back; the last one wakes who waits (Linux: up_read). InvariantError 'LOCK_NOT_HELD' when no reader
 * holds it. Which task gives it back is not checked, as in Linux.
 */
export function upRead(sched: Sched, sem: RwSem): void {
  if (sem.count - sem.trying * READER_BIAS < READER_BIAS) throw notHeld(sched, sem, 'reading');
  sem.count -= READER_BIAS;
  if ((sem.count & WAITERS) !== 0 && sem.count < READER_BIAS) wakeAny(sched, sem);
}

/** Gives the write hold back and wakes who waits (Linux: up_write). 'LOCK_NOT_HELD' when the current task has none. */
export function upWrite(sched: Sched, sem: RwSem): void {
  checkOwner(sched, sem);
  sem.owner = null;
  sem.count -= WRITER_LOCKED;
  if ((sem.count & WAITERS) !== 0) wakeAny(sched, sem);
}

/**
 * Makes the write hold a read hold without letting a writer in between; readers at the head of the queue come in (Linux:
 * downgrade_write). 'LOCK_NOT_HELD' when the current task is not the writer.
 */
export function downgradeWrite(sched: Sched, sem: RwSem): void {
  checkOwner(sched, sem);
  sem.owner = null;
  sem.readerOwned = true;
  sem.count += READER_BIAS - WRITER_LOCKED;
  if ((sem.count & WAITERS) !== 0) wakeReaders(sem);
}

function checkOwner(sched: Sched, sem: RwSem): void {
  if (sem.owner !== sched.current) throw notHeld(sched, sem, 'writing');
}

function notHeld(sched: Sched, sem: RwSem, how: string): InvariantError {
  return new InvariantError('LOCK_NOT_HELD', `${sched.current.name} releases ${sem.queue.name}, not held for ${how}`);
}
