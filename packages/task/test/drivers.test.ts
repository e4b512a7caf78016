/** One body under all drivers: it waits for an operation, takes a lock, lets time pass. */
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import * as plain from '@mmkit/task';
import { runTaskAsync } from '@mmkit/task/async';
import {
  addEvent,
  complete,
  Completion,
  createSched,
  interrupt,
  Mutex,
  mutexUnlock,
  runAll,
  runTask,
  runTaskBlocking,
  spawn,
  WaitQueue,
} from '@mmkit/task';
import type { Sched, Task } from '@mmkit/task';
import { mutexLock, scheduleTimeout, waitForCompletion, waitOn } from '@mmkit/task/sched';
import { thrown } from './builds.ts';

/** What the body needs: `start` begins an operation that completes `done` and leaves its result in `value`. */
interface Device {
  readonly done: Completion;
  readonly lock: Mutex;
  value: number;
  start(): void;
}

function device(start: (self: Device) => void): Device {
  const self: Device = { done: new Completion('I/O'), lock: new Mutex('m'), value: 0, start: () => start(self) };
  return self;
}

function* body(sched: Sched, io: Device): Task<string> {
  io.start();
  yield* waitForCompletion(sched, io.done);
  yield* mutexLock(sched, io.lock);
  yield* scheduleTimeout(sched, 50);
  mutexUnlock(sched, io.lock);
  return `${io.value} after ${sched.now} ns`;
}

/** The same text, as the plain build has it. */
function plainBody(sched: Sched, io: Device): string {
  io.start();
  plain.waitForCompletion(sched, io.done);
  plain.mutexLock(sched, io.lock);
  plain.scheduleTimeout(sched, 50);
  mutexUnlock(sched, io.lock);
  return `${io.value} after ${sched.now} ns`;
}

const ANSWER = '42 after 50 ns';

function finish(self: Device): void {
  self.value = 42;
  complete(self.done);
}

/** A device in virtual time, done at once. */
const simulated = (sched: Sched): Device => device((self) => addEvent(sched, 0, 'I/O', () => finish(self)));

/** A thread that answers when `words[0]` becomes 1: its answer in `words[1]`, and one more in `words[2]`. */
function thread(words: Int32Array): Worker {
  const code = `
    const words = require('node:worker_threads').workerData;
    Atomics.wait(words, 0, 0);
    Atomics.store(words, 1, 42);
    Atomics.add(words, 2, 1);
    Atomics.notify(words, 2);`;
  return new Worker(code, { eval: true, workerData: words });
}

describe('one body', () => {
  it('plain', () => {
    const sched = createSched();
    expect(plainBody(sched, simulated(sched))).toBe(ANSWER);
  });

  it('scheduler: runTask, and runAll beside others', () => {
    const sched = createSched();
    expect(runTask(sched, body(sched, simulated(sched)))).toBe(ANSWER);
    const other = createSched({ cpus: 2 });
    const tasks = [0, 1].map(() => spawn(other, 't', body(other, simulated(other))));
    runAll(other);
    expect(tasks.map((task) => task.result)).toEqual([ANSWER, ANSWER]);
  });

  it('async: a real operation', async () => {
    const sched = createSched();
    const io = device((self) => {
      sched.outside++;
      setTimeout(() => {
        interrupt(sched, () => {
          sched.outside--;
          finish(self);
        });
      }, 2);
    });
    expect(await runTaskAsync(sched, body(sched, io))).toBe(ANSWER);
  });

  it('blocking: an operation of another thread', async () => {
    const words = new Int32Array(new SharedArrayBuffer(12));
    const worker = thread(words);
    const sched = createSched();
    const io = device(() => {
      sched.outside++;
      Atomics.store(words, 0, 1);
      Atomics.notify(words, 0);
    });
    let seen = 0;
    const block = (): void => {
      Atomics.wait(words, 2, seen);
      seen = Atomics.load(words, 2);
      interrupt(sched, () => {
        sched.outside--;
        finish(io);
        io.value = Atomics.load(words, 1);
      });
    };
    expect(runTaskBlocking(sched, body(sched, io), block)).toBe(ANSWER);
    expect([sched.tasks.length, sched.outside]).toEqual([1, 0]);
    await worker.terminate();
  });
});

describe('runTaskBlocking', () => {
  const never = (): void => {
    throw new Error('it blocks');
  };

  it('is DEADLOCK when nothing is under way outside, and keeps nothing', () => {
    const sched = createSched();
    const rain = waitOn(sched, new WaitQueue('rain'));
    expect(() => runTaskBlocking(sched, rain, never)).toThrow('DEADLOCK: main waits for rain');
  });

  it('does not block while anything can move', () => {
    const sched = createSched();
    sched.outside = 1;
    expect(runTaskBlocking(sched, body(sched, simulated(sched)), never)).toBe(ANSWER);
    expect(() => runTaskBlocking(sched, waitOn(sched, new WaitQueue('rain')), never)).toThrow('it blocks');
  });

  it('throws what the body throws and keeps nothing', () => {
    const sched = createSched();
    const failing = function* (): Task<void> {
      yield 1;
      throw new TypeError('mine');
    };
    expect(thrown(() => runTaskBlocking(sched, failing(), never))).toBe('TypeError');
    expect(sched.tasks.length).toBe(1);
  });
});
