/**
 * The range tree: non-overlapping half-open ranges [start, end) of numbers, each with a value, in a B+-tree that also
 * knows its holes. It stands where Linux has the maple tree with MT_FLAGS_ALLOC_RANGE (reference N.17; node.ts says
 * what differs). The numbers are whatever the owner counts in: page numbers for VMAs. No locking: the owner's lock, or a
 * view (view.ts).
 */
import { InvariantError } from '@mmkit/base';
import { RangePool, SHIFT, WIDTH, farEndAbove, fetchValues, firstEndAbove, lastEnd } from './node.ts';

/** A tree, or a view of one: then the writer never touches it. */
export class RangeTree<V> {
  /** The nodes; a tree and its views share them. */
  readonly pool: RangePool<V>;
  /** The top node; −1 in a closed view. Written by edit.ts, splice.ts and view.ts only, as are the next three. */
  root: number;
  /** Levels above the leaves: 0 while the root is a leaf, possibly empty. */
  height: number;
  /** No hole between two ranges is longer. Written by path.ts, splice.ts and gap.ts only. */
  gap: number;
  /** Ranges in the tree. */
  size: number;
  /** Counts the changes, so that a cursor made stale by one can say so. */
  version: number;
  /** Of a view: the nodes with a stamp up to it are its own to see; −1 in the tree itself. */
  readonly epoch: number;
  /** Of a view: the next older open view. Written by view.ts only. */
  older: RangeTree<V> | null;
  /** Of a view: nodes that left the tree while it was the newest one. Written by node.ts and view.ts only. */
  readonly retired: number[];
  /** Scratch of path.ts: the path of the change under way. */
  readonly path: number[];

  constructor(pool: RangePool<V>, epoch: number) {
    this.pool = pool;
    this.root = 0;
    this.height = 0;
    this.gap = Infinity;
    this.size = 0;
    this.version = 0;
    this.epoch = epoch;
    this.older = null;
    this.retired = [];
    // Levels a tree can have: 10^12 ranges, were there memory for them.
    this.path = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
  }
}

/** Makes an empty tree. Values may be anything but null, which the lookups use for "no range". */
export function createRangeTree<V>(): RangeTree<V> {
  return new RangeTree<V>(new RangePool<V>(), -1);
}

/** The child of a slot of an inner node. */
export function childOf<V>(pool: RangePool<V>, slot: number): number {
  return pool.slots[slot] as number;
}

/**
 * The slot of the first range whose end is above `x`, −1 if there is none. Throws `RangeError` if `x` is no number,
 * `InvariantError('VIEW_CLOSED')` for a closed view, as all that read do.
 */
export function slotAbove<V>(tree: RangeTree<V>, x: number): number {
  const { pool, root, size } = tree;
  if (root < 0) checkOpen(tree);
  if (size === 0 || !(lastEnd(pool, root) > x)) {
    checkNumber(x);
    return -1;
  }
  const { ends, slots } = pool;
  let s = root;
  for (let level = tree.height; level > 0; level--) s = slots[firstEndAbove(ends, s, x)] as number;
  if (tree.height > 1) fetchValues(pool, s);
  return farEndAbove(ends, s, x);
}

/** The slot of the last range whose start is below `x`, −1 if there is none. */
export function slotBelow<V>(tree: RangeTree<V>, x: number): number {
  const { pool, root, size } = tree;
  if (root < 0) checkOpen(tree);
  const { starts, counts } = pool;
  if (size === 0 || !(starts[root]! < x)) {
    checkNumber(x);
    return -1;
  }
  const above = slotAbove(tree, x);
  if (above >= 0 && starts[above]! < x) return above;
  if (above % WIDTH > 0) return above - 1;
  // Behind the last range, or in the leaf before.
  let node = root;
  for (let level = tree.height; ; level--) {
    let s = node + counts[node >> SHIFT]! - 1;
    while (starts[s]! >= x) s--;
    if (level === 0) return s;
    node = childOf(pool, s);
  }
}

/** The value of the first range whose end is above `x` (it contains `x`, or is the next one), or null: mt_find. */
export function findRange<V>(tree: RangeTree<V>, x: number): V | null {
  const s = slotAbove(tree, x);
  return s < 0 ? null : (tree.pool.slots[s] as V);
}

/** The value of the range that contains `x`, or null: mtree_load. */
export function rangeContaining<V>(tree: RangeTree<V>, x: number): V | null {
  const s = slotAbove(tree, x);
  return s < 0 || tree.pool.starts[s]! > x ? null : (tree.pool.slots[s] as V);
}

/** The value of the last range whose start is below `x`, or null: mt_prev. */
export function rangeBefore<V>(tree: RangeTree<V>, x: number): V | null {
  const s = slotBelow(tree, x);
  return s < 0 ? null : (tree.pool.slots[s] as V);
}

function checkNumber(x: number): void {
  if (typeof x !== 'number' || Number.isNaN(x)) throw new RangeError(`x: expected a number, got ${String(x)}`);
}

/** Throws `InvariantError('VIEW_CLOSED')` for a closed view. */
export function checkOpen<V>(tree: RangeTree<V>): void {
  if (tree.root < 0) throw new InvariantError('VIEW_CLOSED', 'the view has been closed');
}
