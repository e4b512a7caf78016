/** A.16 #8–10, #13, #17–19, #25, #33 on files, and the manual page's sentences that need a disk; policies 3.14 and 4.8. */
import { describe, expect, it } from 'vitest';
import { linux3_14, linux4_8, mmapIsLocked, vmaInode } from '@mmkit/aspace';
import type { Policy } from '@mmkit/aspace';
import { EFAULT } from '@mmkit/base';
import { FOLL_DUMP, FOLL_FORCE, FOLL_GET, FOLL_NOWAIT, FOLL_WRITE } from '@mmkit/gup/classic';
import { folioTestAnon } from '@mmkit/aspace';
import { E_DIRTY, E_WRITE } from '@mmkit/pgtable';
import { PG_DIRTY, testFlag, writeBytes } from '@mmkit/phys';
import { VM_MAYREAD, VM_MAYSHARE, VM_MAYWRITE, VM_READ, VM_SHARED } from '@mmkit/vma';
import { AT, builds, PAGE, RW, space } from './builds.ts';
import type { Build, Space } from './builds.ts';
import { Disk, fileApi, LATENCY, SHARED } from './files.ts';

const RO_PRIVATE = VM_READ | VM_MAYREAD | VM_MAYWRITE;
const RO_SHARED = VM_READ | VM_MAYREAD | VM_SHARED | VM_MAYSHARE;
const FORCED = FOLL_WRITE | FOLL_FORCE | FOLL_GET;
const ERA: readonly Policy[] = [linux3_14, linux4_8];

