/**
 * Taking mmap_lock (Linux: the mmap_lock wrappers, N.23): our reader-writer semaphore, or the lock that was given to the
 * address space in its place. Giving it back, and looking at it: mmap-unlock.ts.
 */
import type { Task } from '@mmkit/base';
import { RwSem } from '@mmkit/rwsem';
import { downRead, downReadKillable, downWrite, downWriteKillable } from '@mmkit/rwsem/sched';
import { traceMmapAcquired, traceMmapStart } from './mmap-unlock.ts';
import { Mm } from './mm.ts';
import { awaitPort } from './port.sched.ts';

/** Takes it for reading. Linux: mmap_read_lock. */
export function* mmapReadLock(mm: Mm): Task<void> {
  const { lock, memory } = mm;
  const { sched } = memory;
  if (sched.tracepoints !== null) traceMmapStart(mm, 0);
  if (lock instanceof RwSem) yield* downRead(sched, lock);
  else yield* awaitPort(lock.readLock(sched));
  if (sched.tracepoints !== null) traceMmapAcquired(mm, 0, true);
}

/** The same, 0, or -EINTR when a fatal signal ends the wait. Linux: mmap_read_lock_killable. */
export function* mmapReadLockKillable(mm: Mm): Task<number> {
  const { lock, memory } = mm;
  const { sched } = memory;
  if (sched.tracepoints !== null) traceMmapStart(mm, 0);
  const error =
    lock instanceof RwSem ? yield* downReadKillable(sched, lock) : yield* awaitPort(lock.readLockKillable(sched));
  if (sched.tracepoints !== null) traceMmapAcquired(mm, 0, error === 0);
  return error;
}

/** Takes it for writing. Linux: mmap_write_lock. */
export function* mmapWriteLock(mm: Mm): Task<void> {
  const { lock, memory } = mm;
  const { sched } = memory;
  if (sched.tracepoints !== null) traceMmapStart(mm, 1);
  if (lock instanceof RwSem) yield* downWrite(sched, lock);
  else yield* awaitPort(lock.writeLock(sched));
  if (sched.tracepoints !== null) traceMmapAcquired(mm, 1, true);
}

/** The same, 0, or -EINTR when a fatal signal ends the wait. Linux: mmap_write_lock_killable. */
export function* mmapWriteLockKillable(mm: Mm): Task<number> {
  const { lock, memory } = mm;
  const { sched } = memory;
  if (sched.tracepoints !== null) traceMmapStart(mm, 1);
  const error =
    lock instanceof RwSem ? yield* downWriteKillable(sched, lock) : yield* awaitPort(lock.writeLockKillable(sched));
  if (sched.tracepoints !== null) traceMmapAcquired(mm, 1, error === 0);
  return error;
}
