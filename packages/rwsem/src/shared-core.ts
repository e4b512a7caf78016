/**
 * The semaphore on shared memory, what is done under WAIT_LOCK or by one atomic change: who queues, who is let in, who
 * asks for a handoff (Linux: rwsem_add_waiter, rwsem_mark_wake, rwsem_try_write_lock, rwsem_del_waiter,
 * rwsem_optimistic_spin). Never waits: shared-wait.ts takes WAIT_LOCK, sleeps, and notifies those in `woken`.
 *
 * What differs from Linux: a spinning writer cannot see whether the owner runs, and counts its turns instead.
 */
import {
  HANDOFF,
  MAX_READERS_WAKEUP,
  NONSPINNABLE,
  OWNER_READER,
  READER_BIAS,
  readerStays,
  spinTakes,
  WAITERS,
  WAKE_HANDOFF,
  WAKE_READERS,
  WAKE_WRITER,
  wakeStep,
  WRITE_HANDOFF,
  WRITE_TAKE,
  WRITER_LOCKED,
  writeStep,
} from './count.ts';
import {
  COUNT,
  FIRST_SLOT,
  HANDOFF_SET,
  HOLDS,
  IS_LATE,
  LATE,
  NEXT_TICKET,
  OWNER,
  READ_FAIL,
  READER_MASK,
  SharedRwSem,
  SLOT_WORDS,
  SPINNER,
  TICKET,
  TRIES,
  WAIT,
  WAIT_GRANTED,
  WAIT_NONE,
  WAIT_READER,
  WAIT_WRITER,
  WAKE,
} from './shared-words.ts';

/** Turns that a writer spins at most. */
const SPIN_TURNS = 200;

/** How many biases are in `count`. */
export function sharedReaders(count: number): number {
  return (count & READER_MASK) / READER_BIAS;
}

/** The lock is the readers'. NONSPINNABLE stays until a writer has had it. */
export function setReaderOwned(words: Int32Array): void {
  if ((words[OWNER]! & OWNER_READER) === 0) words[OWNER] = OWNER_READER;
}

/** Makes the count `taken`, which has WRITER_LOCKED, if it is `free`; the lock is this thread's then. */
export function takeForWrite({ words, slot, mine }: SharedRwSem, free: number, taken: number): boolean {
  const holds = mine[HOLDS]!;
  mine[HOLDS] = holds + 1;
  const got = Atomics.compareExchange(words, COUNT, free, taken) === free;
  if (got) words[OWNER] = (slot + 1) << 2;
  else mine[HOLDS] = holds;
  return got;
}

/** The thread holds it for writing. */
export function isWriter({ mine }: SharedRwSem): boolean {
  return (mine[HOLDS]! & 1) !== 0;
}

/** A reader that has added its bias, and found `count`, steals the lock if it may. */
export function readSteals(words: Int32Array, count: number): boolean {
  return readerStays(count, sharedReaders(count), (Atomics.load(words, OWNER) & OWNER_READER) !== 0);
}

/** First word of the slot that is first in the queue, or -1. Under WAIT_LOCK. */
export function firstWaiter(words: Int32Array): number {
  let first = -1;
  for (let at = FIRST_SLOT; at < words.length; at += SLOT_WORDS) {
    if (!isQueued(words, at)) continue;
    if (first < 0 || ((words[at + TICKET]! - words[first + TICKET]!) | 0) < 0) first = at;
  }
  return first;
}

function isQueued(words: Int32Array, at: number): boolean {
  const wait = Atomics.load(words, at + WAIT);
  return wait === WAIT_READER || wait === WAIT_WRITER;
}

/**
 * Puts this thread at the end of the queue; a reader gives its bias back. Lets in or wakes whom the lock as it is then
 * does not keep out. Under WAIT_LOCK.
 */
export function addShared(sem: SharedRwSem, wait: number): void {
  const { words, at } = sem;
  const isFirst = firstWaiter(words) < 0;
  words[at + TICKET] = words[NEXT_TICKET]!;
  words[NEXT_TICKET] = words[NEXT_TICKET]! + 1;
  words[at + LATE] = 0;
  words[at + TRIES] = 0;
  Atomics.store(words, at + WAIT, wait);
  const change = (wait === WAIT_READER ? -READER_BIAS : 0) + (isFirst ? WAITERS : 0);
  const count = Atomics.add(words, COUNT, change) + change;
  if ((count & WRITER_LOCKED) !== 0 || (isFirst && wait === WAIT_WRITER)) return;
  markWake(sem, (count & READER_MASK) === 0);
}

/**
 * Lets in or wakes those at the head, as `wakeStep` says. Under WAIT_LOCK, the queue not empty.
 */
