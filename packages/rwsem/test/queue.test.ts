/** Who comes in when several want the semaphore: sched build, stepped by hand. */
import { describe, expect, it } from 'vitest';
import {
  createRwsem,
  downReadTrylock,
  downWriteTrylock,
  HANDOFF,
  isContended,
  MAX_READERS_WAKEUP,
  READER_BIAS,
  readerCount,
  upRead,
  upWrite,
  WAIT_TIMEOUT,
  WAITERS,
  WRITER_LOCKED,
} from '@mmkit/rwsem';
import { downRead, downWrite } from '@mmkit/rwsem/sched';
import { createSched, localIrqRestore, runAll, runTask, spawn, stepTask, TASK_WAITING } from '@mmkit/task';
import type { SimTask } from '@mmkit/task';
import { localIrqSave } from '@mmkit/task/sched';
import { Stage } from './actors.ts';
import { picture, thrown } from './builds.ts';

describe('E.2: the count', () => {
  it('of two readers, a writer and a third reader goes 100 200 202 302 202 102 002 003', () => {
    const stage = new Stage();
    const { sem } = stage;
    const r1 = stage.reader('R1');
    const r2 = stage.reader('R2');
    const w = stage.writer('W');
    const r3 = stage.reader('R3');
    stage.go(r1);
    expect(sem.count).toBe(0x100);
    stage.go(r2);
    expect(sem.count).toBe(0x200);
    stage.go(w);
    expect(sem.count).toBe(0x202);
    stage.step(r3, r3);
    expect(sem.count).toBe(0x302);
    stage.step(r3);
    expect([sem.count, r3.state]).toEqual([0x202, TASK_WAITING]);
    stage.step(r1);
    expect(sem.count).toBe(0x102);
    stage.step(r2);
    expect([sem.count, w.state]).toEqual([0x002, 0]);
    stage.go(w);
    expect([sem.count, sem.owner, stage.queued()]).toEqual([0x003, w, ['R3']]);
    stage.step(w);
    expect(sem.count).toBe(0x100);
    stage.go(r3);
    stage.step(r3);
    expect(sem.count).toBe(0);
  });

  it('is 001 when the writer that takes it was alone in the queue', () => {
    const stage = new Stage();
    const r = stage.reader('R');
    const w = stage.writer('W');
    stage.go(r, w);
    stage.step(r);
    expect(stage.sem.count).toBe(0x002);
    stage.go(w);
    expect(stage.sem.count).toBe(0x001);
  });
});

