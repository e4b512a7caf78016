/** One random operation on a range tree and on the naive array, as property.test.ts and long-run.ts make them. */
import type { RangeTree } from '../src/index.ts';
import {
  checkTree,
  closeRangeView,
  createRangeCursor,
  createRangeTree,
  eraseRange,
  findGap,
  findGapFromTop,
  findPlace,
  findRange,
  insertRange,
  nextRange,
  openRangeView,
  prevRange,
  rangeBefore,
  rangeContaining,
  rangesIn,
  replaceRanges,
  resizeRange,
  seekRange,
} from '../src/index.ts';
import type { Naive } from './naive.ts';
import { codeOf, dump, naiveErase, naiveHoles, naiveInsert, naiveReplace, naiveResize } from './naive.ts';

/** Operations there are; see `step`. */
export const OPS = 13;
/** Views open at a time, at most. */
const VIEWS = 5;

export interface Step {
  readonly op: number;
  /** A place, and how many numbers from there. */
  readonly x: number;
  readonly length: number;
  /** Steers the rest. */
  readonly pick: number;
}

/** A tree, what it must hold, and the readers that hold older states of it. */
export interface World {
  readonly tree: RangeTree<number>;
  readonly list: Naive;
  readonly views: { readonly view: RangeTree<number>; readonly copy: Naive }[];
  /** True: the mistake the views are there against, every node changed in place. */
  readonly inPlace: boolean;
  /** Most ranges there ever were, views ever opened: that a test did what it says. */
  most: number;
  opened: number;
}

export function makeWorld(inPlace: boolean = false): World {
  return { tree: createRangeTree<number>(), list: [], views: [], inPlace, most: 0, opened: 0 };
}

function same(actual: unknown, expected: unknown): void {
  if (actual !== expected) throw new Error(`got ${String(actual)}, not ${String(expected)}`);
}

function sameList(actual: Naive, expected: Naive): void {
  same(actual.length, expected.length);
  actual.forEach((range, i) => {
    same(range.start, expected[i]!.start);
    same(range.end, expected[i]!.end);
    same(range.value, expected[i]!.value);
  });
}

/** Throws unless the tree is whole and holds what it must, and every view what it did when it was opened. */
export function checkWorld({ tree, list, views }: World): void {
  checkTree(tree);
  sameList(dump(tree), list);
  for (const { view, copy } of views) {
    checkTree(view);
    sameList(dump(view), copy);
  }
}

/** The operation in both; every answer must be the same. `value` is what it puts in. */
export function step(world: World, { op, x, length, pick }: Step, value: number): void {
  const { tree, list, views } = world;
  const some = list.length === 0 ? x : list[pick % list.length]!.start;
  switch (op) {
    case 0:
    case 1: {
      const fits = naiveInsert(list, { start: x, end: x + length, value });
      const code = codeOf(() => insertRange(tree, x, x + length, value));
      same(code, fits ? null : 'RANGE_OVERLAP');
      break;
    }
    case 2:
    case 3:
      erase(world, pick % 8 === 0 ? x : some);
      break;
    case 4: {
      const newStart = Math.max(0, some + (pick % 5) - 2);
      const present = list.length > 0;
      const fits = naiveResize(list, some, newStart, newStart + length);
      const code = codeOf(() => resizeRange(tree, some, newStart, newStart + length));
      same(code, fits ? null : present ? 'RANGE_OVERLAP' : 'RANGE_ABSENT');
      break;
    }
    case 5:
      lookUp(tree, list, x);
      break;
    case 6:
      searchHoles(tree, list, x, length, pick);
      break;
    case 7:
      walk(tree, list, x, pick % 2 === 0);
      break;
    case 8:
      replace(world, x, length, pick, value);
      break;
    case 9: {
      const end = x + (pick % 200);
      sameList(
        rangesIn(tree, x, end),
        list.filter((r) => r.start < end && x < r.end && x < end),
      );
      break;
    }
    case 10:
      if (views.length < VIEWS) views.push({ view: openRangeView(tree), copy: list.slice() });
      if (world.inPlace) tree.pool.seen = -1;
      world.opened++;
      break;
    case 11:
      if (views.length > 0) close(world, pick % views.length);
      break;
    default:
      if (views.length > 0) {
        const { view, copy } = views[pick % views.length]!;
        lookUp(view, copy, x);
        searchHoles(view, copy, x, length, pick);
        walk(view, copy, x, pick % 2 === 0);
      }
  }
  world.most = Math.max(world.most, list.length);
}

