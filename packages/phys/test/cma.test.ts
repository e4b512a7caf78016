/** Contiguous memory areas, in both builds (`cma_alloc`, N.15: free CMA frames are lent to movable memory only). */
import { ENOMEM, FOLL_LONGTERM, FOLL_PIN } from '@mmkit/base';
import { describe, expect, it } from 'vitest';
import {
  allocPagesNowait,
  buddyInfo,
  checkPhys,
  cmaRelease,
  createPhys,
  declareCma,
  drainPages,
  folioIsLongtermPinnable,
  freePages,
  getPage,
  GFP_HIGHUSER_MOVABLE,
  GFP_KERNEL,
  GFP_KSWAPD_RECLAIM,
  GFP_RECLAIMABLE,
  linuxZones,
  MIGRATE_CMA,
  MIGRATE_MOVABLE,
  pageblockType,
  putPage,
  startIsolatePageRange,
  tryGrabFolio,
  tryGrabFolioFast,
} from '../src/index.ts';
import type { Cma, Phys } from '../src/index.ts';
import { BUILDS } from './builds.ts';
import { expectRefused } from './support.ts';
import { World } from './world.ts';

const bits = (cma: Cma): number[] => {
  const set: number[] = [];
  for (let i = 0; i < cma.bitmap.length * 32; i++) if (((cma.bitmap[i >>> 5]! >>> (i & 31)) & 1) !== 0) set.push(i);
  return set;
};

describe('declareCma', () => {
  it('makes pageblocks of type CMA of free memory, and counts them', () => {
    const phys = createPhys({ frames: 4096 });
    const free = phys.freeFrames;
    const cma = declareCma(phys, 'dma', 1536, 1024, 2);
    const zone = phys.zones[0]!;
    expect([zone.cma, zone.freeCma, phys.freeFrames]).toEqual([1024, 1024, free]);
    expect([1024, 1536, 2048, 2560].map((pfn) => pageblockType(phys, pfn))).toEqual([
      MIGRATE_MOVABLE,
      MIGRATE_CMA,
      MIGRATE_CMA,
      MIGRATE_MOVABLE,
    ]);
    expect(buddyInfo(phys).slice(9)).toEqual([5, 1]);
    expect([cma.name, cma.start, cma.frames, cma.orderPerBit, cma.bitmap.length]).toEqual(['dma', 1536, 1024, 2, 8]);
    checkPhys(phys);
  });

  it('two pageblocks that make an aligned 1024 are one block', () => {
    const phys = createPhys({ frames: 4096 });
    declareCma(phys, 'dma', 2048, 1024);
    expect(buddyInfo(phys)).toEqual(buddyInfo(createPhys({ frames: 4096 })));
    checkPhys(phys);
  });

  it('takes frames back from the per-CPU lists', () => {
    const phys = createPhys({ frames: 1024 });
    freePages(phys, allocPagesNowait(phys, GFP_HIGHUSER_MOVABLE, 0), 0);
    const pfn = allocPagesNowait(phys, GFP_HIGHUSER_MOVABLE, 9);
    freePages(phys, pfn, 9);
    expect(pfn).toBe(512);
    declareCma(phys, 'dma', 512, 512);
    checkPhys(phys);
    expect(phys.zones[0]!.freeCma).toBe(512);
  });

  it('leaves none of it on a per-CPU list of memory that cannot move', () => {
    const phys = createPhys({ frames: 1024 });
    const pages = Array.from({ length: 40 }, () => allocPagesNowait(phys, 0, 0));
    for (const pfn of pages) freePages(phys, pfn, 0);
    expect(phys.zones[0]!.pcps[0]!.count).toBeGreaterThan(0);
    const start = pages[0]! - (pages[0]! % 512);
    expect([start, ...new Set(pages.map((pfn) => pfn - (pfn % 512)))]).toEqual([512, 512]);
    declareCma(phys, 'dma', start, 512);
    checkPhys(phys);
    for (let pfn = allocPagesNowait(phys, 0, 0); pfn > 0; pfn = allocPagesNowait(phys, 0, 0)) {
      expect(pfn).toBeLessThan(512);
    }
  });

  it('refuses, and changes nothing', () => {
    const phys = createPhys({ frames: 8192, zones: linuxZones(8192, 4096, 4096), holes: [[2100, 2101]] });
    const declare =
      (start: number, frames: number, order: number = 0): (() => unknown) =>
      () =>
        declareCma(phys, 'x', start, frames, order);
    expectRefused(phys, 'RangeError', declare(1000, 512));
    expectRefused(phys, 'RangeError', declare(1024, 511));
    expectRefused(phys, 'RangeError', declare(1024, 0));
    expectRefused(phys, 'RangeError', declare(3584, 1024));
    expectRefused(phys, 'RangeError', declare(1024, 512, 10));
    expectRefused(phys, 'RangeError', declare(1024, 512, -1));
    expectRefused(phys, 'RangeError', declare(7680, 1024));
    expectRefused(phys, 'CMA_BUSY', declare(0, 512));
    expectRefused(phys, 'CMA_BUSY', declare(2048, 512));
    const pfn = allocPagesNowait(phys, GFP_KERNEL, 0);
    expectRefused(phys, 'CMA_BUSY', declare(pfn - (pfn % 512), 512));
    declareCma(phys, 'a', 4096, 512);
    expectRefused(phys, 'CMA_TYPE', declare(4096, 1024));
    startIsolatePageRange(phys, 5000, 5001, 2, new Uint8Array(1));
    expectRefused(phys, 'CMA_TYPE', declare(4608, 512));
    checkPhys(phys);
  });
});

