import { ENOMEM } from '@mmkit/base';
import { describe, expect, it } from 'vitest';
import {
  allocPagesNowait,
  checkPhys,
  createPhys,
  GFP_ATOMIC,
  GFP_DMA32,
  GFP_HIGH,
  GFP_HIGHUSER_MOVABLE,
  GFP_KERNEL,
  GFP_MEMALLOC,
  GFP_MOVABLE,
  GFP_NOMEMALLOC,
  GFP_NOWAIT,
  linuxZones,
  MIGRATE_CMA,
  MIGRATE_HIGHATOMIC,
  MIGRATE_MOVABLE,
  setBoost,
  setupWatermarks,
  Zone,
  ZONE_DMA,
  ZONE_DMA32,
  ZONE_MOVABLE,
  ZONE_NORMAL,
} from '../src/index.ts';
import type { Phys } from '../src/index.ts';
import {
  ALLOC_CMA,
  ALLOC_HIGHATOMIC,
  ALLOC_MIN_RESERVE,
  ALLOC_NON_BLOCK,
  ALLOC_OOM,
  boostWatermark,
  zoneWatermarkOk,
} from '../src/watermark.ts';
import { BUILDS } from './builds.ts';
import { expectRefused } from './support.ts';

/** A machine whose zones have as many managed pages as those of the machine the figures were read from. */
function readMachine(): Phys {
  return createPhys({
    frames: 4_161_536,
    zones: linuxZones(4_161_536),
    holes: [
      [3842, 4096],
      [4096 + 772_917, 1_048_576],
    ],
    cpus: 2,
    minFreeKbytes: 67_584,
  });
}

describe('setupWatermarks', () => {
  it('N.15: the figures /proc/zoneinfo of a running kernel shows', () => {
    const phys = readMachine();
    const figures = phys.zones.map(({ managed, min, low, high, promo }) => [managed, min, low, high, promo]);
    expect(figures).toEqual([
      [3840, 16, 20, 24, 28],
      [772_917, 3357, 4196, 5035, 5874],
      [3_112_960, 13_521, 16_901, 20_281, 23_661],
    ]);
    expect(phys.zones.map((zone) => [...zone.lowmemReserve])).toEqual([
      [0, 3019, 15_179, 15_179],
      [0, 0, 12_160, 12_160],
      [0, 0, 0, 0],
    ]);
    const marks = phys.zones.map((zone) => zone.pcps.map((pcp) => [pcp.highMin, pcp.high, pcp.highMax]));
    expect(marks).toEqual([
      [
        [10, 10, 240],
        [10, 10, 240],
      ],
      [
        [2098, 2098, 48_307],
        [2098, 2098, 48_307],
      ],
      [
        [8450, 8450, 194_560],
        [8450, 8450, 194_560],
      ],
    ]);
    checkPhys(phys);
  });

  it.each([
    [262_144, 63],
    [65_536, 15],
    [16_384, 3],
    [1024, 1],
    [2 ** 28, 63],
  ])('E.2: per-CPU batch of a zone of %i pages: %i', (frames, batch) => {
    // Two frames are reserved; Linux's vectors are of whole zones.
    const zones = [
      { kind: ZONE_DMA, start: 0, end: 1024 },
      { kind: ZONE_NORMAL, start: 1024, end: 1024 + frames },
    ];
    expect(createPhys({ frames: 1024 + frames, zones }).zones[1]!.pcps[0]!.batch).toBe(batch);
  });

  it('N.15: with pages of 64 KiB the batch is bounded by a MiB, and minFreeKbytes is in KiB all the same', () => {
    const phys = createPhys({ frames: 65_536, pageSize: 65536, minFreeKbytes: 64_000 });
    expect(phys.zones[0]!.pcps[0]!.batch).toBe(3);
    expect(phys.zones[0]!.min).toBe(1000);
    expect(phys.zones[0]!.low).toBe(1250);
  });

  it('N.15: watermarkScaleFactor widens the distance: managed × factor / 10000, at least a quarter of the minimum', () => {
    const phys = createPhys({ frames: 100_002, minFreeKbytes: 4000, watermarkScaleFactor: 100 });
    expect(phys.zones[0]).toMatchObject({ managed: 100_000, min: 1000, low: 2000, high: 3000, promo: 4000 });
    phys.watermarkScaleFactor = 1;
    phys.zones[0]!.boost = 7;
    setupWatermarks(phys);
    expect(phys.zones[0]).toMatchObject({ min: 1000, low: 1250, high: 1500, promo: 1750, boost: 0 });
    phys.minFreeKbytes = 8000;
    setupWatermarks(phys);
    expect(phys.zones[0]).toMatchObject({ min: 2000, low: 2500 });
    checkPhys(phys);
  });

  it('N.15: ZONE_MOVABLE takes no part: its minimum is managed / 1024, 32 to 128', () => {
    const movable = (frames: number): Phys =>
      createPhys({
        frames: 4096 + frames,
        minFreeKbytes: 4000,
        zones: [
          { kind: ZONE_NORMAL, start: 0, end: 4096 },
          { kind: ZONE_MOVABLE, start: 4096, end: 4096 + frames },
        ],
      });
    for (const [frames, min] of [
      [2048, 32],
      [65_536, 64],
      [262_144, 128],
    ] as const) {
      const phys = movable(frames);
      expect(phys.zones[1]!.min).toBe(min);
      expect(phys.zones[0]!.min).toBe(1000);
      expect([...phys.zones[0]!.lowmemReserve]).toEqual([0, 0, 0, frames / 32]);
    }
  });
});

