import { describe, expect, it } from 'vitest';
import { linux3_14, pageAnonExclusive } from '@mmkit/aspace';
import {
  FAULT_FLAG_ALLOW_RETRY,
  FAULT_FLAG_DEFAULT,
  FAULT_FLAG_RETRY_NOWAIT,
  FAULT_FLAG_TRIED,
  FAULT_FLAG_UNSHARE,
  FAULT_FLAG_WRITE,
  VM_FAULT_MAJOR,
  VM_FAULT_NOPAGE,
  VM_FAULT_OOM,
  VM_FAULT_RETRY,
  VM_FAULT_SIGBUS,
} from '@mmkit/fault';
import { folioTestUptodate, Inode } from '@mmkit/filemap';
import { E_DIRTY, E_USER, E_WRITE, E_YOUNG } from '@mmkit/pgtable';
import { allocPages, freePages, GFP_KERNEL, PG_DIRTY, testFlag } from '@mmkit/phys';
import { isLocked } from '@mmkit/rwsem';
import { insertVma, Vma, VM_MAYREAD, VM_MAYSHARE, VM_MAYWRITE, VM_READ, VM_SHARED, VM_WRITE } from '@mmkit/vma';
import { AT, builds, faultOnce, LATENCY, PAGE, PRIVATE, SHARED, touch, world } from './files.ts';
import type { Build, World } from './files.ts';

const DISK_READ = 0;
const DISK_WRITE = 1;
const RO = VM_READ | VM_MAYREAD | VM_MAYWRITE;

/** Reads pages [0, pages) of the file into the cache. */
function cache(build: Build, inode: Inode, pages: number): number[] {
  build.filemapRead(inode, 0, new Uint8Array(pages * PAGE), 0, pages * PAGE);
  return Array.from({ length: pages }, (_, i) => inode.pages.get(i)!);
}

/** Takes all frames but `left`; the result gives them back. */
function exhaust(w: World, left: number): () => void {
  const { phys } = w.memory;
  const hoard: number[] = [];
  while (phys.freeFrames > left) hoard.push(allocPages(phys, GFP_KERNEL, 0));
  return () => hoard.forEach((pfn) => freePages(phys, pfn, 0));
}

