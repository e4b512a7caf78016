/**
 * A node of the range tree: what Linux's `struct maple_node` is to its maple tree (reference N.17). Ours is a plain
 * B+-tree of one node class: bounds are half open instead of inclusive, holes are not stored as entries, and nodes are
 * changed in place instead of copied for RCU readers, so a reader must hold the lock of the tree's owner (mmap_lock).
 *
 * Layout: parallel arrays, slots 0 … count−1 in use, in rising order:
 *
 * | array | in a leaf | in an inner node |
 * |-------|-----------|------------------|
 * | `starts[i]` | first number of range i | start of the first range below child i |
 * | `ends[i]` | first number after range i | end of the last range below child i |
 * | `gaps[i]` | not used | largest hole between two ranges below child i |
 * | `slots[i]` | the range's value | child i |
 *
 * The hole between slots i and i+1 belongs to this node (`starts[i + 1] - ends[i]`), so a node's summary depends on
 * nothing outside it.
 */

/** Slots a node has. 16 and 64 look up within 10 % of it; 64 costs more to make and to shift. */
export const WIDTH = 32;
/** Fewest slots of a node other than the root: below a half, so that erase and insert in turn do not join and split. */
export const MIN_FILL = 10;

export class RangeNode<V> {
  /** True when `slots` are values, false when they are nodes. */
  readonly leaf: boolean;
  /** Slots in use. */
  count: number;
  /** See the layout above; written by edit.ts only, as are the next three. */
  readonly starts: number[];
  readonly ends: number[];
  readonly gaps: number[];
  readonly slots: (RangeNode<V> | V | null)[];
  /** The leaf of the next higher ranges; null in the last leaf and in inner nodes. Written by edit.ts only. */
  next: RangeNode<V> | null;
  /** The leaf of the next lower ranges; null in the first leaf and in inner nodes. Written by edit.ts only. */
  prev: RangeNode<V> | null;

  constructor(leaf: boolean) {
    this.leaf = leaf;
    this.count = 0;
    this.starts = blankNumbers();
    this.ends = blankNumbers();
    this.gaps = blankNumbers();
    this.slots = blankSlots();
    this.next = null;
    this.prev = null;
  }
}

/**
 * WIDTH numbers. A literal of fractions, because the engine keeps such an array as raw doubles and copies it whole: a
 * node is made in 0.1 µs, one with Float64Arrays in 1.4, and lookups are as fast. An explorer makes two trees a
 * schedule.
 */
function blankNumbers(): number[] {
  // biome-ignore format: two rows of sixteen
  return [
    0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5,
    0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5,
  ];
}

/** WIDTH empty slots. */
function blankSlots(): null[] {
  // biome-ignore format: two rows of sixteen
  return [
    null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null,
    null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null,
  ];
}

/** Child `i` of an inner node. */
export function childAt<V>(node: RangeNode<V>, i: number): RangeNode<V> {
  return node.slots[i] as RangeNode<V>;
}

/** Value `i` of a leaf. */
export function valueAt<V>(node: RangeNode<V>, i: number): V {
  return node.slots[i] as V;
}

/** First slot whose end is above `x`, or `count`. In order: over 32 slots it beats halving, which mispredicts. */
export function firstEndAbove<V>(node: RangeNode<V>, x: number): number {
  const ends = node.ends;
  const count = node.count;
  let i = 0;
  while (i < count && ends[i]! <= x) i++;
  return i;
}

/** Last slot whose start is below `x`, or −1. */
export function lastStartBelow<V>(node: RangeNode<V>, x: number): number {
  const starts = node.starts;
  let i = node.count - 1;
  while (i >= 0 && starts[i]! >= x) i--;
  return i;
}

/** The largest hole between two ranges below `node`, 0 when there is none. */
export function largestGap<V>(node: RangeNode<V>): number {
  const { starts, ends, gaps, count } = node;
  let largest = 0;
  for (let i = 1; i < count; i++) {
    const hole = starts[i]! - ends[i - 1]!;
    if (hole > largest) largest = hole;
  }
  if (node.leaf) return largest;
  for (let i = 0; i < count; i++) if (gaps[i]! > largest) largest = gaps[i]!;
  return largest;
}
