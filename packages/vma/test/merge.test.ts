/** N.16, D.6, FACTS 18, 21: who can become one VMA with whom, and whose anon_vma a first write joins. */
import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import type { MergePlan, VmaTraits, VmaTree } from '../src/index.ts';
import {
  createVmaTree,
  insertVma,
  newTraits,
  planMerge,
  reusableAnonVma,
  VM_DONTEXPAND,
  VM_IO,
  VM_LOCKED,
  VM_MAYBE_GUARD,
  VM_MERGEABLE,
  VM_MIXEDMAP,
  VM_PFNMAP,
  VM_PKEY_BIT0,
  VM_READ,
  VM_SEALED,
  VM_SOFTDIRTY,
  VM_WRITE,
  Vma,
} from '../src/index.ts';

const PAGE = 4096;
const RW = VM_READ | VM_WRITE;

interface Spec extends Partial<VmaTraits> {
  /** Pages. */
  readonly start: number;
  readonly end: number;
}

/** Traits of plain anonymous memory at page `start`, but for what `spec` says. */
function traitsOf({ start, end: _, ...rest }: Spec): VmaTraits {
  return { ...newTraits(RW, start), ...rest };
}

function add(tree: VmaTree, spec: Spec): Vma {
  const { flags, flagsHigh, pgoff, file, anonVma, anonChain } = traitsOf(spec);
  const vma = new Vma(spec.start * PAGE, spec.end * PAGE, flags, pgoff, file, anonVma);
  vma.flagsHigh = flagsHigh;
  vma.anonChain = anonChain;
  insertVma(tree, vma);
  return vma;
}

/** Pages 2-4 between VMAs of pages 0-2 and 4-6: with whom they merge. */
function between(
  left: Partial<VmaTraits>,
  middle: Partial<VmaTraits>,
  right: Partial<VmaTraits>,
  mergeUnfaulted = true,
): string {
  const tree = createVmaTree();
  tree.mergeUnfaulted = mergeUnfaulted;
  const before = add(tree, { start: 0, end: 2, ...left });
  const after = add(tree, { start: 4, end: 6, ...right });
  const { prev, next } = planMerge(tree, 2 * PAGE, 4 * PAGE, traitsOf({ start: 2, end: 4, ...middle }));
  expect([prev === null || prev === before, next === null || next === after]).toEqual([true, true]);
  return (prev !== null ? 'prev' : '') + (next !== null ? 'next' : '');
}