describe.each(builds)('%s: reads of a disk file', (_, build) => {
  it('N.5: the page is read in, and mapped read-only in a private mapping; mmap_lock is kept without ALLOW_RETRY', () => {
    const w = world(build);
    const inode = w.disk(8);
    const vma = w.map(inode, PRIVATE);
    const done = faultOnce(build, w, vma, AT + 2 * PAGE, 0);
    expect(done).toEqual({ result: VM_FAULT_MAJOR, held: true, time: LATENCY });
    const pfn = inode.pages.get(2)!;
    const { pfn: mapped, flags } = w.entry(AT + 2 * PAGE);
    expect([mapped, flags & (E_USER | E_YOUNG | E_WRITE | E_DIRTY), w.byte(pfn)]).toEqual([pfn, E_USER | E_YOUNG, 3]);
    expect(w.counts(pfn)).toEqual([2, 1]);
    expect([w.mm.filePages, w.mm.shmemPages, w.mm.anonPages]).toEqual([1, 0, 0]);
    expect(isLocked(inode.invalidateLock)).toBe(false);
    expect(vma.anonVma).toBe(null);
  });

  it('N.5: the first try with ALLOW_RETRY gives mmap_lock back and waits: RETRY; the second finds the page', () => {
    const w = world(build);
    const inode = w.disk(8);
    const vma = w.map(inode, PRIVATE);
    const first = faultOnce(build, w, vma, AT, FAULT_FLAG_DEFAULT);
    expect(first).toEqual({ result: VM_FAULT_RETRY | VM_FAULT_MAJOR, held: false, time: LATENCY });
    expect(w.counts(inode.pages.get(0)!)).toEqual([1, 0]);
    const second = faultOnce(build, w, vma, AT, FAULT_FLAG_DEFAULT | FAULT_FLAG_TRIED);
    expect(second).toEqual({ result: VM_FAULT_NOPAGE, held: true, time: 0 });
    expect(w.entry(AT).pfn).toBe(inode.pages.get(0)!);
    expect(isLocked(inode.invalidateLock)).toBe(false);
  });

  it('A.10: that is one fault, and a major one; PGMAJFAULT counts where the page was missing', () => {
    const w = world(build);
    const vma = w.map(w.disk(8), PRIVATE);
    const { stat } = w.memory;
    faultOnce(build, w, vma, AT, FAULT_FLAG_DEFAULT);
    expect([stat.pgfault, stat.pgmajfault]).toEqual([0, 1]);
    faultOnce(build, w, vma, AT, FAULT_FLAG_DEFAULT | FAULT_FLAG_TRIED);
    expect([stat.pgfault, stat.pgmajfault]).toEqual([1, 1]);
  });

  it('N.5: with TRIED it waits with mmap_lock held', () => {
    const w = world(build);
    const vma = w.map(w.disk(8), PRIVATE);
    const done = faultOnce(build, w, vma, AT, FAULT_FLAG_DEFAULT | FAULT_FLAG_TRIED);
    expect(done).toEqual({ result: VM_FAULT_MAJOR, held: true, time: LATENCY });
  });

  it('N.5: NOWAIT starts the read and returns RETRY at once, mmap_lock kept; later the page is there', () => {
    const w = world(build);
    const inode = w.disk(8);
    const vma = w.map(inode, PRIVATE);
    const flags = FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_RETRY_NOWAIT;
    const first = faultOnce(build, w, vma, AT, flags);
    expect(first).toEqual({ result: VM_FAULT_RETRY | VM_FAULT_MAJOR, held: true, time: 0 });
    expect([w.device.inFlight, isLocked(inode.invalidateLock)]).toEqual([1, false]);
    // Not done yet: the page is cached, and locked.
    expect(faultOnce(build, w, vma, AT, flags)).toEqual({ result: VM_FAULT_RETRY, held: true, time: 0 });
    expect(w.log).toEqual([]);
    build.waitIdle(w.device);
    expect(faultOnce(build, w, vma, AT, flags)).toEqual({ result: VM_FAULT_NOPAGE, held: true, time: 0 });
    expect(w.log).toEqual([DISK_READ]);
  });

  it('N.5: a page at or beyond the end is SIGBUS, the page that holds the end is not', () => {
    const w = world(build);
    const inode = w.disk(8);
    inode.size = 2 * PAGE + 1;
    const vma = w.map(inode, PRIVATE);
    expect(touch(build, w, vma, AT + 2 * PAGE)).toBe(0);
    for (const page of [3, 7]) {
      expect(faultOnce(build, w, vma, AT + page * PAGE, FAULT_FLAG_DEFAULT).result).toBe(VM_FAULT_SIGBUS);
      expect(touch(build, w, vma, AT + page * PAGE, true)).toBe(VM_FAULT_SIGBUS);
    }
    expect([inode.pages.size, w.mm.filePages, isLocked(inode.invalidateLock)]).toEqual([1, 1, false]);
  });

  it('N.5: a read error is SIGBUS, after the read was tried again; the page is read at the next fault', () => {
    const w = world(build);
    const inode = w.disk(8);
    const vma = w.map(inode, PRIVATE);
    w.fail.push(-5, -5);
    expect(touch(build, w, vma, AT)).toBe(VM_FAULT_SIGBUS);
    const pfn = inode.pages.get(0)!;
    expect([w.log.length, w.counts(pfn), folioTestUptodate(w.memory.phys, pfn)]).toEqual([2, [1, 0], false]);
    expect(isLocked(inode.invalidateLock)).toBe(false);
    expect(touch(build, w, vma, AT)).toBe(0);
    expect(w.byte(w.entry(AT).pfn)).toBe(1);
  });

  it('N.5: RETRY never comes with an error: the second try finds the bad page', () => {
    const w = world(build);
    const vma = w.map(w.disk(8), PRIVATE);
    w.fail.push(-5, -5, -5);
    const first = faultOnce(build, w, vma, AT, FAULT_FLAG_DEFAULT);
    expect([first.result, first.held]).toEqual([VM_FAULT_RETRY | VM_FAULT_MAJOR, false]);
    const second = faultOnce(build, w, vma, AT, FAULT_FLAG_DEFAULT | FAULT_FLAG_TRIED);
    expect([second.result, second.held]).toEqual([VM_FAULT_SIGBUS, true]);
  });

  it('NOWAIT after a failed read starts it anew and does not wait', () => {
    const w = world(build);
    const vma = w.map(w.disk(8), PRIVATE);
    w.fail.push(-5, -5);
    touch(build, w, vma, AT);
    const again = faultOnce(build, w, vma, AT, FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_RETRY_NOWAIT);
    expect(again).toEqual({ result: VM_FAULT_RETRY, held: true, time: 0 });
    build.waitIdle(w.device);
    expect(touch(build, w, vma, AT)).toBe(VM_FAULT_NOPAGE);
  });

  it('a hole reads as zeros without I/O; the fault is retried as if it had to wait (recorded: filepriv-120 op 16)', () => {
    const w = world(build);
    const inode = w.disk(8);
    build.punchHole(inode, 0, PAGE);
    const vma = w.map(inode, PRIVATE);
    const first = faultOnce(build, w, vma, AT, FAULT_FLAG_DEFAULT);
    expect(first).toEqual({ result: VM_FAULT_RETRY | VM_FAULT_MAJOR, held: false, time: 0 });
    const second = faultOnce(build, w, vma, AT, FAULT_FLAG_DEFAULT | FAULT_FLAG_TRIED);
    expect(second).toEqual({ result: VM_FAULT_NOPAGE, held: true, time: 0 });
    expect([w.byte(w.entry(AT).pfn), w.log]).toEqual([0, []]);
  });

  it('VM_FAULT_OOM without a frame for a table or for the page, and nothing is left behind', () => {
    for (const left of [0, 1, 2, 3]) {
      const w = world(build);
      const inode = w.disk(8);
      const vma = w.map(inode, PRIVATE);
      const giveBack = exhaust(w, left);
      expect([touch(build, w, vma, AT), inode.pages.size, w.mm.filePages]).toEqual([VM_FAULT_OOM, 0, 0]);
      expect(isLocked(inode.invalidateLock)).toBe(false);
      giveBack();
      expect(touch(build, w, vma, AT)).toBe(0);
    }
  });

  it('a file of a kind this package does not know is SIGBUS', () => {
    const w = world(build);
    const vma = new Vma(AT, AT + PAGE, PRIVATE, 0, {});
    insertVma(w.mm.vmas, vma);
    expect(touch(build, w, vma, AT)).toBe(VM_FAULT_SIGBUS);
  });
});

