/**
 * The count word's bits and rules, one text for both forms of the semaphore: in one process (queue.ts, down.co.ts) and on
 * shared memory (shared-core.ts). They decide and change nothing. Reference N.18.
 *
 * `flags` is the count or its low bits; `readers` how many biases are in it, those who are just trying included.
 */
/** `count`: a writer holds the semaphore (Linux: RWSEM_WRITER_LOCKED). */
export const WRITER_LOCKED = 0x1;
/** `count`: somebody queues (Linux: RWSEM_FLAG_WAITERS). */
export const WAITERS = 0x2;
/** `count`: the first waiter has waited too long; it is next (Linux: RWSEM_FLAG_HANDOFF). */
export const HANDOFF = 0x4;
/** `count`: one reader (Linux: RWSEM_READER_BIAS). */
export const READER_BIAS = 0x100;
/** A reader may not come in by the fast path while one of these is set (Linux: RWSEM_READ_FAILED_MASK). */
export const READ_FAILED_MASK = 0x7;
/** The owner word: a reader was the last to get it, a hint that outlives the reader (Linux: RWSEM_READER_OWNED). */
export const OWNER_READER = 1;
/** The owner word: writers do not spin until one of them has had it (Linux: RWSEM_NONSPINNABLE). */
export const NONSPINNABLE = 2;
/** Readers let in at one wake-up, at most (Linux: MAX_READERS_WAKEUP). */
export const MAX_READERS_WAKEUP = 0x100;
/** `writeStep`: take it. */
export const WRITE_TAKE = 0;
/** `writeStep`: not now. */
export const WRITE_FAIL = 1;
/** `writeStep`: not now, and set HANDOFF: nobody else may have it next. */
export const WRITE_HANDOFF = 2;
/** `wakeStep`: nobody. */
export const WAKE_NOBODY = 0;
/** `wakeStep`: the first waiter, a writer, which then competes. */
export const WAKE_WRITER = 1;
/** `wakeStep`: every queued reader comes in, those behind writers too, up to MAX_READERS_WAKEUP. */
export const WAKE_READERS = 2;
/** `wakeStep`: nobody, and set HANDOFF. */
export const WAKE_HANDOFF = 3;

/**
 * May a reader in the slow path, its bias in the count, keep it? It steals the lock between two holders. Not when other
 * readers are inside: the writer that waits must get its turn (Linux: rwsem_down_read_slowpath).
 */
export function readerStays(flags: number, readers: number, readerOwned: boolean): boolean {
  return (flags & (WRITER_LOCKED | HANDOFF)) === 0 && (!readerOwned || readers < 2);
}

/**
 * What a queued writer does (Linux: rwsem_try_write_lock). `isFirst`: it is the first waiter; `firstHandoff`: the first
 * waiter has asked for a handoff or inherited one; `late`: this one has waited too long.
 */
export function writeStep(
  flags: number,
  readers: number,
  isFirst: boolean,
  firstHandoff: boolean,
  late: boolean,
): number {
  if (!isFirst && firstHandoff && (flags & HANDOFF) !== 0) return WRITE_FAIL;
  if ((flags & WRITER_LOCKED) === 0 && readers === 0) return WRITE_TAKE;
  return isFirst && late ? WRITE_HANDOFF : WRITE_FAIL;
}

/** May a writer that spins take the lock, before those who queue (Linux: rwsem_try_write_lock_unqueued)? */
export function spinTakes(flags: number, readers: number): boolean {
  return (flags & (WRITER_LOCKED | HANDOFF)) === 0 && readers === 0;
}

/**
 * Whom of the queue to wake (Linux: rwsem_mark_wake). `any`: nobody may hold the lock (RWSEM_WAKE_ANY); else readers do
 * (RWSEM_WAKE_READ_OWNED). `flags` need not be known unless `any` is set and the first waiter is a reader; `late`: that
 * one has waited too long.
 */
export function wakeStep(firstIsWriter: boolean, any: boolean, flags: number, late: boolean): number {
  if (firstIsWriter) return any ? WAKE_WRITER : WAKE_NOBODY;
  if (!any || (flags & WRITER_LOCKED) === 0) return WAKE_READERS;
  return late ? WAKE_HANDOFF : WAKE_NOBODY;
}
