/**
 * The reader-writer semaphore beside npm's locks: taken and given back with nobody else there. Theirs answer through
 * promises or callbacks, which is part of what a pair costs.
 */
import { Lock, RWLock as RocicorpLock } from '@rocicorp/lock';
import { createRwsem, downRead, downWrite, upRead, upWrite } from '@mmkit/rwsem';
import {
  attachRwsem,
  createSharedRwsem,
  downRead as downReadShared,
  downWrite as downWriteShared,
  upRead as upReadShared,
  upWrite as upWriteShared,
} from '@mmkit/rwsem/shared';
import { createSched } from '@mmkit/task';
import { Mutex } from 'async-mutex';
import { RWLock as AsyncRwLock } from 'async-rwlock';
import ReadWriteLock from 'rwlock';
import { type Row, timeAsync } from '../row.ts';

const CALLS = 1000;

/** As CALLS, of ours. */
const OUR_CALLS = 10_000;
/** Ours run by themselves for this time first, ns: beside peers they get a fiftieth of the time all have to warm up. */
const WARM_UP = 300_000_000n;

function warm(sample: () => number): () => number {
  const start = process.hrtime.bigint();
  while (process.hrtime.bigint() - start < WARM_UP) sample();
  return sample;
}

// Each kind of pair has a loop of its own, because V8 puts into one loop no more than the text of three pairs. It has two
// pairs, because a shorter function is put into its caller before it is compiled for good, and then never is. What it calls
// is in constants, because an imported name is read through four objects at each use, and so is what it is called with,
// because a variable of an outer function is read and tested at each use.

const oursRead = (): (() => number) => {
  const made = { sched: createSched(), sem: createRwsem() };
  return warm(() => {
    const { sched, sem } = made;
    const down = downRead;
    const up = upRead;
    const start = process.hrtime.bigint();
    for (let i = 0; i < OUR_CALLS; i += 2) {
      down(sched, sem);
      up(sched, sem);
      down(sched, sem);
      up(sched, sem);
    }
    return Number(process.hrtime.bigint() - start) / OUR_CALLS;
  });
};

const oursWrite = (): (() => number) => {
  const made = { sched: createSched(), sem: createRwsem() };
  return warm(() => {
    const { sched, sem } = made;
    const down = downWrite;
    const up = upWrite;
    const start = process.hrtime.bigint();
    for (let i = 0; i < OUR_CALLS; i += 2) {
      down(sched, sem);
      up(sched, sem);
      down(sched, sem);
      up(sched, sem);
    }
    return Number(process.hrtime.bigint() - start) / OUR_CALLS;
  });
};

/** The same on shared memory, which no other thread asks for meanwhile. */
const sharedRead = (): (() => number) => {
  const made = attachRwsem(createSharedRwsem(), 0);
  return warm(() => {
    const sem = made;
    const down = downReadShared;
    const up = upReadShared;
    const start = process.hrtime.bigint();
    for (let i = 0; i < OUR_CALLS; i += 2) {
      down(sem);
      up(sem);
      down(sem);
      up(sem);
    }
    return Number(process.hrtime.bigint() - start) / OUR_CALLS;
  });
};

const sharedWrite = (): (() => number) => {
  const made = attachRwsem(createSharedRwsem(), 0);
  return warm(() => {
    const sem = made;
    const down = downWriteShared;
    const up = upWriteShared;
    const start = process.hrtime.bigint();
    for (let i = 0; i < OUR_CALLS; i += 2) {
      down(sem);
      up(sem);
      down(sem);
      up(sem);
    }
    return Number(process.hrtime.bigint() - start) / OUR_CALLS;
  });
};

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

function lockRow(write: boolean, shared: boolean, make: () => () => number): Row {
  return {
    name: `rwsem: ${write ? 'write' : 'read'} pair${shared ? ' on shared memory' : ''}`,
    unit: 'ns',
    goal: shared ? 28 : 4,
    ratioGoal: shared ? 0.3 : 0.05,
    native: null,
    make,
    beside: {
      rwlock: pairs(() => rwlock(write)),
      'async-rwlock': pairs(() => asyncRwlock(write)),
      '@rocicorp/lock': pairs(() => rocicorp(write)),
      ...(write ? { 'async-mutex': pairs(asyncMutex), '@rocicorp/lock, Lock': pairs(rocicorpMutex) } : {}),
    },
  };
}

export const lockRows: readonly Row[] = [
  lockRow(false, false, oursRead),
  lockRow(true, false, oursWrite),
  lockRow(false, true, sharedRead),
  lockRow(true, true, sharedWrite),
];
