/**
 * Faults against what else happens to a file, under every schedule; where those are many (the largest case has 730,000,
 * and all were run once) under a sample.
 */
import { describe, expect, it } from 'vitest';
import * as aspace from '@mmkit/aspace/sched';
import { FAULT_FLAG_DEFAULT, FAULT_FLAG_TRIED, FAULT_FLAG_WRITE, VM_FAULT_ERROR, VM_FAULT_RETRY } from '@mmkit/fault';
import * as coloured from '@mmkit/fault/sched';
import { Inode } from '@mmkit/filemap';
import * as filemap from '@mmkit/filemap/sched';
import { E_DIRTY, E_WRITE, ENTRY_NONE, hwWalk, ACCESS_WRITE, createTranslation } from '@mmkit/pgtable';
import { MM_ROOT } from '@mmkit/aspace';
import { countFrames, pageMapCount, PG_DIRTY, testFlag, writeBytes } from '@mmkit/phys';
import { readerCount, upRead } from '@mmkit/rwsem';
import { downRead } from '@mmkit/rwsem/sched';
import { runTask } from '@mmkit/task';
import type { Task } from '@mmkit/task';
import type { Vma } from '@mmkit/vma';
import { formats } from './builds.ts';
import { AT, everySchedule, someSchedules, PAGE, PRIVATE, SHARED, World } from './files.ts';

/** An access as the processor makes it: a fault, and once more after RETRY. */
function* access(w: World, vma: Vma, write: number): Task<number> {
  let flags = FAULT_FLAG_DEFAULT | write;
  for (;;) {
    yield* downRead(w.sched, w.mm.mmapLock);
    const result = yield* coloured.handleMmFault(w.mm, vma, AT, flags);
    if ((result & VM_FAULT_RETRY) === 0) {
      upRead(w.sched, w.mm.mmapLock);
      return result;
    }
    flags |= FAULT_FLAG_TRIED;
  }
}

/** As `expect`, which would take most of the time of so many schedules. */
function same(actual: unknown, expected: unknown): void {
  const found = JSON.stringify(actual);
  const wanted = JSON.stringify(expected);
  if (found !== wanted) throw new Error(`expected ${wanted}, got ${found}`);
}

/** What is mapped at AT is the page of the file there, or nothing, or a private copy; every count is right. */
function checkMapped(w: World, inode: Inode): void {
  const { kind, pfn } = w.entry(AT);
  const cached = inode.pages.get(0);
  if (kind === ENTRY_NONE) {
    same([w.mm.filePages, w.mm.shmemPages, w.mm.anonPages], [0, 0, 0]);
    if (cached !== undefined) same(w.counts(cached), [1, 0]);
    return;
  }
  if (w.mm.anonPages === 0) same([cached, w.counts(pfn)], [pfn, [2, 1]]);
  else {
    same(w.counts(pfn), [1, 1]);
    if (cached !== undefined) same(w.counts(cached), [1, 0]);
  }
  same(inode.size > 0, true);
  same(readerCount(w.mm.mmapLock), 0);
}

