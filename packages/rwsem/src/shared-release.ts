/** The semaphore on shared memory, what never sleeps for it: trying, giving back, downgrading, and who holds it. */
import { InvariantError } from '@mmkit/base';
import { OWNER_READER, READ_FAILED_MASK, READER_BIAS, WAITERS, WRITER_LOCKED } from './count.ts';
import { isWriter, setReaderOwned, takeForWrite } from './shared-core.ts';
import { checkDead, wakeQueue } from './shared-wait.ts';
import { COUNT, HOLDS, OWNER, READ_FAIL, READER_MASK, SharedRwSem } from './shared-words.ts';

/**
 * Takes the semaphore for reading if no writer holds it and nobody waits; false otherwise (Linux: down_read_trylock).
 * InvariantError 'OWNER_DIED' when a thread has died with it.
 */
export function downReadTrylock({ words, mine }: SharedRwSem): boolean {
  mine[HOLDS] = mine[HOLDS]! + 2;
  for (let count = Atomics.load(words, COUNT); (count & (READ_FAILED_MASK | READ_FAIL)) === 0; ) {
    const seen = Atomics.compareExchange(words, COUNT, count, count + READER_BIAS);
    if (seen === count) {
      setReaderOwned(words);
      return true;
    }
    count = seen;
  }
  mine[HOLDS] = mine[HOLDS]! - 2;
  checkDead(words);
  return false;
}

/** Takes the semaphore for writing if nobody holds it or waits; false otherwise. Throws as downReadTrylock. */
export function downWriteTrylock(sem: SharedRwSem): boolean {
  if (isWriter(sem)) return false;
  if (takeForWrite(sem, 0, WRITER_LOCKED)) return true;
  checkDead(sem.words);
  return false;
}

/** Gives one read hold of this thread back (Linux: up_read). InvariantError 'LOCK_NOT_HELD' when it has none. */
export function upRead(sem: SharedRwSem): void {
  const { words, mine } = sem;
  const holds = mine[HOLDS]! - 2;
  if (holds < 0) throw notHeld(sem, 'reading');
  const count = Atomics.sub(words, COUNT, READER_BIAS) - READER_BIAS;
  if ((count & (READER_MASK | WRITER_LOCKED | WAITERS)) === WAITERS) wakeQueue(sem, true);
  mine[HOLDS] = holds;
}

/** Gives the write hold back (Linux: up_write). InvariantError 'LOCK_NOT_HELD' when this thread is not the writer. */
export function upWrite(sem: SharedRwSem): void {
  const { words, mine } = sem;
  if (!isWriter(sem)) throw notHeld(sem, 'writing');
  words[OWNER] = 0;
  if ((Atomics.sub(words, COUNT, WRITER_LOCKED) & WAITERS) !== 0) wakeQueue(sem, true);
  mine[HOLDS] = mine[HOLDS]! - 1;
}

/** Makes the write hold a read hold, no writer in between (Linux: downgrade_write). Throws as upWrite. */
export function downgradeWrite(sem: SharedRwSem): void {
  const { words, mine } = sem;
  if (!isWriter(sem)) throw notHeld(sem, 'writing');
  mine[HOLDS] = mine[HOLDS]! + 2;
  words[OWNER] = OWNER_READER;
  if ((Atomics.add(words, COUNT, READER_BIAS - WRITER_LOCKED) & WAITERS) !== 0) wakeQueue(sem, false);
  mine[HOLDS] = mine[HOLDS]! - 1;
}

/** InvariantError 'LOCK_NOT_HELD' unless this thread holds it, for reading or writing. */
export function assertHeld(sem: SharedRwSem): void {
  if (sem.mine[HOLDS] === 0) throw notHeld(sem, 'reading or writing');
}

/** InvariantError 'LOCK_NOT_HELD' unless this thread holds it for writing. */
export function assertHeldWrite(sem: SharedRwSem): void {
  if (!isWriter(sem)) throw notHeld(sem, 'writing');
}

function notHeld({ slot }: SharedRwSem, how: string): InvariantError {
  return new InvariantError('LOCK_NOT_HELD', `slot ${slot} does not hold the semaphore for ${how}`);
}
