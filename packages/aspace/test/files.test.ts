/** Mappings of files: i_mmap, the reverse map, zap and fork of file pages. Faults on them: package `fault`. */
import { describe, expect, it } from 'vitest';
import {
  countRss,
  folioAddFileRmap,
  Memory,
  Mm,
  MM_CPUMASK,
  MM_ROOT,
  setGuardMarker,
  vmaInode,
  vmaNeedsDirtyTracking,
  vmaPageProt,
  ZAP_KEEP_COWS,
  ZAP_KEEP_MARKERS,
} from '@mmkit/aspace';
import * as coloured from '@mmkit/aspace/sched';
import {
  createBlockDevice,
  createInode,
  createMemoryBackend,
  filemapAddFolio,
  folioUnlock,
  Inode,
  OpenFile,
} from '@mmkit/filemap';
import {
  ACCESS_WRITE,
  createDecoded,
  createEntry,
  createTranslation,
  E_DIRTY,
  E_USER,
  E_WRITE,
  E_YOUNG,
  ENTRY_LEAF,
  ENTRY_NONE,
  hwWalk,
  tlbInsert,
  tlbLookup,
} from '@mmkit/pgtable';
import { getPage, pageMapCount, pageRefCount, PG_DIRTY, PG_REFERENCED, putPage, testFlag } from '@mmkit/phys';
import { downWriteTrylock, isLocked, upWrite } from '@mmkit/rwsem';
import { runAll, spawn, stepTask, TASK_DONE, TASK_WAITING } from '@mmkit/task';
import { insertVma, splitVma, Vma, VM_MAYREAD, VM_MAYSHARE, VM_READ, VM_SHARED, VM_WRITE } from '@mmkit/vma';
import { addVma, AT, builds, codeOf, entryAt, formats, machine, mapAnon, PAGE, RW, setRaw, space } from './builds.ts';
import type { Build } from './builds.ts';

const SHARED = RW | VM_SHARED | VM_MAYSHARE;
const CLEAN = E_USER | E_YOUNG;
const WRITTEN = E_USER | E_YOUNG | E_DIRTY | E_WRITE;

/** A file of 16 pages: on a disk, or shmem. */
function file(api: Build, memory: Memory, shmem = false): Inode {
  const backend = createMemoryBackend(new Uint8Array(16 * PAGE));
  const device = shmem ? null : createBlockDevice(memory.sched, memory.phys, backend);
  const inode = createInode(memory.files, device, api.fileRmap(memory));
  inode.size = 16 * PAGE;
  return inode;
}

/** A linked VMA of `pages` pages of the file. */
function addFileVma(api: Build, mm: Mm, inode: Inode, at: number, flags: number, pages = 8, pgoff = 0): Vma {
  const vma = new Vma(at, at + pages * PAGE, flags, pgoff, new OpenFile(inode, true, true));
  insertVma(mm.vmas, vma);
  api.linkFileVma(vma);
  return vma;
}

/** Maps the file's page as a fault would, caching it first: its PFN. */
function mapFile(mm: Mm, vma: Vma, address: number, flags: number): number {
  const { phys } = mm.memory;
  const inode = vmaInode(vma)!;
  const index = vma.pgoff + (address - vma.start) / PAGE;
  let pfn = inode.pages.get(index) ?? -1;
  if (pfn < 0) {
    pfn = filemapAddFolio(inode, index);
    folioUnlock(mm.memory, pfn);
  } else getPage(phys, pfn);
  folioAddFileRmap(mm, pfn);
  countRss(mm, pfn, 1);
  const decoded = createDecoded();
  const entry = createEntry();
  Object.assign(decoded, { kind: ENTRY_LEAF, pfn, flags });
  mm.memory.format.encode(decoded, 0, entry);
  setRaw(mm, address, entry);
  return pfn;
}

function rss(mm: Mm): number[] {
  return [mm.anonPages, mm.filePages, mm.shmemPages];
}

function present(mm: Mm, at: number, pages: number): string {
  return Array.from({ length: pages }, (_, i) => (entryAt(mm, at + i * PAGE).kind === ENTRY_NONE ? '.' : '1')).join('');
}

