/**
 * The range tree beside a sorted array (binary search and splice) at 10, 1,000 and 65,530 ranges, and the cost of an
 * empty tree. One run of a benchmark is BATCH operations, so milliseconds printed are microseconds per operation. The
 * places are drawn anew each time: a batch that repeats is learned by the branch predictor and flatters the array.
 * To be run without vitest's module runner, whose export getters cost more than the tree:
 * `vitest bench --run packages/vma --experimental.viteModuleRunner=false --execArgv=--conditions=@mmkit/source`.
 */
import { describe, test } from 'vitest';
import type { RangeTree } from '../src/index.ts';
import {
  Vma,
  createRangeTree,
  createVmaTree,
  eraseRange,
  findGap,
  findRange,
  insertRange,
  insertVma,
} from '../src/index.ts';

const BATCH = 1000;
/** Range i is [STEP i, STEP i + LENGTH), so all holes are equally long: the dearest case for the tree's summaries. */
const STEP = 4;
const LENGTH = 3;

interface Item {
  readonly start: number;
  readonly end: number;
}

/** Index of the first item whose end is above `x`. */
function search(list: Item[], x: number): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (list[middle]!.end > x) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** A place to look at: the start of one of `n` ranges, at random but the same in every run. */
function place(random: { state: number }, n: number): number {
  random.state = (Math.imul(random.state, 1103515245) + 12345) >>> 0;
  return STEP * Math.floor((random.state / 2 ** 32) * n);
}

for (const n of [10, 1000, 65530]) {
  describe(`${n} ranges, ${BATCH} operations`, () => {
    const items = Array.from({ length: n }, (_, i): Item => ({ start: STEP * i, end: STEP * i + LENGTH }));
    const list = items.slice();
    const tree: RangeTree<Item> = createRangeTree<Item>();
    // Inserted out of order, so that nodes are filled and lie in memory as in a tree that has lived.
    for (let i = 0; i < n; i++) {
      const item = items[(i * 7919) % n]!;
      insertRange(tree, item.start, item.end, item);
    }
    const random = { state: 1 };
    const state = { found: 0 };

    test('look up', async ({ bench }) => {
      await bench.compare(
        bench('range tree', () => {
          for (let i = 0; i < BATCH; i++) state.found += findRange(tree, place(random, n))!.end;
        }),
        bench('sorted array', () => {
          for (let i = 0; i < BATCH; i++) state.found += list[search(list, place(random, n))]!.end;
        }),
      );
    });

    test('erase and insert', async ({ bench }) => {
      await bench.compare(
        bench('range tree', () => {
          for (let i = 0; i < BATCH; i++) {
            const x = place(random, n);
            insertRange(tree, x, x + LENGTH, eraseRange(tree, x));
          }
        }),
        bench('sorted array', () => {
          for (let i = 0; i < BATCH; i++) {
            const x = place(random, n);
            const [item] = list.splice(search(list, x), 1);
            list.splice(search(list, x), 0, item!);
          }
        }),
      );
    });

    test('find a hole', async ({ bench }) => {
      await bench('range tree', () => {
        for (let i = 0; i < BATCH; i++) {
          state.found += findGap(tree, STEP - LENGTH, place(random, n), Number.MAX_SAFE_INTEGER);
        }
      }).run();
    });
  });
}

describe(`a new tree, ${BATCH} of them`, () => {
  test('make', async ({ bench }) => {
    const made: unknown[] = new Array(BATCH).fill(null);
    await bench.compare(
      bench('empty range tree', () => {
        for (let i = 0; i < BATCH; i++) made[i] = createRangeTree<Item>();
      }),
      bench('VMA tree with one VMA', () => {
        for (let i = 0; i < BATCH; i++) {
          const tree = createVmaTree();
          insertVma(tree, new Vma(0x7f00_0000_0000, 0x7f00_0000_4000, 3, 0));
          made[i] = tree;
        }
      }),
    );
  });
});