describe.each(builds)('%s: fault-around', (_, build) => {
  // Windows as measured on 6.18 (FACTS 30 says 'cut to the VMA'; at its start the window moves instead).
  it.each([
    [0, 0, 40, 20, '................1111111111111111........'],
    [3, 0, 40, 0, '1111111111111111........................'],
    [3, 0, 40, 2, '1111111111111111........................'],
    [3, 5, 40, 20, '.............1111111111111111...........'],
    [3, 0, 8, 2, '11111111'],
    [0, 36, 10, 1, '1111......'],
  ])(
    'a VMA %i pages into a window, file page %i, %i pages, touched at %i: %s',
    (shift, pgoff, pages, page, expected) => {
      const w = world(build);
      const inode = w.disk(40);
      cache(build, inode, 40);
      const at = AT + shift * PAGE;
      const vma = w.map(inode, PRIVATE, pages, { at, pgoff });
      expect(touch(build, w, vma, at + page * PAGE)).toBe(VM_FAULT_NOPAGE);
      expect(w.present(at, pages)).toBe(expected);
      expect(w.mm.filePages).toBe(expected.replaceAll('.', '').length);
      expect(w.entry(at + page * PAGE).pfn).toBe(inode.pages.get(pgoff + page)!);
    },
  );

  it('6.18: without a page table, nothing is mapped when the first page there is the last of a disk file', () => {
    // Recorded: search-68 op 59, shared-149 op 87, shared-101 op 17. Touched is a page beyond the end.
    for (const [cached, table, shmem, expected] of [
      [1, false, false, '................'],
      [1, true, false, '1...............'],
      [1, false, true, '1...............'],
      [2, false, false, '11..............'],
    ] as const) {
      const w = world(build);
      const inode = shmem ? w.shmem(cached) : w.disk(cached);
      if (shmem) build.filemapWrite(inode, 0, new Uint8Array(PAGE), 0, PAGE);
      else cache(build, inode, cached);
      const vma = w.map(inode, PRIVATE, 32);
      if (table) touch(build, w, w.map(w.disk(1), PRIVATE, 1, { at: AT + 40 * PAGE }), AT + 40 * PAGE);
      expect(touch(build, w, vma, AT + 8 * PAGE)).toBe(VM_FAULT_SIGBUS);
      expect(w.present(AT, 16)).toBe(expected);
    }
  });

  it('does not go beyond the page table', () => {
    const w = world(build);
    const inode = w.disk(40);
    cache(build, inode, 40);
    const at = AT + 0x20_0000 - 2 * PAGE;
    const vma = w.map(inode, PRIVATE, 20, { at });
    touch(build, w, vma, at);
    expect(w.present(at, 20)).toBe('11..................');
  });

  it('FACTS 30: only what is cached, uptodate and not locked, and not where something is mapped', () => {
    const w = world(build);
    const inode = w.disk(16);
    const pfns = cache(build, inode, 16);
    build.invalidateMappingPages(inode, 3, 4);
    // Somebody else's.
    w.sched.lockdep = null;
    build.folioTrylock(w.memory, pfns[5]!);
    w.fail.push(-5, -5);
    const other = w.disk(16);
    touch(build, w, w.map(other, PRIVATE, 8, { at: AT + 0x10_0000 }), AT + 0x10_0000 + 7 * PAGE);
    const vma = w.map(inode, PRIVATE, 8);
    touch(build, w, vma, AT + PAGE, true);
    const own = w.entry(AT + PAGE).pfn;
    touch(build, w, vma, AT);
    expect(w.present(AT, 8)).toBe('111.1.11');
    expect(w.entry(AT + PAGE).pfn).toBe(own);
    build.folioUnlock(w.memory, pfns[5]!);
    // The page whose read failed is cached, but not uptodate.
    const bad = w.map(other, PRIVATE, 8, { at: AT + 0x20_0000 });
    cache(build, other, 7);
    touch(build, w, bad, AT + 0x20_0000);
    expect(w.present(AT + 0x20_0000, 8)).toBe('1111111.');
  });

  it('beyond the end of the file nothing is mapped, though a page is cached', () => {
    const w = world(build);
    const inode = w.disk(8);
    cache(build, inode, 8);
    inode.size = 3 * PAGE;
    const vma = w.map(inode, PRIVATE);
    touch(build, w, vma, AT);
    expect(w.present(AT, 8)).toBe('111.....');
  });

  it('a write maps its page only', () => {
    const w = world(build);
    const inode = w.disk(8);
    cache(build, inode, 8);
    touch(build, w, w.map(inode, PRIVATE), AT + 2 * PAGE, true);
    touch(build, w, w.map(inode, SHARED, 8, { at: AT + 0x10_0000 }), AT + 0x10_0000 + 3 * PAGE, true);
    expect([w.present(AT, 8), w.present(AT + 0x10_0000, 8)]).toEqual(['..1.....', '...1....']);
  });
});

