/** N.16: every case of a merge and of a split, as a plan and applied; the hooks of files; refusals. */
import { EINVAL, ENOMEM } from '@mmkit/base';
import { describe, expect, it } from 'vitest';
import type { Vma, VmaOps, VmaPlan, VmaTree } from '../src/index.ts';
import {
  anonCompatible,
  applyVmaPlan,
  closeVma,
  eraseVma,
  newTraits,
  planCopy,
  planModify,
  planNew,
  planSplit,
  splitVma,
  VM_LOCKED,
  VM_MAYBE_GUARD,
  VM_MAYSHARE,
  VM_SEALED,
  VM_SHARED,
  VM_SOFTDIRTY,
  vmaLookup,
  vmasIn,
} from '../src/index.ts';
import { codeOf } from './naive.ts';
import { apply, at, map, PAGE, RO, RW, shape, space } from './space.ts';

const LOCKED = RW | VM_LOCKED;

/** VMAs of these pages, one after the other, without VM_ACCOUNT in the way. */
function tree(...specs: readonly (readonly [number, number, number, (VmaOps | null)?])[]): VmaTree {
  const made = space();
  for (const [first, last, flags, ops = null] of specs) {
    const fresh = newTraits(flags, at(first) / PAGE);
    apply(planNew(made, at(first), at(last), { ...fresh, ops }));
  }
  return made;
}

function vmaAt(made: VmaTree, page: number): Vma {
  return vmaLookup(made, at(page))!;
}

/** Everything of every VMA. */
function dump(made: VmaTree): unknown[] {
  return vmasIn(made, 0, made.taskSize).map((vma) => [vma, { ...vma }]);
}

/** planModify, seen to change nothing; then applied: case, VMAs, whether the target has the flags. */
function modify(made: VmaTree, first: number, last: number, flags: number): [string, string, number] {
  const before = dump(made);
  const plan = planModify(made, vmaAt(made, first), at(first), at(last), flags);
  expect(dump(made)).toEqual(before);
  apply(plan);
  if (plan.target !== null) {
    expect([plan.target.flags, vmaAt(made, first), vmaAt(made, last - 1)]).toEqual([flags, plan.target, plan.target]);
  }
  return [plan.kind, shape(made), plan.error];
}

describe('planNew (vma_merge_new_range)', () => {
  it.each([
    ['new', [[0, 2, RO] as const, [4, 6, RO] as const], '[0-2][2-4][4-6]'],
    ['left', [[0, 2, RW] as const, [4, 6, RO] as const], '[0-4][4-6]'],
    ['right', [[0, 2, RO] as const, [4, 6, RW] as const], '[0-2][2-6]'],
    ['both', [[0, 2, RW] as const, [4, 6, RW] as const], '[0-6]'],
  ])('%s', (kind, around, expected) => {
    const made = tree(...around);
    const before = dump(made);
    const plan = planNew(made, at(2), at(4), newTraits(RW, at(2) / PAGE));
    expect([plan.kind, dump(made)]).toEqual([kind, before]);
    apply(plan);
    expect([shape(made), vmaAt(made, 2), vmaAt(made, 3)]).toEqual([expected, plan.target, plan.target]);
    expect(plan.target!.pgoff).toBe(plan.target!.start / PAGE);
  });

  it('what is merged has the sticky flags of all, and the anon_vma that one of them had', () => {
    const made = tree([0, 2, RW | VM_SOFTDIRTY], [4, 6, RW]);
    const right = vmaAt(made, 4);
    right.anonVma = {};
    right.anonChain = 1;
    const { target } = apply(planNew(made, at(2), at(4), newTraits(RW | VM_MAYBE_GUARD, at(2) / PAGE)));
    const flags = RW | VM_SOFTDIRTY | VM_MAYBE_GUARD;
    expect([target!.flags, target!.anonVma, target!.anonChain]).toEqual([flags, right.anonVma, 1]);
  });

  it('a place that is taken, bad bounds: refused, nothing changes', () => {
    const made = tree([0, 2, RW]);
    const before = dump(made);
    const traits = newTraits(RW, 0);
    expect(codeOf(() => planNew(made, at(1), at(3), traits))).toBe('VMA_OVERLAP');
    const there = vmaAt(made, 0);
    expect(codeOf(() => planNew(made, at(1), at(3), traits, [there]))).toBe('VMA_OVERLAP');
    expect(codeOf(() => planNew(made, at(2), at(3), traits, [there]))).toBe('VMA_OVERLAP');
    expect(codeOf(() => planNew(made, at(3) + 1, at(4), traits))).toBe('RangeError');
    expect(codeOf(() => planNew(made, at(4), at(4), traits))).toBe('RangeError');
    expect(codeOf(() => planNew(made, at(4), made.taskSize + PAGE, traits))).toBe('RangeError');
    expect(codeOf(() => planNew(made, at(4), at(5), { ...traits, pgoff: -1 }))).toBe('RangeError');
    expect(dump(made)).toEqual(before);
  });
});

