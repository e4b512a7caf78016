/** Exclusive waiters, completions, time-outs. */
import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { EINTR } from '@mmkit/base';
import {
  addEvent,
  complete,
  completeAll,
  Completion,
  createSched,
  killTask,
  reinitCompletion,
  runAll,
  spawn,
  stepTask,
  TASK_READY,
  tryWaitForCompletion,
  wakeAll,
  wakeTask,
  WaitQueue,
  wakeUp,
  wakeUpNr,
} from '@mmkit/task';
import type { Sched, SimTask, Task } from '@mmkit/task';
import {
  scheduleTimeout,
  waitForCompletion,
  waitForCompletionKillable,
  waitForCompletionTimeout,
  waitOn,
  waitOnExclusive,
  waitOnTimeout,
} from '@mmkit/task/sched';
import { builds, thrown } from './builds.ts';

function sleeper(sched: Sched, body: Task<unknown>): SimTask {
  const task = spawn(sched, 't', body);
  while (task.state === TASK_READY) stepTask(sched, task);
  return task;
}

describe.each(builds)('%s', (_build, task) => {
  it('waitOnTimeout gives what is left when woken before, 0 when the time is over', () => {
    const sched = createSched();
    const queue = new WaitQueue('q');
    addEvent(sched, 30, 'wake', () => wakeAll(queue));
    expect([task.waitOnTimeout(sched, queue, 100), sched.now, sched.events]).toEqual([70, 30, []]);
    expect([task.waitOnTimeout(sched, queue, 100), sched.now, sched.events]).toEqual([0, 130, []]);
  });

  it('woken at the very end of the time, 1 ns is left: 0 is said of a time-out only', () => {
    const sched = createSched();
    const queue = new WaitQueue('q');
    addEvent(sched, 100, 'wake', () => wakeAll(queue));
    expect(task.waitOnTimeout(sched, queue, 100)).toBe(1);
  });

  it('scheduleTimeout lets virtual time pass, and the events in it fire', () => {
    const sched = createSched();
    const log: number[] = [];
    for (const at of [10, 50, 51]) addEvent(sched, at, 'e', () => log.push(at));
    expect([task.scheduleTimeout(sched, 50), sched.now, log]).toEqual([0, 50, [10, 50]]);
  });

  it.each([-1, NaN])('a delay of %s is a RangeError, and nobody sleeps', (delay) => {
    const sched = createSched();
    const queue = new WaitQueue('q');
    expect(thrown(() => task.waitOnTimeout(sched, queue, delay))).toBe('RangeError');
    expect([queue.waiters, sched.events]).toEqual([[], []]);
  });

  it('a completion lets as many go on as it was completed, before or after they come', () => {
    const sched = createSched();
    const completion = new Completion('I/O');
    complete(completion);
    addEvent(sched, 5, 'done', () => complete(completion));
    task.waitForCompletion(sched, completion);
    expect(sched.now).toBe(0);
    task.waitForCompletion(sched, completion);
    expect([sched.now, completion.done, tryWaitForCompletion(completion)]).toEqual([5, 0, false]);
    expect(thrown(() => task.waitForCompletion(sched, completion))).toBe('DEADLOCK');
  });

  it('completeAll lets everybody go on until reinitCompletion', () => {
    const sched = createSched();
    const completion = new Completion('I/O');
    completeAll(completion);
    complete(completion);
    for (let i = 0; i < 3; i++) task.waitForCompletion(sched, completion);
    expect(tryWaitForCompletion(completion)).toBe(true);
    reinitCompletion(completion);
    expect(tryWaitForCompletion(completion)).toBe(false);
  });

  it('waitForCompletionKillable: 0 when done, -EINTR when killed before; done and killed is done', () => {
    const sched = createSched();
    const completion = new Completion('I/O');
    addEvent(sched, 1, 'done', () => complete(completion));
    expect(task.waitForCompletionKillable(sched, completion)).toBe(0);
    addEvent(sched, 1, 'kill', () => sched.tasks.forEach((one) => killTask(one)));
    expect([task.waitForCompletionKillable(sched, completion), completion.done]).toEqual([-EINTR, 0]);
    const other = createSched();
    addEvent(other, 1, 'both', () => {
      complete(completion);
      other.tasks.forEach((one) => killTask(one));
    });
    expect([task.waitForCompletionKillable(other, completion), completion.done]).toEqual([0, 0]);
  });

  it('waitForCompletionTimeout: what is left, at least 1 when done, 0 when the time is over', () => {
    const sched = createSched();
    const completion = new Completion('I/O');
    addEvent(sched, 30, 'done', () => complete(completion));
    expect(task.waitForCompletionTimeout(sched, completion, 100)).toBe(70);
    expect([task.waitForCompletionTimeout(sched, completion, 100), sched.now, completion.done]).toEqual([0, 130, 0]);
    complete(completion);
    expect(task.waitForCompletionTimeout(sched, completion, 0)).toBe(1);
  });
});

describe('sched', () => {
  it('wakeUp wakes all that are not exclusive and the first that is, wherever they stand; wakeUpNr n of those', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 8 }), fc.integer({ min: 1, max: 4 }), (kinds, n) => {
        const sched = createSched();
        const queue = new WaitQueue('q');
        const tasks = kinds.map((exclusive) =>
          sleeper(sched, exclusive ? waitOnExclusive(sched, queue) : waitOn(sched, queue)),
        );
        let left = n;
        if (n === 1) wakeUp(queue);
        else wakeUpNr(queue, n);
        expect(tasks.map((task) => task.state === TASK_READY)).toEqual(
          kinds.map((exclusive) => !exclusive || left-- > 0),
        );
        expect(queue.waiters).toEqual(tasks.filter((task) => task.state !== TASK_READY));
        wakeAll(queue);
        expect(tasks.some((task) => task.exclusive || task.state !== TASK_READY)).toBe(false);
      }),
    );
  });

  it('wakeTask ends scheduleTimeout early, with what is left; no timer stays', () => {
    const sched = createSched();
    const task = sleeper(sched, scheduleTimeout(sched, 100));
    addEvent(sched, 40, 'wake', () => wakeTask(task));
    runAll(sched);
    expect([task.result, sched.now, sched.events]).toEqual([60, 40, []]);
  });

  it('the timer of a wait that another has ended does not end a later sleep', () => {
    const sched = createSched();
    const queue = new WaitQueue('q');
    const body = function* (): Task<number> {
      yield* waitOnTimeout(sched, queue, 10);
      yield* waitOn(sched, queue);
      return sched.now;
    };
    const task = sleeper(sched, body());
    for (const at of [5, 20]) addEvent(sched, at, 'wake', () => wakeAll(queue));
    runAll(sched);
    expect(task.result).toBe(20);
  });

  it('complete lets waiters go on in the order they came, one each; nobody is forgotten', () => {
    const sched = createSched({ cpus: 2 });
    const completion = new Completion('I/O');
    const bodies = [waitForCompletion, waitForCompletionKillable].map((wait) => wait(sched, completion));
    const tasks = [...bodies, waitForCompletionTimeout(sched, completion, 1000)].map((body) => sleeper(sched, body));
    killTask(tasks[1]!);
    complete(completion);
    complete(completion);
    expect(tasks.map((task) => task.state === TASK_READY)).toEqual([true, true, true]);
    runAll(sched);
    expect([tasks[0]!.result, completion.done, completion.queue.waiters]).toEqual([undefined, 0, []]);
  });
});
