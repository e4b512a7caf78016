/** Deadlock reports: who waits for what, held by whom; and agents, which may wait for ever. */
import { describe, expect, it } from 'vitest';
import {
  addEvent,
  createLockdep,
  createSched,
  describeWaiters,
  lockClass,
  Mutex,
  preemptDisable,
  runAll,
  runTask,
  spawn,
  spawnAgent,
  stepTask,
  WaitQueue,
  wakeAll,
} from '@mmkit/task';
import type { Sched, Task } from '@mmkit/task';
import {
  localIrqSave,
  lockBit,
  mutexLock,
  rcuReadLock,
  scheduleTimeout,
  sendIpi,
  synchronizeRcu,
  waitOn,
} from '@mmkit/task/sched';
import { thrown } from './builds.ts';

/** Runs until nothing can move, and says who waits. */
function stuck(sched: Sched): string {
  expect(thrown(() => runAll(sched))).toBe('DEADLOCK');
  return describeWaiters(sched);
}

function* rcuForever(sched: Sched, queue: WaitQueue): Task<void> {
  yield* rcuReadLock(sched);
  yield* waitOn(sched, queue);
}

describe('describeWaiters', () => {
  it('a chain without a cycle names the holders and no cycle', () => {
    const sched = createSched();
    const mutex = new Mutex('M');
    const holder = function* (): Task<void> {
      yield* mutexLock(sched, mutex);
      yield* waitOn(sched, new WaitQueue('the disk'));
    };
    spawn(sched, 'a', holder());
    spawn(sched, 'b', mutexLock(sched, mutex));
    expect(stuck(sched)).toBe('a waits for the disk; b waits for M, held by a');
  });

  it('a cycle that a third task waits for is named without the third', () => {
    const sched = createSched();
    const [m, n] = [new Mutex('M'), new Mutex('N')];
    const both = function* (first: Mutex, second: Mutex): Task<void> {
      yield* mutexLock(sched, first);
      yield* mutexLock(sched, second);
    };
    spawn(
      sched,
      'z',
      (function* (): Task<void> {
        yield 1;
        yield* both(m, n);
      })(),
    );
    spawn(sched, 'a', both(m, n));
    spawn(sched, 'b', both(n, m));
    expect(stuck(sched)).toBe(
      'z waits for M, held by a; a waits for N, held by b; b waits for M, held by a; in a cycle: a → b → a',
    );
  });

  it('holders of bit locks are known where the order of locks is checked', () => {
    for (const checked of [false, true]) {
      const sched = createSched();
      if (checked) sched.lockdep = createLockdep();
      const words = new Int32Array(8);
      const cls = lockClass('folio lock');
      spawn(sched, 'a', lockBit(sched, words, 5, 2, cls));
      spawn(sched, 'b', lockBit(sched, words, 5, 2, cls));
      expect(stuck(sched)).toBe(`b waits for bit of word 5${checked ? ', held by a' : ''}`);
    }
  });

  it('a grace period is held by the readers', () => {
    const sched = createSched();
    spawn(sched, 'reader', rcuForever(sched, new WaitQueue('rain')));
    spawn(sched, 'freer', synchronizeRcu(sched));
    expect(stuck(sched)).toBe('reader waits for rain; freer waits for RCU grace period, held by reader');
  });

  it('an IPI by who has interrupts off, a CPU by who has preemption off', () => {
    const sched = createSched({ cpus: 3 });
    spawn(sched, 'walker', localIrqSave(sched), 0);
    spawn(
      sched,
      'sender',
      sendIpi(sched, 1, () => {}),
      1,
    );
    const quiet = function* (): Task<void> {
      preemptDisable(sched);
      yield 1;
    };
    const off = spawn(sched, 'quiet', quiet(), 2);
    stepTask(sched, off);
    spawn(sched, 'late', waitOn(sched, new WaitQueue('never')), 2);
    expect(stuck(sched)).toBe(
      'sender waits for cpu 0: interrupts on, held by walker; late waits for cpu 2, preemption off by quiet',
    );
  });
});

describe('spawnAgent', () => {
  it('runAll ends when all others are done, though the agent would go on for ever', () => {
    const sched = createSched({ cpus: 2 });
    let beats = 0;
    const flusher = function* (): Task<void> {
      for (;;) {
        yield* scheduleTimeout(sched, 10);
        beats++;
      }
    };
    const agent = spawnAgent(sched, 'flusher', flusher());
    const task = spawn(sched, 'a', scheduleTimeout(sched, 35));
    runAll(sched);
    expect([beats, task.result, agent.result, sched.now]).toEqual([3, 0, undefined, 35]);
  });

  it('an agent that waits is no deadlock; a task that waits beside it is', () => {
    const sched = createSched();
    const work = new WaitQueue('work');
    spawnAgent(sched, 'kswapd', waitOn(sched, work));
    runAll(sched);
    expect(describeWaiters(sched)).toBe('');
    spawn(sched, 'a', waitOn(sched, new WaitQueue('rain')));
    expect(stuck(sched)).toBe('a waits for rain');
  });

  it('a task that only an agent can wake goes on', () => {
    const sched = createSched();
    const [work, done] = [new WaitQueue('work'), new WaitQueue('done')];
    const device = function* (): Task<void> {
      for (;;) {
        yield* waitOn(sched, work);
        addEvent(sched, 100, 'I/O', () => wakeAll(done));
      }
    };
    spawnAgent(sched, 'device', device());
    const user = function* (): Task<number> {
      yield 1;
      wakeAll(work);
      yield* waitOn(sched, done);
      return sched.now;
    };
    const task = spawn(sched, 'user', user());
    runAll(sched);
    expect(task.result).toBe(100);
    expect(runTask(sched, user())).toBe(200);
  });
});
