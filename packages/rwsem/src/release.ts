/**
 * What never waits: trying, giving back, downgrading (Linux: down_*_trylock, up_read, up_write, downgrade_write). The
 * change of the count and the wake-up are one step here, so nobody comes in between, as a stealing writer may in Linux.
 *
 * What a pair takes when nobody else asks, spins or looks on (an explorer, the lock order) is tested first and ends at
 * once: a call that might follow makes V8 read all fields again, and a pair take half as long again.
 */
import { InvariantError } from '@mmkit/base';
import { LOCK_EXCLUSIVE, LOCK_SHARED, lockAcquired, lockRelease, noteWrite } from '@mmkit/task';
import type { Sched } from '@mmkit/task';
import { OWNER_READER, READ_FAILED_MASK, READER_BIAS, WAITERS, WRITER_LOCKED } from './count.ts';
import { markWake, wakeSpinner } from './queue.ts';
import { RwSem, setOwner } from './state.ts';

/**
 * Takes the semaphore for reading if no writer holds it and nobody waits; false otherwise (Linux: down_read_trylock).
 * Without `sched` neither the lock order nor an explorer hears of it.
 */
export function downReadTrylock(sem: RwSem, sched: Sched | null = null): boolean {
  if (sched !== null) noteWrite(sched, sem);
  if (!tryRead(sem)) return false;
  if (sched !== null && sched.lockdep !== null) lockAcquired(sched, sem, sem.cls, LOCK_SHARED);
  return true;
}

/** Takes the semaphore for writing if nobody holds it or waits; false otherwise (Linux: down_write_trylock). */
export function downWriteTrylock(sched: Sched, sem: RwSem): boolean {
  noteWrite(sched, sem);
  if (!tryWrite(sched, sem)) return false;
  if (sched.lockdep !== null) lockAcquired(sched, sem, sem.cls, LOCK_EXCLUSIVE);
  return true;
}

/** The fast path of a reader. */
export function tryRead(sem: RwSem): boolean {
  const { count } = sem;
  if ((count & READ_FAILED_MASK) !== 0) return false;
  sem.count = count + READER_BIAS;
  sem.ownerFlags |= OWNER_READER;
  return true;
}

/** The fast path of a writer. */
export function tryWrite(sched: Sched, sem: RwSem): boolean {
  if (sem.count !== 0) return false;
  sem.count = WRITER_LOCKED;
  setOwner(sem, sched.current);
  return true;
}

/**
 * Gives one read hold back; the last one wakes who waits (Linux: up_read). InvariantError 'LOCK_NOT_HELD' when no reader
 * holds it. Which task gives it back is not checked, as in Linux.
 */
export function upRead(sched: Sched, sem: RwSem): void {
  if (
    sem.count === READER_BIAS &&
    sem.trying === 0 &&
    !sem.spinOnOwner &&
    sched.footprint === null &&
    sched.lockdep === null
  ) {
    sem.count = 0;
  } else upReadSlow(sched, sem);
}

function upReadSlow(sched: Sched, sem: RwSem): void {
  const count = sem.count - READER_BIAS;
  if (count < sem.trying * READER_BIAS) throw notHeld(sched, sem, 'reading');
  noteRelease(sched, sem);
  sem.count = count;
  if ((count & WAITERS) !== 0 && count < READER_BIAS) markWake(sched, sem, true);
  if (sem.spinOnOwner) wakeSpinner(sem);
}

/** Gives the write hold back and wakes who waits (Linux: up_write). 'LOCK_NOT_HELD' when the current task has none. */
export function upWrite(sched: Sched, sem: RwSem): void {
  if (
    sem.count === WRITER_LOCKED &&
    sem.writer === sched.current &&
    !sem.spinOnOwner &&
    sched.footprint === null &&
    sched.lockdep === null
  ) {
    sem.count = 0;
  } else upWriteSlow(sched, sem);
}

function upWriteSlow(sched: Sched, sem: RwSem): void {
  checkOwner(sched, sem);
  noteRelease(sched, sem);
  const count = sem.count - WRITER_LOCKED;
  sem.count = count;
  if ((count & WAITERS) !== 0) markWake(sched, sem, true);
  if (sem.spinOnOwner) wakeSpinner(sem);
}

/**
 * Makes the write hold a read hold without letting a writer in between; readers at the head of the queue come in (Linux:
 * downgrade_write). 'LOCK_NOT_HELD' when the current task is not the writer.
 */
export function downgradeWrite(sched: Sched, sem: RwSem): void {
  checkOwner(sched, sem);
  noteRelease(sched, sem);
  if (sched.lockdep !== null) lockAcquired(sched, sem, sem.cls, LOCK_SHARED);
  sem.ownerFlags |= OWNER_READER;
  sem.count += READER_BIAS - WRITER_LOCKED;
  if ((sem.count & WAITERS) !== 0) markWake(sched, sem, false);
  if (sem.spinOnOwner) wakeSpinner(sem);
}

/** For an explorer and the lock order. */
function noteRelease(sched: Sched, sem: RwSem): void {
  noteWrite(sched, sem);
  if (sched.lockdep !== null) lockRelease(sched, sem);
}

function checkOwner(sched: Sched, sem: RwSem): void {
  if (sem.owner !== sched.current) throw notHeld(sched, sem, 'writing');
}

function notHeld(sched: Sched, sem: RwSem, how: string): InvariantError {
  return new InvariantError('LOCK_NOT_HELD', `${sched.current.name} releases ${sem.queue.name}, not held for ${how}`);
}
