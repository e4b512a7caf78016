/** Drivers: runTask, runAll, and the async one. */
import { describe, expect, it } from 'vitest';
import { createTraceRing, traceHash } from '@mmkit/base';
import {
  addEvent,
  advance,
  createSched,
  forget,
  interrupt,
  Mutex,
  mutexUnlock,
  runAll,
  runTask,
  spawn,
  stepTask,
  wakeAll,
  WaitQueue,
} from '@mmkit/task';
import type { Sched, Task } from '@mmkit/task';
import { runTaskAsync } from '@mmkit/task/async';
import { mutexLock, waitOn } from '@mmkit/task/sched';
import { thrown } from './builds.ts';

function* counting(points: number, log: string[], name: string): Task<string> {
  for (let i = 0; i < points; i++) {
    log.push(name);
    yield 1;
  }
  return name;
}

function* failing(): Task<never> {
  yield 1;
  throw new TypeError('mine');
}

describe('runAll', () => {
  it('goes round the tasks, a step each', () => {
    const sched = createSched();
    const log: string[] = [];
    for (const [name, points] of [
      ['a', 1],
      ['b', 3],
      ['c', 2],
    ] as const)
      spawn(sched, name, counting(points, log, name));
    runAll(sched);
    expect(log.join('')).toBe('abcbcb');
    expect(sched.tasks.slice(1).map((task) => task.result)).toEqual(['a', 'b', 'c']);
  });

  it('fires events when no task can move', () => {
    const sched = createSched();
    const queue = new WaitQueue('q');
    let ready = false;
    addEvent(sched, 7, 'ready', () => {
      ready = true;
      wakeAll(queue);
    });
    const body = function* (): Task<number> {
      while (!ready) yield* waitOn(sched, queue);
      return sched.now;
    };
    const task = spawn(sched, 'a', body());
    runAll(sched);
    expect(task.result).toBe(7);
  });

  it('DEADLOCK names who waits for what', () => {
    const sched = createSched();
    const [m, n] = [new Mutex('M'), new Mutex('N')];
    const both = function* (first: Mutex, second: Mutex): Task<void> {
      yield* mutexLock(sched, first);
      yield* mutexLock(sched, second);
    };
    spawn(sched, 'a', both(m, n));
    spawn(sched, 'b', both(n, m));
    expect(() => runAll(sched)).toThrow(
      'DEADLOCK: a waits for N, held by b; b waits for M, held by a; in a cycle: a → b → a',
    );
  });

  it('LIVELOCK after the limit of steps', () => {
    const sched = createSched();
    const forever = function* (): Task<void> {
      for (;;) yield 1;
    };
    spawn(sched, 'a', forever());
    expect(thrown(() => runAll(sched, 100))).toBe('LIVELOCK');
  });

  it('of nothing returns', () => {
    expect(runAll(createSched())).toBeUndefined();
  });

  it('the same scenario has the same trace hash', () => {
    const hash = (): string => {
      const trace = createTraceRing(4);
      const sched = createSched({ cpus: 2, trace });
      const mutex = new Mutex('m');
      const body = function* (): Task<void> {
        yield* mutexLock(sched, mutex);
        yield 1;
        mutexUnlock(sched, mutex);
      };
      for (let i = 0; i < 5; i++) spawn(sched, `t${i}`, body());
      addEvent(sched, 5, 'e', () => {});
      runAll(sched);
      return traceHash(trace);
    };
    expect(hash()).toBe(hash());
  });
});

describe('runTask', () => {
  it('gives the result and keeps nothing', () => {
    const sched = createSched();
    expect(runTask(sched, counting(3, [], 'a'))).toBe('a');
    expect(sched.tasks.length).toBe(1);
  });

  it('lets other tasks run when it must wait, and leaves them there', () => {
    const sched = createSched();
    const queue = new WaitQueue('q');
    let ready = false;
    const helper = function* (): Task<void> {
      yield 1;
      ready = true;
      wakeAll(queue);
      yield 1;
    };
    const other = spawn(sched, 'helper', helper());
    const body = function* (): Task<string> {
      while (!ready) yield* waitOn(sched, queue);
      return 'ok';
    };
    expect(runTask(sched, body())).toBe('ok');
    expect([sched.tasks.length, sched.tasks[1]]).toEqual([2, other]);
  });

  it('throws what the body throws and keeps nothing', () => {
    const sched = createSched();
    expect(() => runTask(sched, failing())).toThrow('mine');
    expect(sched.tasks.length).toBe(1);
  });

  it('DEADLOCK when nothing can move', () => {
    const sched = createSched();
    expect(() => runTask(sched, waitOn(sched, new WaitQueue('rain')))).toThrow('DEADLOCK: main waits for rain');
  });
});

