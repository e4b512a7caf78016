/**
 * Changes of the range tree: insert, erase, move a range's bounds. Each goes down to the one leaf concerned, decides
 * there whether the change is allowed (nothing is written before), and repairs the summaries on the way up. A leaf that
 * would get too many slots or too few is left to splice.ts. Inside a leaf an insert only shortens one hole, which needs no
 * word to the nodes above, and an erase only makes one longer; no summary is computed anew from all its slots. Linux: mas_store and mas_erase. No locking: the owner's lock, for writing.
 */
import { InvariantError, checkInteger } from '@mmkit/base';
import type { RangeEntry } from './cursor.ts';
import type { RangePool } from './node.ts';
import { MIN_FILL, NO_END, SHIFT, WIDTH, clearSlots, longestHole } from './node.ts';
import { nodeOn, own, pathTo, repair } from './path.ts';
import { emptyRow, pushSlot, splice } from './splice.ts';
import type { RangeTree } from './tree.ts';
import { slotAbove, slotBelow } from './tree.ts';
import { checkChangeable } from './view.ts';

/**
 * Adds the range [start, end) with its value. Throws `RangeError` for bounds that are not integers with
 * 0 ≤ start < end < 2^53 and for the value null, `InvariantError('RANGE_OVERLAP')` if a range already covers part of it,
 * `InvariantError('RANGE_VIEW')` for a view.
 */
export function insertRange<V>(tree: RangeTree<V>, start: number, end: number, value: V): void {
  checkChangeable(tree);
  checkInteger('start', start, 0, Number.MAX_SAFE_INTEGER - 1);
  checkInteger('end', end, start + 1, Number.MAX_SAFE_INTEGER);
  checkValue('value', value);
  const { pool } = tree;
  const path = pathTo(tree, start);
  const s = path[0]!;
  const node = nodeOn(tree, path, 0);
  const count = pool.counts[node >> SHIFT]!;
  if (s < node + count && pool.starts[s]! < end) throw overlap(start, end);
  if (count === WIDTH) {
    const row = emptyRow<V>();
    pushSlot(row, start, end, 0, value);
    splice(tree, path, path.slice(), row);
  } else {
    own(tree, path);
    openSlot(pool, path[0]!, start, end, value);
    if (s === node || s === node + count) repair(tree, path, 1, longestHole(pool, path[0]!, path[0]! + 1));
  }
  tree.size++;
  tree.version++;
}

/**
 * Removes the range that starts at `start` and returns its value. Throws `InvariantError('RANGE_ABSENT')`,
 * `InvariantError('RANGE_VIEW')` for a view.
 */
export function eraseRange<V>(tree: RangeTree<V>, start: number): V {
  checkChangeable(tree);
  const path = pathTo(tree, start);
  const value = tree.pool.slots[slotOf(tree, path, start)] as V;
  const { pool } = tree;
  const node = nodeOn(tree, path, 0);
  if (pool.counts[node >> SHIFT]! <= MIN_FILL && tree.height > 0) {
    const right = path.slice();
    right[0]!++;
    splice(tree, path, right, emptyRow<V>());
  } else {
    own(tree, path);
    closeSlot(pool, path[0]!);
    repair(tree, path, 1, longestHole(pool, path[0]!, path[0]!));
  }
  tree.size--;
  tree.version++;
  return value;
}

/**
 * Gives the range that starts at `start` new bounds; its place in the order stays. Throws `RangeError` for bad bounds,
 * `InvariantError('RANGE_ABSENT')` if no range starts there, `InvariantError('RANGE_OVERLAP')` if a neighbour is hit,
 * `InvariantError('RANGE_VIEW')` for a view.
 */
