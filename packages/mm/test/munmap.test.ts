import { describe, expect, it } from 'vitest';
import { EINVAL, ENOMEM, EPERM } from '@mmkit/base';
import { MM_ROOT } from '@mmkit/aspace';
import { MAP_FIXED } from '@mmkit/mm';
import { leafTable } from '@mmkit/pgtable';
import { isLocked } from '@mmkit/rwsem';
import { createVmaTree, vmaLookup } from '@mmkit/vma';
import { ANON, BASE, builds, framesUsed, mapPages, PAGE, pfnAt, RW, setUp, touch, vmas } from './builds.ts';

describe.each(builds)('%s build: munmap', (_name, api) => {
  it.each([
    ['length 0', BASE, 0],
    ['an unaligned address', BASE + 1, PAGE],
    ['length 0 and unaligned', BASE + 1, 0],
    ['a range beyond user memory', api.format.taskSize, PAGE],
    ['a range across its end', api.format.taskSize - PAGE, 2 * PAGE],
    ['a length above user memory', BASE, api.format.userEnd],
  ])('6.18: EINVAL for %s', (_what, address, length) => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 2);
    expect(api.munmap(mm, address, length)).toBe(-EINVAL);
    expect([vmas(mm), isLocked(mm.mmapLock)]).toEqual([['0-2'], false]);
  });

  it('6.18: a hole is fine, length 1 is a page, the last page of user memory can go', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 2);
    expect(api.munmap(mm, BASE + 50 * PAGE, PAGE)).toBe(0);
    expect(api.munmap(mm, BASE, 1)).toBe(0);
    expect(api.munmap(mm, api.format.taskSize - PAGE, PAGE)).toBe(0);
    expect(vmas(mm)).toEqual(['1-2']);
  });

  it('6.18: the middle of a VMA: two are left, with their pages', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 8);
    touch(api, mm, BASE, 8);
    const used = framesUsed(mm);
    expect(api.munmap(mm, BASE + 2 * PAGE, 2 * PAGE)).toBe(0);
    expect([vmas(mm), framesUsed(mm), mm.anonPages]).toEqual([['0-2', '4-8'], used - 2, 6]);
    expect(vmaLookup(mm.vmas, BASE + 4 * PAGE)!.pgoff).toBe(BASE / PAGE + 4);
    expect([1, 2, 3, 4].map((page) => pfnAt(mm, BASE + page * PAGE) > 0)).toEqual([true, false, false, true]);
  });

  it('several VMAs with holes between, the outer ones cut', () => {
    const mm = setUp(api);
    for (const page of [0, 10, 20]) mapPages(api, mm, page, 5);
    for (const page of [0, 10, 20]) touch(api, mm, BASE + page * PAGE, 5);
    expect(api.munmap(mm, BASE + 3 * PAGE, 19 * PAGE)).toBe(0);
    expect([vmas(mm), mm.anonPages]).toEqual([['0-3', '22-25'], 6]);
  });

  it('6.18: the map count forbids a hole in the middle of a VMA at the limit, and nothing else', () => {
    const mm = setUp(api, 64, createVmaTree({ maxMapCount: 2 }));
    mapPages(api, mm, 0, 8);
    mapPages(api, mm, 10, 8);
    expect(api.munmap(mm, BASE + 3 * PAGE, PAGE)).toBe(-ENOMEM);
    expect([vmas(mm), isLocked(mm.mmapLock)]).toEqual([['0-8', '10-18'], false]);
    expect(api.munmap(mm, BASE + 7 * PAGE, PAGE)).toBe(0);
    expect(api.munmap(mm, BASE, PAGE)).toBe(0);
    expect(api.munmap(mm, BASE + 5 * PAGE, 6 * PAGE)).toBe(0);
    expect(vmas(mm)).toEqual(['1-5', '11-18']);
    expect(api.munmap(mm, BASE + 11 * PAGE, 7 * PAGE)).toBe(0);
    expect(api.munmap(mm, BASE + 2 * PAGE, PAGE)).toBe(0);
    expect(vmas(mm)).toEqual(['1-2', '3-5']);
  });

  it('6.18: sealed memory: EPERM; the split at the start of the range stays, unless that VMA is the sealed one', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 4);
    touch(api, mm, BASE, 4);
    mapPages(api, mm, 6, 4);
    expect(api.mseal(mm, BASE + 7 * PAGE, 2 * PAGE)).toBe(0);
    expect(vmas(mm)).toEqual(['0-4', '6-7', '7-9', '9-10']);
    expect(api.munmap(mm, BASE + 2 * PAGE, 6 * PAGE)).toBe(-EPERM);
    expect([vmas(mm), mm.anonPages]).toEqual([['0-2', '2-4', '6-7', '7-9', '9-10'], 4]);
    expect(api.munmap(mm, BASE + 8 * PAGE, 2 * PAGE)).toBe(-EPERM);
    expect(api.mmap(mm, BASE + 8 * PAGE, PAGE, RW, ANON | MAP_FIXED)).toBe(-EPERM);
    expect(vmas(mm)).toEqual(['0-2', '2-4', '6-7', '7-9', '9-10']);
    expect(api.munmap(mm, BASE + 4 * PAGE, 3 * PAGE)).toBe(0);
    expect(vmas(mm)).toEqual(['0-2', '2-4', '7-9', '9-10']);
  });

  it('N.11: page tables that serve nobody else are freed, the others stay', () => {
    const mm = setUp(api);
    const { tables } = mm.memory;
    const root = mm.words[MM_ROOT]!;
    const empty = framesUsed(mm);
    mapPages(api, mm, 0, 1);
    mapPages(api, mm, 511, 2);
    mapPages(api, mm, 2 ** 18, 1);
    for (const page of [0, 511, 512, 2 ** 18]) touch(api, mm, BASE + page * PAGE);
    // Root (there before), 2 PUD entries' tables: PUD 1, PMD 2, leaf 3, and four pages.
    expect(framesUsed(mm)).toBe(empty + 1 + 2 + 3 + 4);
    api.munmap(mm, BASE + 511 * PAGE, PAGE);
    expect(leafTable(tables, root, BASE)).toBeGreaterThan(0);
    api.munmap(mm, BASE + 512 * PAGE, PAGE);
    expect([leafTable(tables, root, BASE + 512 * PAGE), leafTable(tables, root, BASE) > 0]).toEqual([-1, true]);
    api.munmap(mm, BASE, PAGE);
    expect(framesUsed(mm)).toBe(empty + 3 + 1);
    api.munmap(mm, BASE + 2 ** 18 * PAGE, PAGE);
    expect(framesUsed(mm)).toBe(empty);
  });

  it('a page that is pinned survives as an orphan and is freed by the unpin', () => {
    const mm = setUp(api);
    mapPages(api, mm, 0, 1);
    const pages = new Uint32Array(1);
    const empty = framesUsed(mm);
    api.pinUserPagesFast(mm, BASE, 1, 1, pages);
    api.munmap(mm, BASE, PAGE);
    expect([framesUsed(mm), pfnAt(mm, BASE)]).toEqual([empty + 1, -1]);
    api.unpinUserPages(mm.memory, pages, 1);
    expect(framesUsed(mm)).toBe(empty);
  });
});
