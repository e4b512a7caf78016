/** Mutex and bit locks. */
import { describe, expect, it } from 'vitest';
import { EINTR } from '@mmkit/base';
import {
  addEvent,
  createSched,
  isRunnable,
  killTask,
  Mutex,
  mutexTrylock,
  mutexUnlock,
  runAll,
  spawn,
  stepTask,
  TASK_WAITING,
  tryLockBit,
  unlockBit,
} from '@mmkit/task';
import type { Sched, SimTask, Task } from '@mmkit/task';
import * as coloured from '@mmkit/task/sched';
import { builds, thrown } from './builds.ts';

/** The point at which a task holds its lock. */
const HELD = 100;

function go(sched: Sched, ...tasks: SimTask[]): void {
  for (const task of tasks) {
    do stepTask(sched, task);
    while (isRunnable(task) && task.point !== HELD);
  }
}

describe.each(builds)('%s: mutex', (_build, task) => {
  it('is taken, and given back by its owner', () => {
    const sched = createSched();
    const mutex = new Mutex('m');
    expect(task.mutexTrylock(sched, mutex)).toBe(true);
    expect([mutex.owner, task.mutexTrylock(sched, mutex)]).toEqual([sched.current, false]);
    task.mutexUnlock(sched, mutex);
    expect(mutex.owner).toBe(null);
    task.mutexLock(sched, mutex);
    expect(mutex.owner).not.toBe(null);
  });

  it('mutexLockKillable gives 0 when it takes it, even to a killed task', () => {
    const sched = createSched();
    killTask(sched.current);
    const mutex = new Mutex('m');
    expect([task.mutexLockKillable(sched, mutex), mutex.owner === null]).toEqual([0, false]);
  });

  it('not held by the current task: LOCK_NOT_HELD, nothing changes', () => {
    const sched = createSched();
    const mutex = new Mutex('m');
    expect(thrown(() => task.mutexUnlock(sched, mutex))).toBe('LOCK_NOT_HELD');
    const other = spawn(sched, 'other', coloured.mutexLock(sched, mutex));
    go(sched, other);
    expect(thrown(() => task.mutexUnlock(sched, mutex))).toBe('LOCK_NOT_HELD');
    expect(mutex.owner).toBe(other);
  });

  it('held by somebody who will never give it back: DEADLOCK', () => {
    const sched = createSched();
    const mutex = new Mutex('the mutex');
    go(sched, spawn(sched, 'other', coloured.mutexLock(sched, mutex)));
    expect(() => task.mutexLock(sched, mutex)).toThrow('the mutex');
    expect(thrown(() => task.mutexLockKillable(sched, mutex))).toBe('DEADLOCK');
  });
});

describe('plain: mutex', () => {
  const [, task] = builds[0]!;

  it.each(['mutexLock', 'mutexLockKillable'] as const)('%s twice is LOCK_RECURSION', (lock) => {
    const sched = createSched();
    const mutex = new Mutex('m');
    task[lock](sched, mutex);
    expect(thrown(() => task[lock](sched, mutex))).toBe('LOCK_RECURSION');
    expect(mutex.owner).toBe(sched.current);
  });

  it('a killed caller that would have to wait gets -EINTR', () => {
    const sched = createSched();
    const mutex = new Mutex('m');
    const other = spawn(sched, 'other', coloured.mutexLock(sched, mutex));
    go(sched, other);
    addEvent(sched, 1, 'kill', () => killTask(sched.current));
    expect([task.mutexLockKillable(sched, mutex), mutex.owner]).toEqual([-EINTR, other]);
  });
});

describe('sched: mutex', () => {
  function user(sched: Sched, mutex: Mutex, name: string): SimTask {
    const body = function* (): Task<number> {
      const error = yield* coloured.mutexLockKillable(sched, mutex);
      if (error !== 0) return error;
      yield HELD;
      mutexUnlock(sched, mutex);
      return 0;
    };
    return spawn(sched, name, body());
  }

  it('waiters get it in the order they came', () => {
    const sched = createSched();
    const mutex = new Mutex('m');
    const [a, b, c] = ['a', 'b', 'c'].map((name) => user(sched, mutex, name)) as [SimTask, SimTask, SimTask];
    go(sched, a, b, c);
    expect([mutex.owner, mutex.queue.waiters]).toEqual([a, [b, c]]);
    stepTask(sched, a);
    expect([isRunnable(b), c.state]).toEqual([true, TASK_WAITING]);
    go(sched, b);
    expect(mutex.owner).toBe(b);
    runAll(sched);
    expect(mutex.owner).toBe(null);
  });

  it('taken by another before the woken one runs: it sleeps again', () => {
    const sched = createSched();
    const mutex = new Mutex('m');
    const [a, b, thief] = ['a', 'b', 'thief'].map((name) => user(sched, mutex, name)) as [SimTask, SimTask, SimTask];
    go(sched, a, b);
    stepTask(sched, a);
    go(sched, thief, b);
    expect([mutex.owner, b.state]).toEqual([thief, TASK_WAITING]);
    runAll(sched);
    expect(mutex.owner).toBe(null);
  });

  it('a waiter killed after it was woken passes the wake-up on', () => {
    const sched = createSched();
    const mutex = new Mutex('m');
    const [a, b, c] = ['a', 'b', 'c'].map((name) => user(sched, mutex, name)) as [SimTask, SimTask, SimTask];
    go(sched, a, b, c);
    stepTask(sched, a);
    killTask(b);
    go(sched, b);
    expect([b.result, isRunnable(c)]).toEqual([-EINTR, true]);
    runAll(sched);
    expect([c.result, mutex.owner]).toEqual([0, null]);
  });

  it('a waiter killed while it sleeps wakes nobody', () => {
    const sched = createSched();
    const mutex = new Mutex('m');
    const [a, b, c] = ['a', 'b', 'c'].map((name) => user(sched, mutex, name)) as [SimTask, SimTask, SimTask];
    go(sched, a, b, c);
    killTask(b);
    go(sched, b);
    expect([b.result, c.state, mutex.owner]).toEqual([-EINTR, TASK_WAITING, a]);
  });

  it.each(['mutexLock', 'mutexLockKillable'] as const)('%s twice is LOCK_RECURSION', (lock) => {
    const sched = createSched();
    const mutex = new Mutex('m');
    const body = function* (): Task<void> {
      yield* coloured[lock](sched, mutex);
      yield* coloured[lock](sched, mutex);
    };
    const task = spawn(sched, 'a', body());
    expect(thrown(() => runAll(sched))).toBe('LOCK_RECURSION');
    expect(mutex.owner).toBe(task);
  });
});

