/** Interrupts off, IPIs, RCU. */
import { describe, expect, it } from 'vitest';
import {
  createSched,
  isRunnable,
  localIrqRestore,
  rcuReadUnlock,
  runAll,
  spawn,
  stepTask,
  TASK_DONE,
  TASK_WAITING,
} from '@mmkit/task';
import type { Sched, SimTask, Task } from '@mmkit/task';
import { localIrqSave, rcuReadLock, sendIpi, synchronizeRcu } from '@mmkit/task/sched';
import { builds, thrown } from './builds.ts';

const INSIDE = 100;

function* irqsOff(sched: Sched): Task<void> {
  yield* localIrqSave(sched);
  yield INSIDE;
  localIrqRestore(sched);
}

function* reader(sched: Sched): Task<void> {
  yield* rcuReadLock(sched);
  yield INSIDE;
  rcuReadUnlock(sched);
}

/** Steps each until it is inside its section, sleeps or is done. */
function go(sched: Sched, ...tasks: SimTask[]): void {
  for (const task of tasks) {
    do stepTask(sched, task);
    while (isRunnable(task) && task.point !== INSIDE);
  }
}

describe.each(builds)('%s', (_build, task) => {
  it('without a section, leaving is IRQ_NOT_OFF and RCU_NOT_HELD; nothing changes', () => {
    const sched = createSched();
    expect(thrown(() => task.localIrqRestore(sched))).toBe('IRQ_NOT_OFF');
    expect(thrown(() => task.rcuReadUnlock(sched))).toBe('RCU_NOT_HELD');
    const { irqOwner, irqDepth } = sched.cpus[0]!;
    expect([irqOwner, irqDepth, sched.current.rcuDepth, sched.current.rcuLeft]).toEqual([null, 0, 0, 0]);
  });

  it('sendIpi runs the handler once on every other CPU of the mask, in order', () => {
    const sched = createSched({ cpus: 4 });
    const seen: number[] = [];
    task.sendIpi(sched, 0b1011, (cpu) => seen.push(cpu.id));
    expect(seen).toEqual([1, 3]);
    task.sendIpi(sched, -1, (cpu) => seen.push(cpu.id));
    expect(seen).toEqual([1, 3, 1, 2, 3]);
  });

  it('synchronizeRcu returns at once when nobody reads', () => {
    const sched = createSched();
    task.synchronizeRcu(sched);
    expect(sched.rcuWait.waiters).toEqual([]);
  });
});

describe('plain', () => {
  const [, task] = builds[0]!;

  it('interrupts off nest; the outermost end turns them on and ends a read section', () => {
    const sched = createSched();
    const [cpu, boot] = [sched.cpus[0]!, sched.current];
    task.localIrqSave(sched);
    task.localIrqSave(sched);
    task.localIrqRestore(sched);
    expect([cpu.irqOwner, cpu.irqDepth, boot.rcuDepth, boot.rcuLeft]).toEqual([boot, 1, 1, 0]);
    task.localIrqRestore(sched);
    expect([cpu.irqOwner, cpu.irqDepth, boot.rcuDepth, boot.rcuLeft]).toEqual([null, 0, 0, 1]);
    expect(thrown(() => task.localIrqRestore(sched))).toBe('IRQ_NOT_OFF');
  });

  it('read sections nest; only the outermost end counts', () => {
    const sched = createSched();
    const boot = sched.current;
    task.rcuReadLock(sched);
    task.rcuReadLock(sched);
    task.rcuReadUnlock(sched);
    expect([boot.rcuDepth, boot.rcuLeft]).toEqual([1, 0]);
    task.rcuReadUnlock(sched);
    expect([boot.rcuDepth, boot.rcuLeft]).toEqual([0, 1]);
    expect(thrown(() => task.rcuReadUnlock(sched))).toBe('RCU_NOT_HELD');
  });

  it('a grace period inside a read section is DEADLOCK', () => {
    const sched = createSched();
    task.rcuReadLock(sched);
    expect(() => task.synchronizeRcu(sched)).toThrow('RCU grace period');
  });
});

