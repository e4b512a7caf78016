import { describe, expect, it } from 'vitest';
import { EAGAIN, EFAULT, EINVAL, ENOMEM, EPERM, FOLL_WRITE } from '@mmkit/base';
import { linux6_12, Mm } from '@mmkit/aspace';
import { OpenFile } from '@mmkit/filemap';
import {
  MADV_GUARD_INSTALL,
  MADV_REMOVE,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_SHARED,
  MMAP_MIN_ADDR,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_READ,
} from '@mmkit/mm';
import { allocPages, freePages, GFP_KERNEL, pageMapCount, pageRefCount } from '@mmkit/phys';
import { isLocked } from '@mmkit/rwsem';
import { createVmaTree, VM_DONTEXPAND, VM_IO, VM_LOCKED, VM_PFNMAP, vmaLookup, VM_SEALED } from '@mmkit/vma';
import { ANON, BASE, builds, framesUsed, mapPages, PAGE, pfnAt, RW, setUp, thrown, touch, vmas } from './builds.ts';

const MAY = MREMAP_MAYMOVE;
const FIXED = MREMAP_MAYMOVE | MREMAP_FIXED;
const DONTUNMAP = MREMAP_MAYMOVE | MREMAP_DONTUNMAP;

describe.each(builds)('%s build: mremap', (_name, api) => {
  /** In pages after BASE; the new place too, where there is one. */
  const remap = (mm: Mm, at: number, old: number, size: number, flags: number, to = 0): number => {
    const result = api.mremap(mm, BASE + at * PAGE, old * PAGE, size * PAGE, flags, BASE + to * PAGE);
    expect(isLocked(mm.mmapLock)).toBe(false);
    return result < 0 ? result : (result - BASE) / PAGE;
  };
  const readOnly = (mm: Mm, page: number, count: number): number =>
    api.mmap(mm, BASE + page * PAGE, count * PAGE, PROT_READ, ANON | MAP_FIXED);
  const present = (mm: Mm, count: number): string =>
    Array.from({ length: count }, (_, page) => (pfnAt(mm, BASE + page * PAGE) > 0 ? 'x' : '.')).join('');

  describe('arguments', () => {
    it.each([
      ['an unknown flag', BASE, PAGE, PAGE, 8, 0],
      ['an unaligned address', BASE + 1, PAGE, PAGE, MAY, 0],
      ['new length 0', BASE, PAGE, 0, MAY, 0],
      ['a new length above user memory', BASE, PAGE, 'above', MAY, 0],
      ['FIXED without MAYMOVE', BASE, PAGE, PAGE, MREMAP_FIXED, BASE + 9 * PAGE],
      ['DONTUNMAP without MAYMOVE', BASE, PAGE, PAGE, MREMAP_DONTUNMAP, 0],
      ['DONTUNMAP with another length', BASE, PAGE, 2 * PAGE, DONTUNMAP, 0],
      ['an unaligned new address', BASE, PAGE, PAGE, FIXED, BASE + 9 * PAGE + 1],
      ['an unaligned hint', BASE, PAGE, PAGE, DONTUNMAP, BASE + 9 * PAGE + 1],
      ['a target that overlaps', BASE, 2 * PAGE, 2 * PAGE, FIXED, BASE + PAGE],
      ['a target that is the source', BASE, PAGE, PAGE, FIXED, BASE],
      ['a target beyond user memory', BASE, PAGE, PAGE, FIXED, 'end'],
      ['old length 0 of private memory', BASE, 0, PAGE, MAY, 0],
      ['old length 0 with DONTUNMAP', BASE, 0, PAGE, DONTUNMAP, 0],
    ])('6.18: EINVAL for %s, and nothing changes', (_what, address, old, size, flags, to) => {
      const mm = setUp(api);
      const { taskSize } = api.format;
      mapPages(api, mm, 0, 4);
      touch(api, mm, BASE, 4);
      const length = typeof size === 'string' ? taskSize + PAGE : size;
      expect(api.mremap(mm, address, old, length, flags, typeof to === 'string' ? taskSize : to)).toBe(-EINVAL);
      expect([vmas(mm), present(mm, 4), isLocked(mm.mmapLock)]).toEqual([['0-4'], 'xxxx', false]);
    });

    it('bad JavaScript values throw RangeError', () => {
      const mm = setUp(api);
      for (const args of [
        [-1, PAGE, PAGE, 0],
        [0, 0.5, PAGE, 0],
        [0, PAGE, NaN, 0],
        [0, PAGE, PAGE, -1],
        [0, PAGE, PAGE, FIXED, 2 ** 53],
      ] as const) {
        const [address, old, size, flags, to = 0] = args as readonly number[];
        expect(thrown(() => api.mremap(mm, address!, old!, size!, flags!, to))).toBe('RangeError');
      }
    });

    it('the new address counts only with FIXED or DONTUNMAP', () => {
      const mm = setUp(api);
      mapPages(api, mm, 0, 2);
      expect(api.mremap(mm, BASE, 2 * PAGE, 2 * PAGE, MAY, 1)).toBe(BASE);
    });
  });

  describe('in place', () => {
    it('shrinks: the tail goes with its pages, over holes and other VMAs too', () => {
      const mm = setUp(api);
      mapPages(api, mm, 0, 4);
      touch(api, mm, BASE, 4);
      const used = framesUsed(mm);
      expect(remap(mm, 0, 4, 1, 0)).toBe(0);
      expect([vmas(mm), framesUsed(mm)]).toEqual([['0-1'], used - 3]);
      readOnly(mm, 2, 2);
      expect([remap(mm, 0, 4, 1, MAY), vmas(mm)]).toEqual([0, ['0-1']]);
    });

    it('FACTS 31: equal lengths return the address, over a hole too, with and without MAYMOVE', () => {
      const mm = setUp(api);
      mapPages(api, mm, 0, 2);
      expect([remap(mm, 0, 2, 2, 0), remap(mm, 0, 9, 9, MAY), vmas(mm)]).toEqual([0, 0, ['0-2']]);
    });

    it('grows where there is room, from inside the VMA up to its end only', () => {
      const mm = setUp(api);
      mapPages(api, mm, 0, 4);
      touch(api, mm, BASE);
      expect([remap(mm, 2, 2, 4, 0), vmas(mm)]).toEqual([2, ['0-6']]);
      expect([remap(mm, 1, 2, 3, 0), vmas(mm)]).toEqual([-ENOMEM, ['0-6']]);
      readOnly(mm, 7, 1);
      expect([remap(mm, 0, 6, 7, 0), vmas(mm)]).toEqual([0, ['0-7', '7-8']]);
      expect([remap(mm, 0, 7, 8, 0), vmas(mm)]).toEqual([-ENOMEM, ['0-7', '7-8']]);
      expect(present(mm, 8)).toBe('x.......');
    });

    it('FACTS 32: what it has grown by merges with the next VMA if it fits', () => {
      const mm = setUp(api);
      mapPages(api, mm, 0, 2);
      mapPages(api, mm, 6, 2);
      expect([remap(mm, 0, 2, 6, 0), vmas(mm)]).toEqual([0, ['0-8']]);
      const other = setUp(api);
      mapPages(api, other, 0, 2);
      readOnly(other, 6, 2);
      expect([remap(other, 0, 2, 6, 0), vmas(other)]).toEqual([0, ['0-6', '6-8']]);
    });

    it('6.18: the end of user memory is the end', () => {
      const mm = setUp(api);
      const { taskSize } = api.format;
      api.mmap(mm, taskSize - 2 * PAGE, PAGE, RW, ANON | MAP_FIXED);
      expect(api.mremap(mm, taskSize - 2 * PAGE, PAGE, 3 * PAGE, 0)).toBe(-ENOMEM);
      expect(api.mremap(mm, taskSize - 2 * PAGE, PAGE, 2 * PAGE, 0)).toBe(taskSize - 2 * PAGE);
    });
  });

  describe('refusals by the VMA', () => {
    it('6.18: EFAULT where nothing is mapped at the address, in place, moving and fixed', () => {
      const mm = setUp(api);
      mapPages(api, mm, 1, 1);
      mapPages(api, mm, 20, 2);
      for (const flags of [0, MAY, FIXED, DONTUNMAP]) expect(remap(mm, 0, 2, 2, flags, 20)).toBe(-EFAULT);
      expect(vmas(mm)).toEqual(['1-2', '20-22']);
    });

    it('FACTS 31: EFAULT to grow over the end of the VMA; the target is not touched', () => {
      const mm = setUp(api);
      mapPages(api, mm, 0, 4);
      readOnly(mm, 4, 4);
      mapPages(api, mm, 20, 10);
      for (const flags of [0, MAY, FIXED]) expect(remap(mm, 0, 6, 7, flags, 20)).toBe(-EFAULT);
      expect(remap(mm, 0, 8, 6, FIXED, 20)).toBe(-EFAULT);
      expect(remap(mm, 0, 6, 6, DONTUNMAP, 40)).toBe(-EFAULT);
      expect(vmas(mm)).toEqual(['0-4', '4-8', '20-30']);
    });

    it('FACTS 31: shrinking to a fixed place: the tail beyond the VMA goes, the rest moves', () => {
      const mm = setUp(api);
      mapPages(api, mm, 0, 4);
      readOnly(mm, 4, 4);
      expect([remap(mm, 0, 6, 3, FIXED, 20), vmas(mm)]).toEqual([20, ['6-8', '20-23']]);
    });

    it('N.14: memory that may not grow EFAULT, a device with DONTUNMAP EINVAL; moving and shrinking are fine', () => {
      for (const flag of [VM_DONTEXPAND, VM_PFNMAP]) {
        const mm = setUp(api);
        mapPages(api, mm, 0, 4);
        vmaLookup(mm.vmas, BASE)!.flags |= flag;
        for (const flags of [0, MAY, FIXED]) expect(remap(mm, 0, 4, 5, flags, 20)).toBe(-EFAULT);
        expect(remap(mm, 0, 4, 4, DONTUNMAP, 20)).toBe(-EINVAL);
        expect([remap(mm, 0, 4, 4, FIXED, 20), remap(mm, 20, 4, 3, 0), vmas(mm)]).toEqual([20, 20, ['20-23']]);
      }
    });

    it('N.16: what merges with nothing does not grow in place', () => {
      const mm = setUp(api);
      mapPages(api, mm, 0, 2);
      vmaLookup(mm.vmas, BASE)!.flags |= VM_IO;
      expect([remap(mm, 0, 2, 3, 0), remap(mm, 0, 2, 1, 0), vmas(mm)]).toEqual([-ENOMEM, 0, ['0-1']]);
    });

    it('6.18: EINVAL to cut off what lies beyond user memory', () => {
      const mm = setUp(api);
      mapPages(api, mm, 0, 2);
      expect(api.mremap(mm, BASE, api.format.taskSize, PAGE, MAY)).toBe(-EINVAL);
      expect(vmas(mm)).toEqual(['0-2']);
    });

    it('6.18: EPERM below the lowest address, after the target was cleared', () => {
      const mm = setUp(api);
      mapPages(api, mm, 0, 1);
      expect(api.mremap(mm, BASE, PAGE, PAGE, FIXED, MMAP_MIN_ADDR - PAGE)).toBe(-EPERM);
      expect(vmas(mm)).toEqual(['0-1']);
    });
  });

  describe('moving', () => {
    it('FACTS 9: pages, pins and guards follow, the old place is free, page tables too', () => {
      const mm = setUp(api);
      const { phys } = mm.memory;
      mapPages(api, mm, 0, 4);
      touch(api, mm, BASE, 2);
      const taken = new Uint32Array(1);
      expect(api.pinUserPagesFast(mm, BASE + PAGE, 1, FOLL_WRITE, taken)).toBe(1);
      api.madvise(mm, BASE + 2 * PAGE, PAGE, MADV_GUARD_INSTALL);
      const before = [0, 1].map((page) => pfnAt(mm, BASE + page * PAGE));
      const used = framesUsed(mm);
      // Into another leaf table: the old one goes, as nothing else is in it.
      expect([remap(mm, 0, 4, 4, FIXED, 1024), vmas(mm)]).toEqual([1024, ['1024-1028']]);
      expect([0, 1].map((page) => pfnAt(mm, BASE + (1024 + page) * PAGE))).toEqual(before);
      expect([pageRefCount(phys, taken[0]!), pageMapCount(phys, taken[0]!), mm.anonPages]).toEqual([1025, 1, 2]);
      expect(api.getUserPagesUnlocked(mm, BASE + 1026 * PAGE, 1, null, 0)).toBe(-EFAULT);
      expect(api.getUserPagesUnlocked(mm, BASE, 1, null, 0)).toBe(-EFAULT);
      expect([present(mm, 4), framesUsed(mm)]).toEqual(['....', used]);
      api.unpinUserPages(mm.memory, taken, 1);
    });

    it('MAYMOVE: where it cannot grow it moves to the highest place; what lies behind is free', () => {
      const mm = setUp(api);
      mapPages(api, mm, 0, 2);
      readOnly(mm, 2, 1);
      touch(api, mm, BASE, 2);
      const pfns = [0, 1].map((page) => pfnAt(mm, BASE + page * PAGE));
      const first = api.mmap(mm, 0, PAGE, PROT_READ, ANON);
      const at = api.mremap(mm, BASE, 2 * PAGE, 4 * PAGE, MAY);
      expect(at).toBe(first - 4 * PAGE);
      expect([0, 1, 2].map((page) => pfnAt(mm, at + page * PAGE))).toEqual([...pfns, -1]);
      expect(present(mm, 2)).toBe('..');
      expect([vmaLookup(mm.vmas, BASE), vmaLookup(mm.vmas, at)!.end]).toEqual([null, at + 4 * PAGE]);
    });

    it('a part of a VMA leaves the rest, whatever is at a fixed target goes', () => {
      const mm = setUp(api);
      mapPages(api, mm, 0, 6);
      touch(api, mm, BASE, 6);
      mapPages(api, mm, 20, 6);
      touch(api, mm, BASE + 20 * PAGE, 6);
      const middle = pfnAt(mm, BASE + 2 * PAGE);
      const used = framesUsed(mm);
      expect(remap(mm, 2, 1, 2, FIXED, 22)).toBe(22);
      expect(vmas(mm)).toEqual(['0-2', '3-6', '20-22', '22-24', '24-26']);
      expect([pfnAt(mm, BASE + 22 * PAGE), pfnAt(mm, BASE + 23 * PAGE)]).toEqual([middle, -1]);
      expect([present(mm, 6), framesUsed(mm), mm.anonPages]).toEqual(['xx.xxx', used - 2, 10]);
    });

    it('FACTS 31: several VMAs and holes move at once; what is at the target of a hole stays', () => {
      const mm = setUp(api);
      mapPages(api, mm, 0, 2);
      readOnly(mm, 2, 2);
      mapPages(api, mm, 6, 2);
      touch(api, mm, BASE, 2);
      touch(api, mm, BASE + 6 * PAGE, 2);
      readOnly(mm, 20, 10);
      expect([remap(mm, 1, 9, 9, FIXED, 20), vmas(mm)]).toEqual([20, ['0-1', '20-21', '21-25', '25-27', '27-30']]);
      expect(present(mm, 30)).toBe('x...................x....xx...');
      expect(remap(mm, 25, 9, 8, FIXED, 40)).toBe(-EFAULT);
    });

    it('FACTS 31, OBSERVED 13: on 6.12 a range of several VMAs is -EFAULT', () => {
      const mm = setUp(api, 256, undefined, linux6_12);
      mapPages(api, mm, 0, 2);
      readOnly(mm, 2, 2);
      expect([remap(mm, 0, 4, 4, FIXED, 20), vmas(mm)]).toEqual([-EFAULT, ['0-2', '2-4']]);
      expect([remap(mm, 0, 2, 2, FIXED, 20), vmas(mm)]).toEqual([20, ['2-4', '20-22']]);
    });

    it('D.6: touched memory that moved keeps its old numbers and does not merge, untouched memory does', () => {
      const mm = setUp(api);
      mapPages(api, mm, 0, 4);
      touch(api, mm, BASE, 4);
      expect(remap(mm, 0, 2, 2, FIXED, 6)).toBe(6);
      mapPages(api, mm, 4, 2);
      expect(vmas(mm)).toEqual(['2-6', '6-8']);
      const other = setUp(api);
      mapPages(api, other, 0, 4);
      expect(remap(other, 2, 2, 2, FIXED, 10)).toBe(10);
      expect(vmas(other)).toEqual(['0-2', '10-12']);
      expect([remap(other, 10, 2, 2, FIXED, 2), vmas(other)]).toEqual([2, ['0-4']]);
    });

    it('what was never touched may merge with itself', () => {
      const mm = setUp(api);
      mapPages(api, mm, 0, 4);
      expect([remap(mm, 2, 2, 2, FIXED, 4), vmas(mm)]).toEqual([4, ['0-2', '4-6']]);
      expect([remap(mm, 4, 1, 1, FIXED, 2), vmas(mm)]).toEqual([2, ['0-3', '5-6']]);
    });

    it('-ENOMEM without a page for a table: everything is back where it was', () => {
      const mm = setUp(api, 64);
      const { phys } = mm.memory;
      mapPages(api, mm, 0, 3);
      touch(api, mm, BASE, 3);
      mapPages(api, mm, 1000, 1);
      touch(api, mm, BASE + 1000 * PAGE, 1);
      const pfns = [0, 1, 2].map((page) => pfnAt(mm, BASE + page * PAGE));
      const held: number[] = [];
      for (let pfn = 0; (pfn = allocPages(phys, GFP_KERNEL, 0)) >= 0; ) held.push(pfn);
      expect(remap(mm, 0, 3, 3, FIXED, 1022)).toBe(-ENOMEM);
      expect([vmas(mm), [0, 1, 2].map((page) => pfnAt(mm, BASE + page * PAGE))]).toEqual([['0-3', '1000-1001'], pfns]);
      for (const pfn of held) freePages(phys, pfn, 0);
      expect(remap(mm, 0, 3, 3, FIXED, 1022)).toBe(1022);
      framesUsed(mm);
    });
  });

  describe('locked, sealed, shared', () => {
    it('6.18: what a locked mapping grows by is counted and faulted in, in place and moving; shrinking gives it back', () => {
      const mm = setUp(api);
      mapPages(api, mm, 0, 2);
      expect(api.mlock(mm, BASE, 2 * PAGE)).toBe(0);
      expect([remap(mm, 0, 2, 4, 0), present(mm, 4), mm.lockedVm]).toEqual([0, 'xxxx', 4]);
      expect([remap(mm, 0, 4, 6, FIXED, 20), mm.lockedVm]).toEqual([20, 6]);
      expect([20, 21, 22, 23, 24, 25].every((page) => pfnAt(mm, BASE + page * PAGE) > 0)).toBe(true);
      expect([remap(mm, 20, 6, 1, 0), mm.lockedVm, vmas(mm)]).toEqual([20, 1, ['20-21']]);
    });

    it('6.18: EAGAIN above RLIMIT_MEMLOCK, and only for what is locked', () => {
      const mm = setUp(api);
      mapPages(api, mm, 0, 2);
      mm.rlimitMemlock = 3 * PAGE;
      api.mlock(mm, BASE, 2 * PAGE);
      for (const flags of [0, MAY, FIXED]) expect(remap(mm, 0, 2, 4, flags, 20)).toBe(-EAGAIN);
      expect([remap(mm, 0, 2, 3, 0), mm.lockedVm, vmas(mm)]).toEqual([0, 3, ['0-3']]);
      mm.capIpcLock = true;
      expect(remap(mm, 0, 3, 5, 0)).toBe(0);
    });

    it('FACTS 32: DONTUNMAP takes the lock off the whole source; what was counted for it stays counted', () => {
      const mm = setUp(api);
      mapPages(api, mm, 0, 4);
      api.mlock(mm, BASE, 4 * PAGE);
      expect(remap(mm, 1, 2, 2, DONTUNMAP, 50)).toBe(50);
      expect([vmas(mm), present(mm, 4), mm.lockedVm]).toEqual([['0-4', '50-52'], 'x..x', 6]);
      const locked = [0, 50].map((page) => (vmaLookup(mm.vmas, BASE + page * PAGE)!.flags & VM_LOCKED) !== 0);
      expect(locked).toEqual([false, true]);
    });

    it('FACTS 36: EPERM for what is sealed, before all else that asks for the VMA, and for a sealed target', () => {
      const mm = setUp(api);
      mapPages(api, mm, 0, 4);
      api.mseal(mm, BASE + 2 * PAGE, 2 * PAGE);
      for (const [size, flags] of [
        [1, 0],
        [2, 0],
        [2, MAY],
        [9, MAY],
        [2, FIXED],
        [2, DONTUNMAP],
      ] as const)
        expect(remap(mm, 2, 2, size, flags, 20)).toBe(-EPERM);
      mapPages(api, mm, 20, 2);
      touch(api, mm, BASE + 20 * PAGE, 2);
      expect(remap(mm, 20, 2, 2, FIXED, 1)).toBe(-EPERM);
      expect(pfnAt(mm, BASE + 20 * PAGE)).toBeGreaterThan(0);
      expect(vmaLookup(mm.vmas, BASE + 2 * PAGE)).toMatchObject({ start: BASE + 2 * PAGE, flagsHigh: VM_SEALED | 0 });
      // Of several the first has moved already.
      expect([
        remap(mm, 0, 4, 4, FIXED, 40),
        vmaLookup(mm.vmas, BASE),
        vmaLookup(mm.vmas, BASE + 40 * PAGE)?.end,
      ]).toEqual([-EPERM, null, BASE + 42 * PAGE]);
    });

    it('6.18: of several VMAs the first whose target cannot be cleared ends the call', () => {
      const mm = setUp(api);
      mapPages(api, mm, 0, 1);
      readOnly(mm, 1, 1);
      mapPages(api, mm, 2, 1);
      mapPages(api, mm, 21, 1);
      api.mseal(mm, BASE + 21 * PAGE, PAGE);
      expect([remap(mm, 0, 3, 3, FIXED, 20), vmas(mm)]).toEqual([-EPERM, ['1-2', '2-3', '20-21', '21-22']]);
    });

    it('6.18: old length 0 maps the same shared memory once more; the target may have been the source', () => {
      const mm = setUp(api);
      const shared = (page: number): number =>
        api.mmap(mm, BASE + page * PAGE, 4 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED);
      shared(0);
      touch(api, mm, BASE + PAGE);
      const pfn = pfnAt(mm, BASE + PAGE);
      expect([remap(mm, 1, 0, 2, FIXED, 20), vmas(mm)]).toEqual([20, ['0-4', '20-22']]);
      touch(api, mm, BASE + 20 * PAGE);
      expect([pfnAt(mm, BASE + 20 * PAGE), pageMapCount(mm.memory.phys, pfn)]).toEqual([pfn, 2]);
      expect(remap(mm, 0, 0, 2, 0)).toBe(-ENOMEM);
      expect([remap(mm, 0, 0, 2, FIXED, 0), vmas(mm)]).toEqual([-EFAULT, ['2-4', '20-22']]);
    });

    it('the file knows where it is mapped: a hole punched afterwards takes the page from the new place', () => {
      const mm = setUp(api);
      api.mmap(mm, BASE, 2 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED);
      touch(api, mm, BASE, 2);
      const { inode } = vmaLookup(mm.vmas, BASE)!.file as OpenFile;
      expect(remap(mm, 1, 1, 3, FIXED, 20)).toBe(20);
      expect(
        [...inode.iMmap].map((vma) => [(vma.start - BASE) / PAGE, (vma.end - BASE) / PAGE, vma.pgoff]).sort(),
      ).toEqual([
        [0, 1, 0],
        [20, 23, 1],
      ]);
      expect(pfnAt(mm, BASE + 20 * PAGE)).toBe(inode.pages.get(1));
      expect(api.madvise(mm, BASE, PAGE, MADV_REMOVE)).toBe(0);
      expect([pfnAt(mm, BASE), pfnAt(mm, BASE + 20 * PAGE) > 0]).toEqual([-1, true]);
      expect(api.madvise(mm, BASE + 20 * PAGE, PAGE, MADV_REMOVE)).toBe(0);
      expect([pfnAt(mm, BASE + 20 * PAGE), inode.pages.size, mm.shmemPages]).toEqual([-1, 0, 0]);
      api.munmap(mm, BASE, 64 * PAGE);
      expect(inode.iMmap.size).toBe(0);
    });
  });

  describe('DONTUNMAP', () => {
    it('FACTS 32: the pages move, the old mapping stays empty; without FIXED the address is a hint', () => {
      const mm = setUp(api);
      mapPages(api, mm, 0, 4);
      touch(api, mm, BASE, 4);
      expect([remap(mm, 0, 4, 4, DONTUNMAP, 50), vmas(mm)]).toEqual([50, ['0-4', '50-54']]);
      expect([present(mm, 4), pfnAt(mm, BASE + 50 * PAGE) > 0, mm.anonPages]).toEqual(['....', true, 4]);
      expect(vmaLookup(mm.vmas, BASE)!.anonVma).toBe(null);
      touch(api, mm, BASE, 1);
      expect(present(mm, 4)).toBe('x...');
      // The place is taken now: another one is found.
      expect(remap(mm, 0, 4, 4, DONTUNMAP, 50)).not.toBe(50);
      expect(vmas(mm).length).toBe(3);
    });

    it('FACTS 32: a part: the VMA is not split and keeps its anon_vma; with FIXED the target goes', () => {
      const mm = setUp(api);
      mapPages(api, mm, 0, 4);
      touch(api, mm, BASE, 4);
      readOnly(mm, 50, 4);
      expect([remap(mm, 1, 2, 2, DONTUNMAP | MREMAP_FIXED, 51), vmas(mm)]).toEqual([
        51,
        ['0-4', '50-51', '51-53', '53-54'],
      ]);
      expect([present(mm, 4), vmaLookup(mm.vmas, BASE)!.anonVma === null]).toEqual(['x..x', false]);
    });
  });

  it('6.18: map count: FIXED and DONTUNMAP need six to spare, a move four, staying in place none', () => {
    const make = (spare: number): Mm => {
      const mm = setUp(api, 64, createVmaTree({ maxMapCount: 2 + spare, taskSize: api.format.taskSize }));
      mapPages(api, mm, 0, 4);
      readOnly(mm, 4, 1);
      return mm;
    };
    expect([remap(make(5), 0, 4, 4, FIXED, 20), remap(make(6), 0, 4, 4, FIXED, 20)]).toEqual([-ENOMEM, 20]);
    expect([remap(make(5), 0, 4, 4, DONTUNMAP, 20), remap(make(6), 0, 4, 4, DONTUNMAP, 20)]).toEqual([-ENOMEM, 20]);
    expect(remap(make(3), 0, 4, 5, MAY)).toBe(-ENOMEM);
    expect(remap(make(4), 0, 4, 5, MAY)).toBeGreaterThan(0);
    expect([remap(make(0), 4, 1, 2, 0), remap(make(0), 0, 4, 2, 0)]).toEqual([4, 0]);
  });
});
