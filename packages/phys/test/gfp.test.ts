import { expect, it } from 'vitest';
import { fastAllocFlags, gfpMigratetype, gfpZone, slowAllocFlags } from '../src/gfp-zone.ts';
import {
  ALLOC_CMA,
  ALLOC_HIGHATOMIC,
  ALLOC_KSWAPD,
  ALLOC_MIN_RESERVE,
  ALLOC_NO_WATERMARKS,
  ALLOC_NON_BLOCK,
  ALLOC_WMARK_LOW,
  ALLOC_WMARK_MIN,
} from '../src/watermark.ts';
import {
  GFP_ATOMIC,
  GFP_DMA,
  GFP_DMA32,
  GFP_MEMALLOC,
  GFP_NOMEMALLOC,
  GFP_RECLAIMABLE,
  ZONE_DMA,
  ZONE_DMA32,
  ZONE_MOVABLE,
  ZONE_NORMAL,
  GFP_DIRECT_RECLAIM,
  GFP_FS,
  GFP_HARDWALL,
  GFP_HIGH,
  GFP_HIGHMEM,
  GFP_HIGHUSER,
  GFP_HIGHUSER_MOVABLE,
  GFP_IO,
  GFP_KERNEL,
  GFP_KSWAPD_RECLAIM,
  GFP_MOVABLE,
  GFP_NOFS,
  GFP_NOIO,
  GFP_NOWAIT,
  GFP_NOWARN,
  GFP_USER,
  GFP_ZERO,
} from '../src/index.ts';

it('N.15: the combinations are what their bits make', () => {
  const reclaim = GFP_DIRECT_RECLAIM | GFP_KSWAPD_RECLAIM;
  expect(GFP_ZERO).toBe(0x100);
  expect(GFP_KERNEL).toBe(reclaim | GFP_IO | GFP_FS);
  expect(GFP_NOFS).toBe(reclaim | GFP_IO);
  expect(GFP_NOIO).toBe(reclaim);
  expect(GFP_ATOMIC).toBe(GFP_HIGH | GFP_KSWAPD_RECLAIM);
  expect(GFP_NOWAIT).toBe(GFP_KSWAPD_RECLAIM | GFP_NOWARN);
  expect(GFP_USER).toBe(GFP_KERNEL | GFP_HARDWALL);
  expect(GFP_HIGHUSER).toBe(GFP_USER | GFP_HIGHMEM);
  expect(GFP_HIGHUSER_MOVABLE).toBe(GFP_HIGHUSER | GFP_MOVABLE);
});

it.each([
  ['GFP_ATOMIC', GFP_ATOMIC, 0, ALLOC_KSWAPD | ALLOC_MIN_RESERVE | ALLOC_NON_BLOCK],
  ['… of an order above 0', GFP_ATOMIC, 1, ALLOC_KSWAPD | ALLOC_MIN_RESERVE | ALLOC_NON_BLOCK | ALLOC_HIGHATOMIC],
  ['… without reserves', GFP_ATOMIC | GFP_NOMEMALLOC, 1, ALLOC_KSWAPD | ALLOC_MIN_RESERVE],
  ['GFP_NOWAIT', GFP_NOWAIT, 3, ALLOC_KSWAPD | ALLOC_NON_BLOCK],
  ['GFP_KERNEL', GFP_KERNEL, 3, ALLOC_KSWAPD],
  ['GFP_KERNEL, urgent', GFP_KERNEL | GFP_HIGH, 3, ALLOC_KSWAPD | ALLOC_MIN_RESERVE],
  ['GFP_HIGHUSER_MOVABLE', GFP_HIGHUSER_MOVABLE, 0, ALLOC_KSWAPD | ALLOC_CMA],
  ['MEMALLOC', GFP_NOIO | GFP_MEMALLOC, 0, ALLOC_KSWAPD | ALLOC_NO_WATERMARKS],
  ['MEMALLOC and not', GFP_NOIO | GFP_MEMALLOC | GFP_NOMEMALLOC, 0, ALLOC_KSWAPD],
])('N.15: what a caller may do when the first attempt failed: %s', (_, gfp, order, flags) => {
  expect(slowAllocFlags(gfp, order)).toBe(ALLOC_WMARK_MIN | flags);
});

it('N.15: the first attempt keeps to the low watermark and takes no reserves', () => {
  expect(fastAllocFlags(GFP_ATOMIC)).toBe(ALLOC_WMARK_LOW | ALLOC_KSWAPD);
  expect(fastAllocFlags(GFP_KERNEL | GFP_MEMALLOC | GFP_HIGH)).toBe(ALLOC_WMARK_LOW | ALLOC_KSWAPD);
  expect(fastAllocFlags(GFP_MOVABLE)).toBe(ALLOC_WMARK_LOW | ALLOC_CMA);
});

it('N.15: flags to migrate type and to the highest zone', () => {
  expect([0, GFP_MOVABLE, GFP_RECLAIMABLE, GFP_MOVABLE | GFP_RECLAIMABLE].map(gfpMigratetype)).toEqual([0, 1, 2, 0]);
  expect([GFP_DMA, GFP_DMA32, GFP_KERNEL, GFP_MOVABLE, GFP_HIGHUSER, GFP_HIGHUSER_MOVABLE].map(gfpZone)).toEqual([
    ZONE_DMA,
    ZONE_DMA32,
    ZONE_NORMAL,
    ZONE_NORMAL,
    ZONE_NORMAL,
    ZONE_MOVABLE,
  ]);
});
