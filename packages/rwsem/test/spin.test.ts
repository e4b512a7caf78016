/** Writers that spin on the owner: sched build, stepped by hand. */
import { describe, expect, it } from 'vitest';
import type { Task } from '@mmkit/base';
import {
  createRwsem,
  HANDOFF,
  NONSPINNABLE,
  OWNER_READER,
  READER_BIAS,
  WAIT_TIMEOUT,
  WAITERS,
  WRITER_LOCKED,
} from '@mmkit/rwsem';
import * as plain from '@mmkit/rwsem';
import { downWrite } from '@mmkit/rwsem/sched';
import { createSched, fireEvent, runAll, spawn, stepTask, TASK_DONE, TASK_WAITING, WaitQueue } from '@mmkit/task';
import { wakeAll } from '@mmkit/task';
import { localIrqSave, waitOn } from '@mmkit/task/sched';
import { Stage } from './actors.ts';
import { thrown } from './builds.ts';

const spinning = (): Stage => new Stage({ spinOnOwner: true });
const spinners = ({ sem }: Stage): string[] => sem.spinners.map((task) => task.name);

describe('N.18: a writer spins while the owner is a writer that runs', () => {
  it('is not in the queue, and takes the lock after the release', () => {
    const stage = spinning();
    const [a, b] = [stage.writer('A'), stage.writer('B')];
    stage.go(a, b);
    expect([stage.sem.count, stage.queued(), spinners(stage)]).toEqual([WRITER_LOCKED, [], ['B']]);
    stage.step(a);
    expect(stage.sem.count).toBe(0);
    stage.go(b);
    expect([stage.holders(), stage.sem.count, spinners(stage)]).toEqual([['B'], WRITER_LOCKED, []]);
    expect(stage.sched.events).toEqual([]);
  });

  it('who comes between the release and the spinner has the lock; the spinner spins on the new owner', () => {
    const stage = spinning();
    const [a, b, c] = [stage.writer('A'), stage.writer('B'), stage.writer('C')];
    stage.go(a, b);
    stage.step(a);
    stage.go(c, b);
    expect([stage.holders(), spinners(stage)]).toEqual([['C'], ['B']]);
  });

  it('one spins on the owner, the others behind it for their turn', () => {
    const stage = spinning();
    const [a, b, c] = [stage.writer('A'), stage.writer('B'), stage.writer('C')];
    stage.go(a, b, c);
    expect([stage.queued(), spinners(stage)]).toEqual([[], ['B', 'C']]);
    stage.step(a);
    expect(c.state).toBe(TASK_WAITING);
    stage.go(b, c);
    expect([stage.holders(), spinners(stage)]).toEqual([['B'], ['C']]);
    runAll(stage.sched);
    expect([stage.sem.count, stage.sched.events]).toEqual([0, []]);
  });

  it('queues when the owner runs no more; the one behind it has its turn', () => {
    const stage = spinning();
    const [a, b, c] = [stage.writer('A'), stage.writer('B'), stage.writer('C')];
    stage.go(a, b, c);
    fireEvent(stage.sched, stage.sched.events[0]!);
    stage.go(b, c);
    expect([stage.queued(), spinners(stage), stage.sem.count]).toEqual([['B'], ['C'], WRITER_LOCKED + WAITERS]);
    expect(stage.sched.now).toBe(0);
  });

  it('an owner that sleeps is not spun on, and one that falls asleep stops those who spin', () => {
    const sched = createSched();
    const sem = createRwsem('sem', undefined, { spinOnOwner: true });
    const sleep = new WaitQueue('sleep');
    const owner = spawn(
      sched,
      'owner',
      (function* (): Task<void> {
        yield* downWrite(sched, sem);
        yield 1;
        yield* waitOn(sched, sleep);
        plain.upWrite(sched, sem);
      })(),
    );
    const writer = spawn(sched, 'writer', downWrite(sched, sem));
    const late = spawn(sched, 'late', downWrite(sched, sem));
    for (const task of [owner, owner, writer, writer, writer, owner]) stepTask(sched, task);
    expect([owner.state, sem.spinners]).toEqual([TASK_WAITING, [writer]]);
    for (let i = 0; i < 3; i++) stepTask(sched, late);
    expect([sem.spinners, sem.waiters.map(({ task }) => task)]).toEqual([[writer], [late]]);
    expect(() => runAll(sched)).toThrow('DEADLOCK');
    expect([sem.spinners, sem.waiters.map(({ task }) => task)]).toEqual([[], [late, writer]]);
    wakeAll(sleep);
    stepTask(sched, owner);
    stepTask(sched, late);
    expect([late.state, sem.owner]).toEqual([TASK_DONE, late]);
  });

  it('with HANDOFF set it does not take the lock', () => {
    const stage = spinning();
    const [a, first, b] = [stage.writer('A'), stage.writer('first'), stage.writer('B')];
    stage.go(a, first);
    fireEvent(stage.sched, stage.sched.events[0]!);
    stage.go(first, b);
    stage.pass(WAIT_TIMEOUT + 1);
    stage.sem.count += HANDOFF;
    stage.sem.waiters[0]!.handoffSet = true;
    stage.step(a);
    stage.go(b);
    expect([stage.holders(), spinners(stage)]).toEqual([[], ['B']]);
    stage.go(first);
    expect([stage.holders(), stage.sem.count]).toEqual([['first'], WRITER_LOCKED]);
    runAll(stage.sched);
    expect([stage.sem.count, b.state]).toEqual([0, TASK_DONE]);
  });
});