it('N.15: movable memory may have CMA frames, other memory may not, and the watermark does not count them for it', () => {
  for (const [gfp, all] of [
    [GFP_HIGHUSER_MOVABLE, true],
    // GFP_KERNEL wakes kswapd, which would boost the watermarks.
    [GFP_KERNEL & ~GFP_KSWAPD_RECLAIM, false],
    [GFP_RECLAIMABLE, false],
  ] as const) {
    const phys = createPhys({ frames: 4096 });
    declareCma(phys, 'dma', 2048, 1024);
    const got: number[] = [];
    for (let pfn = allocPagesNowait(phys, gfp, 0); pfn > 0; pfn = allocPagesNowait(phys, gfp, 0)) got.push(pfn);
    expect(got.length).toBe(all ? 4094 : 4094 - 1024);
    expect(got.some((pfn) => pageblockType(phys, pfn) === MIGRATE_CMA)).toBe(all);
    expect(phys.zones[0]!.freeCma).toBe(all ? 0 : 1024);
    checkPhys(phys);
    for (const pfn of got) freePages(phys, pfn, 0);
    drainPages(phys);
    expect(phys.zones[0]!.freeCma).toBe(1024);
    checkPhys(phys);
  }
});

it('B.8, E.3 #14: a borrowed frame may be pinned, but not for long', () => {
  const phys = createPhys({ frames: 2048 });
  declareCma(phys, 'dma', 512, 1536);
  const pfn = allocPagesNowait(phys, GFP_HIGHUSER_MOVABLE, 0);
  expect(pageblockType(phys, pfn)).toBe(MIGRATE_CMA);
  expect(folioIsLongtermPinnable(phys, pfn)).toBe(false);
  expect(tryGrabFolioFast(phys, pfn, 1, FOLL_PIN | FOLL_LONGTERM)).toBe(false);
  expect(tryGrabFolioFast(phys, pfn, 1, FOLL_PIN)).toBe(true);
});

