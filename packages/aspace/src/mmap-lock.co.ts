/**
 * Taking mmap_lock (Linux: the mmap_lock wrappers, N.23): our reader-writer semaphore, or the lock that was given to the
 * address space in its place. Giving it back, and looking at it: mmap-unlock.ts.
 */
import type { Task } from '@mmkit/base';
import { RwSem } from '@mmkit/rwsem';
import { downRead, downReadKillable, downWrite, downWriteKillable } from '@mmkit/rwsem/sched';
import { Mm } from './mm.ts';
import { awaitPort } from './port.sched.ts';

/** Takes it for reading. Linux: mmap_read_lock. */
export function* mmapReadLock(mm: Mm): Task<void> {
  const { lock, memory } = mm;
  if (lock instanceof RwSem) yield* downRead(memory.sched, lock);
  else yield* awaitPort(lock.readLock(memory.sched));
}

/** The same, 0, or -EINTR when a fatal signal ends the wait. Linux: mmap_read_lock_killable. */
export function* mmapReadLockKillable(mm: Mm): Task<number> {
  const { lock, memory } = mm;
  if (lock instanceof RwSem) return yield* downReadKillable(memory.sched, lock);
  return yield* awaitPort(lock.readLockKillable(memory.sched));
}

/** Takes it for writing. Linux: mmap_write_lock. */
export function* mmapWriteLock(mm: Mm): Task<void> {
  const { lock, memory } = mm;
  if (lock instanceof RwSem) yield* downWrite(memory.sched, lock);
  else yield* awaitPort(lock.writeLock(memory.sched));
}

/** The same, 0, or -EINTR when a fatal signal ends the wait. Linux: mmap_write_lock_killable. */
export function* mmapWriteLockKillable(mm: Mm): Task<number> {
  const { lock, memory } = mm;
  if (lock instanceof RwSem) return yield* downWriteKillable(memory.sched, lock);
  return yield* awaitPort(lock.writeLockKillable(memory.sched));
}
