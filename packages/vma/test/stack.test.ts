/** A.3, N.16, FACTS-2 39 to 42: how far a stack may grow, and which page of it is its guard. */
import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { EFAULT, ENOMEM, EPERM } from '@mmkit/base';
import type { VmaPlan, VmaTree } from '../src/index.ts';
import {
  applyVmaPlan,
  checkVmaTree,
  createVmaTree,
  insertVma,
  isStackGuardPage,
  planStackGrowth,
  STACK_GUARD_GAP,
  VM_EXEC,
  VM_GROWSDOWN,
  VM_READ,
  VM_WRITE,
  Vma,
} from '../src/index.ts';

import { codeOf } from './naive.ts';

const PAGE = 4096;
const RW = VM_READ | VM_WRITE;
const STACK = RW | VM_GROWSDOWN;
/** Lowest page that may be grown to. */
const LOW = 16;

/** A VMA of pages [start, end). */
function add(tree: VmaTree, start: number, end: number, flags: number): Vma {
  const vma = new Vma(start * PAGE, end * PAGE, flags, start);
  insertVma(tree, vma);
  return vma;
}

/** Pages the VMA grows by, or why it may not. */
function pagesOf(vma: Vma, { kind, steps, target, error }: VmaPlan): number {
  expect([kind, target]).toEqual(['expand', error === 0 ? vma : null]);
  const [step, ...more] = steps;
  if (step === undefined) return error;
  expect([step.kind, step.vma, more, error]).toEqual(['resize', vma, [], 0]);
  return step.kind === 'resize' ? (vma.start - step.start) / PAGE : NaN;
}

