/** mmap_lock without waiting: trylocks, giving it back, looking at it. Both builds share it. Taking it: mmap-lock.co.ts. */
import { InvariantError } from '@mmkit/base';
import { downgradeWrite, downReadTrylock, downWriteTrylock, isLocked, RwSem, upRead, upWrite } from '@mmkit/rwsem';
import { Mm } from './mm.ts';

/** Takes it for reading if that needs no wait. Linux: mmap_read_trylock. */
export function mmapReadTrylock(mm: Mm): boolean {
  const { lock, memory } = mm;
  return lock instanceof RwSem ? downReadTrylock(lock, memory.sched) : lock.readTrylock(memory.sched);
}

/** Takes it for writing if that needs no wait. Linux: mmap_write_trylock. */
export function mmapWriteTrylock(mm: Mm): boolean {
  const { lock, memory } = mm;
  return lock instanceof RwSem ? downWriteTrylock(memory.sched, lock) : lock.writeTrylock(memory.sched);
}

/** Gives back a read hold. Linux: mmap_read_unlock. */
export function mmapReadUnlock(mm: Mm): void {
  const { lock, memory } = mm;
  if (lock instanceof RwSem) upRead(memory.sched, lock);
  else lock.readUnlock(memory.sched);
}

/** Gives back the write hold. Linux: mmap_write_unlock. */
export function mmapWriteUnlock(mm: Mm): void {
  const { lock, memory } = mm;
  if (lock instanceof RwSem) upWrite(memory.sched, lock);
  else lock.writeUnlock(memory.sched);
}

/** Makes the write hold a read hold, with no writer in between. Linux: mmap_write_downgrade. */
export function mmapWriteDowngrade(mm: Mm): void {
  const { lock, memory } = mm;
  if (lock instanceof RwSem) downgradeWrite(memory.sched, lock);
  else lock.writeDowngrade(memory.sched);
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
