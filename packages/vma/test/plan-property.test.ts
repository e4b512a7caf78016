/**
 * Plans against a naive model: a sorted list that is cut wherever a range begins or ends and then joined by looking at
 * both sides. More than 100,000 operations.
 */
import { EINVAL, ENOMEM } from '@mmkit/base';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Vma, VmaMarks, VmaOps, VmaPlan, VmaTraits, VmaTree } from '../src/index.ts';
import {
  applyVmaPlan,
  checkVmaTree,
  closeRangeView,
  createVmaTree,
  eraseVma,
  newTraits,
  openRangeView,
  planCopy,
  planModify,
  planNew,
  planSplit,
  rangesIn,
  VM_DONTEXPAND,
  VM_LOCKED,
  VM_MAYBE_GUARD,
  VM_SEALED,
  VM_STICKY,
  vmaLookup,
  vmasIn,
  vmaTraits,
} from '../src/index.ts';
import { at, PAGE, RO, RW } from './space.ts';

const PAGES = 24;
const LIMIT = 7;
const FLAGS = [RW, RW, RO, RW | VM_LOCKED, RW | VM_MAYBE_GUARD, RW | VM_DONTEXPAND];
const HIGH = [0, 0, 0, VM_SEALED | 0];
const FILES = [null, null, {}];
const ANON = [null, null, { id: 1 }, { id: 2 }];
const MARKS = [null, null, null, { id: 3 }, { id: 4 }];
const NAMES = [null, null, null, 'heap', 'stack'];
const odd = (_vma: Vma, address: number): number => ((address / PAGE) % 4 === 1 ? -EINVAL : 0);
const OPS: (VmaOps | null)[] = [null, null, null, { maySplit: odd }, { close: () => undefined }];

/** One VMA of the model; bounds in pages. */
interface Piece extends VmaTraits {
  readonly first: number;
  readonly last: number;
}
type Naive = Piece[];

/** What a range is to get. */
type Change = VmaMarks & Pick<VmaTraits, 'flags' | 'flagsHigh'>;

/** What the call ends with, and the list then. */
interface Outcome {
  readonly error: number;
  readonly list: Naive;
}

/** The list with a cut at `page`, whoever is there. */
function cutAt(list: Naive, page: number): Naive {
  return list.flatMap((p) =>
    p.first < page && page < p.last
      ? [
          { ...p, last: page },
          { ...p, first: page, pgoff: p.pgoff + page - p.first },
        ]
      : [p],
  );
}

function without(list: Naive, first: number, last: number): Naive {
  return cutAt(cutAt(list, first), last).filter((p) => p.last <= first || p.first >= last);
}

function sorted(list: Naive): Naive {
  return list.sort((a, b) => a.first - b.first);
}

function related(a: VmaTraits, b: VmaTraits): boolean {
  if (a.anonVma !== null && b.anonVma !== null) return a.anonVma === b.anonVma;
  return a.anonVma === b.anonVma || Math.max(a.anonChain, b.anonChain) === 1;
}

function joins(a: Piece, b: Piece): boolean {
  const goesOn = a.last === b.first && a.pgoff + a.last - a.first === b.pgoff;
  const special = ((a.flags | b.flags) & VM_DONTEXPAND) !== 0;
  const alike = (a.flags | VM_STICKY) === (b.flags | VM_STICKY) && a.flagsHigh === b.flagsHigh;
  const marks = a.policy === b.policy && a.uffdCtx === b.uffdCtx && a.anonName === b.anonName;
  return goesOn && !special && alike && marks && a.file === b.file && a.ops === b.ops && related(a, b);
}

/** The list with a piece that joins whom it can; `others` do not overlap it. Null: it joins nobody. */
function joined(others: Naive, piece: Piece): Naive | null {
  const left = others.find((p) => joins(p, piece));
  let right = others.find((p) => joins(piece, p));
  if (left !== undefined && right !== undefined && (!related(left, right) || right.ops?.close)) right = undefined;
  const all = [left, piece, right].filter((p) => p !== undefined);
  if (all.length === 1) return null;
  const owner = [left ?? right!, ...all].find((p) => p.anonVma !== null) ?? piece;
  const whole: Piece = {
    ...all[0]!,
    last: all.at(-1)!.last,
    flags: all.reduce((sum, p) => sum | p.flags, 0),
    anonVma: owner.anonVma,
    anonChain: owner.anonChain,
  };
  return sorted([...others.filter((p) => !all.includes(p)), whole]);
}