describe('planStackGrowth', () => {
  const plan = (tree: VmaTree, vma: Vma, page: number): number =>
    pagesOf(vma, planStackGrowth(tree, vma, page * PAGE, LOW * PAGE));

  it('down to the page of the address, however far; 0 where it reaches already', () => {
    const tree = createVmaTree();
    const stack = add(tree, 1000, 1004, STACK);
    expect(pagesOf(stack, planStackGrowth(tree, stack, 999 * PAGE + 4095, LOW * PAGE))).toBe(1);
    expect([plan(tree, stack, 999), plan(tree, stack, 500), plan(tree, stack, 16)]).toEqual([1, 500, 984]);
    expect([plan(tree, stack, 1000), plan(tree, stack, 1003)]).toEqual([0, 0]);
    expect([stack.start, stack.end]).toEqual([1000 * PAGE, 1004 * PAGE]);
  });

  it('-EFAULT: it does not grow down, even where it reaches', () => {
    const tree = createVmaTree();
    const vma = add(tree, 1000, 1004, RW);
    expect([plan(tree, vma, 999), plan(tree, vma, 1000)]).toEqual([-EFAULT, -EFAULT]);
  });

  it('N.16: -EPERM below the lowest address', () => {
    const tree = createVmaTree();
    const stack = add(tree, 20, 21, STACK);
    expect([plan(tree, stack, LOW), plan(tree, stack, LOW - 1)]).toEqual([4, -EPERM]);
  });

  it('FACTS-2 41: exactly 256 free pages above an accessible VMA are enough', () => {
    for (const flags of [VM_READ, VM_WRITE, VM_EXEC]) {
      const tree = createVmaTree();
      add(tree, 100, 200, flags);
      const stack = add(tree, 1000, 1001, STACK);
      expect(tree.stackGuardGap).toBe(STACK_GUARD_GAP);
      expect([plan(tree, stack, 456), plan(tree, stack, 455)]).toEqual([544, -ENOMEM]);
    }
  });

  it('FACTS-2 41: a VMA nobody may touch, or a stack, keeps nothing free: growth up to touching it', () => {
    for (const flags of [0, STACK, VM_GROWSDOWN]) {
      const tree = createVmaTree();
      add(tree, 100, 200, flags);
      const stack = add(tree, 1000, 1001, STACK);
      expect([plan(tree, stack, 200), plan(tree, stack, 199)]).toEqual([800, -ENOMEM]);
    }
  });

  it('A.3: without a gap (up to 4.11) any stack may grow up to touching what lies below', () => {
    const tree = createVmaTree();
    tree.stackGuardGap = 0;
    add(tree, 100, 200, RW);
    const stack = add(tree, 201, 202, STACK);
    expect([plan(tree, stack, 200), plan(tree, stack, 199)]).toEqual([1, -ENOMEM]);
  });

  it('6.18: a stack that was moved keeps its page numbers, and stops where they would fall below 0', () => {
    const tree = createVmaTree();
    const stack = new Vma(1000 * PAGE, 1001 * PAGE, STACK, 256);
    insertVma(tree, stack);
    expect([plan(tree, stack, 744), plan(tree, stack, 743)]).toEqual([256, -ENOMEM]);
  });

  it('FACTS-2 42: two stacks that touch by growth stay two', () => {
    const tree = createVmaTree();
    add(tree, 100, 200, STACK);
    const stack = add(tree, 1000, 1001, STACK);
    applyVmaPlan(planStackGrowth(tree, stack, 200 * PAGE, 0));
    expect([tree.mapCount, stack.start, stack.pgoff]).toEqual([2, 200 * PAGE, 200]);
    checkVmaTree(tree);
  });

  it('a plan does not outlive a change of the tree', () => {
    const tree = createVmaTree();
    const stack = add(tree, 1000, 1001, STACK);
    const growth = planStackGrowth(tree, stack, 900 * PAGE, 0);
    add(tree, 950, 951, RW);
    expect(codeOf(() => applyVmaPlan(growth))).toBe('PLAN_STALE');
    expect(stack.start).toBe(1000 * PAGE);
  });

  it('only the VMA right below counts', () => {
    const tree = createVmaTree();
    add(tree, 100, 200, RW);
    add(tree, 300, 301, 0);
    const stack = add(tree, 1000, 1001, STACK);
    expect(plan(tree, stack, 301)).toBe(699);
  });

  it('property: what is planned leaves the tree whole and the gap free; what is refused breaks one of the two', () => {
    const flags = fc.constantFrom(0, VM_READ, RW, STACK, VM_GROWSDOWN);
    const vma = fc.record({ hole: fc.integer({ min: 0, max: 12 }), pages: fc.integer({ min: 1, max: 3 }), flags });
    fc.assert(
      fc.property(fc.array(vma, { minLength: 1, maxLength: 6 }), fc.nat(40), fc.nat(6), (vmas, page, gap) => {
        const tree = createVmaTree();
        tree.stackGuardGap = gap;
        let at = 0;
        const list = vmas.map((v) => {
          at += v.hole + v.pages;
          return add(tree, at - v.pages, at, v.flags);
        });
        const above = list.find((v) => v.start > page * PAGE);
        if (above === undefined || list.some((v) => v.start <= page * PAGE && v.end > page * PAGE)) return;
        const growth = planStackGrowth(tree, above, page * PAGE, LOW * PAGE);
        const pages = pagesOf(above, growth);
        const below = list.filter((v) => v.end <= page * PAGE).at(-1);
        const accessible =
          below !== undefined && (below.flags & (RW | VM_GROWSDOWN)) === (below.flags & RW) && below.flags !== 0;
        if ((above.flags & VM_GROWSDOWN) === 0) expect(pages).toBe(-EFAULT);
        else if (page < LOW) expect(pages).toBe(-EPERM);
        else if (accessible && page - below.end / PAGE < gap) expect(pages).toBe(-ENOMEM);
        else expect(pages).toBe(above.start / PAGE - page);
        applyVmaPlan(growth);
        if (pages > 0) expect([above.start, above.pgoff]).toEqual([page * PAGE, page]);
        checkVmaTree(tree);
      }),
      { seed: 20261123, numRuns: 2000 },
    );
  });
});

describe('isStackGuardPage', () => {
  it('A.3: the lowest page of a VMA that grows down, and no other', () => {
    const tree = createVmaTree();
    const stack = add(tree, 100, 104, STACK);
    const other = add(tree, 200, 204, RW);
    const at = (vma: Vma, page: number): boolean => isStackGuardPage(vma, page * PAGE);
    expect([at(stack, 100), at(stack, 101), at(stack, 103), at(other, 200)]).toEqual([true, false, false, false]);
    expect([isStackGuardPage(stack, 101 * PAGE - 1), isStackGuardPage(stack, 101 * PAGE)]).toEqual([true, false]);
  });

  it('A.3: not where another stack ends right below; other memory there, or a hole, does not matter', () => {
    for (const [flags, end, guard] of [
      [STACK, 100, false],
      [STACK, 99, true],
      [RW, 100, true],
      [0, 100, true],
    ] as const) {
      const tree = createVmaTree();
      add(tree, 90, end, flags);
      expect(isStackGuardPage(add(tree, 100, 104, STACK), 100 * PAGE)).toBe(guard);
    }
  });

  it('a VMA that is in no tree has none', () => {
    expect(isStackGuardPage(new Vma(PAGE, 2 * PAGE, STACK, 1), PAGE)).toBe(false);
  });
});
