/**
 * Fallback, claiming and fragmentation against examples worked out by hand (N.15). A pageblock has 512 frames; in a
 * machine of 4096 all begin as movable: on lists one block of each order 1 to 9 at 2, 4, 8, … 512, then whole blocks of
 * 1024 frames at 1024, 2048 and 3072, never used.
 */
import { ENOMEM } from '@mmkit/base';
import { describe, expect, it } from 'vitest';
import { linkFresh, updatePlenty } from '../src/free-area.ts';
import { moveFreepagesBlock } from '../src/fallback.ts';
import {
  allocPagesNowait,
  checkPhys,
  createPhys,
  drainPages,
  freePages,
  GFP_ATOMIC,
  GFP_HIGHUSER_MOVABLE,
  GFP_KERNEL,
  GFP_MOVABLE,
  GFP_RECLAIMABLE,
  HOT_FLAGS,
  MIGRATE_CMA,
  MIGRATE_HIGHATOMIC,
  MIGRATE_MOVABLE,
  MIGRATE_RECLAIMABLE,
  MIGRATE_UNMOVABLE,
  NR_PAGE_ORDERS,
  pageblockType,
  PG_LRU,
  ZONE_DMA32,
  ZONE_NORMAL,
} from '../src/index.ts';
import type { Phys, Zone } from '../src/index.ts';

const U = 0;
const M = GFP_MOVABLE;
const R = GFP_RECLAIMABLE;

const fresh = (): Phys => createPhys({ frames: 4096 });
const alloc = (phys: Phys, gfp: number, order: number): number => {
  const pfn = allocPagesNowait(phys, gfp, order);
  checkPhys(phys);
  return pfn;
};
/** First and last block of a list. */
const ends = (phys: Phys, type: number, order: number): number[] => {
  const list = type * NR_PAGE_ORDERS + order;
  return [phys.zones[0]!.heads[list]!, phys.zones[0]!.tails[list]!];
};
const type = (phys: Phys, pfn: number): number => pageblockType(phys, pfn);

