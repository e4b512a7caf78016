/** What others can do while a fault waits for the disk or for a page: real tasks, stepped by hand (DESIGN "Waiting"). */
import { describe, expect, it } from 'vitest';
import * as aspace from '@mmkit/aspace/sched';
import {
  FAULT_FLAG_ALLOW_RETRY,
  FAULT_FLAG_DEFAULT,
  FAULT_FLAG_RETRY_NOWAIT,
  FAULT_FLAG_TRIED,
  FAULT_FLAG_WRITE,
  VM_FAULT_MAJOR,
  VM_FAULT_NOPAGE,
  VM_FAULT_RETRY,
  VM_FAULT_SIGBUS,
} from '@mmkit/fault';
import * as coloured from '@mmkit/fault/sched';
import { folioTrylock, folioUnlock } from '@mmkit/filemap';
import * as filemap from '@mmkit/filemap/sched';
import { arm64, x86_64 } from '@mmkit/pgtable';
import { downReadTrylock, isLocked, readerCount, upRead, upWrite } from '@mmkit/rwsem';
import { downRead, downWrite } from '@mmkit/rwsem/sched';
import { killTask, runAll, SimTask, spawn, stepTask, TASK_DONE, TASK_WAITING } from '@mmkit/task';
import type { Task } from '@mmkit/task';
import type { Vma } from '@mmkit/vma';
import { AT, PRIVATE, SHARED, World } from './files.ts';

/** A fault as a task that takes mmap_lock and gives back what is left of it. */
function* fault(w: World, vma: Vma, address: number, flags: number): Task<number> {
  yield* downRead(w.sched, w.mm.mmapLock);
  const result = yield* coloured.handleMmFault(w.mm, vma, address, flags);
  if (readerCount(w.mm.mmapLock) > 0) upRead(w.sched, w.mm.mmapLock);
  return result;
}

/** Takes mmap_lock for writing, as mmap does, and says when it got it. */
function* writer(w: World, got: { at: number }): Task<void> {
  yield* downWrite(w.sched, w.mm.mmapLock);
  got.at = w.sched.now;
  upWrite(w.sched, w.mm.mmapLock);
}

/** Steps a task until it sleeps or ends. */
function settle(w: World, task: SimTask): void {
  while (task.state !== TASK_WAITING && task.state !== TASK_DONE) stepTask(w.sched, task);
}

