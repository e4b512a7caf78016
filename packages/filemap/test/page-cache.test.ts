/** Pages of files: references, owners, what counts as dirty; reading them in. */
import { describe, expect, it } from 'vitest';
import { EEXIST, EIO, ENOMEM } from '@mmkit/base';
import {
  allocPages,
  COLD_INDEX,
  COLD_WORDS,
  countFrames,
  GFP_KERNEL,
  pageRefCount,
  PG_DIRTY,
  PG_LOCKED,
  PG_SWAPBACKED,
  PG_UPTODATE,
  putPage,
  testFlag,
} from '@mmkit/phys';
import { isLocked } from '@mmkit/rwsem';
import { builds, pattern, thrown } from './builds.ts';
import { bench, PAGE } from './files.ts';

describe.each(builds)('%s build: the page cache', (_, api) => {
  it('E.1: a cached page has one reference, an owner and an index; a mapping and a lookup add one each', () => {
    const b = bench(api);
    const inode = b.file('disk', 2 * PAGE, 0);
    b.read(inode, PAGE, 1);
    const pfn = inode.pages.get(1)!;
    expect([pageRefCount(b.phys, pfn), api.folioInode(b.files, pfn)]).toEqual([1, inode]);
    expect([api.folioTestFile(b.phys, pfn), b.phys.cold[pfn * COLD_WORDS + COLD_INDEX]]).toEqual([true, 1]);
    b.map(inode, 1);
    expect(api.filemapGetFolio(inode, 1)).toBe(pfn);
    expect(pageRefCount(b.phys, pfn)).toBe(3);
    expect(api.filemapGetFolio(inode, 0)).toBe(-1);
  });

  it('a new page is locked, not uptodate and the caller has a reference; there is one page an index', () => {
    const b = bench(api);
    const inode = b.file('shmem', PAGE);
    const pfn = api.filemapAddFolio(inode, 0);
    expect(pageRefCount(b.phys, pfn)).toBe(2);
    expect([PG_LOCKED, PG_UPTODATE, PG_SWAPBACKED].map((flag) => testFlag(b.phys, pfn, flag))).toEqual([
      true,
      false,
      true,
    ]);
    expect(api.filemapAddFolio(inode, 0)).toBe(-EEXIST);
    expect(testFlag(b.phys, api.filemapAddFolio(b.file('disk'), 0), PG_SWAPBACKED)).toBe(false);
  });

  it('a page taken out has no owner and loses the reference of the cache: who holds one keeps it', () => {
    const b = bench(api);
    const inode = b.file('disk', PAGE, 0);
    b.write(inode, 0, Uint8Array.of(9));
    const pfn = api.filemapGetFolio(inode, 0);
    api.deleteFromPageCache(inode, pfn, 0);
    expect([pageRefCount(b.phys, pfn), api.folioInode(b.files, pfn), inode.nrDirty]).toEqual([1, null, 0]);
    expect(thrown(() => api.deleteFromPageCache(inode, pfn, 0))).toBe('NOT_IN_FILE');
    expect(pageRefCount(b.phys, pfn)).toBe(1);
    putPage(b.phys, pfn);
    expect(countFrames(b.phys).used).toBe(0);
  });

  it('dirty pages of a disk file are counted; of shmem, of nobody: the flag only', () => {
    const b = bench(api);
    const disk = b.file('disk', PAGE, 0);
    const shmem = b.file('shmem');
    b.read(disk, 0, 1);
    b.write(shmem, 0, Uint8Array.of(1));
    const anon = allocPages(b.phys, GFP_KERNEL, 0);
    const pfn = disk.pages.get(0)!;
    expect([api.folioMarkDirty(b.files, pfn), api.folioMarkDirty(b.files, pfn)]).toEqual([true, false]);
    expect([api.folioMarkDirty(b.files, anon), testFlag(b.phys, anon, PG_DIRTY)]).toEqual([true, true]);
    expect([disk.nrDirty, shmem.nrDirty, b.stat(disk), b.stat(shmem)]).toEqual([1, 0, [1, 1], [1, 0]]);
    expect(testFlag(b.phys, shmem.pages.get(0)!, PG_DIRTY)).toBe(true);
    expect([api.folioClearDirty(b.files, pfn), api.folioClearDirty(b.files, pfn)]).toEqual([true, false]);
    expect([disk.nrDirty, api.folioClearDirty(b.files, anon)]).toEqual([0, true]);
  });

  it('cachestat counts a range of pages', () => {
    const b = bench(api);
    const inode = b.file('disk', 4 * PAGE, 0);
    b.read(inode, 0, 4 * PAGE);
    b.write(inode, 2 * PAGE, Uint8Array.of(1));
    expect(api.cacheStat(inode, 0, 2)).toEqual({ cached: 2, dirty: 0 });
    expect(api.cacheStat(inode, 2, 9)).toEqual({ cached: 2, dirty: 1 });
  });

  it('B.5: only what can be written back needs its dirtying known', () => {
    const b = bench(api);
    expect([api.mappingCanWriteback(b.file('disk')), api.mappingCanWriteback(b.file('shmem'))]).toEqual([true, false]);
  });
});

