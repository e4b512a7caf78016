import { describe, expect, it } from 'vitest';
import { EBUSY, EINVAL, EIO, ENOMEM } from '@mmkit/base';
import { fileRmap, Mm } from '@mmkit/aspace';
import * as coloured from '@mmkit/aspace/sched';
import {
  createBlockDevice,
  createInode,
  createMemoryBackend,
  filemapAddFolio,
  folioMarkDirty,
  folioUnlock,
  Inode,
  OpenFile,
} from '@mmkit/filemap';
import { MS_ASYNC, MS_INVALIDATE, MS_SYNC } from '@mmkit/mm';
import { PG_UPTODATE, putPage, setFlag, writeBytes } from '@mmkit/phys';
import { isLocked } from '@mmkit/rwsem';
import {
  insertVma,
  Vma,
  VM_LOCKED,
  VM_MAYREAD,
  VM_MAYSHARE,
  VM_MAYWRITE,
  VM_READ,
  VM_SHARED,
  VM_WRITE,
} from '@mmkit/vma';
import { BASE, builds, mapPages, PAGE, setUp, thrown } from './builds.ts';

const SHARED = VM_READ | VM_WRITE | VM_SHARED | VM_MAYREAD | VM_MAYWRITE | VM_MAYSHARE;

interface Disk {
  readonly inode: Inode;
  readonly bytes: Uint8Array;
}

/** A disk file of `pages` pages, each dirty in the cache: page k begins with byte k + 1. */
function disk(build: string, mm: Mm, pages: number, fail = 0): Disk {
  const { memory } = mm;
  const bytes = new Uint8Array(64 * PAGE);
  const device = createBlockDevice(memory.sched, memory.phys, createMemoryBackend(bytes), { fail: () => fail });
  const rmap = build.startsWith('sched') ? coloured.fileRmap : fileRmap;
  const inode = createInode(memory.files, device, rmap(memory));
  inode.size = pages * PAGE;
  for (let index = 0; index < pages; index++) {
    const pfn = filemapAddFolio(inode, index);
    setFlag(memory.phys, pfn, PG_UPTODATE);
    writeBytes(memory.phys, pfn, 0, Uint8Array.of(index + 1), 0, 1);
    folioMarkDirty(memory.files, pfn);
    folioUnlock(memory, pfn);
    putPage(memory.phys, pfn);
  }
  return { inode, bytes };
}

function map(mm: Mm, { inode }: Disk, page: number, pages: number, pgoff: number, flags: number): void {
  const start = BASE + page * PAGE;
  insertVma(mm.vmas, new Vma(start, start + pages * PAGE, flags, pgoff, new OpenFile(inode, true, true)));
}

/** The pages on the disk, by their first byte, 0 where nothing was written. */
const written = ({ inode, bytes }: Disk): number[] =>
  [...inode.pages.keys()].filter((index) => {
    const at = inode.blocks.get(index);
    return at !== undefined && bytes[at] === index + 1;
  });

describe.each(builds)('%s build: msync', (build, api) => {
  const sync = (mm: Mm, page: number, pages: number, flags: number): number =>
    api.msync(mm, BASE + page * PAGE, pages * PAGE, flags);

  it('MS_SYNC writes the pages of the range back, over several shared mappings; the lock is free afterwards', () => {
    const mm = setUp(api);
    const file = disk(build, mm, 8);
    map(mm, file, 0, 2, 4, SHARED);
    map(mm, file, 2, 2, 0, SHARED);
    expect(sync(mm, 1, 2, MS_SYNC)).toBe(0);
    expect([written(file), file.inode.nrDirty, isLocked(mm.mmapLock)]).toEqual([[0, 5], 6, false]);
    expect(sync(mm, 0, 4, MS_SYNC | MS_INVALIDATE)).toBe(0);
    expect([written(file), file.inode.nrDirty]).toEqual([[0, 1, 4, 5], 4]);
  });

  it('MS_ASYNC, MS_INVALIDATE, no flag, and MS_SYNC of a private mapping write nothing', () => {
    const mm = setUp(api);
    const file = disk(build, mm, 2);
    map(mm, file, 0, 1, 0, SHARED);
    map(mm, file, 1, 1, 1, VM_READ | VM_WRITE | VM_MAYWRITE);
    for (const flags of [MS_ASYNC, MS_INVALIDATE, MS_ASYNC | MS_INVALIDATE, 0]) expect(sync(mm, 0, 2, flags)).toBe(0);
    expect(sync(mm, 1, 1, MS_SYNC)).toBe(0);
    expect([written(file), file.inode.nrDirty]).toEqual([[], 2]);
  });

  it('6.18: EINVAL for unknown flags, both MS_ASYNC and MS_SYNC, an unaligned address; 0 for length 0', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 1);
    for (const flags of [8, MS_ASYNC | MS_SYNC]) expect(sync(mm, 0, 1, flags)).toBe(-EINVAL);
    expect(api.msync(mm, BASE + 1, PAGE, MS_ASYNC)).toBe(-EINVAL);
    expect(sync(mm, 50, 0, MS_SYNC)).toBe(0);
  });

  it('6.18: ENOMEM for holes at the end, what is there is written; a range that wraps ENOMEM', () => {
    const mm = setUp(api);
    const file = disk(build, mm, 4);
    map(mm, file, 0, 1, 0, SHARED);
    map(mm, file, 2, 1, 2, SHARED);
    expect([sync(mm, 0, 4, MS_SYNC), written(file)]).toEqual([-ENOMEM, [0, 2]]);
    for (const flags of [0, MS_ASYNC, MS_SYNC]) expect(sync(mm, 50, 1, flags)).toBe(-ENOMEM);
    expect(api.msync(mm, BASE, Number.MAX_SAFE_INTEGER - PAGE, MS_SYNC)).toBe(-ENOMEM);
    expect(isLocked(mm.mmapLock)).toBe(false);
  });

  it('6.18: MS_INVALIDATE of locked memory EBUSY, before a hole too; those before have been written', () => {
    const mm = setUp(api);
    const file = disk(build, mm, 4);
    map(mm, file, 0, 1, 0, SHARED);
    map(mm, file, 1, 1, 1, SHARED | VM_LOCKED);
    map(mm, file, 2, 1, 2, SHARED);
    expect([sync(mm, 0, 3, MS_SYNC | MS_INVALIDATE), written(file)]).toEqual([-EBUSY, [0]]);
    expect(sync(mm, -1, 3, MS_INVALIDATE)).toBe(-EBUSY);
    expect([sync(mm, 0, 3, MS_SYNC), written(file)]).toEqual([0, [0, 1, 2]]);
    expect(isLocked(mm.mmapLock)).toBe(false);
  });

  it('an error of the device is reported, once', () => {
    const mm = setUp(api);
    const file = disk(build, mm, 1, -EIO);
    map(mm, file, 0, 1, 0, SHARED);
    expect(sync(mm, 0, 1, MS_SYNC)).toBe(-EIO);
    expect([sync(mm, 0, 1, MS_SYNC), isLocked(mm.mmapLock)]).toEqual([0, false]);
  });

  it('bad JavaScript values throw RangeError', () => {
    const mm = setUp(api);
    expect(thrown(() => api.msync(mm, -1, PAGE, 0))).toBe('RangeError');
    expect(thrown(() => api.msync(mm, 0, NaN, 0))).toBe('RangeError');
    expect(thrown(() => api.msync(mm, 0, 0, 0.5))).toBe('RangeError');
  });
});
