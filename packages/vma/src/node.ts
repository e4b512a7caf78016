/**
 * The nodes of the range tree: what Linux's `struct maple_node` is to its maple tree (reference N.17). Ours is a plain
 * B+-tree; bounds are half open instead of inclusive, holes are not stored as entries. All nodes of a tree lie in one
 * pool of parallel arrays; a node is WIDTH slots in a row and its name is the index of its first slot, so a step down
 * costs the lines of one array that hold the ends, and one line for the child.
 *
 * | array | slot of a leaf | slot of an inner node |
 * |-------|----------------|-----------------------|
 * | `ends[s]` | first number after the range; NO_END in a slot not in use | end of the last range below the child |
 * | `starts[s]` | first number of the range | start of the first range below the child |
 * | `gaps[s]` | not used | no hole between two ranges below the child is longer |
 * | `slots[s]` | the range's value | the child |
 *
 * Slots in use are the first `counts[node >> SHIFT]`, in rising order. The hole between two slots belongs to their node
 * (`starts[s + 1] - ends[s]`), so a node's summary depends on nothing outside it. A hole that got shorter may stand in the
 * gaps above it at its old length, until a search has looked for it in vain (gap.ts). Whether a node is a leaf follows from
 * the height of its tree.
 *
 * Readers beside a writer (RCU in Linux): a view is a root and an epoch. Opening one raises the epoch; a node carries the
 * epoch it was made in (`stamps[node >> SHIFT]`) and may change in place only if no open view is as young. Otherwise the
 * writer changes a copy (edit.ts, splice.ts) and leaves the old node with the newest view that sees it (view.ts).
 */
import { InvariantError } from '@mmkit/base';
import type { RangeTree } from './tree.ts';

/** Slots a node has. */
export const WIDTH = 64;
/** A node, as the index of its first slot, shifted right by it is its number. */
export const SHIFT = 6;
/** Fewest slots of a node other than the root: below a half, so that erase and insert in turn do not join and split. */
export const MIN_FILL = 20;
/** In `ends`, behind the last slot in use: above every end, so that a search stops there at the latest. 2^53. */
export const NO_END = 9_007_199_254_740_992;

export class RangePool<V> {
  /** See the table above; written by this file and edit.ts only, as are the next five. */
  ends: number[];
  starts: number[];
  gaps: number[];
  slots: (V | number | null)[];
  /** By node >> SHIFT: its slots in use. */
  counts: number[];
  /** By node >> SHIFT: the epoch in which it was made. */
  stamps: number[];
  /** The first node never used. Written by this file only. */
  used: number;
  /** A node not in use, −1 if there is none; the next one is in its first slot. Written by this file only. */
  free: number;
  /** Raised by each new view. Written by view.ts only, as are the next two. */
  epoch: number;
  /** The epoch of the newest open view, −1 when nobody reads: nodes with higher stamps may change in place. */
  seen: number;
  /** The newest open view; the others follow by `older`. Null when nobody reads. */
  newest: RangeTree<V> | null;

  constructor() {
    this.ends = noEnds();
    this.starts = blanks();
    this.gaps = blanks();
    this.slots = noSlots();
    this.counts = [0];
    this.stamps = [0];
    this.used = WIDTH;
    this.free = -1;
    this.epoch = 0;
    this.seen = -1;
    this.newest = null;
  }
}

/**
 * WIDTH ends. A literal of doubles, because the engine keeps such an array raw and copies it whole: a pool is made in
 * 0.1 µs, of Float64Arrays in 1.4. An explorer makes two trees a schedule.
 */
function noEnds(): number[] {
  // biome-ignore format: eight rows of eight
  return [
    NO_END, NO_END, NO_END, NO_END, NO_END, NO_END, NO_END, NO_END,
    NO_END, NO_END, NO_END, NO_END, NO_END, NO_END, NO_END, NO_END,
    NO_END, NO_END, NO_END, NO_END, NO_END, NO_END, NO_END, NO_END,
    NO_END, NO_END, NO_END, NO_END, NO_END, NO_END, NO_END, NO_END,
    NO_END, NO_END, NO_END, NO_END, NO_END, NO_END, NO_END, NO_END,
    NO_END, NO_END, NO_END, NO_END, NO_END, NO_END, NO_END, NO_END,
    NO_END, NO_END, NO_END, NO_END, NO_END, NO_END, NO_END, NO_END,
    NO_END, NO_END, NO_END, NO_END, NO_END, NO_END, NO_END, NO_END,
  ];
}

/** WIDTH numbers, fractions to be kept as raw doubles. */
function blanks(): number[] {
  // biome-ignore format: four rows of sixteen
  return [
    0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5,
    0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5,
    0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5,
    0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5,
  ];
}

/** WIDTH empty slots. */
function noSlots(): null[] {
  // biome-ignore format: four rows of sixteen
  return [
    null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null,
    null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null,
    null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null,
    null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null,
  ];
}

/** Takes an empty node out of the pool. What holds arrays of the pool must take them anew: the pool may have grown. */
export function takeNode<V>(pool: RangePool<V>): number {
  let node = pool.free;
  if (node >= 0) {
    pool.free = pool.slots[node] as number;
    pool.slots[node] = null;
  } else {
    node = pool.used;
    if (node === pool.ends.length) double(pool);
    pool.used += WIDTH;
  }
  pool.stamps[node >> SHIFT] = pool.epoch;
  return node;
}

