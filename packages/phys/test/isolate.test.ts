/**
 * Isolating pageblocks (N.12, N.15). A machine of 4096 frames has eight pageblocks of 512: free are blocks of 1024 at
 * 1024, 2048 and 3072, never used, and one of each order 1 to 9 at 2, 4, 8, … 512.
 */
import { EBUSY, EINVAL } from '@mmkit/base';
import { describe, expect, it } from 'vitest';
import { linkFresh } from '../src/free-area.ts';
import { reserveHighatomic } from '../src/fallback.ts';
import {
  allocPagesNowait,
  buddyInfo,
  checkPhys,
  createPhys,
  declareCma,
  drainPages,
  folioAddLru,
  freePages,
  GFP_COMP,
  GFP_HIGHUSER_MOVABLE,
  GFP_KERNEL,
  GFP_MOVABLE,
  HOT_OWNER,
  linuxZones,
  lruAddDrain,
  MIGRATE_CMA,
  MIGRATE_HIGHATOMIC,
  MIGRATE_ISOLATE,
  MIGRATE_MOVABLE,
  MIGRATE_UNMOVABLE,
  NR_PAGE_ORDERS,
  pageblockType,
  PB_ISOLATE_MODE_CMA_ALLOC,
  PB_ISOLATE_MODE_MEM_OFFLINE,
  PB_ISOLATE_MODE_OTHER,
  PG_TABLE,
  putPage,
  setFlag,
  setHwpoison,
  startIsolatePageRange,
  testPagesIsolated,
  undoIsolatePageRange,
  ZONE_MOVABLE,
} from '../src/index.ts';
import type { Phys } from '../src/index.ts';
import { expectRefused, expectSame, snapshot } from './support.ts';

const OTHER = PB_ISOLATE_MODE_OTHER;
const machine = (): Phys => createPhys({ frames: 4096 });
const types = (phys: Phys): number[] => Array.from({ length: 8 }, (_, i) => pageblockType(phys, i * 512));
const isolate = (phys: Phys, start: number, end: number, mode: number = OTHER): Uint8Array => {
  const saved = new Uint8Array(8);
  expect(startIsolatePageRange(phys, start, end, mode, saved)).toBe(0);
  checkPhys(phys);
  return saved;
};
const refused = (phys: Phys, error: number, start: number, end: number, mode: number = OTHER): void =>
  expectRefused(phys, '', () => expect(startIsolatePageRange(phys, start, end, mode, new Uint8Array(8))).toBe(error));
const M = MIGRATE_MOVABLE;
const I = MIGRATE_ISOLATE;