describe.each(builds)('%s: VMAs of files', (_, api) => {
  it('N.22: entries of a writable shared mapping of a disk file are read-only at first, those of shmem are not', () => {
    const memory = machine();
    const mm = space(memory);
    const disk = file(api, memory);
    const shmem = file(api, memory, true);
    const vma = addFileVma(api, mm, disk, AT, SHARED);
    expect([vmaNeedsDirtyTracking(vma), vmaPageProt(vma) & E_WRITE]).toEqual([true, 0]);
    const other = addFileVma(api, mm, shmem, AT + 0x10_0000, SHARED);
    expect([vmaNeedsDirtyTracking(other), vmaPageProt(other) & E_WRITE]).toEqual([false, E_WRITE]);
  });

  it('B.5: dirty tracking needs VM_WRITE and VM_SHARED both, and a file that is written back', () => {
    const memory = machine();
    const mm = space(memory);
    const disk = file(api, memory);
    const vma = addFileVma(api, mm, disk, AT, RW);
    expect(vmaNeedsDirtyTracking(vma)).toBe(false);
    vma.flags = SHARED & ~VM_WRITE;
    expect(vmaNeedsDirtyTracking(vma)).toBe(false);
    expect(vmaNeedsDirtyTracking(addVma(mm, AT + 0x10_0000, 1, SHARED))).toBe(false);
    expect(vmaInode(addVma(mm, AT + 0x20_0000, 1, RW))).toBe(null);
  });

  it('linking counts those that could write: VM_SHARED and VM_MAYWRITE', () => {
    const memory = machine();
    const mm = space(memory);
    const inode = file(api, memory);
    const vmas = [SHARED, SHARED & ~VM_WRITE, RW, VM_READ | VM_MAYREAD | VM_MAYSHARE].map((flags, i) =>
      addFileVma(api, mm, inode, AT + i * 0x10_0000, flags),
    );
    expect([inode.iMmap.size, inode.mmapWritable]).toEqual([4, 2]);
    for (const vma of vmas) api.unlinkFileVma(vma);
    expect([inode.iMmap.size, inode.mmapWritable, isLocked(inode.iMmapLock)]).toEqual([0, 0, false]);
  });

  it('private anonymous memory has no file: nothing happens', () => {
    const memory = machine();
    const vma = addVma(space(memory), AT, 1, RW);
    api.linkFileVma(vma);
    api.unlinkFileVma(vma);
    expect(vma.file).toBe(null);
  });

  it('InvariantError: linked twice, not linked, without the lock', () => {
    const memory = machine();
    const mm = space(memory);
    const inode = file(api, memory);
    const vma = addFileVma(api, mm, inode, AT, SHARED);
    expect(codeOf(() => api.addToIMmap(inode, vma))).toBe('LOCK_NOT_HELD');
    expect(codeOf(() => api.removeFromIMmap(inode, vma))).toBe('LOCK_NOT_HELD');
    downWriteTrylock(memory.sched, inode.iMmapLock);
    expect(codeOf(() => api.addToIMmap(inode, vma))).toBe('VMA_LINKED');
    api.removeFromIMmap(inode, vma);
    expect(codeOf(() => api.removeFromIMmap(inode, vma))).toBe('VMA_NOT_LINKED');
    upWrite(memory.sched, inode.iMmapLock);
    expect(inode.mmapWritable).toBe(0);
  });

  it('a split under the lock: both parts are found', () => {
    const memory = machine();
    const mm = space(memory);
    const inode = file(api, memory);
    const vma = addFileVma(api, mm, inode, AT, SHARED);
    for (const page of [2, 6]) mapFile(mm, vma, AT + page * PAGE, CLEAN);
    downWriteTrylock(memory.sched, inode.iMmapLock);
    api.addToIMmap(inode, splitVma(mm.vmas, vma, AT + 4 * PAGE));
    upWrite(memory.sched, inode.iMmapLock);
    api.unmapMappingRange(memory, inode, 0, Infinity, true);
    expect(present(mm, AT, 8)).toBe('........');
  });
});

