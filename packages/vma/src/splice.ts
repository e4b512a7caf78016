/**
 * Replaces a stretch of the tree's slots by others, level by level from the leaves: where an insert or an erase does not
 * fit in its leaf, and where a span that is replaced in one step reaches over leaves or does not fit. Of each level only
 * the outer two nodes of the stretch are looked at; what lies between them is dropped whole. What they keep and what is
 * new is dealt evenly to as few new nodes as hold it, with a neighbour's slots if it would be too little for one. It
 * ends at the first node that can take the change in place. Linux: mas_wr_spanning_store, mas_spanning_rebalance. Time
 * O(log n + k) for k new ranges, the dropped ones paid for by their insertion.
 */
import type { RangePool } from './node.ts';
import { MIN_FILL, SHIFT, WIDTH, clearSlots, largestGap, lastEnd, retireNode, takeNode } from './node.ts';
import { nodeOn, repair } from './path.ts';
import type { RangeTree } from './tree.ts';
import { childOf } from './tree.ts';

/** Slots of one level in order, as in the pool. */
export interface Row<V> {
  readonly starts: number[];
  readonly ends: number[];
  readonly gaps: number[];
  readonly slots: (V | number | null)[];
}

export function emptyRow<V>(): Row<V> {
  return { starts: [], ends: [], gaps: [], slots: [] };
}

export function pushSlot<V>(row: Row<V>, start: number, end: number, gap: number, slot: V | number | null): void {
  row.starts.push(start);
  row.ends.push(end);
  row.gaps.push(gap);
  row.slots.push(slot);
}

/** Where the stretch begins and ends, and what it leaves behind. */
interface Stretch<V> {
  readonly tree: RangeTree<V>;
  /** Path to the first slot replaced. */
  readonly left: number[];
  /** Path to the first slot kept after it; at inner levels its slot is replaced too. */
  readonly right: number[];
  /** Nodes looked at, to be given up when all is done. */
  readonly spent: number[];
}

/**
 * Replaces what lies from path `left` to before path `right` by the ranges of `row`. Both paths are used up; `size` and
 * `version` are the caller's.
 */
export function splice<V>(tree: RangeTree<V>, left: number[], right: number[], row: Row<V>): void {
  const { pool, height } = tree;
  const stretch: Stretch<V> = { tree, left, right, spent: [] };
  dropBetween(stretch);
  let done = false;
  for (let level = 0; level <= height && !done; level++) {
    const a = nodeOn(tree, left, level);
    const b = nodeOn(tree, right, level);
    const all = gather(stretch, a, b, level, row);
    const short = level < height && all.slots.length < MIN_FILL;
    const fits = all.slots.length <= WIDTH && !short && (level === 0 || all.slots.length > 1);
    if (a === b && fits && pool.stamps[a >> SHIFT]! > pool.seen) {
      fillNode(pool, a, all, 0, all.slots.length);
      repair(tree, left, level + 1, largestGap(pool, a, level === 0));
      done = true;
    } else {
      stretch.spent.push(a);
      if (b !== a) stretch.spent.push(b);
      row = deal(pool, short ? withNeighbour(stretch, all, level) : all, level === 0);
    }
  }
  if (!done) plantRoot(stretch, row);
  for (const node of stretch.spent) retireNode(pool, node);
}

/** The level as it is to be: what `a` holds before the stretch, `row`, and what `b` holds after it. */
function gather<V>(stretch: Stretch<V>, a: number, b: number, level: number, row: Row<V>): Row<V> {
  const { tree, left, right } = stretch;
  const { pool } = tree;
  const all = emptyRow<V>();
  pushSlots(all, pool, a, left[level]!);
  for (let i = 0; i < row.slots.length; i++) {
    pushSlot(all, row.starts[i]!, row.ends[i]!, row.gaps[i]!, row.slots[i]!);
  }
  pushSlots(all, pool, level === 0 ? right[0]! : right[level]! + 1, b + pool.counts[b >> SHIFT]!);
  return all;
}

function pushSlots<V>(row: Row<V>, pool: RangePool<V>, from: number, to: number): void {
  const { starts, ends, gaps, slots } = pool;
  for (let s = from; s < to; s++) pushSlot(row, starts[s]!, ends[s]!, gaps[s]!, slots[s]!);
}

/** `all` with the slots of the node to its left or, if there is none, to its right; alone if that is the whole level. */
function withNeighbour<V>(stretch: Stretch<V>, all: Row<V>, level: number): Row<V> {
  const { tree, left, right, spent } = stretch;
  const { pool } = tree;
  if (stepBack(stretch, level + 1)) {
    const node = nodeOn(tree, left, level);
    const both = emptyRow<V>();
    pushSlots(both, pool, node, node + pool.counts[node >> SHIFT]!);
    for (let i = 0; i < all.slots.length; i++) {
      pushSlot(both, all.starts[i]!, all.ends[i]!, all.gaps[i]!, all.slots[i]!);
    }
    spent.push(node);
    return both;
  }
  if (stepForward(stretch, level + 1)) {
    const node = nodeOn(tree, right, level);
    pushSlots(all, pool, node, node + pool.counts[node >> SHIFT]!);
    spent.push(node);
  }
  return all;
}