describe('sched: interrupts off', () => {
  it('nobody else runs on that CPU; other CPUs go on', () => {
    const sched = createSched({ cpus: 2 });
    const off = spawn(sched, 'off', irqsOff(sched), 0);
    const same = spawn(sched, 'same', reader(sched), 0);
    const other = spawn(sched, 'other', reader(sched), 1);
    go(sched, off);
    expect([isRunnable(off), isRunnable(same), isRunnable(other)]).toEqual([true, false, true]);
    stepTask(sched, off);
    expect(isRunnable(same)).toBe(true);
  });

  it('restored by another task of the CPU is IRQ_NOT_OFF', () => {
    const sched = createSched();
    const off = spawn(sched, 'off', irqsOff(sched));
    go(sched, off);
    expect(thrown(() => localIrqRestore(sched))).toBe('IRQ_NOT_OFF');
    expect(sched.cpus[0]!.irqOwner).toBe(off);
  });

  it('B.11: an IPI waits until interrupts are on, nested regions included', () => {
    const sched = createSched({ cpus: 2 });
    const seen: number[] = [];
    const nested = function* (): Task<void> {
      yield* localIrqSave(sched);
      yield* irqsOff(sched);
      yield INSIDE;
      localIrqRestore(sched);
    };
    const sender = spawn(
      sched,
      'sender',
      sendIpi(sched, 0b11, (cpu) => seen.push(cpu.id)),
      0,
    );
    const walker = spawn(sched, 'walker', nested(), 1);
    go(sched, walker, sender);
    expect([sender.state, sender.queue?.name]).toEqual([TASK_WAITING, 'cpu 1: interrupts on']);
    go(sched, walker);
    expect([sender.state, seen]).toEqual([TASK_WAITING, []]);
    stepTask(sched, walker);
    stepTask(sched, sender);
    expect([sender.state, seen]).toEqual([TASK_DONE, [1]]);
  });

  it('an IPI that finds interrupts off again waits again', () => {
    const sched = createSched({ cpus: 2 });
    const seen: number[] = [];
    const sender = spawn(
      sched,
      'sender',
      sendIpi(sched, 2, (cpu) => seen.push(cpu.id)),
      0,
    );
    const first = spawn(sched, 'first', irqsOff(sched), 1);
    const second = spawn(sched, 'second', irqsOff(sched), 1);
    go(sched, first, sender);
    stepTask(sched, first);
    go(sched, second);
    stepTask(sched, sender);
    expect([sender.state, seen]).toEqual([TASK_WAITING, []]);
    runAll(sched);
    expect(seen).toEqual([1]);
  });

  it('two CPUs that send to each other with interrupts off: SLEEP_IN_ATOMIC', () => {
    const sched = createSched({ cpus: 2 });
    const body = function* (): Task<void> {
      yield* localIrqSave(sched);
      yield* sendIpi(sched, 3, () => {});
    };
    spawn(sched, 'a', body(), 0);
    spawn(sched, 'b', body(), 1);
    expect(thrown(() => runAll(sched))).toBe('SLEEP_IN_ATOMIC');
  });
});

describe('sched: RCU', () => {
  it.each([
    ['read section', reader],
    ['IRQ-off region', irqsOff],
  ] as const)('B.11: a grace period waits for an open %s', (_name, section) => {
    const sched = createSched({ cpus: 2 });
    const inside = spawn(sched, 'inside', section(sched), 1);
    const writer = spawn(sched, 'writer', synchronizeRcu(sched), 0);
    go(sched, inside, writer);
    expect([writer.state, writer.queue?.name]).toEqual([TASK_WAITING, 'RCU grace period']);
    stepTask(sched, inside);
    go(sched, writer);
    expect(writer.state).toBe(TASK_DONE);
  });

  it('a grace period waits for all sections that are open', () => {
    const sched = createSched({ cpus: 3 });
    const [a, b] = [spawn(sched, 'a', reader(sched), 1), spawn(sched, 'b', reader(sched), 2)];
    const writer = spawn(sched, 'writer', synchronizeRcu(sched), 0);
    go(sched, a, b, writer);
    stepTask(sched, b);
    stepTask(sched, writer);
    expect(writer.state).toBe(TASK_WAITING);
    stepTask(sched, a);
    stepTask(sched, writer);
    expect(writer.state).toBe(TASK_DONE);
  });

  it('a grace period does not wait for a section that the same task has begun since', () => {
    const sched = createSched({ cpus: 2 });
    const twice = function* (): Task<void> {
      yield* reader(sched);
      yield* reader(sched);
    };
    const task = spawn(sched, 'twice', twice(), 1);
    const writer = spawn(sched, 'writer', synchronizeRcu(sched), 0);
    go(sched, task, writer);
    go(sched, task);
    stepTask(sched, writer);
    expect([task.rcuDepth, writer.state]).toEqual([1, TASK_DONE]);
  });

  it('a grace period does not wait for a section that another task has begun since', () => {
    const sched = createSched({ cpus: 3 });
    const [open, late] = [spawn(sched, 'open', reader(sched), 1), spawn(sched, 'late', reader(sched), 2)];
    const writer = spawn(sched, 'writer', synchronizeRcu(sched), 0);
    go(sched, open, writer, late);
    stepTask(sched, open);
    stepTask(sched, writer);
    expect([late.rcuDepth, writer.state]).toEqual([1, TASK_DONE]);
  });

  it('a grace period asked for inside a read section is DEADLOCK', () => {
    const sched = createSched();
    const body = function* (): Task<void> {
      yield* rcuReadLock(sched);
      yield* synchronizeRcu(sched);
    };
    spawn(sched, 'reader', body());
    expect(() => runAll(sched)).toThrow('DEADLOCK: reader waits for RCU grace period');
  });
});
