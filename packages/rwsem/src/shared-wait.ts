/**
 * The semaphore on shared memory, what waits: WAIT_LOCK, and the two ways to sleep in the queue: `Atomics.wait`, and
 * `Atomics.waitAsync` with a promise where the thread may not block. The one file of the package with promises.
 *
 * What differs from Linux: there is no clock. Time is what was slept through, and a wake-up that came too late to get the
 * lock counts as 1 ms; so 4 ms asleep, or four lost races, make a waiter late, and a time limit may end that much early.
 * A late waiter asks for the handoff at once, not when it is next woken.
 */
import { ETIME, InvariantError } from '@mmkit/base';
import { READ_FAILED_MASK, READER_BIAS, WAITERS, WRITER_LOCKED } from './count.ts';
import {
  addShared,
  firstWaiter,
  isWriter,
  leaveShared,
  markWake,
  readSteals,
  setReaderOwned,
  sharedReaders,
  spinForWrite,
  takeForWrite,
  tryWriteShared,
} from './shared-core.ts';
import {
  checkSlot,
  CONTENDED,
  COUNT,
  DEAD,
  FIRST_SLOT,
  HOLDS,
  IS_LATE,
  LATE,
  READ_FAIL,
  SharedRwSem,
  SLOT_FREE,
  SLOT_USED,
  SLOT_WORDS,
  TRIES,
  WAIT,
  WAIT_GRANTED,
  WAIT_LOCK,
  WAIT_NONE,
  WAIT_READER,
  WAIT_WRITER,
  WAKE,
} from './shared-words.ts';

/** ms after which a waiter is late (Linux: RWSEM_WAIT_TIMEOUT). */
const LATE_MS = 4;
/** Looks at WAIT_LOCK before the thread sleeps for it. */
const LOCK_SPINS = 100;
/** Looks at it, some ms long, in place of such a sleep where the thread may not block. */
const LOOKS = 1_000_000;

/** What `Atomics.waitAsync` returns; the library's types come with ES2024. */
type Waited =
  | { readonly async: false; readonly value: 'not-equal' | 'timed-out' }
  | { readonly async: true; readonly value: Promise<'ok' | 'timed-out'> };
interface AsyncAtomics {
  waitAsync(words: Int32Array, index: number, value: number, ms: number): Waited;
}

/**
 * A view for the calling thread, in a slot of its own, from 0: whoever starts the threads gives out the numbers, so that
 * it knows whose slot to report when one dies. RangeError when `words` are not shared or there is no such slot;
 * InvariantError 'SLOT_TAKEN' when the slot is another's.
 */
export function attachRwsem(words: Int32Array, slot: number): SharedRwSem {
  if (!(words.buffer instanceof SharedArrayBuffer)) throw new RangeError('words: expected shared memory');
  checkSlot(words, slot);
  if (Atomics.compareExchange(words, FIRST_SLOT + slot * SLOT_WORDS, SLOT_FREE, SLOT_USED) !== SLOT_FREE) {
    throw new InvariantError('SLOT_TAKEN', `slot ${slot} has a thread`);
  }
  return new SharedRwSem(words, slot, mayBlock(words));
}

/** A thread that may not block is told so before the value is looked at. */
function mayBlock(words: Int32Array): boolean {
  try {
    Atomics.wait(words, COUNT, ~Atomics.load(words, COUNT), 0);
    return true;
  } catch {
    return false;
  }
}

/** Takes WAIT_LOCK; false when `tries` sleeps of 10 ms were not enough. */
export function lockQueue({ words, slot, canBlock }: SharedRwSem, tries: number = Infinity): boolean {
  for (let i = 0; i < LOCK_SPINS; i++) if (Atomics.compareExchange(words, WAIT_LOCK, 0, slot + 1) === 0) return true;
  for (let i = 0; i < tries; i++) {
    const seen = Atomics.load(words, WAIT_LOCK);
    if (seen === 0) {
      if (Atomics.compareExchange(words, WAIT_LOCK, 0, (slot + 1) | CONTENDED) === 0) return true;
      continue;
    }
    const wanted = seen | CONTENDED;
    if (Atomics.compareExchange(words, WAIT_LOCK, seen, wanted) !== seen) continue;
    if (canBlock) Atomics.wait(words, WAIT_LOCK, wanted, 10);
    else for (let look = 0; look < LOOKS && Atomics.load(words, WAIT_LOCK) === wanted; look++);
  }
  return false;
}

/** Gives WAIT_LOCK back, and notifies those that were let in or woken under it. */
export function unlockQueue(sem: SharedRwSem): void {
  const { words, woken } = sem;
  if ((Atomics.exchange(words, WAIT_LOCK, 0) & CONTENDED) !== 0) Atomics.notify(words, WAIT_LOCK, 1);
  for (const at of woken) Atomics.notify(words, at + WAKE);
  woken.length = 0;
}