describe.each([
  ['x86-64', x86_64],
  ['arm64', arm64],
] as const)('%s: waiting', (_, format) => {
  const make = (): World => new World(format, aspace.fileRmap);

  it('first try with ALLOW_RETRY: a writer gets mmap_lock while the page is read', () => {
    const w = make();
    const vma = w.map(w.disk(8), PRIVATE);
    const reader = spawn(w.sched, 'fault', fault(w, vma, AT, FAULT_FLAG_DEFAULT));
    settle(w, reader);
    expect([reader.state, w.device.inFlight, isLocked(w.mm.mmapLock)]).toEqual([TASK_WAITING, 1, false]);
    const got = { at: -1 };
    const other = spawn(w.sched, 'mmap', writer(w, got));
    settle(w, other);
    expect([other.state, got.at, reader.state]).toEqual([TASK_DONE, 0, TASK_WAITING]);
    runAll(w.sched);
    expect(reader.result).toBe(VM_FAULT_RETRY | VM_FAULT_MAJOR);
  });

  it.each([
    ['no retry', 0],
    ['a second try', FAULT_FLAG_DEFAULT | FAULT_FLAG_TRIED],
  ])('%s: mmap_lock is held until the read has ended, a writer waits for it', (_name, flags) => {
    const w = make();
    const vma = w.map(w.disk(8), PRIVATE);
    const reader = spawn(w.sched, 'fault', fault(w, vma, AT, flags));
    settle(w, reader);
    expect([reader.state, readerCount(w.mm.mmapLock)]).toEqual([TASK_WAITING, 1]);
    const got = { at: -1 };
    const other = spawn(w.sched, 'mmap', writer(w, got));
    settle(w, other);
    expect(other.state).toBe(TASK_WAITING);
    runAll(w.sched);
    expect([reader.result, got.at, w.entry(AT).pfn]).toEqual([VM_FAULT_MAJOR, w.device.latency, vmaPage(w, vma)]);
  });

  it('a page another task has locked: RETRY waits for it without mmap_lock, NOWAIT does not wait, no retry holds it', () => {
    for (const flags of [FAULT_FLAG_DEFAULT, FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_RETRY_NOWAIT, 0]) {
      const w = make();
      const inode = w.disk(8);
      const vma = w.map(inode, PRIVATE);
      runAll2(w, filemap.filemapReadFolio(inode, 0));
      const pfn = inode.pages.get(0)!;
      folioTrylock(w.memory, pfn);
      const task = spawn(w.sched, 'fault', fault(w, vma, AT, flags));
      settle(w, task);
      const nowait = (flags & FAULT_FLAG_RETRY_NOWAIT) !== 0;
      expect([task.state, readerCount(w.mm.mmapLock)]).toEqual([
        nowait ? TASK_DONE : TASK_WAITING,
        flags === 0 ? 1 : 0,
      ]);
      folioUnlock(w.memory, pfn);
      runAll(w.sched);
      expect(task.result).toBe(flags === 0 ? 0 : VM_FAULT_RETRY);
      expect(w.entry(AT).kind === 0).toBe(flags !== 0);
    }
  });

  it('killed while it waits without mmap_lock: RETRY at once, the read goes on', () => {
    const w = make();
    const inode = w.disk(8);
    const task = spawn(w.sched, 'fault', fault(w, w.map(inode, PRIVATE), AT, FAULT_FLAG_DEFAULT));
    settle(w, task);
    killTask(task);
    settle(w, task);
    expect([task.result, w.sched.now, w.device.inFlight]).toEqual([VM_FAULT_RETRY | VM_FAULT_MAJOR, 0, 1]);
    expect([isLocked(w.mm.mmapLock), isLocked(inode.invalidateLock)]).toEqual([false, false]);
    runAll(w.sched);
    expect(w.counts(inode.pages.get(0)!)).toEqual([1, 0]);
  });

  it('killed while it waits with mmap_lock held (second try): it is given back, RETRY', () => {
    const w = make();
    const inode = w.disk(8);
    const flags = FAULT_FLAG_DEFAULT | FAULT_FLAG_TRIED;
    const vma = w.map(inode, PRIVATE);
    downReadTrylock(w.mm.mmapLock);
    const task = spawn(w.sched, 'fault', coloured.handleMmFault(w.mm, vma, AT, flags));
    settle(w, task);
    expect(readerCount(w.mm.mmapLock)).toBe(1);
    killTask(task);
    settle(w, task);
    expect([task.result, isLocked(w.mm.mmapLock)]).toEqual([VM_FAULT_RETRY | VM_FAULT_MAJOR, false]);
    expect(isLocked(inode.invalidateLock)).toBe(false);
    runAll(w.sched);
  });

  it('without KILLABLE a signal does not end the wait', () => {
    const w = make();
    const task = spawn(w.sched, 'fault', fault(w, w.map(w.disk(8), PRIVATE), AT, FAULT_FLAG_ALLOW_RETRY));
    settle(w, task);
    killTask(task);
    expect(task.state).toBe(TASK_WAITING);
    runAll(w.sched);
    expect([task.result, w.sched.now]).toEqual([VM_FAULT_RETRY | VM_FAULT_MAJOR, w.device.latency]);
  });

  it('killed during the second read of a page whose first failed: SIGBUS with mmap_lock held', () => {
    const w = make();
    const inode = w.disk(8);
    w.fail.push(-5, -5);
    const task = spawn(w.sched, 'fault', fault(w, w.map(inode, PRIVATE), AT, 0));
    settle(w, task);
    w.sched.events[0]!.fire();
    w.sched.events.shift();
    settle(w, task);
    expect([task.state, readerCount(w.mm.mmapLock)]).toEqual([TASK_WAITING, 1]);
    killTask(task);
    settle(w, task);
    expect(task.result).toBe(VM_FAULT_SIGBUS);
    runAll(w.sched);
    expect(isLocked(inode.invalidateLock)).toBe(false);
  });

  it('two faults on one absent page: one read, the second is not the one that missed it', () => {
    const w = make();
    const inode = w.disk(8);
    const vma = w.map(inode, PRIVATE);
    const tasks = [0, 1].map((i) => spawn(w.sched, `fault ${i}`, fault(w, vma, AT, FAULT_FLAG_DEFAULT)));
    for (const task of tasks) settle(w, task);
    expect([w.device.inFlight, isLocked(w.mm.mmapLock)]).toEqual([1, false]);
    runAll(w.sched);
    expect(tasks.map((task) => task.result)).toEqual([VM_FAULT_RETRY | VM_FAULT_MAJOR, VM_FAULT_RETRY]);
    expect([w.log.length, w.memory.stat.pgmajfault, w.counts(inode.pages.get(0)!)]).toEqual([1, 1, [1, 0]]);
  });

  it('truncation waits until the page is read, then takes it away; the fault that waited finds no file there', () => {
    const w = make();
    const inode = w.disk(8);
    const vma = w.map(inode, PRIVATE);
    const task = spawn(w.sched, 'fault', fault(w, vma, AT, 0));
    settle(w, task);
    const cut = spawn(w.sched, 'truncate', filemap.truncateSetSize(inode, 0));
    settle(w, cut);
    expect(cut.state).toBe(TASK_WAITING);
    runAll(w.sched);
    expect([w.entry(AT).kind, inode.pages.size, w.mm.filePages]).toEqual([0, 0, 0]);
  });

  it('a page that is removed while a fault waits for its lock is looked up again', () => {
    const w = make();
    const inode = w.disk(8);
    const vma = w.map(inode, PRIVATE);
    runAll2(w, filemap.filemapReadFolio(inode, 0));
    const old = inode.pages.get(0)!;
    folioTrylock(w.memory, old);
    const task = spawn(w.sched, 'fault', fault(w, vma, AT, 0));
    settle(w, task);
    expect(task.state).toBe(TASK_WAITING);
    filemap.deleteFromPageCache(inode, old, 0);
    folioUnlock(w.memory, old);
    runAll(w.sched);
    expect([task.result, w.entry(AT).pfn === inode.pages.get(0), w.log.length]).toEqual([0, true, 2]);
  });

  it('shmem waits for a locked page with mmap_lock held, whatever the flags', () => {
    const w = make();
    const inode = w.shmem(8);
    const vma = w.map(inode, SHARED);
    const pfn = filemap.filemapAddFolio(inode, 0);
    const task = spawn(w.sched, 'fault', fault(w, vma, AT, FAULT_FLAG_DEFAULT));
    settle(w, task);
    expect([task.state, readerCount(w.mm.mmapLock)]).toEqual([TASK_WAITING, 1]);
    folioUnlock(w.memory, pfn);
    runAll(w.sched);
    expect([task.result, w.entry(AT).pfn]).toEqual([0, pfn]);
  });

  it('shmem: a page truncated while a fault waits for its lock is SIGBUS, a hole punched gives a new page', () => {
    for (const truncated of [true, false]) {
      const w = make();
      const inode = w.shmem(8);
      const vma = w.map(inode, SHARED);
      const pfn = filemap.filemapAddFolio(inode, 0);
      const task = spawn(w.sched, 'fault', fault(w, vma, AT, FAULT_FLAG_DEFAULT));
      settle(w, task);
      if (truncated) inode.size = 0;
      filemap.deleteFromPageCache(inode, pfn, 0);
      folioUnlock(w.memory, pfn);
      runAll(w.sched);
      expect(task.result).toBe(truncated ? VM_FAULT_SIGBUS : 0);
      expect(inode.pages.get(0) === w.entry(AT).pfn).toBe(!truncated);
    }
  });

  it('page_mkwrite waits for the folio lock with the page-table lock dropped; a page removed meanwhile: look again', () => {
    const w = make();
    const inode = w.disk(8);
    const vma = w.map(inode, SHARED);
    runAll2(w, fault(w, vma, AT, 0));
    const pfn = inode.pages.get(0)!;
    folioTrylock(w.memory, pfn);
    const task = spawn(w.sched, 'store', fault(w, vma, AT, FAULT_FLAG_WRITE));
    settle(w, task);
    expect(task.state).toBe(TASK_WAITING);
    const zap = spawn(w.sched, 'zap', aspace.unmapMappingRange(w.memory, inode, 0, 1, false));
    settle(w, zap);
    expect(zap.state).toBe(TASK_DONE);
    filemap.deleteFromPageCache(inode, pfn, 0);
    folioUnlock(w.memory, pfn);
    runAll(w.sched);
    expect([task.result, w.entry(AT).kind, inode.nrDirty]).toEqual([0, 0, 0]);
    expect(VM_FAULT_NOPAGE).toBe(0x100);
  });
});

function runAll2(w: World, body: Task<unknown>): void {
  spawn(w.sched, 'before', body);
  runAll(w.sched);
}

function vmaPage(w: World, vma: Vma): number {
  return w.memory.files.inodes[1]!.pages.get(vma.pgoff)!;
}
