import { expect, it } from 'vitest';
import {
  GFP_ATOMIC,
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