describe.each(builds)('%s: zap of file pages', (_, api) => {
  it('N.11: dirty and accessed bits of the entry go to the page, counters by kind', () => {
    const memory = machine();
    const mm = space(memory);
    const disk = addFileVma(api, mm, file(api, memory), AT, SHARED);
    const shmem = addFileVma(api, mm, file(api, memory, true), AT + 8 * PAGE, SHARED);
    const anon = addVma(mm, AT + 16 * PAGE, 1, RW);
    const dirty = mapFile(mm, disk, AT, WRITTEN);
    const clean = mapFile(mm, disk, AT + PAGE, E_USER);
    const stored = mapFile(mm, shmem, AT + 8 * PAGE, WRITTEN);
    mapAnon(mm, anon, AT + 16 * PAGE);
    expect(rss(mm)).toEqual([1, 2, 1]);
    api.zapPageRange(mm, AT, AT + 17 * PAGE);
    expect(rss(mm)).toEqual([0, 0, 0]);
    const flags = [PG_DIRTY, PG_REFERENCED];
    const of = (pfn: number): boolean[] => flags.map((flag) => testFlag(memory.phys, pfn, flag));
    expect([of(dirty), of(clean), of(stored)]).toEqual([
      [true, true],
      [false, false],
      [true, true],
    ]);
    expect([vmaInode(disk)!.nrDirty, vmaInode(shmem)!.nrDirty]).toEqual([1, 0]);
    for (const pfn of [dirty, clean, stored])
      expect([pageRefCount(memory.phys, pfn), pageMapCount(memory.phys, pfn)]).toEqual([1, 0]);
  });

  it('ZAP_KEEP_COWS leaves private copies, ZAP_KEEP_MARKERS guard markers', () => {
    const memory = machine();
    const mm = space(memory);
    const vma = addFileVma(api, mm, file(api, memory), AT, RW, 4);
    const setUp = (): void => {
      mapFile(mm, vma, AT, CLEAN);
      if (entryAt(mm, AT + PAGE).kind === ENTRY_NONE) mapAnon(mm, vma, AT + PAGE);
      const marker = createDecoded();
      const entry = createEntry();
      setGuardMarker(marker);
      memory.format.encode(marker, 0, entry);
      setRaw(mm, AT + 2 * PAGE, entry);
    };
    setUp();
    api.zapPageRange(mm, AT, AT + 4 * PAGE, ZAP_KEEP_COWS | ZAP_KEEP_MARKERS);
    expect([present(mm, AT, 4), rss(mm)]).toEqual(['.11.', [1, 0, 0]]);
    setUp();
    api.zapPageRange(mm, AT, AT + 4 * PAGE, ZAP_KEEP_COWS);
    expect(present(mm, AT, 4)).toBe('.1..');
    setUp();
    api.zapPageRange(mm, AT, AT + 4 * PAGE, ZAP_KEEP_MARKERS);
    expect([present(mm, AT, 4), rss(mm)]).toEqual(['..1.', [0, 0, 0]]);
    setUp();
    api.zapPageRange(mm, AT, AT + 4 * PAGE);
    expect(present(mm, AT, 4)).toBe('....');
  });
});

describe.each(builds)('%s: fork of file pages', (_, api) => {
  it('N.10: a reference, a mapping and a counter more; the child is old', () => {
    const memory = machine();
    const mm = space(memory);
    const child = space(memory);
    const inode = file(api, memory);
    const vma = addFileVma(api, mm, inode, AT, RW);
    const pfn = mapFile(mm, vma, AT, CLEAN);
    mapAnon(mm, vma, AT + PAGE);
    const copy = addFileVma(api, child, inode, AT, RW);
    expect(api.copyPageRange(child, mm, vma, copy)).toBe(0);
    expect([pageRefCount(memory.phys, pfn), pageMapCount(memory.phys, pfn)]).toEqual([3, 2]);
    expect([rss(child), entryAt(child, AT).pfn, entryAt(child, AT).flags & E_YOUNG]).toEqual([[1, 1, 0], pfn, 0]);
    api.zapPageRange(child, AT, AT + 2 * PAGE);
    expect(rss(child)).toEqual([0, 0, 0]);
  });

  it('N.10: a file VMA never written to is not copied: the child faults again', () => {
    const memory = machine();
    const mm = space(memory);
    const child = space(memory);
    const inode = file(api, memory);
    const vma = addFileVma(api, mm, inode, AT, RW);
    mapFile(mm, vma, AT, CLEAN);
    expect(api.copyPageRange(child, mm, vma, addFileVma(api, child, inode, AT, RW))).toBe(0);
    expect([rss(child), present(child, AT, 1)]).toEqual([[0, 0, 0], '.']);
  });
});