function mapPiece(list: Naive, piece: Piece): Outcome {
  return { error: 0, list: joined(list, piece) ?? sorted([...list, piece]) };
}

/** [first, last) of one piece gets other flags. */
function modifyPiece(list: Naive, from: Piece, first: number, last: number, to: Change): Outcome {
  const piece = { ...from, first, last, pgoff: from.pgoff + first - from.first, ...to };
  const whole = from.first === first && from.last === last;
  const rest = without(list, first, last);
  const merged = whole && from.ops?.close !== undefined ? null : joined(rest, piece);
  if (merged !== null) return { error: 0, list: merged };
  let now = list;
  for (const page of [first, last]) {
    const cut = cutAt(now, page);
    if (cut.length === now.length) continue;
    if (now.length + 1 > LIMIT) return { error: -ENOMEM, list: now };
    if (refuses(from, page)) return { error: -EINVAL, list: now };
    now = cut;
  }
  return { error: 0, list: sorted([...rest, piece]) };
}

function refuses(piece: Piece, page: number): boolean {
  return piece.ops?.maySplit !== undefined && (at(page) / PAGE) % 4 === 1;
}

function pieces(tree: VmaTree): Naive {
  return vmasIn(tree, 0, tree.taskSize).map((vma) => {
    const [first, last] = [(vma.start - at(0)) / PAGE, (vma.end - at(0)) / PAGE];
    return { first, last, ...vmaTraits(vma) };
  });
}

/** One call: what it is, where, and what is wanted there. */
const call = fc.tuple(fc.nat(11), fc.nat(PAGES - 2), fc.integer({ min: 1, max: 7 }), fc.nat(2 ** 20 - 1));
type Call = [number, number, number, number];

/** Makes a plan and applies it; planning changes nothing, and what is refused outright neither. */
function carryOut(tree: VmaTree, kinds: Set<string>, make: () => VmaPlan): number {
  const { version } = tree.ranges;
  const before = JSON.stringify(pieces(tree));
  const plan = make();
  kinds.add(plan.kind);
  expect([tree.ranges.version, JSON.stringify(pieces(tree))]).toEqual([version, before]);
  const view = openRangeView(tree.ranges);
  const old = rangesIn(view, 0, Number.MAX_SAFE_INTEGER);
  applyVmaPlan(plan);
  // One change of the tree at most, and a reader who came before it sees nothing of it.
  expect(tree.ranges.version - version).toBeLessThanOrEqual(plan.steps.length === 0 ? 0 : 1);
  expect(rangesIn(view, 0, Number.MAX_SAFE_INTEGER)).toEqual(old);
  closeRangeView(view);
  expect((plan.target === null) === (plan.error !== 0)).toBe(true);
  return plan.error;
}

