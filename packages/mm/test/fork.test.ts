import { describe, expect, it } from 'vitest';
import { EINTR, ENOMEM, EPERM, FOLL_WRITE } from '@mmkit/base';
import { MM_ROOT } from '@mmkit/aspace';
import type { Mm } from '@mmkit/aspace';
import {
  brk as brkTask,
  dupMm as dupTask,
  madvise as madviseTask,
  mmap as mmapTask,
  munmap as munmapTask,
} from '@mmkit/mm/sched';
import * as plain from '@mmkit/mm';
import * as coloured from '@mmkit/mm/sched';
import { MADV_DONTFORK, MADV_WIPEONFORK, PROT_READ } from '@mmkit/mm';
import { ACCESS_WRITE, createTranslation, hwWalk, tlbInsert, tlbLookup } from '@mmkit/pgtable';
import { allocPages, freePages, GFP_USER, pageMapCount, pageRefCount } from '@mmkit/phys';
import { downWriteTrylock, isLocked, upWrite } from '@mmkit/rwsem';
import { killTask, runAll, spawn } from '@mmkit/task';
import type { Task } from '@mmkit/task';
import { VM_DONTCOPY, VM_LOCKED, VM_LOCKONFAULT, vmaLookup, vmasIn } from '@mmkit/vma';
import {
  ANON,
  BASE,
  builds,
  framesUsed,
  mapPages,
  PAGE,
  pfnAt,
  RW,
  schedBuilds,
  setUp,
  thrown,
  touch,
  vmas,
} from './builds.ts';

describe.each(builds)('%s build: fork', (_name, api) => {
  function fork(mm: Mm): Mm {
    const { error, mm: child } = api.dupMm(mm);
    expect([error, isLocked(mm.mmapLock), isLocked(child!.mmapLock)]).toEqual([0, false, false]);
    return child!;
  }

  it('N.10: the child has the same VMAs, objects of its own, and the same frames, counted twice', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 4);
    api.mmap(mm, BASE + 8 * PAGE, PAGE, PROT_READ, ANON);
    touch(api, mm, BASE, 2);
    const child = fork(mm);
    expect([vmas(child), child.anonPages]).toEqual([vmas(mm), 2]);
    for (const [i, vma] of vmasIn(child.vmas, 0, api.format.taskSize).entries()) {
      const old = vmasIn(mm.vmas, 0, api.format.taskSize)[i]!;
      expect([vma === old, vma.flags, vma.pgoff, vma.file]).toEqual([false, old.flags, old.pgoff, old.file]);
    }
    expect(child.words[MM_ROOT]).not.toBe(mm.words[MM_ROOT]);
    const pfn = pfnAt(mm, BASE);
    expect([pfnAt(child, BASE), pageRefCount(mm.memory.phys, pfn), pageMapCount(mm.memory.phys, pfn)]).toEqual([
      pfn,
      2,
      2,
    ]);
  });

  it('N.10: VM_DONTCOPY VMAs are left out, VM_WIPEONFORK ones are empty in the child', () => {
    const mm = setUp(api);
    for (const page of [0, 1, 2]) mapPages(api, mm, page, 1);
    touch(api, mm, BASE, 3);
    api.madvise(mm, BASE, PAGE, MADV_DONTFORK);
    api.madvise(mm, BASE + PAGE, PAGE, MADV_WIPEONFORK);
    const child = fork(mm);
    expect([vmas(child), child.anonPages]).toEqual([['1-2', '2-3'], 1]);
    expect(vmaLookup(child.vmas, BASE + PAGE)!.anonVma).toBeNull();
    expect([0, 1, 2].map((page) => pfnAt(child, BASE + page * PAGE) > 0)).toEqual([false, false, true]);
    const { phys } = mm.memory;
    expect([0, 1, 2].map((page) => pageRefCount(phys, pfnAt(mm, BASE + page * PAGE)))).toEqual([1, 1, 2]);
    expect(vmaLookup(mm.vmas, BASE)!.flags & VM_DONTCOPY).toBe(VM_DONTCOPY);
  });

  it("N.10: the child's memory is not locked", () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 1);
    vmaLookup(mm.vmas, BASE)!.flags |= VM_LOCKED | VM_LOCKONFAULT;
    expect(vmaLookup(fork(mm).vmas, BASE)!.flags & (VM_LOCKED | VM_LOCKONFAULT)).toBe(0);
    expect(vmaLookup(mm.vmas, BASE)!.flags & VM_LOCKED).toBe(VM_LOCKED);
  });

  it('what was never written has no anon_vma and costs the child no table', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 4);
    api.getUserPagesUnlocked(mm, BASE, 4, null, 0);
    const before = framesUsed(mm);
    const child = fork(mm);
    expect([framesUsed(mm) - before, pfnAt(child, BASE), vmas(child)]).toEqual([1, -1, ['0-4']]);
  });

  it('6.18: what is sealed is sealed in the child; the child has the limits, and none of the locks', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 2);
    api.mlock(mm, BASE, PAGE);
    expect(api.mseal(mm, BASE + PAGE, PAGE)).toBe(0);
    mm.rlimitMemlock = 3 * PAGE;
    mm.rlimitStack = 5 * PAGE;
    mm.capIpcLock = true;
    const child = fork(mm);
    expect([child.rlimitMemlock, child.capIpcLock, child.lockedVm]).toEqual([3 * PAGE, true, 0]);
    expect(child.rlimitStack).toBe(5 * PAGE);
    expect([api.munmap(child, BASE + PAGE, PAGE), api.munmap(child, BASE, PAGE)]).toEqual([-EPERM, 0]);
  });

  it('generations: grandchildren share the frame; each exit takes one mapping away', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 1);
    touch(api, mm, BASE);
    const pfn = pfnAt(mm, BASE);
    const child = fork(mm);
    const grandchild = fork(child);
    const { phys } = mm.memory;
    expect([pageRefCount(phys, pfn), pageMapCount(phys, pfn)]).toEqual([3, 3]);
    api.exitMm(child);
    expect([pageRefCount(phys, pfn), pfnAt(grandchild, BASE)]).toEqual([2, pfn]);
    api.exitMm(mm);
    api.exitMm(grandchild);
    expect(framesUsed(mm)).toBe(0);
  });

  it('-ENOMEM at every allocation in turn: no child, no lock held, the parent works, nothing leaks', () => {
    const mm = setUp(api, 128);
    const { phys } = mm.memory;
    mapPages(api, mm, 0, 2);
    mapPages(api, mm, 2 ** 18, 1);
    touch(api, mm, BASE, 2);
    touch(api, mm, BASE + 2 ** 18 * PAGE);
    const pages = new Uint32Array(2);
    api.pinUserPagesFast(mm, BASE, 2, FOLL_WRITE, pages);
    const hog: number[] = [];
    while (phys.freeFrames > 0) hog.push(allocPages(phys, GFP_USER, 0));
    let failures = 0;
    let child: Mm | null = null;
    while (child === null) {
      const free = phys.freeFrames;
      const result = api.dupMm(mm);
      expect([isLocked(mm.mmapLock), mm.words[2]! & 1]).toEqual([false, 0]);
      child = result.mm;
      if (child !== null) continue;
      expect([result.error, phys.freeFrames]).toEqual([-ENOMEM, free]);
      failures++;
      freePages(phys, hog.pop()!, 0);
    }
    // Root, PUD, two PMDs, two leaf tables, copies of the two pinned pages.
    expect(failures).toBe(8);
    expect(pfnAt(mm, BASE)).toBe(pages[0]);
    api.unpinUserPages(mm.memory, pages, 2);
    for (const pfn of hog) freePages(phys, pfn, 0);
    api.exitMm(child);
    api.exitMm(mm);
    expect(framesUsed(mm)).toBe(0);
  });

  it("N.10: the parent's cached translations are flushed before fork returns: none of them may write any more", () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 1);
    touch(api, mm, BASE);
    const root = mm.words[MM_ROOT]!;
    const tlb = mm.memory.tlbs[0]!;
    const translation = createTranslation();
    hwWalk(mm.memory.tables, root, BASE, ACCESS_WRITE, translation);
    tlbInsert(tlb, root, BASE, translation);
    expect(tlbLookup(tlb, root, BASE, ACCESS_WRITE)).toBe(pfnAt(mm, BASE));
    fork(mm);
    expect(tlbLookup(tlb, root, BASE, ACCESS_WRITE)).toBe(-1);
  });

  it('exit gives everything back: pages, zero-page entries, tables, VMAs', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 8);
    mapPages(api, mm, 2 ** 20, 8);
    touch(api, mm, BASE, 4);
    api.getUserPagesUnlocked(mm, BASE + 4 * PAGE, 4, null, 0);
    touch(api, mm, BASE + 2 ** 20 * PAGE, 8);
    api.exitMm(mm);
    expect([framesUsed(mm), vmas(mm), mm.anonPages, isLocked(mm.mmapLock)]).toEqual([0, [], 0, false]);
  });

  it('exit leaves pinned pages to their pins', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 2);
    const pages = new Uint32Array(2);
    api.pinUserPagesFast(mm, BASE, 2, FOLL_WRITE, pages);
    api.exitMm(mm);
    expect([framesUsed(mm), pageRefCount(mm.memory.phys, pages[0]!)]).toEqual([2, 1024]);
    api.unpinUserPages(mm.memory, pages, 2);
    expect(framesUsed(mm)).toBe(0);
  });
});

