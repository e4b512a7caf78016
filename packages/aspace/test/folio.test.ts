import { describe, expect, it } from 'vitest';
import {
  folioAddNewAnonRmap,
  folioAnonVma,
  folioDupAnonRmap,
  folioMoveAnonRmap,
  folioRemoveRmap,
  folioTestAnon,
  folioTrylock,
  folioUnlock,
  Memory,
  pageAnonExclusive,
} from '@mmkit/aspace';
import * as coloured from '@mmkit/aspace/sched';
import { allocPages, COLD_INDEX, COLD_WORDS, GFP_KERNEL, pageMapCount, PG_LOCKED, testFlag } from '@mmkit/phys';
import { runTask, spawn, stepTask, TASK_DONE, TASK_WAITING } from '@mmkit/task';
import { builds, codeOf, machine } from './builds.ts';

function frame(): [Memory, number] {
  const memory = machine();
  return [memory, allocPages(memory.phys, GFP_KERNEL, 0)];
}

describe('the reverse map as counts', () => {
  it('B.15 #1: a page newly mapped is anonymous, exclusive, and mapped once', () => {
    const [{ phys }, pfn] = frame();
    expect(folioTestAnon(phys, pfn)).toBe(false);
    folioAddNewAnonRmap(phys, pfn, 3, 17);
    expect(folioTestAnon(phys, pfn)).toBe(true);
    expect(folioAnonVma(phys, pfn)).toBe(3);
    expect(pageAnonExclusive(phys, pfn)).toBe(true);
    expect(pageMapCount(phys, pfn)).toBe(1);
    expect(phys.cold[pfn * COLD_WORDS + COLD_INDEX]).toBe(17);
  });

  it('B.15 #4: fork maps it once more and it is exclusive no longer', () => {
    const [{ phys }, pfn] = frame();
    folioAddNewAnonRmap(phys, pfn, 3, 17);
    folioDupAnonRmap(phys, pfn);
    expect(pageMapCount(phys, pfn)).toBe(2);
    expect(pageAnonExclusive(phys, pfn)).toBe(false);
  });

  it('N.4: a sole owner takes it over: its own anon_vma, exclusive again', () => {
    const [{ phys }, pfn] = frame();
    folioAddNewAnonRmap(phys, pfn, 3, 17);
    folioDupAnonRmap(phys, pfn);
    folioRemoveRmap(phys, pfn);
    folioMoveAnonRmap(phys, pfn, 4);
    expect([folioAnonVma(phys, pfn), pageMapCount(phys, pfn), pageAnonExclusive(phys, pfn)]).toEqual([4, 1, true]);
  });

  it('a page that is mapped cannot be new: RMAP_NOT_NEW, nothing changed', () => {
    const [{ phys }, pfn] = frame();
    folioAddNewAnonRmap(phys, pfn, 3, 17);
    const before = phys.hot.slice();
    expect(codeOf(() => folioAddNewAnonRmap(phys, pfn, 4, 18))).toBe('RMAP_NOT_NEW');
    expect(phys.hot).toEqual(before);
    expect(phys.cold[pfn * COLD_WORDS + COLD_INDEX]).toBe(17);
  });

  it('a mapping that is not there cannot go: RMAP_BELOW_ZERO, nothing changed', () => {
    const [{ phys }, pfn] = frame();
    const before = phys.hot.slice();
    expect(codeOf(() => folioRemoveRmap(phys, pfn))).toBe('RMAP_BELOW_ZERO');
    expect(phys.hot).toEqual(before);
  });
});

describe('folio locks', () => {
  it('one holder: a second try fails, unlocking frees it', () => {
    const [memory, pfn] = frame();
    expect(folioTrylock(memory, pfn)).toBe(true);
    expect(testFlag(memory.phys, pfn, PG_LOCKED)).toBe(true);
    expect(folioTrylock(memory, pfn)).toBe(false);
    folioUnlock(memory, pfn);
    expect(folioTrylock(memory, pfn)).toBe(true);
  });

  it('unlocking what is not locked: LOCK_NOT_HELD', () => {
    const [memory, pfn] = frame();
    expect(codeOf(() => folioUnlock(memory, pfn))).toBe('LOCK_NOT_HELD');
  });

  it.each(builds)('%s: folioLock takes a free lock', (_, api) => {
    const [memory, pfn] = frame();
    api.folioLock(memory, pfn);
    expect(folioTrylock(memory, pfn)).toBe(false);
  });

  it.each(builds)('%s: nobody will ever unlock it: DEADLOCK', (_, api) => {
    const [memory, pfn] = frame();
    folioTrylock(memory, pfn);
    expect(codeOf(() => api.folioLock(memory, pfn))).toBe('DEADLOCK');
  });

  it('sched: a second task sleeps until the first unlocks', () => {
    const [memory, pfn] = frame();
    runTask(memory.sched, coloured.folioLock(memory, pfn));
    const task = spawn(memory.sched, 'second', coloured.folioLock(memory, pfn));
    stepTask(memory.sched, task);
    stepTask(memory.sched, task);
    expect(task.state).toBe(TASK_WAITING);
    folioUnlock(memory, pfn);
    stepTask(memory.sched, task);
    expect(task.state).toBe(TASK_DONE);
    expect(testFlag(memory.phys, pfn, PG_LOCKED)).toBe(true);
  });
});
