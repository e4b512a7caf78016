/** N.16, and a running 6.18: policy, userfaultfd and name keep VMAs apart (vma_modify_policy, _flags_uffd, _name). */
import { describe, expect, it } from 'vitest';
import type { Vma, VmaMarks, VmaTree } from '../src/index.ts';
import { planCopy, planExpand, planModify, planSplit, reusableAnonVma, VM_LOCKED, vmaLookup } from '../src/index.ts';
import { apply, at, map, PAGE, shape, space, unmap, write } from './space.ts';

const NONE: VmaMarks = { policy: null, uffdCtx: null, anonName: null };
const kinds: readonly (readonly [string, Partial<VmaMarks>, Partial<VmaMarks>])[] = [
  ['policy', { policy: { mode: 2 } }, { policy: { mode: 2 } }],
  ['userfaultfd', { uffdCtx: { fd: 3 } }, { uffdCtx: { fd: 4 } }],
  ['name', { anonName: 'one' }, { anonName: 'two' }],
];

/** mbind, UFFDIO_REGISTER or PR_SET_VMA_ANON_NAME, of a range of one VMA. */
function give(tree: VmaTree, first: number, last: number, marks: Partial<VmaMarks>): Vma {
  const vma = vmaLookup(tree, at(first))!;
  const { flags, flagsHigh } = vma;
  return apply(planModify(tree, vma, at(first), at(last), flags, flagsHigh, { ...NONE, ...marks })).target!;
}

describe.each(kinds)('%s', (_name, one, two) => {
  it('6.18: given to a range it is split off; its like joins, another does not, none at all joins again', () => {
    const tree = space();
    map(tree, 0, 9);
    expect(give(tree, 3, 6, one)).toMatchObject({ ...NONE, ...one });
    expect(shape(tree)).toBe('[0-3][3-6][6-9]');
    give(tree, 6, 9, one);
    expect(shape(tree)).toBe('[0-3][3-9]');
    give(tree, 0, 3, two);
    expect(shape(tree)).toBe('[0-3][3-9]');
    expect(vmaLookup(tree, at(0))).toMatchObject({ ...NONE, ...two });
    give(tree, 0, 3, one);
    expect(shape(tree)).toBe('[0-9]');
    give(tree, 0, 9, {});
    expect([shape(tree), vmaLookup(tree, at(0))]).toMatchObject(['[0-9]', NONE]);
  });

  it('new memory beside it stays apart, unless it has the same', () => {
    const tree = space();
    map(tree, 0, 2, undefined, one);
    map(tree, 2, 4);
    map(tree, 10, 12, undefined, one);
    map(tree, 12, 14, undefined, one);
    expect(shape(tree)).toBe('[0-2][2-4][10-14]');
  });

  it('both parts of a cut have it, and change of flags keeps it', () => {
    const tree = space();
    const vma = map(tree, 0, 8, undefined, one);
    const upper = apply(planSplit(tree, vma, at(4))).target;
    expect(upper).toMatchObject(one);
    const locked = apply(planModify(tree, vma, at(0), at(2), vma.flags | VM_LOCKED)).target;
    expect([locked, vmaLookup(tree, at(2))]).toMatchObject([one, one]);
  });

  it('6.18: a copy has it, and growth does not take in a next one without it', () => {
    const tree = space();
    const vma = map(tree, 0, 2, undefined, one);
    map(tree, 12, 14);
    expect(apply(planCopy(tree, vma, at(0), at(10), 2 * PAGE)).target).toMatchObject(one);
    map(tree, 4, 6);
    apply(planExpand(tree, vma, at(0), at(4)));
    expect(shape(tree)).toBe('[0-4][4-6][10-12][12-14]');
  });
});

describe('the anon_vma of a neighbour', () => {
  it('6.18: what another policy kept apart when it was written stays apart with the same one', () => {
    const tree = space();
    map(tree, 0, 4);
    give(tree, 0, 2, { policy: { mode: 2 } });
    write(tree, 0);
    expect(reusableAnonVma(tree, vmaLookup(tree, at(2))!)).toBe(null);
    write(tree, 2);
    give(tree, 0, 2, {});
    expect(shape(tree)).toBe('[0-2][2-4]');
  });

  it('N.16: a name keeps no anon_vma from its neighbour: they merge once it is gone', () => {
    const tree = space();
    map(tree, 0, 4);
    give(tree, 0, 2, { anonName: 'one' });
    write(tree, 0);
    write(tree, 2);
    give(tree, 0, 2, {});
    expect(shape(tree)).toBe('[0-4]');
    unmap(tree, 0, 4);
  });
});