describe('planModify (vma_merge_existing_range, vma_modify_flags)', () => {
  it.each([
    ['flags', [[2, 6, RW] as const], 2, 6, '[2-6]'],
    ['split', [[2, 6, RW] as const], 2, 4, '[2-4][4-6]'],
    ['split', [[2, 6, RW] as const], 4, 6, '[2-4][4-6]'],
    ['split', [[2, 6, RW] as const], 3, 5, '[2-3][3-5][5-6]'],
    ['left', [[0, 2, LOCKED] as const, [2, 6, RW] as const, [6, 8, RO] as const], 2, 6, '[0-6][6-8]'],
    ['right', [[0, 2, RO] as const, [2, 6, RW] as const, [6, 8, LOCKED] as const], 2, 6, '[0-2][2-8]'],
    ['both', [[0, 2, LOCKED] as const, [2, 6, RW] as const, [6, 8, LOCKED] as const], 2, 6, '[0-8]'],
    ['partial left', [[0, 2, LOCKED] as const, [2, 6, RW] as const], 2, 3, '[0-3][3-6]'],
    ['partial right', [[2, 6, RW] as const, [6, 8, LOCKED] as const], 5, 6, '[2-5][5-8]'],
    [
      'split',
      [[0, 2, LOCKED] as const, [2, 6, RW] as const, [6, 8, LOCKED] as const],
      3,
      5,
      '[0-2][2-3][3-5][5-6][6-8]',
    ],
  ])('%s', (kind, vmas, first, last, expected) => {
    const made = tree(...vmas);
    expect(modify(made, first, last, LOCKED)).toEqual([kind, expected, 0]);
    for (const vma of vmasIn(made, 0, made.taskSize)) expect(vma.pgoff).toBe(vma.start / PAGE);
  });

  it('flags above bit 31 keep apart, and unite', () => {
    const made = tree([0, 4, RW]);
    const part = apply(planModify(made, vmaAt(made, 0), at(1), at(2), RW, VM_SEALED)).target!;
    expect([shape(made), part.flagsHigh]).toEqual(['[0-1][1-2][2-4]', VM_SEALED | 0]);
    expect(apply(planModify(made, part, at(1), at(2), RW, 0)).kind).toBe('both');
    expect(shape(made)).toBe('[0-4]');
  });

  it('neighbours that cannot merge with each other: the one before takes the range', () => {
    const made = tree([0, 2, LOCKED], [2, 4, RW], [4, 6, LOCKED]);
    for (const page of [0, 4]) {
      vmaAt(made, page).anonVma = {};
      vmaAt(made, page).anonChain = 1;
    }
    expect(modify(made, 2, 4, LOCKED)).toEqual(['left', '[0-4][4-6]', 0]);
  });

  it('a VMA that is not in the tree, bounds that are not its pages: refused, nothing changes', () => {
    const made = tree([0, 4, RW], [6, 8, RW]);
    const before = dump(made);
    const vma = vmaAt(made, 0);
    const gone = map(space(), 0, 1);
    eraseVma(gone.tree!, gone);
    expect(codeOf(() => planModify(made, gone, at(0), at(1), RO))).toBe('VMA_ABSENT');
    expect(codeOf(() => planModify(made, vma, at(0), at(5), RO))).toBe('RangeError');
    expect(codeOf(() => planModify(made, vma, at(0) - PAGE, at(1), RO))).toBe('RangeError');
    expect(codeOf(() => planModify(made, vma, at(2), at(2), RO))).toBe('RangeError');
    expect(codeOf(() => planModify(made, vma, at(0) + 8, at(2), RO))).toBe('RangeError');
    expect(dump(made)).toEqual(before);
  });
});

