import { describe, expect, it } from 'vitest';
import { EAGAIN, EINVAL, ENOMEM } from '@mmkit/base';
import {
  MADV_DODUMP,
  MADV_DOFORK,
  MADV_DONTDUMP,
  MADV_DONTFORK,
  MADV_DONTNEED,
  MADV_HUGEPAGE,
  MADV_KEEPONFORK,
  MADV_MERGEABLE,
  MADV_NOHUGEPAGE,
  MADV_NORMAL,
  MADV_RANDOM,
  MADV_SEQUENTIAL,
  MADV_UNMERGEABLE,
  MADV_WIPEONFORK,
  MAP_FIXED,
  PROT_EXEC,
  PROT_NONE,
} from '@mmkit/mm';
import { isLocked } from '@mmkit/rwsem';
import {
  createVmaTree,
  VM_DONTCOPY,
  VM_DONTDUMP,
  VM_HUGEPAGE,
  VM_IO,
  VM_MERGEABLE,
  VM_NOHUGEPAGE,
  VM_PFNMAP,
  VM_RAND_READ,
  VM_SEQ_READ,
  VM_SHARED,
  VM_WIPEONFORK,
  vmaLookup,
  vmasIn,
} from '@mmkit/vma';
import { ANON, BASE, builds, framesUsed, mapPages, PAGE, pfnAt, RW, setUp, thrown, touch, vmas } from './builds.ts';