describe.each(builds)('%s build: reading', (_, api) => {
  it('a read brings in the pages asked for and no other, each by one bio; a second read none', () => {
    const b = bench(api);
    const inode = b.file('disk', 8 * PAGE, 0);
    expect(b.read(inode, PAGE + 10, PAGE)).toEqual(pattern(8 * PAGE, 3).slice(PAGE + 10, 2 * PAGE + 10));
    expect([...inode.pages.keys()]).toEqual([1, 2]);
    const { now } = b.sched;
    expect(now).toBe(2 * b.device.latency);
    b.read(inode, PAGE, 2 * PAGE);
    expect(b.sched.now).toBe(now);
  });

  it('a hole of a disk file is cached as zeros without the device; one of shmem is not cached', () => {
    const b = bench(api);
    for (const kind of ['disk', 'shmem'] as const) {
      const inode = b.file(kind, 3 * PAGE);
      expect(b.read(inode, 0, 2 * PAGE)).toEqual(new Uint8Array(2 * PAGE));
      expect(inode.pages.size).toBe(kind === 'disk' ? 2 : 0);
    }
    expect(b.sched.now).toBe(0);
  });

  it('the end of the file cuts a read; at or beyond it there is nothing', () => {
    const b = bench(api);
    for (const inode of [b.file('disk', PAGE + 5, 0), b.file('shmem', PAGE + 5)]) {
      const into = new Uint8Array(2 * PAGE).fill(0xee);
      expect(api.filemapRead(inode, PAGE, into, 1, PAGE)).toBe(5);
      expect([into[0], into[6]]).toEqual([0xee, 0xee]);
      for (const pos of [PAGE + 5, PAGE + 6, 9 * PAGE]) expect(api.filemapRead(inode, pos, into, 0, 1)).toBe(0);
      expect(api.filemapRead(inode, 0, into, 0, 0)).toBe(0);
    }
  });

  it('EIO: the page stays, not uptodate, unlocked, and the next read asks the device again', () => {
    let broken = true;
    const b = bench(api, { fail: (_op, offset) => (broken && offset >= PAGE ? -EIO : 0) });
    const inode = b.file('disk', 3 * PAGE, 0);
    const into = new Uint8Array(3 * PAGE);
    expect(api.filemapRead(inode, PAGE, into, 0, 10)).toBe(-EIO);
    const pfn = inode.pages.get(1)!;
    expect([PG_LOCKED, PG_UPTODATE].map((flag) => testFlag(b.phys, pfn, flag))).toEqual([false, false]);
    expect(pageRefCount(b.phys, pfn)).toBe(1);
    // Bytes before the bad page are a short count.
    expect(api.filemapRead(inode, 0, into, 0, 3 * PAGE)).toBe(PAGE);
    broken = false;
    expect(b.read(inode, 0, 3 * PAGE)).toEqual(pattern(3 * PAGE, 3));
    expect(inode.pages.get(1)).toBe(pfn);
  });

  it('6.18: read-ahead waits for no page, and stops where memory runs out', () => {
    const b = bench(api, { latency: 1000 });
    const inode = b.file('disk', 6 * PAGE, 0);
    const release = b.hog(4);
    api.forcePageCacheReadahead(inode, 1, 7);
    expect([[...inode.pages.keys()], isLocked(inode.invalidateLock)]).toEqual([[1, 2, 3, 4], false]);
    expect(testFlag(b.phys, inode.pages.get(4)!, PG_LOCKED)).toBe(true);
    b.settle();
    release();
    api.forcePageCacheReadahead(inode, 0, 7);
    expect([...inode.pages.keys()].sort()).toEqual([0, 1, 2, 3, 4, 5]);
    b.settle();
    expect(b.read(inode, 0, 6 * PAGE)).toEqual(b.disk.subarray(0, 6 * PAGE));
    b.check(inode);
  });

  it('ENOMEM at each allocation: a short count, or the error; nothing leaks, nothing stays locked', () => {
    for (let left = 0; left < 3; left++) {
      const b = bench(api);
      const inode = b.file('disk', 3 * PAGE, 0);
      const free = b.hog(left);
      const into = new Uint8Array(3 * PAGE);
      expect(api.filemapRead(inode, 0, into, 0, 3 * PAGE)).toBe(left === 0 ? -ENOMEM : left * PAGE);
      free();
      expect(b.read(inode, 0, 3 * PAGE)).toEqual(pattern(3 * PAGE, 3));
      b.check(inode);
      expect(countFrames(b.phys).used).toBe(3);
    }
  });

  it('values no C program could pass are RangeErrors', () => {
    const b = bench(api);
    const inode = b.file('shmem', PAGE);
    const into = new Uint8Array(8);
    for (const [pos, at, length] of [
      [-1, 0, 1],
      [0.5, 0, 1],
      [0, 1, 8],
      [0, -1, 1],
      [0, 0, 9],
      [0, 0, Number.NaN],
      [Number.MAX_SAFE_INTEGER, 0, 8],
    ] as const) {
      expect(() => api.filemapRead(inode, pos, into, at, length)).toThrow(RangeError);
      expect(() => api.filemapWrite(inode, pos, into, at, length)).toThrow(RangeError);
    }
    expect([inode.size, inode.pages.size]).toEqual([PAGE, 0]);
  });
});
