/**
 * The tree's invariants, our counterpart of N.17's (mas_validate): for tests and for a machine's own checks. Time O(n).
 */
import { InvariantError } from '@mmkit/base';
import type { RangePool } from './node.ts';
import { MIN_FILL, NO_END, SHIFT, WIDTH, largestGap, lastEnd } from './node.ts';
import type { RangeTree } from './tree.ts';
import { checkOpen, childOf } from './tree.ts';

/**
 * Throws `InvariantError('TREE_BROKEN')` unless, in a tree or a view: ranges are not empty, in order, and do not
 * overlap; every node but the root uses MIN_FILL to WIDTH slots and an inner root at least two; a parent's slot holds its
 * child's first start, last end and no shorter a hole than its largest; `size` is the number of ranges; slots not in use hold nothing; every
 * node of the pool is in the tree, left to one of its views, or free; above a node that no view sees is none that one
 * sees.
 */
export function checkTree<V>(tree: RangeTree<V>): void {
  checkOpen(tree);
  const { pool, root, height } = tree;
  const nodes = new Set<number>();
  must(height === 0 || pool.counts[root >> SHIFT]! >= 2, 'an inner root has one child');
  const size = checkNode(pool, root, height, nodes);
  must(tree.gap >= largestGap(pool, root, height === 0), 'a hole is longer than the longest');
  must(tree.size === size, `size is ${tree.size}, there are ${size} ranges`);
  if (tree.epoch >= 0) return;
  for (let view = pool.newest; view !== null; view = view.older) {
    for (const node of view.retired) meet(nodes, node);
  }
  for (let node = pool.free; node >= 0; node = pool.slots[node] as number) meet(nodes, node);
  must(nodes.size * WIDTH === pool.used, 'a node is lost');
}

/** The ranges below `node`. */
function checkNode<V>(pool: RangePool<V>, node: number, level: number, nodes: Set<number>): number {
  const { ends, starts, gaps, slots, counts, stamps, seen } = pool;
  const last = node + counts[node >> SHIFT]!;
  meet(nodes, node);
  must(last <= node + WIDTH, 'a node uses too many slots');
  let size = 0;
  for (let s = node; s < last; s++) {
    must(starts[s]! < ends[s]!, 'a range is empty');
    must(s === node || ends[s - 1]! <= starts[s]!, 'ranges overlap or are out of order');
    if (level === 0) continue;
    const child = childOf(pool, s);
    must(counts[child >> SHIFT]! >= MIN_FILL, 'a node uses too few slots');
    must(starts[s] === starts[child], 'a summary has the wrong start');
    must(ends[s] === lastEnd(pool, child), 'a summary has the wrong end');
    must(gaps[s]! >= largestGap(pool, child, level === 1), 'a summary has too short a largest hole');
    must(stamps[node >> SHIFT]! > seen || stamps[child >> SHIFT]! <= seen, 'a view sees a node that may change');
    size += checkNode(pool, child, level - 1, nodes);
  }
  for (let s = last; s < node + WIDTH; s++) {
    must(slots[s] === null && ends[s] === NO_END, 'an unused slot holds something');
  }
  return level === 0 ? last - node : size;
}

function meet(nodes: Set<number>, node: number): void {
  must(!nodes.has(node), 'a node is used twice');
  nodes.add(node);
}

function must(condition: boolean, message: string): void {
  if (!condition) throw new InvariantError('TREE_BROKEN', message);
}