describe('fallback', () => {
  it('N.15: a type without blocks claims the largest block of another: both pageblocks of it', () => {
    const phys = fresh();
    expect(alloc(phys, U, 4)).toBe(1024);
    expect([1024, 1536].map((pfn) => type(phys, pfn))).toEqual([MIGRATE_UNMOVABLE, MIGRATE_UNMOVABLE]);
    expect([0, 512, 2048].map((pfn) => type(phys, pfn))).toEqual([MIGRATE_MOVABLE, MIGRATE_MOVABLE, MIGRATE_MOVABLE]);
    // The upper halves of 1024 are unmovable now: 1040 of order 4, 1056 of order 5, …, 1536 of order 9.
    for (let order = 4; order < 10; order++) {
      expect(ends(phys, MIGRATE_UNMOVABLE, order)).toEqual([1024 + 2 ** order, 1024 + 2 ** order]);
      expect(ends(phys, MIGRATE_MOVABLE, order)).toEqual([2 ** order, 2 ** order]);
    }
    expect(alloc(phys, U, 4)).toBe(1040);
    expect(alloc(phys, U, 4)).toBe(1056);
    expect(alloc(phys, M, 4)).toBe(16);
    expect(alloc(phys, M, 4)).toBe(32);
  });

  it('N.15: of two types that have a block of the order, the first of the table gives it', () => {
    /** Blocks of the largest order of all types: 1024 unmovable, 2048 reclaimable, 3072 movable. */
    const three = (): Phys => {
      const phys = fresh();
      const [a, b] = [alloc(phys, U, 10), alloc(phys, R, 10)];
      expect([a, b]).toEqual([1024, 2048]);
      freePages(phys, a, 10);
      freePages(phys, b, 10);
      return phys;
    };
    const without = (own: number, gfp: number): number => {
      const phys = three();
      expect(alloc(phys, gfp, 10)).toBe(own);
      return alloc(phys, gfp, 10);
    };
    expect(without(1024, U)).toBe(2048);
    expect(without(3072, M)).toBe(2048);
    expect(without(2048, R)).toBe(1024);
    const twice = three();
    const second = [alloc(twice, R, 10), alloc(twice, U, 10), alloc(twice, U, 10)];
    expect(second).toEqual([2048, 1024, 3072]);
    expect(alloc(twice, M, 10)).toBe(-ENOMEM);
  });

  /** Frames 2 to 31 free, in blocks of orders 1 to 4; all others of the two pageblocks in use, for movable memory. */
  function almostFull(): { phys: Phys; used: number[] } {
    const phys = createPhys({ frames: 1024 });
    const used = Array.from({ length: 31 }, () => alloc(phys, M, 5));
    expect(phys.freeFrames).toBe(30);
    return { phys, used };
  }

  it('N.15: a block of half a pageblock’s order is claimed with its pageblock when half of that is free or alike', () => {
    // What is in use in a movable pageblock, but not on the LRU, is alike for the others.
    const { phys } = almostFull();
    expect(alloc(phys, U, 4)).toBe(16);
    expect([0, 512].map((pfn) => type(phys, pfn))).toEqual([MIGRATE_UNMOVABLE, MIGRATE_MOVABLE]);
    expect(alloc(phys, U, 0)).toBe(2);
  });

  it('N.15: frames on the LRU are unlike: then a single block is stolen and the pageblock keeps its type', () => {
    const { phys, used } = almostFull();
    for (const pfn of used) phys.hot[pfn * 4 + HOT_FLAGS]! |= PG_LRU;
    expect(allocPagesNowait(phys, U, 0)).toBe(2);
    expect(allocPagesNowait(phys, U, 4)).toBe(16);
    expect(type(phys, 0)).toBe(MIGRATE_MOVABLE);
    expect(phys.zones[0]!.orders[MIGRATE_MOVABLE]).toBe(0b1101);
    for (const pfn of used) phys.hot[pfn * 4 + HOT_FLAGS]! &= ~PG_LRU;
    checkPhys(phys);
  });

  /** A pageblock of a type of which every other block of 8 frames is free, and nothing else is. */
  function halfFree(gfp: number): Phys {
    const phys = createPhys({ frames: 1024 });
    const blocks: number[] = [];
    for (let pfn = allocPagesNowait(phys, gfp, 3); pfn > 0; pfn = allocPagesNowait(phys, gfp, 3)) blocks.push(pfn);
    while (allocPagesNowait(phys, gfp, 0) > 0);
    for (const pfn of blocks) if (pfn >= 512 && pfn % 16 === 8) freePages(phys, pfn, 3);
    drainPages(phys);
    checkPhys(phys);
    expect(phys.freeFrames).toBe(256);
    return phys;
  }

  it('N.15: movable frames do not claim for a block below half a pageblock’s order, others do', () => {
    const unmovable = halfFree(U);
    expect(type(unmovable, 512)).toBe(MIGRATE_UNMOVABLE);
    const stolen = alloc(unmovable, M, 0);
    expect(stolen).toBeGreaterThanOrEqual(512);
    expect(type(unmovable, 512)).toBe(MIGRATE_UNMOVABLE);
    const movable = halfFree(M);
    expect(type(movable, alloc(movable, R, 0))).toBe(MIGRATE_RECLAIMABLE);
    expect(type(movable, 0)).toBe(MIGRATE_MOVABLE);
  });

  it('N.15: movable frames claim no block below order 4, but steal the smallest', () => {
    const phys = createPhys({ frames: 1024 });
    while (allocPagesNowait(phys, U, 4) > 0);
    // What is left of the first pageblock is 2 to 15.
    expect(type(phys, 0)).toBe(MIGRATE_UNMOVABLE);
    expect(phys.zones[0]!.orders[MIGRATE_UNMOVABLE]).toBe(0b1110);
    expect(alloc(phys, M, 0)).toBe(2);
    expect(type(phys, 0)).toBe(MIGRATE_UNMOVABLE);
    expect(alloc(phys, M, 2)).toBe(4);
    expect(alloc(phys, M, 0)).toBe(3);
    expect(alloc(phys, M, 0)).toBe(8);
    expect(ends(phys, MIGRATE_UNMOVABLE, 1)).toEqual([10, 10]);
  });

  it('N.15: movable frames claim a pageblock that is half free; its free blocks go to the ends of their new lists', () => {
    const phys = createPhys({ frames: 1536 });
    const blocks = [8, 8, 8, 8].map(() => alloc(phys, U, 8));
    expect(blocks).toEqual([512, 768, 1024, 1280]);
    freePages(phys, 512, 8);
    freePages(phys, 1280, 8);
    // Order 8 first: 1280 was freed last and is the first of the unmovable ones; half of its pageblock is free.
    while (allocPagesNowait(phys, M, 4) < 512);
    expect(type(phys, 1280)).toBe(MIGRATE_MOVABLE);
    expect(type(phys, 512)).toBe(MIGRATE_UNMOVABLE);
    checkPhys(phys);
  });

  it('N.15: buddies of a pageblock’s order merge whatever mixing types they have, and take that of the one freed', () => {
    const phys = createPhys({ frames: 2048 });
    const unmovable = alloc(phys, U, 10);
    freePages(phys, unmovable, 10);
    const low = alloc(phys, U, 8);
    const high = alloc(phys, M, 8);
    expect([low, high]).toEqual([1024, 256]);
    expect(type(phys, 1536)).toBe(MIGRATE_UNMOVABLE);
    // The upper pageblock becomes movable: all of it is free when it is claimed.
    const whole = [alloc(phys, M, 8), alloc(phys, M, 8), alloc(phys, M, 8)];
    expect(whole).toEqual([512, 768, 1536]);
    expect(type(phys, 1536)).toBe(MIGRATE_MOVABLE);
    freePages(phys, 1536, 8);
    expect(ends(phys, MIGRATE_MOVABLE, 9)).toEqual([1536, 1536]);
    freePages(phys, low, 8);
    expect(ends(phys, MIGRATE_UNMOVABLE, 10)).toEqual([1024, 1024]);
    expect(type(phys, 1536)).toBe(MIGRATE_UNMOVABLE);
    checkPhys(phys);
  });

  it('N.15: freed blocks go to the front of their list, to the end where they may merge soon', () => {
    const phys = fresh();
    const blocks = Array.from({ length: 5 }, () => alloc(phys, M, 4));
    expect(blocks).toEqual([16, 32, 48, 64, 80]);
    freePages(phys, 32, 4);
    expect(ends(phys, MIGRATE_MOVABLE, 4)).toEqual([32, 32]);
    // 64 and 80 would make a block whose buddy, 96, is free: 64 is kept back.
    freePages(phys, 64, 4);
    expect(ends(phys, MIGRATE_MOVABLE, 4)).toEqual([32, 64]);
    freePages(phys, 16, 4);
    expect(ends(phys, MIGRATE_MOVABLE, 4)).toEqual([16, 64]);
    expect([alloc(phys, M, 4), alloc(phys, M, 4), alloc(phys, M, 4)]).toEqual([16, 32, 64]);
  });

  it('N.15: never-used blocks come after those that were used, lowest first', () => {
    const phys = fresh();
    expect([alloc(phys, M, 10), alloc(phys, M, 10)]).toEqual([1024, 2048]);
    freePages(phys, 1024, 10);
    expect([alloc(phys, M, 10), alloc(phys, M, 10), alloc(phys, M, 10)]).toEqual([1024, 3072, -ENOMEM]);
  });
});

