/** Signals: which sleeps they end, and until when they are pending. */
import { describe, expect, it } from 'vitest';
import { EINTR } from '@mmkit/base';
import {
  addEvent,
  createSched,
  flushSignals,
  killTask,
  Mutex,
  mutexUnlock,
  runAll,
  signalPending,
  signalTask,
  spawn,
  stepTask,
  TASK_READY,
  TASK_WAITING,
  wakeAll,
  WaitQueue,
} from '@mmkit/task';
import type { Sched, SimTask, Task } from '@mmkit/task';
import { mutexLock, mutexLockInterruptible, waitOn, waitOnInterruptible, waitOnKillable } from '@mmkit/task/sched';
import { builds, thrown } from './builds.ts';

describe.each(builds)('%s', (_build, task) => {
  it('waitOnInterruptible is 0 when woken, and DEADLOCK when nothing could', () => {
    const sched = createSched();
    const queue = new WaitQueue('q');
    addEvent(sched, 1, 'wake', () => wakeAll(queue));
    expect([task.waitOnInterruptible(sched, queue), sched.now]).toEqual([0, 1]);
    expect(thrown(() => task.waitOnInterruptible(sched, queue))).toBe('DEADLOCK');
  });

  it('waitOnInterruptible is -EINTR when any signal comes meanwhile; waitOnKillable only for a fatal one', () => {
    for (const [send, killable] of [
      [signalTask, 0],
      [killTask, -EINTR],
    ] as const) {
      const sched = createSched();
      const queue = new WaitQueue('q');
      const sendAll = (): void => sched.tasks.forEach((one) => send(one));
      addEvent(sched, 1, 'signal', sendAll);
      expect([task.waitOnInterruptible(sched, queue), sched.now]).toEqual([-EINTR, 1]);
      const other = createSched();
      addEvent(other, 1, 'signal', () => other.tasks.forEach((one) => send(one)));
      addEvent(other, 2, 'wake', () => wakeAll(queue));
      let result = task.waitOnKillable(other, queue);
      if (result === 0 && other.now === 1) result = task.waitOnKillable(other, queue);
      expect([result, other.now]).toEqual([killable, killable === 0 ? 2 : 1]);
    }
  });

  it('mutexLockInterruptible takes a free mutex, signal pending or not', () => {
    const sched = createSched();
    const mutex = new Mutex('m');
    expect(task.mutexLockInterruptible(sched, mutex)).toBe(0);
    expect(mutex.owner).not.toBe(null);
  });
});

it('plain: a pending signal keeps every interruptible wait from running anything, until it is flushed', () => {
  const [, plain] = builds[0]!;
  const sched = createSched();
  const boot = sched.current;
  addEvent(sched, 1, 'e', () => {});
  signalTask(boot);
  expect([signalPending(boot), plain.waitOnInterruptible(sched, new WaitQueue('q')), sched.now]).toEqual([
    true,
    -EINTR,
    0,
  ]);
  flushSignals(boot);
  expect([signalPending(boot), plain.waitOnInterruptible(sched, new WaitQueue('q')), sched.now]).toEqual([false, 0, 1]);
  killTask(boot);
  flushSignals(boot);
  expect(signalPending(boot)).toBe(true);
});

it('plain: mutexLockInterruptible of a mutex that another holds is -EINTR for a pending signal; recursion is refused', () => {
  const [, plain] = builds[0]!;
  const sched = createSched();
  const mutex = new Mutex('m');
  const holder = spawn(sched, 'holder', mutexLock(sched, mutex));
  mutex.owner = holder;
  signalTask(sched.current);
  expect([plain.mutexLockInterruptible(sched, mutex), mutex.owner]).toEqual([-EINTR, holder]);
  mutex.owner = sched.current;
  expect(thrown(() => plain.mutexLockInterruptible(sched, mutex))).toBe('LOCK_RECURSION');
});

describe('sched', () => {
  function asleep(sched: Sched, queue: WaitQueue, body: (sched: Sched, queue: WaitQueue) => Task<unknown>): SimTask {
    const task = spawn(sched, 't', body(sched, queue));
    stepTask(sched, task);
    return task;
  }

  it('a signal that is not fatal ends interruptible sleeps and no others; a fatal one killable ones too', () => {
    const sched = createSched();
    const queue = new WaitQueue('q');
    const all = [waitOn, waitOnKillable, waitOnInterruptible].map((body) => asleep(sched, queue, body));
    const states = (): number[] => all.map((task) => task.state);
    for (const task of all) signalTask(task);
    expect(states()).toEqual([TASK_WAITING, TASK_WAITING, TASK_READY]);
    for (const task of all) killTask(task);
    expect([states(), queue.waiters]).toEqual([[TASK_WAITING, TASK_READY, TASK_READY], [all[0]]]);
    expect([all[2]!.interruptible, all[2]!.queue]).toEqual([false, null]);
  });

  it('a kill ends an interruptible sleep as well', () => {
    const sched = createSched();
    const task = asleep(sched, new WaitQueue('q'), waitOnInterruptible);
    killTask(task);
    runAll(sched);
    expect(task.result).toBe(-EINTR);
  });

  it('a sleep after an interruptible one is not interruptible', () => {
    const sched = createSched();
    const queue = new WaitQueue('q');
    const task = asleep(sched, queue, function* (): Task<void> {
      yield* waitOnInterruptible(sched, queue);
      yield* waitOn(sched, queue);
    });
    signalTask(task);
    stepTask(sched, task);
    flushSignals(task);
    signalTask(task);
    expect(task.state).toBe(TASK_WAITING);
  });

  it('who gives up waiting for a mutex that has become free passes the wake-up on', () => {
    const sched = createSched();
    const mutex = new Mutex('m');
    const holder = spawn(sched, 'holder', mutexLock(sched, mutex));
    stepTask(sched, holder);
    stepTask(sched, holder);
    const [first, second] = ['first', 'second'].map((name) => spawn(sched, name, mutexLockInterruptible(sched, mutex)));
    for (const task of [first!, second!, first!, second!].slice(0, 4))
      if (task.state === TASK_READY) stepTask(sched, task);
    sched.current = holder;
    mutexUnlock(sched, mutex);
    sched.current = sched.tasks[0]!;
    signalTask(first!);
    runAll(sched);
    expect([first!.result, second!.result, mutex.owner]).toEqual([-EINTR, 0, second]);
  });
});
