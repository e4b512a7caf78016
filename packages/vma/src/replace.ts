/**
 * A span replaced by several ranges in one change: what munmap, mprotect in the middle of a range or a mapping over
 * others needs. Linux: mas_store_prealloc over several entries (a spanning store), which cuts entries that reach out of
 * the span; here the value may know its bounds, so the caller widens the span and gives the cut pieces in the list.
 */
import { checkInteger } from '@mmkit/base';
import type { RangeEntry } from './cursor.ts';
import { rangesIn } from './cursor.ts';
import { checkValue, overlap } from './edit.ts';
import { pathTo } from './path.ts';
import type { Row } from './splice.ts';
import { emptyRow, pushSlot, splice } from './splice.ts';
import type { RangeTree } from './tree.ts';
import { checkChangeable } from './view.ts';

/**
 * Erases all ranges in [start, end), adds those of `list`, and returns the erased ones in order: one change, O(log n)
 * and the lengths of both lists. Throws, having changed nothing, `RangeError` for bounds that are not integers with
 * 0 ≤ start < end < 2^53, and for a list whose ranges are empty, not in order, not inside the span, or of value null;
 * `InvariantError('RANGE_OVERLAP')` if a range lies partly in the span; `InvariantError('RANGE_VIEW')` for a view.
 */
export function replaceRanges<V>(
  tree: RangeTree<V>,
  start: number,
  end: number,
  list: readonly RangeEntry<V>[],
): RangeEntry<V>[] {
  checkChangeable(tree);
  checkInteger('start', start, 0, Number.MAX_SAFE_INTEGER - 1);
  checkInteger('end', end, start + 1, Number.MAX_SAFE_INTEGER);
  const row = checkedRow(list, start, end);
  const gone = rangesIn(tree, start, end);
  const partly = gone.length > 0 && (gone[0]!.start < start || gone[gone.length - 1]!.end > end);
  if (partly) throw overlap(start, end);
  if (gone.length === 0 && list.length === 0) return gone;
  const left = pathTo(tree, start).slice();
  splice(tree, left, pathTo(tree, end), row);
  tree.size += list.length - gone.length;
  tree.version++;
  return gone;
}

function checkedRow<V>(list: readonly RangeEntry<V>[], start: number, end: number): Row<V> {
  const row = emptyRow<V>();
  let low = start;
  list.forEach((entry, i) => {
    checkInteger(`list[${i}].start`, entry.start, low, end - 1);
    checkInteger(`list[${i}].end`, entry.end, entry.start + 1, end);
    checkValue(`list[${i}].value`, entry.value);
    pushSlot(row, entry.start, entry.end, 0, entry.value);
    low = entry.end;
  });
  return row;
}