describe.each(schedBuilds)('%s build: killed while waiting for mmap_lock', (_name, api) => {
  it.each([
    ['mmap', (mm: Mm): Task<unknown> => mmapTask(mm, 0, PAGE, RW, ANON), -EINTR],
    ['brk', (mm: Mm): Task<unknown> => brkTask(mm, PAGE), -EINTR],
    ['munmap', (mm: Mm): Task<unknown> => munmapTask(mm, BASE, PAGE), -EINTR],
    ['madvise(MADV_DONTFORK)', (mm: Mm): Task<unknown> => madviseTask(mm, BASE, PAGE, MADV_DONTFORK), -EINTR],
    ['fork', (mm: Mm): Task<unknown> => dupTask(mm), { error: -EINTR, mm: null }],
  ])('%s: -EINTR, nothing changed, nothing leaks', (_what, call, expected) => {
    const mm = setUp(api);
    const { sched } = mm.memory;
    mapPages(api, mm, 0, 1);
    touch(api, mm, BASE);
    const used = framesUsed(mm);
    downWriteTrylock(sched, mm.mmapLock);
    const task = spawn(sched, 'caller', call(mm));
    expect(thrown(() => runAll(sched))).toBe('DEADLOCK');
    killTask(task);
    runAll(sched);
    expect(task.result).toEqual(expected);
    upWrite(sched, mm.mmapLock);
    expect([vmas(mm), framesUsed(mm), pfnAt(mm, BASE) > 0, isLocked(mm.mmapLock)]).toEqual([
      ['0-1'],
      used,
      true,
      false,
    ]);
  });
});

it('both entries export the same names', () => {
  expect(Object.keys(coloured).sort()).toEqual(Object.keys(plain).sort());
});
