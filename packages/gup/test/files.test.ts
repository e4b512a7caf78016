/** Pins of file memory: B.5 #6, B.6, B.11 #8, N.13, and I/O waits through GUP (DESIGN "Waiting"). */
import { describe, expect, it } from 'vitest';
import { mmapIsLocked, pageAnonExclusive, zapPageRange } from '@mmkit/aspace';
import { EFAULT, FOLL_DUMP, FOLL_FORCE, FOLL_LONGTERM, FOLL_NOWAIT, FOLL_WRITE } from '@mmkit/base';
import { FOLL_GET } from '@mmkit/gup/classic';
import { E_WRITE } from '@mmkit/pgtable';
import { countFrames, PG_DIRTY, testFlag } from '@mmkit/phys';
import { VM_MAYREAD, VM_MAYWRITE, VM_READ, VM_WRITE } from '@mmkit/vma';
import { AT, builds, PAGE, RW, space } from './builds.ts';
import type { Build, Hooks } from './builds.ts';
import { Disk, fileApi, LATENCY, SHARED } from './files.ts';

const RO = VM_READ | VM_MAYREAD | VM_MAYWRITE;
const LONG_WRITE = FOLL_LONGTERM | FOLL_WRITE;

function setUp(
  name: string,
  build: Build,
  hooks: Hooks = {},
): { s: ReturnType<typeof space>; disk: Disk; files: ReturnType<typeof fileApi> } {
  const s = space(build, hooks);
  return { s, disk: new Disk(name, s), files: fileApi(name) };
}

describe.each(builds)('%s: long pins of files', (name, build) => {
  const { gup } = build;
  const pages = new Uint32Array(8);

  it('B.22 #17: a long write to a shared mapping of a disk file is -EFAULT, slow and fast; nothing is pinned', () => {
    const { s, disk } = setUp(name, build);
    disk.map(disk.file(), AT, SHARED);
    s.touch(AT, 2);
    expect(s.locked(() => gup.pinUserPages(s.mm, AT, 2, LONG_WRITE, pages))).toBe(-EFAULT);
    expect(gup.pinUserPagesFast(s.mm, AT, 2, LONG_WRITE, pages)).toBe(-EFAULT);
    expect(s.memory.stat.gupFast).toBe(0);
    expect(countFrames(s.phys).pins).toBe(0);
    expect(s.refs(s.entry(AT).pfn)).toBe(2);
  });

  it('B.22 #17: a short write is allowed, and a long read', () => {
    const { s, disk } = setUp(name, build);
    const inode = disk.file();
    disk.map(inode, AT, SHARED);
    expect(gup.pinUserPagesFast(s.mm, AT, 1, FOLL_WRITE, pages)).toBe(1);
    expect(pages[0]).toBe(inode.pages.get(0));
    expect(gup.pinUserPagesFast(s.mm, AT + PAGE, 1, FOLL_LONGTERM, pages.subarray(1))).toBe(1);
    expect(pages[1]).toBe(inode.pages.get(1));
    gup.unpinUserPages(s.memory, pages, 2);
  });

  it('B.5: the mapping decides, not the file: read-only shared and private ones are allowed what they are', () => {
    const { s, disk } = setUp(name, build);
    const inode = disk.file();
    disk.map(inode, AT, SHARED & ~VM_WRITE);
    expect(s.locked(() => gup.pinUserPages(s.mm, AT, 1, FOLL_LONGTERM, pages))).toBe(1);
    gup.unpinUserPages(s.memory, pages, 1);
    disk.map(inode, AT + 0x10_0000, RW);
    expect(gup.pinUserPagesFast(s.mm, AT + 0x10_0000, 1, LONG_WRITE, pages)).toBe(1);
    expect([pages[0] === inode.pages.get(0), pageAnonExclusive(s.phys, pages[0]!)]).toEqual([false, true]);
    gup.unpinUserPages(s.memory, pages, 1);
  });

  it('FACTS 26, B.11 #8: shmem may be pinned long for writing, by the fast walk too', () => {
    const { s, disk } = setUp(name, build);
    const inode = disk.shmem();
    disk.map(inode, AT, SHARED);
    s.touch(AT, 4);
    expect(gup.pinUserPagesFast(s.mm, AT, 4, LONG_WRITE, pages)).toBe(4);
    expect([s.memory.stat.gupFast, pages[3]]).toEqual([4, inode.pages.get(3)]);
    gup.unpinUserPages(s.memory, pages, 4);
  });

  it('B.11 #8: anonymous pages before a page of a file are taken fast, the file makes the walk stop', () => {
    const { s, disk } = setUp(name, build);
    s.map(AT, 2);
    disk.map(disk.file(), AT + 2 * PAGE, SHARED, 2);
    s.touch(AT, 4);
    expect(gup.pinUserPagesFast(s.mm, AT, 4, LONG_WRITE, pages)).toBe(2);
    expect(s.memory.stat.gupFast).toBe(2);
    gup.unpinUserPages(s.memory, pages, 2);
    expect(countFrames(s.phys).pins).toBe(0);
  });

  it('B.11 #8: a page that left its file while its entry was read is not taken', () => {
    const { s, disk, files } = setUp(name, build);
    const inode = disk.shmem();
    disk.map(inode, AT, SHARED);
    const [pfn] = s.touch(AT, 1);
    files.deleteFromPageCache(inode, pfn!, 0);
    // The slow path finds the entry and takes it; only what the fast walk does is of interest.
    const before = s.memory.stat.gupFast;
    expect(gup.pinUserPagesFast(s.mm, AT, 1, LONG_WRITE, pages)).toBe(1);
    expect(s.memory.stat.gupFast).toBe(before);
    gup.unpinUserPages(s.memory, pages, 1);
  });

  it('G.16: a long read of a private mapping makes a private copy first, a short one does not', () => {
    const { s, disk } = setUp(name, build);
    const inode = disk.file();
    disk.map(inode, AT, RW);
    expect(gup.pinUserPagesFast(s.mm, AT, 1, 0, pages)).toBe(1);
    expect(pages[0]).toBe(inode.pages.get(0));
    gup.unpinUserPages(s.memory, pages, 1);
    expect(gup.pinUserPagesFast(s.mm, AT, 1, FOLL_LONGTERM, pages)).toBe(1);
    expect([pages[0] === inode.pages.get(0), disk.byte(pages[0]!), s.entry(AT).flags & E_WRITE]).toEqual([false, 1, 0]);
    gup.unpinUserPages(s.memory, pages, 1);
  });
});