/** A zone that passes no watermark. */
function shut(zone: Zone): void {
  zone.min = zone.end;
  zone.low = zone.end;
  updatePlenty(zone);
}

describe('zones and nodes before mixing', () => {
  const zones = [
    { kind: ZONE_DMA32, start: 0, end: 2048 },
    { kind: ZONE_NORMAL, start: 2048, end: 4096 },
  ];

  it('N.15: ALLOC_NOFRAGMENT: a whole pageblock of DMA32 rather than a mixed one of NORMAL', () => {
    const phys = createPhys({ frames: 4096, zones });
    // In NORMAL no pageblock is whole any more.
    for (let i = 0; i < 3; i++) expect(allocPagesNowait(phys, GFP_HIGHUSER_MOVABLE, 9)).toBeGreaterThanOrEqual(2048);
    expect(allocPagesNowait(phys, GFP_HIGHUSER_MOVABLE, 4)).toBeGreaterThanOrEqual(2048);
    expect(alloc(phys, 0, 4)).toBe(1024);
    // Where there is none in DMA32 either, NORMAL is mixed.
    const both = createPhys({ frames: 4096, zones });
    for (let i = 0; i < 3; i++) allocPagesNowait(both, GFP_HIGHUSER_MOVABLE, 9);
    allocPagesNowait(both, GFP_HIGHUSER_MOVABLE, 4);
    shut(both.zones[0]!);
    expect(alloc(both, 0, 4)).toBeGreaterThanOrEqual(2048);
  });

  it('near memory comes before unmixed pageblocks', () => {
    const remote = [...zones, { kind: ZONE_NORMAL, start: 4096, end: 6144, node: 1 }];
    const phys = createPhys({ frames: 6144, zones: remote });
    for (let i = 0; i < 3; i++) allocPagesNowait(phys, GFP_HIGHUSER_MOVABLE, 9);
    allocPagesNowait(phys, GFP_HIGHUSER_MOVABLE, 4);
    shut(phys.zones[0]!);
    const pfn = alloc(phys, 0, 4);
    expect(pfn).toBeGreaterThanOrEqual(2048);
    expect(pfn).toBeLessThan(4096);
  });
});

