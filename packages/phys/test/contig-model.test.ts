/** Random calls of all that isolates pageblocks, in both builds, against naive-contig.ts (N.12). */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { drainPages } from '../src/index.ts';
import { BUILDS } from './builds.ts';
import { ABSENT, ALL, MACHINES, Model, NOBODY, RUN } from './naive-contig.ts';
import type { Step } from './naive-contig.ts';

const step: fc.Arbitrary<Step> = fc.record({
  op: fc.constantFrom(...ALL) as fc.Arbitrary<Step['op']>,
  a: fc.nat(1_000_000),
  b: fc.nat(1_000_000),
  order: fc.oneof({ arbitrary: fc.constant(0), weight: 4 }, { arbitrary: fc.integer({ min: 0, max: 10 }), weight: 2 }),
});

describe.each(BUILDS)('random isolation, $name', (build) => {
  it('does what a table of owners says, on machines of all shapes', () => {
    const seen = { ranges: 0, taken: 0, offline: 0, moved: 0 };
    const run = (machine: number, steps: readonly Step[]): void => {
      const model = new Model(build, MACHINES[machine]!);
      for (const { op, a, b, order } of steps) {
        const absent = model.owner.filter((who) => who === ABSENT).length;
        const [ranges, taken] = [model.ranges.length, model.taken.length];
        RUN[op](model, a, b, order);
        model.check();
        if (model.ranges.length > ranges) seen.ranges++;
        if (model.taken.length > taken) seen.taken++;
        if (model.owner.filter((who) => who === ABSENT).length > absent) seen.offline++;
      }
      seen.moved += model.world.asked.length;
      while (model.pinned.size > 0) RUN.unpin(model, 0, 0, 0);
      while (model.fixed.length > 0) RUN.unfix(model, 0, 0, 0);
      while (model.ranges.length > 0) RUN.unrange(model, 0, 0, 0);
      while (model.taken.length > 0) RUN.uncma(model, 0, 0, 0);
      while (model.isolated.length > 0) RUN.undo(model, 0, 0, 0);
      for (const page of model.world.table.keys()) model.world.unmap(page);
      drainPages(model.phys);
      model.check();
      for (const zone of model.phys.zones) expect(zone.freeIsolated).toBe(0);
      expect(model.phys.freeFrames).toBe(model.owner.filter((who) => who === NOBODY).length);
    };
    const machine = fc.nat(MACHINES.length - 1);
    fc.assert(fc.property(machine, fc.array(step, { minLength: 10, maxLength: 50, size: 'max' }), run), {
      numRuns: 80,
    });
    expect(seen.ranges).toBeGreaterThan(40);
    expect(seen.taken).toBeGreaterThan(5);
    expect(seen.offline).toBeGreaterThan(3);
    expect(seen.moved).toBeGreaterThan(200);
  }, 120_000);
});