describe.each(builds)('%s: unmapMappingRange', (_, api) => {
  it('unmaps a range of pages in every address space, whatever its VMAs begin with', () => {
    const memory = machine();
    const inode = file(api, memory);
    const mms = [space(memory), space(memory)];
    const first = addFileVma(api, mms[0]!, inode, AT, SHARED, 8, 0);
    const second = addFileVma(api, mms[1]!, inode, AT + 0x10_0000, RW, 6, 3);
    for (let page = 0; page < 8; page++) mapFile(mms[0]!, first, AT + page * PAGE, CLEAN);
    for (let page = 0; page < 6; page++) mapFile(mms[1]!, second, AT + 0x10_0000 + page * PAGE, CLEAN);
    api.unmapMappingRange(memory, inode, 4, 6, false);
    expect([present(mms[0]!, AT, 8), present(mms[1]!, AT + 0x10_0000, 6)]).toEqual(['1111..11', '1..111']);
    expect([pageMapCount(memory.phys, inode.pages.get(4)!), pageRefCount(memory.phys, inode.pages.get(4)!)]).toEqual([
      0, 1,
    ]);
    api.unmapMappingRange(memory, inode, 7, Infinity, true);
    expect([present(mms[0]!, AT, 8), present(mms[1]!, AT + 0x10_0000, 6)]).toEqual(['1111..1.', '1..1..']);
    expect(isLocked(inode.iMmapLock)).toBe(false);
  });

  it('FACTS 29: private copies go with evenCows only; guard markers stay', () => {
    const memory = machine();
    const mm = space(memory);
    const inode = file(api, memory);
    const vma = addFileVma(api, mm, inode, AT, RW);
    mapFile(mm, vma, AT, CLEAN);
    mapAnon(mm, vma, AT + PAGE);
    api.guardInstall(mm, AT + 2 * PAGE, AT + 3 * PAGE);
    api.unmapMappingRange(memory, inode, 0, 8, false);
    expect(present(mm, AT, 4)).toBe('.11.');
    api.unmapMappingRange(memory, inode, 0, 8, true);
    expect([present(mm, AT, 4), rss(mm)]).toEqual(['..1.', [0, 0, 0]]);
  });

  it('another file in the same address space keeps its pages', () => {
    const memory = machine();
    const mm = space(memory);
    const inode = file(api, memory);
    const other = file(api, memory);
    mapFile(mm, addFileVma(api, mm, inode, AT, RW, 2), AT, CLEAN);
    mapFile(mm, addFileVma(api, mm, other, AT + 2 * PAGE, RW, 2), AT + 2 * PAGE, CLEAN);
    api.unmapMappingRange(memory, inode, 0, Infinity, true);
    expect(present(mm, AT, 4)).toBe('..1.');
  });
});

