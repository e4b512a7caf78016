/** Who has waited too long comes next: sched build, stepped by hand. */
import { describe, expect, it } from 'vitest';
import { EINTR } from '@mmkit/base';
import { HANDOFF, READER_BIAS, WAIT_TIMEOUT, WAITERS, WRITER_LOCKED } from '@mmkit/rwsem';
import { killTask, runAll, TASK_WAITING } from '@mmkit/task';
import type { SimTask } from '@mmkit/task';
import { Stage } from './actors.ts';

describe('N.18: handoff', () => {
  /** R1 holds, W waits first for `ns`, is woken, and finds the lock stolen by `thief`, which holds it. */
  function stolenAfter(ns: number): { stage: Stage; w: SimTask; thief: SimTask } {
    const stage = new Stage();
    const r1 = stage.reader('R1');
    const w = stage.writer('W');
    const thief = stage.reader('thief');
    stage.go(r1, w);
    stage.pass(ns);
    stage.step(r1);
    stage.go(thief, w);
    return { stage, w, thief };
  }

  it('is asked for by the first waiter when it fails after more than 4 ms', () => {
    expect(stolenAfter(WAIT_TIMEOUT).stage.sem.count).toBe(READER_BIAS + WAITERS);
    expect(stolenAfter(WAIT_TIMEOUT + 1).stage.sem.count).toBe(READER_BIAS + WAITERS + HANDOFF);
    expect(WAIT_TIMEOUT).toBe(4e6);
  });

  it('ends stealing: readers and writers queue although the lock is free, until the first waiter has had it', () => {
    const { stage, w, thief } = stolenAfter(WAIT_TIMEOUT + 1);
    stage.step(thief);
    const r = stage.reader('R');
    const w2 = stage.writer('W2');
    stage.go(r, w2);
    expect([stage.holders(), stage.queued(), stage.sem.count]).toEqual([[], ['W', 'R', 'W2'], WAITERS + HANDOFF]);
    stage.go(w);
    expect([stage.holders(), stage.sem.count]).toEqual([['W'], WRITER_LOCKED + WAITERS]);
    runAll(stage.sched);
    expect(stage.sem.count).toBe(0);
  });

  it('is inherited by the next writer when the first is killed', () => {
    const { stage, w, thief } = stolenAfter(WAIT_TIMEOUT + 1);
    const w2 = stage.writer('W2');
    stage.go(w2);
    killTask(w);
    stage.go(w);
    expect([w.result, stage.sem.count, w2.state]).toEqual([-EINTR, READER_BIAS + WAITERS + HANDOFF, 0]);
    stage.go(w2);
    expect(stage.sem.waiters[0]!.handoffSet).toBe(true);
    stage.step(thief);
    const w3 = stage.writer('W3');
    stage.go(w3);
    expect(stage.holders()).toEqual([]);
    stage.go(w2);
    expect([stage.holders(), stage.sem.count]).toEqual([['W2'], WRITER_LOCKED + WAITERS]);
  });

  it('nobody has inherited yet: a writer that comes may still steal', () => {
    const { stage, w, thief } = stolenAfter(WAIT_TIMEOUT + 1);
    const w2 = stage.writer('W2');
    stage.go(w2);
    killTask(w);
    stage.go(w);
    stage.step(thief);
    const w3 = stage.writer('W3');
    stage.go(w3);
    expect([stage.holders(), stage.queued(), stage.sem.count]).toEqual([['W3'], ['W2'], WRITER_LOCKED + WAITERS]);
  });

  it('is taken back when the queue becomes empty', () => {
    const { stage, w } = stolenAfter(WAIT_TIMEOUT + 1);
    killTask(w);
    stage.go(w);
    expect([stage.sem.count, stage.queued()]).toEqual([READER_BIAS, []]);
  });

  it('is asked for by a reader that has come to the head behind a writer that holds the lock', () => {
    const stage = new Stage();
    const w1 = stage.writer('W1');
    const w2 = stage.writer('W2');
    const r = stage.reader('R');
    const r2 = stage.reader('R2');
    stage.go(w1, w2, r, r2);
    stage.pass(WAIT_TIMEOUT + 1);
    killTask(w2);
    stage.go(w2);
    expect([stage.sem.count, r.state]).toEqual([WRITER_LOCKED + WAITERS + HANDOFF, TASK_WAITING]);
    stage.step(w1);
    expect(stage.sem.count).toBe(2 * READER_BIAS);
  });

  it('is not asked for by a reader that has come to the head in time', () => {
    const stage = new Stage();
    const w1 = stage.writer('W1');
    const w2 = stage.writer('W2');
    const r = stage.reader('R');
    stage.go(w1, w2, r);
    stage.pass(WAIT_TIMEOUT);
    killTask(w2);
    stage.go(w2);
    expect(stage.sem.count).toBe(WRITER_LOCKED + WAITERS);
  });
});
