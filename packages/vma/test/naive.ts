/** What the property tests hold the range tree against: a sorted array, each answer found by looking at every range. */
import type { RangeTree } from '../src/index.ts';
import { createRangeCursor, nextRange, seekRange } from '../src/index.ts';

export interface NaiveRange {
  readonly start: number;
  readonly end: number;
  readonly value: number;
}

export type Naive = NaiveRange[];

/** False, and nothing changed, if the range overlaps another. */
export function naiveInsert(list: Naive, range: NaiveRange): boolean {
  if (list.some((r) => r.start < range.end && range.start < r.end)) return false;
  const at = list.findIndex((r) => r.start > range.start);
  list.splice(at < 0 ? list.length : at, 0, range);
  return true;
}

/** The value, or null if no range starts there. */
export function naiveErase(list: Naive, start: number): number | null {
  const at = list.findIndex((r) => r.start === start);
  return at < 0 ? null : list.splice(at, 1)[0]!.value;
}

/** False, and nothing changed, if no range starts there or a neighbour is in the way. */
export function naiveResize(list: Naive, start: number, newStart: number, newEnd: number): boolean {
  const at = list.findIndex((r) => r.start === start);
  if (at < 0) return false;
  if (newStart < (list[at - 1]?.end ?? 0) || newEnd > (list[at + 1]?.start ?? Infinity)) return false;
  list[at] = { start: newStart, end: newEnd, value: list[at]!.value };
  return true;
}

/** The erased ranges, or null, and nothing changed, if one lies partly in [start, end). */
export function naiveReplace(list: Naive, start: number, end: number, by: Naive): Naive | null {
  const gone = list.filter((r) => r.start < end && start < r.end);
  if (gone.some((r) => r.start < start || r.end > end)) return null;
  const at = list.findIndex((r) => r.start >= start);
  list.splice(at < 0 ? list.length : at, gone.length, ...by);
  return gone;
}

/** The holes inside [low, high), in order. */
export function naiveHoles(list: Naive, low: number, high: number): { from: number; to: number }[] {
  const holes: { from: number; to: number }[] = [];
  let from = low;
  for (const { start, end } of list) {
    if (start > from) holes.push({ from, to: Math.min(start, high) });
    from = Math.max(from, end);
  }
  holes.push({ from, to: high });
  return holes.filter((h) => h.from < h.to);
}

/** Every range of a tree, by the cursor. */
export function dump(tree: RangeTree<number>): Naive {
  const cursor = createRangeCursor(tree);
  const list: Naive = [];
  for (let more = seekRange(cursor, 0); more; more = nextRange(cursor)) {
    list.push({ start: cursor.start, end: cursor.end, value: cursor.value! });
  }
  return list;
}

/** The code of the InvariantError (or the name of another error) `call` throws; null if it returns. */
export function codeOf(call: () => unknown): string | null {
  try {
    call();
    return null;
  } catch (error) {
    const { code, name } = error as { code?: string; name: string };
    return code ?? name;
  }
}