describe('N.18: who comes in', () => {
  it('a waiting writer stops new readers, by the fast path and by trying', () => {
    const stage = new Stage();
    const r1 = stage.reader('R1');
    const w = stage.writer('W');
    const r2 = stage.reader('R2');
    stage.go(r1, w);
    expect([downReadTrylock(stage.sem), downWriteTrylock(stage.sched, stage.sem)]).toEqual([false, false]);
    stage.go(r2);
    expect([stage.holders(), stage.queued(), isContended(stage.sem)]).toEqual([['R1'], ['W', 'R2'], true]);
  });

  it('a reader steals the lock that the last holder has left and the woken writer has not yet taken', () => {
    const stage = new Stage();
    const r1 = stage.reader('R1');
    const w = stage.writer('W');
    const thief = stage.reader('thief');
    stage.go(r1, w);
    stage.step(r1);
    stage.go(thief);
    expect([stage.holders(), stage.sem.count]).toEqual([['thief'], READER_BIAS + WAITERS]);
    stage.go(w);
    expect([w.state, stage.queued()]).toEqual([TASK_WAITING, ['W']]);
    stage.step(thief);
    stage.go(w);
    expect(stage.holders()).toEqual(['W']);
  });

  it('but not when another reader is inside: the writer would starve', () => {
    const stage = new Stage();
    const r1 = stage.reader('R1');
    const w = stage.writer('W');
    const thieves = [stage.reader('first'), stage.reader('second')] as const;
    stage.go(r1, w);
    stage.step(r1);
    stage.go(...thieves);
    expect([stage.holders(), stage.queued()]).toEqual([['first'], ['W', 'second']]);
  });

  it.each(['fast path', 'queue'])(
    "a writer that came by the %s makes the lock nobody's: a reader may steal beside one that tries",
    (way) => {
      const stage = new Stage();
      const r = stage.reader('R');
      const w1 = stage.writer('W1');
      const w2 = stage.writer('W2');
      const thieves = [stage.reader('first'), stage.reader('second')] as const;
      stage.go(r);
      if (way === 'queue') stage.go(w1);
      stage.step(r);
      stage.go(w1, w2);
      stage.step(w1);
      stage.step(thieves[0], thieves[0], thieves[1], thieves[1]);
      expect([stage.sem.ownerFlags, stage.sem.count]).toEqual([0, 2 * READER_BIAS + WAITERS]);
      stage.go(...thieves);
      // The first to go on makes the lock the readers'; the second finds that and lets the writer have its turn.
      expect([stage.holders(), stage.queued()]).toEqual([['first'], ['W2', 'second']]);
    },
  );

  it('a writer steals the free lock from one that was woken', () => {
    const stage = new Stage();
    const r = stage.reader('R');
    const w1 = stage.writer('W1');
    const w2 = stage.writer('W2');
    stage.go(r, w1);
    stage.step(r);
    stage.go(w2);
    expect([stage.holders(), stage.queued(), stage.sem.count]).toEqual([['W2'], ['W1'], WRITER_LOCKED + WAITERS]);
    runAll(stage.sched);
    expect(stage.sem.count).toBe(0);
  });

  it('a writer gone lets in all queued readers, those behind other writers too: phases', () => {
    const stage = new Stage();
    const tasks = [stage.writer('W1')];
    for (const n of [1, 2, 3]) tasks.push(stage.reader(`R${n}`), stage.writer(`W${n + 1}`));
    stage.go(...tasks);
    expect(stage.queued()).toEqual(['R1', 'W2', 'R2', 'W3', 'R3', 'W4']);
    stage.step(tasks[0]!);
    expect([stage.sem.count, stage.queued()]).toEqual([3 * READER_BIAS + WAITERS, ['W2', 'W3', 'W4']]);
    stage.go(tasks[1]!, tasks[3]!, tasks[5]!);
    expect(stage.holders()).toEqual(['R1', 'R2', 'R3']);
    runAll(stage.sched);
    expect([stage.sem.count, stage.queued()]).toEqual([0, []]);
  });

  it('a writer gone wakes the writer at the head only; readers behind it stay', () => {
    const stage = new Stage();
    const w1 = stage.writer('W1');
    const w2 = stage.writer('W2');
    const r = stage.reader('R');
    stage.go(w1, w2, r);
    stage.step(w1);
    expect([w2.state, r.state, stage.sem.count]).toEqual([0, TASK_WAITING, WAITERS]);
  });

  /** A writer W that holds it, and two more readers in the queue than one wake-up lets in. */
  function crowd(): { stage: Stage; w: SimTask; readers: SimTask[] } {
    const stage = new Stage();
    const w = stage.writer('W');
    stage.go(w);
    const readers = Array.from({ length: MAX_READERS_WAKEUP + 2 }, (_, i) => stage.reader(`R${i}`));
    stage.go(...readers);
    return { stage, w, readers };
  }

  it.each(['reader', 'writer'] as const)(
    'at most 256 readers come in at one wake-up; a %s that queues lets in more',
    (kind) => {
      const { stage, w } = crowd();
      stage.step(w);
      expect([readerCount(stage.sem), stage.queued()]).toEqual([256, ['R256', 'R257']]);
      const late = stage[kind]('late');
      stage.go(late);
      expect(stage.queued()).toEqual(kind === 'reader' ? [] : ['late']);
      expect(readerCount(stage.sem)).toBe(kind === 'reader' ? 259 : 258);
      runAll(stage.sched);
      expect(stage.sem.count).toBe(0);
    },
  );

  it('a reader that steals lets in the readers at the head too', () => {
    const { stage, w, readers } = crowd();
    stage.step(w);
    const thief = stage.reader('thief');
    stage.step(thief, thief);
    for (const reader of readers.slice(0, 256)) {
      stage.go(reader);
      stage.step(reader);
    }
    expect([stage.sem.count, stage.queued()]).toEqual([READER_BIAS + WAITERS, ['R256', 'R257']]);
    stage.step(thief);
    expect([stage.sem.count, stage.queued()]).toEqual([3 * READER_BIAS, []]);
  });

  it('a downgrade lets the readers at the head in, and no writer', () => {
    const stage = new Stage();
    const d = stage.downgrader('D');
    const r1 = stage.reader('R1');
    const w = stage.writer('W');
    const r2 = stage.reader('R2');
    stage.go(d, r1, w, r2);
    stage.step(d);
    expect([stage.sem.count, stage.queued()]).toEqual([3 * READER_BIAS + WAITERS, ['W']]);
    expect(w.state).toBe(TASK_WAITING);
    runAll(stage.sched);
    expect(stage.sem.count).toBe(0);
  });

  it('a downgrade with a writer at the head lets nobody in', () => {
    const stage = new Stage();
    const d = stage.downgrader('D');
    const w = stage.writer('W');
    const r = stage.reader('R');
    stage.go(d, w, r);
    stage.step(d);
    expect([stage.sem.count, stage.queued(), w.state]).toEqual([READER_BIAS + WAITERS, ['W', 'R'], TASK_WAITING]);
    stage.go(stage.reader('late'));
    expect(stage.queued()).toEqual(['W', 'R', 'late']);
    runAll(stage.sched);
    expect(stage.sem.count).toBe(0);
  });

  it('a reader in transit that hides the last release from the wake rule wakes the writer itself', () => {
    const stage = new Stage();
    const r1 = stage.reader('R1');
    const w = stage.writer('W');
    const r2 = stage.reader('R2');
    stage.go(r1, w);
    stage.pass(WAIT_TIMEOUT + 1);
    stage.step(r1);
    const thief = stage.reader('thief');
    stage.go(thief);
    stage.go(w);
    expect(stage.sem.count).toBe(READER_BIAS + WAITERS + HANDOFF);
    stage.step(r2, r2);
    stage.step(thief);
    expect([stage.sem.count, w.state]).toEqual([READER_BIAS + WAITERS + HANDOFF, TASK_WAITING]);
    stage.step(r2);
    expect([stage.sem.count, w.state, r2.state]).toEqual([WAITERS + HANDOFF, 0, TASK_WAITING]);
    runAll(stage.sched);
    expect(stage.sem.count).toBe(0);
  });
});