describe.each(builds)('%s: the documented call on files', (name, build: Build) => {
  const { __get_user_pages, put_page, set_page_dirty_lock } = build.classic;
  const counters = (): { min_flt: number; maj_flt: number } => ({ min_flt: 0, maj_flt: 0 });
  const setUp = (policy: Policy): { s: Space; disk: Disk } => {
    const s = space(build, {}, { policy });
    return { s, disk: new Disk(name, s) };
  };
  const get = (s: Space, nr: number, flags: number, pages: Uint32Array, tsk = counters()): number =>
    s.locked(() => __get_user_pages(tsk, s.mm, AT, nr, flags, pages, null, null));

  it.each(ERA)(
    'A.16 #8, $name: WRITE|FORCE on a read-only private page: a dirty copy, two faults, the file unchanged',
    (policy) => {
      const { s, disk } = setUp(policy);
      disk.map(disk.shmem(), AT, RO_PRIVATE);
      const tsk = counters();
      const pages = new Uint32Array(1);
      expect(get(s, 1, FORCED, pages, tsk)).toBe(1);
      expect(tsk.min_flt).toBe(2);
      expect(folioTestAnon(s.phys, pages[0]!)).toBe(true);
      expect(s.entry(AT).flags & (E_WRITE | E_DIRTY)).toBe(E_DIRTY);
      put_page(s.memory, pages[0]!);
    },
  );

  it('A.16 #9: WRITE|FORCE on a read-only shared mapping that may be written: in 3.14 a private page inside it, then -EFAULT', () => {
    const { s, disk } = setUp(linux3_14);
    const inode = disk.shmem();
    disk.map(inode, AT, RO_SHARED | VM_MAYWRITE);
    const pages = new Uint32Array(1);
    expect(get(s, 1, FORCED, pages)).toBe(1);
    expect(folioTestAnon(s.phys, pages[0]!)).toBe(true);
    expect([...inode.pages.values()]).not.toContain(pages[0]);
    put_page(s.memory, pages[0]!);
    const later = setUp(linux4_8);
    later.disk.map(later.disk.shmem(), AT, RO_SHARED | VM_MAYWRITE);
    expect(get(later.s, 1, FORCED, pages)).toBe(-EFAULT);
  });

  it.each(ERA)('A.16 #10, $name: WRITE|FORCE on a shared mapping that may not be written: -EFAULT', (policy) => {
    const { s, disk } = setUp(policy);
    disk.map(disk.shmem(), AT, RO_SHARED);
    expect(get(s, 1, FORCED, new Uint32Array(1))).toBe(-EFAULT);
    // Refused before a fault, which would be a kernel's bug here.
    expect([s.warnings, s.memory.stat.pgfault]).toEqual([[], 0]);
  });

  it.each(ERA)('A.16 #13, $name: beyond the end of the file: -EFAULT; as second page: 1', (policy) => {
    const { s, disk } = setUp(policy);
    disk.map(disk.file(1), AT, RW);
    const pages = new Uint32Array(2);
    expect(get(s, 2, FOLL_GET, pages)).toBe(1);
    put_page(s.memory, pages[0]!);
    const beyond = (): number =>
      s.locked(() => __get_user_pages(null, s.mm, AT + PAGE, 1, FOLL_GET, pages, null, null));
    expect(beyond()).toBe(-EFAULT);
  });

  it('A.16 #17: *nonblocking 1 and the page on disk: 0, *nonblocking 0, mmap_sem released, the read done', () => {
    const { s, disk } = setUp(linux3_14);
    disk.map(disk.file(), AT, RW);
    const nonblocking = { value: 1 as 0 | 1 };
    s.locked(() => {
      expect(__get_user_pages(null, s.mm, AT, 2, FOLL_GET, new Uint32Array(2), null, nonblocking)).toBe(0);
      expect(mmapIsLocked(s.mm)).toBe(false);
    });
    expect([nonblocking.value, s.sched.now]).toEqual([0, LATENCY]);
  });

  it('A.16 #18: the third page on disk: 2, *nonblocking 0, mmap_sem released; vmas are not to be used any more', () => {
    const { s, disk } = setUp(linux3_14);
    const inode = disk.file();
    const vma = disk.map(inode, AT, RW);
    const pages = new Uint32Array(3);
    expect(get(s, 2, FOLL_GET, pages)).toBe(2);
    for (let i = 0; i < 2; i++) put_page(s.memory, pages[i]!);
    const nonblocking = { value: 1 as 0 | 1 };
    const vmas = [null, null, null];
    s.locked(() => {
      expect(__get_user_pages(null, s.mm, AT, 3, FOLL_GET, pages, vmas, nonblocking)).toBe(2);
      expect(mmapIsLocked(s.mm)).toBe(false);
    });
    expect(nonblocking.value).toBe(0);
    expect([vmas[0], vmas[1], vmas[2]]).toEqual([vma, vma, null]);
    for (let i = 0; i < 2; i++) put_page(s.memory, pages[i]!);
  });

  it('A.16 #19: FOLL_NOWAIT, nonblocking NULL: 0, the read started, mmap_sem held', () => {
    const { s, disk } = setUp(linux3_14);
    disk.map(disk.file(), AT, RW);
    s.locked(() => {
      expect(__get_user_pages(null, s.mm, AT, 1, FOLL_GET | FOLL_NOWAIT, new Uint32Array(1), null, null)).toBe(0);
      expect([mmapIsLocked(s.mm), disk.device.inFlight, s.sched.now]).toEqual([true, 1, 0]);
    });
  });

  it('A.16 #25: FOLL_DUMP on an untouched page of a file faults it in: 1', () => {
    const { s, disk } = setUp(linux3_14);
    disk.map(disk.file(), AT, RW);
    const pages = new Uint32Array(1);
    const tsk = counters();
    expect(get(s, 1, FOLL_DUMP | FOLL_GET, pages, tsk)).toBe(1);
    expect([disk.byte(pages[0]!), tsk.maj_flt]).toEqual([1, 1]);
    put_page(s.memory, pages[0]!);
  });

  it('A.16 #33: page 2 of 3 on disk: 3, *locked 0 on return', () => {
    const { s, disk } = setUp(linux4_8);
    const inode = disk.file();
    disk.map(inode, AT, RW);
    const pages = new Uint32Array(3);
    for (const [page, at] of [[0, AT] as const, [2, AT + 2 * PAGE] as const]) {
      const one = new Uint32Array(1);
      s.locked(() => __get_user_pages(null, s.mm, at, 1, FOLL_GET, one, null, null));
      expect(disk.byte(one[0]!)).toBe(page + 1);
      put_page(s.memory, one[0]!);
    }
    const locked = { value: 1 as 0 | 1 };
    s.locked(() => {
      expect(build.classic.get_user_pages_locked(null, s.mm, AT, 3, false, false, pages, locked)).toBe(3);
      expect([locked.value, mmapIsLocked(s.mm)]).toEqual([0, false]);
    });
    expect(Array.from(pages, (pfn) => disk.byte(pfn))).toEqual([1, 2, 3]);
    for (const pfn of pages) put_page(s.memory, pfn);
  });

  it('A.15: set_page_dirty_lock after the write and before put_page: what was written reaches the disk', () => {
    const { s, disk } = setUp(linux3_14);
    const inode = disk.file();
    const vma = disk.map(inode, AT, SHARED);
    expect(vmaInode(vma)).toBe(inode);
    const pages = new Uint32Array(1);
    expect(get(s, 1, FOLL_WRITE | FOLL_GET, pages)).toBe(1);
    const files = fileApi(name);
    files.filemapWriteAndWait(inode, 0, Infinity);
    writeBytes(s.phys, pages[0]!, 0, Uint8Array.of(0xee), 0, 1);
    files.filemapWriteAndWait(inode, 0, Infinity);
    expect(disk.bytes[0]).toBe(1);
    set_page_dirty_lock(s.memory, pages[0]!);
    expect([testFlag(s.phys, pages[0]!, PG_DIRTY), inode.nrDirty]).toEqual([true, 1]);
    put_page(s.memory, pages[0]!);
    files.filemapWriteAndWait(inode, 0, Infinity);
    expect(disk.bytes[0]).toBe(0xee);
  });

  it('A.15: set_page_dirty counts the page of a file that is still in it', () => {
    const { s, disk } = setUp(linux3_14);
    const inode = disk.file();
    disk.map(inode, AT, SHARED);
    const pages = new Uint32Array(1);
    get(s, 1, FOLL_GET, pages);
    build.classic.set_page_dirty(s.memory, pages[0]!);
    expect(inode.nrDirty).toBe(1);
    put_page(s.memory, pages[0]!);
  });
});