describe.each(builds)('%s: pageMkclean', (_, api) => {
  it('N.13: cleans and write-protects every shared mapping, and flushes the TLBs; private ones are let alone', () => {
    const memory = machine({ cpus: 2 });
    const inode = file(api, memory);
    const [a, b] = [space(memory), space(memory)];
    const first = addFileVma(api, a, inode, AT, SHARED, 8, 0);
    const second = addFileVma(api, b, inode, AT, SHARED, 8, 2);
    const third = addFileVma(api, b, inode, AT + 0x10_0000, RW, 8, 0);
    const pfn = mapFile(a, first, AT + 3 * PAGE, WRITTEN);
    mapFile(b, second, AT + PAGE, E_USER | E_YOUNG | E_WRITE);
    mapFile(b, third, AT + 0x10_0000 + 3 * PAGE, CLEAN);
    const found = createTranslation();
    const root = a.words[MM_ROOT]!;
    hwWalk(memory.tables, root, AT + 3 * PAGE, ACCESS_WRITE, found);
    tlbInsert(memory.tlbs[1]!, root, AT + 3 * PAGE, found);
    a.words[MM_CPUMASK] = 0b11;
    expect(api.pageMkclean(memory, inode, pfn, 3)).toBe(true);
    const both = E_DIRTY | E_WRITE;
    expect([entryAt(a, AT + 3 * PAGE).flags & both, entryAt(b, AT + PAGE).flags & both]).toEqual([0, 0]);
    expect([entryAt(a, AT + 3 * PAGE).pfn, entryAt(b, AT + 0x10_0000 + 3 * PAGE).pfn]).toEqual([pfn, pfn]);
    expect(tlbLookup(memory.tlbs[1]!, root, AT + 3 * PAGE, ACCESS_WRITE)).toBe(-1);
    expect(pageMapCount(memory.phys, pfn)).toBe(3);
    // Once more: nothing was dirty.
    expect(api.pageMkclean(memory, inode, pfn, 3)).toBe(false);
    expect(isLocked(inode.iMmapLock)).toBe(false);
  });

  it('a page that is not mapped, and another page mapped there, are not dirty', () => {
    const memory = machine();
    const mm = space(memory);
    const inode = file(api, memory);
    const vma = addFileVma(api, mm, inode, AT, SHARED);
    const pfn = mapFile(mm, vma, AT, WRITTEN);
    const other = mapFile(mm, vma, AT + PAGE, WRITTEN);
    expect(api.pageMkclean(memory, inode, pfn, 1)).toBe(false);
    expect(entryAt(mm, AT + PAGE).flags & E_DIRTY).toBe(E_DIRTY);
    api.zapPageRange(mm, AT + PAGE, AT + 2 * PAGE);
    expect(api.pageMkclean(memory, inode, other, 1)).toBe(false);
  });
});

describe.each(formats)('sched %s: who waits for whom', () => {
  it('a VMA leaves i_mmap only after a walk over it has ended', () => {
    const memory = machine({ cpus: 2 });
    const mm = space(memory);
    const inode = file(coloured as unknown as Build, memory);
    const vma = new Vma(AT, AT + PAGE, SHARED, 0, new OpenFile(inode, true, true));
    insertVma(mm.vmas, vma);
    downWriteTrylock(memory.sched, inode.iMmapLock);
    coloured.addToIMmap(inode, vma);
    upWrite(memory.sched, inode.iMmapLock);
    mapFile(mm, vma, AT, CLEAN);
    const walk = spawn(memory.sched, 'truncate', coloured.unmapMappingRange(memory, inode, 0, 1, true));
    while (!isLocked(inode.iMmapLock)) stepTask(memory.sched, walk);
    const leave = spawn(memory.sched, 'munmap', coloured.unlinkFileVma(vma));
    while (leave.state !== TASK_WAITING) stepTask(memory.sched, leave);
    expect(walk.state).not.toBe(TASK_DONE);
    runAll(memory.sched);
    expect([inode.iMmap.size, mm.filePages]).toEqual([0, 0]);
  });

  it('N.11: a dirty shared page stays in the reverse map until the TLBs are flushed, so writeback still finds it', () => {
    const memory = machine({ cpus: 2 });
    const mm = space(memory);
    const inode = file(coloured as unknown as Build, memory);
    const vma = new Vma(AT, AT + PAGE, SHARED, 0, new OpenFile(inode, true, true));
    insertVma(mm.vmas, vma);
    const pfn = mapFile(mm, vma, AT, WRITTEN);
    getPage(memory.phys, pfn);
    const found = createTranslation();
    const root = mm.words[MM_ROOT]!;
    hwWalk(memory.tables, root, AT, ACCESS_WRITE, found);
    tlbInsert(memory.tlbs[1]!, root, AT, found);
    mm.words[MM_CPUMASK] = 0b11;
    const zap = spawn(memory.sched, 'zap', coloured.zapPageRange(mm, AT, AT + PAGE), 0);
    const seen: [boolean, number][] = [];
    while (zap.state !== TASK_DONE) {
      stepTask(memory.sched, zap);
      const cached = tlbLookup(memory.tlbs[1]!, root, AT, ACCESS_WRITE) >= 0;
      seen.push([cached, pageMapCount(memory.phys, pfn)]);
    }
    // Never a translation that could store into a page nobody would find mapped.
    expect(seen.filter(([cached, maps]) => cached && maps === 0)).toEqual([]);
    expect(seen[seen.length - 1]).toEqual([false, 0]);
    expect(testFlag(memory.phys, pfn, PG_DIRTY)).toBe(true);
    putPage(memory.phys, pfn);
  });
});