describe.each(builds)('%s build: madvise', (_name, api) => {
  const present = (mm: ReturnType<typeof setUp>, count: number): string =>
    Array.from({ length: count }, (_, page) => (pfnAt(mm, BASE + page * PAGE) > 0 ? 'x' : '.')).join('');

  it.each([
    ['an unknown advice', BASE, PAGE, 999],
    ['an unknown advice, length 0', BASE, 0, 999],
    ['an unaligned address', BASE + 1, PAGE, MADV_DONTNEED],
    ['an unaligned address, length 0', BASE + 1, 0, MADV_DONTNEED],
    ['a range that wraps (here: ends beyond 2^53)', BASE, Number.MAX_SAFE_INTEGER - PAGE, MADV_DONTNEED],
    ['a range that wraps, MADV_DONTFORK', BASE, Number.MAX_SAFE_INTEGER - PAGE, MADV_DONTFORK],
  ])('6.18: EINVAL for %s', (_what, address, length, advice) => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 1);
    touch(api, mm, BASE);
    expect(api.madvise(mm, address, length, advice)).toBe(-EINVAL);
    expect([present(mm, 1), isLocked(mm.mmapLock)]).toEqual(['x', false]);
  });

  it('6.18: length 0 is 0, in a hole too; length 1 is one page', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 2);
    touch(api, mm, BASE, 2);
    expect(api.madvise(mm, BASE, 0, MADV_DONTNEED)).toBe(0);
    expect(api.madvise(mm, BASE + 50 * PAGE, 0, MADV_DONTNEED)).toBe(0);
    expect(api.madvise(mm, BASE, 1, MADV_DONTNEED)).toBe(0);
    expect(present(mm, 2)).toBe('.x');
  });

  it('DONTNEED drops pages and counts, keeps VMA and tables; the next write gets a new zeroed page', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 4);
    touch(api, mm, BASE, 4);
    const used = framesUsed(mm);
    expect(api.madvise(mm, BASE + PAGE, 2 * PAGE, MADV_DONTNEED)).toBe(0);
    expect([present(mm, 4), framesUsed(mm), mm.anonPages, vmas(mm)]).toEqual(['x..x', used - 2, 2, ['0-4']]);
    expect(touch(api, mm, BASE + PAGE)).toBe(1);
    expect(mm.anonPages).toBe(3);
  });

  it('6.18: DONTNEED of PROT_NONE memory is fine', () => {
    const mm = setUp(api);
    api.mmap(mm, BASE, PAGE, PROT_NONE, ANON | MAP_FIXED);
    expect(api.madvise(mm, BASE, PAGE, MADV_DONTNEED)).toBe(0);
  });

  it.each([
    ['before', 0, 6],
    ['between', 2, 6],
    ['behind', 6, 6],
    ['at both ends', 0, 12],
  ])('6.18: ENOMEM for a hole %s, after the advice was given to what is there', (_where, first, count) => {
    const mm = setUp(api);
    mapPages(api, mm, 2, 2);
    mapPages(api, mm, 6, 2);
    touch(api, mm, BASE + 2 * PAGE, 2);
    touch(api, mm, BASE + 6 * PAGE, 2);
    expect(api.madvise(mm, BASE + first * PAGE, count * PAGE, MADV_DONTNEED)).toBe(-ENOMEM);
    const reached = (page: number): boolean => page >= first && page < first + count;
    expect(present(mm, 8)).toBe(`..${reached(2) ? '..' : 'xx'}..${reached(6) ? '..' : 'xx'}`);
    expect(isLocked(mm.mmapLock)).toBe(false);
  });

  it('6.18: ENOMEM where nothing is mapped, beyond user memory too', () => {
    const mm = setUp(api);
    for (const advice of [MADV_DONTNEED, MADV_DONTFORK, MADV_DOFORK]) {
      expect(api.madvise(mm, BASE, PAGE, advice)).toBe(-ENOMEM);
      expect(api.madvise(mm, api.format.taskSize, PAGE, advice)).toBe(-ENOMEM);
      expect(api.madvise(mm, 2 ** 50, PAGE, advice)).toBe(-ENOMEM);
    }
  });

  it('6.18: DONTNEED stops with EINVAL at a locked VMA, those before have got it; a hole does not matter', () => {
    for (const hole of [false, true]) {
      const mm = setUp(api);
      mapPages(api, mm, 0, hole ? 1 : 2);
      api.mmap(mm, BASE + 2 * PAGE, 2 * PAGE, RW | PROT_EXEC, ANON | MAP_FIXED);
      for (const page of hole ? [0, 2, 3] : [0, 1, 2, 3]) touch(api, mm, BASE + page * PAGE);
      expect(api.mlock(mm, BASE + 2 * PAGE, 2 * PAGE)).toBe(0);
      expect(api.madvise(mm, BASE, 4 * PAGE, MADV_DONTNEED)).toBe(-EINVAL);
      expect([present(mm, 4), isLocked(mm.mmapLock)]).toEqual(['..xx', false]);
    }
  });

  it('DONTNEED refuses a PFN map, DOFORK an I/O mapping', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 1);
    vmaLookup(mm.vmas, BASE)!.flags |= VM_PFNMAP;
    expect(api.madvise(mm, BASE, PAGE, MADV_DONTNEED)).toBe(-EINVAL);
    vmaLookup(mm.vmas, BASE)!.flags |= VM_IO;
    expect(api.madvise(mm, BASE, PAGE, MADV_DONTFORK)).toBe(0);
    expect(api.madvise(mm, BASE, PAGE, MADV_DOFORK)).toBe(-EINVAL);
    expect(vmaLookup(mm.vmas, BASE)!.flags & VM_DONTCOPY).toBe(VM_DONTCOPY);
  });

  it('D.6: DONTFORK and DOFORK split and merge, as mprotect does', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 4);
    mapPages(api, mm, 4, 4);
    const marked = (): string[] =>
      vmasIn(mm.vmas, 0, api.format.taskSize).map((vma) => ((vma.flags & VM_DONTCOPY) !== 0 ? 'dontcopy' : 'copy'));
    expect(api.madvise(mm, BASE + PAGE, 5 * PAGE, MADV_DONTFORK)).toBe(0);
    expect([vmas(mm), marked()]).toEqual([
      ['0-1', '1-6', '6-8'],
      ['copy', 'dontcopy', 'copy'],
    ]);
    expect(api.madvise(mm, BASE + PAGE, PAGE, MADV_DONTFORK)).toBe(0);
    expect(vmas(mm)).toEqual(['0-1', '1-6', '6-8']);
    expect(api.madvise(mm, BASE + 2 * PAGE, PAGE, MADV_DOFORK)).toBe(0);
    expect(vmas(mm)).toEqual(['0-1', '1-2', '2-3', '3-6', '6-8']);
    expect(marked()).toEqual(['copy', 'dontcopy', 'copy', 'dontcopy', 'copy']);
    expect(api.madvise(mm, BASE, 8 * PAGE, MADV_DOFORK)).toBe(0);
    expect(vmas(mm)).toEqual(['0-8']);
  });

  it.each([
    ['RANDOM', MADV_RANDOM, VM_SEQ_READ, VM_RAND_READ],
    ['SEQUENTIAL', MADV_SEQUENTIAL, VM_RAND_READ, VM_SEQ_READ],
    ['NORMAL', MADV_NORMAL, VM_SEQ_READ | VM_RAND_READ, 0],
    ['DONTFORK', MADV_DONTFORK, 0, VM_DONTCOPY],
    ['DOFORK', MADV_DOFORK, VM_DONTCOPY, 0],
    ['WIPEONFORK', MADV_WIPEONFORK, 0, VM_WIPEONFORK],
    ['KEEPONFORK', MADV_KEEPONFORK, VM_WIPEONFORK, 0],
    ['DONTDUMP', MADV_DONTDUMP, 0, VM_DONTDUMP],
    ['DODUMP', MADV_DODUMP, VM_DONTDUMP, 0],
    ['MERGEABLE', MADV_MERGEABLE, 0, VM_MERGEABLE],
    ['UNMERGEABLE', MADV_UNMERGEABLE, VM_MERGEABLE, 0],
    ['HUGEPAGE', MADV_HUGEPAGE, VM_NOHUGEPAGE, VM_HUGEPAGE],
    ['NOHUGEPAGE', MADV_NOHUGEPAGE, VM_HUGEPAGE, VM_NOHUGEPAGE],
  ])(
    '6.18: MADV_%s sets its flag and clears what contradicts it, in a part of a VMA',
    (_advice, advice, before, after) => {
      const mm = setUp(api);
      mapPages(api, mm, 0, 3);
      const vma = vmaLookup(mm.vmas, BASE)!;
      const plain = vma.flags;
      vma.flags |= before;
      expect(api.madvise(mm, BASE + PAGE, PAGE, advice)).toBe(0);
      expect(vmas(mm)).toEqual(['0-1', '1-2', '2-3']);
      expect([0, 1, 2].map((page) => vmaLookup(mm.vmas, BASE + page * PAGE)!.flags)).toEqual([
        plain | before | 0,
        plain | after | 0,
        plain | before | 0,
      ]);
    },
  );

  it('6.18: EINVAL: WIPEONFORK of files and shared memory, DODUMP of special memory; MERGEABLE passes over shared memory', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 1);
    const vma = vmaLookup(mm.vmas, BASE)!;
    vma.flags |= VM_SHARED;
    const before = vma.flags;
    expect(api.madvise(mm, BASE, PAGE, MADV_WIPEONFORK)).toBe(-EINVAL);
    expect([api.madvise(mm, BASE, PAGE, MADV_MERGEABLE), vma.flags]).toEqual([0, before]);
    vma.flags = (before & ~VM_SHARED) | VM_IO;
    expect(api.madvise(mm, BASE, PAGE, MADV_WIPEONFORK)).toBe(0);
    expect(api.madvise(mm, BASE, PAGE, MADV_DODUMP)).toBe(-EINVAL);
    for (const advice of [MADV_RANDOM, MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_DONTDUMP, MADV_MERGEABLE])
      expect(api.madvise(mm, BASE, PAGE, advice)).toBe(0);
    expect([vma.flags & VM_DONTDUMP, vma.flags & VM_MERGEABLE]).toEqual([VM_DONTDUMP, 0]);
  });

  it('6.18: a hole does not keep DONTFORK from the rest: ENOMEM', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 1);
    mapPages(api, mm, 2, 1);
    expect(api.madvise(mm, BASE, 3 * PAGE, MADV_DONTFORK)).toBe(-ENOMEM);
    expect(vmaLookup(mm.vmas, BASE + 2 * PAGE)!.flags & VM_DONTCOPY).toBe(VM_DONTCOPY);
  });

  it('6.18: EAGAIN where a split exceeds the map count; the first of two splits stays', () => {
    const make = (maxMapCount: number): ReturnType<typeof setUp> => {
      const mm = setUp(api, 64, createVmaTree({ maxMapCount }));
      mapPages(api, mm, 0, 8);
      return mm;
    };
    const full = make(1);
    expect(api.madvise(full, BASE + 3 * PAGE, PAGE, MADV_DONTFORK)).toBe(-EAGAIN);
    expect([vmas(full), isLocked(full.mmapLock)]).toEqual([['0-8'], false]);
    const one = make(2);
    expect(api.madvise(one, BASE + 3 * PAGE, PAGE, MADV_DONTFORK)).toBe(-EAGAIN);
    expect([vmas(one), vmaLookup(one.vmas, BASE + 3 * PAGE)!.flags & VM_DONTCOPY]).toEqual([['0-3', '3-8'], 0]);
    const two = make(3);
    expect(api.madvise(two, BASE + 3 * PAGE, PAGE, MADV_DONTFORK)).toBe(0);
    expect(vmas(two)).toEqual(['0-3', '3-4', '4-8']);
  });

  it('bad JavaScript values throw RangeError', () => {
    const mm = setUp(api);
    expect(thrown(() => api.madvise(mm, -PAGE, PAGE, MADV_DONTNEED))).toBe('RangeError');
    expect(thrown(() => api.madvise(mm, 0, 0.5, MADV_DONTNEED))).toBe('RangeError');
    expect(thrown(() => api.madvise(mm, 0, PAGE, -1))).toBe('RangeError');
  });
});