/** Makes the pool twice as large. By joining each array to itself, which copies it whole and keeps it raw doubles. */
function double<V>(pool: RangePool<V>): void {
  const { ends, starts, gaps, slots, counts, stamps } = pool;
  pool.ends = ends.concat(ends).fill(NO_END, ends.length);
  pool.starts = starts.concat(starts);
  pool.gaps = gaps.concat(gaps);
  pool.slots = slots.concat(slots).fill(null, slots.length);
  pool.counts = counts.concat(counts).fill(0, counts.length);
  pool.stamps = stamps.concat(stamps);
}

/** Gives a node back that nobody can see. What it held must not keep values alive. */
export function freeNode<V>(pool: RangePool<V>, node: number): void {
  clearSlots(pool, node, 0);
  pool.slots[node] = pool.free;
  pool.free = node;
}

/** Gives up a node the tree no longer needs: at once, or with the newest view that sees it. */
export function retireNode<V>(pool: RangePool<V>, node: number): void {
  if (pool.stamps[node >> SHIFT]! > pool.seen) freeNode(pool, node);
  else pool.newest!.retired.push(node);
}

/** A copy of a node, to be changed in its place. */
export function copyNode<V>(pool: RangePool<V>, node: number): number {
  const copy = takeNode(pool);
  const { ends, starts, gaps, slots, counts } = pool;
  const count = counts[node >> SHIFT]!;
  for (let i = 0; i < count; i++) {
    ends[copy + i] = ends[node + i]!;
    starts[copy + i] = starts[node + i]!;
    gaps[copy + i] = gaps[node + i]!;
    slots[copy + i] = slots[node + i]!;
  }
  counts[copy >> SHIFT] = count;
  return copy;
}

/** Leaves the first `count` slots of a node in use; `counts` is set last, so that a larger one says what to clear. */
export function clearSlots<V>(pool: RangePool<V>, node: number, count: number): void {
  const { ends, slots, counts } = pool;
  const last = node + counts[node >> SHIFT]!;
  for (let s = node + count; s < last; s++) {
    ends[s] = NO_END;
    slots[s] = null;
  }
  counts[node >> SHIFT] = count;
}

/**
 * The first slot of a node whose end is above `x`: there must be one. Lines of eight that end at or below `x` are counted,
 * then slots of the line: no branch depends on `x`, so none is mispredicted.
 */
export function firstEndAbove(ends: number[], node: number, x: number): number {
  // biome-ignore format: seven of eight lines
  const lines =
    +(ends[node + 7]! <= x) + +(ends[node + 15]! <= x) + +(ends[node + 23]! <= x) + +(ends[node + 31]! <= x) +
    +(ends[node + 39]! <= x) + +(ends[node + 47]! <= x) + +(ends[node + 55]! <= x);
  const s = node + (lines << 3);
  // biome-ignore format: seven of eight slots
  return s +
    +(ends[s]! <= x) + +(ends[s + 1]! <= x) + +(ends[s + 2]! <= x) + +(ends[s + 3]! <= x) +
    +(ends[s + 4]! <= x) + +(ends[s + 5]! <= x) + +(ends[s + 6]! <= x);
}

/** The same, step by step, for a node whose lines are far away: guessing how far it goes, the processor need not wait. */
export function farEndAbove(ends: number[], node: number, x: number): number {
  let s = node;
  while (ends[s + 7]! <= x) s += 8;
  while (ends[s]! <= x) s++;
  return s;
}

/**
 * Asks for a leaf's values, before its ends have been searched: in a large tree the lines of both are far away, and so
 * they come together (saves a tenth of a lookup). For the first 48 slots: few leaves are fuller. No slot is undefined.
 */
export function fetchValues<V>({ slots }: RangePool<V>, leaf: number): void {
  for (let s = leaf + 4; s < leaf + 48; s += 8) if (slots[s] === undefined) throw notANode();
}

/** The same of a leaf's starts, which a change moves as well. No start is negative. */
export function fetchStarts<V>({ starts }: RangePool<V>, leaf: number): void {
  for (let s = leaf + 4; s < leaf + 48; s += 8) if (starts[s]! < 0) throw notANode();
}

function notANode(): InvariantError {
  return new InvariantError('TREE_BROKEN', 'a child is not a node of the pool');
}

/** The end of the last range below a node that is not empty. */
export function lastEnd<V>(pool: RangePool<V>, node: number): number {
  return pool.ends[node + pool.counts[node >> SHIFT]! - 1]!;
}

/** The longest hole of a node that begins or ends at one of its slots from `from` to before `to`, 0 when there is none. */
export function longestHole<V>({ starts, ends, counts }: RangePool<V>, from: number, to: number): number {
  const node = from - (from % WIDTH);
  const last = Math.min(to, node + counts[node >> SHIFT]! - 1);
  let longest = 0;
  for (let s = Math.max(from, node + 1); s <= last; s++) longest = Math.max(longest, starts[s]! - ends[s - 1]!);
  return longest;
}

/** The largest hole between two ranges below `node` as its slots say, 0 when there is none. */
export function largestGap<V>(pool: RangePool<V>, node: number, leaf: boolean): number {
  const { starts, ends, gaps } = pool;
  const last = node + pool.counts[node >> SHIFT]!;
  let largest = leaf || last === node ? 0 : gaps[node]!;
  for (let s = node + 1; s < last; s++) {
    const hole = starts[s]! - ends[s - 1]!;
    if (hole > largest) largest = hole;
    if (!leaf && gaps[s]! > largest) largest = gaps[s]!;
  }
  return largest;
}