/** Gives WAIT_LOCK back for the thread of `slot`, which has died; false when it did not have it. */
export function breakQueueLock(words: Int32Array, slot: number): boolean {
  // Who comes to wait meanwhile adds CONTENDED.
  let broken = false;
  for (const held of [slot + 1, (slot + 1) | CONTENDED]) {
    if (Atomics.compareExchange(words, WAIT_LOCK, held, 0) === held) broken = true;
  }
  Atomics.notify(words, WAIT_LOCK);
  return broken;
}

/** Wakes every thread, to look again: at a semaphore that is dead, or for a wake-up that the dead did not pass on. */
export function wakeAllShared(words: Int32Array): void {
  for (let at = FIRST_SLOT; at < words.length; at += SLOT_WORDS) {
    Atomics.add(words, at + WAKE, 1);
    Atomics.notify(words, at + WAKE);
  }
}

/** After a release: wakes who waits; `any` as in markWake. The caller's HOLDS still count what it gave back. */
export function wakeQueue(sem: SharedRwSem, any: boolean): void {
  lockQueue(sem);
  if (firstWaiter(sem.words) >= 0) markWake(sem, any);
  unlockQueue(sem);
}

/** InvariantError 'OWNER_DIED' when a worker has died with the semaphore. */
export function checkDead(words: Int32Array): void {
  const dead = Atomics.load(words, DEAD);
  if (dead !== 0) throw new InvariantError('OWNER_DIED', `the thread of slot ${dead - 1} died with the semaphore`);
}

/**
 * Takes the semaphore for reading, waiting as long as it takes (Linux: down_read). InvariantError 'LOCK_RECURSION' when
 * the thread holds it for writing; 'OWNER_DIED' when a thread has died with it; 'MAY_NOT_BLOCK' where the wait would
 * need that: use downReadAsync there.
 */
export function downRead(sem: SharedRwSem): void {
  if (!startRead(sem)) waitBlocking(sem, Infinity);
}

/** As downRead, for about `ms` milliseconds at most: -ETIME then, nothing taken; else 0. */
export function downReadTimeout(sem: SharedRwSem, ms: number): number {
  checkMs(ms);
  return startRead(sem) ? 0 : waitBlocking(sem, ms);
}

/** As downReadTimeout (default: no limit), without blocking the thread. */
export async function downReadAsync(sem: SharedRwSem, ms: number = Infinity): Promise<number> {
  checkMs(ms);
  return startRead(sem) ? 0 : await waitAsync(sem, ms);
}

/** Takes the semaphore for writing, waiting as long as it takes (Linux: down_write). Throws as downRead. */
export function downWrite(sem: SharedRwSem): void {
  if (!startWrite(sem)) waitBlocking(sem, Infinity);
}

/** As downWrite, for about `ms` milliseconds at most: -ETIME then, nothing taken; else 0. */
export function downWriteTimeout(sem: SharedRwSem, ms: number): number {
  checkMs(ms);
  return startWrite(sem) ? 0 : waitBlocking(sem, ms);
}

/** As downWriteTimeout (default: no limit), without blocking the thread. */
export async function downWriteAsync(sem: SharedRwSem, ms: number = Infinity): Promise<number> {
  checkMs(ms);
  return startWrite(sem) ? 0 : await waitAsync(sem, ms);
}

function checkMs(ms: number): void {
  if (!(ms >= 0)) throw new RangeError(`ms: expected 0 or more, got ${String(ms)}`);
}

/** The fast path, and what of the slow one never sleeps. False: the thread is in the queue. */
function startRead(sem: SharedRwSem): boolean {
  const { words, mine } = sem;
  mine[HOLDS] = mine[HOLDS]! + 2;
  const count = Atomics.add(words, COUNT, READER_BIAS) + READER_BIAS;
  if ((count & (READ_FAILED_MASK | READ_FAIL)) !== 0) return readSlow(sem, count);
  setReaderOwned(words);
  return true;
}

function readSlow(sem: SharedRwSem, count: number): boolean {
  const { words, at, mine } = sem;
  const dead = (count & READ_FAIL) !== 0;
  if (dead || isWriter(sem) || words[at + WAIT] !== WAIT_NONE) {
    const left = Atomics.sub(words, COUNT, READER_BIAS) - READER_BIAS;
    if ((left & WRITER_LOCKED) === 0) wakeQueue(sem, sharedReaders(left) === 0);
    mine[HOLDS] = mine[HOLDS]! - 2;
    refuse(sem, dead);
  }
  if (readSteals(words, count)) {
    setReaderOwned(words);
    if (sharedReaders(count) === 1 && (count & WAITERS) !== 0) wakeQueue(sem, false);
    return true;
  }
  lockQueue(sem);
  const stays = firstWaiter(words) < 0 && (Atomics.load(words, COUNT) & WRITER_LOCKED) === 0;
  if (stays) setReaderOwned(words);
  else addShared(sem, WAIT_READER);
  unlockQueue(sem);
  if (!stays) mine[HOLDS] = mine[HOLDS]! - 2;
  return stays;
}