describe('startIsolatePageRange', () => {
  it('N.12: isolates every pageblock the range touches; their free frames are free no longer', () => {
    const phys = machine();
    const zone = phys.zones[0]!;
    const free = zone.free;
    const saved = isolate(phys, 2047, 2049);
    expect(types(phys)).toEqual([M, M, M, I, I, M, M, M]);
    expect([...saved].slice(0, 2)).toEqual([M, M]);
    expect([zone.free, zone.freeIsolated]).toEqual([free - 1024, 1024]);
    expect(phys.freeFrames).toBe(free);
    undoIsolatePageRange(phys, 2047, 2049, saved);
    checkPhys(phys);
    expect(types(phys)).toEqual(new Array(8).fill(M));
    expect([zone.free, zone.freeIsolated]).toEqual([free, 0]);
    expect(buddyInfo(phys)).toEqual(buddyInfo(machine()));
  });

  it('a free block of 1024 that goes beyond the range is split at the border of the pageblocks, and whole again after', () => {
    const phys = machine();
    const saved = isolate(phys, 1024, 1536);
    expect(types(phys)).toEqual([M, M, I, M, M, M, M, M]);
    const list = (type: number, order: number): number => phys.zones[0]!.heads[type * NR_PAGE_ORDERS + order]!;
    expect([list(I, 9), list(I, 10)]).toEqual([1024, 0]);
    // The other half, and pageblock 512, are ordinary blocks.
    expect(buddyInfo(phys)[9]).toBe(3);
    undoIsolatePageRange(phys, 1024, 1536, saved);
    expect(buddyInfo(phys)).toEqual(buddyInfo(machine()));
    checkPhys(phys);
  });

  it('nobody gets a frame of it: allocations take all others, and then fail', () => {
    const phys = machine();
    isolate(phys, 1024, 3072);
    const got = new Set<number>();
    for (const gfp of [GFP_HIGHUSER_MOVABLE, GFP_KERNEL]) {
      for (let pfn = allocPagesNowait(phys, gfp, 0); pfn > 0; pfn = allocPagesNowait(phys, gfp, 0)) got.add(pfn);
    }
    expect(got.size).toBe(4094 - 2048);
    expect([...got].every((pfn) => pfn < 1024 || pfn >= 3072)).toBe(true);
    checkPhys(phys);
  });

  it.each([0, 3, 9, 10])('what is freed in it goes past the per-CPU lists to the ISOLATE lists: order %i', (order) => {
    for (const gfp of [GFP_HIGHUSER_MOVABLE, GFP_HIGHUSER_MOVABLE | GFP_COMP]) {
      const phys = machine();
      // In order: all smaller blocks are used up first.
      let pfn = 0;
      while (pfn < 1024) pfn = allocPagesNowait(phys, gfp, order);
      phys.hot[pfn * 4 + HOT_OWNER] = 5;
      drainPages(phys);
      const saved = isolate(phys, pfn, pfn + 1);
      const { free, freeIsolated } = phys.zones[0]!;
      // Of a block of two pageblocks only one is isolated.
      const inside = Math.min(1 << order, 512);
      expect(testPagesIsolated(phys, pfn, pfn + 1, OTHER)).toBe(-EBUSY);
      freePages(phys, pfn, order);
      checkPhys(phys);
      expect(phys.zones[0]!.pcps[0]!.count).toBe(0);
      expect([phys.zones[0]!.free, phys.zones[0]!.freeIsolated]).toEqual([
        free + (1 << order) - inside,
        freeIsolated + inside,
      ]);
      expect(testPagesIsolated(phys, pfn, pfn + inside, OTHER)).toBe(0);
      undoIsolatePageRange(phys, pfn, pfn + 1, saved);
      checkPhys(phys);
    }
  });

  it('what per-CPU lists hold goes there when they are drained', () => {
    const phys = machine();
    const pfn = allocPagesNowait(phys, GFP_HIGHUSER_MOVABLE, 0);
    freePages(phys, pfn, 0);
    expect(phys.zones[0]!.pcps[0]!.count).toBeGreaterThan(0);
    const saved = isolate(phys, 2, 512);
    expect(testPagesIsolated(phys, pfn, pfn + 1, OTHER)).toBe(-EBUSY);
    drainPages(phys);
    expect(testPagesIsolated(phys, pfn, pfn + 1, OTHER)).toBe(0);
    undoIsolatePageRange(phys, 2, 512, saved);
    checkPhys(phys);
  });

  it('gives each pageblock the type it had, and counts HIGHATOMIC and CMA ones as they are', () => {
    const phys = createPhys({ frames: 0x20000 });
    const zone = phys.zones[0]!;
    const pfn = allocPagesNowait(phys, GFP_KERNEL, 3);
    reserveHighatomic(phys, zone, pfn);
    declareCma(phys, 'area', 0x10000, 1024);
    const high = pfn - (pfn % 512);
    expect(pageblockType(phys, high)).toBe(MIGRATE_HIGHATOMIC);
    freePages(phys, pfn, 3);
    checkPhys(phys);
    const before = [zone.free, zone.freeHighatomic, zone.freeCma, zone.reservedHighatomic, zone.cma];
    expect(zone.reservedHighatomic).toBe(512);
    const first = isolate(phys, high, high + 1024);
    const second = isolate(phys, 0x10000 - 512, 0x10000 + 1536, PB_ISOLATE_MODE_CMA_ALLOC);
    expect([...second].slice(0, 4)).toEqual([M, MIGRATE_CMA, MIGRATE_CMA, M]);
    expect([zone.reservedHighatomic, zone.cma, zone.freeHighatomic, zone.freeCma]).toEqual([0, 0, 0, 0]);
    undoIsolatePageRange(phys, high, high + 1024, first);
    undoIsolatePageRange(phys, 0x10000 - 512, 0x10000 + 1536, second);
    checkPhys(phys);
    expect([zone.free, zone.freeHighatomic, zone.freeCma, zone.reservedHighatomic, zone.cma]).toEqual(before);
    expect(pageblockType(phys, high)).toBe(MIGRATE_HIGHATOMIC);
  });

  it('two isolations of neighbours can be undone in any order', () => {
    for (const turn of [0, 1]) {
      const phys = machine();
      const a = isolate(phys, 1024, 1536);
      const b = isolate(phys, 1536, 2048);
      // One free block now.
      expect(phys.zones[0]!.heads[I * NR_PAGE_ORDERS + 10]).toBe(1024);
      if (turn === 0) undoIsolatePageRange(phys, 1024, 1536, a);
      else undoIsolatePageRange(phys, 1536, 2048, b);
      checkPhys(phys);
      expect(phys.zones[0]!.freeIsolated).toBe(512);
      if (turn === 1) undoIsolatePageRange(phys, 1024, 1536, a);
      else undoIsolatePageRange(phys, 1536, 2048, b);
      checkPhys(phys);
      expect(buddyInfo(phys)).toEqual(buddyInfo(machine()));
    }
  });

  it('the last pageblock of a machine may be cut short; larger pages have pageblocks of 1024', () => {
    const short = createPhys({ frames: 700 });
    const saved = isolate(short, 600, 700);
    expect(short.zones[0]!.freeIsolated).toBe(188);
    undoIsolatePageRange(short, 600, 700, saved);
    checkPhys(short);
    const large = createPhys({ frames: 4096, pageSize: 65536 });
    const kept = isolate(large, 1024, 1025);
    expect(large.zones[0]!.freeIsolated).toBe(1024);
    undoIsolatePageRange(large, 1024, 1025, kept);
    checkPhys(large);
    expect(buddyInfo(large)).toEqual(buddyInfo(createPhys({ frames: 4096, pageSize: 65536 })));
  });
});