describe.each(builds)('%s: bit lock', (_build, task) => {
  it('sets its bit and no other, and clears it', () => {
    const sched = createSched();
    const words = Int32Array.of(0, 0b1010, 0);
    task.lockBit(sched, words, 1, 1);
    expect([...words]).toEqual([0, 0b1011, 0]);
    expect([task.tryLockBit(words, 1, 1), task.tryLockBit(words, 0, 1)]).toEqual([false, true]);
    task.unlockBit(sched, words, 1, 1);
    expect([...words]).toEqual([1, 0b1010, 0]);
    expect([task.lockBitKillable(sched, words, 1, 1 << 31), words[1]]).toEqual([0, 0b1010 | (1 << 31)]);
  });

  it('unlocked already: LOCK_NOT_HELD, nothing changes', () => {
    const sched = createSched();
    const words = Int32Array.of(0b1010);
    expect(thrown(() => task.unlockBit(sched, words, 0, 1))).toBe('LOCK_NOT_HELD');
    expect(words[0]).toBe(0b1010);
  });

  it('an event gives it back: the wait ends', () => {
    const sched = createSched();
    const words = Int32Array.of(1);
    addEvent(sched, 50, 'I/O done', () => unlockBit(sched, words, 0, 1));
    task.lockBit(sched, words, 0, 1);
    expect([words[0], sched.now]).toEqual([1, 50]);
    addEvent(sched, 50, 'I/O done', () => unlockBit(sched, words, 0, 1));
    expect([task.lockBitKillable(sched, words, 0, 1), sched.now]).toEqual([0, 100]);
  });

  it('nobody gives it back: DEADLOCK, the bit stays', () => {
    const words = Int32Array.of(1);
    expect(() => task.lockBit(createSched(), words, 0, 1)).toThrow('bit of word 0');
    expect(thrown(() => task.lockBitKillable(createSched(), words, 0, 1))).toBe('DEADLOCK');
    expect(words[0]).toBe(1);
  });
});

describe('sched: bit lock', () => {
  it('all that wait for a word are woken, one gets the bit, the others sleep again; none is lost', () => {
    const sched = createSched();
    const words = Int32Array.of(0);
    const order: string[] = [];
    const user = (name: string): SimTask => {
      const body = function* (): Task<void> {
        yield* coloured.lockBit(sched, words, 0, 4);
        order.push(name);
        yield HELD;
        unlockBit(sched, words, 0, 4);
      };
      return spawn(sched, name, body());
    };
    const tasks = ['a', 'b', 'c'].map(user);
    go(sched, ...tasks);
    expect([order, tasks.map((task) => task.state)]).toEqual([['a'], [0, TASK_WAITING, TASK_WAITING]]);
    runAll(sched);
    expect([order.sort(), words[0], sched.waitTable.size]).toEqual([['a', 'b', 'c'], 0, 0]);
  });

  it('a killed waiter gets -EINTR and leaves the others asleep', () => {
    const sched = createSched();
    const words = Int32Array.of(0);
    tryLockBit(words, 0, 1);
    const killed = spawn(sched, 'killed', coloured.lockBitKillable(sched, words, 0, 1));
    const other = spawn(sched, 'other', coloured.lockBit(sched, words, 0, 1));
    go(sched, killed, other);
    killTask(killed);
    go(sched, killed);
    expect([killed.result, words[0], other.state]).toEqual([-EINTR, 1, TASK_WAITING]);
    unlockBit(sched, words, 0, 1);
    runAll(sched);
    expect(words[0]).toBe(1);
  });

  it('a lock is taken at its point: what another does before it is seen', () => {
    const sched = createSched();
    const words = Int32Array.of(0);
    const mutex = new Mutex('m');
    const bit = spawn(sched, 'bit', coloured.lockBit(sched, words, 0, 1));
    const lock = spawn(sched, 'lock', coloured.mutexLock(sched, mutex));
    stepTask(sched, bit);
    stepTask(sched, lock);
    expect([words[0], mutex.owner]).toEqual([0, null]);
    tryLockBit(words, 0, 1);
    mutexTrylock(sched, mutex);
    stepTask(sched, bit);
    stepTask(sched, lock);
    expect([bit.state, lock.state]).toEqual([TASK_WAITING, TASK_WAITING]);
  });
});