describe('vm.max_map_count', () => {
  it('N.16: a split at the limit is -ENOMEM and changes nothing', () => {
    const made = tree([0, 4, RW], [6, 8, RW]);
    made.maxMapCount = 2;
    const before = dump(made);
    const plan = apply(planSplit(made, vmaAt(made, 0), at(2)));
    expect([plan.error, plan.target, plan.steps.length, dump(made)]).toEqual([-ENOMEM, null, 0, before]);
    expect(modify(made, 0, 2, RO)).toEqual(['split', '[0-4][6-8]', -ENOMEM]);
    expect(dump(made)).toEqual(before);
  });

  it('6.18: of the two splits of a change in the middle the first one stays', () => {
    const made = tree([0, 4, RW]);
    made.maxMapCount = 2;
    expect(modify(made, 1, 2, RO)).toEqual(['split', '[0-1][1-4]', -ENOMEM]);
    expect(vmaAt(made, 1).flags).toBe(RW);
  });

  it('what needs no more VMAs than there are is allowed at the limit', () => {
    const made = tree([0, 2, LOCKED], [2, 6, RW], [6, 8, LOCKED]);
    made.maxMapCount = 3;
    expect(modify(made, 2, 3, LOCKED)).toEqual(['partial left', '[0-3][3-6][6-8]', 0]);
    expect(modify(made, 5, 6, LOCKED)).toEqual(['partial right', '[0-3][3-5][5-8]', 0]);
    expect(modify(made, 3, 5, RO)).toEqual(['flags', '[0-3][3-5][5-8]', 0]);
    expect(modify(made, 3, 5, LOCKED)).toEqual(['both', '[0-8]', 0]);
  });

  it('munmap has asked before it splits', () => {
    const made = tree([0, 4, RW]);
    made.maxMapCount = 1;
    expect(apply(planSplit(made, vmaAt(made, 0), at(2), false)).error).toBe(0);
    expect(shape(made)).toBe('[0-2][2-4]');
  });
});

describe('vma.ops', () => {
  it('open is called of what is split off or copied, in its tree; not of what is mapped or merged', () => {
    const opened: string[] = [];
    const ops: VmaOps = { open: (vma) => opened.push(`${(vma.start - at(0)) / PAGE}-${(vma.end - at(0)) / PAGE}`) };
    const made = tree([0, 8, RW, ops]);
    expect(opened).toEqual([]);
    modify(made, 2, 4, LOCKED);
    // Both cuts are one change of the tree.
    expect(opened).toEqual(['2-4', '4-8']);
    modify(made, 2, 4, RW);
    apply(planCopy(made, vmaAt(made, 0), at(2), at(20), 2 * PAGE));
    expect([opened, vmaAt(made, 20).ops]).toEqual([['2-4', '4-8', '20-22'], ops]);
  });

  it('maySplit is asked, after the limit; what it says is the error', () => {
    const asked: number[] = [];
    const even: VmaOps = {
      maySplit: (_vma, address) => {
        asked.push((address - at(0)) / PAGE);
        return (address / PAGE) % 2 === 0 ? 0 : -EINVAL;
      },
    };
    const made = tree([0, 8, RW, even]);
    expect(apply(planSplit(made, vmaAt(made, 0), at(3))).error).toBe(-EINVAL);
    expect(modify(made, 2, 5, LOCKED)).toEqual(['split', '[0-2][2-8]', -EINVAL]);
    expect(modify(made, 2, 4, LOCKED)).toEqual(['split', '[0-2][2-4][4-8]', 0]);
    expect(codeOf(() => splitVma(made, vmaAt(made, 4), at(5)))).toBe('SPLIT_REFUSED');
    made.maxMapCount = 3;
    asked.length = 0;
    expect([apply(planSplit(made, vmaAt(made, 4), at(6))).error, asked]).toEqual([-ENOMEM, []]);
    expect(shape(made)).toBe('[0-2][2-4][4-8]');
  });

  it('N.16: one with close is never merged away: whole it stays, as the one after it stays behind', () => {
    const ops: VmaOps = { close: () => undefined };
    const made = tree([0, 2, LOCKED, ops], [2, 6, RW, ops], [6, 8, LOCKED, ops]);
    expect(modify(made, 2, 6, LOCKED)).toEqual(['flags', '[0-2][2-6][6-8]', 0]);
    const parts = tree([0, 2, LOCKED, ops], [2, 6, RW, ops], [6, 8, LOCKED, ops]);
    expect(modify(parts, 2, 3, LOCKED)).toEqual(['partial left', '[0-3][3-6][6-8]', 0]);
    expect(modify(parts, 5, 6, LOCKED)).toEqual(['partial right', '[0-3][3-5][5-8]', 0]);
    const hole = tree([0, 2, RW, ops], [4, 6, RW, ops]);
    const plan = apply(planNew(hole, at(2), at(4), { ...newTraits(RW, at(2) / PAGE), ops }));
    expect([plan.kind, shape(hole)]).toEqual(['left', '[0-4][4-6]']);
  });

  it('close is called once, by who unmaps', () => {
    const closed: Vma[] = [];
    const made = tree([0, 2, RW, { close: (vma) => closed.push(vma) }]);
    const vma = vmaAt(made, 0);
    eraseVma(made, vma);
    expect(closed).toEqual([]);
    closeVma(vma);
    expect(closed).toEqual([vma]);
  });

  it('VMAs with other hooks do not merge', () => {
    expect(shape(tree([0, 2, RW, {}], [2, 4, RW, {}]))).toBe('[0-2][2-4]');
    const ops: VmaOps = {};
    expect(shape(tree([0, 2, RW, ops], [2, 4, RW, ops]))).toBe('[0-4]');
  });

  it('anonCompatible takes the place of the rule', () => {
    const never: VmaOps = { anonCompatible: () => false };
    expect(shape(tree([0, 2, RW, never], [2, 4, RW, never]))).toBe('[0-2][2-4]');
    const always: VmaOps = { anonCompatible: () => true };
    for (const [ops, expected] of [
      [always, '[0-6]'],
      [{ anonCompatible } as VmaOps, '[0-4][4-6]'],
    ] as const) {
      const made = tree([0, 2, RW, ops], [4, 6, RW, ops]);
      for (const page of [0, 4]) {
        vmaAt(made, page).anonVma = {};
        vmaAt(made, page).anonChain = 1;
      }
      apply(planNew(made, at(2), at(4), { ...newTraits(RW, at(2) / PAGE), ops }));
      expect(shape(made)).toBe(expected);
    }
  });
});