/** A zone by hand: 1000 free, in movable blocks of orders 0 and 2. */
function zone(fields: Partial<Zone> = {}): Zone {
  const made = new Zone(0, 0, ZONE_NORMAL, 0, 4096);
  made.free = 1000;
  made.orders[MIGRATE_MOVABLE] = 0b101;
  return Object.assign(made, fields);
}

describe('zoneWatermarkOk', () => {
  const ok = (each: Zone, order: number, mark: number, flags: number): boolean =>
    zoneWatermarkOk(each, order, mark, ZONE_NORMAL, flags);
  /** The largest mark it passes. */
  const passes = (each: Zone, order: number, flags: number): number => {
    let mark = -1;
    while (ok(each, order, mark + 1, flags)) mark++;
    return mark;
  };

  it('N.15: free pages must be more than the mark', () => {
    expect(passes(zone(), 0, 0)).toBe(999);
  });

  it('N.15: a block counts 2^order − 1 more', () => {
    expect(passes(zone(), 2, 0)).toBe(996);
  });

  it('N.15: what is kept from callers of higher zones is added', () => {
    const each = zone();
    each.lowmemReserve[ZONE_NORMAL] = 300;
    each.lowmemReserve[ZONE_MOVABLE] = 900;
    expect(passes(each, 0, 0)).toBe(699);
    expect(zoneWatermarkOk(each, 0, 99, ZONE_MOVABLE, 0)).toBe(true);
    expect(zoneWatermarkOk(each, 0, 100, ZONE_MOVABLE, 0)).toBe(false);
  });

  it.each([
    ['MIN_RESERVE halves it', ALLOC_MIN_RESERVE, 1000, 501, 500],
    ['NON_BLOCK alone is nothing', ALLOC_NON_BLOCK, 1000, 1001, 1000],
    ['with NON_BLOCK a quarter less', ALLOC_MIN_RESERVE | ALLOC_NON_BLOCK, 1000, 376, 375],
    ['OOM halves what is left', ALLOC_OOM, 1000, 501, 500],
    ['all three', ALLOC_OOM | ALLOC_MIN_RESERVE | ALLOC_NON_BLOCK, 1000, 189, 188],
    ['halves are rounded in favour of the mark', ALLOC_MIN_RESERVE, 1001, 502, 501],
  ])('N.15: %s', (_, flags, mark, enough, few) => {
    expect(ok(zone({ free: enough }), 0, mark, flags)).toBe(true);
    expect(ok(zone({ free: few }), 0, mark, flags)).toBe(false);
  });

  it('N.15: HIGHATOMIC blocks count for those with a right to reserves only', () => {
    const each = zone({ freeHighatomic: 400 });
    expect(passes(each, 0, 0)).toBe(599);
    for (const flags of [ALLOC_HIGHATOMIC, ALLOC_NON_BLOCK]) expect(passes(each, 0, flags)).toBe(999);
  });

  it('N.15: CMA blocks count with ALLOC_CMA only', () => {
    const each = zone({ freeCma: 400 });
    expect(passes(each, 0, 0)).toBe(599);
    expect(passes(each, 0, ALLOC_CMA)).toBe(999);
  });

  it('N.15: there must be a block of the order, in a list the caller may take from', () => {
    expect(ok(zone(), 1, 0, 0)).toBe(true);
    expect(ok(zone(), 3, 0, 0)).toBe(false);
    const each = zone();
    each.orders[MIGRATE_HIGHATOMIC] = 1 << 5;
    each.orders[MIGRATE_CMA] = 1 << 4;
    expect(ok(each, 3, 0, 0)).toBe(false);
    expect(ok(each, 3, 0, ALLOC_CMA)).toBe(true);
    expect(ok(each, 5, 0, ALLOC_CMA)).toBe(false);
    expect(ok(each, 5, 0, ALLOC_HIGHATOMIC)).toBe(true);
    expect(ok(each, 5, 0, ALLOC_OOM)).toBe(true);
    expect(ok(each, 5, 0, ALLOC_NON_BLOCK)).toBe(false);
  });
});

