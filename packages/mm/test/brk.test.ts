/** brk(2), what random calls on a running kernel (apps/conform/test/brk.test.ts) do not show: limits, pages, refusals. */
import { describe, expect, it } from 'vitest';
import { Mm } from '@mmkit/aspace';
import { MAP_FIXED, MCL_FUTURE, PROT_READ } from '@mmkit/mm';
import { isLocked } from '@mmkit/rwsem';
import { createVmaTree } from '@mmkit/vma';
import { ANON, BASE, builds, framesUsed, mapPages, PAGE, pfnAt, setUp, TASK_SIZE, touch, vmas } from './builds.ts';
import type { Api } from './builds.ts';

const at = (page: number): number => BASE + page * PAGE;

describe.each(builds)('%s build: brk', (_build, api: Api) => {
  const withHeap = (mm: Mm = setUp(api)): Mm => {
    mm.startBrk = at(0);
    mm.brk = at(0);
    return mm;
  };

  it('sys_brk: without a program there is no heap, and nothing moves', () => {
    const mm = setUp(api);
    expect([api.brk(mm, 0), api.brk(mm, at(1)), vmas(mm)]).toEqual([0, 0, []]);
  });

  it('sys_brk: pages come in as they are touched and go with what is given up; bytes within a page move nothing', () => {
    const mm = withHeap();
    expect([api.brk(mm, at(3) + 1), vmas(mm)]).toEqual([at(3) + 1, ['0-4']]);
    const used = framesUsed(mm);
    expect([pfnAt(mm, at(0)), touch(api, mm, at(1), 3)]).toEqual([-1, 3]);
    expect([api.brk(mm, at(3) + 100), api.brk(mm, at(4)), pfnAt(mm, at(3)) > 0]).toEqual([at(3) + 100, at(4), true]);
    expect([api.brk(mm, at(0)), vmas(mm), framesUsed(mm) <= used]).toEqual([at(0), [], true]);
  });

  it('sys_brk: under MCL_FUTURE the new pages are there at once, locked and counted', () => {
    const mm = withHeap();
    api.brk(mm, at(2));
    expect([api.mlockall(mm, MCL_FUTURE), api.brk(mm, at(5)), mm.lockedVm]).toEqual([0, at(5), 3]);
    expect([0, 2, 4].map((page) => pfnAt(mm, at(page)) > 0)).toEqual([false, true, true]);
    expect([api.brk(mm, at(4)), mm.lockedVm]).toEqual([at(4), 2]);
  });

  it('6.18: at the map count it still grows by a VMA, above it not; a heap beside a mapping that ends there stays apart', () => {
    const mm = withHeap(setUp(api, 256, createVmaTree({ taskSize: TASK_SIZE, maxMapCount: 2 })));
    mapPages(api, mm, -2, 2);
    expect([api.brk(mm, at(1)), vmas(mm)]).toEqual([at(1), ['-2-0', '0-1']]);
    api.mprotect(mm, at(0), PAGE, PROT_READ);
    expect([api.brk(mm, at(2)), vmas(mm)]).toEqual([at(2), ['-2-0', '0-1', '1-2']]);
    expect(api.brk(mm, at(3))).toBe(at(2));
  });

  it('check_data_rlimit: a hole in the heap counts as heap', () => {
    const mm = withHeap();
    expect([api.brk(mm, at(10)), api.munmap(mm, at(2), 6 * PAGE)]).toEqual([at(10), 0]);
    mm.rlimitData = 12 * PAGE;
    expect([api.brk(mm, at(12)), api.brk(mm, at(12) + 1)]).toEqual([at(12), at(12)]);
  });

  it('sys_brk: what lies above user memory, and no page free below a neighbour or its guard gap, is refused', () => {
    const mm = withHeap();
    api.brk(mm, at(1));
    api.mmap(mm, at(6), PAGE, PROT_READ, ANON | MAP_FIXED);
    expect([api.brk(mm, at(6)), api.brk(mm, at(5) + 1), api.brk(mm, at(5))]).toEqual([at(1), at(1), at(5)]);
    expect([api.brk(mm, 2 ** 52), isLocked(mm.mmapLock)]).toEqual([at(5), false]);
    expect(() => api.brk(mm, -1)).toThrow(RangeError);
    expect(() => api.brk(mm, 0.5)).toThrow(RangeError);
  });
});
