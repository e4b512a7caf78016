/**
 * Search for a hole of the range tree, from below or from above, in O(log n): a child is entered only if its largest
 * hole is long enough. The limits can shorten such a hole at the edge of the span, so at most one entered child per
 * level disappoints. Linux: mas_empty_area and mas_empty_area_rev. No locking: the owner's lock.
 */
import { checkInteger } from '@mmkit/base';
import type { RangeNode } from './node.ts';
import { childAt } from './node.ts';
import type { RangeTree } from './tree.ts';

/**
 * The lowest number from which `length` numbers inside [low, high) are in no range; −1 if there is none. Throws
 * `RangeError` for a length below 1 or limits that are not integers of 0 or more.
 */
export function findGap<V>(tree: RangeTree<V>, length: number, low: number, high: number): number {
  checkSpan(length, low, high);
  const root = tree.root;
  const inside = gapAbove(root, length, low);
  const from = inside >= 0 ? inside : root.count > 0 ? Math.max(low, root.ends[root.count - 1]!) : low;
  // Candidates come in rising order: if the first does not end below `high`, none does.
  return from + length <= high ? from : -1;
}

/** The highest number before which `length` numbers inside [low, high) are in no range; else as `findGap`. */
export function findGapFromTop<V>(tree: RangeTree<V>, length: number, low: number, high: number): number {
  checkSpan(length, low, high);
  const root = tree.root;
  const inside = gapBelow(root, length, high);
  const to = inside >= 0 ? inside : root.count > 0 ? Math.min(high, root.starts[0]!) : high;
  return to - length >= low ? to : -1;
}

function checkSpan(length: number, low: number, high: number): void {
  checkInteger('length', length, 1, Number.MAX_SAFE_INTEGER);
  checkInteger('low', low, 0, Number.MAX_SAFE_INTEGER);
  checkInteger('high', high, 0, Number.MAX_SAFE_INTEGER);
}

/** Where the first hole of `length` at or after `from` begins that ends at a range below `node`; −1 if none. */
function gapAbove<V>(node: RangeNode<V>, length: number, from: number): number {
  const { leaf, starts, ends, gaps, count } = node;
  for (let i = 0; i < count; i++) {
    if (ends[i]! <= from) continue;
    if (starts[i]! - from >= length) return from;
    if (!leaf && gaps[i]! >= length) {
      const found = gapAbove(childAt(node, i), length, from);
      if (found >= 0) return found;
    }
    from = ends[i]!;
  }
  return -1;
}

/** Where the last hole of `length` at or before `to` ends that begins at a range below `node`; −1 if none. */
function gapBelow<V>(node: RangeNode<V>, length: number, to: number): number {
  const { leaf, starts, ends, gaps } = node;
  for (let i = node.count - 1; i >= 0; i--) {
    if (starts[i]! >= to) continue;
    if (to - ends[i]! >= length) return to;
    if (!leaf && gaps[i]! >= length) {
      const found = gapBelow(childAt(node, i), length, to);
      if (found >= 0) return found;
    }
    to = starts[i]!;
  }
  return -1;
}
