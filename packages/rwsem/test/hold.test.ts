/** Holding and giving back, where nobody waits: the same in both builds. */
import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { EINTR } from '@mmkit/base';
import { createRwsem, OWNER_READER, READER_BIAS, WAITERS, WRITER_LOCKED } from '@mmkit/rwsem';
import * as coloured from '@mmkit/rwsem/sched';
import { addEvent, createSched, killTask, spawn, stepTask } from '@mmkit/task';
import type { Sched, SimTask } from '@mmkit/task';
import { builds, picture, thrown } from './builds.ts';

/** A task that has taken `sem` for writing and keeps it. */
function heldByAnother(sched: Sched, sem: coloured.RwSem): SimTask {
  const task = spawn(sched, 'another', coloured.downWrite(sched, sem));
  stepTask(sched, task);
  stepTask(sched, task);
  return task;
}

describe.each(builds)('%s', (build, rwsem) => {
  it('N.18: every reader adds 256 to the count and takes it away again', () => {
    const sched = createSched();
    const sem = createRwsem();
    rwsem.downRead(sched, sem);
    expect(sem.count).toBe(0x100);
    expect(rwsem.downReadKillable(sched, sem)).toBe(0);
    expect(sem.count).toBe(0x200);
    expect(rwsem.downReadTrylock(sem)).toBe(true);
    expect([sem.count, rwsem.readerCount(sem)]).toEqual([0x300, 3]);
    for (let i = 0; i < 3; i++) rwsem.upRead(sched, sem);
    expect([sem.count, rwsem.readerCount(sem)]).toEqual([0, 0]);
  });

  it('N.18: a writer sets bit 0, and readers and writers that try fail', () => {
    const sched = createSched();
    const sem = createRwsem();
    expect(rwsem.downWriteTrylock(sched, sem)).toBe(true);
    expect([sem.count, sem.owner]).toEqual([WRITER_LOCKED, sched.current]);
    const before = picture(sem);
    expect(rwsem.downReadTrylock(sem)).toBe(false);
    expect(rwsem.downWriteTrylock(sched, sem)).toBe(false);
    expect(picture(sem)).toEqual(before);
    rwsem.upWrite(sched, sem);
    expect([sem.count, sem.owner]).toEqual([0, null]);
  });

  it('N.18: who was the last writer is no owner: it may not give back again, nor for readers, and may read', () => {
    const sched = createSched();
    const sem = createRwsem();
    rwsem.downWriteTrylock(sched, sem);
    rwsem.upWrite(sched, sem);
    expect([sem.owner, sem.ownerFlags, thrown(() => rwsem.upWrite(sched, sem))]).toEqual([null, 0, 'LOCK_NOT_HELD']);
    rwsem.downRead(sched, sem);
    expect([sem.owner, sem.ownerFlags]).toEqual([null, OWNER_READER]);
    expect(thrown(() => rwsem.upWrite(sched, sem))).toBe('LOCK_NOT_HELD');
    rwsem.downRead(sched, sem);
    expect([sem.count, rwsem.isWriteLocked(sem)]).toEqual([2 * READER_BIAS, false]);
  });

  it('N.18: a writer after another is the owner', () => {
    const sched = createSched();
    const sem = createRwsem();
    rwsem.downWriteTrylock(sched, sem);
    rwsem.upWrite(sched, sem);
    expect(heldByAnother(sched, sem)).toBe(sem.owner);
    expect(thrown(() => rwsem.upWrite(sched, sem))).toBe('LOCK_NOT_HELD');
  });

  it('N.18: a writer that tries fails beside a reader; a reader does not', () => {
    const sched = createSched();
    const sem = createRwsem();
    rwsem.downRead(sched, sem);
    expect(rwsem.downWriteTrylock(sched, sem)).toBe(false);
    expect(rwsem.downReadTrylock(sem)).toBe(true);
  });

  it('N.18: a downgrade makes the count −1 + 256 and lets other readers in', () => {
    const sched = createSched();
    const sem = createRwsem();
    rwsem.downWriteTrylock(sched, sem);
    rwsem.downgradeWrite(sched, sem);
    expect([sem.count, sem.owner]).toEqual([READER_BIAS, null]);
    expect(rwsem.downReadTrylock(sem)).toBe(true);
    rwsem.upRead(sched, sem);
    rwsem.upRead(sched, sem);
    expect(sem.count).toBe(0);
  });

  it('giving back what is not held is LOCK_NOT_HELD and changes nothing', () => {
    const sched = createSched();
    const sem = createRwsem('sem');
    const refused = (call: (sched: Sched, sem: coloured.RwSem) => void): void => {
      const before = picture(sem);
      expect(thrown(() => call(sched, sem))).toBe('LOCK_NOT_HELD');
      expect(picture(sem)).toEqual(before);
    };
    refused(rwsem.upRead);
    refused(rwsem.upWrite);
    refused(rwsem.downgradeWrite);
    rwsem.downRead(sched, sem);
    refused(rwsem.upWrite);
    refused(rwsem.downgradeWrite);
    rwsem.upRead(sched, sem);
    heldByAnother(sched, sem);
    refused(rwsem.upRead);
    refused(rwsem.upWrite);
    refused(rwsem.downgradeWrite);
  });

  it('a reader between fast and slow path is no holder', () => {
    const sched = createSched();
    const sem = createRwsem();
    rwsem.downWriteTrylock(sched, sem);
    const reader = spawn(sched, 'reader', coloured.downRead(sched, sem));
    stepTask(sched, reader);
    stepTask(sched, reader);
    rwsem.upWrite(sched, sem);
    expect([sem.count, rwsem.readerCount(sem), rwsem.isLocked(sem)]).toEqual([READER_BIAS, 0, false]);
    expect(thrown(() => rwsem.upRead(sched, sem))).toBe('LOCK_NOT_HELD');
    stepTask(sched, reader);
    expect([sem.count, rwsem.readerCount(sem), rwsem.isLocked(sem)]).toEqual([READER_BIAS, 1, true]);
  });

  it('N.23: assertHeld accepts read or write, assertHeldWrite only write', () => {
    const sched = createSched();
    const sem = createRwsem();
    const state = (): unknown[] => [
      thrown(() => rwsem.assertHeld(sem)),
      thrown(() => rwsem.assertHeldWrite(sem)),
      rwsem.isLocked(sem),
      rwsem.isWriteLocked(sem),
    ];
    expect(state()).toEqual(['LOCK_NOT_HELD', 'LOCK_NOT_HELD', false, false]);
    rwsem.downRead(sched, sem);
    expect(state()).toEqual(['nothing', 'LOCK_NOT_HELD', true, false]);
    rwsem.upRead(sched, sem);
    rwsem.downWriteTrylock(sched, sem);
    expect(state()).toEqual(['nothing', 'nothing', true, true]);
  });

  it('a signal does not keep anybody from a free semaphore', () => {
    const sched = createSched();
    const sem = createRwsem();
    killTask(sched.current);
    expect(rwsem.downReadKillable(sched, sem)).toBe(0);
    rwsem.upRead(sched, sem);
    expect(rwsem.downWriteKillable(sched, sem)).toBe(0);
  });

  it.each(['downRead', 'downReadKillable', 'downWrite', 'downWriteKillable'] as const)(
    '%s: nothing could end the wait: DEADLOCK, and in the plain build nothing is changed',
    (down) => {
      const sched = createSched();
      const sem = createRwsem('sem');
      heldByAnother(sched, sem);
      const before = picture(sem);
      expect(thrown(() => rwsem[down](sched, sem))).toBe('DEADLOCK');
      if (build === 'plain') expect(picture(sem)).toEqual(before);
    },
  );

  it('a wait ends when a pending event gives the semaphore back', () => {
    const sched = createSched();
    const sem = createRwsem();
    rwsem.downRead(sched, sem);
    addEvent(sched, 1000, 'nothing of interest', () => {});
    addEvent(sched, 3000, 'read hold ends', () => rwsem.upRead(sched, sem));
    rwsem.downWrite(sched, sem);
    expect([sem.count, sched.now]).toEqual([WRITER_LOCKED, 3000]);
  });

  it('counts beyond 32 bits are right', () => {
    const sched = createSched();
    const sem = createRwsem();
    sem.count = 2 ** 40;
    rwsem.downRead(sched, sem);
    expect([sem.count, rwsem.readerCount(sem)]).toEqual([2 ** 40 + 256, 2 ** 32 + 1]);
    addEvent(sched, 0, 'all go', () => {
      expect(sem.count).toBe(2 ** 40 + 256 + WAITERS);
      sem.count = 256 + WAITERS;
      rwsem.upRead(sched, sem);
    });
    rwsem.downWrite(sched, sem);
    expect(sem.count).toBe(WRITER_LOCKED);
  });
});