describe('CMA', () => {
  /** Frames 2 to 511 movable, 512 to 1023 of a CMA area. */
  function area(): Phys {
    const phys = createPhys({ frames: 1024 });
    const [zone] = phys.zones;
    linkFresh(phys, zone!, 512, 1024);
    moveFreepagesBlock(phys, zone!, 512, MIGRATE_CMA);
    zone!.cma = 512;
    checkPhys(phys);
    expect(zone!.freeCma).toBe(512);
    return phys;
  }

  it('N.15: movable frames come from CMA while more than half of what is free is there', () => {
    // 1022 free, 512 of them CMA; 1021, 511; 1020, 510: half; 1019, 510; …
    const phys = area();
    expect([0, 0, 0, 0, 0].map(() => alloc(phys, M, 0))).toEqual([512, 513, 2, 514, 3]);
  });

  it('N.15: movable frames take what is left of CMA before they claim; others never get it', () => {
    const phys = area();
    let other = 0;
    while (alloc(phys, U, 5) > 0) other++;
    expect(other).toBe(15);
    while (alloc(phys, U, 0) > 0);
    expect(phys.freeFrames).toBe(512);
    expect(alloc(phys, M, 5)).toBe(512);
    while (alloc(phys, M, 0) > 0);
    expect(phys.freeFrames).toBe(0);
    expect(type(phys, 512)).toBe(MIGRATE_CMA);
  });

  it('N.15: blocks of CMA do not merge with others', () => {
    const phys = createPhys({ frames: 2048 });
    const [zone] = phys.zones;
    while (alloc(phys, M, 8) < 1024);
    moveFreepagesBlock(phys, zone!, 1536, MIGRATE_CMA);
    zone!.cma = 512;
    checkPhys(phys);
    freePages(phys, 1024, 8);
    expect(ends(phys, MIGRATE_MOVABLE, 9)).toEqual([1024, 1024]);
    expect(ends(phys, MIGRATE_CMA, 9)).toEqual([1536, 1536]);
    checkPhys(phys);
  });
});

