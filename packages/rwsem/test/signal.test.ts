/** Fatal signals in the queue: sched build, stepped by hand. */
import { describe, expect, it } from 'vitest';
import { EINTR } from '@mmkit/base';
import { createRwsem, READER_BIAS, WAIT_TIMEOUT, WAITERS, WRITER_LOCKED } from '@mmkit/rwsem';
import { downReadInterruptible, downReadKillable, downWrite } from '@mmkit/rwsem/sched';
import { createSched, killTask, signalTask, spawn, stepTask, TASK_DONE, TASK_WAITING } from '@mmkit/task';
import { Stage } from './actors.ts';

describe('N.18: a fatal signal ends a killable wait with -EINTR', () => {
  it('alone in the queue: WAITERS is cleared', () => {
    for (const kind of ['reader', 'writer'] as const) {
      const stage = new Stage();
      const w = stage.writer('W');
      const killed = stage[kind]('killed');
      stage.go(w, killed);
      expect(stage.sem.count).toBe(WRITER_LOCKED + WAITERS);
      killTask(killed);
      stage.go(killed);
      expect([killed.state, killed.result, stage.sem.count]).toEqual([TASK_DONE, -EINTR, WRITER_LOCKED]);
      stage.step(w);
      expect(stage.sem.count).toBe(0);
    }
  });

  it('a killed first writer lets the readers behind it in beside the readers inside', () => {
    const stage = new Stage();
    const r1 = stage.reader('R1');
    const w = stage.writer('W');
    const r2 = stage.reader('R2');
    stage.go(r1, w, r2);
    killTask(w);
    stage.go(w);
    expect([w.result, stage.sem.count]).toEqual([-EINTR, 2 * READER_BIAS]);
    stage.go(r2);
    expect(stage.holders()).toEqual(['R1', 'R2']);
  });

  it.each(['reader', 'writer'] as const)('a killed %s behind the first changes nothing for the first', (kind) => {
    const stage = new Stage();
    const r = stage.reader('R');
    const w = stage.writer('W');
    const killed = stage[kind]('killed');
    stage.go(r, w, killed);
    stage.pass(WAIT_TIMEOUT + 1);
    killTask(killed);
    stage.go(killed);
    expect([killed.result, stage.sem.count, stage.queued(), w.state]).toEqual([-EINTR, 0x102, ['W'], TASK_WAITING]);
  });

  it('killed before it sleeps: -EINTR, out of the queue', () => {
    const stage = new Stage();
    const w = stage.writer('W');
    const r = stage.reader('R');
    stage.go(w);
    killTask(r);
    stage.go(r);
    expect([r.result, stage.sem.count]).toEqual([-EINTR, WRITER_LOCKED]);
  });

  it('a reader that was let in before it was killed has the lock', () => {
    const stage = new Stage();
    const w = stage.writer('W');
    const r = stage.reader('R');
    stage.go(w, r);
    stage.step(w);
    killTask(r);
    stage.go(r);
    expect(stage.holders()).toEqual(['R']);
  });

  it('a reader killed, then let in before it runs, has the lock', () => {
    const stage = new Stage();
    const w = stage.writer('W');
    const r = stage.reader('R');
    stage.go(w, r);
    killTask(r);
    stage.step(w);
    stage.go(r);
    expect(stage.holders()).toEqual(['R']);
  });

  it('a killed writer that finds the lock free takes it', () => {
    const stage = new Stage();
    const r = stage.reader('R');
    const w = stage.writer('W');
    stage.go(r, w);
    killTask(w);
    stage.step(r);
    stage.go(w);
    expect(stage.holders()).toEqual(['W']);
  });

  it('does not end a wait that is not killable', () => {
    for (const isWriter of [false, true]) {
      const stage = new Stage();
      const w = stage.writer('W');
      const task = stage.stubborn('stubborn', isWriter);
      stage.go(w, task);
      killTask(task);
      expect(task.state).toBe(TASK_WAITING);
      stage.step(w);
      stage.go(task);
      expect(stage.holders()).toEqual(['stubborn']);
    }
  });
});

describe('a signal that is not fatal', () => {
  it.each([
    [
      'ends an interruptible wait with -EINTR, no trace left',
      downReadInterruptible,
      [TASK_DONE, -EINTR, WRITER_LOCKED],
    ],
    ['does not end a killable one', downReadKillable, [TASK_WAITING, undefined, WRITER_LOCKED + WAITERS]],
  ] as const)('%s', (_what, down, wanted) => {
    const sched = createSched();
    const sem = createRwsem('sem');
    const writer = spawn(sched, 'writer', downWrite(sched, sem));
    const reader = spawn(sched, 'reader', down(sched, sem));
    for (const task of [writer, writer, reader, reader, reader]) stepTask(sched, task);
    expect([reader.state, sem.count]).toEqual([TASK_WAITING, WRITER_LOCKED + WAITERS]);
    signalTask(reader);
    if (reader.state !== TASK_WAITING) stepTask(sched, reader);
    expect([reader.state, reader.result, sem.count]).toEqual(wanted);
  });
});
