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
  openRangeView,
  prevRange,
  rangeBefore,
  rangeContaining,
  replaceRanges,
  resizeRange,
  seekRange,
} from '../src/index.ts';
import { WIDTH, takeNode } from '../src/node.ts';
import { childOf } from '../src/tree.ts';
import { codeOf, dump } from './naive.ts';

/** Ranges [10 i, 10 i + 6), value i, for i below n: holes of 4 between them. */
function comb(n: number): RangeTree<number> {
  const tree = createRangeTree<number>();
  for (let i = 0; i < n; i++) insertRange(tree, 10 * i, 10 * i + 6, i);
  return tree;
}

describe('RangeTree lookups', () => {
  it('an empty tree has no range and one hole', () => {
    const tree = createRangeTree<number>();
    checkTree(tree);
    expect([findRange(tree, 0), rangeContaining(tree, 0), rangeBefore(tree, 9)]).toEqual([null, null, null]);
    expect([findGap(tree, 5, 10, 20), findGapFromTop(tree, 5, 10, 20)]).toEqual([10, 20]);
    expect(seekRange(createRangeCursor(tree), 0)).toBe(false);
  });

  it('bounds are half open: the start is in the range, the end is not', () => {
    const tree = comb(500);
    expect(rangeContaining(tree, 1000)).toBe(100);
    expect(rangeContaining(tree, 1005)).toBe(100);
    expect(rangeContaining(tree, 1006)).toBe(null);
    expect(findRange(tree, 1005)).toBe(100);
    expect(findRange(tree, 1006)).toBe(101);
    expect(rangeBefore(tree, 1000)).toBe(99);
    expect(rangeBefore(tree, 1001)).toBe(100);
  });

  it('there is nothing after the last range and nothing before the first', () => {
    const tree = comb(500);
    expect(findRange(tree, 4996)).toBe(null);
    expect(rangeContaining(tree, 5000)).toBe(null);
    expect(rangeBefore(tree, 0)).toBe(null);
  });

  it('a place that is no number throws RangeError and names the argument', () => {
    for (const tree of [comb(0), comb(500)]) {
      for (const look of [findRange, rangeContaining, rangeBefore]) {
        for (const x of [NaN, undefined, {}, 'x']) expect(() => look(tree, x as number)).toThrow('x: ');
      }
    }
  });

  it('ranges that touch are two ranges', () => {
    const tree = createRangeTree<number>();
    insertRange(tree, 5, 10, 1);
    insertRange(tree, 10, 12, 2);
    expect([rangeContaining(tree, 9), rangeContaining(tree, 10)]).toEqual([1, 2]);
    expect(findGap(tree, 1, 5, 12)).toBe(-1);
  });
});

describe('RangeTree changes', () => {
  it('N.17: no two ranges overlap; a refused insert changes nothing', () => {
    const tree = comb(500);
    const before = dump(tree);
    for (const [start, end] of [
      [1000, 1001],
      [1005, 1007],
      [999, 1001],
      [0, 9000],
      [1006, 1011],
    ] as const) {
      expect(codeOf(() => insertRange(tree, start, end, -1))).toBe('RANGE_OVERLAP');
    }
    checkTree(tree);
    expect(dump(tree)).toEqual(before);
  });

  it('erase names a start; a refused erase changes nothing', () => {
    const tree = comb(500);
    const before = dump(tree);
    for (const start of [1001, 1006, 999, 5000]) expect(codeOf(() => eraseRange(tree, start))).toBe('RANGE_ABSENT');
    expect(dump(tree)).toEqual(before);
    expect(eraseRange(tree, 1000)).toBe(100);
    expect(tree.size).toBe(499);
  });

  it('resize keeps the order: a neighbour is not run over, across leaves too; a refused one changes nothing', () => {
    const tree = comb(500);
    const before = dump(tree);
    for (let i = 1; i < 499; i++) {
      expect(codeOf(() => resizeRange(tree, 10 * i, 10 * i - 5, 10 * i + 6))).toBe('RANGE_OVERLAP');
      expect(codeOf(() => resizeRange(tree, 10 * i, 10 * i, 10 * i + 11))).toBe('RANGE_OVERLAP');
    }
    expect(codeOf(() => resizeRange(tree, 3, 3, 4))).toBe('RANGE_ABSENT');
    expect(dump(tree)).toEqual(before);
    resizeRange(tree, 1000, 996, 1010);
    checkTree(tree);
    expect([rangeContaining(tree, 996), rangeContaining(tree, 1009)]).toEqual([100, 100]);
  });

  it('bounds that are no range throw RangeError and change nothing', () => {
    const tree = comb(3);
    const before = dump(tree);
    for (const [start, end] of [
      [5, 5],
      [7, 6],
      [-1, 1],
      [0.5, 1],
      [NaN, 1],
      [0, 2 ** 53],
      [0, Infinity],
    ] as const) {
      expect(codeOf(() => insertRange(tree, start, end, 0))).toBe('RangeError');
      expect(codeOf(() => resizeRange(tree, 0, start, end))).toBe('RangeError');
    }
    expect(() => insertRange(tree, NaN, 1, 0)).toThrow('start: ');
    expect(() => insertRange(tree, 6, 6, 0)).toThrow('end: ');
    expect(() => insertRange(tree, 6, 7, null as unknown as number)).toThrow('value: ');
    expect(() => resizeRange(tree, 0, -1, 5)).toThrow('newStart: ');
    expect(() => resizeRange(tree, 0, 5, 5)).toThrow('newEnd: ');
    expect(dump(tree)).toEqual(before);
  });

  it('a tree that is emptied is as a new one, and its values can be collected', () => {
    const tree = comb(3000);
    for (let i = 0; i < 3000; i++) eraseRange(tree, 10 * ((i * 7) % 3000));
    checkTree(tree);
    expect([tree.size, tree.height, tree.pool.slots.some((slot) => typeof slot === 'object' && slot !== null)]).toEqual(
      [0, 0, false],
    );
  });
});