describe('advance and forget', () => {
  it('advance steps the next runnable task, runs an event when there is none, and gives null at the end', () => {
    const sched = createSched();
    const a = spawn(sched, 'a', counting(1, [], 'a'));
    const b = spawn(sched, 'b', counting(0, [], 'b'));
    addEvent(sched, 1, 'e', () => {});
    expect(advance(sched, a)).toBe(b);
    expect(advance(sched, b)).toBe(a);
    expect(advance(sched, a)).toBe(a);
    expect([advance(sched, a), sched.now]).toEqual([a, 1]);
    expect(advance(sched, a)).toBe(null);
  });

  it('callbacks from outside run before the step', () => {
    const sched = createSched();
    const log: string[] = [];
    const task = spawn(sched, 'a', counting(1, log, 'a'));
    interrupt(sched, () => log.push('outside'));
    advance(sched, task);
    expect(log).toEqual(['outside', 'a']);
  });

  it('forget drops only a finished task that is the newest', () => {
    const sched = createSched();
    const a = spawn(sched, 'a', counting(0, [], 'a'));
    const b = spawn(sched, 'b', counting(1, [], 'b'));
    stepTask(sched, a);
    forget(sched, a);
    forget(sched, b);
    expect(sched.tasks.length).toBe(3);
    runAll(sched);
    forget(sched, b);
    forget(sched, a);
    expect(sched.tasks.length).toBe(1);
  });
});

describe('runTaskAsync', () => {
  /** An operation in real time, as a device would do it: completes by an interrupt that wakes who waits. */
  function* realRead(sched: Sched, ms: number, value: string): Task<string> {
    const queue = new WaitQueue('real I/O');
    let result = '';
    sched.outside++;
    setTimeout(() => {
      interrupt(sched, () => {
        sched.outside--;
        result = value;
        wakeAll(queue);
      });
    }, ms);
    while (result === '') yield* waitOn(sched, queue);
    return result;
  }

  it('waits for callbacks from outside, gives the result and keeps nothing', async () => {
    const sched = createSched();
    const body = function* (): Task<string> {
      const first = yield* realRead(sched, 2, 'a');
      return first + (yield* realRead(sched, 0, 'b'));
    };
    expect(await runTaskAsync(sched, body())).toBe('ab');
    expect([sched.tasks.length, sched.outside, sched.onInbox]).toEqual([1, 0, null]);
  });

  it('runs other tasks and events meanwhile', async () => {
    const sched = createSched();
    const log: string[] = [];
    spawn(sched, 'other', counting(2, log, 'other'));
    addEvent(sched, 9, 'event', () => log.push('event'));
    expect(await runTaskAsync(sched, realRead(sched, 1, 'x'))).toBe('x');
    expect([log, sched.now]).toEqual([['other', 'other', 'event'], 9]);
  });

  it('several operations under way at once complete in the order of the outside', async () => {
    const sched = createSched();
    const log: string[] = [];
    const body = function* (ms: number, name: string): Task<void> {
      log.push(yield* realRead(sched, ms, name));
    };
    spawn(sched, 'late', body(15, 'late'));
    await runTaskAsync(sched, body(1, 'early'));
    expect(log).toEqual(['early']);
    await runTaskAsync(sched, body(30, 'last'));
    expect(log).toEqual(['early', 'late', 'last']);
  });

  it('DEADLOCK when nothing is under way outside', async () => {
    const sched = createSched();
    await expect(runTaskAsync(sched, waitOn(sched, new WaitQueue('rain')))).rejects.toThrow(
      'DEADLOCK: main waits for rain',
    );
  });

  it('rejects with what the body throws and keeps nothing', async () => {
    const sched = createSched();
    await expect(runTaskAsync(sched, failing())).rejects.toThrow('mine');
    expect(sched.tasks.length).toBe(1);
  });
});
