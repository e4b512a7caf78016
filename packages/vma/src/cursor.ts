/**
 * A cursor walks the ranges in order along the linked leaves, without going down from the root for each and without
 * garbage. Linux: `struct ma_state` with mas_find, mas_next and mas_prev. Valid until the next change of the tree;
 * a step with a stale cursor throws `InvariantError('STALE_CURSOR')`: seek again.
 */
import { InvariantError } from '@mmkit/base';
import type { RangeNode } from './node.ts';
import { firstEndAbove, valueAt } from './node.ts';
import type { RangeTree } from './tree.ts';
import { leafAbove } from './tree.ts';

export class RangeCursor<V> {
  /** The tree walked. */
  readonly tree: RangeTree<V>;
  /** Bounds and value of the range it stands on; 0, 0, null when on none. Written by this file only, as all below. */
  start: number;
  end: number;
  value: V | null;
  /** Leaf and slot of that range; the leaf is null when on none. */
  leaf: RangeNode<V> | null;
  slot: number;
  /** The tree's version when it was placed. */
  version: number;

  constructor(tree: RangeTree<V>) {
    this.tree = tree;
    this.start = 0;
    this.end = 0;
    this.value = null;
    this.leaf = null;
    this.slot = 0;
    this.version = tree.version;
  }
}

/** Makes a cursor that stands on no range yet. */
export function createRangeCursor<V>(tree: RangeTree<V>): RangeCursor<V> {
  return new RangeCursor(tree);
}

/** Goes to the first range whose end is above `x`; false if there is none. */
export function seekRange<V>(cursor: RangeCursor<V>, x: number): boolean {
  const leaf = leafAbove(cursor.tree, x);
  cursor.version = cursor.tree.version;
  return place(cursor, leaf, leaf === null ? 0 : firstEndAbove(leaf, x));
}

/** Goes to the next higher range; false if there is none, and the cursor then stands on none. */
export function nextRange<V>(cursor: RangeCursor<V>): boolean {
  const leaf = current(cursor);
  if (leaf === null || cursor.slot + 1 < leaf.count) return place(cursor, leaf, cursor.slot + 1);
  return place(cursor, leaf.next, 0);
}

/** Goes to the next lower range; false if there is none, and the cursor then stands on none. */
export function prevRange<V>(cursor: RangeCursor<V>): boolean {
  const leaf = current(cursor);
  if (leaf === null || cursor.slot > 0) return place(cursor, leaf, cursor.slot - 1);
  return place(cursor, leaf.prev, leaf.prev === null ? 0 : leaf.prev.count - 1);
}

function current<V>(cursor: RangeCursor<V>): RangeNode<V> | null {
  if (cursor.version !== cursor.tree.version) {
    throw new InvariantError('STALE_CURSOR', 'the tree has changed since the cursor was placed');
  }
  return cursor.leaf;
}

function place<V>(cursor: RangeCursor<V>, leaf: RangeNode<V> | null, slot: number): boolean {
  cursor.leaf = leaf;
  cursor.slot = slot;
  cursor.start = leaf === null ? 0 : leaf.starts[slot]!;
  cursor.end = leaf === null ? 0 : leaf.ends[slot]!;
  cursor.value = leaf === null ? null : valueAt(leaf, slot);
  return leaf !== null;
}
