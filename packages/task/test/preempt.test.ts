/** Preemption off, and callbacks after a grace period. */
import { describe, expect, it } from 'vitest';
import {
  addEvent,
  callRcu,
  createSched,
  isRunnable,
  localIrqRestore,
  preemptDisable,
  preemptEnable,
  rcuReadUnlock,
  runAll,
  spawn,
  stepTask,
  WaitQueue,
} from '@mmkit/task';
import type { Sched, SimTask, Task } from '@mmkit/task';
import { localIrqSave, rcuReadLock, sendIpi, synchronizeRcu } from '@mmkit/task/sched';
import { builds, thrown } from './builds.ts';

const INSIDE = 100;

function* quiet(sched: Sched): Task<void> {
  preemptDisable(sched);
  yield INSIDE;
  preemptEnable(sched);
}

function* reader(sched: Sched): Task<void> {
  yield* rcuReadLock(sched);
  yield INSIDE;
  rcuReadUnlock(sched);
}

/** Steps each until it is inside its section. */
function go(sched: Sched, ...tasks: SimTask[]): void {
  for (const task of tasks) {
    do stepTask(sched, task);
    while (task.point !== INSIDE);
  }
}

describe.each(builds)('%s', (_build, task) => {
  it('preemptEnable without preemptDisable is PREEMPT_NOT_OFF; nothing changes', () => {
    const sched = createSched();
    expect(thrown(() => task.preemptEnable(sched))).toBe('PREEMPT_NOT_OFF');
    const { preemptDepth, rcuDepth, rcuLeft } = sched.current;
    expect([preemptDepth, rcuDepth, rcuLeft, sched.cpus[0]!.irqOwner]).toEqual([0, 0, 0, null]);
  });

  it('callRcu calls at once, as an event, when nobody reads', () => {
    const sched = createSched();
    const log: string[] = [];
    task.callRcu(sched, () => log.push('freed'));
    expect(log).toEqual([]);
    task.runPending(sched);
    expect([log, sched.rcuCallbacks]).toEqual([['freed'], []]);
  });
});

it('plain: preemption and interrupts off nest in one another; the last one to end frees the CPU', () => {
  const [, plain] = builds[0]!;
  const sched = createSched();
  const cpu = sched.cpus[0]!;
  plain.preemptDisable(sched);
  plain.localIrqSave(sched);
  plain.preemptEnable(sched);
  expect([cpu.irqOwner, sched.current.rcuDepth]).toEqual([sched.current, 1]);
  plain.preemptDisable(sched);
  plain.localIrqRestore(sched);
  expect([cpu.irqOwner, sched.current.rcuDepth]).toEqual([sched.current, 1]);
  expect(thrown(() => plain.localIrqRestore(sched))).toBe('IRQ_NOT_OFF');
  plain.preemptEnable(sched);
  expect([cpu.irqOwner, sched.current.rcuDepth, sched.current.rcuLeft]).toEqual([null, 0, 1]);
});

it('plain: sleeping with preemption off is SLEEP_IN_ATOMIC, spinning is not', () => {
  const [, plain] = builds[0]!;
  const sched = createSched();
  addEvent(sched, 1, 'e', () => {});
  plain.preemptDisable(sched);
  expect(thrown(() => plain.waitOn(sched, new WaitQueue('q')))).toBe('SLEEP_IN_ATOMIC');
  expect(thrown(() => plain.waitOnTimeout(sched, new WaitQueue('q'), 1))).toBe('SLEEP_IN_ATOMIC');
  expect(thrown(() => plain.scheduleTimeout(sched, 1))).toBe('SLEEP_IN_ATOMIC');
  expect([sched.now, sched.events.length]).toEqual([0, 1]);
  plain.spinOn(sched, new WaitQueue('q'));
  expect(sched.now).toBe(1);
});

describe('sched', () => {
  it('with preemption off no other task of that CPU runs; those of other CPUs do, and an IPI gets through', () => {
    const sched = createSched({ cpus: 2 });
    const seen: number[] = [];
    const [off, same] = [0, 1].map(() => spawn(sched, 't', quiet(sched), 1));
    const sender = spawn(
      sched,
      'sender',
      sendIpi(sched, 0b10, (cpu) => seen.push(cpu.id)),
      0,
    );
    go(sched, off!);
    expect([off, same, sender].map((task) => isRunnable(task!))).toEqual([true, false, true]);
    stepTask(sched, sender);
    stepTask(sched, sender);
    expect(seen).toEqual([1]);
    stepTask(sched, off!);
    expect(isRunnable(same!)).toBe(true);
  });

  it('with interrupts off as well the IPI waits for them, not for preemption', () => {
    const sched = createSched({ cpus: 2 });
    const seen: number[] = [];
    const both = function* (): Task<void> {
      preemptDisable(sched);
      yield* localIrqSave(sched);
      yield INSIDE;
      localIrqRestore(sched);
      yield INSIDE;
      preemptEnable(sched);
    };
    const off = spawn(sched, 'off', both(), 1);
    const sender = spawn(
      sched,
      'sender',
      sendIpi(sched, 0b10, (cpu) => seen.push(cpu.id)),
      0,
    );
    go(sched, off);
    stepTask(sched, sender);
    stepTask(sched, sender);
    expect([seen, isRunnable(sender)]).toEqual([[], false]);
    stepTask(sched, off);
    stepTask(sched, sender);
    expect([seen, sched.cpus[1]!.irqOwner]).toEqual([[1], off]);
  });

  it('a region with preemption off is a read section: a grace period waits for it', () => {
    const sched = createSched({ cpus: 2 });
    const off = spawn(sched, 'off', quiet(sched), 0);
    go(sched, off);
    const waiter = spawn(sched, 'waiter', synchronizeRcu(sched), 1);
    stepTask(sched, waiter);
    stepTask(sched, waiter);
    expect(isRunnable(waiter)).toBe(false);
    runAll(sched);
  });

  it('callRcu waits for the sections open at the call, nested ones to their outer end, and for no later one', () => {
    const sched = createSched({ cpus: 3 });
    const log: string[] = [];
    const nested = function* (): Task<void> {
      yield* rcuReadLock(sched);
      yield* reader(sched);
      yield INSIDE;
      rcuReadUnlock(sched);
    };
    const first = spawn(sched, 'first', reader(sched));
    const second = spawn(sched, 'second', nested());
    go(sched, first, second);
    callRcu(sched, () => log.push('freed'));
    const later = spawn(sched, 'later', reader(sched));
    go(sched, later);
    callRcu(sched, () => log.push('freed later'));
    stepTask(sched, first);
    stepTask(sched, second);
    expect([sched.events.length, second.rcuDepth]).toEqual([0, 1]);
    stepTask(sched, second);
    expect(sched.events.map((event) => event.name)).toEqual(['RCU callback']);
    stepTask(sched, later);
    runAll(sched);
    expect([log, sched.rcuCallbacks]).toEqual([['freed', 'freed later'], []]);
  });
});
