import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { replaceRanges } from '../src/index.ts';
import type { Step } from './steps.ts';
import { OPS, checkWorld, makeWorld, step } from './steps.ts';

/** Scripts of `least` to `most` operations on numbers below about `span`. */
function scripts(least: number, most: number, span: number): fc.Arbitrary<Step[]> {
  const one = fc.record({
    op: fc.nat(OPS - 1),
    x: fc.nat(span),
    length: fc.integer({ min: 1, max: 8 }),
    pick: fc.nat(0xffff),
  });
  return fc.array(one, { minLength: least, maxLength: most, size: 'max' });
}

/** `fill` ranges at first, then the script; looked over now and then and at the end. */
function run(fill: number, script: Step[], inPlace: boolean): ReturnType<typeof makeWorld> {
  const world = makeWorld(inPlace);
  for (let i = 0; i < fill; i++) world.list.push({ start: 9 * i, end: 9 * i + 1 + (i % 9), value: -i });
  if (fill > 0) replaceRanges(world.tree, 0, 9 * fill, world.list);
  script.forEach((one, i) => {
    step(world, one, i);
    if (i % 500 === 0) checkWorld(world);
  });
  checkWorld(world);
  return world;
}

describe('RangeTree against a sorted array, readers holding old states', () => {
  it('short random scripts on few numbers: 40,000 operations', () => {
    let operations = 0;
    fc.assert(
      fc.property(scripts(0, 200, 300), (script) => {
        operations += script.length;
        run(0, script, false);
      }),
      { seed: 1, numRuns: 400 },
    );
    expect(operations).toBeGreaterThan(35_000);
  });

  it('long random scripts on trees up to three levels high: 125,000 operations', () => {
    let [operations, most, opened] = [0, 0, 0];
    fc.assert(
      fc.property(fc.nat(6000), scripts(1500, 3000, 50_000), (fill, script) => {
        operations += script.length;
        const world = run(fill, script, false);
        most = Math.max(most, world.most);
        opened += world.opened;
      }),
      { seed: 2, numRuns: 60 },
    );
    expect(operations).toBeGreaterThan(110_000);
    expect(most).toBeGreaterThan(64 * 64);
    expect(opened).toBeGreaterThan(5000);
  }, 60_000);

  it('the same scripts find a tree that edits nodes in place which a reader sees', () => {
    const result = fc.check(
      fc.property(scripts(0, 200, 300), (script) => void run(0, script, true)),
      { seed: 1, numRuns: 20 },
    );
    expect(result.failed).toBe(true);
  });
});
