/** What others are told of the semaphore: the lock-order checker and an explorer of @mmkit/task. Both builds. */
import { describe, expect, it } from 'vitest';
import { createRwsem, type RwSem } from '@mmkit/rwsem';
import * as coloured from '@mmkit/rwsem/sched';
import { createLockdep, createSched, Footprint, lockClass, lockHolders, registerLockOrder } from '@mmkit/task';
import { runAll, type Sched, SINGLE_DEPTH_NESTING, spawn, stepTask } from '@mmkit/task';
import { builds, thrown } from './builds.ts';

function checked(): { sched: Sched; outer: RwSem; inner: RwSem } {
  const sched = createSched();
  sched.lockdep = createLockdep();
  return { sched, outer: createRwsem('outer'), inner: createRwsem('an inner one', lockClass('inner')) };
}

describe('the order of locks, plain', () => {
  const [, rwsem] = builds[0]!;
  const { downRead, downReadKillable, downReadTrylock, downWrite, downWriteKillable, downWriteTrylock } = rwsem;
  const { downgradeWrite, downReadInterruptible, upRead, upWrite } = rwsem;

  it.each([
    ['downRead', downRead, upRead],
    ['downReadKillable', downReadKillable, upRead],
    ['downReadInterruptible', downReadInterruptible, upRead],
    ['downWrite', downWrite, upWrite],
    ['downWriteKillable', downWriteKillable, upWrite],
  ] as const)('%s against the order is LOCK_ORDER, before anything is taken', (_name, down, up) => {
    const { sched, outer, inner } = checked();
    down(sched, outer);
    down(sched, inner);
    up(sched, inner);
    up(sched, outer);
    down(sched, inner);
    expect(thrown(() => down(sched, outer))).toBe('LOCK_ORDER');
    expect(outer.count).toBe(0);
    up(sched, inner);
    expect(lockHolders(sched, inner)).toEqual([]);
  });

  it('classes are known by name, so that an order may be given', () => {
    const { sched, outer, inner } = checked();
    registerLockOrder(sched.lockdep!, [inner.cls, outer.cls]);
    downRead(sched, outer);
    expect(thrown(() => downRead(sched, inner))).toBe('LOCK_ORDER');
  });

  it('N.23: the second of a class needs a subclass, as in fork', () => {
    const sched = createSched();
    sched.lockdep = createLockdep();
    const [parent, child] = [createRwsem('mmap_lock'), createRwsem('mmap_lock')];
    downWrite(sched, parent);
    expect(thrown(() => downWrite(sched, child))).toBe('LOCK_ORDER');
    downWrite(sched, child, SINGLE_DEPTH_NESTING);
    expect([parent.count, child.count]).toEqual([1, 1]);
  });

  it('N.18: reading twice is LOCK_ORDER: a writer in between would stop both', () => {
    const { sched, outer } = checked();
    downRead(sched, outer);
    expect(thrown(() => downRead(sched, outer))).toBe('LOCK_ORDER');
    expect(outer.count).toBe(0x100);
  });

  it('trying adds no order, but what it took is held', () => {
    const { sched, outer, inner } = checked();
    downRead(sched, outer);
    expect([downReadTrylock(inner, sched), lockHolders(sched, inner)]).toEqual([true, [sched.current]]);
    upRead(sched, inner);
    expect([downWriteTrylock(sched, inner), lockHolders(sched, inner)]).toEqual([true, [sched.current]]);
    downgradeWrite(sched, inner);
    expect(lockHolders(sched, inner)).toEqual([sched.current]);
    upRead(sched, inner);
    upRead(sched, outer);
    downRead(sched, inner);
    downRead(sched, outer);
    expect(lockHolders(sched, outer)).toEqual([sched.current]);
  });
});

describe('what a step touches', () => {
  /** Accesses declared and noted while `call` ran. */
  function accesses(call: (sched: Sched) => void): [declared: number[], noted: number[], Footprint] {
    const sched = createSched();
    const footprint = new Footprint();
    sched.footprint = footprint;
    call(sched);
    return [footprint.declared, footprint.noted, footprint];
  }

  it.each(['downRead', 'downReadKillable', 'downReadInterruptible', 'downWrite', 'downWriteKillable'] as const)(
    '%s declares the semaphore, and only that: an explorer sees signals by itself',
    (down) => {
      const sem = createRwsem();
      const [declared, , footprint] = accesses((sched) => {
        stepTask(sched, spawn(sched, 'task', coloured[down](sched, sem)));
      });
      expect([footprint.objects.get(sem), declared]).toEqual([1, [3, -1]]);
    },
  );

  it('trying, giving back and downgrading note the semaphore as written', () => {
    const sem = createRwsem();
    const notes: number[][] = [];
    const [, , footprint] = accesses((sched) => {
      const calls = [
        () => coloured.downReadTrylock(sem, sched),
        () => coloured.upRead(sched, sem),
        () => coloured.downWriteTrylock(sched, sem),
        () => coloured.downgradeWrite(sched, sem),
        () => coloured.upRead(sched, sem),
        () => coloured.downWriteTrylock(sched, sem),
        () => coloured.upWrite(sched, sem),
      ];
      for (const call of calls) {
        call();
        notes.push(sched.footprint!.noted.splice(0));
      }
    });
    expect([footprint.objects.get(sem), notes]).toEqual([0, Array.from({ length: 7 }, () => [1, -1])]);
  });
});

it('a deadlock report names the writer that holds it', () => {
  const sched = createSched();
  const sem = createRwsem('sem');
  spawn(sched, 'holder', coloured.downWrite(sched, sem));
  spawn(sched, 'waiter', coloured.downRead(sched, sem));
  expect(() => runAll(sched)).toThrow('DEADLOCK: waiter waits for sem, held by holder');
});
