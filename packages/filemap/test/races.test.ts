/** Several tasks on one file (sched build): single interleavings by hand, and random ones with every rule checked after. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EINTR, P_CACHE_CLEAN, P_CACHE_COPY, P_CACHE_UNMAP } from '@mmkit/base';
import * as files from '@mmkit/filemap/sched';
import type { Inode } from '@mmkit/filemap';
import {
  compoundHead,
  countFrames,
  folioNrPages,
  pageRefCount,
  PG_DIRTY,
  PG_LOCKED,
  PG_WRITEBACK,
  putPage,
  readBytes,
  testFlag,
} from '@mmkit/phys';
import { isLocked } from '@mmkit/rwsem';
import {
  describeWaiters,
  fireEvent,
  isRunnable,
  killTask,
  runAll,
  spawn,
  stepTask,
  TASK_DONE,
  TASK_WAITING,
} from '@mmkit/task';
import type { SimTask, Task } from '@mmkit/task';
import { builds, pattern } from './builds.ts';
import { Bench, PAGE } from './files.ts';

const driven = builds[1]![1];

function stepTo(b: Bench, task: SimTask, point: number): void {
  while (task.point !== point) stepTask(b.sched, task);
}

function finish(b: Bench, task: SimTask): void {
  while (task.state !== TASK_DONE) stepTask(b.sched, task);
}

/** Runs all tasks to their ends; `seed` decides at each moment which task steps, or which event happens. */
function runRandomly(b: Bench, seed: number): void {
  const { sched } = b;
  let state = seed;
  const random = (n: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
  for (;;) {
    const ready = sched.tasks.filter((task) => isRunnable(task));
    const n = ready.length + sched.events.length;
    if (n === 0) break;
    const i = random(n);
    if (i < ready.length) stepTask(sched, ready[i]!);
    else fireEvent(sched, sched.events[i - ready.length]!);
  }
  expect(describeWaiters(sched)).toBe('');
}

/** What holds when nobody is at work: pages have the cache's reference alone, no lock is held, the device has it all. */
function checkQuiet(b: Bench, inode: Inode): void {
  b.check(inode);
  const locks = [inode.iRwsem, inode.invalidateLock, inode.iMmapLock];
  expect(locks.map((lock) => isLocked(lock))).toEqual([false, false, false]);
  for (const [index, pfn] of inode.pages) {
    const head = compoundHead(b.phys, pfn);
    expect([pageRefCount(b.phys, pfn), testFlag(b.phys, head, PG_LOCKED | PG_WRITEBACK)]).toEqual([
      folioNrPages(b.phys, pfn),
      false,
    ]);
    // A reader that had seen the old size may leave a page of zeros beyond the end, as in Linux.
    if (index * PAGE < inode.size) continue;
    // So may a large folio that has the end in it and could not be split.
    const across = (index - (pfn - head)) * PAGE < inode.size;
    expect([!across && testFlag(b.phys, head, PG_DIRTY), isZero(b, pfn)]).toEqual([false, true]);
  }
  const content = b.read(inode, 0, inode.size);
  expect(b.fsync(inode)).toBe(0);
  driven.invalidateMappingPages(inode, 0, Infinity);
  expect(Buffer.compare(b.read(inode, 0, inode.size), content)).toBe(0);
}

function isZero(b: Bench, pfn: number): boolean {
  const bytes = new Uint8Array(PAGE);
  readBytes(b.phys, pfn, 0, bytes, 0, PAGE);
  return Buffer.compare(bytes, new Uint8Array(PAGE)) === 0;
}

function bench(latency = 1000): Bench {
  return new Bench(driven, { latency }, 64);
}

describe('one interleaving', () => {
  it('two readers of a page not cached: one reads it in, the other waits for that', () => {
    let bios = 0;
    const b = new Bench(driven, { fail: () => (bios++, 0) }, 64);
    const inode = b.file('disk', PAGE, 0);
    const into = [new Uint8Array(PAGE), new Uint8Array(PAGE)];
    for (const bytes of into) spawn(b.sched, 'reader', files.filemapRead(inode, 0, bytes, 0, PAGE));
    runAll(b.sched);
    expect([bios, into[0], into[1]]).toEqual([1, pattern(PAGE, 3), pattern(PAGE, 3)]);
  });

  it('a page truncated between being found and being copied: nothing from beyond the new end is read', () => {
    const b = bench();
    const inode = b.file('disk', 2 * PAGE, 0);
    b.read(inode, 0, 2 * PAGE);
    const into = new Uint8Array(PAGE).fill(0xee);
    const reader = spawn(b.sched, 'reader', files.filemapRead(inode, PAGE, into, 0, PAGE));
    stepTo(b, reader, P_CACHE_COPY);
    driven.truncateSetSize(inode, PAGE);
    finish(b, reader);
    expect([reader.result, into[0], countFrames(b.phys).used]).toEqual([0, 0xee, 1]);
  });

  it('a page is not read in while it is removed: the reader waits, and finds the file shorter', () => {
    const b = bench();
    const inode = b.file('disk', 2 * PAGE, 0);
    b.read(inode, PAGE, 1);
    const cutter = spawn(b.sched, 'cutter', files.truncateSetSize(inode, 0));
    stepTo(b, cutter, P_CACHE_UNMAP);
    const into = new Uint8Array(1);
    // It had looked at the size before.
    const reader = spawn(b.sched, 'reader', files.filemapReadFolio(inode, 0));
    while (reader.state !== TASK_WAITING) stepTask(b.sched, reader);
    finish(b, cutter);
    expect([inode.pages.size, inode.blocks.size]).toEqual([0, 0]);
    finish(b, reader);
    putPage(b.phys, reader.result as number);
    // What came is a page of zeros: the block is somebody else's.
    expect(driven.filemapRead(inode, 0, into, 0, 1)).toBe(0);
  });

  it('a write after PG_dirty was cleared makes the page dirty again, though its bytes may be on their way already', () => {
    const b = bench();
    const inode = b.file('disk');
    b.write(inode, 0, pattern(PAGE, 5));
    const syncer = spawn(b.sched, 'syncer', files.filemapWriteAndWait(inode, 0, Infinity));
    while (!testFlag(b.phys, inode.pages.get(0)!, PG_WRITEBACK)) stepTask(b.sched, syncer);
    const writer = spawn(b.sched, 'writer', files.filemapWrite(inode, 0, Uint8Array.of(99), 0, 1));
    while (writer.state !== TASK_DONE) stepTask(b.sched, writer);
    runAll(b.sched);
    expect([syncer.result, inode.nrDirty, testFlag(b.phys, inode.pages.get(0)!, PG_DIRTY)]).toEqual([0, 1, true]);
    checkQuiet(b, inode);
    expect(b.read(inode, 0, 1)).toEqual(Uint8Array.of(99));
  });

  it('E.5: a page made dirty between the cleaning of its mappings and PG_dirty being cleared is written', () => {
    const b = bench();
    const inode = b.file('disk', PAGE, 0);
    b.write(inode, 0, Uint8Array.of(9));
    const syncer = spawn(b.sched, 'syncer', files.filemapWriteAndWait(inode, 0, Infinity));
    stepTo(b, syncer, P_CACHE_CLEAN);
    files.folioMarkDirty(b.files, inode.pages.get(0)!);
    runAll(b.sched);
    expect([syncer.result, inode.nrDirty, b.disk[0]]).toEqual([0, 0, 9]);
  });

  it('a reader killed while the page is read in: -EINTR; the page arrives all the same', () => {
    const b = bench();
    const inode = b.file('disk', PAGE, 0);
    const reader = spawn(b.sched, 'reader', files.filemapRead(inode, 0, new Uint8Array(1), 0, 1));
    while (reader.state !== TASK_WAITING) stepTask(b.sched, reader);
    killTask(reader);
    finish(b, reader);
    expect([reader.result, isLocked(inode.invalidateLock)]).toEqual([-EINTR, false]);
    expect(testFlag(b.phys, inode.pages.get(0)!, PG_LOCKED)).toBe(true);
    b.settle();
    checkQuiet(b, inode);
  });

  it('waiting for pins to go before sealing ends when one is given back meanwhile, or by a signal', () => {
    for (const killed of [false, true]) {
      const b = bench();
      const inode = b.file('shmem');
      b.write(inode, 0, pattern(PAGE, 5));
      const held = files.filemapGetFolio(inode, 0);
      const file = new files.OpenFile(inode, true, true);
      const sealer = spawn(b.sched, 'sealer', files.addSeals(file, files.F_SEAL_WRITE));
      while (sealer.state !== TASK_WAITING) stepTask(b.sched, sealer);
      putPage(b.phys, held);
      if (killed) killTask(sealer);
      runAll(b.sched);
      expect([sealer.result, inode.seals]).toEqual(killed ? [-EINTR, 0] : [0, files.F_SEAL_WRITE]);
      expect(isLocked(inode.iRwsem)).toBe(false);
    }
  });
});

/** Each page of the file holds one value all over: a read that finds two in one page has seen a half-done thing. */
function* readUniform(inode: Inode, page: number, pages: number): Task<void> {
  const into = new Uint8Array(pages * PAGE);
  const got = yield* files.filemapRead(inode, page * PAGE, into, 0, into.length);
  expect(got % PAGE).toBe(0);
  for (let at = 0; at < got; at += PAGE) {
    const part = into.subarray(at, at + PAGE);
    if (part.some((byte) => byte !== part[0])) throw new Error(`page ${page + at / PAGE} is torn`);
  }
}

const step = fc.record({
  op: fc.constantFrom('read', 'ahead', 'write', 'truncate', 'punch', 'fsync', 'invalidate', 'allocate'),
  page: fc.nat(3),
  pages: fc.integer({ min: 1, max: 3 }),
  value: fc.integer({ min: 1, max: 255 }),
});

describe('random interleavings', () => {
  it.each(['disk', 'shmem'] as const)('%s: any calls at once leave a file that is whole, and nothing else', (kind) => {
    const tasks = fc.array(fc.array(step, { minLength: 1, maxLength: 3 }), { minLength: 2, maxLength: 4 });
    fc.assert(
      fc.property(tasks, fc.nat(), (plans, seed) => {
        const b = bench();
        const inode = b.file(kind);
        b.write(inode, 0, new Uint8Array(3 * PAGE).fill(7));
        b.fsync(inode);
        const run = function* (plan: (typeof plans)[number]): Task<void> {
          for (const { op, page, pages, value } of plan) {
            const [at, length] = [page * PAGE, pages * PAGE];
            if (op === 'read') yield* readUniform(inode, page, pages);
            else if (op === 'ahead') yield* files.forcePageCacheReadahead(inode, page, page + pages);
            else if (op === 'write')
              yield* files.filemapWrite(inode, at, new Uint8Array(length).fill(value), 0, length);
            else if (op === 'truncate') yield* files.truncateSetSize(inode, at);
            else if (op === 'punch') yield* files.punchHole(inode, at, length);
            else if (op === 'allocate') yield* files.fallocate(inode, at, length);
            else if (op === 'fsync') yield* files.filemapWriteAndWait(inode, 0, Infinity);
            // shmem is not written past its cache.
            else if (kind === 'disk') yield* files.invalidateInodePages2Range(inode, page, page + pages);
          }
        };
        plans.forEach((plan, i) => spawn(b.sched, `task ${i}`, run(plan)));
        runRandomly(b, seed);
        b.sched.tasks.length = 1;
        if (kind === 'disk') checkQuiet(b, inode);
        else b.check(inode);
        driven.truncateSetSize(inode, 0);
        expect([inode.pages.size, inode.blocks.size, countFrames(b.phys).used]).toEqual([0, 0, 0]);
      }),
      { numRuns: 150 },
    );
  });

  it('two files on one device: a block cut off one file is never written to after the other has it', () => {
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const b = bench();
        const [first, second] = [b.file('disk'), b.file('disk')];
        b.write(first, 0, new Uint8Array(2 * PAGE).fill(1));
        const cut = function* (): Task<void> {
          yield* files.truncateSetSize(first, 0);
        };
        const fill = function* (): Task<void> {
          yield* files.filemapWrite(second, 0, new Uint8Array(2 * PAGE).fill(2), 0, 2 * PAGE);
          yield* files.filemapWriteAndWait(second, 0, Infinity);
        };
        spawn(b.sched, 'sync', files.filemapWriteAndWait(first, 0, Infinity));
        spawn(b.sched, 'cut', cut());
        spawn(b.sched, 'fill', fill());
        runRandomly(b, seed);
        b.sched.tasks.length = 1;
        driven.invalidateMappingPages(second, 0, Infinity);
        expect(b.read(second, 0, 2 * PAGE).every((byte) => byte === 2)).toBe(true);
        b.check(first);
      }),
      { numRuns: 100 },
    );
  });
});
