/**
 * A cursor walks the ranges in order; it goes down from the root only where it comes to a leaf's edge, and makes no
 * garbage. Linux: `struct ma_state` with mas_find, mas_next and mas_prev. Valid until the next change of the tree, in a
 * view until that is closed; a step with a stale cursor throws `InvariantError('STALE_CURSOR')`: seek again.
 */
import { InvariantError, checkInteger } from '@mmkit/base';
import { NO_END, WIDTH } from './node.ts';
import type { RangeTree } from './tree.ts';
import { slotAbove, slotBelow } from './tree.ts';

export class RangeCursor<V> {
  /** The tree or view walked. */
  readonly tree: RangeTree<V>;
  /** Bounds and value of the range it stands on; 0, 0, null when on none. Written by this file only, as all below. */
  start: number;
  end: number;
  value: V | null;
  /** The slot of that range; −1 when on none. */
  slot: number;
  /** The tree's version when it was placed. */
  version: number;

  constructor(tree: RangeTree<V>) {
    this.tree = tree;
    this.start = 0;
    this.end = 0;
    this.value = null;
    this.slot = -1;
    this.version = tree.version;
  }
}

/** A range and its value, as `replaceRanges` takes and `rangesIn` gives them. */
export interface RangeEntry<V> {
  /** First number in it. */
  readonly start: number;
  /** First number after it. */
  readonly end: number;
  /** Anything but null. */
  readonly value: V;
}

/** Makes a cursor that stands on no range yet. */
export function createRangeCursor<V>(tree: RangeTree<V>): RangeCursor<V> {
  return new RangeCursor(tree);
}

/** Goes to the first range whose end is above `x`; false if there is none. Throws `RangeError` if `x` is no number. */
export function seekRange<V>(cursor: RangeCursor<V>, x: number): boolean {
  const slot = slotAbove(cursor.tree, x);
  cursor.version = cursor.tree.version;
  return place(cursor, slot);
}

/** Goes to the next higher range; false if there is none, and the cursor then stands on none. */
export function nextRange<V>(cursor: RangeCursor<V>): boolean {
  const slot = current(cursor);
  if (slot < 0) return false;
  const next = slot + 1;
  const inside = next % WIDTH > 0 && cursor.tree.pool.ends[next] !== NO_END;
  return place(cursor, inside ? next : slotAbove(cursor.tree, cursor.end));
}

/** Goes to the next lower range; false if there is none, and the cursor then stands on none. */
export function prevRange<V>(cursor: RangeCursor<V>): boolean {
  const slot = current(cursor);
  if (slot < 0) return false;
  return place(cursor, slot % WIDTH > 0 ? slot - 1 : slotBelow(cursor.tree, cursor.start));
}

/**
 * All ranges that reach into [start, end), in order: a list of its own, so the tree may change while it is walked.
 * O(log n + length). Throws `RangeError` for bounds that are not integers of 0 or more.
 */
export function rangesIn<V>(tree: RangeTree<V>, start: number, end: number): RangeEntry<V>[] {
  checkInteger('start', start, 0, Number.MAX_SAFE_INTEGER);
  checkInteger('end', end, 0, Number.MAX_SAFE_INTEGER);
  const cursor = createRangeCursor(tree);
  const list: RangeEntry<V>[] = [];
  for (let more = start < end && seekRange(cursor, start); more && cursor.start < end; more = nextRange(cursor)) {
    list.push({ start: cursor.start, end: cursor.end, value: cursor.value! });
  }
  return list;
}

function current<V>(cursor: RangeCursor<V>): number {
  if (cursor.version !== cursor.tree.version) {
    throw new InvariantError('STALE_CURSOR', 'the tree has changed since the cursor was placed');
  }
  return cursor.slot;
}

function place<V>(cursor: RangeCursor<V>, slot: number): boolean {
  const { pool } = cursor.tree;
  cursor.slot = slot;
  cursor.start = slot < 0 ? 0 : pool.starts[slot]!;
  cursor.end = slot < 0 ? 0 : pool.ends[slot]!;
  cursor.value = slot < 0 ? null : (pool.slots[slot] as V);
  return slot >= 0;
}
