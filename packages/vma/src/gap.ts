/**
 * Search for a hole of the range tree, from below or from above, in O(log n): a child is entered only if its gap is long
 * enough. The limits can shorten such a hole at the edge of the span, so at most one entered child per level disappoints
 * for that. Any other does because a hole in it got shorter since: its gap is put right then, so each change makes a search
 * look in vain once at most on each level, and who fills a hole and frees it again pays nothing for it. A length for which a
 * search of the whole tree found nothing is remembered (`RangeTree.gap`). Linux: mas_empty_area, mas_empty_area_rev; `findPlace` is vm_unmapped_area. No locking: the owner's
 * lock, or a view.
 */
import { checkInteger } from '@mmkit/base';
import type { RangePool } from './node.ts';
import { SHIFT, largestGap, lastEnd } from './node.ts';
import type { RangeTree } from './tree.ts';
import { checkOpen, childOf } from './tree.ts';

/** What a place must be; everything has a default. */
export interface PlaceWishes {
  /** The place starts `offset` above a multiple of it: 1 or more, 1 by default (align_mask + 1). */
  readonly align?: number;
  /** From 0 to `align` − 1, 0 by default (align_offset). */
  readonly offset?: number;
  /** Numbers within the limits that are free below the place as well, 0 by default (start_gap). */
  readonly guard?: number;
  /** True: the highest place; false (default): the lowest (VM_UNMAPPED_AREA_TOPDOWN). */
  readonly topDown?: boolean;
}

/**
 * The lowest number from which `length` numbers inside [low, high) are in no range; −1 if there is none. Throws
 * `RangeError` for a length below 1 or limits that are not integers of 0 or more.
 */
export function findGap<V>(tree: RangeTree<V>, length: number, low: number, high: number): number {
  checkSpan(tree, length, low, high);
  const { pool, root, size } = tree;
  const first = size > 0 ? pool.starts[root]! : Infinity;
  if (first - low >= length) return low + length <= high ? low : -1;
  const inside = length > tree.gap ? -1 : gapAbove(pool, root, tree.height, length, low);
  if (inside < 0 && low <= first) tree.gap = Math.min(tree.gap, length - 1);
  const from = inside >= 0 ? inside : Math.max(low, lastEnd(pool, root));
  // Candidates come in rising order: if the first does not end below `high`, none does.
  return from + length <= high ? from : -1;
}

/** The highest number before which `length` numbers inside [low, high) are in no range; else as `findGap`. */
export function findGapFromTop<V>(tree: RangeTree<V>, length: number, low: number, high: number): number {
  checkSpan(tree, length, low, high);
  const { pool, root, size } = tree;
  const last = size > 0 ? lastEnd(pool, root) : 0;
  if (high - last >= length) return high - length >= low ? high : -1;
  const inside = length > tree.gap ? -1 : gapBelow(pool, root, tree.height, length, high);
  if (inside < 0 && high >= last) tree.gap = Math.min(tree.gap, length - 1);
  const to = inside >= 0 ? inside : size > 0 ? Math.min(high, pool.starts[root]!) : high;
  return to - length >= low ? to : -1;
}

/**
 * The first number of a place of `length` numbers inside [low, high) that are in no range, or −1. As in Linux alignment
 * and guard are met by looking for a hole longer by `guard + align − 1`: O(log n), but a hole that would just fit may be
 * passed over. Throws `RangeError` as `findGap`, and for a wish out of its range.
 */
export function findPlace<V>(
  tree: RangeTree<V>,
  length: number,
  low: number,
  high: number,
  wishes: PlaceWishes = {},
): number {
  const { align = 1, offset = 0, guard = 0, topDown = false } = wishes;
  checkSpan(tree, length, low, high);
  checkInteger('align', align, 1, Number.MAX_SAFE_INTEGER);
  checkInteger('offset', offset, 0, align - 1);
  checkInteger('guard', guard, 0, Number.MAX_SAFE_INTEGER);
  // In this order a sum past the numbers there are stays past them, however it is rounded: no hole is as long.
  const room = length + (guard + (align - 1));
  if (!Number.isSafeInteger(room)) return -1;
  if (topDown) {
    const to = findGapFromTop(tree, room, low, high);
    return to < 0 ? -1 : to - length - modulo(to - length - offset, align);
  }
  const from = findGap(tree, room, low, high);
  return from < 0 ? -1 : from + guard + modulo(offset - from - guard, align);
}

/** `x` mod `n`, from 0 to n − 1 for a negative `x` too. */
function modulo(x: number, n: number): number {
  const rest = x % n;
  return rest < 0 ? rest + n : rest + 0;
}

function checkSpan<V>(tree: RangeTree<V>, length: number, low: number, high: number): void {
  checkOpen(tree);
  checkInteger('length', length, 1, Number.MAX_SAFE_INTEGER);
  checkInteger('low', low, 0, Number.MAX_SAFE_INTEGER);
  checkInteger('high', high, 0, Number.MAX_SAFE_INTEGER);
}

/** Where the first hole of `length` at or after `from` begins that ends at a range below `node`; −1 if none. */
function gapAbove<V>(pool: RangePool<V>, node: number, level: number, length: number, from: number): number {
  const { starts, ends, gaps, counts } = pool;
  const last = node + counts[node >> SHIFT]!;
  for (let s = node; s < last; s++) {
    if (ends[s]! <= from) continue;
    if (starts[s]! - from >= length) return from;
    if (level > 0 && gaps[s]! >= length) {
      const found = gapAbove(pool, childOf(pool, s), level - 1, length, from);
      if (found >= 0) return found;
      if (starts[s]! >= from) gaps[s] = largestGap(pool, childOf(pool, s), level === 1);
    }
    from = ends[s]!;
  }
  return -1;
}

/** Where the last hole of `length` at or before `to` ends that begins at a range below `node`; −1 if none. */
function gapBelow<V>(pool: RangePool<V>, node: number, level: number, length: number, to: number): number {
  const { starts, ends, gaps, counts } = pool;
  for (let s = node + counts[node >> SHIFT]! - 1; s >= node; s--) {
    if (starts[s]! >= to) continue;
    if (to - ends[s]! >= length) return to;
    if (level > 0 && gaps[s]! >= length) {
      const found = gapBelow(pool, childOf(pool, s), level - 1, length, to);
      if (found >= 0) return found;
      if (ends[s]! <= to) gaps[s] = largestGap(pool, childOf(pool, s), level === 1);
    }
    to = starts[s]!;
  }
  return -1;
}
