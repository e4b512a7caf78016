/**
 * Random calls, right and wrong, against a table of who has which frame (naive.ts), and against N.15's lists re-stated
 * naively, which say which block comes out (naive-buddy.ts).
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import {
  allocPagesNowait,
  buddyInfo,
  checkPhys,
  COLD_NEXT,
  createPhys,
  freePages,
  GFP_MOVABLE,
  GFP_RECLAIMABLE,
  NR_PAGE_ORDERS,
  pageblockType,
  pageOrder,
} from '../src/index.ts';
import type { Phys } from '../src/index.ts';
import { NaiveBuddy } from './naive-buddy.ts';
import { ALL_GFPS, MACHINES, OPS } from './naive-calls.ts';
import type { Step } from './naive-calls.ts';
import { compareAll, giveAllBack, interval, Naive, runStep } from './naive.ts';

const order = fc.oneof(
  { arbitrary: fc.constant(0), weight: 4 },
  { arbitrary: fc.integer({ min: 0, max: 5 }), weight: 4 },
  { arbitrary: fc.integer({ min: 0, max: 11 }), weight: 1 },
);
const step: fc.Arbitrary<Step> = fc.record({
  op: fc.constantFrom(...OPS),
  pick: fc.nat(1_000_000),
  order,
  refs: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 4 })),
  gfp: fc.constantFrom(...ALL_GFPS),
});

it('random calls do what a table of owners does: 100,000 and more, on machines of all shapes', () => {
  let calls = 0;
  let given = 0;
  let failed = 0;
  const run = (machine: number, steps: readonly Step[]): void => {
    const options = MACHINES[machine]!;
    const model = new Naive(options);
    for (const each of steps) {
      runStep(model, each);
      if (model.calls % interval(model) === 0) compareAll(model);
    }
    compareAll(model);
    giveAllBack(model);
    if (options.zones === undefined) expect(buddyInfo(model.phys)).toEqual(buddyInfo(createPhys(options)));
    calls += model.calls;
    given += model.given;
    failed += model.failed;
  };
  const machine = fc.nat(MACHINES.length - 1);
  fc.assert(fc.property(machine, fc.array(step, { maxLength: 1600, size: 'max' }), run), { numRuns: 170 });
  expect(calls).toBeGreaterThan(100_000);
  expect(given).toBeGreaterThan(15_000);
  expect(failed).toBeGreaterThan(1000);
});

/** The lists of a machine of one zone as arrays; fresh blocks end the list of movable blocks of the largest order. */
function lists(phys: Phys): number[][][] {
  const zone = phys.zones[0]!;
  const of = (type: number, order: number): number[] => {
    const list: number[] = [];
    for (let pfn = zone.heads[type * NR_PAGE_ORDERS + order]!; pfn !== 0; pfn = phys.cold[pfn * 4 + COLD_NEXT]!) {
      list.push(pfn);
    }
    const fresh = type === 1 && order === 10 ? zone.fresh : [];
    for (let i = 0; i < fresh.length; i += 2)
      for (let pfn = fresh[i]!; pfn < fresh[i + 1]!; pfn += 1024) list.push(pfn);
    return list;
  };
  return [0, 1, 2].map((type) => Array.from({ length: NR_PAGE_ORDERS }, (_, order) => of(type, order)));
}

it('N.15: which block comes out, and how the lists stand: front and tail, lower half, fallback, claim, steal', () => {
  const orders = [4, 5, 6, 7, 8, 10];
  const gfps = [0, GFP_MOVABLE, GFP_RECLAIMABLE];
  let retyped = 0;
  const move = fc.record({
    order: fc.nat(orders.length - 1),
    type: fc.nat(2),
    free: fc.integer({ min: 0, max: 4 }),
    pick: fc.nat(10_000),
  });
  const shapes = [
    { frames: 1500, pageSize: 4096 as const },
    { frames: 7168, pageSize: 4096 as const },
    { frames: 20_011, pageSize: 4096 as const },
    { frames: 9000, pageSize: 65536 as const },
  ];
  const run = (shape: number, moves: readonly { order: number; type: number; free: number; pick: number }[]): void => {
    const phys = createPhys(shapes[shape]!);
    const naive = new NaiveBuddy(phys.frames, phys.pageblockOrder);
    const used: number[] = [];
    expect(lists(phys)).toEqual(naive.lists);
    moves.forEach((each, i) => {
      if (each.free > 2 && used.length > 0) {
        const [pfn] = used.splice(each.pick % used.length, 1);
        const order = pageOrder(phys, pfn!);
        freePages(phys, pfn!, order);
        naive.free(pfn!, order);
      } else {
        // The largest order has per-CPU lists of its own where it is a pageblock's: 9 is plain there.
        const order = phys.pageblockOrder === 10 && orders[each.order] === 10 ? 9 : orders[each.order]!;
        const pfn = allocPagesNowait(phys, gfps[each.type]!, order);
        expect(Math.max(pfn, 0)).toBe(naive.alloc(order, each.type));
        if (pfn > 0) used.push(pfn);
      }
      if (i % 8 === 0) expect(lists(phys)).toEqual(naive.lists);
    });
    expect(lists(phys)).toEqual(naive.lists);
    naive.types.forEach((type, block) => {
      expect(pageblockType(phys, block << phys.pageblockOrder)).toBe(type);
      if (type !== 1) retyped++;
    });
    checkPhys(phys);
  };
  fc.assert(fc.property(fc.nat(shapes.length - 1), fc.array(move, { maxLength: 400, size: 'max' }), run), {
    numRuns: 120,
  });
  expect(retyped).toBeGreaterThan(100);
});
