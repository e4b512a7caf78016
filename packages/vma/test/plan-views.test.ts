/** N.17: who reads by a view sees a plan done in full or not at all, wherever in it the reader looks. */
import { describe, expect, it } from 'vitest';
import type { RangeTree, Vma, VmaOps, VmaPlan, VmaTree } from '../src/index.ts';
import {
  applyVmaPlan,
  checkTree,
  checkVmaTree,
  closeRangeView,
  eraseVmas,
  openRangeView,
  planExpand,
  planModify,
  planSplit,
  rangesIn,
  VM_LOCKED,
  vmaLookup,
} from '../src/index.ts';
import { codeOf } from './naive.ts';
import { at, BASE, map, PAGE, RW, shape, space } from './space.ts';

const LOCKED = RW | VM_LOCKED;

/** What a reader of the ranges sees, as `shape` writes it. */
function seen(view: RangeTree<Vma>): string {
  checkTree(view);
  const page = (x: number): number => x - BASE / PAGE;
  return rangesIn(view, 0, Number.MAX_SAFE_INTEGER)
    .map(({ start, end }) => `[${page(start)}-${page(end)}]`)
    .join('');
}

/** The tree with one VMA of pages [0, 9) whose file is told of each part, and what readers saw that came meanwhile. */
function watched(): { tree: VmaTree; vma: Vma; met: string[] } {
  const tree = space();
  const met: string[] = [];
  const ops: VmaOps = {
    open: () => {
      const view = openRangeView(tree.ranges);
      met.push(seen(view));
      closeRangeView(view);
    },
  };
  return { tree, vma: map(tree, 0, 9, RW, { ops }), met };
}

/** munlock of part of the locked VMA at page 2. */
function unlock(tree: VmaTree, first: number, last: number): VmaPlan {
  const vma = vmaLookup(tree, at(2))!;
  return planModify(tree, vma, at(first), at(last), vma.flags & ~VM_LOCKED);
}

describe('a reader between', () => {
  it('N.17: a change in the middle: no reader meets one cut without the other', () => {
    const { tree, vma, met } = watched();
    const before = openRangeView(tree.ranges);
    applyVmaPlan(planModify(tree, vma, at(3), at(6), LOCKED));
    expect([seen(before), met]).toEqual(['[0-9]', ['[0-3][3-6][6-9]', '[0-3][3-6][6-9]']]);
    closeRangeView(before);
    checkVmaTree(tree);
  });

  const cases: readonly (readonly [string, string, string, (tree: VmaTree) => VmaPlan])[] = [
    ['both', '[0-2][2-5][5-7]', '[0-7]', (tree) => unlock(tree, 2, 5)],
    ['left', '[0-2][2-5]', '[0-5]', (tree) => unlock(tree, 2, 5)],
    ['right', '[2-5][5-7]', '[2-7]', (tree) => unlock(tree, 2, 5)],
    ['partial left', '[0-2][2-5]', '[0-3][3-5]', (tree) => unlock(tree, 2, 3)],
    ['partial right', '[2-5][5-7]', '[2-4][4-7]', (tree) => unlock(tree, 4, 5)],
    ['split', '[2-5]', '[2-4][4-5]', (tree) => planSplit(tree, vmaLookup(tree, at(2))!, at(4))],
    ['both', '[0-2][5-7]', '[0-7]', (tree) => planExpand(tree, vmaLookup(tree, at(0))!, at(0), at(5))],
  ];
  it.each(cases)('%s: %s to %s in one change', (kind, from, to, make) => {
    const tree = space();
    for (const [, first, last] of from.matchAll(/(\d)-(\d)/g)) {
      map(tree, Number(first), Number(last), first === '2' ? LOCKED : RW);
    }
    const plan = make(tree);
    const { version } = tree.ranges;
    const view = openRangeView(tree.ranges);
    applyVmaPlan(plan);
    expect([plan.kind, seen(view), shape(tree)]).toEqual([kind, from, to]);
    expect(tree.ranges.version).toBe(version + 1);
    closeRangeView(view);
    checkVmaTree(tree);
  });

  it('pieces of a VMA that grew apart count the same pages and the same page offsets', () => {
    const { tree, vma } = watched();
    applyVmaPlan(planModify(tree, vma, at(3), at(6), LOCKED));
    expect([tree.totalPages, tree.mapCount]).toEqual([9, 3]);
    for (const page of [0, 3, 6]) expect(vmaLookup(tree, at(page))!.pgoff).toBe(at(page) / PAGE);
  });
});

describe('eraseVmas', () => {
  it('N.17: all of a span in one step; a reader who came before has them all', () => {
    const tree = space();
    const list = [map(tree, 0, 2), map(tree, 2, 4, LOCKED), map(tree, 6, 7), map(tree, 8, 9)];
    const view = openRangeView(tree.ranges);
    const { version } = tree.ranges;
    eraseVmas(tree, at(2), at(8));
    expect([seen(view), shape(tree), tree.ranges.version - version]).toEqual(['[0-2][2-4][6-7][8-9]', '[0-2][8-9]', 1]);
    expect([list.map((vma) => vma.tree === tree), tree.totalPages]).toEqual([[true, false, false, true], 3]);
    closeRangeView(view);
  });

  it('one that lies partly in the span is refused; so are bad bounds; nothing changes', () => {
    const tree = space();
    map(tree, 0, 4);
    map(tree, 5, 6);
    const { version } = tree.ranges;
    expect(codeOf(() => eraseVmas(tree, at(2), at(6)))).toBe('RANGE_OVERLAP');
    expect(() => eraseVmas(tree, at(2) + 1, at(6))).toThrow(/^start/);
    expect(() => eraseVmas(tree, at(6), at(6))).toThrow(/^end/);
    expect(() => eraseVmas(tree, 0, tree.taskSize + PAGE)).toThrow(/^end/);
    expect([shape(tree), tree.ranges.version, tree.totalPages]).toEqual(['[0-4][5-6]', version, 5]);
  });

  it('an empty span is no change', () => {
    const tree = space();
    const { version } = tree.ranges;
    eraseVmas(tree, at(0), at(9));
    expect(tree.ranges.version).toBe(version);
  });
});