describe('plain', () => {
  const [, rwsem] = builds[0]!;

  it.each(['downRead', 'downReadKillable', 'downWrite', 'downWriteKillable'] as const)(
    '%s by the writer itself is LOCK_RECURSION and changes nothing',
    (down) => {
      const sched = createSched();
      const sem = createRwsem('sem');
      rwsem.downWrite(sched, sem);
      const before = picture(sem);
      expect(thrown(() => rwsem[down](sched, sem))).toBe('LOCK_RECURSION');
      expect(picture(sem)).toEqual(before);
    },
  );

  it('N.18: there is no upgrade: a reader that asks for writing is DEADLOCK and changes nothing', () => {
    const sched = createSched();
    const sem = createRwsem('sem');
    rwsem.downRead(sched, sem);
    const before = picture(sem);
    expect(thrown(() => rwsem.downWrite(sched, sem))).toBe('DEADLOCK');
    expect(picture(sem)).toEqual(before);
  });

  it.each(['downReadKillable', 'downWriteKillable'] as const)('%s: a killed caller gets -EINTR', (down) => {
    const sched = createSched();
    const sem = createRwsem('sem');
    heldByAnother(sched, sem);
    const before = picture(sem);
    addEvent(sched, 5, 'signal', () => killTask(sched.current));
    expect([rwsem[down](sched, sem), sched.now]).toEqual([-EINTR, 5]);
    expect([rwsem[down](sched, sem), sched.now]).toEqual([-EINTR, 5]);
    expect(picture(sem)).toEqual(before);
  });

  it('behaves as a counter of readers and a writer flag, whatever the calls', () => {
    const calls = ['readTry', 'writeTry', 'upRead', 'upWrite', 'downgrade'] as const;
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...calls), { maxLength: 60 }), (sequence) => {
        const sched = createSched();
        const sem = createRwsem();
        let readers = 0;
        let writer = false;
        for (const call of sequence) {
          if (call === 'readTry') {
            expect(rwsem.downReadTrylock(sem)).toBe(!writer);
            if (!writer) readers++;
          } else if (call === 'writeTry') {
            expect(rwsem.downWriteTrylock(sched, sem)).toBe(!writer && readers === 0);
            writer ||= readers === 0;
          } else if (call === 'upRead') {
            expect(thrown(() => rwsem.upRead(sched, sem))).toBe(readers > 0 ? 'nothing' : 'LOCK_NOT_HELD');
            readers = Math.max(0, readers - 1);
          } else {
            const give = call === 'upWrite' ? rwsem.upWrite : rwsem.downgradeWrite;
            expect(thrown(() => give(sched, sem))).toBe(writer ? 'nothing' : 'LOCK_NOT_HELD');
            if (writer && call === 'downgrade') readers++;
            writer = false;
          }
          expect(sem.count).toBe(readers * READER_BIAS + (writer ? WRITER_LOCKED : 0));
        }
      }),
    );
  });
});