describe('RangeTree holes', () => {
  it('the lowest and the highest hole long enough, cut by the limits', () => {
    const tree = comb(2000);
    eraseRange(tree, 5000);
    expect(findGap(tree, 14, 0, 30_000)).toBe(4996);
    expect(findGapFromTop(tree, 14, 0, 19_990)).toBe(5010);
    expect(findGap(tree, 14, 4997, 19_000)).toBe(-1);
    expect(findGap(tree, 13, 4997, 19_000)).toBe(4997);
    expect(findGapFromTop(tree, 14, 0, 5009)).toBe(-1);
    expect(findGapFromTop(tree, 13, 0, 5009)).toBe(5009);
  });

  it('a hole that was filled again is looked for once in vain, from either side, and then known for what it is', () => {
    for (const find of [findGap, findGapFromTop]) {
      const tree = comb(6000);
      const longest = (): number => Math.max(...tree.pool.gaps.slice(tree.root, tree.root + 2));
      insertRange(tree, 5000, 5006, eraseRange(tree, 5000));
      expect([tree.height, longest()]).toEqual([2, 14]);
      expect(find(tree, 5, 0, 59_996)).toBe(-1);
      expect(longest()).toBe(4);
      checkTree(tree);
    }
  });

  it('N.17: after a search in vain a hole is found wherever a range goes, shrinks or leaves several in its place', () => {
    const full = createRangeTree<number>();
    for (let i = 0; i < 5000; i++) insertRange(full, 10 * i, 10 * i + 10, i);
    const found = (): number[] => [findGap(full, 4, 0, 50_000), findGapFromTop(full, 4, 0, 50_000)];
    const changes: ((at: number) => void)[] = [
      (at) => void eraseRange(full, at),
      (at) => resizeRange(full, at, at + 4, at + 10),
      (at) => void replaceRanges(full, at, at + 10, []),
      (at) => void replaceRanges(full, at, at + 10, [{ start: at + 4, end: at + 10, value: 1 }]),
    ];
    // Every range of two leaves, whatever their edges are.
    for (let at = 20_000; at < 21_000; at += 10) {
      for (const change of changes) {
        expect(found()).toEqual([-1, -1]);
        expect(full.gap).toBe(3);
        change(at);
        checkTree(full);
        expect(found()[0]).toBe(at);
        expect(found()[1]).toBe(full.size === 5000 ? at + 4 : at + 10);
        replaceRanges(full, at, at + 10, [{ start: at, end: at + 10, value: 1 }]);
      }
    }
  });

  it('what lies before the first and after the last range is a hole within the limits', () => {
    const tree = createRangeTree<number>();
    insertRange(tree, 100, 200, 1);
    expect([findGap(tree, 100, 0, 300), findGapFromTop(tree, 100, 0, 300)]).toEqual([0, 300]);
    expect([findGap(tree, 101, 0, 301), findGapFromTop(tree, 101, 0, 301)]).toEqual([200, 301]);
    expect([findGap(tree, 101, 0, 300), findGapFromTop(tree, 101, 0, 300)]).toEqual([-1, -1]);
    expect([findGap(tree, 10, 120, 130), findGapFromTop(tree, 10, 120, 130)]).toEqual([-1, -1]);
    expect([findGap(tree, 1, 9, 8), findGapFromTop(tree, 1, 9, 8)]).toEqual([-1, -1]);
  });

  it('a bad length or limit throws RangeError', () => {
    const tree = comb(3);
    for (const find of [findGap, findGapFromTop]) {
      for (const length of [0, -1, 0.5, NaN]) expect(codeOf(() => find(tree, length, 0, 9))).toBe('RangeError');
      expect(codeOf(() => find(tree, 1, -1, 9))).toBe('RangeError');
      expect(codeOf(() => find(tree, 1, 0, Infinity))).toBe('RangeError');
    }
  });
});

