/**
 * Paths: the slot at each level on the way down to a place, leaf first (`path[0]`). What a change needs to repair the
 * nodes above it, and to copy those that a view sees. Linux: struct ma_state walks by parent pointers, which copied
 * nodes do not allow.
 */
import { SHIFT, copyNode, fetchStarts, fetchValues, firstEndAbove, lastEnd, longestHole, retireNode } from './node.ts';
import type { RangeTree } from './tree.ts';
import { childOf } from './tree.ts';

/**
 * The path to the first range whose end is above `x`, else to the place behind the last one. The array is the tree's
 * scratch: valid until the next call.
 */
export function pathTo<V>(tree: RangeTree<V>, x: number): number[] {
  const { pool, path, root, height, size } = tree;
  const { ends, counts } = pool;
  let node = root;
  if (size > 0 && lastEnd(pool, root) > x) {
    for (let level = height; level > 0; level--) {
      const s = firstEndAbove(ends, node, x);
      path[level] = s;
      node = childOf(pool, s);
    }
    if (height > 1) {
      fetchValues(pool, node);
      fetchStarts(pool, node);
    }
    path[0] = firstEndAbove(ends, node, x);
    return path;
  }
  for (let level = height; level > 0; level--) {
    const s = node + counts[node >> SHIFT]! - 1;
    path[level] = s;
    node = childOf(pool, s);
  }
  path[0] = node + counts[node >> SHIFT]!;
  return path;
}

/** The node of a path at a level. */
export function nodeOn<V>(tree: RangeTree<V>, path: number[], level: number): number {
  return level === tree.height ? tree.root : childOf(tree.pool, path[level + 1]!);
}

/** Makes the nodes of a path the tree's own: what an open view sees is copied, from the top, and the path led there. */
export function own<V>(tree: RangeTree<V>, path: number[]): void {
  const { pool, height } = tree;
  if (pool.seen < 0) return;
  for (let level = height; level >= 0; level--) {
    const node = nodeOn(tree, path, level);
    if (pool.stamps[node >> SHIFT]! > pool.seen) continue;
    const copy = copyNode(pool, node);
    retireNode(pool, node);
    path[level]! += copy - node;
    if (level === height) tree.root = copy;
    else pool.slots[path[level + 1]!] = copy;
  }
}

/**
 * Brings the summaries at `level` and above up to date, as far as they change; below them `hole` is the longest that may be
 * new. One that got shorter is left to gap.ts. The nodes must be the tree's own.
 */
export function repair<V>(tree: RangeTree<V>, path: number[], level: number, hole: number): void {
  const { pool, height } = tree;
  const { ends, starts, gaps } = pool;
  for (; level <= height; level++) {
    const s = path[level]!;
    const child = childOf(pool, s);
    const start = starts[child]!;
    const end = lastEnd(pool, child);
    if (starts[s] === start && ends[s] === end && gaps[s]! >= hole) return;
    starts[s] = start;
    ends[s] = end;
    gaps[s] = Math.max(gaps[s]!, hole);
    hole = Math.max(hole, longestHole(pool, s, s + 1));
  }
  tree.gap = Math.max(tree.gap, hole);
}
