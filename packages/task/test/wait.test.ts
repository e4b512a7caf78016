/** Sleeping and waking. */
import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { EINTR } from '@mmkit/base';
import {
  addEvent,
  createSched,
  isRunnable,
  killTask,
  runAll,
  runTask,
  spawn,
  stepTask,
  TASK_READY,
  TASK_WAITING,
  wakeAll,
  wakeOne,
  wakeTask,
  WaitQueue,
  waitTableQueue,
  wakeTable,
} from '@mmkit/task';
import type { Sched, SimTask, Task } from '@mmkit/task';
import { localIrqSave, waitOn, waitOnKillable } from '@mmkit/task/sched';
import { builds, thrown } from './builds.ts';

describe.each(builds)('%s', (_build, task) => {
  it('a wait in a loop ends when an event makes the condition true', () => {
    const sched = createSched();
    const queue = new WaitQueue('q');
    let ready = false;
    addEvent(sched, 10, 'not yet', () => wakeAll(queue));
    addEvent(sched, 20, 'ready', () => {
      ready = true;
      wakeAll(queue);
    });
    while (!ready) task.waitOn(sched, queue);
    expect([sched.now, queue.waiters]).toEqual([20, []]);
  });

  it('a wait that nothing pending can end is DEADLOCK, and names the queue', () => {
    const sched = createSched();
    const queue = new WaitQueue('the disk');
    expect(thrown(() => task.waitOn(sched, queue))).toBe('DEADLOCK');
    expect(() => task.waitOn(createSched(), queue)).toThrow('the disk');
    expect(thrown(() => task.waitOnKillable(createSched(), queue))).toBe('DEADLOCK');
  });

  it('waitOnKillable is 0 when woken', () => {
    const sched = createSched();
    const queue = new WaitQueue('q');
    addEvent(sched, 1, 'wake', () => wakeAll(queue));
    expect(task.waitOnKillable(sched, queue)).toBe(0);
  });
});

describe('plain', () => {
  const [, task] = builds[0]!;

  it('waitOn runs one piece of pending work a call', () => {
    const sched = createSched();
    const queue = new WaitQueue('q');
    const log: number[] = [];
    for (const time of [1, 2]) addEvent(sched, time, 'e', () => log.push(time));
    task.waitOn(sched, queue);
    expect(log).toEqual([1]);
    task.waitOn(sched, queue);
    expect(log).toEqual([1, 2]);
  });

  it('waitOnKillable is -EINTR when a fatal signal is pending before, and nothing is run then', () => {
    const sched = createSched();
    addEvent(sched, 1, 'e', () => {});
    killTask(sched.current);
    expect([task.waitOnKillable(sched, new WaitQueue('q')), sched.now]).toEqual([-EINTR, 0]);
  });

  it('waitOnKillable is -EINTR when the signal comes meanwhile', () => {
    const sched = createSched();
    addEvent(sched, 1, 'kill', () => killTask(sched.current));
    expect([task.waitOnKillable(sched, new WaitQueue('q')), sched.now]).toEqual([-EINTR, 1]);
  });
});

