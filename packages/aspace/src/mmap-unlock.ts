/** mmap_lock without waiting: trylocks, giving it back, looking at it. Both builds share it. Taking it: mmap-lock.co.ts. */
import { InvariantError } from '@mmkit/base';
import { downgradeWrite, downReadTrylock, downWriteTrylock, isLocked, RwSem, upRead, upWrite } from '@mmkit/rwsem';
import { TP_MMAP_LOCK_ACQUIRED, TP_MMAP_LOCK_RELEASED, TP_MMAP_LOCK_START, tracepoint } from '@mmkit/task';
import { Mm } from './mm.ts';

/** Takes it for reading if that needs no wait. Linux: mmap_read_trylock. */
export function mmapReadTrylock(mm: Mm): boolean {
  const { lock, memory } = mm;
  const got = lock instanceof RwSem ? downReadTrylock(lock, memory.sched) : lock.readTrylock(memory.sched);
  if (memory.sched.tracepoints !== null) traceMmapAcquired(mm, 0, got);
  return got;
}

/** Takes it for writing if that needs no wait. Linux: mmap_write_trylock. */
export function mmapWriteTrylock(mm: Mm): boolean {
  const { lock, memory } = mm;
  const got = lock instanceof RwSem ? downWriteTrylock(memory.sched, lock) : lock.writeTrylock(memory.sched);
  if (memory.sched.tracepoints !== null) traceMmapAcquired(mm, 1, got);
  return got;
}

/** Gives back a read hold. Linux: mmap_read_unlock. */
export function mmapReadUnlock(mm: Mm): void {
  const { lock, memory } = mm;
  if (lock instanceof RwSem) upRead(memory.sched, lock);
  else lock.readUnlock(memory.sched);
  if (memory.sched.tracepoints !== null) tracepoint(memory.sched, TP_MMAP_LOCK_RELEASED, mm.id, 0);
}

/** Gives back the write hold. Linux: mmap_write_unlock. */
export function mmapWriteUnlock(mm: Mm): void {
  const { lock, memory } = mm;
  if (lock instanceof RwSem) upWrite(memory.sched, lock);
  else lock.writeUnlock(memory.sched);
  if (memory.sched.tracepoints !== null) tracepoint(memory.sched, TP_MMAP_LOCK_RELEASED, mm.id, 1);
}

/** Makes the write hold a read hold, with no writer in between. Linux: mmap_write_downgrade. */
export function mmapWriteDowngrade(mm: Mm): void {
  const { lock, memory } = mm;
  if (lock instanceof RwSem) downgradeWrite(memory.sched, lock);
  else lock.writeDowngrade(memory.sched);
  if (memory.sched.tracepoints === null) return;
  tracepoint(memory.sched, TP_MMAP_LOCK_RELEASED, mm.id, 1);
  traceMmapAcquired(mm, 0, true);
}

/** mmap_lock is wanted; `write`: 1 or 0. */
export function traceMmapStart(mm: Mm, write: number): void {
  tracepoint(mm.memory.sched, TP_MMAP_LOCK_START, mm.id, write);
}

/** mmap_lock was got, or not. */
export function traceMmapAcquired(mm: Mm, write: number, success: boolean): void {
  tracepoint(mm.memory.sched, TP_MMAP_LOCK_ACQUIRED, mm.id, write, success ? 1 : 0);
}

/** True while somebody holds it, for reading or writing. */
export function mmapIsLocked(mm: Mm): boolean {
  const { lock } = mm;
  return lock instanceof RwSem ? isLocked(lock) : lock.isLocked();
}

/** InvariantError 'LOCK_NOT_HELD' unless somebody holds it. Linux: mmap_assert_locked. */
export function mmapAssertLocked(mm: Mm): void {
  if (!mmapIsLocked(mm)) throw new InvariantError('LOCK_NOT_HELD', 'mmap_lock is not held');
}