describe.each(builds)('%s: looking up pages of files', (name, build) => {
  const { gup } = build;
  const pages = new Uint32Array(8);

  it('FACTS 29: beyond the end of the file -EFAULT, or the pages before it', () => {
    const { s, disk } = setUp(name, build);
    disk.map(disk.file(2), AT, RW);
    expect(gup.getUserPagesUnlocked(s.mm, AT, 4, pages, 0)).toBe(2);
    gup.putUserPages(s.memory, pages, 2);
    expect(gup.getUserPagesUnlocked(s.mm, AT + 2 * PAGE, 1, pages, 0)).toBe(-EFAULT);
  });

  it('B.6: FOLL_DUMP faults a page of a file in', () => {
    const { s, disk } = setUp(name, build);
    const inode = disk.file();
    disk.map(inode, AT, RW);
    expect(s.locked(() => gup.getUserPages(s.mm, AT, 1, FOLL_DUMP, pages))).toBe(1);
    expect(pages[0]).toBe(inode.pages.get(0));
    gup.putUserPages(s.memory, pages, 1);
  });

  it('B.22 #25, D.5: a forced write to a read-only private mapping never writes the file', () => {
    const { s, disk } = setUp(name, build);
    const inode = disk.file();
    disk.map(inode, AT, RO);
    s.touch(AT, 1, 0);
    expect(gup.getUserPagesUnlocked(s.mm, AT, 1, pages, FOLL_WRITE | FOLL_FORCE)).toBe(1);
    expect([pages[0] === inode.pages.get(0), inode.nrDirty]).toEqual([false, 0]);
    gup.putUserPages(s.memory, pages, 1);
  });

  it('B.22 #25, C.1: the copy is gone between fault and lookup (MADV_DONTNEED): made once more, the file never written', () => {
    let faults = 0;
    const { s, disk } = setUp(name, build, {
      after: (mm, result) => {
        if (++faults < 4) zapPageRange(mm, AT, AT + PAGE);
        return result;
      },
    });
    const inode = disk.file();
    disk.map(inode, AT, RO);
    expect(s.locked(() => gup.getUserPages(s.mm, AT, 1, FOLL_WRITE | FOLL_FORCE, pages))).toBe(1);
    expect([faults, pages[0] === inode.pages.get(0), inode.nrDirty]).toEqual([4, false, 0]);
    gup.putUserPages(s.memory, pages, 1);
  });

  it('D.5: to a read-only shared one it is refused', () => {
    const { s, disk } = setUp(name, build);
    disk.map(disk.shmem(), AT, SHARED & ~VM_WRITE);
    expect(gup.getUserPagesUnlocked(s.mm, AT, 1, pages, FOLL_WRITE | FOLL_FORCE)).toBe(-EFAULT);
  });

  it('B.6 #10: a write by way of a clean entry marks the page dirty', () => {
    const { s, disk } = setUp(name, build);
    const inode = disk.shmem();
    disk.map(inode, AT, SHARED);
    s.touch(AT, 1, 0);
    const pfn = inode.pages.get(0)!;
    expect(testFlag(s.phys, pfn, PG_DIRTY)).toBe(false);
    expect(gup.getUserPagesUnlocked(s.mm, AT, 1, pages, FOLL_WRITE)).toBe(1);
    expect(testFlag(s.phys, pfn, PG_DIRTY)).toBe(true);
    gup.putUserPages(s.memory, pages, 1);
  });

  it('N.13: writeback does not see a pin; what the device writes afterwards is saved by the unpin that says so', () => {
    const { s, disk, files } = setUp(name, build);
    const inode = disk.file();
    disk.map(inode, AT, SHARED);
    expect(gup.pinUserPagesFast(s.mm, AT, 1, FOLL_WRITE, pages)).toBe(1);
    expect([inode.nrDirty, s.entry(AT).flags & E_WRITE]).toEqual([1, E_WRITE]);
    files.filemapWriteAndWait(inode, 0, Infinity);
    expect([inode.nrDirty, s.entry(AT).flags & E_WRITE]).toEqual([0, 0]);
    gup.unpinUserPagesDirtyLock(s.memory, pages, 1, true);
    expect(inode.nrDirty).toBe(1);
    files.filemapWriteAndWait(inode, 0, Infinity);
    expect(inode.nrDirty).toBe(0);
  });

  it('N.13: a pinned page that was truncated is an orphan: dirty is a flag only, the last unpin frees it', () => {
    const { s, disk, files } = setUp(name, build);
    const inode = disk.file();
    disk.map(inode, AT, SHARED);
    gup.pinUserPagesFast(s.mm, AT, 1, FOLL_WRITE, pages);
    files.truncateSetSize(inode, 0);
    const pfn = pages[0]!;
    expect([s.refs(pfn), s.maps(pfn), inode.nrDirty, testFlag(s.phys, pfn, PG_DIRTY)]).toEqual([1024, 0, 0, false]);
    const free = s.phys.freeFrames;
    gup.pinUserPagesFast(s.mm, AT, 1, FOLL_WRITE, new Uint32Array(1));
    gup.setPageDirtyLock(s.memory, pfn);
    expect([inode.nrDirty, testFlag(s.phys, pfn, PG_DIRTY)]).toEqual([0, true]);
    gup.unpinUserPagesDirtyLock(s.memory, pages, 1, true);
    expect(s.phys.freeFrames).toBe(free + 1);
  });

  it('manual page: a page invalidated and read again is another page, while the one got lives on', () => {
    const { s, disk, files } = setUp(name, build);
    const inode = disk.file();
    disk.map(inode, AT, RW);
    gup.getUserPagesUnlocked(s.mm, AT, 1, pages, 0);
    expect(files.invalidateInodePages2Range(inode, 0, 1)).toBe(0);
    const again = new Uint32Array(1);
    gup.getUserPagesUnlocked(s.mm, AT, 1, again, 0);
    expect([again[0] === pages[0], s.refs(pages[0]!), disk.byte(pages[0]!)]).toEqual([false, 1, 1]);
    gup.putUserPages(s.memory, pages, 1);
    gup.putUserPages(s.memory, again, 1);
  });
});

