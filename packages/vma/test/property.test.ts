import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RangeTree } from '../src/index.ts';
import {
  checkTree,
  createRangeCursor,
  createRangeTree,
  eraseRange,
  findGap,
  findGapFromTop,
  findRange,
  insertRange,
  nextRange,
  prevRange,
  rangeBefore,
  rangeContaining,
  resizeRange,
  seekRange,
} from '../src/index.ts';
import type { Naive } from './naive.ts';
import { codeOf, dump, naiveErase, naiveHoles, naiveInsert, naiveResize } from './naive.ts';

interface Pair {
  readonly tree: RangeTree<number>;
  readonly list: Naive;
}

/** `expect` costs microseconds; it is called only to report. */
function same(actual: unknown, expected: unknown): void {
  if (actual !== expected) expect(actual).toBe(expected);
}

/** One operation in both; every answer must be the same. `x` is a place, `length` and `pick` steer the rest. */
function step({ tree, list }: Pair, op: number, x: number, length: number, pick: number, value: number): void {
  const some = list.length === 0 ? x : list[pick % list.length]!.start;
  switch (op) {
    case 0:
    case 1: {
      const fits = naiveInsert(list, { start: x, end: x + length, value });
      same(
        codeOf(() => insertRange(tree, x, x + length, value)),
        fits ? null : 'RANGE_OVERLAP',
      );
      break;
    }
    case 2: {
      const start = pick % 8 === 0 ? x : some;
      const gone = naiveErase(list, start);
      if (gone === null)
        same(
          codeOf(() => eraseRange(tree, start)),
          'RANGE_ABSENT',
        );
      else same(eraseRange(tree, start), gone);
      break;
    }
    case 3: {
      const newStart = Math.max(0, some + (pick % 5) - 2);
      const present = list.length > 0;
      const fits = naiveResize(list, some, newStart, newStart + length);
      const code = fits ? null : present ? 'RANGE_OVERLAP' : 'RANGE_ABSENT';
      same(
        codeOf(() => resizeRange(tree, some, newStart, newStart + length)),
        code,
      );
      break;
    }
    case 4: {
      same(findRange(tree, x), list.find((r) => r.end > x)?.value ?? null);
      same(rangeContaining(tree, x), list.find((r) => r.start <= x && x < r.end)?.value ?? null);
      same(rangeBefore(tree, x), list.findLast((r) => r.start < x)?.value ?? null);
      break;
    }
    case 5: {
      const high = x + 3 * (pick % 4000);
      const holes = naiveHoles(list, x, high).filter((h) => h.to - h.from >= length);
      same(findGap(tree, length, x, high), holes[0]?.from ?? -1);
      same(findGapFromTop(tree, length, x, high), holes.at(-1)?.to ?? -1);
      break;
    }
    default: {
      const cursor = createRangeCursor(tree);
      let at = list.findIndex((r) => r.end > x);
      let there = seekRange(cursor, x);
      for (let k = 0; k < 40 && at >= 0; k++) {
        same(there, true);
        same(cursor.start, list[at]!.start);
        same(cursor.end, list[at]!.end);
        same(cursor.value, list[at]!.value);
        const up = pick % 2 === 0;
        there = up ? nextRange(cursor) : prevRange(cursor);
        at = up && at === list.length - 1 ? -1 : up ? at + 1 : at - 1;
      }
      if (at < 0) {
        same(there, false);
        same(cursor.value, null);
      }
    }
  }
}

describe('RangeTree against a sorted array', () => {
  it('short random scripts on few numbers: 40,000 operations at most, shrinkable', () => {
    const command = fc.tuple(fc.nat(6), fc.nat(300), fc.integer({ min: 1, max: 6 }), fc.nat(1000));
    const script = fc.array(command, { maxLength: 100, size: 'max' });
    fc.assert(
      fc.property(script, (commands) => {
        const pair: Pair = { tree: createRangeTree<number>(), list: [] };
        commands.forEach(([op, x, length, pick], value) => step(pair, op, x, length, pick, value));
        checkTree(pair.tree);
        expect(dump(pair.tree)).toEqual(pair.list);
      }),
      { seed: 1, numRuns: 400 },
    );
  });

  it('long random scripts on trees three levels high that grow and shrink: 120,000 operations', () => {
    let highest = 0;
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 0x7fffffff }), (seed) => {
        let state = seed;
        const random = (n: number): number => {
          state = (Math.imul(state, 1103515245) + 12345) >>> 0;
          return Math.floor((state / 2 ** 32) * n);
        };
        const pair: Pair = { tree: createRangeTree<number>(), list: [] };
        for (let i = 0; i < 30_000; i++) {
          // Phases: 6,000 operations that mostly insert, 6,000 that mostly erase, mixed with everything else.
          const favoured = Math.floor(i / 6000) % 2 === 0 ? 0 : 2;
          step(pair, random(3) > 0 ? favoured : random(7), random(30_000), 1 + random(8), random(1 << 16), i);
          highest = Math.max(highest, pair.list.length);
          if (i % 1000 === 0) checkTree(pair.tree);
        }
        checkTree(pair.tree);
        expect(dump(pair.tree)).toEqual(pair.list);
      }),
      { seed: 2, numRuns: 4 },
    );
    expect(highest).toBeGreaterThan(1024);
  }, 30_000);
});