describe('boostWatermark', () => {
  it('N.15: a pageblock at a time, at most half the high watermark more; not in a zone of under four pageblocks', () => {
    const phys = createPhys({ frames: 4096, minFreeKbytes: 1200 });
    const [only] = phys.zones;
    expect(only!.high).toBe(450);
    for (const boost of [512, 675, 675]) {
      boostWatermark(phys, only!);
      expect(only!.boost).toBe(boost);
    }
    checkPhys(phys);
    const small = createPhys({ frames: 2049, minFreeKbytes: 1200 });
    boostWatermark(small, small.zones[0]!);
    expect(small.zones[0]!.boost).toBe(0);
    const without = createPhys({ frames: 2100, watermarkScaleFactor: 1 });
    expect(without.zones[0]!.high).toBe(0);
    boostWatermark(without, without.zones[0]!);
    expect(without.zones[0]!.boost).toBe(0);
  });

  it('a claimed pageblock boosts; nobody fails because of it, the minimum itself holds', () => {
    const phys = createPhys({ frames: 2100, minFreeKbytes: 400 });
    const [only] = phys.zones;
    expect(only!.min).toBe(100);
    // No whole pageblock is left to take: what is claimed is less.
    while (only!.free > 500) allocPagesNowait(phys, GFP_MOVABLE, 4);
    expect(allocPagesNowait(phys, GFP_KERNEL, 0)).toBeGreaterThan(0);
    expect(only!.boost).toBe(512);
    checkPhys(phys);
    // Fewer than 100 + 512 are free.
    expect(allocPagesNowait(phys, GFP_KERNEL, 0)).toBeGreaterThan(0);
    expect(only!.boost).toBe(0);
    checkPhys(phys);
    while (allocPagesNowait(phys, GFP_KERNEL, 0) > 0);
    expect(phys.freeFrames).toBe(100);
    while (allocPagesNowait(phys, GFP_KERNEL | GFP_HIGH, 0) > 0);
    expect(phys.freeFrames).toBe(50);
  });

  it('a single frame for who may use reserves is not kept by a boost', () => {
    const phys = createPhys({ frames: 4096, minFreeKbytes: 400 });
    const [only] = phys.zones;
    while (only!.free > 120) allocPagesNowait(phys, GFP_MOVABLE, 0);
    setBoost(only!, 512);
    expect(allocPagesNowait(phys, GFP_KERNEL | GFP_HIGH, 0)).toBeGreaterThan(0);
    expect(only!.boost).toBe(512);
  });
});

describe.each(BUILDS)('reserves, $name', ({ allocPages }) => {
  it('N.15: who may go how far below the minimum', () => {
    const phys = createPhys({ frames: 4096, minFreeKbytes: 1024 });
    const left = (gfp: number): number => {
      while (allocPages(phys, gfp | GFP_MOVABLE, 0) > 0);
      checkPhys(phys);
      return phys.freeFrames;
    };
    expect(phys.zones[0]!.min).toBe(256);
    expect(left(GFP_HIGHUSER_MOVABLE)).toBe(256);
    expect(left(GFP_KERNEL)).toBe(256);
    expect(left(GFP_NOWAIT)).toBe(256);
    expect(left(GFP_KERNEL | GFP_HIGH)).toBe(128);
    expect(left(GFP_ATOMIC | GFP_NOMEMALLOC)).toBe(128);
    expect(left(GFP_ATOMIC)).toBe(96);
    expect(left(GFP_MEMALLOC | GFP_NOMEMALLOC)).toBe(96);
    expect(left(GFP_KERNEL | GFP_MEMALLOC)).toBe(0);
    expectRefused(phys, '', () => expect(allocPages(phys, GFP_MEMALLOC, 0)).toBe(-ENOMEM));
  });

  it('N.15: out of memory is the value -ENOMEM', () => {
    const phys = createPhys({ frames: 64 });
    while (allocPages(phys, GFP_KERNEL, 0) > 0);
    expectRefused(phys, '', () => expect(allocPages(phys, GFP_KERNEL, 0)).toBe(-ENOMEM));
    expect(phys.freeFrames).toBe(0);
  });

  it('N.15: the lowmem reserve keeps callers who asked for NORMAL out of DMA32, not those who asked for DMA32', () => {
    const frames = 2048 + 131_072;
    const zones = [
      { kind: ZONE_DMA32, start: 0, end: 2048 },
      { kind: ZONE_NORMAL, start: 2048, end: frames },
    ];
    const phys = createPhys({ frames, zones });
    const [dma32, normal] = phys.zones;
    expect(dma32!.lowmemReserve[ZONE_NORMAL]).toBe(512);
    dma32!.low = frames;
    while (normal!.free > 0) expect(allocPages(phys, GFP_HIGHUSER_MOVABLE, 10)).toBeGreaterThanOrEqual(2048);
    setupWatermarks(phys);
    // 2046 − 5 × 256 = 766: one more would leave 766 − 255 = 511, not above the reserve.
    let blocks = 0;
    while (allocPages(phys, GFP_HIGHUSER_MOVABLE, 8) > 0) blocks++;
    expect(blocks).toBe(5);
    expect(allocPages(phys, GFP_HIGHUSER_MOVABLE, 7)).toBeGreaterThan(0);
    while (allocPages(phys, GFP_HIGHUSER_MOVABLE, 0) > 0);
    expect(dma32!.free).toBe(512);
    while (allocPages(phys, GFP_DMA32 | GFP_MOVABLE, 0) > 0);
    expect(dma32!.free).toBe(0);
    checkPhys(phys);
  });
});