export function resizeRange<V>(tree: RangeTree<V>, start: number, newStart: number, newEnd: number): void {
  checkChangeable(tree);
  checkInteger('newStart', newStart, 0, Number.MAX_SAFE_INTEGER - 1);
  checkInteger('newEnd', newEnd, newStart + 1, Number.MAX_SAFE_INTEGER);
  const { pool } = tree;
  const path = pathTo(tree, start);
  const s = slotOf(tree, path, start);
  // Neighbours in the same leaf are one slot off; others are looked for from the root.
  const below = s % WIDTH > 0 ? s - 1 : slotBelow(tree, start);
  const above = (s + 1) % WIDTH > 0 && pool.ends[s + 1] !== NO_END ? s + 1 : slotAbove(tree, pool.ends[s]!);
  if ((below >= 0 && pool.ends[below]! > newStart) || (above >= 0 && pool.starts[above]! < newEnd)) {
    throw overlap(newStart, newEnd);
  }
  own(tree, path);
  pool.starts[path[0]!] = newStart;
  pool.ends[path[0]!] = newEnd;
  repair(tree, path, 1, longestHole(pool, path[0]!, path[0]! + 1));
  tree.version++;
}

/** null is what the lookups give for "no range". */
export function checkValue<V>(name: string, value: V): void {
  if (value === null) throw new RangeError(`${name}: expected anything but null`);
}

export function overlap(start: number, end: number): InvariantError {
  return new InvariantError('RANGE_OVERLAP', `[${start}, ${end}) overlaps a range of the tree`);
}

/** The slot at the end of a path to `start`; throws unless a range starts there. */
function slotOf<V>(tree: RangeTree<V>, path: number[], start: number): number {
  const s = path[0]!;
  const { pool } = tree;
  // Behind the last range of a full leaf there is no slot of its own.
  const absent = s === nodeOn(tree, path, 0) + WIDTH || pool.ends[s] === NO_END || pool.starts[s] !== start;
  if (absent) throw new InvariantError('RANGE_ABSENT', `no range starts at ${start}`);
  return s;
}

/** Puts a range into slot `at` of a leaf that is not full. */
function openSlot<V>(pool: RangePool<V>, at: number, start: number, end: number, value: V): void {
  const { ends, starts, slots, counts } = pool;
  const index = at >> SHIFT;
  moveSlots(pool, at, index * WIDTH + counts[index]!, 1);
  ends[at] = end;
  starts[at] = start;
  slots[at] = value;
  counts[index] = counts[index]! + 1;
}

/** Takes slot `at` out of a leaf. */
function closeSlot<V>(pool: RangePool<V>, at: number): void {
  const { ends, slots, counts } = pool;
  const index = at >> SHIFT;
  const last = index * WIDTH + counts[index]! - 1;
  moveSlots(pool, at + 1, last + 1, -1);
  ends[last] = NO_END;
  slots[last] = null;
  counts[index] = counts[index]! - 1;
}

/**
 * Puts `list` in place of the first `removed` slots at the end of a path, in a leaf that can hold it, and tells the nodes
 * above.
 */
export function changeSlots<V>(
  tree: RangeTree<V>,
  path: number[],
  removed: number,
  list: readonly RangeEntry<V>[],
): void {
  own(tree, path);
  const { pool } = tree;
  const { ends, starts, slots, counts } = pool;
  const at = path[0]!;
  const node = at - (at % WIDTH);
  const count = counts[node >> SHIFT]!;
  const shift = list.length - removed;
  moveSlots(pool, at + removed, node + count, shift);
  if (shift < 0) clearSlots(pool, node, count + shift);
  counts[node >> SHIFT] = count + shift;
  list.forEach((entry, i) => {
    starts[at + i] = entry.start;
    ends[at + i] = entry.end;
    slots[at + i] = entry.value;
  });
  repair(tree, path, 1, longestHole(pool, at, at + list.length));
}

/** Moves the slots from `from` to before `last` of a leaf up or down by `shift`. */
function moveSlots<V>({ ends, starts, slots }: RangePool<V>, from: number, last: number, shift: number): void {
  const step = shift > 0 ? -1 : 1;
  for (let s = shift > 0 ? last - 1 : from, left = last - from; left > 0; s += step, left--) {
    ends[s + shift] = ends[s]!;
    starts[s + shift] = starts[s]!;
    slots[s + shift] = slots[s]!;
  }
}