/** Does the call in both; null: it does not apply here. */
function step(tree: VmaTree, list: Naive, kinds: Set<string>, [what, first, length, seed]: Call): Outcome | null {
  const pick = <T>(choices: readonly T[], shift: number): T => choices[(seed >> shift) % choices.length]!;
  const vma = vmaLookup(tree, at(first));
  const wanted = (last: number): Piece => {
    const pgoff = at(first) / PAGE + pick([0, 0, 0, 5], 0);
    const anonVma = pick(ANON, 2);
    const anonChain = anonVma === null ? 0 : pick([1, 1, 2], 4);
    const about = { flagsHigh: pick(HIGH, 6), file: pick(FILES, 8), ops: pick(OPS, 10), anonVma, anonChain };
    return { ...newTraits(pick(FLAGS, 13), pgoff), ...about, first, last };
  };
  if (vma === null) {
    const next = list.find((p) => p.first > first)?.first ?? PAGES;
    const piece = wanted(Math.min(first + length, next, PAGES));
    if (list.length >= LIMIT) return null;
    const error = carryOut(tree, kinds, () => planNew(tree, at(first), at(piece.last), piece));
    return { ...mapPiece(list, piece), error };
  }
  const from = list.find((p) => p.first <= first && first < p.last)!;
  const last = Math.min(first + length, from.last);
  if (what < 6) {
    // Most often whole, or from an end, where merges are.
    const start = what < 4 ? from.first : first;
    const end = what % 2 === 0 ? from.last : last;
    const flags = (pick(FLAGS, 13) & ~VM_STICKY) | (from.flags & VM_STICKY);
    const high = pick(HIGH, 6);
    const marks = { policy: pick(MARKS, 15), uffdCtx: pick(MARKS, 16), anonName: pick(NAMES, 17) };
    const to: Change = { flags, flagsHigh: high, ...marks };
    if ((Object.keys(to) as (keyof Change)[]).every((key) => to[key] === from[key])) return null;
    const expected = modifyPiece(list, from, start, end, to);
    expect(carryOut(tree, kinds, () => planModify(tree, vma, at(start), at(end), flags, high, marks))).toBe(
      expected.error,
    );
    return expected;
  }
  if (what < 8) return unmapBoth(tree, list, kinds, first, Math.min(first + length, PAGES));
  if (what < 10) return replaceBoth(tree, list, kinds, wanted(Math.min(first + length, PAGES)));
  const to = PAGES + ((seed >> 3) % (PAGES - 8));
  if (list.some((p) => p.last > to && p.first < to + last - first)) return null;
  const fresh = from.file === null && from.anonVma === null;
  const piece = { ...from, first: to, last: to + last - first, pgoff: from.pgoff + first - from.first };
  const moved = fresh ? { ...piece, pgoff: at(to) / PAGE } : piece;
  expect(carryOut(tree, kinds, () => planCopy(tree, vma, at(first), at(to), (last - first) * PAGE))).toBe(0);
  return mapPiece(list, moved);
}

/** munmap: cut at both ends, where the file allows it, then gone. */
function unmapBoth(tree: VmaTree, list: Naive, kinds: Set<string>, first: number, last: number): Outcome {
  const cut = cutBoth(tree, list, kinds, first, last);
  if (cut.error !== 0) return cut;
  for (const vma of vmasIn(tree, at(first), at(last))) eraseVma(tree, vma);
  return { error: 0, list: without(cut.list, first, last) };
}

/** mmap with MAP_FIXED: cut at both ends, then the new one in place of all there in one change. */
function replaceBoth(tree: VmaTree, list: Naive, kinds: Set<string>, piece: Piece): Outcome {
  const { first, last } = piece;
  const cut = cutBoth(tree, list, kinds, first, last);
  if (cut.error !== 0) return cut;
  const cleared = vmasIn(tree, at(first), at(last));
  const error = carryOut(tree, kinds, () => planNew(tree, at(first), at(last), piece, cleared));
  return { ...mapPiece(without(cut.list, first, last), piece), error };
}

function cutBoth(tree: VmaTree, list: Naive, kinds: Set<string>, first: number, last: number): Outcome {
  let now = list;
  for (const page of [first, last]) {
    const vma = vmaLookup(tree, at(page));
    if (vma === null || vma.start === at(page)) continue;
    const on = now.find((p) => p.first < page && page < p.last)!;
    const error = carryOut(tree, kinds, () => planSplit(tree, vma, at(page), false));
    expect(error).toBe(refuses(on, page) ? -EINVAL : 0);
    if (error !== 0) return { error, list: now };
    now = cutAt(now, page);
  }
  return { error: 0, list: now };
}

describe('plans against a naive list', () => {
  it('every plan applied is the naive result, VMA by VMA: more than 100,000 operations', () => {
    let done = 0;
    const reached = new Set<number>();
    const kinds = new Set<string>();
    fc.assert(
      fc.property(fc.array(call, { maxLength: 150, size: 'max' }), (calls) => {
        const tree = createVmaTree({ maxMapCount: LIMIT });
        let list: Naive = [];
        for (const each of calls) {
          const outcome = step(tree, list, kinds, each);
          if (outcome === null) continue;
          list = outcome.list;
          reached.add(outcome.error);
          expect(pieces(tree)).toEqual(list);
          done++;
        }
        checkVmaTree(tree);
      }),
      { numRuns: 3800, seed: 618 },
    );
    expect(done).toBeGreaterThan(100_000);
    expect(kinds.size).toBe(8);
    expect([...reached].sort()).toEqual([-ENOMEM, -EINVAL, 0].sort());
  });
});