function erase({ tree, list }: World, start: number): void {
  const gone = naiveErase(list, start);
  if (gone === null) {
    const code = codeOf(() => eraseRange(tree, start));
    same(code, 'RANGE_ABSENT');
  } else same(eraseRange(tree, start), gone);
}

function lookUp(tree: RangeTree<number>, list: Naive, x: number): void {
  same(findRange(tree, x), list.find((r) => r.end > x)?.value ?? null);
  same(rangeContaining(tree, x), list.find((r) => r.start <= x && x < r.end)?.value ?? null);
  same(rangeBefore(tree, x), list.findLast((r) => r.start < x)?.value ?? null);
}

function searchHoles(tree: RangeTree<number>, list: Naive, x: number, length: number, pick: number): void {
  const high = x + 3 * (pick % 4000);
  const holes = naiveHoles(list, x, high);
  const long = holes.filter((h) => h.to - h.from >= length);
  same(findGap(tree, length, x, high), long[0]?.from ?? -1);
  same(findGapFromTop(tree, length, x, high), long.at(-1)?.to ?? -1);
  const [align, guard] = [1 + (pick % 7), pick % 3];
  const offset = pick % align;
  const roomy = holes.filter((h) => h.to - h.from >= length + guard + align - 1);
  let [from, to] = [(roomy[0]?.from ?? -1 - guard) + guard, (roomy.at(-1)?.to ?? length - 1) - length];
  while (from >= 0 && from % align !== offset) from++;
  while (to >= 0 && to % align !== offset) to--;
  same(findPlace(tree, length, x, high, { align, offset, guard }), from);
  same(findPlace(tree, length, x, high, { align, offset, guard, topDown: true }), to);
}

function walk(tree: RangeTree<number>, list: Naive, x: number, up: boolean): void {
  const cursor = createRangeCursor(tree);
  let at = list.findIndex((r) => r.end > x);
  let there = seekRange(cursor, x);
  for (let k = 0; k < 40 && at >= 0; k++) {
    same(there, true);
    same(cursor.start, list[at]!.start);
    same(cursor.end, list[at]!.end);
    same(cursor.value, list[at]!.value);
    there = up ? nextRange(cursor) : prevRange(cursor);
    at = up && at === list.length - 1 ? -1 : up ? at + 1 : at - 1;
  }
  if (at < 0) {
    same(there, false);
    same(cursor.value, null);
  }
}

/** Replaces a span by none, a few or (seldom) many ranges; the span is cut to whole ranges three times in four. */
function replace({ tree, list }: World, x: number, length: number, pick: number, value: number): void {
  const wanted = pick % 4 === 0 ? 0 : pick % 13 === 0 ? pick % 300 : pick % 6;
  let start = x;
  let end = x + length + (pick % 17 === 0 ? pick % 2000 : pick % 40);
  if (pick % 4 !== 3) {
    start = Math.min(start, list.find((r) => r.end > start)?.start ?? start);
    end = Math.max(end, list.findLast((r) => r.start < end)?.end ?? end);
  }
  const by: Naive = [];
  for (let at = start, i = 0; i < wanted && at + length <= end; i++) {
    by.push({ start: at, end: at + length, value: value + i / 1000 });
    at += length + ((pick >> (i % 8)) & 1);
  }
  const gone = naiveReplace(list, start, end, by);
  if (gone === null) {
    const code = codeOf(() => replaceRanges(tree, start, end, by));
    same(code, 'RANGE_OVERLAP');
  } else sameList(replaceRanges(tree, start, end, by) as Naive, gone);
}

/** A reader ends: it must see to the last what it saw at first. */
function close(world: World, i: number): void {
  const [{ view, copy }] = world.views.splice(i, 1) as [World['views'][number]];
  checkTree(view);
  sameList(dump(view), copy);
  closeRangeView(view);
  const code = codeOf(() => findRange(view, 0));
  same(code, 'VIEW_CLOSED');
}
