import { ENOMEM } from '@mmkit/base';
import { describe, expect, it } from 'vitest';
import { allocPagesNowait, createPhys, failAllocations, freePages, GFP_NOFAIL } from '../src/index.ts';
import type { FailOptions } from '../src/index.ts';
import { BUILDS } from './builds.ts';
import { expectRefused } from './support.ts';

describe.each(BUILDS)('failAllocations, $name', ({ allocPages }) => {
  /** Which of 12 allocations fail: orders 0, 1, 2 and so on, at sites "a" and "b" in turn. */
  function failing(options: FailOptions | null): number[] {
    const phys = createPhys({ frames: 4096 });
    const record = failAllocations(phys, options);
    const failed: number[] = [];
    for (let i = 0; i < 12; i++) if (allocPages(phys, 0, i % 3, i % 2 === 0 ? 'a' : 'b') === -ENOMEM) failed.push(i);
    expect(record?.failed ?? 0).toBe(failed.length);
    return failed;
  }

  it('fails the Nth', () => {
    expect(failing({ nth: 1 })).toEqual([0]);
    expect(failing({ nth: 5 })).toEqual([4]);
    expect(failing({ nth: 13 })).toEqual([]);
  });

  it('fails every one of an order, or at a site, and the Nth of these', () => {
    expect(failing({ order: 1 })).toEqual([1, 4, 7, 10]);
    expect(failing({ site: 'b' })).toEqual([1, 3, 5, 7, 9, 11]);
    expect(failing({ site: 'b', order: 2 })).toEqual([5, 11]);
    expect(failing({ site: 'b', order: 2, nth: 2 })).toEqual([11]);
    expect(failing({ site: 'c' })).toEqual([]);
  });

  it('fails all without options, none with null', () => {
    expect(failing({}).length).toBe(12);
    expect(failing(null)).toEqual([]);
  });

  it('draws from a seed: the same each time, other with another, about as many as asked', () => {
    const half = failing({ probability: 0.5, seed: 7 });
    expect(failing({ probability: 0.5, seed: 7 })).toEqual(half);
    expect(failing({ probability: 0.5, seed: 8 })).not.toEqual(half);
    const phys = createPhys({ frames: 64 });
    const record = failAllocations(phys, { probability: 0.25 })!;
    for (let i = 0; i < 4000; i++) {
      const pfn = allocPages(phys, 0, 0);
      if (pfn > 0) freePages(phys, pfn, 0);
    }
    expect(record.matched).toBe(4000);
    expect(Math.abs(record.failed - 1000)).toBeLessThan(150);
  });

  it('changes nothing but its record, and ends with the next call', () => {
    const phys = createPhys({ frames: 64 });
    const record = failAllocations(phys, {})!;
    phys.failures = null;
    const free = phys.freeFrames;
    phys.failures = record;
    expect(allocPages(phys, 0, 0)).toBe(-ENOMEM);
    expect(allocPagesNowait(phys, 0, 0)).toBe(-ENOMEM);
    expect([record.matched, record.failed, phys.freeFrames]).toEqual([2, 2, free]);
    expect(failAllocations(phys, null)).toBe(null);
    expect(allocPages(phys, 0, 0)).toBe(2);
    expect(record.matched).toBe(2);
  });

  it('does not fail what must not fail, and does not count orders there are none of', () => {
    const phys = createPhys({ frames: 64 });
    const record = failAllocations(phys, {})!;
    expect(allocPages(phys, GFP_NOFAIL, 0)).toBe(2);
    expect(allocPages(phys, 0, 11)).toBe(-ENOMEM);
    expect(record.matched).toBe(0);
  });
});

describe('failAllocations', () => {
  it.each([
    ['nth', { nth: 0 }],
    ['nth', { nth: 1.5 }],
    ['order', { order: 11 }],
    ['order', { order: -1 }],
    ['seed', { seed: -1 }],
    ['seed', { seed: 2 ** 32 }],
    ['probability', { probability: 0 }],
    ['probability', { probability: 1.1 }],
    ['probability', { probability: NaN }],
  ])('refuses a bad %s', (name, options) => {
    const phys = createPhys({ frames: 64 });
    expectRefused(phys, 'RangeError', () => failAllocations(phys, options));
    expect(() => failAllocations(phys, options)).toThrow(new RegExp(`^${name}: `));
  });
});