describe.each(formats)('%s: every schedule', (_name, format) => {
  it.each([
    ['a read of a cached disk page', PRIVATE, 0, false],
    ['a private write of a cached disk page', PRIVATE, FAULT_FLAG_WRITE, false],
    ['a shared store to a cached disk page', SHARED, FAULT_FLAG_WRITE, false],
    ['a read of a shmem page', SHARED, 0, true],
    ['a store to a shmem page', SHARED, FAULT_FLAG_WRITE, true],
  ])('N.13: %s against truncation: no mapping of a removed page survives', (_, vmFlags, write, shmem) => {
    const run = write === 0 && !shmem ? someSchedules : everySchedule;
    const ends = { mapped: 0, gone: 0 };
    run(() => {
      const w = new World(format, aspace.fileRmap, { frames: 32 }, 1);
      const inode = shmem ? w.shmem(1) : w.disk(1);
      if (!shmem) runTask(w.sched, readIn(inode));
      const vma = w.map(inode, vmFlags, 1);
      const done: number[] = [];
      const body = function* (): Task<void> {
        done.push(yield* access(w, vma, write));
      };
      return {
        sched: w.sched,
        tasks: [body(), filemap.truncateSetSize(inode, 0)],
        check: () => {
          same(w.entry(AT).kind, ENTRY_NONE);
          checkMapped(w, inode);
          same([inode.pages.size, inode.nrDirty, inode.size], [0, 0, 0]);
          same(countFrames(w.memory.phys).pins, 0);
          if ((done[0]! & VM_FAULT_ERROR) !== 0) ends.gone++;
          else ends.mapped++;
        },
      };
    });
    expect(Math.min(ends.mapped, ends.gone)).toBeGreaterThan(0);
  });

  it('N.5: two faults on one absent page: one read, one mapping', () => {
    someSchedules(() => {
      const w = new World(format, aspace.fileRmap, { frames: 32 }, 1);
      const inode = w.disk(1);
      const vma = w.map(inode, PRIVATE, 1);
      return {
        sched: w.sched,
        tasks: [access(w, vma, 0), access(w, vma, 0)],
        check: () => {
          same(w.log.length, 1);
          same(w.entry(AT).pfn, inode.pages.get(0));
          checkMapped(w, inode);
        },
      };
    });
  });

  it('N.13: a store through a shared mapping against writeback is never lost: on the disk, or the page is dirty', () => {
    const ends = { onDisk: 0, dirty: 0 };
    someSchedules(() => {
      const w = new World(format, aspace.fileRmap, { frames: 32 }, 1);
      const inode = w.disk(1);
      runTask(w.sched, readIn(inode));
      const vma = w.map(inode, SHARED, 1);
      runTask(w.sched, access(w, vma, FAULT_FLAG_WRITE));
      const body = function* (): Task<void> {
        yield* store(w, vma);
      };
      return {
        sched: w.sched,
        tasks: [body(), filemap.filemapWriteAndWait(inode, 0, Infinity)],
        check: () => {
          const onDisk = new Uint8Array(1);
          (w.device.backend as { read: (at: number, into: Uint8Array) => number }).read(0, onDisk);
          const { pfn, flags } = w.entry(AT);
          const dirty = testFlag(w.memory.phys, pfn, PG_DIRTY) || (flags & E_DIRTY) !== 0;
          same(onDisk[0] === 0xee || dirty, true);
          // Whoever may store without a fault leaves a page that is known to be dirty.
          if ((flags & E_WRITE) !== 0) same(testFlag(w.memory.phys, pfn, PG_DIRTY), true);
          if (dirty) ends.dirty++;
          else ends.onDisk++;
        },
      };
    });
    expect(Math.min(ends.onDisk, ends.dirty)).toBeGreaterThan(0);
  });

  it('two stores to one read-only shared page: both find it writable', () => {
    everySchedule(() => {
      const w = new World(format, aspace.fileRmap, { frames: 32 }, 1);
      const inode = w.disk(1);
      runTask(w.sched, readIn(inode));
      const vma = w.map(inode, SHARED, 1);
      runTask(w.sched, access(w, vma, 0));
      return {
        sched: w.sched,
        tasks: [access(w, vma, FAULT_FLAG_WRITE), access(w, vma, FAULT_FLAG_WRITE)],
        check: () => {
          same(w.entry(AT).flags & (E_WRITE | E_DIRTY), E_WRITE | E_DIRTY);
          same(inode.nrDirty, 1);
          checkMapped(w, inode);
        },
      };
    });
  });

  it('two private writes to one page: one copy stays, the other is given back', () => {
    everySchedule(() => {
      const w = new World(format, aspace.fileRmap, { frames: 32 }, 1);
      const inode = w.disk(1);
      runTask(w.sched, readIn(inode));
      const vma = w.map(inode, PRIVATE, 1);
      runTask(w.sched, access(w, vma, 0));
      const before = w.memory.phys.freeFrames;
      return {
        sched: w.sched,
        tasks: [access(w, vma, FAULT_FLAG_WRITE), access(w, vma, FAULT_FLAG_WRITE)],
        check: () => {
          same([w.mm.anonPages, w.mm.filePages, w.memory.phys.freeFrames], [1, 0, before - 1]);
          same(pageMapCount(w.memory.phys, inode.pages.get(0)!), 0);
          checkMapped(w, inode);
        },
      };
    });
  });
});

function* readIn(inode: Inode): Task<void> {
  yield* filemap.filemapRead(inode, 0, new Uint8Array(PAGE), 0, PAGE);
}

/** One byte stored as a processor does: walked (which sets the dirty bit) and moved in one step, else a fault. */
function* store(w: World, vma: Vma): Task<void> {
  const found = createTranslation();
  const { tables, phys } = w.memory;
  while (hwWalk(tables, w.mm.words[MM_ROOT]!, AT, ACCESS_WRITE, found) !== 0) {
    yield* access(w, vma, FAULT_FLAG_WRITE);
  }
  writeBytes(phys, w.entry(AT).pfn, 0, Uint8Array.of(0xee), 0, 1);
}