describe('the HIGHATOMIC reserve', () => {
  /** So full that callers who may not wait go below the low watermark. 1 % of the zone is one pageblock and a bit. */
  function full(frames: number): Phys {
    const phys = createPhys({ frames, minFreeKbytes: 40_000 });
    const [zone] = phys.zones;
    while (zone!.free - 1024 > zone!.low) expect(allocPagesNowait(phys, GFP_KERNEL, 10)).toBeGreaterThan(0);
    while (zone!.free - 32 > zone!.low) expect(allocPagesNowait(phys, GFP_KERNEL, 5)).toBeGreaterThan(0);
    checkPhys(phys);
    return phys;
  }
  const reserved = (phys: Phys): number => phys.zones[0]!.reservedHighatomic;

  it('N.15: the pageblock of a block of order > 0 given to a caller that may not wait is kept for such callers', () => {
    const phys = full(53_000);
    const [zone] = phys.zones;
    expect(alloc(phys, GFP_ATOMIC, 0)).toBeGreaterThan(0);
    expect(reserved(phys)).toBe(0);
    const pfn = alloc(phys, GFP_ATOMIC, 5);
    expect(type(phys, pfn)).toBe(MIGRATE_HIGHATOMIC);
    expect(reserved(phys)).toBe(512);
    expect(zone!.freeHighatomic).toBeGreaterThan(0);
    const before = zone!.freeHighatomic;
    expect(type(phys, alloc(phys, GFP_ATOMIC, 5))).toBe(MIGRATE_HIGHATOMIC);
    expect(zone!.freeHighatomic).toBe(before - 32);
    const ordinary = alloc(phys, GFP_KERNEL, 5);
    expect(type(phys, ordinary)).not.toBe(MIGRATE_HIGHATOMIC);
  });

  it('N.15: at most a hundredth of the zone, in whole pageblocks; a small zone has no reserve', () => {
    const two = full(53_000);
    for (let i = 0; i < 20; i++) expect(alloc(two, GFP_ATOMIC, 8)).toBeGreaterThan(0);
    expect(reserved(two)).toBe(1024);
    const small = full(51_000);
    for (let i = 0; i < 10; i++) alloc(small, GFP_ATOMIC, 5);
    expect(reserved(small)).toBe(0);
  });

  it('a block of two pageblocks reserves both, and both come back', () => {
    const phys = createPhys({ frames: 53_000, minFreeKbytes: 40_000 });
    const [zone] = phys.zones;
    while (zone!.free - 1024 > zone!.low) allocPagesNowait(phys, GFP_MOVABLE, 10);
    const pfn = alloc(phys, GFP_ATOMIC, 10);
    expect([type(phys, pfn), type(phys, pfn + 512)]).toEqual([MIGRATE_HIGHATOMIC, MIGRATE_HIGHATOMIC]);
    expect(reserved(phys)).toBe(1024);
    freePages(phys, pfn, 10);
    expect(zone!.freeHighatomic).toBe(1024);
    checkPhys(phys);
    while (alloc(phys, GFP_KERNEL, 10) > 0);
    expect(reserved(phys)).toBe(0);
    expect([type(phys, pfn), type(phys, pfn + 512)]).toEqual([MIGRATE_UNMOVABLE, MIGRATE_UNMOVABLE]);
  });

  it('before it fails, an allocation takes a pageblock of the reserve', () => {
    const phys = full(53_000);
    alloc(phys, GFP_ATOMIC, 5);
    expect(reserved(phys)).toBe(512);
    while (allocPagesNowait(phys, GFP_KERNEL, 0) > 0);
    expect(reserved(phys)).toBe(0);
    expect(phys.zones[0]!.freeHighatomic).toBe(0);
    expect(phys.freeFrames).toBe(phys.zones[0]!.min + phys.zones[0]!.boost);
    checkPhys(phys);
  });
});

describe('types of pageblocks', () => {
  it('N.15: both type bits of the flags together mean unmovable', () => {
    const phys = fresh();
    expect(type(phys, alloc(phys, GFP_MOVABLE | GFP_RECLAIMABLE, 4))).toBe(MIGRATE_UNMOVABLE);
    expect(type(phys, alloc(phys, GFP_RECLAIMABLE, 4))).toBe(MIGRATE_RECLAIMABLE);
  });
});