describe.each(BUILDS)('cmaAlloc, $name', (build) => {
  const { cmaAlloc } = build;
  /** 2048 frames, the second half an area; the first `pages` movable frames are in use. */
  function machine(pages: number, orderPerBit: number = 0): { made: World; phys: Phys; cma: Cma } {
    const made = new World(build, { frames: 2048 });
    const cma = declareCma(made.phys, 'dma', 1024, 1024, orderPerBit);
    for (let i = 0; i < pages; i++) made.map();
    return { made, phys: made.phys, cma };
  }

  it('takes frames from the first place; release gives them back to movable memory', () => {
    const { phys, cma } = machine(0);
    expect(cmaAlloc(phys, cma, 10)).toBe(1024);
    expect(cmaAlloc(phys, cma, 10)).toBe(1034);
    expect(bits(cma).length).toBe(20);
    expect([phys.zones[0]!.freeCma, phys.zones[0]!.cma]).toEqual([1004, 1024]);
    checkPhys(phys);
    expect(cmaRelease(phys, cma, 1026, 4)).toBe(true);
    checkPhys(phys);
    expect(cmaAlloc(phys, cma, 5)).toBe(1044);
    expect(cmaAlloc(phys, cma, 4)).toBe(1026);
    expect(cmaAlloc(phys, cma, 1024 - 25, 0, true)).toBe(1049);
    expect(cmaAlloc(phys, cma, 1)).toBe(-ENOMEM);
    expect(cmaRelease(phys, cma, 1024, 1024)).toBe(true);
    expect(cmaAlloc(phys, cma, 1024)).toBe(1024);
    expect(cmaAlloc(phys, cma, 1025)).toBe(-ENOMEM);
    checkPhys(phys);
  });

  it('aligns the frames, not the place in the area; a bit stands for 2^orderPerBit frames', () => {
    const made = new World(build, { frames: 4096 });
    const { phys } = made;
    const cma = declareCma(phys, 'dma', 1536, 1536, 3);
    expect(cmaAlloc(phys, cma, 9)).toBe(1536);
    expect(bits(cma)).toEqual([0, 1]);
    expect(cmaAlloc(phys, cma, 1)).toBe(1552);
    expect(cmaAlloc(phys, cma, 16, 6)).toBe(1600);
    expect(cmaAlloc(phys, cma, 512, 10)).toBe(2048);
    expect(cmaAlloc(phys, cma, 1, 12)).toBe(-ENOMEM);
    expect(cmaAlloc(phys, cma, 8, 1)).toBe(1560);
    expect(phys.freeFrames).toBe(4094 - 9 - 1 - 16 - 512 - 8);
    expect(cmaRelease(phys, cma, 1536, 9)).toBe(true);
    expect(bits(cma).includes(0) || bits(cma).includes(1)).toBe(false);
    checkPhys(phys);
  });

  it('borrowers are moved away', () => {
    const { made, phys, cma } = machine(1200);
    const borrowed = [...made.table].filter(([, pfn]) => pfn >= 1024).length;
    expect(borrowed).toBeGreaterThan(300);
    expect(cmaAlloc(phys, cma, 512)).toBe(1024);
    checkPhys(phys);
    made.verify();
    expect(made.table.size).toBe(1200);
    expect([...made.table.values()].every((pfn) => pfn < 1024 || pfn >= 1536)).toBe(true);
  });

  it('a pinned borrower: the next place', () => {
    const { made, phys, cma } = machine(0);
    while ([...made.table.values()].filter((pfn) => pfn >= 1024).length < 100) made.map();
    const pinned = [...made.table.values()].find((pfn) => pfn >= 1030)!;
    expect(tryGrabFolio(phys, pinned, 1, FOLL_PIN)).toBe(0);
    const got = cmaAlloc(phys, cma, 64, 6);
    expect(got).toBe(pinned - (pinned % 64) === 1024 ? 1088 : 1024);
    expect(bits(cma)).toEqual(Array.from({ length: 64 }, (_, i) => got - 1024 + i));
    expect(cmaAlloc(phys, cma, 1024)).toBe(-ENOMEM);
    checkPhys(phys);
    made.verify();
  });

  it('every place pinned: -ENOMEM, no bit is left', () => {
    const { made, phys, cma } = machine(0);
    while (made.map() > 0);
    for (const pfn of made.table.values()) tryGrabFolio(phys, pfn, 1, FOLL_PIN);
    expect(cmaAlloc(phys, cma, 256, 8)).toBe(-ENOMEM);
    expect(bits(cma)).toEqual([]);
    // Each place was tried five times at its first frame.
    expect(made.asked.length).toBe(20);
    checkPhys(phys);
  });

  it('no memory for the borrowers: -ENOMEM at once', () => {
    const { made, phys, cma } = machine(0);
    while (made.map() > 0);
    expect(cmaAlloc(phys, cma, 256, 8)).toBe(-ENOMEM);
    expect(made.asked.length).toBe(1);
    expect(bits(cma)).toEqual([]);
    checkPhys(phys);
    made.verify();
  });

  it('a port that throws: the area keeps its frames, and gives them afterwards', () => {
    const { made, phys, cma } = machine(1200);
    made.before = () => {
      throw new Error('the port broke');
    };
    const types = [...phys.pageblocks];
    expect(() => cmaAlloc(phys, cma, 256)).toThrow('the port broke');
    expect(bits(cma)).toEqual([]);
    expect([...phys.pageblocks]).toEqual(types);
    checkPhys(phys);
    made.before = () => {};
    expect(cmaAlloc(phys, cma, 256)).toBeGreaterThan(0);
    checkPhys(phys);
    made.verify();
  });

  it('two callers at once: the second, meeting the isolated pageblock, takes the next', () => {
    const { made, phys, cma } = machine(1200);
    const got: number[] = [];
    made.before = () => {
      made.before = () => {};
      got.push(cmaAlloc(phys, cma, 64));
    };
    got.push(cmaAlloc(phys, cma, 64));
    expect(got).toEqual([1536, 1024]);
    checkPhys(phys);
    made.verify();
  });

  it('refuses bad releases and arguments, and changes nothing', () => {
    const { phys, cma } = machine(0);
    expect(cmaAlloc(phys, cma, 8)).toBe(1024);
    const release =
      (pfn: number, count: number): (() => unknown) =>
      () =>
        cmaRelease(phys, cma, pfn, count);
    expectRefused(phys, '', () => expect(cmaRelease(phys, cma, 1020, 8)).toBe(false));
    expectRefused(phys, '', () => expect(cmaRelease(phys, cma, 2047, 2)).toBe(false));
    const set = bits(cma);
    expectRefused(phys, 'CMA_NOT_ALLOCATED', release(1030, 3));
    getPage(phys, 1027);
    expectRefused(phys, 'FREE_REFERENCED', release(1024, 8));
    expect(bits(cma)).toEqual(set);
    putPage(phys, 1027);
    expectRefused(phys, 'RangeError', release(-1, 1));
    expectRefused(phys, 'RangeError', release(1024, 0));
    expectRefused(phys, 'RangeError', () => cmaAlloc(phys, cma, 0));
    expectRefused(phys, 'RangeError', () => cmaAlloc(phys, cma, 1, 31));
    release(1024, 8)();
    checkPhys(phys);
  });
});
