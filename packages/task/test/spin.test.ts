/** Spinlocks: bit locks whose holder may not sleep (Linux: bit_spin_lock, might_sleep). */
import { describe, expect, it } from 'vitest';
import {
  createSched,
  describeWaiters,
  Mutex,
  runAll,
  runTask,
  spawn,
  stepTask,
  tryLockBit,
  WaitQueue,
} from '@mmkit/task';
import type { Task } from '@mmkit/task';
import * as coloured from '@mmkit/task/sched';
import { builds, thrown } from './builds.ts';

describe.each(builds)('%s: spinlock', (_build, task) => {
  it('is one bit of the word, the others stay', () => {
    const sched = createSched();
    const words = Int32Array.of(0, 0b1010);
    expect(task.spinTrylockBit(sched, words, 1, 0b100)).toBe(true);
    expect([words[1], task.spinTrylockBit(sched, words, 1, 0b100)]).toEqual([0b1110, false]);
    task.spinUnlockBit(sched, words, 1, 0b100);
    expect([words[1], sched.current.spinDepth]).toEqual([0b1010, 0]);
    task.spinLockBit(sched, words, 1, 0b100);
    expect(words[1]).toBe(0b1110);
  });

  it('given back when it is free, or by a task that holds none: LOCK_NOT_HELD, nothing changes', () => {
    const sched = createSched();
    const words = Int32Array.of(1);
    expect(thrown(() => task.spinUnlockBit(sched, words, 0, 1))).toBe('LOCK_NOT_HELD');
    expect(words[0]).toBe(1);
    task.spinTrylockBit(sched, words, 0, 2);
    expect(thrown(() => task.spinUnlockBit(sched, words, 0, 4))).toBe('LOCK_NOT_HELD');
    expect([words[0], sched.current.spinDepth]).toEqual([3, 1]);
  });
});

it('plain: sleeping with a spinlock held is SLEEP_IN_ATOMIC, spinning is not', () => {
  const sched = createSched();
  const words = Int32Array.of(0);
  const [, plain] = builds[0]!;
  plain.spinLockBit(sched, words, 0, 1);
  expect(thrown(() => plain.waitOn(sched, new WaitQueue('q')))).toBe('SLEEP_IN_ATOMIC');
  expect(thrown(() => plain.spinOn(sched, new WaitQueue('q')))).toBe('DEADLOCK');
});

it('sched: sleeping for a mutex with a spinlock held is SLEEP_IN_ATOMIC, and the task is in no queue', () => {
  const sched = createSched({ cpus: 2 });
  const words = Int32Array.of(0);
  const mutex = new Mutex('m');
  spawn(sched, 'holder', coloured.mutexLock(sched, mutex));
  runAll(sched);
  function* wrong(): Task<void> {
    yield* coloured.spinLockBit(sched, words, 0, 1);
    yield* coloured.mutexLock(sched, mutex);
  }
  expect(thrown(() => runTask(sched, wrong()))).toBe('SLEEP_IN_ATOMIC');
  expect(mutex.queue.waiters).toEqual([]);
});

it('sched: a second taker spins, with a spinlock of its own held, until the first gives back', () => {
  const sched = createSched({ cpus: 2 });
  const words = Int32Array.of(0, 0);
  const order: string[] = [];
  function* first(): Task<void> {
    yield* coloured.spinLockBit(sched, words, 0, 1);
    yield 100;
    order.push('first');
    coloured.spinUnlockBit(sched, words, 0, 1);
  }
  function* second(): Task<void> {
    yield* coloured.spinLockBit(sched, words, 1, 1);
    yield* coloured.spinLockBit(sched, words, 0, 1);
    order.push('second');
    coloured.spinUnlockBit(sched, words, 0, 1);
    coloured.spinUnlockBit(sched, words, 1, 1);
  }
  const a = spawn(sched, 'a', first());
  const b = spawn(sched, 'b', second());
  while (a.point !== 100) stepTask(sched, a);
  for (let i = 0; i < 3; i++) stepTask(sched, b);
  expect(describeWaiters(sched)).toBe('b waits for bit of word 0');
  runAll(sched);
  expect([order, [...words], a.spinDepth, b.spinDepth]).toEqual([['first', 'second'], [0, 0], 0, 0]);
});

it('sched: an IPI may be waited for with a spinlock held (a TLB flush under the page-table lock)', () => {
  const sched = createSched({ cpus: 2 });
  const words = Int32Array.of(0);
  function* masked(): Task<void> {
    yield* coloured.localIrqSave(sched);
    yield 100;
    coloured.localIrqRestore(sched);
  }
  let told = 0;
  function* sender(): Task<void> {
    yield* coloured.spinLockBit(sched, words, 0, 1);
    yield* coloured.sendIpi(sched, 0b10, () => told++);
    coloured.spinUnlockBit(sched, words, 0, 1);
  }
  const off = spawn(sched, 'masked', masked(), 1);
  while (off.point !== 100) stepTask(sched, off);
  spawn(sched, 'sender', sender(), 0);
  runAll(sched);
  expect(told).toBe(1);
  expect(tryLockBit(words, 0, 1)).toBe(true);
});