describe('planMerge', () => {
  const own = {};
  const other = {};

  it('N.16: with both neighbours, with one, with none; the neighbours themselves stay as they are', () => {
    expect(between({}, {}, {})).toBe('prevnext');
    expect(between({}, {}, { flags: VM_READ })).toBe('prev');
    expect(between({ flags: VM_READ }, {}, {})).toBe('next');
    expect(between({ flags: VM_READ }, {}, { flags: VM_READ })).toBe('');
  });

  it('a neighbour must touch: a hole of a page keeps apart; nothing below 0 and above the end is asked', () => {
    const tree = createVmaTree();
    add(tree, { start: 1, end: 3 });
    const plan = (start: number, end: number): MergePlan =>
      planMerge(tree, start * PAGE, end * PAGE, traitsOf({ start, end }));
    expect([plan(4, 5), plan(0, 1).prev]).toEqual([{ prev: null, next: null }, null]);
    expect(plan(0, 1).next).not.toBeNull();
    expect(plan(3, 4).prev).not.toBeNull();
    expect(planMerge(createVmaTree(), 0, PAGE, traitsOf({ start: 0, end: 1 }))).toEqual({ prev: null, next: null });
  });

  it('what the tree holds inside the range does not matter', () => {
    const tree = createVmaTree();
    const before = add(tree, { start: 0, end: 2 });
    add(tree, { start: 2, end: 4, flags: VM_READ });
    const after = add(tree, { start: 4, end: 6 });
    expect(planMerge(tree, 2 * PAGE, 4 * PAGE, traitsOf({ start: 2, end: 4 }))).toEqual({ prev: before, next: after });
  });

  it.each([
    ['flags', { flags: RW | VM_LOCKED }],
    ['bit 31', { flags: RW | VM_MERGEABLE }],
    ['the seal', { flagsHigh: VM_SEALED | 0 }],
    ['the protection key', { flagsHigh: VM_PKEY_BIT0 }],
    ['the file', { file: {} }],
    ['page offsets that do not go on', { pgoff: 100 }],
  ])('N.16: %s must be alike', (_what, differs) => {
    expect(between(differs, {}, {})).toBe('next');
    expect(between({}, {}, differs)).toBe('prev');
    expect(between({}, differs, {})).toBe('');
  });

  it('FACTS 18: VM_SOFTDIRTY and VM_MAYBE_GUARD keep nobody apart', () => {
    expect(between({ flags: RW | VM_SOFTDIRTY }, {}, { flags: RW | VM_MAYBE_GUARD })).toBe('prevnext');
    expect(between({}, { flags: RW | VM_SOFTDIRTY | VM_MAYBE_GUARD }, {})).toBe('prevnext');
  });

  it.each([VM_IO, VM_DONTEXPAND, VM_PFNMAP, VM_MIXEDMAP])('N.16: VM_SPECIAL (%i) never merges', (special) => {
    const flags = RW | special;
    expect(between({ flags }, { flags }, { flags })).toBe('');
  });

  it('FACTS 21: the same anon_vma, or none on one side and a chain of at most 1 on the other', () => {
    const one = { anonVma: own, anonChain: 1 };
    const inherited = { anonVma: own, anonChain: 2 };
    expect(between(one, {}, one)).toBe('prevnext');
    expect(between({}, one, {})).toBe('prevnext');
    expect(between({ anonVma: other, anonChain: 1 }, one, {})).toBe('next');
    expect(between(inherited, {}, {})).toBe('next');
    expect(between({}, inherited, {})).toBe('');
    expect(between(inherited, inherited, inherited)).toBe('prevnext');
  });

  it('merge.ksft on 6.12: a range with an anon_vma goes over to no neighbour without one', () => {
    const one = { anonVma: own, anonChain: 1 };
    const on = (left: Partial<VmaTraits>, middle: Partial<VmaTraits>, right: Partial<VmaTraits>): string =>
      between(left, middle, right, false);
    expect([on({}, one, {}), on({}, one, one), on(one, one, {}), on(one, one, one)]).toEqual([
      '',
      'next',
      'prev',
      'prevnext',
    ]);
    expect([on(one, {}, {}), on({}, {}, one), on({}, {}, {})]).toEqual(['prevnext', 'prevnext', 'prevnext']);
  });

  it('D.6: neighbours that cannot merge with each other: the one before takes the range', () => {
    expect(between({ anonVma: own, anonChain: 1 }, {}, { anonVma: other, anonChain: 1 })).toBe('prev');
  });

  it('6.18: a range with the anon_vma of the one before, and no chain yet, joins it and one without an anon_vma', () => {
    const inherited = { anonVma: own, anonChain: 2 };
    expect(between(inherited, { anonVma: own, anonChain: 0 }, {})).toBe('prevnext');
    expect(between(inherited, { anonVma: own, anonChain: 0 }, { anonVma: other, anonChain: 1 })).toBe('prev');
  });

  it('property: as said of each pair, on its own', () => {
    const objects = [own, other];
    const traits = fc.record({
      flags: fc.constantFrom(RW, RW, RW, RW | VM_MAYBE_GUARD, VM_READ, RW | VM_IO),
      flagsHigh: fc.constantFrom(0, 0, 0, VM_SEALED | 0),
      file: fc.constantFrom(null, null, own, other),
      anon: fc.constantFrom([0, 0], [0, 0], [1, 1], [1, 2], [2, 1]),
      skew: fc.constantFrom(0, 0, 0, 7),
    });
    const alike = (a: VmaTraits, b: VmaTraits): boolean => {
      if (((a.flags | b.flags) & VM_IO) !== 0) return false;
      if ((a.flags & ~VM_MAYBE_GUARD) !== (b.flags & ~VM_MAYBE_GUARD)) return false;
      return a.flagsHigh === b.flagsHigh && a.file === b.file && related(a, b);
    };
    const related = (a: VmaTraits, b: VmaTraits): boolean =>
      a.anonVma === b.anonVma || (a.anonVma === null && b.anonChain === 1) || (b.anonVma === null && a.anonChain === 1);
    fc.assert(
      fc.property(traits, traits, traits, (...all) => {
        const specs = all.map(({ anon: [which, chain], skew, ...rest }, i) => ({
          ...rest,
          start: i * 2,
          end: i * 2 + 2,
          pgoff: i * 2 + skew,
          anonVma: which === 0 ? null : objects[which! - 1]!,
          anonChain: chain!,
        }));
        const [left, middle, right] = specs;
        const inLine = (a: Spec, b: Spec): boolean => a.pgoff! - a.start === b.pgoff! - b.start;
        const prev = inLine(left!, middle!) && alike(traitsOf(left!), traitsOf(middle!));
        const next = inLine(middle!, right!) && alike(traitsOf(middle!), traitsOf(right!));
        const [one, two] = [traitsOf(left!).anonVma, traitsOf(right!).anonVma];
        const both = prev && next && (one === null || two === null || one === two);
        const expected = (prev ? 'prev' : '') + (next && (!prev || both) ? 'next' : '');
        expect(between(left!, middle!, right!)).toBe(expected);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('reusableAnonVma', () => {
  const own = {};
  const reused = (neighbour: Partial<VmaTraits>, mine: Partial<VmaTraits> = {}): [boolean, boolean] => {
    const found = [true, false].map((left) => {
      const tree = createVmaTree();
      const vma = add(tree, { start: 2, end: 4, ...mine });
      const start = left ? 0 : 4;
      const with_ = add(tree, { start, end: start + 2, anonVma: own, anonChain: 1, ...neighbour });
      const result = reusableAnonVma(tree, vma);
      expect(result === null || result === with_).toBe(true);
      return result !== null;
    });
    return [found[0]!, found[1]!];
  };

  it('FACTS 21: of a neighbour alike but for its rights, whose chain is 1', () => {
    expect(reused({})).toEqual([true, true]);
    expect(reused({ flags: VM_READ | VM_MAYBE_GUARD })).toEqual([true, true]);
    expect(reused({ flags: RW | VM_LOCKED })).toEqual([false, false]);
    expect(reused({ anonChain: 2 })).toEqual([false, false]);
    expect(reused({ anonVma: null, anonChain: 0 })).toEqual([false, false]);
    expect(reused({ pgoff: 50 })).toEqual([false, false]);
    expect(reused({ file: {} })).toEqual([false, false]);
    expect(reused({ flagsHigh: VM_SEALED | 0 })).toEqual([false, false]);
    expect(reused({ flagsHigh: VM_SEALED | 0 }, { flagsHigh: VM_SEALED | 0 })).toEqual([true, true]);
  });

  it('the next VMA is asked first; one behind a hole is not asked; the VMA may be the first of all', () => {
    const tree = createVmaTree();
    const vma = add(tree, { start: 2, end: 4 });
    const before = add(tree, { start: 0, end: 2, anonVma: {}, anonChain: 1 });
    expect(reusableAnonVma(tree, vma)).toBe(before);
    const after = add(tree, { start: 4, end: 6, anonVma: {}, anonChain: 1 });
    expect(reusableAnonVma(tree, vma)).toBe(after);
    const far = createVmaTree();
    add(far, { start: 5, end: 6, anonVma: own, anonChain: 1 });
    expect(reusableAnonVma(far, add(far, { start: 0, end: 4 }))).toBeNull();
  });
});