describe('startIsolatePageRange refuses, and changes nothing', () => {
  it('-EBUSY: a pageblock that is isolated already', () => {
    const phys = machine();
    isolate(phys, 2048, 2560);
    refused(phys, -EBUSY, 1024, 2049);
    refused(phys, -EBUSY, 2559, 2561);
  });

  it('-EBUSY: a CMA pageblock, but for its owner', () => {
    const phys = machine();
    declareCma(phys, 'area', 1024, 512);
    refused(phys, -EBUSY, 1000, 1025);
    refused(phys, -EBUSY, 1024, 1536, PB_ISOLATE_MODE_MEM_OFFLINE);
    isolate(phys, 1024, 1536, PB_ISOLATE_MODE_CMA_ALLOC);
  });

  it('all that is in use in a CMA pageblock is taken for movable: nothing else may be there', () => {
    const phys = createPhys({ frames: 2048 });
    declareCma(phys, 'area', 1024, 1024);
    const pfn = allocPagesNowait(phys, GFP_MOVABLE, 0);
    expect(pageblockType(phys, pfn)).toBe(MIGRATE_CMA);
    isolate(phys, pfn, pfn + 1, PB_ISOLATE_MODE_CMA_ALLOC);
  });

  it('-EBUSY: reserved frames, holes, page tables, blocks without owner; the rest of their pageblocks does not matter', () => {
    const phys = createPhys({ frames: 4096, holes: [[100, 110]] });
    refused(phys, -EBUSY, 0, 2);
    refused(phys, -EBUSY, 1, 64);
    refused(phys, -EBUSY, 64, 101);
    refused(phys, -EBUSY, 109, 128);
    const pfn = allocPagesNowait(phys, GFP_KERNEL, 2);
    expect(pfn).toBe(1024);
    refused(phys, -EBUSY, 1027, 2048);
    undoIsolatePageRange(phys, 1028, 2048, isolate(phys, 1028, 2048));
    undoIsolatePageRange(phys, 110, 128, isolate(phys, 110, 128));
    // It has an owner now, or is on the LRU: it can move.
    phys.hot[pfn * 4 + HOT_OWNER] = 6;
    undoIsolatePageRange(phys, 1027, 2048, isolate(phys, 1027, 2048));
    phys.hot[pfn * 4 + HOT_OWNER] = 0;
    folioAddLru(phys, pfn);
    lruAddDrain(phys);
    undoIsolatePageRange(phys, 1027, 2048, isolate(phys, 1027, 2048));
    setFlag(phys, pfn, PG_TABLE);
    refused(phys, -EBUSY, 1027, 2048);
    checkPhys(phys);
  });

  it('-EBUSY: poisoned frames, which going offline does not mind', () => {
    const phys = machine();
    setHwpoison(phys, 1100);
    refused(phys, -EBUSY, 1024, 1536);
    undoIsolatePageRange(phys, 1024, 1100, isolate(phys, 1024, 1100));
    isolate(phys, 1024, 1536, PB_ISOLATE_MODE_MEM_OFFLINE);
    expect(testPagesIsolated(phys, 1024, 1536, PB_ISOLATE_MODE_MEM_OFFLINE)).toBe(0);
    expect(testPagesIsolated(phys, 1024, 1536, OTHER)).toBe(-EBUSY);
  });

  it('ZONE_MOVABLE: what is in use there is taken for movable', () => {
    const phys = createPhys({ frames: 8192, zones: linuxZones(8192, 4096, 4096) });
    const pfn = allocPagesNowait(phys, GFP_HIGHUSER_MOVABLE, 0);
    expect(phys.zones.find((zone) => zone.kind === ZONE_MOVABLE)!.start).toBeLessThanOrEqual(pfn);
    isolate(phys, pfn, pfn + 1);
  });

  it('-EINVAL: not in one zone', () => {
    const phys = createPhys({ frames: 8192, zones: linuxZones(8192, 4096, 4096) });
    refused(phys, -EINVAL, 4000, 4200);
    const gap = createPhys({
      frames: 8192,
      zones: [
        { kind: 2, start: 0, end: 2048 },
        { kind: 3, start: 4096, end: 8192 },
      ],
    });
    refused(gap, -EINVAL, 2048, 2049);
    expect(testPagesIsolated(gap, 2048, 2049, OTHER)).toBe(-EBUSY);
  });

  it('RangeError: no range of the machine, too few types', () => {
    const phys = machine();
    const start =
      (from: number, to: number, saved: Uint8Array): (() => unknown) =>
      () =>
        startIsolatePageRange(phys, from, to, OTHER, saved);
    expectRefused(phys, 'RangeError', start(-1, 2, new Uint8Array(8)));
    expectRefused(phys, 'RangeError', start(5, 5, new Uint8Array(8)));
    expectRefused(phys, 'RangeError', start(5, 4097, new Uint8Array(8)));
    expectRefused(phys, 'RangeError', start(1023, 1025, new Uint8Array(1)));
    expectRefused(phys, 'RangeError', start(1023, 1025, [1, 1] as unknown as Uint8Array));
    expectRefused(phys, 'RangeError', () => undoIsolatePageRange(phys, 1023, 1025, new Uint8Array(1)));
    expectRefused(phys, 'RangeError', () => testPagesIsolated(phys, 3, 3, OTHER));
  });

  it('undo: NOT_ISOLATED where one of the pageblocks is not', () => {
    const phys = machine();
    const saved = isolate(phys, 1024, 1536);
    expectRefused(phys, 'NOT_ISOLATED', () => undoIsolatePageRange(phys, 1024, 1537, saved));
    expect(testPagesIsolated(phys, 1024, 1537, OTHER)).toBe(-EBUSY);
  });
});

it('a block of two pageblocks that were given different types meanwhile is freed to both', () => {
  const phys = machine();
  const pfn = allocPagesNowait(phys, GFP_MOVABLE | GFP_COMP, 10);
  phys.hot[pfn * 4 + HOT_OWNER] = 5;
  const saved = isolate(phys, pfn + 512, pfn + 1024);
  putPage(phys, pfn);
  checkPhys(phys);
  expect(phys.zones[0]!.freeIsolated).toBe(512);
  undoIsolatePageRange(phys, pfn + 512, pfn + 1024, saved);
  checkPhys(phys);
  expect(buddyInfo(phys)).toEqual(buddyInfo(machine()));
});

it('isolated and undone with nothing else in between: exactly as it was, where lists have one block', () => {
  const phys = createPhys({ frames: 1024 });
  allocPagesNowait(phys, GFP_KERNEL, 9);
  const before = snapshot(phys);
  const saved = isolate(phys, 2, 512);
  expect(pageblockType(phys, 512)).toBe(MIGRATE_UNMOVABLE);
  undoIsolatePageRange(phys, 2, 512, saved);
  expectSame(phys, before);
  linkFresh(phys, phys.zones[0]!, 0, 1024);
  expectSame(phys, before);
});