describe('planCopy (copy_vma)', () => {
  const copy = (made: VmaTree, page: number, to: number, pages: number): VmaPlan =>
    apply(planCopy(made, vmaAt(made, page), at(page), at(to), pages * PAGE));

  it('FACTS 21: memory never written to is numbered anew and merges with what is there', () => {
    const made = tree([0, 4, RW], [8, 10, RW]);
    expect([copy(made, 2, 10, 2).kind, shape(made)]).toEqual(['left', '[0-4][8-12]']);
  });

  it('FACTS 21: written memory keeps its numbers, and merges with what goes on from them only', () => {
    const made = tree([0, 4, RW], [8, 10, RW]);
    Object.assign(vmaAt(made, 0), { anonVma: {}, anonChain: 1 });
    const { kind, target } = copy(made, 2, 10, 2);
    expect([kind, target!.pgoff, shape(made)]).toEqual(['new', at(2) / PAGE, '[0-4][8-10][10-12]']);
    expect(copy(made, 0, 12, 1).kind).toBe('new');
    expect([copy(made, 0, 18, 2).kind, copy(made, 2, 20, 1).kind]).toEqual(['new', 'left']);
  });

  it('a file is mapped on from the same page of it; flags, hooks and the anon_vma go with it', () => {
    const made = space();
    const file = {};
    const ops: VmaOps = {};
    const vma = map(made, 0, 4, RW | VM_SHARED | VM_MAYSHARE, { file, ops, pgoff: 7, flagsHigh: 1 });
    Object.assign(vma, { anonVma: {}, anonChain: 3 });
    const { target } = copy(made, 1, 10, 5);
    const { flags, flagsHigh, anonVma, anonChain } = vma;
    expect(target).toMatchObject({ flags, flagsHigh, file, ops, anonVma, anonChain, pgoff: 8, end: at(15) });
  });
});

describe('applyVmaPlan', () => {
  it('a plan made before the tree changed is stale: refused, nothing changes', () => {
    const made = tree([0, 4, RW]);
    const stale = planSplit(made, vmaAt(made, 0), at(2));
    apply(planSplit(made, vmaAt(made, 0), at(3)));
    const before = dump(made);
    expect(codeOf(() => applyVmaPlan(stale))).toBe('PLAN_STALE');
    expect(dump(made)).toEqual(before);
    expect(shape(made)).toBe('[0-3][3-4]');
  });

  it('nor can one be applied twice', () => {
    const made = tree([0, 4, RW]);
    const plan = apply(planSplit(made, vmaAt(made, 0), at(2)));
    expect(codeOf(() => applyVmaPlan(plan))).toBe('PLAN_STALE');
    expect(shape(made)).toBe('[0-2][2-4]');
  });
});
