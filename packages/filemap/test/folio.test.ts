import { describe, expect, it } from 'vitest';
import { EINTR } from '@mmkit/base';
import { createFileCache, folioEndWriteback, folioTrylock, folioUnlock } from '@mmkit/filemap';
import type { FileCache } from '@mmkit/filemap';
import * as coloured from '@mmkit/filemap/sched';
import { allocPages, createPhys, GFP_KERNEL, PG_LOCKED, PG_WRITEBACK, setFlag, testFlag } from '@mmkit/phys';
import { addEvent, createSched, killTask, runTask, spawn, stepTask, TASK_DONE, TASK_WAITING } from '@mmkit/task';
import { builds, thrown } from './builds.ts';

function frame(): [FileCache, number] {
  const files = createFileCache(createSched(), createPhys({ frames: 16 }));
  return [files, allocPages(files.phys, GFP_KERNEL, 0)];
}

describe('folio locks', () => {
  it('one holder: a second try fails, unlocking frees it', () => {
    const [files, pfn] = frame();
    expect(folioTrylock(files, pfn)).toBe(true);
    expect(testFlag(files.phys, pfn, PG_LOCKED)).toBe(true);
    expect(folioTrylock(files, pfn)).toBe(false);
    folioUnlock(files, pfn);
    expect(folioTrylock(files, pfn)).toBe(true);
  });

  it('unlocking what is not locked: LOCK_NOT_HELD', () => {
    const [files, pfn] = frame();
    expect(thrown(() => folioUnlock(files, pfn))).toBe('LOCK_NOT_HELD');
  });

  it.each(builds)('%s: folioLock takes a free lock', (_, api) => {
    const [files, pfn] = frame();
    api.folioLock(files, pfn);
    expect(folioTrylock(files, pfn)).toBe(false);
  });

  it.each(builds)('%s: nobody will ever unlock it: DEADLOCK', (_, api) => {
    const [files, pfn] = frame();
    folioTrylock(files, pfn);
    expect(thrown(() => api.folioLock(files, pfn))).toBe('DEADLOCK');
  });

  it('sched: a second task sleeps until the first unlocks', () => {
    const [files, pfn] = frame();
    runTask(files.sched, coloured.folioLock(files, pfn));
    const task = spawn(files.sched, 'second', coloured.folioLock(files, pfn));
    stepTask(files.sched, task);
    stepTask(files.sched, task);
    expect(task.state).toBe(TASK_WAITING);
    folioUnlock(files, pfn);
    stepTask(files.sched, task);
    expect(task.state).toBe(TASK_DONE);
    expect(testFlag(files.phys, pfn, PG_LOCKED)).toBe(true);
  });

  it('sched: folio_lock_killable and folio_wait_locked_killable end with -EINTR, the lock not taken', () => {
    const [files, pfn] = frame();
    folioTrylock(files, pfn);
    for (const wait of [coloured.folioLockKillable, coloured.folioWaitLockedKillable]) {
      const task = spawn(files.sched, 'killed', wait(files, pfn));
      while (task.state !== TASK_WAITING) stepTask(files.sched, task);
      killTask(task);
      stepTask(files.sched, task);
      expect([task.state, task.result]).toEqual([TASK_DONE, -EINTR]);
    }
    folioUnlock(files, pfn);
    expect(testFlag(files.phys, pfn, PG_LOCKED)).toBe(false);
  });
});

describe.each(builds)('%s build', (_, api) => {
  it('folio_wait_locked returns when the lock is free, and does not take it', () => {
    const [files, pfn] = frame();
    folioTrylock(files, pfn);
    addEvent(files.sched, 10, 'unlock', () => folioUnlock(files, pfn));
    expect(api.folioWaitLockedKillable(files, pfn)).toBe(0);
    expect([files.sched.now, testFlag(files.phys, pfn, PG_LOCKED)]).toEqual([10, false]);
  });

  it('folio_wait_writeback returns when the page has been written back, whoever has it locked', () => {
    const [files, pfn] = frame();
    setFlag(files.phys, pfn, PG_WRITEBACK);
    folioTrylock(files, pfn);
    addEvent(files.sched, 10, 'end', () => folioEndWriteback(files, pfn));
    api.folioWaitWriteback(files, pfn);
    expect(files.sched.now).toBe(10);
    expect(testFlag(files.phys, pfn, PG_WRITEBACK)).toBe(false);
    api.folioWaitWriteback(files, pfn);
  });
});
