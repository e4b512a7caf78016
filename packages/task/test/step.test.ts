/** Tasks and steps. */
import { describe, expect, it } from 'vitest';
import { BLOCKED, createTraceRing, EVENT_WORDS, P_LOCK, P_SEQ, traceHash } from '@mmkit/base';
import {
  createSched,
  describeWaiters,
  isRunnable,
  killTask,
  spawn,
  stepTask,
  TASK_DONE,
  TASK_READY,
  TASK_WAITING,
  WaitQueue,
} from '@mmkit/task';
import type { Sched, SimTask, Task } from '@mmkit/task';
import { localIrqSave, waitOn } from '@mmkit/task/sched';
import { thrown } from './builds.ts';

function* counting(points: number, result: string): Task<string> {
  for (let point = 1; point <= points; point++) yield point;
  return result;
}

describe('createSched', () => {
  it('has one CPU unless told, the boot task as current, and time 0', () => {
    const sched = createSched();
    expect([sched.cpus.length, sched.tasks.length, sched.current.name, sched.now]).toEqual([1, 1, 'boot', 0]);
    expect(sched.current).toBe(sched.tasks[0]);
    expect(createSched({ cpus: 32 }).cpus.map((cpu) => cpu.id)).toEqual(Array.from({ length: 32 }, (_, i) => i));
  });

  it.each([0, 33, -1, 1.5, NaN])('%s CPUs are a RangeError that names the argument', (cpus) => {
    expect(() => createSched({ cpus })).toThrow(RangeError);
    expect(() => createSched({ cpus })).toThrow(/^cpus: /);
  });
});

describe('spawn', () => {
  it('numbers tasks from 1 and deals them out to the CPUs', () => {
    const sched = createSched({ cpus: 2 });
    const tasks = ['a', 'b', 'c'].map((name) => spawn(sched, name, counting(1, name)));
    expect(tasks.map((task) => [task.id, task.name, task.cpu.id])).toEqual([
      [1, 'a', 0],
      [2, 'b', 1],
      [3, 'c', 0],
    ]);
    expect(spawn(sched, 'd', counting(1, 'd'), 0).cpu.id).toBe(0);
  });

  it.each([2, -1, 0.5, NaN])('CPU %s of two is a RangeError, and nothing is spawned', (cpu) => {
    const sched = createSched({ cpus: 2 });
    expect(() => spawn(sched, 'a', counting(1, 'a'), cpu)).toThrow(RangeError);
    expect(() => spawn(sched, 'a', counting(1, 'a'), cpu)).toThrow(/^cpu: /);
    expect(sched.tasks.length).toBe(1);
  });
});

describe('stepTask', () => {
  it('runs to the next point; at the end it keeps the result', () => {
    const sched = createSched();
    const task = spawn(sched, 'a', counting(2, 'done'));
    const steps: unknown[] = [];
    while (isRunnable(task)) {
      stepTask(sched, task);
      steps.push([task.point, task.state, task.result]);
    }
    expect(steps).toEqual([
      [1, TASK_READY, undefined],
      [2, TASK_READY, undefined],
      [2, TASK_DONE, 'done'],
    ]);
  });

  it('makes the task current for as long as it runs', () => {
    const sched = createSched();
    const seen: SimTask[] = [];
    const task = spawn(
      sched,
      'a',
      (function* (): Task<void> {
        seen.push(sched.current);
        yield P_SEQ;
        seen.push(sched.current);
      })(),
    );
    stepTask(sched, task);
    expect(sched.current.name).toBe('boot');
    stepTask(sched, task);
    expect([seen, sched.current.name]).toEqual([[task, task], 'boot']);
  });

  it('throws what the body throws; the task is done then, and boot is current', () => {
    const sched = createSched();
    const task = spawn(
      sched,
      'a',
      (function* (): Task<void> {
        throw new TypeError('mine');
      })(),
    );
    expect(() => stepTask(sched, task)).toThrow('mine');
    expect([task.state, sched.current.name]).toEqual([TASK_DONE, 'boot']);
  });

  it('of a task that is done, waits, or is boot is NOT_RUNNABLE, and changes nothing', () => {
    const sched = createSched();
    const queue = new WaitQueue('q');
    const done = spawn(sched, 'done', counting(0, 'x'));
    const waits = spawn(sched, 'waits', waitOn(sched, queue));
    stepTask(sched, done);
    stepTask(sched, waits);
    for (const task of [done, waits, sched.tasks[0]!]) {
      const before = { ...task };
      expect(isRunnable(task)).toBe(false);
      expect(thrown(() => stepTask(sched, task))).toBe('NOT_RUNNABLE');
      expect({ ...task }).toEqual(before);
    }
    expect(queue.waiters).toEqual([waits]);
  });

  it('of another task on a CPU with interrupts off is NOT_RUNNABLE', () => {
    const sched = createSched({ cpus: 2 });
    const off = spawn(sched, 'off', localIrqSave(sched), 0);
    const same = spawn(sched, 'same', counting(1, 'x'), 0);
    const other = spawn(sched, 'other', counting(1, 'x'), 1);
    stepTask(sched, off);
    expect([isRunnable(off), isRunnable(same), isRunnable(other)]).toEqual([true, true, true]);
    stepTask(sched, off);
    expect([isRunnable(same), isRunnable(other)]).toEqual([false, true]);
    expect(thrown(() => stepTask(sched, same))).toBe('NOT_RUNNABLE');
  });

  it('records each step: point, task, done', () => {
    const trace = createTraceRing(8);
    const sched = createSched({ trace });
    const task = spawn(sched, 'a', counting(2, 'x'));
    while (isRunnable(task)) stepTask(sched, task);
    expect([...trace.words.subarray(0, 3 * EVENT_WORDS)]).toEqual([1, 1, 0, 0, 2, 1, 0, 0, 2, 1, 1, 0]);
    const again = createTraceRing(8);
    const other = createSched({ trace: again });
    const twin = spawn(other, 'b', counting(2, 'y'));
    while (isRunnable(twin)) stepTask(other, twin);
    expect(traceHash(again)).toBe(traceHash(trace));
  });
});

describe('describeWaiters', () => {
  function waiting(sched: Sched): SimTask {
    const task = spawn(sched, 'reader', waitOn(sched, new WaitQueue('the disk')));
    stepTask(sched, task);
    return task;
  }

  it('is empty when nobody waits', () => {
    const sched = createSched();
    spawn(sched, 'a', counting(1, 'x'));
    expect(describeWaiters(sched)).toBe('');
  });

  it('says who waits for what, a CPU whose interrupts are off included', () => {
    const sched = createSched();
    const task = waiting(sched);
    expect([task.state, task.point, task.queue?.name]).toEqual([TASK_WAITING, BLOCKED, 'the disk']);
    const off = spawn(sched, 'walker', localIrqSave(sched));
    stepTask(sched, off);
    stepTask(sched, off);
    spawn(sched, 'late', counting(P_LOCK, 'x'));
    expect(describeWaiters(sched)).toBe('reader waits for the disk; late waits for cpu 0, interrupts off by walker');
  });

  it('a signal to a task that does not wait killably leaves it asleep', () => {
    const sched = createSched();
    const task = waiting(sched);
    killTask(task);
    expect([task.killed, task.state]).toEqual([true, TASK_WAITING]);
  });
});
