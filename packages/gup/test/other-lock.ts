/** A lock that is not ours, for createMm: many readers or one writer, whoever comes first, and nothing else. */
import type { MmapLock } from '@mmkit/aspace';
import { EINTR, P_LOCK } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { Sched, waitOn, waitOnKillable, wakeAll, WaitQueue } from '@mmkit/task';
import { waitOn as sleepOn, waitOnKillable as sleepOnKillable } from '@mmkit/task/sched';

class OtherLock {
  readers: number;
  written: boolean;
  readonly waiting: WaitQueue;

  constructor() {
    this.readers = 0;
    this.written = false;
    this.waiting = new WaitQueue('the other lock');
  }

  readTrylock(_sched: Sched): boolean {
    if (this.written) return false;
    this.readers++;
    return true;
  }

  writeTrylock(_sched: Sched): boolean {
    if (this.isLocked()) return false;
    this.written = true;
    return true;
  }

  readUnlock(_sched: Sched): void {
    if (this.readers === 0) throw new Error('the other lock is not held for reading');
    this.readers--;
    wakeAll(this.waiting);
  }

  writeUnlock(_sched: Sched): void {
    if (!this.written) throw new Error('the other lock is not held for writing');
    this.written = false;
    wakeAll(this.waiting);
  }

  writeDowngrade(_sched: Sched): void {
    if (!this.written) throw new Error('the other lock is not held for writing');
    this.written = false;
    this.readers = 1;
    wakeAll(this.waiting);
  }

  isLocked(): boolean {
    return this.written || this.readers > 0;
  }
}

/** For the plain build. */
export class PlainOtherLock extends OtherLock implements MmapLock {
  readLock(sched: Sched): void {
    while (!this.readTrylock(sched)) waitOn(sched, this.waiting);
  }

  readLockKillable(sched: Sched): number {
    while (!this.readTrylock(sched)) if (waitOnKillable(sched, this.waiting) !== 0) return -EINTR;
    return 0;
  }

  writeLock(sched: Sched): void {
    while (!this.writeTrylock(sched)) waitOn(sched, this.waiting);
  }

  writeLockKillable(sched: Sched): number {
    while (!this.writeTrylock(sched)) if (waitOnKillable(sched, this.waiting) !== 0) return -EINTR;
    return 0;
  }
}

/** For the sched build. */
export class SchedOtherLock extends OtherLock implements MmapLock {
  *readLock(sched: Sched): Task<void> {
    yield P_LOCK;
    while (!this.readTrylock(sched)) yield* sleepOn(sched, this.waiting);
  }

  *readLockKillable(sched: Sched): Task<number> {
    yield P_LOCK;
    while (!this.readTrylock(sched)) if ((yield* sleepOnKillable(sched, this.waiting)) !== 0) return -EINTR;
    return 0;
  }

  *writeLock(sched: Sched): Task<void> {
    yield P_LOCK;
    while (!this.writeTrylock(sched)) yield* sleepOn(sched, this.waiting);
  }

  *writeLockKillable(sched: Sched): Task<number> {
    yield P_LOCK;
    while (!this.writeTrylock(sched)) if ((yield* sleepOnKillable(sched, this.waiting)) !== 0) return -EINTR;
    return 0;
  }
}