describe('sched', () => {
  /** Tasks asleep in `queue`. */
  function sleepers(
    sched: Sched,
    queue: WaitQueue,
    count: number,
    body: (sched: Sched, queue: WaitQueue) => Task<unknown> = waitOn,
  ): SimTask[] {
    const tasks = Array.from({ length: count }, (_, i) => spawn(sched, `t${i}`, body(sched, queue)));
    for (const task of tasks) stepTask(sched, task);
    return tasks;
  }

  it('a sleeper cannot run until it is woken', () => {
    const sched = createSched();
    const queue = new WaitQueue('q');
    const [task] = sleepers(sched, queue, 1);
    expect([task!.state, task!.queue, isRunnable(task!)]).toEqual([TASK_WAITING, queue, false]);
    expect(wakeOne(queue)).toBe(true);
    expect([task!.state, task!.queue, isRunnable(task!)]).toEqual([TASK_READY, null, true]);
    expect(wakeOne(queue)).toBe(false);
  });

  it('wakeOne wakes the one that came first; wakeTask one from the middle; wakeAll the rest', () => {
    const sched = createSched();
    const queue = new WaitQueue('q');
    const tasks = sleepers(sched, queue, 5);
    const awake = (): number[] => tasks.flatMap((task, i) => (task.state === TASK_READY ? [i] : []));
    wakeOne(queue);
    expect(awake()).toEqual([0]);
    wakeTask(tasks[2]!);
    wakeTask(tasks[2]!);
    expect([awake(), queue.waiters]).toEqual([
      [0, 2],
      [tasks[1], tasks[3], tasks[4]],
    ]);
    wakeAll(queue);
    expect([awake(), queue.waiters]).toEqual([[0, 1, 2, 3, 4], []]);
  });

  it('a fatal signal ends a killable sleep with -EINTR, and only that', () => {
    const sched = createSched();
    const queue = new WaitQueue('q');
    const [killable] = sleepers(sched, queue, 1, waitOnKillable);
    const [stubborn] = sleepers(sched, queue, 1);
    killTask(killable!);
    killTask(stubborn!);
    expect([killable!.state, stubborn!.state, queue.waiters]).toEqual([TASK_READY, TASK_WAITING, [stubborn]]);
    expect(killable!.killable).toBe(false);
    stepTask(sched, killable!);
    expect(killable!.result).toBe(-EINTR);
  });

  it('a task killed before does not go to sleep', () => {
    const sched = createSched();
    const queue = new WaitQueue('q');
    const task = spawn(sched, 'a', waitOnKillable(sched, queue));
    killTask(task);
    stepTask(sched, task);
    expect([task.result, queue.waiters]).toEqual([-EINTR, []]);
  });

  it('a task killed after it was woken, before it runs, gets -EINTR', () => {
    const sched = createSched();
    const queue = new WaitQueue('q');
    const [task] = sleepers(sched, queue, 1, waitOnKillable);
    wakeOne(queue);
    killTask(task!);
    stepTask(sched, task!);
    expect(task!.result).toBe(-EINTR);
  });

  it('outside a task it is NO_TASK; with interrupts off SLEEP_IN_ATOMIC; nobody sleeps', () => {
    const sched = createSched();
    const queue = new WaitQueue('q');
    expect(thrown(() => waitOn(sched, queue).next())).toBe('NO_TASK');
    expect(thrown(() => waitOnKillable(sched, queue).next())).toBe('NO_TASK');
    for (const wait of [waitOn, waitOnKillable]) {
      const atomic = createSched();
      const body = function* (): Task<void> {
        yield* localIrqSave(atomic);
        yield* wait(atomic, queue);
      };
      expect(thrown(() => runTask(atomic, body()))).toBe('SLEEP_IN_ATOMIC');
    }
    expect([queue.waiters, sched.tasks[0]!.state]).toEqual([[], TASK_READY]);
  });

  it('the wait table keeps a queue a key, drops it when it is woken, and keeps keys apart', () => {
    const sched = createSched();
    const [a] = sleepers(sched, waitTableQueue(sched, 4), 1);
    const [b] = sleepers(sched, waitTableQueue(sched, 8), 1);
    expect(waitTableQueue(sched, 4).waiters).toEqual([a]);
    wakeTable(sched, 12);
    wakeTable(sched, 4);
    expect([a!.state, b!.state, [...sched.waitTable.keys()]]).toEqual([TASK_READY, TASK_WAITING, [8]]);
    wakeTable(sched, 8);
    wakeTable(sched, 8);
    expect([b!.state, sched.waitTable.size]).toEqual([TASK_READY, 0]);
  });

  it('producers and consumers: however many of each, nobody is forgotten', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 10 }), (kinds) => {
        const sched = createSched({ cpus: 2 });
        const queue = new WaitQueue('items');
        let items = 0;
        let taken = 0;
        const produce = function* (): Task<void> {
          yield 1;
          items++;
          wakeOne(queue);
        };
        const consume = function* (): Task<void> {
          yield 1;
          while (items === 0) yield* waitOn(sched, queue);
          items--;
          taken++;
        };
        kinds.forEach((produces, i) => spawn(sched, `t${i}`, produces ? produce() : consume()));
        const produced = kinds.filter(Boolean).length;
        const hungry = Math.max(0, kinds.length - 2 * produced);
        expect(thrown(() => runAll(sched))).toBe(hungry > 0 ? 'DEADLOCK' : 'nothing');
        expect([taken, queue.waiters.length]).toEqual([Math.min(produced, kinds.length - produced), hungry]);
      }),
    );
  });
});