describe('RangeCursor', () => {
  it('walks up and down from where it was placed, and stands on none past the ends', () => {
    const cursor = createRangeCursor(comb(500));
    expect(nextRange(cursor)).toBe(false);
    expect(seekRange(cursor, 1006)).toBe(true);
    expect([cursor.start, cursor.end, cursor.value]).toEqual([1010, 1016, 101]);
    let steps = 0;
    while (prevRange(cursor)) steps++;
    expect([steps, cursor.value]).toEqual([101, null]);
    seekRange(cursor, 0);
    for (steps = 0; nextRange(cursor); ) steps++;
    expect([steps, cursor.start, cursor.end, cursor.value]).toEqual([499, 0, 0, null]);
    expect([seekRange(cursor, 4996), cursor.value]).toEqual([false, null]);
  });

  it('a step after a change throws STALE_CURSOR; seeking again is fine', () => {
    const tree = comb(5);
    const cursor = createRangeCursor(tree);
    const changes = [
      (): unknown => insertRange(tree, 100, 101, 9),
      (): unknown => resizeRange(tree, 100, 100, 102),
      (): unknown => eraseRange(tree, 100),
    ];
    for (const change of changes) {
      seekRange(cursor, 0);
      change();
      expect(codeOf(() => nextRange(cursor))).toBe('STALE_CURSOR');
      expect(codeOf(() => prevRange(cursor))).toBe('STALE_CURSOR');
      expect(seekRange(cursor, 0) && nextRange(cursor)).toBe(true);
    }
  });
});

describe('checkTree', () => {
  /** The first slot of child `i` of the root. */
  const child = (tree: RangeTree<number>, i: number): number => childOf(tree.pool, tree.root + i);
  const breaks: Record<string, (tree: RangeTree<number>) => void> = {
    'an empty range': (tree) => void (tree.pool.ends[child(tree, 0) + 3] = 30),
    'ranges out of order': (tree) => void (tree.pool.starts[child(tree, 1) + 2] = 0),
    'a summary with the wrong start': (tree) => void tree.pool.starts[tree.root + 1]!++,
    'a summary with the wrong end': (tree) => void tree.pool.ends[tree.root + 1]!--,
    'a summary with too short a hole': (tree) => void (tree.pool.gaps[tree.root + 1] = 3),
    'a node with too few slots': (tree) => void (tree.pool.counts[child(tree, 1) / WIDTH] = 9),
    'a node with too many slots': (tree) => void (tree.pool.counts[tree.root / WIDTH] = WIDTH + 1),
    'an inner root with one child': (tree) => void (tree.pool.counts[tree.root / WIDTH] = 1),
    'a longer hole than there is said to be': (tree) => void (tree.gap = 3),
    'a wrong size': (tree) => void tree.size++,
    'a value left in an unused slot': (tree) => void (tree.pool.slots[child(tree, 0) + WIDTH - 1] = 1),
    'an end left in an unused slot': (tree) => void (tree.pool.ends[child(tree, 0) + WIDTH - 1] = 1),
    'a child in two places': (tree) => void (tree.pool.slots[tree.root + 1] = tree.pool.slots[tree.root]!),
    'a node that is nowhere': (tree) => void takeNode(tree.pool),
    'a node both used and free': (tree) => void (tree.pool.free = child(tree, 0)),
    'a node only the tree sees below one that a view sees': (tree) => {
      openRangeView(tree);
      tree.pool.stamps[child(tree, 1) / WIDTH] = tree.pool.epoch;
    },
  };
  it('a leaf that is no node of the pool is found by whoever goes there, in a tree three levels high', () => {
    const tree = comb(3000);
    tree.pool.slots[child(tree, 0) + 1] = 1 << 20;
    const x = tree.pool.starts[child(tree, 0) + 1]!;
    expect(codeOf(() => findRange(tree, x))).toBe('TREE_BROKEN');
    expect(codeOf(() => eraseRange(tree, x))).toBe('TREE_BROKEN');
  });

  for (const [what, damage] of Object.entries(breaks)) {
    it(`N.17: finds ${what}`, () => {
      const tree = comb(100);
      checkTree(tree);
      damage(tree);
      expect(codeOf(() => checkTree(tree))).toBe('TREE_BROKEN');
    });
  }
});
