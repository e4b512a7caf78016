import { describe, expect, it } from 'vitest';
import { EACCES, EFAULT, EINTR, EINVAL, ENOMEM, EPERM } from '@mmkit/base';
import { fileRmap, MM_ROOT, Mm } from '@mmkit/aspace';
import * as coloured from '@mmkit/aspace/sched';
import {
  addExtent,
  createBlockDevice,
  createInode,
  createMemoryBackend,
  filemapAddFolio,
  F_SEAL_WRITE,
  folioUnlock,
  Inode,
  OpenFile,
} from '@mmkit/filemap';
import {
  MADV_COLD,
  MADV_COLLAPSE,
  MADV_DONTNEED,
  MADV_DONTNEED_LOCKED,
  MADV_FREE,
  MADV_HWPOISON,
  MADV_PAGEOUT,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_REMOVE,
  MADV_WILLNEED,
  MAP_FIXED,
  PROT_NONE,
  PROT_READ,
} from '@mmkit/mm';
import { createDecoded, createEntry, E_DIRTY, E_WRITE, E_YOUNG, leafIndex, leafTable, readEntry } from '@mmkit/pgtable';
import { PG_DIRTY, PG_SWAPBACKED, PG_UPTODATE, putPage, setFlag, testFlag } from '@mmkit/phys';
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
  vmaLookup,
} from '@mmkit/vma';
import { ANON, BASE, builds, framesUsed, mapPages, PAGE, pfnAt, setUp, touch } from './builds.ts';

const SHARED = VM_READ | VM_WRITE | VM_SHARED | VM_MAYREAD | VM_MAYWRITE | VM_MAYSHARE;

/** The entry's `y`oung, `d`irty, `w`ritable and the page's B (swap-backed), D (PG_dirty). */
function letters(mm: Mm, address: number): string {
  const { tables, format, phys } = mm.memory;
  const entry = createEntry();
  const decoded = createDecoded();
  readEntry(tables, leafTable(tables, mm.words[MM_ROOT]!, address), leafIndex(format, address), entry);
  format.decode(entry.lo, entry.hi, 0, decoded);
  let text = testFlag(phys, decoded.pfn, PG_SWAPBACKED) ? 'B' : '';
  if (testFlag(phys, decoded.pfn, PG_DIRTY)) text += 'D';
  if ((decoded.flags & E_YOUNG) !== 0) text += 'y';
  if ((decoded.flags & E_DIRTY) !== 0) text += 'd';
  return (decoded.flags & E_WRITE) !== 0 ? `${text}w` : text;
}

/** A shmem file of `pages` pages, all cached. */
function file(build: string, mm: Mm, pages: number): Inode {
  const rmap = build.startsWith('sched') ? coloured.fileRmap : fileRmap;
  const inode = createInode(mm.memory.files, null, rmap(mm.memory));
  inode.size = pages * PAGE;
  for (let index = 0; index < pages; index++) {
    const pfn = filemapAddFolio(inode, index);
    setFlag(mm.memory.phys, pfn, PG_UPTODATE);
    folioUnlock(mm.memory, pfn);
    putPage(mm.memory.phys, pfn);
  }
  return inode;
}

function mapFile(mm: Mm, inode: Inode, page: number, pages: number, pgoff: number, flags: number): Vma {
  const start = BASE + page * PAGE;
  const vma = new Vma(start, start + pages * PAGE, flags, pgoff, new OpenFile(inode, true, true));
  insertVma(mm.vmas, vma);
  return vma;
}