describe.each(builds)('%s: waits for the disk', (name, build) => {
  const { gup, classic } = build;

  it('get_user_pages waits with mmap_lock held; the faults are major', () => {
    const { s, disk } = setUp(name, build);
    disk.map(disk.file(), AT, RW);
    const pages = new Uint32Array(3);
    s.locked(() => {
      expect(gup.getUserPages(s.mm, AT, 3, 0, pages)).toBe(3);
      expect(mmapIsLocked(s.mm)).toBe(true);
    });
    expect([s.sched.now, s.memory.stat.pgmajfault]).toEqual([3 * LATENCY, 3]);
    expect(Array.from(pages, (pfn) => disk.byte(pfn))).toEqual([1, 2, 3]);
    gup.putUserPages(s.memory, pages, 3);
  });

  it.each(['getUserPagesUnlocked', 'pinUserPagesFast'] as const)('%s tries again after each wait', (call) => {
    const { s, disk } = setUp(name, build);
    disk.map(disk.file(), AT, RW);
    const pages = new Uint32Array(3);
    const got =
      call === 'pinUserPagesFast'
        ? gup.pinUserPagesFast(s.mm, AT, 3, 0, pages)
        : gup.getUserPagesUnlocked(s.mm, AT, 3, pages, 0);
    expect([got, s.sched.now, mmapIsLocked(s.mm)]).toEqual([3, 3 * LATENCY, false]);
    // A.10: each page is one fault, the retried one.
    expect([s.memory.stat.pgfault, s.memory.stat.pgmajfault]).toEqual([3, 3]);
    if (call === 'pinUserPagesFast') gup.unpinUserPages(s.memory, pages, 3);
    else gup.putUserPages(s.memory, pages, 3);
  });

  it('get_user_pages_remote: locked tells that mmap_lock was dropped and is not held any more', () => {
    const { s, disk } = setUp(name, build);
    disk.map(disk.file(), AT, RW);
    const pages = new Uint32Array(2);
    const locked: { value: 0 | 1 } = { value: 1 };
    s.locked(() => {
      expect(gup.getUserPagesRemote(s.mm, AT, 2, 0, pages, locked)).toBe(2);
      expect([locked.value, mmapIsLocked(s.mm)]).toEqual([0, false]);
    });
    gup.putUserPages(s.memory, pages, 2);
  });

  it('FOLL_NOWAIT: the read is started, 0 at once with mmap_lock kept; short when pages before are there', () => {
    const { s, disk, files } = setUp(name, build);
    const inode = disk.file();
    disk.map(inode, AT, RW);
    const pages = new Uint32Array(3);
    s.locked(() => {
      expect(gup.getUserPages(s.mm, AT, 3, FOLL_NOWAIT, pages)).toBe(0);
      expect([mmapIsLocked(s.mm), s.sched.now, disk.device.inFlight]).toEqual([true, 0, 1]);
    });
    files.waitIdle(disk.device);
    expect(s.locked(() => gup.getUserPages(s.mm, AT, 3, FOLL_NOWAIT, pages))).toBe(1);
    files.waitIdle(disk.device);
    gup.putUserPages(s.memory, pages, 1);
    expect(s.locked(() => gup.getUserPages(s.mm, AT, 2, FOLL_NOWAIT, pages))).toBe(2);
    expect(s.sched.now).toBe(2 * LATENCY);
    gup.putUserPages(s.memory, pages, 2);
    expect(s.warnings).toEqual([]);
  });

  it('classic: nonblocking is cleared when a wait for the disk was needed, and the lock is gone; the caller tries again', () => {
    const { s, disk } = setUp(name, build);
    disk.map(disk.file(), AT, RW);
    const pages = new Uint32Array(2);
    const tsk = { min_flt: 0, maj_flt: 0 };
    const nonblocking: { value: 0 | 1 } = { value: 1 };
    s.locked(() => {
      expect(classic.__get_user_pages(tsk, s.mm, AT, 2, FOLL_GET, pages, null, nonblocking)).toBe(0);
      expect([nonblocking.value, mmapIsLocked(s.mm), s.sched.now]).toEqual([0, false, LATENCY]);
    });
    // A.10 [3.14]: counted before it is known to be tried again.
    expect(tsk).toEqual({ min_flt: 0, maj_flt: 1 });
    nonblocking.value = 1;
    s.locked(() => expect(classic.__get_user_pages(tsk, s.mm, AT, 2, FOLL_GET, pages, null, nonblocking)).toBe(1));
    expect([nonblocking.value, s.sched.now]).toEqual([0, 2 * LATENCY]);
    gup.putUserPages(s.memory, pages, 1);
  });

  it('a read error is -EFAULT, or the pages before it', () => {
    const { s, disk } = setUp(name, build);
    disk.map(disk.file(), AT, RW);
    const pages = new Uint32Array(2);
    disk.fail.push(-5, -5, -5);
    expect(gup.getUserPagesUnlocked(s.mm, AT, 2, pages, 0)).toBe(-EFAULT);
    s.touch(AT, 1, 0);
    disk.fail.push(-5, -5, -5);
    expect(gup.getUserPagesUnlocked(s.mm, AT, 2, pages, 0)).toBe(1);
    gup.putUserPages(s.memory, pages, 1);
    expect([mmapIsLocked(s.mm), countFrames(s.phys).pins]).toEqual([false, 0]);
  });
});
