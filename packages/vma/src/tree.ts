/**
 * The range tree: non-overlapping half-open ranges [start, end) of numbers, each with a value, in a B+-tree that also
 * knows its holes. It stands where Linux has the maple tree with MT_FLAGS_ALLOC_RANGE (reference N.17; node.ts says
 * what differs). The numbers are whatever the owner counts in: page numbers for VMAs. No locking: the owner's lock.
 */
import { RangeNode, childAt, firstEndAbove, lastStartBelow, valueAt } from './node.ts';

export class RangeTree<V> {
  /** The top node; a leaf, possibly empty, while there are few ranges. Written by edit.ts only. */
  root: RangeNode<V>;
  /** Ranges in the tree. Written by edit.ts only. */
  size: number;
  /** Counts the changes, so that a cursor made stale by one can say so. Written by edit.ts only. */
  version: number;
  /** Scratch of edit.ts: the hole an insert takes from or an erase leaves, −1 at the edge of a leaf. */
  hole: number;

  constructor() {
    this.root = new RangeNode<V>(true);
    this.size = 0;
    this.version = 0;
    this.hole = -1;
  }
}

/** Makes an empty tree. Values may be anything but null, which the lookups use for "no range". */
export function createRangeTree<V>(): RangeTree<V> {
  return new RangeTree<V>();
}

/** The leaf that holds the first range whose end is above `x`; null if there is none. */
export function leafAbove<V>(tree: RangeTree<V>, x: number): RangeNode<V> | null {
  let node = tree.root;
  while (!node.leaf) {
    const i = firstEndAbove(node, x);
    if (i === node.count) return null;
    node = childAt(node, i);
  }
  return node.count > 0 && node.ends[node.count - 1]! > x ? node : null;
}

/** The value of the first range whose end is above `x` (it contains `x`, or is the next one), or null: mt_find. */
export function findRange<V>(tree: RangeTree<V>, x: number): V | null {
  const leaf = leafAbove(tree, x);
  return leaf === null ? null : valueAt(leaf, firstEndAbove(leaf, x));
}

/** The value of the range that contains `x`, or null: mtree_load. */
export function rangeContaining<V>(tree: RangeTree<V>, x: number): V | null {
  const leaf = leafAbove(tree, x);
  if (leaf === null) return null;
  const i = firstEndAbove(leaf, x);
  return leaf.starts[i]! <= x ? valueAt(leaf, i) : null;
}

/** The value of the last range whose start is below `x`, or null: mt_prev. */
export function rangeBefore<V>(tree: RangeTree<V>, x: number): V | null {
  let node = tree.root;
  for (;;) {
    const i = lastStartBelow(node, x);
    if (i < 0) return null;
    if (node.leaf) return valueAt(node, i);
    node = childAt(node, i);
  }
}
