/**
 * A thread that died. JavaScript tells whoever started it (`exit` of a worker), and that one reports its slot. Linux has
 * nothing like it: a task cannot die inside the kernel; the nearest is a robust mutex (EOWNERDEAD).
 */
import { InvariantError } from '@mmkit/base';
import { leaveShared } from './shared-core.ts';
import { breakQueueLock, lockQueue, unlockQueue, wakeAllShared } from './shared-wait.ts';
import {
  checkSlot,
  COUNT,
  DEAD,
  FIRST_SLOT,
  HOLDS,
  READ_FAIL,
  SharedRwSem,
  SLOT_FREE,
  SLOT_STATE,
  SLOT_WORDS,
  SPINNER,
  WAIT,
  WAIT_GRANTED,
  WAIT_NONE,
} from './shared-words.ts';

/** Sleeps for WAIT_LOCK, of 10 ms each, after which its holder counts as dead too. */
const LOCK_TRIES = 500;

/** What a dead thread had of a semaphore. */
export interface DeadReport {
  readonly slot: number;
  /** Read holds; one too many when it died while it took or gave back one. */
  readonly readHolds: number;
  /** It held it for writing, or died while it took or gave back that hold. */
  readonly writeHold: boolean;
  /** It was in the queue, and is no more. */
  readonly waiting: boolean;
  /** It died while it changed the queue. */
  readonly torn: boolean;
}

/**
 * Tells what the thread of `slot`, which has ended, had. When that was nothing its slot is free again. When it held the
 * semaphore, or died changing the queue, what the semaphore protects may be half changed: from then on every thread that
 * waits for it or asks for it gets InvariantError 'OWNER_DIED'; the others may still give theirs back. Call it once the
 * thread has ended, from any other that has a view: 'SLOT_ALIVE' for the caller's own slot, RangeError when there is no
 * such slot.
 */
export function reportDead(sem: SharedRwSem, slot: number): DeadReport {
  const { words } = sem;
  checkSlot(words, slot);
  if (slot === sem.slot) throw new InvariantError('SLOT_ALIVE', `slot ${slot} is the caller's own`);
  const dead = FIRST_SLOT + slot * SLOT_WORDS;
  const torn = breakQueueLock(words, slot);
  Atomics.compareExchange(words, SPINNER, slot + 1, 0);
  const locked = lockQueue(sem, LOCK_TRIES);
  const wait = Atomics.load(words, dead + WAIT);
  const granted = wait === WAIT_GRANTED ? 1 : 0;
  const holds = Atomics.load(words, dead + HOLDS) + 2 * granted;
  const waiting = wait !== WAIT_NONE && granted === 0;
  const harmless = locked && !torn && holds === 0;
  if (harmless && waiting) leaveShared(sem, dead);
  if (locked) unlockQueue(sem);
  if (harmless) Atomics.store(words, dead + SLOT_STATE, SLOT_FREE);
  else {
    Atomics.compareExchange(words, DEAD, 0, slot + 1);
    Atomics.or(words, COUNT, READ_FAIL);
  }
  wakeAllShared(words);
  return { slot, readHolds: holds >> 1, writeHold: (holds & 1) !== 0, waiting, torn };
}