describe('misuse', () => {
  it.each([
    ['downRead', downRead],
    ['downWrite', downWrite],
  ] as const)('%s by the writer itself is LOCK_RECURSION and changes nothing', (_name, down) => {
    const sched = createSched();
    const sem = createRwsem('sem');
    let before = {};
    const code = thrown(() =>
      runTask(
        sched,
        (function* () {
          yield* downWrite(sched, sem);
          before = picture(sem);
          yield* down(sched, sem);
        })(),
      ),
    );
    expect([code, picture(sem)]).toEqual(['LOCK_RECURSION', before]);
  });

  it('N.18: reading twice with a writer waiting in between deadlocks, and the report says so', () => {
    const sched = createSched();
    const sem = createRwsem('mmap_lock');
    const r = spawn(
      sched,
      'R',
      (function* () {
        yield* downRead(sched, sem);
        yield 100;
        yield* downRead(sched, sem);
      })(),
    );
    stepTask(sched, r);
    stepTask(sched, r);
    spawn(sched, 'W', downWrite(sched, sem));
    stepTask(sched, sched.tasks[2]!);
    stepTask(sched, sched.tasks[2]!);
    stepTask(sched, sched.tasks[2]!);
    expect(() => runAll(sched)).toThrow('DEADLOCK: R waits for mmap_lock; W waits for mmap_lock');
  });

  it('who may not sleep leaves the queue and wakes the next', () => {
    const sched = createSched({ cpus: 4 });
    const sem = createRwsem('sem');
    const atomic = spawn(
      sched,
      'atomic',
      (function* () {
        yield* localIrqSave(sched);
        yield* downWrite(sched, sem);
      })(),
    );
    const holder = spawn(sched, 'holder', downRead(sched, sem));
    stepTask(sched, holder);
    stepTask(sched, holder);
    stepTask(sched, atomic);
    stepTask(sched, atomic);
    stepTask(sched, atomic);
    const before = picture(sem);
    expect(thrown(() => stepTask(sched, atomic))).toBe('SLEEP_IN_ATOMIC');
    expect(picture(sem)).toEqual(before);
    sched.current = atomic;
    localIrqRestore(sched);
    sched.current = sched.tasks[0]!;
    expect(downReadTrylock(sem)).toBe(true);
    upRead(sched, sem);
  });

  it('upWrite by another than the writer is LOCK_NOT_HELD and changes nothing', () => {
    const stage = new Stage();
    const w = stage.writer('W');
    stage.go(w);
    const before = picture(stage.sem);
    expect(thrown(() => upWrite(stage.sched, stage.sem))).toBe('LOCK_NOT_HELD');
    expect(picture(stage.sem)).toEqual(before);
  });
});
