/** mmap_lock, N.23: our semaphore, or a lock given in its place. */
import { describe, expect, it } from 'vitest';
import { Mm } from '@mmkit/aspace';
import type { MmapLock } from '@mmkit/aspace';
import { EINTR } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { allocRoot } from '@mmkit/pgtable';
import { isLocked, isWriteLocked, readerCount } from '@mmkit/rwsem';
import { createVmaTree } from '@mmkit/vma';
import { builds, codeOf, machine, space } from './builds.ts';

describe.each(builds)('%s: mmap_lock that is our semaphore', (_, api) => {
  it('read holds add up and are given back', () => {
    const mm = space(machine());
    // One caller is three readers here.
    mm.memory.sched.lockdep = null;
    api.mmapReadLock(mm);
    expect(api.mmapReadLockKillable(mm)).toBe(0);
    expect(api.mmapReadTrylock(mm)).toBe(true);
    expect([readerCount(mm.mmapLock), api.mmapIsLocked(mm), api.mmapWriteTrylock(mm)]).toEqual([3, true, false]);
    for (let i = 0; i < 3; i++) api.mmapReadUnlock(mm);
    expect([isLocked(mm.mmapLock), api.mmapIsLocked(mm)]).toEqual([false, false]);
  });

  it('by the trylock the write hold is alone', () => {
    const mm = space(machine());
    expect(api.mmapWriteTrylock(mm)).toBe(true);
    expect([isWriteLocked(mm.mmapLock), api.mmapIsLocked(mm), api.mmapReadTrylock(mm)]).toEqual([true, true, false]);
    api.mmapWriteUnlock(mm);
    expect(isLocked(mm.mmapLock)).toBe(false);
  });

  it('N.23: a write hold that is downgraded is a read hold', () => {
    const mm = space(machine());
    api.mmapWriteTrylock(mm);
    api.mmapWriteDowngrade(mm);
    expect([readerCount(mm.mmapLock), isWriteLocked(mm.mmapLock)]).toEqual([1, false]);
    api.mmapReadUnlock(mm);
    expect(codeOf(() => api.mmapWriteDowngrade(mm))).toBe('LOCK_NOT_HELD');
  });

  it('mmap_assert_locked: held for reading or writing, or LOCK_NOT_HELD', () => {
    const mm = space(machine());
    expect(codeOf(() => api.mmapAssertLocked(mm))).toBe('LOCK_NOT_HELD');
    api.mmapReadTrylock(mm);
    expect(codeOf(() => api.mmapAssertLocked(mm))).toBe(undefined);
  });
});

/** Says what was asked of it, and takes the sched's word for nothing. */
class Recorder implements MmapLock {
  readonly calls: string[] = [];
  readonly inTasks: boolean;
  held = false;

  constructor(inTasks: boolean) {
    this.inTasks = inTasks;
  }

  private answer<T>(call: string, result: T): T {
    this.calls.push(call);
    return result;
  }

  private later<T>(call: string, result: T): T | Task<T> {
    const answer = (): T => this.answer(call, result);
    return this.inTasks
      ? (function* () {
          yield 1;
          return answer();
        })()
      : answer();
  }

  readLock(): void | Task<void> {
    return this.later<void>('readLock', undefined);
  }
  readLockKillable(): number | Task<number> {
    return this.later('readLockKillable', -EINTR);
  }
  writeLock(): void | Task<void> {
    return this.later<void>('writeLock', undefined);
  }
  writeLockKillable(): number | Task<number> {
    return this.later('writeLockKillable', -EINTR);
  }
  readTrylock(): boolean {
    return this.answer('readTrylock', false);
  }
  writeTrylock(): boolean {
    return this.answer('writeTrylock', true);
  }
  readUnlock(): void {
    this.calls.push('readUnlock');
  }
  writeUnlock(): void {
    this.calls.push('writeUnlock');
  }
  writeDowngrade(): void {
    this.calls.push('writeDowngrade');
  }
  isLocked(): boolean {
    return this.held;
  }
}

describe.each(builds)('%s: a lock in its place', (name, api) => {
  function foreign(): { mm: Mm; lock: Recorder } {
    const memory = machine();
    const lock = new Recorder(name.startsWith('sched'));
    return { mm: new Mm(memory, allocRoot(memory.tables), lock, createVmaTree(), () => 0), lock };
  }

  it('is asked, and its answers are given', () => {
    const { mm, lock } = foreign();
    api.mmapReadLock(mm);
    api.mmapWriteLock(mm);
    expect([api.mmapReadLockKillable(mm), api.mmapWriteLockKillable(mm)]).toEqual([-EINTR, -EINTR]);
    expect([api.mmapReadTrylock(mm), api.mmapWriteTrylock(mm)]).toEqual([false, true]);
    api.mmapReadUnlock(mm);
    api.mmapWriteUnlock(mm);
    api.mmapWriteDowngrade(mm);
    expect(lock.calls).toEqual([
      'readLock',
      'writeLock',
      'readLockKillable',
      'writeLockKillable',
      'readTrylock',
      'writeTrylock',
      'readUnlock',
      'writeUnlock',
      'writeDowngrade',
    ]);
  });

  it('says itself whether it is held; it is no semaphore', () => {
    const { mm, lock } = foreign();
    expect([api.mmapIsLocked(mm), codeOf(() => api.mmapAssertLocked(mm))]).toEqual([false, 'LOCK_NOT_HELD']);
    lock.held = true;
    expect([api.mmapIsLocked(mm), codeOf(() => api.mmapAssertLocked(mm))]).toEqual([true, undefined]);
    expect(codeOf(() => mm.mmapLock)).toBe('FOREIGN_LOCK');
  });
});
