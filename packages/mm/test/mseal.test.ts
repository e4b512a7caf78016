import { describe, expect, it } from 'vitest';
import { EINVAL, ENOMEM, EPERM } from '@mmkit/base';
import { Mm } from '@mmkit/aspace';
import {
  MADV_COLD,
  MADV_DODUMP,
  MADV_DOFORK,
  MADV_DONTDUMP,
  MADV_DONTFORK,
  MADV_DONTNEED,
  MADV_DONTNEED_LOCKED,
  MADV_FREE,
  MADV_GUARD_INSTALL,
  MADV_GUARD_REMOVE,
  MADV_KEEPONFORK,
  MADV_MERGEABLE,
  MADV_PAGEOUT,
  MADV_POPULATE_READ,
  MADV_REMOVE,
  MADV_SEQUENTIAL,
  MADV_WILLNEED,
  MADV_WIPEONFORK,
  MAP_FIXED,
  PROT_NONE,
  PROT_READ,
} from '@mmkit/mm';
import { isLocked } from '@mmkit/rwsem';
import { createVmaTree, vmasIn, vmaIsSealed } from '@mmkit/vma';
import { ANON, BASE, builds, mapPages, PAGE, RW, setUp, thrown, vmas } from './builds.ts';

describe.each(builds)('%s build: mseal', (_name, api) => {
  const seal = (mm: Mm, page: number, count: number): number => api.mseal(mm, BASE + page * PAGE, count * PAGE);
  /** Bounds of the VMAs, sealed ones with an `s`. */
  const sealed = (mm: Mm): string[] => {
    const flags = vmasIn(mm.vmas, 0, api.format.taskSize).map((vma) => (vmaIsSealed(vma) ? 's' : ''));
    return vmas(mm).map((bounds, i) => bounds + flags[i]!);
  };

  it('6.18: splits at the ends of the range and merges what is sealed alike; again changes nothing', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 6);
    expect([seal(mm, 1, 2), sealed(mm)]).toEqual([0, ['0-1', '1-3s', '3-6']]);
    expect([seal(mm, 2, 2), sealed(mm)]).toEqual([0, ['0-1', '1-4s', '4-6']]);
    expect([seal(mm, 0, 6), sealed(mm)]).toEqual([0, ['0-6s']]);
    expect([seal(mm, 2, 1), sealed(mm), isLocked(mm.mmapLock)]).toEqual([0, ['0-6s'], false]);
  });

  it('6.18: a sealed VMA is split by advice, and merges with none that is not sealed', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 2);
    seal(mm, 0, 2);
    mapPages(api, mm, 2, 2);
    expect(sealed(mm)).toEqual(['0-2s', '2-4']);
    expect(api.madvise(mm, BASE + PAGE, PAGE, MADV_SEQUENTIAL)).toBe(0);
    expect(sealed(mm)).toEqual(['0-1s', '1-2s', '2-4']);
  });

  it('6.18: ENOMEM for a hole anywhere, and nothing is sealed', () => {
    const mm = setUp(api);
    mapPages(api, mm, 1, 2);
    mapPages(api, mm, 4, 2);
    for (const [page, count] of [
      [0, 2],
      [1, 4],
      [4, 3],
      [9, 1],
    ] as const)
      expect(seal(mm, page, count)).toBe(-ENOMEM);
    expect([sealed(mm), isLocked(mm.mmapLock)]).toEqual([['1-3', '4-6'], false]);
  });

  it('6.18: EINVAL for flags, alignment, a range that wraps; length 0 is 0, in a hole too', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 1);
    expect(api.mseal(mm, BASE, PAGE, 1)).toBe(-EINVAL);
    expect(api.mseal(mm, BASE + 1, PAGE)).toBe(-EINVAL);
    expect(api.mseal(mm, BASE, Number.MAX_SAFE_INTEGER - PAGE)).toBe(-EINVAL);
    expect([api.mseal(mm, BASE + 9 * PAGE, 0), api.mseal(mm, BASE, 0), sealed(mm)]).toEqual([0, 0, ['0-1']]);
    expect(thrown(() => api.mseal(mm, -1, PAGE))).toBe('RangeError');
    expect(thrown(() => api.mseal(mm, 0, 0.5))).toBe('RangeError');
    expect(thrown(() => api.mseal(mm, 0, PAGE, NaN))).toBe('RangeError');
  });

  it('6.18: ENOMEM where a split exceeds the map count, the first of two stays', () => {
    const mm = setUp(api, 64, createVmaTree({ maxMapCount: 2, taskSize: api.format.taskSize }));
    mapPages(api, mm, 0, 4);
    expect([seal(mm, 1, 1), sealed(mm), isLocked(mm.mmapLock)]).toEqual([-ENOMEM, ['0-1', '1-4'], false]);
  });

  it('FACTS 36: what discards is EPERM in sealed anonymous memory without VM_WRITE, all else is allowed', () => {
    const discards = [
      MADV_DONTNEED,
      MADV_DONTNEED_LOCKED,
      MADV_FREE,
      MADV_REMOVE,
      MADV_DONTFORK,
      MADV_WIPEONFORK,
      MADV_GUARD_INSTALL,
    ];
    const others = [
      MADV_DOFORK,
      MADV_KEEPONFORK,
      MADV_GUARD_REMOVE,
      MADV_WILLNEED,
      MADV_COLD,
      MADV_PAGEOUT,
      MADV_MERGEABLE,
      MADV_DONTDUMP,
      MADV_DODUMP,
      MADV_SEQUENTIAL,
    ];
    for (const prot of [PROT_NONE, PROT_READ, RW]) {
      const mm = setUp(api);
      api.mmap(mm, BASE, PAGE, prot, ANON | MAP_FIXED);
      seal(mm, 0, 1);
      for (const advice of discards) {
        const writable = advice === MADV_REMOVE ? -EINVAL : 0;
        expect(api.madvise(mm, BASE, PAGE, advice)).toBe(prot === RW ? writable : -EPERM);
      }
      for (const advice of others) expect(api.madvise(mm, BASE, PAGE, advice)).toBe(0);
      if (prot === PROT_READ) expect(api.madvise(mm, BASE, PAGE, MADV_POPULATE_READ)).toBe(0);
      expect(isLocked(mm.mmapLock)).toBe(false);
    }
  });
});
