import { describe, expect, it } from 'vitest';
import type { RangeTree } from '../src/index.ts';
import { checkTree, createRangeTree, findPlace, rangesIn, replaceRanges } from '../src/index.ts';
import { WIDTH } from '../src/node.ts';
import { codeOf, dump } from './naive.ts';

interface Tooth {
  start: number;
  end: number;
  value: number;
}

/** Ranges [10 i, 10 i + 6), value i, for i from `from` below `to`. */
function teeth(from: number, to: number): Tooth[] {
  return Array.from({ length: to - from }, (_, k) => ({
    start: 10 * (from + k),
    end: 10 * (from + k) + 6,
    value: from + k,
  }));
}

function comb(n: number): RangeTree<number> {
  const tree = createRangeTree<number>();
  if (n > 0) replaceRanges(tree, 0, 10 * n, teeth(0, n));
  return tree;
}

describe('replaceRanges: a span replaced by several ranges in one change', () => {
  it('erases what lies in the span, adds the list, returns the erased ranges in order; one change', () => {
    const tree = comb(2000);
    const version = tree.version;
    const by = [
      { start: 996, end: 1001, value: -1 },
      { start: 1001, end: 1500, value: -2 },
      { start: 1700, end: 1710, value: -3 },
    ];
    expect(replaceRanges(tree, 996, 1710, by)).toEqual(teeth(100, 171));
    checkTree(tree);
    expect(tree.version).toBe(version + 1);
    expect(dump(tree)).toEqual([...teeth(0, 100), ...by, ...teeth(171, 2000)]);
  });

  it('from every place to every other, over one, two and more leaves and levels', () => {
    for (const n of [1, 65, 200, 4200, 4500]) {
      for (let a = 0; a < n; a += 1 + (n >> 4)) {
        for (let b = a + 1; b <= n; b += 1 + (n >> 3)) {
          for (const k of [0, 1, 10]) {
            const tree = comb(n);
            const by = Array.from({ length: k }, (_, i) => part(-i, 10 * a, 10 * b, i, k));
            replaceRanges(tree, 10 * a, 10 * b, by);
            checkTree(tree);
            expect(dump(tree)).toEqual([...teeth(0, a), ...by, ...teeth(b, n)]);
          }
        }
      }
    }
  });

  it('from leaf to leaf of a tree three levels high, however little the nodes at the edges keep', () => {
    const n = 5000;
    const leaf = n / Math.ceil(n / WIDTH);
    for (let i = 0; i < n / leaf; i++) {
      for (let j = i + 1; j < n / leaf; j += 7) {
        const tree = comb(n);
        const [a, b] = [Math.floor(i * leaf), Math.floor(j * leaf) - (j % 2)];
        replaceRanges(tree, 10 * a, 10 * b, []);
        checkTree(tree);
        expect(tree.size).toBe(n - (b - a));
      }
    }
  });

  it('a tree emptied in one change is as a new one, and nothing is lost', () => {
    const tree = comb(3000);
    expect(replaceRanges(tree, 0, 30_000, []).length).toBe(3000);
    checkTree(tree);
    expect([tree.size, tree.height]).toEqual([0, 0]);
    replaceRanges(tree, 0, 30_000, teeth(0, 3000));
    checkTree(tree);
    expect(dump(tree)).toEqual(teeth(0, 3000));
  });

  it('a range that lies partly in the span is refused; nothing changes', () => {
    const tree = comb(500);
    const before = dump(tree);
    for (const [start, end] of [
      [1, 20],
      [1005, 1010],
      [1006, 1011],
      [1001, 1004],
      [0, 2001],
    ] as const) {
      expect(codeOf(() => replaceRanges(tree, start, end, []))).toBe('RANGE_OVERLAP');
    }
    checkTree(tree);
    expect(dump(tree)).toEqual(before);
  });

  it('nothing to erase and nothing to add is no change: cursors stay good', () => {
    const tree = comb(5);
    const version = tree.version;
    expect(replaceRanges(tree, 6, 10, [])).toEqual([]);
    expect(tree.version).toBe(version);
  });

  it('bad bounds, and a list not in order, not in the span, empty or null, name the argument; nothing changes', () => {
    const tree = comb(50);
    const before = dump(tree);
    const one = (start: number, end: number): Tooth[] => [{ start, end, value: 0 }];
    const bad: [number, number, Tooth[], string][] = [
      [-1, 5, [], 'start'],
      [5, 5, [], 'end'],
      [0, 2 ** 53, [], 'end'],
      [10, 20, one(9, 12), 'list[0].start'],
      [10, 20, one(20, 21), 'list[0].start'],
      [10, 20, one(12, 12), 'list[0].end'],
      [10, 20, one(12, 21), 'list[0].end'],
      [10, 20, [...one(12, 14), ...one(13, 15)], 'list[1].start'],
      [10, 20, [...one(14, 15), ...one(12, 13)], 'list[1].start'],
      [10, 20, one(0.5, 15), 'list[0].start'],
      [10, 20, [{ start: 12, end: 13, value: null as unknown as number }], 'list[0].value'],
    ];
    for (const [start, end, list, name] of bad) {
      expect(() => replaceRanges(tree, start, end, list)).toThrow(RangeError);
      expect(() => replaceRanges(tree, start, end, list)).toThrow(`${name}: `);
    }
    expect(dump(tree)).toEqual(before);
  });
});

