/**
 * A span replaced by several ranges in one change: what munmap, mprotect in the middle of a range or a mapping over
 * others needs. Linux: mas_store_prealloc over several entries (a spanning store), which cuts entries that reach out of
 * the span; here the value may know its bounds, so the caller widens the span and gives the cut pieces in the list.
 */
import { checkInteger } from '@mmkit/base';
import type { RangeEntry } from './cursor.ts';
import { rangesIn } from './cursor.ts';
import { changeSlots, checkValue, overlap } from './edit.ts';
import type { RangePool } from './node.ts';
import { MIN_FILL, SHIFT, WIDTH } from './node.ts';
import { nodeOn, pathTo } from './path.ts';
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
  checkList(list, start, end);
  const { pool, height } = tree;
  const path = pathTo(tree, start);
  const first = path[0]!;
  const node = nodeOn(tree, path, 0);
  const last = node + pool.counts[node >> SHIFT]!;
  let s = first;
  while (s < last && pool.starts[s]! < end) s++;
  // Else more of them may be in the next leaf; behind the last slot is the place after all ranges only.
  const inLeaf = s < last || first === last || pool.ends[last - 1]! >= end || height === 0;
  const gone = inLeaf ? entriesOf(pool, first, s) : rangesIn(tree, start, end);
  const partly = gone.length > 0 && (gone[0]!.start < start || gone[gone.length - 1]!.end > end);
  if (partly) throw overlap(start, end);
  if (gone.length === 0 && list.length === 0) return gone;
  const count = last - node + list.length - gone.length;
  if (inLeaf && count <= WIDTH && (count >= MIN_FILL || height === 0)) changeSlots(tree, path, gone.length, list);
  else splice(tree, path.slice(), pathTo(tree, end), rowOf(list));
  tree.size += list.length - gone.length;
  tree.version++;
  return gone;
}

function entriesOf<V>({ starts, ends, slots }: RangePool<V>, from: number, to: number): RangeEntry<V>[] {
  const list: RangeEntry<V>[] = [];
  for (let s = from; s < to; s++) list.push({ start: starts[s]!, end: ends[s]!, value: slots[s] as V });
  return list;
}

function rowOf<V>(list: readonly RangeEntry<V>[]): Row<V> {
  const row = emptyRow<V>();
  for (const { start, end, value } of list) pushSlot(row, start, end, 0, value);
  return row;
}

function checkList<V>(list: readonly RangeEntry<V>[], start: number, end: number): void {
  let low = start;
  for (let i = 0; i < list.length; i++) {
    const entry = list[i]!;
    checkBound(i, 'start', entry.start, low, end - 1);
    checkBound(i, 'end', entry.end, entry.start + 1, end);
    if (entry.value === null) checkValue(`list[${i}].value`, entry.value);
    low = entry.end;
  }
}

/** The name is made only for who is told of it. */
function checkBound(i: number, bound: string, value: number, min: number, max: number): void {
  const inside = Number.isSafeInteger(value) && value >= min && value <= max;
  if (!inside) checkInteger(`list[${i}].${bound}`, value, min, max);
}
