import { EBUSY, EHWPOISON, ENOMEM, ENXIO } from '@mmkit/base';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  allocPages,
  checkPhys,
  COLD_INDEX,
  COLD_WORDS,
  createPhys,
  drainPages,
  freePages,
  getPage,
  GFP_COMP,
  HOT_WORDS,
  PG_HWPOISON,
  pageRefCount,
  putPage,
  setHwpoison,
  testFlag,
  tryGetFolio,
  unpoison,
} from '../src/index.ts';
import type { Phys } from '../src/index.ts';
import { expectRefused, refusal } from './support.ts';

const FRAMES = 64;
/** Frame 0 and the zero page are nobody's. */
const FREE = FRAMES - 2;

/** The words of a poisoned frame nobody uses. */
function expectOut(phys: Phys, pfn: number): void {
  expect([...phys.hot.subarray(pfn * HOT_WORDS, (pfn + 1) * HOT_WORDS)]).toEqual([0, PG_HWPOISON, 0, 0]);
  expect([...phys.cold.subarray(pfn * COLD_WORDS, (pfn + 1) * COLD_WORDS)]).toEqual([0, 0, 0, 0]);
}

/** All frames that can be had, one by one. */
function takeAll(phys: Phys): number[] {
  const taken: number[] = [];
  for (let pfn = allocPages(phys, 0, 0); pfn > 0; pfn = allocPages(phys, 0, 0)) taken.push(pfn);
  return taken;
}

describe('setHwpoison', () => {
  it('take_page_off_buddy: a free frame leaves the lists at once, the rest of its block stays', () => {
    const phys = createPhys({ frames: FRAMES });
    expect(setHwpoison(phys, 37)).toBe(0);
    expect([phys.freeFrames, phys.numPoisoned]).toEqual([FREE - 1, 1]);
    expectOut(phys, 37);
    checkPhys(phys);
    expect(takeAll(phys)).toHaveLength(FREE - 1);
    expect(allocPages(phys, 0, 0)).toBe(-ENOMEM);
    expect(pageRefCount(phys, 37)).toBe(0);
  });

  it('a frame of a block never used, and one on a per-CPU list, leave too', () => {
    const phys = createPhys({ frames: 8192 });
    const single = allocPages(phys, 0, 0);
    freePages(phys, single, 0);
    expect(setHwpoison(phys, single)).toBe(0);
    expect(setHwpoison(phys, 6001)).toBe(0);
    expect(phys.freeFrames).toBe(8192 - 2 - 2);
    expectOut(phys, single);
    expectOut(phys, 6001);
    checkPhys(phys);
  });

  it('a frame in use stays with its user, and out of the lists when it is freed', () => {
    const phys = createPhys({ frames: FRAMES });
    const pfn = allocPages(phys, 0, 0);
    expect(setHwpoison(phys, pfn)).toBe(0);
    expect(phys.freeFrames).toBe(FREE - 1);
    getPage(phys, pfn);
    expect(pageRefCount(phys, pfn)).toBe(2);
    checkPhys(phys);
    putPage(phys, pfn, 2);
    expect(phys.freeFrames).toBe(FREE - 1);
    expectOut(phys, pfn);
    checkPhys(phys);
  });

  it.each([
    ['compound', GFP_COMP],
    ['not compound', 0],
  ])('of a block freed (%s) only the poisoned frames stay out', (_, gfp) => {
    const phys = createPhys({ frames: FRAMES });
    const pfn = allocPages(phys, gfp, 3);
    for (const frame of [pfn, pfn + 5]) expect(setHwpoison(phys, frame)).toBe(0);
    expect(testFlag(phys, pfn + 5, PG_HWPOISON)).toBe(true);
    phys.cold[pfn * COLD_WORDS + COLD_INDEX] = 9;
    freePages(phys, pfn, 3);
    expect(phys.freeFrames).toBe(FREE - 2);
    expectOut(phys, pfn);
    expectOut(phys, pfn + 5);
    drainPages(phys);
    checkPhys(phys);
  });

  it('-EHWPOISON when it is known, -EBUSY for reserved frames, -ENXIO in a hole', () => {
    const phys = createPhys({ frames: FRAMES, holes: [[20, 24]] });
    setHwpoison(phys, 40);
    expectRefused(phys, '', () => expect(setHwpoison(phys, 40)).toBe(-EHWPOISON));
    expectRefused(phys, '', () => expect(setHwpoison(phys, phys.zeroPfn)).toBe(-EBUSY));
    expectRefused(phys, '', () => expect(setHwpoison(phys, 21)).toBe(-ENXIO));
    expect(refusal(() => setHwpoison(phys, FRAMES))).toBe('RangeError');
  });

  it('nobody gets a reference to a poisoned frame that is out', () => {
    const phys = createPhys({ frames: FRAMES });
    setHwpoison(phys, 40);
    expectRefused(phys, '', () => expect(tryGetFolio(phys, 40, 1)).toBe(false));
    expectRefused(phys, 'GET_FROM_ZERO', () => getPage(phys, 40));
    expectRefused(phys, 'DOUBLE_FREE', () => freePages(phys, 40, 0));
  });
});

