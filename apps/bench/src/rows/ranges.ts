/** The range tree beside npm's sorted and interval trees: look up, erase and insert, in random order. */
import FlattenTree from '@flatten-js/interval-tree';
import { createRangeTree, eraseRange, findRange, insertRange } from '@mmkit/vma';
import { RBTree } from 'bintrees';
import createRedBlackTree from 'functional-red-black-tree';
import { IntervalTree } from 'node-interval-tree';
import sorted from 'sorted-btree';
import type { Row } from '../row.ts';
import { expectCount, time } from '../row.ts';

/** Numbers of ranges; the last is the limit of vm.max_map_count. */
const SIZES = [10, 1000, 65_530];
const STEP = 4;
const LENGTH = 3;
const CALLS = 1000;

interface Item {
  readonly low: number;
  /** The last number in it. */
  readonly high: number;
}

/** An index of ranges, all that the rows ask of it; a range begins at `low`. */
interface Index {
  insert(low: number): void;
  /** Erases the range and inserts it again. */
  change(low: number): void;
  find(x: number): Item;
}

function makeItem(low: number): Item {
  return { low, high: low + LENGTH - 1 };
}

function ours(): Index {
  const tree = createRangeTree<Item>();
  return {
    insert: (low) => insertRange(tree, low, low + LENGTH, makeItem(low)),
    change: (low) => insertRange(tree, low, low + LENGTH, eraseRange(tree, low)),
    find: (x) => findRange(tree, x)!,
  };
}

function sortedBtree(): Index {
  const tree = new sorted.default<number, Item>();
  const insert = (low: number): unknown => tree.set(low, makeItem(low));
  return {
    insert,
    change: (low) => tree.delete(low) && insert(low),
    find: (x) => tree.getPairOrNextLower(x)![1],
  };
}

function functionalRedBlackTree(): Index {
  let tree = createRedBlackTree<number, Item>((a, b) => a - b);
  return {
    insert: (low) => (tree = tree.insert(low, makeItem(low))),
    change: (low) => (tree = tree.remove(low).insert(low, makeItem(low))),
    find: (x) => tree.le(x).value,
  };
}

function bintrees(): Index {
  const tree = new RBTree<Item>((a, b) => a.low - b.low);
  const insert = (low: number): unknown => tree.insert(makeItem(low));
  return {
    insert,
    change: (low) => tree.remove(makeItem(low)) && insert(low),
    find: (x) => tree.upperBound(makeItem(x)).prev()!,
  };
}

function flatten(): Index {
  const tree = new FlattenTree<Item>();
  const items: Item[] = [];
  return {
    insert: (low) => tree.insert([low, low + LENGTH - 1], (items[low / STEP] = makeItem(low))),
    change: (low) => {
      const item = items[low / STEP]!;
      tree.remove([low, item.high], item);
      tree.insert([low, item.high], item);
    },
    find: (x) => tree.search([x, x])[0] as Item,
  };
}

function nodeIntervalTree(): Index {
  const tree = new IntervalTree<Item>();
  const items: Item[] = [];
  return {
    insert: (low) => tree.insert((items[low / STEP] = makeItem(low))),
    change: (low) => tree.remove(items[low / STEP]!) && tree.insert(items[low / STEP]!),
    find: (x) => tree.search(x, x)[0]!,
  };
}

/** Samples of `make()` with `size` ranges; `change`: erase and insert, else look up. */
function sampler(make: () => Index, size: number, change: boolean): (which: number) => () => number {
  return (which) => {
    const index = make();
    // Out of order, so that nodes are filled and lie in memory as in a tree that has lived.
    for (let i = 0; i < size; i++) index.insert(STEP * ((i * 7919) % size));
    let random = 1 + which;
    return () =>
      time(CALLS, () => {
        for (let i = 0; i < CALLS; i++) {
          random = (Math.imul(random, 1103515245) + 12345) >>> 0;
          const low = STEP * Math.floor((random / 2 ** 32) * size);
          if (change) index.change(low);
          else expectCount(index.find(low + 1).low, low);
        }
      });
  };
}

function rangeRow(size: number, change: boolean): Row {
  const sample = (make: () => Index) => sampler(make, size, change);
  const largest = size === SIZES[SIZES.length - 1];
  return {
    name: `range ${change ? 'erase + insert' : 'lookup'} at ${size.toLocaleString('en')}`,
    unit: 'ns',
    goal: largest ? (change ? 800 : 500) : null,
    ratioGoal: largest ? (change ? 0.5 : 0.4) : null,
    native: null,
    make: sample(ours),
    beside: {
      'sorted-btree': sample(sortedBtree),
      'functional-red-black-tree': sample(functionalRedBlackTree),
      bintrees: sample(bintrees),
      '@flatten-js/interval-tree': sample(flatten),
      'node-interval-tree': sample(nodeIntervalTree),
    },
  };
}

export const rangeRows: readonly Row[] = SIZES.flatMap((size) => [rangeRow(size, false), rangeRow(size, true)]);
