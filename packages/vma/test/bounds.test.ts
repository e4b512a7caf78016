/** N.16: a VMA that gets other bounds, as a plan (vma_merge_extend, vma_expand). */
import { ENOMEM } from '@mmkit/base';
import { describe, expect, it } from 'vitest';
import { eraseVma, planExpand, VM_DONTEXPAND, VM_IO, VM_PFNMAP } from '../src/index.ts';
import { apply, at, BASE, map, PAGE, RO, RW, shape, space, write } from './space.ts';
import { codeOf } from './naive.ts';

describe('planExpand', () => {
  it('upwards into a hole: the same VMA, larger', () => {
    const tree = space();
    const vma = map(tree, 0, 2);
    const plan = apply(planExpand(tree, vma, at(0), at(5)));
    expect([plan.kind, plan.target, plan.error, shape(tree)]).toEqual(['expand', vma, 0, '[0-5]']);
  });

  it('N.16: up to one that goes on from it: both become one, and that one goes', () => {
    const tree = space();
    const vma = map(tree, 0, 2);
    const next = map(tree, 4, 6);
    const plan = apply(planExpand(tree, vma, at(0), at(4)));
    expect([plan.kind, shape(tree), next.tree]).toEqual(['both', '[0-6]', null]);
  });

  it('N.16: up to one that is not like it, or of another offset, or an anon_vma of its own: they touch', () => {
    for (const other of [{ flags: RO }, { flags: RW, traits: { pgoff: 7 } }, { flags: RW, write: true }]) {
      const tree = space();
      const vma = map(tree, 0, 2);
      write(tree, 0);
      map(tree, 4, 6, other.flags, other.traits);
      if (other.write) write(tree, 4);
      expect([apply(planExpand(tree, vma, at(0), at(4))).kind, shape(tree)]).toEqual(['expand', '[0-4][4-6]']);
    }
  });

  it('D.6: an inherited chain does not keep it from a next one that was never written to', () => {
    const tree = space();
    const vma = map(tree, 0, 2);
    write(tree, 0);
    vma.anonChain = 2;
    map(tree, 4, 6);
    const plan = apply(planExpand(tree, vma, at(0), at(4)));
    expect([plan.kind, shape(tree), vma.anonChain]).toEqual(['both', '[0-6]', 2]);
  });

  it('downwards: the page offset goes down with the start, what lies right below stays apart', () => {
    const tree = space();
    map(tree, 0, 2);
    const vma = map(tree, 4, 6);
    expect([apply(planExpand(tree, vma, at(2), at(6))).kind, shape(tree)]).toEqual(['expand', '[0-2][2-6]']);
    expect(vma.pgoff).toBe(at(2) / PAGE);
  });

  it('both ways in one plan', () => {
    const tree = space();
    const vma = map(tree, 4, 6);
    map(tree, 8, 9);
    expect([apply(planExpand(tree, vma, at(3), at(8))).kind, shape(tree)]).toEqual(['both', '[3-9]']);
    expect(vma.pgoff).toBe(at(3) / PAGE);
  });

  it('-ENOMEM, nothing planned: something in the way on either side, offsets below 0, VM_SPECIAL upwards', () => {
    const tree = space();
    map(tree, 0, 2);
    const vma = map(tree, 4, 6, RW, { pgoff: 1 });
    map(tree, 8, 9);
    for (const [start, end] of [
      [1, 6],
      [4, 9],
      [2, 6],
    ] as const) {
      const plan = apply(planExpand(tree, vma, at(start), at(end)));
      expect([plan.error, plan.steps, plan.target]).toEqual([-ENOMEM, [], null]);
    }
    for (const flag of [VM_DONTEXPAND, VM_IO, VM_PFNMAP]) {
      const special = map(tree, 20, 21, RW | flag);
      expect([
        planExpand(tree, special, at(20), at(22)).error,
        planExpand(tree, special, at(19), at(21)).error,
      ]).toEqual([-ENOMEM, 0]);
      eraseVma(tree, special);
    }
    expect(shape(tree)).toBe('[0-2][4-6][8-9]');
  });

  it('the bounds it has: no steps; bounds that leave something out, are no pages or too high: RangeError', () => {
    const tree = space();
    const vma = map(tree, 4, 6);
    const { version } = tree.ranges;
    const plan = apply(planExpand(tree, vma, at(4), at(6)));
    expect([plan.error, plan.steps, plan.target, tree.ranges.version]).toEqual([0, [], vma, version]);
    expect(() => planExpand(tree, vma, at(5), at(6))).toThrow(/^start/);
    expect(() => planExpand(tree, vma, at(4), at(5))).toThrow(/^end/);
    expect(() => planExpand(tree, vma, BASE + 1, at(6))).toThrow(/^start/);
    expect(() => planExpand(tree, vma, at(4), tree.taskSize + PAGE)).toThrow(/^end/);
    eraseVma(tree, vma);
    expect(codeOf(() => planExpand(tree, vma, at(4), at(7)))).toBe('VMA_ABSENT');
  });
});
