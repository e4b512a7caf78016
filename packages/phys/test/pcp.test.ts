import { ENOMEM } from '@mmkit/base';
import { describe, expect, it } from 'vitest';
import {
  allocPagesNowait,
  buddyInfo,
  checkPhys,
  createPhys,
  drainPages,
  freePages,
  GFP_MOVABLE,
  GFP_RECLAIMABLE,
  HOT_FLAGS,
  MIGRATE_ISOLATE,
  ORDER_SHIFT,
  PG_PCP,
  ZONE_NORMAL,
} from '../src/index.ts';
import type { Pcp, Phys } from '../src/index.ts';
import { moveFreepagesBlock } from '../src/fallback.ts';
import { linkFresh } from '../src/free-area.ts';

/** 64 MiB: a batch is 3 frames. */
const FRAMES = 16_384;

function machine(cpus: number = 1, minFreeKbytes: number = 0): { phys: Phys; pcp: Pcp } {
  const phys = createPhys({ frames: FRAMES, cpus, minFreeKbytes });
  const pcp = phys.zones[0]!.pcps[0]!;
  expect(pcp.batch).toBe(3);
  return { phys, pcp };
}

const alloc = (phys: Phys, gfp: number, order: number): number => {
  const pfn = allocPagesNowait(phys, gfp, order);
  checkPhys(phys);
  return pfn;
};

/** Blocks on each list of a CPU: orders 0 to 3 of three types, huge pages movable and not. */
const tops = (pcp: Pcp): number[] => pcp.lists.map((list) => list.top);