describe('N.18: a writer spins on readers for (20 + min(readers, 30)) / 2 µs', () => {
  it('and takes the lock when the last leaves', () => {
    const stage = spinning();
    const [r1, r2, w] = [stage.reader('R1'), stage.reader('R2'), stage.writer('W')];
    stage.go(r1, r2, w);
    expect([stage.sem.count, spinners(stage), stage.sched.events[0]!.time]).toEqual([2 * READER_BIAS, ['W'], 11_000]);
    stage.step(r1);
    stage.go(w, r2);
    stage.go(w);
    expect([stage.holders(), stage.sem.count, stage.sched.events]).toEqual([['W'], WRITER_LOCKED, []]);
  });

  it('after that the lock is not spun on until a writer has had it', () => {
    const stage = spinning();
    const [r, w, late] = [stage.reader('R'), stage.writer('W'), stage.writer('late')];
    stage.go(r, w);
    fireEvent(stage.sched, stage.sched.events[0]!);
    stage.go(w, late);
    expect([stage.queued(), spinners(stage), stage.sem.ownerFlags]).toEqual([
      ['W', 'late'],
      [],
      OWNER_READER | NONSPINNABLE,
    ]);
    expect(stage.sched.now).toBe(10_500);
    stage.step(r);
    stage.go(w);
    expect([stage.holders(), stage.sem.ownerFlags]).toEqual([['W'], 0]);
    const next = stage.writer('next');
    stage.go(next);
    expect(spinners(stage)).toEqual(['next']);
  });
});

describe('where nobody spins', () => {
  it('a task with interrupts off that would have to wait: SLEEP_IN_ATOMIC, nothing left behind', () => {
    const stage = spinning();
    const { sched, sem } = stage;
    stage.go(stage.writer('A'));
    const bad = spawn(
      sched,
      'bad',
      (function* (): Task<void> {
        yield* localIrqSave(sched);
        yield* downWrite(sched, sem);
      })(),
      0,
    );
    let code = 'nothing';
    while (bad.state !== TASK_DONE) code = thrown(() => stepTask(sched, bad));
    expect([code, spinners(stage), stage.queued(), sched.events]).toEqual(['SLEEP_IN_ATOMIC', [], [], []]);
    expect(sem.count).toBe(WRITER_LOCKED);
  });

  it('the plain build', () => {
    const sched = createSched();
    const sem = createRwsem('sem', undefined, { spinOnOwner: true });
    plain.downRead(sched, sem);
    expect(thrown(() => plain.downWrite(sched, sem))).toBe('DEADLOCK');
    expect([sem.count, sem.spinners, sem.ownerFlags]).toEqual([READER_BIAS, [], OWNER_READER]);
    plain.upRead(sched, sem);
    plain.downWrite(sched, sem);
    plain.upWrite(sched, sem);
    expect(sem.count).toBe(0);
  });
});
