import { describe, expect, it } from 'vitest';
import type { RangeTree } from '../src/index.ts';
import {
  checkTree,
  closeRangeView,
  createRangeCursor,
  createRangeTree,
  eraseRange,
  findGap,
  findGapFromTop,
  findPlace,
  findRange,
  insertRange,
  nextRange,
  openRangeView,
  rangeBefore,
  rangeContaining,
  rangesIn,
  replaceRanges,
  resizeRange,
  seekRange,
} from '../src/index.ts';
import { WIDTH } from '../src/node.ts';
import { codeOf, dump } from './naive.ts';

/** Ranges [10 i, 10 i + 6), value i, for i below n. */
function comb(n: number): RangeTree<number> {
  const tree = createRangeTree<number>();
  const list = Array.from({ length: n }, (_, i) => ({ start: 10 * i, end: 10 * i + 6, value: i }));
  replaceRanges(tree, 0, 10 * n, list);
  return tree;
}

/** Nodes of the pool in use, by the tree or by its views. */
function nodes({ pool }: RangeTree<number>): number {
  let used = pool.used / WIDTH;
  for (let node = pool.free; node >= 0; node = pool.slots[node] as number) used--;
  return used;
}

describe('views: a reader that started before a change sees the old tree (N.17, RCU)', () => {
  it('N.17: a change in the middle of a walk leaves the walk as it was', () => {
    const tree = comb(500);
    const view = openRangeView(tree);
    const cursor = createRangeCursor(view);
    seekRange(cursor, 1000);
    replaceRanges(tree, 0, 5000, [{ start: 7, end: 8, value: -1 }]);
    expect([nextRange(cursor), cursor.start, cursor.value]).toEqual([true, 1010, 101]);
    expect([findRange(view, 0), view.size, findRange(tree, 0), tree.size]).toEqual([0, 500, -1, 1]);
    expect([findGap(view, 4, 0, 5000), findGapFromTop(view, 5, 0, 4990)]).toEqual([6, -1]);
    checkTree(view);
    checkTree(tree);
    closeRangeView(view);
    checkTree(tree);
  });

  it('each change made while it is open is in the next view and not in this one', () => {
    const tree = comb(40);
    const before = dump(tree);
    const changes = [
      (): unknown => insertRange(tree, 6, 8, -1),
      (): unknown => resizeRange(tree, 6, 7, 10),
      (): unknown => eraseRange(tree, 7),
      (): unknown => replaceRanges(tree, 0, 390, []),
    ];
    for (const change of changes) {
      const view = openRangeView(tree);
      const old = dump(tree);
      change();
      expect(dump(view)).toEqual(old);
      expect(dump(tree)).not.toEqual(old);
      closeRangeView(view);
      checkTree(tree);
    }
    expect(dump(tree)).toEqual(before.slice(39));
  });

  it('costs nothing when nobody reads: a change copies no node; with a reader it copies each node once', () => {
    const tree = comb(6000);
    const before = nodes(tree);
    const change = (): void => insertRange(tree, 1000, 1006, eraseRange(tree, 1000));
    change();
    expect(nodes(tree)).toBe(before);
    const view = openRangeView(tree);
    change();
    const copied = nodes(tree);
    expect(copied).toBe(before + tree.height + 1);
    change();
    expect(nodes(tree)).toBe(copied);
    closeRangeView(view);
  });

  it('old nodes are used again when no view sees them, not before, whatever the order of closing', () => {
    const tree = comb(6000);
    const plain = nodes(tree);
    const views = [openRangeView(tree)];
    eraseRange(tree, 1000);
    views.push(openRangeView(tree));
    eraseRange(tree, 1010);
    const path = tree.height + 1;
    expect(nodes(tree)).toBe(plain + 2 * path);
    const length = tree.pool.used;
    // What only the second view saw is free, and the next change's copies take it.
    closeRangeView(views[1]!);
    expect(nodes(tree)).toBe(plain + path);
    const third = openRangeView(tree);
    eraseRange(tree, 1020);
    expect([nodes(tree), tree.pool.used]).toEqual([plain + 2 * path, length]);
    checkTree(tree);
    expect(rangesIn(views[0]!, 1000, 1030).map((r) => r.value)).toEqual([100, 101, 102]);
    closeRangeView(views[0]!);
    expect(rangesIn(third, 1000, 1030).map((r) => r.value)).toEqual([102]);
    closeRangeView(third);
    checkTree(tree);
    expect([nodes(tree), tree.pool.newest, tree.pool.seen]).toEqual([plain, null, -1]);
  });

  it('what a view still holds is not found behind the last range of a full leaf', () => {
    const tree = createRangeTree<number>();
    const high = Array.from({ length: 2 * WIDTH }, (_, i) => ({ start: 1000 + i, end: 1001 + i, value: i }));
    replaceRanges(tree, 1000, 1000 + 2 * WIDTH, high);
    openRangeView(tree);
    replaceRanges(
      tree,
      0,
      1000 + 2 * WIDTH,
      high.slice(0, WIDTH).map((r) => ({ ...r, start: r.start - 900, end: r.end - 900 })),
    );
    // The leaf next in the pool is one of the view.
    expect(tree.pool.starts[tree.root + WIDTH]).toBe(1000);
    expect(codeOf(() => eraseRange(tree, 1000))).toBe('RANGE_ABSENT');
    expect(codeOf(() => resizeRange(tree, 1000, 1000, 1002))).toBe('RANGE_ABSENT');
  });

  it('a view is not changed, viewed or closed twice; a closed one is not read; each by name, and nothing happens', () => {
    const tree = comb(100);
    const view = openRangeView(tree);
    const entry = { start: 1, end: 2, value: 0 };
    const changes = [
      (): unknown => insertRange(view, 6, 7, 0),
      (): unknown => eraseRange(view, 0),
      (): unknown => resizeRange(view, 0, 0, 5),
      (): unknown => replaceRanges(view, 0, 20, [entry]),
      (): unknown => openRangeView(view),
    ];
    for (const change of changes) expect(codeOf(change)).toBe('RANGE_VIEW');
    expect(dump(view)).toEqual(dump(tree));
    expect(codeOf(() => closeRangeView(tree))).toBe('NOT_A_VIEW');
    const cursor = createRangeCursor(view);
    seekRange(cursor, 0);
    closeRangeView(view);
    expect(codeOf(() => nextRange(cursor))).toBe('STALE_CURSOR');
    const reads = [
      (): unknown => findRange(view, 0),
      (): unknown => rangeContaining(view, 0),
      (): unknown => rangeBefore(view, 9),
      (): unknown => seekRange(cursor, 0),
      (): unknown => rangesIn(view, 0, 9),
      (): unknown => findGap(view, 1, 0, 9),
      (): unknown => findGapFromTop(view, 1, 0, 9),
      (): unknown => findPlace(view, 1, 0, 9),
      (): unknown => checkTree(view),
      (): unknown => closeRangeView(view),
    ];
    for (const read of reads) expect(codeOf(read)).toBe('VIEW_CLOSED');
    checkTree(tree);
    expect(tree.size).toBe(100);
  });
});