describe.each(builds)('%s: private mappings', (_, build) => {
  it('N.5: a first write copies at once; the page of the file is not mapped and stays clean', () => {
    const w = world(build);
    const inode = w.disk(8);
    const vma = w.map(inode, PRIVATE);
    const done = faultOnce(build, w, vma, AT + PAGE, FAULT_FLAG_WRITE);
    expect(done).toEqual({ result: VM_FAULT_MAJOR, held: true, time: LATENCY });
    const { pfn, flags } = w.entry(AT + PAGE);
    const cached = inode.pages.get(1)!;
    expect([pfn === cached, w.byte(pfn), flags & (E_WRITE | E_DIRTY)]).toEqual([false, 2, E_WRITE | E_DIRTY]);
    expect([w.counts(pfn), w.counts(cached), inode.nrDirty]).toEqual([[1, 1], [1, 0], 0]);
    expect([pageAnonExclusive(w.memory.phys, pfn), w.mm.anonPages, w.mm.filePages]).toEqual([true, 1, 0]);
  });

  it('N.4: a write to a mapped page of the file copies it; the counters move from file to anonymous', () => {
    const w = world(build);
    const inode = w.disk(8);
    const vma = w.map(inode, PRIVATE);
    touch(build, w, vma, AT);
    const cached = w.entry(AT).pfn;
    expect(touch(build, w, vma, AT, true)).toBe(0);
    const { pfn } = w.entry(AT);
    expect([w.byte(pfn), w.counts(cached), w.counts(pfn)]).toEqual([1, [1, 0], [1, 1]]);
    expect([w.mm.anonPages, w.mm.filePages]).toEqual([1, 0]);
  });

  it('N.4: of shmem too: the counter is that of shmem', () => {
    const w = world(build);
    const vma = w.map(w.shmem(8), PRIVATE);
    touch(build, w, vma, AT);
    expect([w.mm.anonPages, w.mm.shmemPages]).toEqual([0, 1]);
    touch(build, w, vma, AT, true);
    expect([w.mm.anonPages, w.mm.shmemPages]).toEqual([1, 0]);
  });

  it('B.15 #6: an unshare of a page of the file makes a private copy, read-only and clean', () => {
    const w = world(build);
    const inode = w.disk(8);
    const vma = w.map(inode, RO);
    touch(build, w, vma, AT);
    faultOnce(build, w, vma, AT, FAULT_FLAG_UNSHARE);
    const { pfn, flags } = w.entry(AT);
    expect([pfn === inode.pages.get(0), flags & (E_WRITE | E_DIRTY)]).toEqual([false, 0]);
    expect([pageAnonExclusive(w.memory.phys, pfn), w.byte(pfn)]).toEqual([true, 1]);
  });

  it('a forced write to a read-only mapping copies; the entry stays read-only', () => {
    const w = world(build);
    const inode = w.disk(8);
    const vma = w.map(inode, RO);
    expect(touch(build, w, vma, AT, true)).toBe(0);
    const { pfn, flags } = w.entry(AT);
    expect([pfn === inode.pages.get(0), flags & (E_WRITE | E_DIRTY)]).toEqual([false, E_DIRTY]);
  });

  it('the copy is given back when the page cannot be had: SIGBUS, RETRY, OOM', () => {
    const w = world(build);
    const inode = w.disk(8);
    const vma = w.map(inode, PRIVATE);
    touch(build, w, vma, AT + PAGE);
    const free = w.memory.phys.freeFrames;
    inode.size = PAGE;
    expect(touch(build, w, vma, AT + 2 * PAGE, true)).toBe(VM_FAULT_SIGBUS);
    const retry = faultOnce(build, w, vma, AT, FAULT_FLAG_DEFAULT | FAULT_FLAG_WRITE);
    expect([retry.result, retry.held]).toEqual([VM_FAULT_RETRY | VM_FAULT_MAJOR, false]);
    // The page of the file, and nothing else.
    expect(w.memory.phys.freeFrames).toBe(free - 1);
    build.truncateSetSize(inode, 0);
    inode.size = PAGE;
    const giveBack = exhaust(w, 1);
    expect([touch(build, w, vma, AT, true), w.memory.phys.freeFrames]).toEqual([VM_FAULT_OOM, 1]);
    giveBack();
  });
});