export function markWake(sem: SharedRwSem, any: boolean): void {
  const { words } = sem;
  const first = firstWaiter(words);
  const isWriter = Atomics.load(words, first + WAIT) === WAIT_WRITER;
  // A bias keeps writers out while it is decided.
  const added = any && !isWriter ? READER_BIAS : 0;
  const count = added === 0 ? 0 : Atomics.add(words, COUNT, added);
  switch (wakeStep(isWriter, any, count, (Atomics.load(words, first + LATE) & IS_LATE) !== 0)) {
    case WAKE_WRITER:
      wakeSlot(sem, first);
      break;
    case WAKE_READERS:
      setReaderOwned(words);
      grantReaders(sem, added);
      break;
    case WAKE_HANDOFF:
      askHandoff(words, first);
      Atomics.sub(words, COUNT, added);
      break;
    default:
      if (added !== 0) Atomics.sub(words, COUNT, added);
  }
}

/** Lets the readers in; `added` is in the count already. */
function grantReaders(sem: SharedRwSem, added: number): void {
  const { words } = sem;
  const readers: number[] = [];
  let left = 0;
  for (let at = FIRST_SLOT; at < words.length; at += SLOT_WORDS) {
    if (!isQueued(words, at)) continue;
    // There are fewer slots than MAX_READERS_WAKEUP.
    if (words[at + WAIT] === WAIT_READER && readers.length < MAX_READERS_WAKEUP) readers.push(at);
    else left++;
  }
  const flags = (Atomics.load(words, COUNT) & HANDOFF) + (left === 0 ? WAITERS : 0);
  Atomics.add(words, COUNT, readers.length * READER_BIAS - added - flags);
  for (const at of readers) {
    Atomics.store(words, at + WAIT, WAIT_GRANTED);
    wakeSlot(sem, at);
  }
}

/** The attempt of this thread, a queued writer; it leaves the queue when it succeeds. Under WAIT_LOCK. */
export function tryWriteShared(sem: SharedRwSem): boolean {
  const { words, at } = sem;
  const first = firstWaiter(words);
  const late = (Atomics.load(words, at + LATE) & IS_LATE) !== 0;
  for (;;) {
    const count = Atomics.load(words, COUNT);
    if (first === at && (count & HANDOFF) !== 0) Atomics.or(words, at + LATE, HANDOFF_SET);
    const step = writeStep(
      count,
      sharedReaders(count),
      first === at,
      (Atomics.load(words, first + LATE) & HANDOFF_SET) !== 0,
      late,
    );
    if (step === WRITE_HANDOFF) askHandoff(words, at);
    if (step !== WRITE_TAKE || (count & READ_FAIL) !== 0) return false;
    const flags = isAlone(words, at) ? HANDOFF | WAITERS : HANDOFF;
    if (!takeForWrite(sem, count, (count & ~flags) | WRITER_LOCKED)) continue;
    Atomics.store(words, at + WAIT, WAIT_NONE);
    return true;
  }
}

/** Takes the slot at `at` out of the queue; if it was the first, the next gets its chance. Under WAIT_LOCK. */
export function leaveShared(sem: SharedRwSem, at: number): void {
  const { words } = sem;
  const wasFirst = firstWaiter(words) === at;
  Atomics.store(words, at + WAIT, WAIT_NONE);
  if (firstWaiter(words) < 0) Atomics.and(words, COUNT, ~(HANDOFF | WAITERS));
  else if (wasFirst) markWake(sem, true);
}

/**
 * A writer that is not queued waits a little for the owner to leave, and takes the lock then (Linux:
 * rwsem_optimistic_spin). One spins at a time. Readers that stay make the lock NONSPINNABLE.
 */
export function spinForWrite(sem: SharedRwSem): boolean {
  const { words, slot } = sem;
  if (Atomics.compareExchange(words, SPINNER, 0, slot + 1) !== 0) return false;
  let got = false;
  for (let turn = 0; turn < SPIN_TURNS && !got; turn++) {
    const count = Atomics.load(words, COUNT);
    if ((count & (HANDOFF | READ_FAIL)) !== 0) break;
    if (spinTakes(count, sharedReaders(count))) {
      got = takeForWrite(sem, count, count | WRITER_LOCKED);
    } else if ((Atomics.load(words, OWNER) & NONSPINNABLE) !== 0) break;
  }
  if (!got) Atomics.compareExchange(words, OWNER, OWNER_READER, OWNER_READER | NONSPINNABLE);
  Atomics.store(words, SPINNER, 0);
  return got;
}

function isAlone(words: Int32Array, at: number): boolean {
  for (let other = FIRST_SLOT; other < words.length; other += SLOT_WORDS) {
    if (other !== at && isQueued(words, other)) return false;
  }
  return true;
}

function askHandoff(words: Int32Array, at: number): void {
  Atomics.or(words, at + LATE, HANDOFF_SET);
  Atomics.or(words, COUNT, HANDOFF);
}

function wakeSlot(sem: SharedRwSem, at: number): void {
  Atomics.add(sem.words, at + WAKE, 1);
  sem.woken.push(at);
}