function startWrite(sem: SharedRwSem): boolean {
  return takeForWrite(sem, 0, WRITER_LOCKED) || writeSlow(sem);
}

function writeSlow(sem: SharedRwSem): boolean {
  const { words, at, canBlock } = sem;
  if (isWriter(sem) || words[at + WAIT] !== WAIT_NONE || Atomics.load(words, DEAD) !== 0) refuse(sem, false);
  if (canBlock && spinForWrite(sem)) return true;
  lockQueue(sem);
  addShared(sem, WAIT_WRITER);
  unlockQueue(sem);
  return false;
}

function refuse(sem: SharedRwSem, full: boolean): void {
  checkDead(sem.words);
  if (full) throw new InvariantError('TOO_MANY_READERS', 'no more than 2^23 − 1 read holds');
  const { slot } = sem;
  if (isWriter(sem)) throw new InvariantError('LOCK_RECURSION', `slot ${slot} holds the semaphore for writing already`);
  throw new InvariantError('SLOT_WAITS', `slot ${slot} waits already: each wait needs a slot of its own`);
}

/** One attempt of this thread, which is in the queue, or was let in. */
function attempt(sem: SharedRwSem): boolean {
  const wait = Atomics.load(sem.words, sem.at + WAIT);
  if (wait === WAIT_READER) return false;
  if (wait === WAIT_GRANTED) {
    comeIn(sem);
    return true;
  }
  lockQueue(sem);
  const got = tryWriteShared(sem);
  unlockQueue(sem);
  return got;
}

/** A reader that was let in takes note of it. */
function comeIn({ words, at, mine }: SharedRwSem): void {
  mine[HOLDS] = mine[HOLDS]! + 2;
  Atomics.store(words, at + WAIT, WAIT_NONE);
}

/** Leaves the queue; true when the thread was let in before it could. */
function giveUp(sem: SharedRwSem): boolean {
  const { words, at } = sem;
  lockQueue(sem);
  const granted = Atomics.load(words, at + WAIT) === WAIT_GRANTED;
  if (granted) comeIn(sem);
  else leaveShared(sem, at);
  unlockQueue(sem);
  return granted;
}

/** One attempt, `left` ms before the end: 0 when it has the lock, -ETIME when time is over, 1: sleep. */
function turn(sem: SharedRwSem, left: number): number {
  const { words } = sem;
  if (attempt(sem)) return 0;
  if (left > 0 && Atomics.load(words, DEAD) === 0) return 1;
  if (giveUp(sem)) return 0;
  checkDead(words);
  return -ETIME;
}

/** How long to sleep at most, ms. */
function sleepMs({ words, at }: SharedRwSem, left: number): number {
  return Math.min(left, (Atomics.load(words, at + LATE) & IS_LATE) !== 0 ? Infinity : LATE_MS);
}

/** What of `left` remains after a sleep of at most `ms`. */
function afterSleep({ words, at }: SharedRwSem, left: number, ms: number, how: string): number {
  const slept = how === 'timed-out' ? ms : 1;
  words[at + TRIES] = words[at + TRIES]! + slept;
  if (words[at + TRIES]! >= LATE_MS) Atomics.or(words, at + LATE, IS_LATE);
  return left - slept;
}

function waitBlocking(sem: SharedRwSem, ms: number): number {
  const { words, at } = sem;
  for (let left = ms; ; ) {
    const seen = Atomics.load(words, at + WAKE);
    const result = turn(sem, sem.canBlock ? left : 0);
    if (result === -ETIME && !sem.canBlock) throw new InvariantError('MAY_NOT_BLOCK', 'this thread may not block');
    if (result <= 0) return result;
    const most = sleepMs(sem, left);
    left = afterSleep(sem, left, most, Atomics.wait(words, at + WAKE, seen, most));
  }
}

async function waitAsync(sem: SharedRwSem, ms: number): Promise<number> {
  const { words, at } = sem;
  for (let left = ms; ; ) {
    const seen = Atomics.load(words, at + WAKE);
    const result = turn(sem, left);
    if (result <= 0) return result;
    const most = sleepMs(sem, left);
    const waited = (Atomics as typeof Atomics & AsyncAtomics).waitAsync(words, at + WAKE, seen, most);
    left = afterSleep(sem, left, most, waited.async ? await waited.value : waited.value);
  }
}