describe('unpoison', () => {
  it('unpoison_memory: a frame that is out becomes free, and merges', () => {
    const phys = createPhys({ frames: FRAMES });
    setHwpoison(phys, 37);
    expect(unpoison(phys, 37)).toBe(0);
    expect([phys.freeFrames, phys.numPoisoned]).toEqual([FREE, 0]);
    checkPhys(phys);
    expect(allocPages(phys, 0, 5)).toBe(32);
  });

  it('a frame in use only loses the flag', () => {
    const phys = createPhys({ frames: FRAMES });
    const pfn = allocPages(phys, GFP_COMP, 2);
    setHwpoison(phys, pfn + 3);
    expect(unpoison(phys, pfn + 3)).toBe(0);
    expect(phys.freeFrames).toBe(FREE - 4);
    freePages(phys, pfn, 2);
    expect(phys.freeFrames).toBe(FREE);
    checkPhys(phys);
  });

  it('-EBUSY when it is not poisoned', () => {
    const phys = createPhys({ frames: FRAMES });
    expectRefused(phys, '', () => expect(unpoison(phys, 40)).toBe(-EBUSY));
    expect(refusal(() => unpoison(phys, -1))).toBe('RangeError');
  });
});

describe('poison among allocations', () => {
  it('the frames given out, free and poisoned are all there are, whatever the order of events', () => {
    const step = fc.oneof(
      fc.record({ what: fc.constant('alloc' as const), order: fc.integer({ min: 0, max: 4 }), comp: fc.boolean() }),
      fc.record({ what: fc.constant('free' as const), which: fc.nat() }),
      fc.record({ what: fc.constant('poison' as const), pfn: fc.integer({ min: 2, max: FRAMES - 1 }) }),
      fc.record({ what: fc.constant('unpoison' as const), pfn: fc.integer({ min: 2, max: FRAMES - 1 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const phys = createPhys({ frames: FRAMES });
        const held: { pfn: number; order: number }[] = [];
        const bad = new Set<number>();
        for (const one of steps) {
          if (one.what === 'alloc') {
            const pfn = allocPages(phys, one.comp ? GFP_COMP : 0, one.order);
            if (pfn > 0) held.push({ pfn, order: one.order });
          } else if (one.what === 'free' && held.length > 0) {
            const [block] = held.splice(one.which % held.length, 1);
            freePages(phys, block!.pfn, block!.order);
          } else if (one.what === 'poison') {
            expect(setHwpoison(phys, one.pfn)).toBe(bad.has(one.pfn) ? -EHWPOISON : 0);
            bad.add(one.pfn);
          } else if (one.what === 'unpoison') {
            expect(unpoison(phys, one.pfn)).toBe(bad.delete(one.pfn) ? 0 : -EBUSY);
          }
          const used = new Set(held.flatMap(({ pfn, order }) => Array.from({ length: 1 << order }, (_, i) => pfn + i)));
          const out = [...bad].filter((pfn) => !used.has(pfn));
          expect(phys.freeFrames).toBe(FREE - used.size - out.length);
          expect(phys.numPoisoned).toBe(bad.size);
          for (const pfn of out) expectOut(phys, pfn);
          checkPhys(phys);
        }
      }),
      { numRuns: 200 },
    );
  });
});