/** Part `i` of `parts` of the span, with the value. */
function part(value: number, start: number, end: number, i: number, parts: number): Tooth {
  const at = (k: number): number => start + Math.floor((k * (end - start)) / parts);
  return { start: at(i), end: at(i + 1), value };
}

describe('rangesIn', () => {
  it('all ranges that reach into the span, those at its edges too, as a list that a change leaves alone', () => {
    const tree = comb(500);
    const list = rangesIn(tree, 1005, 1021);
    replaceRanges(tree, 0, 5000, []);
    expect(list).toEqual(teeth(100, 103));
    expect(rangesIn(comb(9), 6, 10)).toEqual([]);
    expect(rangesIn(comb(9), 12, 12)).toEqual([]);
    expect(codeOf(() => rangesIn(tree, -1, 5))).toBe('RangeError');
    expect(codeOf(() => rangesIn(tree, 0, NaN))).toBe('RangeError');
  });
});

describe('findPlace: alignment, guard distance, limits', () => {
  it('the start is offset above a multiple, guard numbers below it are free, both from below and from the top', () => {
    const tree = createRangeTree<number>();
    replaceRanges(tree, 0, 1000, [
      { start: 0, end: 100, value: 1 },
      { start: 200, end: 1000, value: 2 },
    ]);
    expect(findPlace(tree, 10, 0, 1000)).toBe(100);
    expect(findPlace(tree, 10, 0, 1000, { topDown: true })).toBe(190);
    expect(findPlace(tree, 10, 0, 1000, { align: 64 })).toBe(128);
    expect(findPlace(tree, 10, 0, 1000, { align: 64, offset: 5 })).toBe(133);
    expect(findPlace(tree, 10, 0, 1000, { align: 64, offset: 5, topDown: true })).toBe(133);
    expect(findPlace(tree, 10, 0, 1000, { guard: 3 })).toBe(103);
    expect(findPlace(tree, 97, 0, 1000, { guard: 3 })).toBe(103);
    expect(findPlace(tree, 98, 0, 1000, { guard: 3 })).toBe(-1);
    expect(findPlace(tree, 10, 150, 1200, { guard: 3, align: 16 })).toBe(160);
    expect(findPlace(tree, 10, 150, 1200, { guard: 3, align: 16, topDown: true })).toBe(1184);
  });

  it('as in Linux it looks for room for any alignment: a hole that just fits is passed over', () => {
    const tree = createRangeTree<number>();
    replaceRanges(tree, 0, 64, [{ start: 0, end: 64, value: 1 }]);
    replaceRanges(tree, 128, 200, [{ start: 128, end: 200, value: 2 }]);
    expect(findPlace(tree, 64, 0, 128, { align: 64 })).toBe(-1);
    expect(findPlace(tree, 64, 0, 1000, { align: 64 })).toBe(256);
  });

  it('a bad length, limit or wish names the argument; what no number can hold is not there', () => {
    const tree = createRangeTree<number>();
    const bad: [() => number, string][] = [
      [() => findPlace(tree, 0, 0, 9), 'length'],
      [() => findPlace(tree, 1, -1, 9), 'low'],
      [() => findPlace(tree, 1, 0, 0.5), 'high'],
      [() => findPlace(tree, 1, 0, 9, { align: 0 }), 'align'],
      [() => findPlace(tree, 1, 0, 9, { align: 4, offset: 4 }), 'offset'],
      [() => findPlace(tree, 1, 0, 9, { offset: 1 }), 'offset'],
      [() => findPlace(tree, 1, 0, 9, { guard: -1 }), 'guard'],
    ];
    for (const [call, name] of bad) {
      expect(call).toThrow(RangeError);
      expect(call).toThrow(`${name}: `);
    }
    expect(findPlace(tree, Number.MAX_SAFE_INTEGER, 0, Number.MAX_SAFE_INTEGER, { guard: 1 })).toBe(-1);
  });
});
