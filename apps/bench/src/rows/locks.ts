/**
 * The reader-writer semaphore beside npm's locks: taken and given back with nobody else there. Theirs answer through
 * promises or callbacks, which is part of what a pair costs.
 */
import { Lock, RWLock as RocicorpLock } from '@rocicorp/lock';
import { createRwsem, downRead, downWrite, upRead, upWrite } from '@mmkit/rwsem';
import { createSched } from '@mmkit/task';
import { Mutex } from 'async-mutex';
import { RWLock as AsyncRwLock } from 'async-rwlock';
import ReadWriteLock from 'rwlock';
import { type Row, time, timeAsync } from '../row.ts';

const CALLS = 1000;

function ours(write: boolean): () => () => number {
  return () => {
    const sched = createSched();
    const sem = createRwsem();
    return () =>
      time(CALLS, () => {
        for (let i = 0; i < CALLS; i++) {
          if (write) {
            downWrite(sched, sem);
            upWrite(sched, sem);
          } else {
            downRead(sched, sem);
            upRead(sched, sem);
          }
        }
      });
  };
}

/** Samples of pairs, one after the other; `make` gives a pair of its own. */
function pairs(make: () => () => Promise<void> | void): () => () => Promise<number> {
  return () => {
    const pair = make();
    return () =>
      timeAsync(CALLS, async () => {
        for (let i = 0; i < CALLS; i++) await pair();
      });
  };
}

function rwlock(write: boolean): () => Promise<void> {
  const lock = new ReadWriteLock();
  const take = write ? lock.writeLock.bind(lock) : lock.readLock.bind(lock);
  return () =>
    new Promise((resolve) =>
      take((release) => {
        release();
        resolve();
      }),
    );
}

function asyncMutex(): () => Promise<void> {
  const mutex = new Mutex();
  return async () => (await mutex.acquire())();
}

function asyncRwlock(write: boolean): () => Promise<void> {
  const lock = new AsyncRwLock();
  return async () => {
    await (write ? lock.writeLock() : lock.readLock());
    lock.unlock();
  };
}

function rocicorp(write: boolean): () => Promise<void> {
  const lock = new RocicorpLock();
  return async () => (await (write ? lock.write() : lock.read()))();
}

function rocicorpMutex(): () => Promise<void> {
  const lock = new Lock();
  return async () => (await lock.lock())();
}

function lockRow(write: boolean): Row {
  return {
    name: `rwsem: ${write ? 'write' : 'read'} pair`,
    unit: 'ns',
    goal: 4,
    ratioGoal: 0.05,
    native: null,
    make: ours(write),
    beside: {
      rwlock: pairs(() => rwlock(write)),
      'async-rwlock': pairs(() => asyncRwlock(write)),
      '@rocicorp/lock': pairs(() => rocicorp(write)),
      ...(write ? { 'async-mutex': pairs(asyncMutex), '@rocicorp/lock, Lock': pairs(rocicorpMutex) } : {}),
    },
  };
}

export const lockRows: readonly Row[] = [lockRow(false), lockRow(true)];