/** Leads the left path to the slot before, at `level` and above; false if there is none. */
function stepBack<V>(stretch: Stretch<V>, level: number): boolean {
  const { tree, left, right, spent } = stretch;
  if (level > tree.height) return false;
  const node = nodeOn(tree, left, level);
  if (left[level]! > node) {
    left[level]!--;
    return true;
  }
  const shared = node === nodeOn(tree, right, level);
  if (!stepBack(stretch, level + 1)) return false;
  // Nothing of the node left behind is kept: it lay in the stretch with its first slot.
  if (!shared) spent.push(node);
  const before = nodeOn(tree, left, level);
  left[level] = before + tree.pool.counts[before >> SHIFT]! - 1;
  return true;
}

/** Leads the right path to the slot after, at `level` and above; false if there is none. */
function stepForward<V>(stretch: Stretch<V>, level: number): boolean {
  const { tree, left, right, spent } = stretch;
  if (level > tree.height) return false;
  const node = nodeOn(tree, right, level);
  if (right[level]! + 1 < node + tree.pool.counts[node >> SHIFT]!) {
    right[level]!++;
    return true;
  }
  const shared = node === nodeOn(tree, left, level);
  if (!stepForward(stretch, level + 1)) return false;
  if (!shared) spent.push(node);
  right[level] = nodeOn(tree, right, level);
  return true;
}

/** Gives up all nodes strictly between the two paths. */
function dropBetween<V>({ tree, left, right }: Stretch<V>): void {
  const { pool } = tree;
  for (let level = 1; level <= tree.height; level++) {
    const a = nodeOn(tree, left, level);
    const b = nodeOn(tree, right, level);
    if (a === b) {
      for (let s = left[level]! + 1; s < right[level]!; s++) dropBelow(pool, childOf(pool, s), level - 1);
      return;
    }
    const end = a + pool.counts[a >> SHIFT]!;
    for (let s = left[level]! + 1; s < end; s++) dropBelow(pool, childOf(pool, s), level - 1);
    for (let s = b; s < right[level]!; s++) dropBelow(pool, childOf(pool, s), level - 1);
  }
}

function dropBelow<V>(pool: RangePool<V>, node: number, level: number): void {
  if (level > 0) {
    const end = node + pool.counts[node >> SHIFT]!;
    for (let s = node; s < end; s++) dropBelow(pool, childOf(pool, s), level - 1);
  }
  retireNode(pool, node);
}

/** Deals a row to new nodes and returns the row of these. */
function deal<V>(pool: RangePool<V>, row: Row<V>, leaf: boolean): Row<V> {
  const length = row.slots.length;
  const nodes = Math.ceil(length / WIDTH);
  const above = emptyRow<V>();
  for (let i = 0; i < nodes; i++) {
    const node = takeNode(pool);
    fillNode(pool, node, row, Math.floor((i * length) / nodes), Math.floor(((i + 1) * length) / nodes));
    pushSlot(above, pool.starts[node]!, lastEnd(pool, node), largestGap(pool, node, leaf), node);
  }
  return above;
}

/** Makes part of a row all that a node holds. */
function fillNode<V>(pool: RangePool<V>, node: number, row: Row<V>, from: number, to: number): void {
  const { starts, ends, gaps, slots, counts } = pool;
  clearSlots(pool, node, 0);
  for (let i = from, s = node; i < to; i++, s++) {
    starts[s] = row.starts[i]!;
    ends[s] = row.ends[i]!;
    gaps[s] = row.gaps[i]!;
    slots[s] = row.slots[i]!;
  }
  counts[node >> SHIFT] = to - from;
}

/** Puts a root over the nodes of the old root's level, or finds it below them. */
function plantRoot<V>({ tree, spent }: Stretch<V>, row: Row<V>): void {
  const { pool } = tree;
  tree.gap = Infinity;
  while (row.slots.length > 1) {
    row = deal(pool, row, false);
    tree.height++;
  }
  if (row.slots.length === 0) {
    tree.root = takeNode(pool);
    tree.height = 0;
    return;
  }
  tree.root = row.slots[0] as number;
  while (tree.height > 0 && pool.counts[tree.root >> SHIFT] === 1) {
    spent.push(tree.root);
    tree.root = childOf(pool, tree.root);
    tree.height--;
  }
}