describe.each(builds)('%s build: madvise about pages', (build, api) => {
  const advise = (mm: Mm, page: number, count: number, advice: number): number =>
    api.madvise(mm, BASE + page * PAGE, count * PAGE, advice);
  const present = (mm: Mm, count: number): string =>
    Array.from({ length: count }, (_, page) => (pfnAt(mm, BASE + page * PAGE) > 0 ? 'x' : '.')).join('');

  it('FACTS 17: DONTNEED, FREE, COLD and PAGEOUT refuse a locked VMA after those before it; DONTNEED_LOCKED does not', () => {
    for (const advice of [MADV_DONTNEED, MADV_FREE, MADV_COLD, MADV_PAGEOUT, MADV_DONTNEED_LOCKED]) {
      const mm = setUp(api);
      mapPages(api, mm, 0, 1);
      api.mmap(mm, BASE + PAGE, PAGE, PROT_READ, ANON | MAP_FIXED);
      touch(api, mm, BASE);
      vmaLookup(mm.vmas, BASE + PAGE)!.flags |= VM_LOCKED;
      const refused = advice !== MADV_DONTNEED_LOCKED;
      expect(advise(mm, 0, 2, advice)).toBe(refused ? -EINVAL : 0);
      expect(present(mm, 1)).toBe(advice === MADV_DONTNEED || advice === MADV_DONTNEED_LOCKED ? '.' : 'x');
      if (advice === MADV_FREE) expect(letters(mm, BASE)).toBe('w');
      if (advice === MADV_COLD) expect(letters(mm, BASE)).toBe('Bdw');
      if (advice === MADV_PAGEOUT) expect(letters(mm, BASE)).toBe('Bydw');
      expect(isLocked(mm.mmapLock)).toBe(false);
    }
  });

  it('FACTS 16: FREE keeps the page; the next store makes it dirty without a fault, and not swap-backed', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 1);
    touch(api, mm, BASE);
    const pfn = pfnAt(mm, BASE);
    expect(advise(mm, 0, 1, MADV_FREE)).toBe(0);
    expect([pfnAt(mm, BASE), letters(mm, BASE)]).toEqual([pfn, 'w']);
    const faults = mm.memory.stat.pgfault;
    touch(api, mm, BASE);
    expect([mm.memory.stat.pgfault, letters(mm, BASE)]).toEqual([faults, 'Dw']);
  });

  it('FACTS 16: FREE refuses what is not private anonymous memory', () => {
    const mm = setUp(api);
    mapFile(mm, file(build, mm, 1), 0, 1, 0, VM_READ | VM_WRITE | VM_MAYREAD | VM_MAYWRITE);
    expect(advise(mm, 0, 1, MADV_FREE)).toBe(-EINVAL);
  });

  it('B.13: populate faults in for reading (zero page) or writing (own pages), over several VMAs', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 2);
    api.mmap(mm, BASE + 2 * PAGE, PAGE, PROT_READ, ANON | MAP_FIXED);
    expect(advise(mm, 0, 3, MADV_POPULATE_READ)).toBe(0);
    expect([0, 1, 2].map((page) => pfnAt(mm, BASE + page * PAGE))).toEqual(Array(3).fill(mm.memory.phys.zeroPfn));
    const used = framesUsed(mm);
    expect(advise(mm, 0, 2, MADV_POPULATE_WRITE)).toBe(0);
    expect([framesUsed(mm), isLocked(mm.mmapLock)]).toEqual([used + 2, false]);
  });

  it('D.4: POPULATE_WRITE of read-only and POPULATE_READ of PROT_NONE memory EINVAL, a hole ENOMEM; what lies before is done', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 1);
    api.mmap(mm, BASE + PAGE, PAGE, PROT_READ, ANON | MAP_FIXED);
    expect([advise(mm, 0, 2, MADV_POPULATE_WRITE), present(mm, 2)]).toEqual([-EINVAL, 'x.']);
    api.mmap(mm, BASE + 2 * PAGE, PAGE, PROT_NONE, ANON | MAP_FIXED);
    expect([advise(mm, 1, 2, MADV_POPULATE_READ), present(mm, 3)]).toEqual([-EINVAL, 'xx.']);
    expect(advise(mm, 4, 1, MADV_POPULATE_READ)).toBe(-ENOMEM);
    mapPages(api, mm, 5, 1);
    expect([advise(mm, 5, 2, MADV_POPULATE_WRITE), present(mm, 6)]).toEqual([-ENOMEM, 'xx...x']);
    expect(isLocked(mm.mmapLock)).toBe(false);
  });

  it('B.22 #29: MADV_POPULATE_WRITE of read-only memory EINVAL, of a hole ENOMEM, beyond the end of a file EFAULT', () => {
    const mm = setUp(api);
    api.mmap(mm, BASE, PAGE, PROT_READ, ANON | MAP_FIXED);
    mapFile(mm, file(build, mm, 1), 2, 2, 0, SHARED);
    const populate = (page: number): number => advise(mm, page, 1, MADV_POPULATE_WRITE);
    expect([0, 1, 2, 3].map(populate)).toEqual([-EINVAL, -ENOMEM, 0, -EFAULT]);
  });

  it('D.4: the first problem wins: a VMA that refuses before a hole EINVAL, behind it ENOMEM', () => {
    const mm = setUp(api);
    api.mmap(mm, BASE, PAGE, PROT_NONE, ANON | MAP_FIXED);
    api.mmap(mm, BASE + 2 * PAGE, PAGE, PROT_NONE, ANON | MAP_FIXED);
    expect([advise(mm, 0, 2, MADV_POPULATE_READ), advise(mm, 1, 2, MADV_POPULATE_READ)]).toEqual([-EINVAL, -ENOMEM]);
  });

  it('B.13: ENOMEM without memory, EINTR when the task is killed', () => {
    const mm = setUp(api, 24);
    mapPages(api, mm, 0, 64);
    expect(advise(mm, 0, 64, MADV_POPULATE_WRITE)).toBe(-ENOMEM);
    // In the sched build every call is a task of its own.
    mm.memory.sched.current.killed = build.startsWith('plain');
    expect(advise(mm, 63, 1, MADV_POPULATE_READ)).toBe(build.startsWith('plain') ? -EINTR : 0);
    expect(isLocked(mm.mmapLock)).toBe(false);
  });

  it('FACTS 27: REMOVE takes the pages out of file and every mapping; the next access sees a new page', () => {
    const mm = setUp(api);
    const inode = file(build, mm, 4);
    mapFile(mm, inode, 0, 2, 2, SHARED);
    expect(advise(mm, 1, 1, MADV_REMOVE)).toBe(0);
    expect([[...inode.pages.keys()], inode.size, isLocked(mm.mmapLock)]).toEqual([[0, 1, 2], 4 * PAGE, false]);
  });

  it('6.18: REMOVE: EINVAL for anonymous or locked memory, EACCES where the file may not be written, ENOMEM for holes at the end', () => {
    const mm = setUp(api);
    const inode = file(build, mm, 8);
    mapPages(api, mm, 0, 1);
    expect(advise(mm, 0, 1, MADV_REMOVE)).toBe(-EINVAL);
    const readOnly = mapFile(mm, inode, 2, 1, 0, SHARED & ~VM_WRITE);
    expect(advise(mm, 2, 1, MADV_REMOVE)).toBe(0);
    readOnly.flags &= ~VM_MAYWRITE;
    expect(advise(mm, 2, 1, MADV_REMOVE)).toBe(-EACCES);
    readOnly.flags |= VM_LOCKED;
    expect(advise(mm, 2, 1, MADV_REMOVE)).toBe(-EINVAL);
    mapFile(mm, inode, 3, 1, 1, VM_READ | VM_WRITE | VM_MAYWRITE);
    expect(advise(mm, 3, 1, MADV_REMOVE)).toBe(-EACCES);
    mapFile(mm, inode, 5, 1, 4, SHARED);
    expect(advise(mm, 4, 2, MADV_REMOVE)).toBe(-ENOMEM);
    expect([...inode.pages.keys()]).toEqual([1, 2, 3, 5, 6, 7]);
  });

  it('FACTS 28: REMOVE of a file sealed against writing EPERM', () => {
    const mm = setUp(api);
    const inode = file(build, mm, 1);
    mapFile(mm, inode, 0, 1, 0, SHARED);
    inode.seals |= F_SEAL_WRITE;
    expect([advise(mm, 0, 1, MADV_REMOVE), inode.pages.size, isLocked(mm.mmapLock)]).toEqual([-EPERM, 1, false]);
  });

  it('6.18: WILLNEED is 0 on anonymous memory and shmem, which nothing changes, ENOMEM for holes', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 1);
    mapFile(mm, file(build, mm, 1), 1, 1, 0, SHARED);
    const used = framesUsed(mm);
    expect([advise(mm, 0, 2, MADV_WILLNEED), advise(mm, 0, 3, MADV_WILLNEED)]).toEqual([0, -ENOMEM]);
    expect([framesUsed(mm), isLocked(mm.mmapLock)]).toEqual([used, false]);
  });

  it('6.18: WILLNEED of a disk file reads the pages advised, as far as the file goes; a private mapping likewise', () => {
    for (const flags of [SHARED, VM_READ | VM_MAYREAD]) {
      const mm = setUp(api);
      const { sched, phys, files } = mm.memory;
      const device = createBlockDevice(sched, phys, createMemoryBackend(new Uint8Array(16 * PAGE)));
      const inode = createInode(files, device, (build.startsWith('sched') ? coloured.fileRmap : fileRmap)(mm.memory));
      addExtent(inode, 0, 6 * PAGE);
      mapFile(mm, inode, 0, 3, 1, flags);
      mapFile(mm, inode, 3, 3, 4, flags);
      expect([advise(mm, 1, 1, MADV_WILLNEED), [...inode.pages.keys()]]).toEqual([0, [2]]);
      expect([advise(mm, 2, 4, MADV_WILLNEED), [...inode.pages.keys()]]).toEqual([0, [2, 3, 4, 5]]);
      expect([present(mm, 6), isLocked(mm.mmapLock)]).toEqual(['......', false]);
    }
  });

  it('6.18: without huge pages COLLAPSE is EINVAL, in a hole ENOMEM; HWPOISON is unknown to this kernel', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 1);
    expect([advise(mm, 0, 1, MADV_COLLAPSE), advise(mm, 4, 1, MADV_COLLAPSE)]).toEqual([-EINVAL, -ENOMEM]);
    expect([advise(mm, 0, 1, MADV_HWPOISON), advise(mm, 0, 0, MADV_HWPOISON)]).toEqual([-EINVAL, -EINVAL]);
    for (const unknown of [5, 6, 7, 26, 99, 104]) expect(advise(mm, 0, 0, unknown)).toBe(-EINVAL);
  });

  it('D.2: PAGEOUT of a pinned page, or of any without swap, is 0 and the page stays', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 1);
    touch(api, mm, BASE);
    const pfn = pfnAt(mm, BASE);
    expect([advise(mm, 0, 1, MADV_PAGEOUT), pfnAt(mm, BASE)]).toEqual([0, pfn]);
  });
});