describe.each(builds)('%s: shared mappings of a disk file', (_, build) => {
  it('FACTS 30: a read maps read-only, the first store goes through page_mkwrite: dirty, writable', () => {
    const w = world(build);
    const inode = w.disk(8);
    const vma = w.map(inode, SHARED);
    touch(build, w, vma, AT);
    const { pfn, flags } = w.entry(AT);
    expect([flags & (E_WRITE | E_DIRTY), inode.nrDirty]).toEqual([0, 0]);
    expect(faultOnce(build, w, vma, AT, FAULT_FLAG_WRITE)).toEqual({ result: 0, held: true, time: 0 });
    expect([w.entry(AT).pfn, w.entry(AT).flags & (E_WRITE | E_DIRTY)]).toEqual([pfn, E_WRITE | E_DIRTY]);
    expect([inode.nrDirty, w.counts(pfn)]).toEqual([1, [2, 1]]);
  });

  it('N.5: a store to an absent page: read in, dirty, mapped writable at once', () => {
    const w = world(build);
    const inode = w.disk(8);
    const vma = w.map(inode, SHARED);
    expect(faultOnce(build, w, vma, AT, FAULT_FLAG_WRITE).result).toBe(VM_FAULT_MAJOR);
    const { pfn, flags } = w.entry(AT);
    expect([pfn, flags & (E_WRITE | E_DIRTY)]).toEqual([inode.pages.get(0), E_WRITE | E_DIRTY]);
    expect([inode.nrDirty, w.counts(pfn), w.mm.filePages, w.mm.anonPages]).toEqual([1, [2, 1], 1, 0]);
  });

  it('FACTS 30, N.13: writeback cleans and write-protects the entry; the next store faults again', () => {
    const w = world(build);
    const inode = w.disk(8);
    const vma = w.map(inode, SHARED);
    touch(build, w, vma, AT, true);
    expect(build.filemapWriteAndWait(inode, 0, Infinity)).toBe(0);
    expect([w.entry(AT).flags & (E_WRITE | E_DIRTY), inode.nrDirty, w.log]).toEqual([0, 0, [DISK_READ, DISK_WRITE]]);
    touch(build, w, vma, AT, true);
    expect([w.entry(AT).flags & (E_WRITE | E_DIRTY), inode.nrDirty]).toEqual([E_WRITE | E_DIRTY, 1]);
  });

  it('a read-only shared mapping of a file open for writing stays read-only: a write fault is refused', () => {
    const w = world(build);
    const vma = w.map(w.disk(8), SHARED & ~VM_WRITE);
    touch(build, w, vma, AT);
    expect(faultOnce(build, w, vma, AT, FAULT_FLAG_WRITE).result).toBe(0x40);
    expect(w.warnings).toEqual(['a forced write fault in a shared mapping']);
  });

  it('A.5 [3.14]: there a forced write makes a private copy in it', () => {
    const w = world(build, { policy: linux3_14 });
    const inode = w.disk(8);
    const vma = w.map(inode, SHARED & ~VM_WRITE);
    touch(build, w, vma, AT);
    touch(build, w, vma, AT, true);
    const { pfn, flags } = w.entry(AT);
    expect([pfn === inode.pages.get(0), flags & E_WRITE, w.mm.anonPages, w.warnings]).toEqual([false, 0, 1, []]);
  });

  it('a page truncated between the read fault and the store is not made writable', () => {
    const w = world(build);
    const inode = w.disk(8);
    const vma = w.map(inode, SHARED);
    touch(build, w, vma, AT);
    build.truncateSetSize(inode, 0);
    expect([w.present(AT, 8), w.mm.filePages]).toEqual(['........', 0]);
    expect(touch(build, w, vma, AT, true)).toBe(VM_FAULT_SIGBUS);
    build.truncateSetSize(inode, PAGE);
    expect(touch(build, w, vma, AT)).toBe(0);
    expect(w.byte(w.entry(AT).pfn)).toBe(0);
  });
});