describe('per-CPU lists', () => {
  it('N.15: index = 3 × order + type; an empty list takes a batch, and the first of it is given out first', () => {
    const { phys, pcp } = machine();
    expect([alloc(phys, GFP_MOVABLE, 0), alloc(phys, GFP_MOVABLE, 0), alloc(phys, GFP_MOVABLE, 0)]).toEqual([2, 3, 4]);
    expect(tops(pcp)).toEqual(new Array(14).fill(0));
    expect(alloc(phys, GFP_MOVABLE, 0)).toBe(5);
    expect(tops(pcp)[1]).toBe(2);
    alloc(phys, 0, 0);
    alloc(phys, GFP_RECLAIMABLE, 0);
    expect(tops(pcp)).toEqual([2, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    // Larger blocks: a batch of frames, but at least two blocks.
    alloc(phys, GFP_MOVABLE, 1);
    alloc(phys, GFP_MOVABLE, 3);
    alloc(phys, 0, 2);
    expect(tops(pcp)).toEqual([2, 2, 2, 0, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0]);
    expect(pcp.count).toBe(6 + 2 + 4 + 8);
  });

  it('N.15: huge pages have lists of their own, movable or not; orders 4 to 8 and 10 have none', () => {
    const { phys, pcp } = machine();
    for (const order of [4, 8, 10]) {
      const pfn = alloc(phys, GFP_MOVABLE, order);
      freePages(phys, pfn, order);
      expect(pcp.count).toBe(0);
    }
    const movable = alloc(phys, GFP_MOVABLE, 9);
    expect(tops(pcp).slice(12)).toEqual([1, 0]);
    const other = alloc(phys, 0, 9);
    expect(tops(pcp).slice(12)).toEqual([1, 1]);
    freePages(phys, other, 9);
    freePages(phys, movable, 9);
    checkPhys(phys);
    expect(pcp.lists[12]!.order).toBe(9);
    // Pages of 64 KiB have pageblocks, and huge pages, of order 10.
    const large = createPhys({ frames: FRAMES, pageSize: 65536 });
    alloc(large, GFP_MOVABLE, 10);
    expect(large.zones[0]!.pcps[0]!.lists[12]).toMatchObject({ order: 10, top: 1 });
  });

  it('last freed, first given out', () => {
    const { phys } = machine();
    const pfns = Array.from({ length: 5 }, () => alloc(phys, GFP_MOVABLE, 0));
    for (const pfn of pfns) freePages(phys, pfn, 0);
    checkPhys(phys);
    expect(pfns.map(() => alloc(phys, GFP_MOVABLE, 0))).toEqual(pfns.toReversed());
    const blocks = Array.from({ length: 3 }, () => alloc(phys, GFP_MOVABLE, 3));
    for (const pfn of blocks) freePages(phys, pfn, 3);
    expect(blocks.map(() => alloc(phys, GFP_MOVABLE, 3))).toEqual(blocks.toReversed());
  });

  it('free frames there are marked so, and are not merged', () => {
    const { phys } = machine();
    const pfn = alloc(phys, GFP_MOVABLE, 1);
    freePages(phys, pfn, 1);
    expect(phys.hot[pfn * 4 + HOT_FLAGS]).toBe(PG_PCP | (1 << ORDER_SHIFT));
    expect(buddyInfo(phys).reduce((sum, n, order) => sum + n * 2 ** order, 0)).toBe(phys.zones[0]!.free);
    expect(phys.zones[0]!.free).toBe(FRAMES - 2 - phys.zones[0]!.pcps[0]!.count);
    expect(phys.freeFrames).toBe(FRAMES - 2);
  });

  it('N.15: lists that hold `high` frames give a batch back, those longest there first', () => {
    const { phys, pcp } = machine();
    // Each refill raises `high` by a batch while the zone is above its high watermark.
    const { high, highMin, highMax } = pcp;
    expect([high, highMin, highMax]).toEqual([16, 16, 2047]);
    const pfns = Array.from({ length: 60 }, () => allocPagesNowait(phys, GFP_MOVABLE, 0));
    expect(pcp.high).toBe(16 + 20 * 3);
    pcp.high = 16;
    for (let i = 0; i < 15; i++) freePages(phys, pfns[i]!, 0);
    expect(pcp.count).toBe(15);
    freePages(phys, pfns[15]!, 0);
    expect(pcp.count).toBe(13);
    checkPhys(phys);
    for (const pfn of pfns.slice(0, 3)) expect(phys.hot[pfn * 4 + HOT_FLAGS]! & PG_PCP).toBe(0);
    expect(phys.hot[pfns[3]! * 4 + HOT_FLAGS]).toBe(PG_PCP);
  });

  it('a list that may hold much gives an eighth of it back at a time', () => {
    const { phys, pcp } = machine();
    const pfns = Array.from({ length: 800 }, () => allocPagesNowait(phys, GFP_MOVABLE, 0));
    pcp.high = 800;
    const before = pcp.count;
    for (let i = 0; i < 799 - before; i++) freePages(phys, pfns[i]!, 0);
    expect(pcp.count).toBe(799);
    freePages(phys, pfns[799 - before]!, 0);
    expect(pcp.count).toBe(700);
    checkPhys(phys);
  });

  it('N.15: the lists take turns in giving back', () => {
    const { phys, pcp } = machine();
    const movable = Array.from({ length: 12 }, () => allocPagesNowait(phys, GFP_MOVABLE, 0));
    const other = Array.from({ length: 12 }, () => allocPagesNowait(phys, 0, 0));
    pcp.high = 18;
    for (let i = 0; i < 6; i++) freePages(phys, other[i]!, 0);
    for (let i = 0; i < 12; i++) freePages(phys, movable[i]!, 0);
    // 18 were there: three of the first list went; then, with 18 again, three of the next.
    expect(tops(pcp).slice(0, 2)).toEqual([3, 12]);
    for (let i = 6; i < 9; i++) freePages(phys, other[i]!, 0);
    expect(tops(pcp).slice(0, 2)).toEqual([6, 9]);
    checkPhys(phys);
  });

  it('N.15: `high` is at most highMax, and falls back below the high watermark, to highMin at least', () => {
    const { phys, pcp } = machine(1, 4096);
    const zone = phys.zones[0]!;
    expect([zone.high, pcp.highMin, pcp.highMax]).toEqual([1536, 1280, 2047]);
    const pfns: number[] = [];
    while (zone.free > zone.high) pfns.push(allocPagesNowait(phys, GFP_MOVABLE, 0));
    expect(pcp.high).toBe(2047);
    freePages(phys, pfns.pop()!, 0);
    while (zone.free >= zone.high) pfns.push(allocPagesNowait(phys, GFP_MOVABLE, 4));
    // Each trim lowers it by a batch; with that, more goes back at once.
    for (let i = 0; i < 3000; i++) freePages(phys, pfns.shift()!, 0);
    expect(pcp.high).toBeLessThan(2047);
    expect(pcp.high).toBeGreaterThanOrEqual(pcp.highMin);
    expect(pcp.count).toBeLessThanOrEqual(pcp.high);
    checkPhys(phys);
  });

  it('are each CPU’s own', () => {
    const { phys } = machine(2);
    const [first, second] = phys.zones[0]!.pcps;
    const a = alloc(phys, GFP_MOVABLE, 0);
    phys.cpu = phys.cpus[1]!;
    const b = alloc(phys, GFP_MOVABLE, 0);
    expect([a, b]).toEqual([2, 5]);
    freePages(phys, a, 0);
    expect([tops(first!)[1], tops(second!)[1]]).toEqual([2, 3]);
    expect(alloc(phys, GFP_MOVABLE, 0)).toBe(a);
  });

  it('drainPages empties those of one CPU, or of all', () => {
    const { phys } = machine(2);
    const [first, second] = phys.zones[0]!.pcps;
    const fresh = buddyInfo(phys);
    const a = alloc(phys, GFP_MOVABLE, 0);
    freePages(phys, a, 0);
    phys.cpu = phys.cpus[1]!;
    freePages(phys, alloc(phys, GFP_MOVABLE, 1), 1);
    drainPages(phys, 0);
    expect([first!.count, second!.count]).toEqual([0, 4]);
    checkPhys(phys);
    drainPages(phys);
    expect([first!.count, second!.count]).toEqual([0, 0]);
    checkPhys(phys);
    expect(buddyInfo(phys)).toEqual(fresh);
    expect(() => drainPages(phys, 2)).toThrow(/^cpu: /);
    expect(() => drainPages(phys, -1)).toThrow(/^cpu: /);
  });

  it('of all CPUs are drained before an allocation fails', () => {
    const phys = createPhys({ frames: 64, cpus: 3 });
    const pfns: number[] = [];
    for (let pfn = alloc(phys, 0, 0); pfn > 0; pfn = alloc(phys, 0, 0)) pfns.push(pfn);
    expect(pfns.length).toBe(62);
    // Frames 48 to 50 go to three lists of one frame each, 51 to the first.
    [48, 49, 50, 51].forEach((pfn, i) => {
      phys.cpu = phys.cpus[i % 3]!;
      freePages(phys, pfn, 0);
    });
    expect(phys.zones[0]!.pcps.map((pcp) => pcp.count)).toEqual([2, 1, 1]);
    expect(phys.zones[0]!.free).toBe(0);
    expect(alloc(phys, 0, 2)).toBe(48);
    expect(alloc(phys, 0, 0)).toBe(-ENOMEM);
  });

  it('do not take frames of an isolated pageblock', () => {
    const { phys, pcp } = machine();
    const [zone] = phys.zones;
    const pfn = alloc(phys, GFP_MOVABLE, 0);
    drainPages(phys);
    linkFresh(phys, zone!, 0, 512);
    moveFreepagesBlock(phys, zone!, 0, MIGRATE_ISOLATE);
    checkPhys(phys);
    freePages(phys, pfn, 0);
    expect(pcp.count).toBe(0);
    expect(zone!.freeIsolated).toBe(510);
    checkPhys(phys);
    expect(alloc(phys, GFP_MOVABLE, 0)).toBeGreaterThanOrEqual(512);
  });

  it('are of one zone each', () => {
    const zones = [
      { kind: ZONE_NORMAL, start: 0, end: 2048 },
      { kind: ZONE_NORMAL, start: 2048, end: 4096, node: 1 },
    ];
    const phys = createPhys({ frames: 4096, zones, cpus: 2 });
    const near = alloc(phys, GFP_MOVABLE, 0);
    phys.cpu = phys.cpus[1]!;
    const far = alloc(phys, GFP_MOVABLE, 0);
    expect([near, far]).toEqual([2, 2048]);
    // CPU 1 frees both: each goes to its zone's list of that CPU.
    freePages(phys, near, 0);
    freePages(phys, far, 0);
    checkPhys(phys);
    expect(phys.zones.map((zone) => zone.pcps.map((pcp) => pcp.count))).toEqual([
      [0, 1],
      [0, 1],
    ]);
    expect(alloc(phys, GFP_MOVABLE, 0)).toBe(far);
  });
});