describe.each(builds)('%s: shmem', (_, build) => {
  it('a first read makes a zeroed page, clean, mapped writable; no fault is major (measured)', () => {
    const w = world(build);
    const inode = w.shmem(8);
    const vma = w.map(inode, SHARED);
    expect(faultOnce(build, w, vma, AT, FAULT_FLAG_DEFAULT)).toEqual({ result: 0, held: true, time: 0 });
    const { pfn, flags } = w.entry(AT);
    expect([pfn, flags & (E_WRITE | E_DIRTY), w.byte(pfn)]).toEqual([inode.pages.get(0), E_WRITE, 0]);
    expect([testFlag(w.memory.phys, pfn, PG_DIRTY), w.mm.shmemPages, w.mm.filePages]).toEqual([false, 1, 0]);
  });

  it('FACTS 30: pages that are dirty are mapped dirty, the whole window', () => {
    const w = world(build);
    const inode = w.shmem(8);
    build.filemapWrite(inode, 0, new Uint8Array(4 * PAGE).fill(9), 0, 4 * PAGE);
    const vma = w.map(inode, SHARED);
    expect(touch(build, w, vma, AT)).toBe(VM_FAULT_NOPAGE);
    const both = E_WRITE | E_DIRTY;
    expect([0, 3].map((page) => w.entry(AT + page * PAGE).flags & both)).toEqual([both, both]);
    expect(w.present(AT, 8)).toBe('1111....');
  });

  it('in a private mapping they are mapped read-only and clean', () => {
    const w = world(build);
    const inode = w.shmem(8);
    build.filemapWrite(inode, 0, new Uint8Array(PAGE).fill(9), 0, PAGE);
    touch(build, w, w.map(inode, PRIVATE), AT);
    expect(w.entry(AT).flags & (E_WRITE | E_DIRTY)).toBe(0);
  });

  it('a first store makes the page dirty and the entry writable and dirty', () => {
    const w = world(build);
    const inode = w.shmem(8);
    const vma = w.map(inode, SHARED);
    expect(touch(build, w, vma, AT, true)).toBe(0);
    const { pfn, flags } = w.entry(AT);
    expect([flags & (E_WRITE | E_DIRTY), testFlag(w.memory.phys, pfn, PG_DIRTY)]).toEqual([E_WRITE | E_DIRTY, true]);
    expect(inode.nrDirty).toBe(0);
  });

  it('a store to an entry that became read-only makes it writable again, without a copy', () => {
    const w = world(build);
    const inode = w.shmem(8);
    const vma = w.map(inode, SHARED & ~VM_WRITE);
    touch(build, w, vma, AT);
    const { pfn } = w.entry(AT);
    vma.flags |= VM_WRITE;
    expect(touch(build, w, vma, AT, true)).toBe(0);
    expect([w.entry(AT).pfn, w.entry(AT).flags & E_WRITE, w.counts(pfn)]).toEqual([pfn, E_WRITE, [2, 1]]);
    expect(testFlag(w.memory.phys, pfn, PG_DIRTY)).toBe(true);
  });

  it('a page made by fallocate holds zeros at its first use', () => {
    const w = world(build);
    const inode = w.shmem(8);
    build.fallocate(inode, 0, PAGE);
    const vma = w.map(inode, SHARED);
    expect(touch(build, w, vma, AT)).toBe(0);
    expect(w.byte(w.entry(AT).pfn)).toBe(0);
  });

  it('beyond the end SIGBUS, also after a truncation; without a frame OOM', () => {
    const w = world(build);
    const inode = w.shmem(2);
    const vma = w.map(inode, SHARED);
    expect(touch(build, w, vma, AT + 2 * PAGE)).toBe(VM_FAULT_SIGBUS);
    touch(build, w, vma, AT + PAGE, true);
    build.truncateSetSize(inode, PAGE);
    expect([touch(build, w, vma, AT + PAGE), w.present(AT, 8)]).toEqual([VM_FAULT_SIGBUS, '........']);
    const giveBack = exhaust(w, 0);
    expect([touch(build, w, vma, AT), inode.pages.size]).toEqual([VM_FAULT_OOM, 0]);
    giveBack();
  });

  it('FACTS 29: truncation takes private copies wholly beyond the end too, punching a hole leaves them', () => {
    const w = world(build);
    const inode = w.shmem(4);
    const vma = w.map(inode, PRIVATE, 4);
    for (const page of [0, 1, 2, 3]) touch(build, w, vma, AT + page * PAGE, page % 2 === 1);
    build.punchHole(inode, 0, 2 * PAGE);
    expect(w.present(AT, 4)).toBe('.111');
    build.truncateSetSize(inode, 3 * PAGE);
    expect([w.present(AT, 4), w.mm.anonPages, w.mm.shmemPages]).toEqual(['.11.', 1, 1]);
    build.truncateSetSize(inode, 1);
    expect([w.present(AT, 4), w.mm.anonPages, w.mm.shmemPages]).toEqual(['....', 0, 0]);
  });

  it('VM_MAYSHARE alone, a shared mapping of a file opened read-only, is not copied by a write', () => {
    const w = world(build);
    const inode = w.shmem(2);
    const vma = w.map(inode, VM_READ | VM_MAYREAD | VM_MAYSHARE);
    touch(build, w, vma, AT);
    faultOnce(build, w, vma, AT, FAULT_FLAG_UNSHARE);
    expect([w.entry(AT).pfn, vma.flags & VM_SHARED]).toEqual([inode.pages.get(0), 0]);
  });
});
