/** D.6, row by row: what VMAs Linux 6.18.44 had after these calls. The same through the whole kernel is tested by mm. */
import { describe, expect, it } from 'vitest';
import { VM_DONTCOPY, VM_LOCKED, VM_MAYSHARE, VM_SHARED } from '../src/index.ts';
import { change, fork, map, move, protect, RO, RW, shape, space, unmap, write } from './space.ts';

const SHARED = RW | VM_SHARED | VM_MAYSHARE;

describe('D.6', () => {
  it('two adjacent anonymous maps, untouched: 1', () => {
    const tree = space();
    map(tree, 0, 2);
    map(tree, 2, 4);
    expect(shape(tree)).toBe('[0-4]');
  });

  it('left touched, right newly mapped: 1', () => {
    const tree = space();
    map(tree, 0, 2);
    write(tree, 0);
    map(tree, 2, 4);
    expect(shape(tree)).toBe('[0-4]');
  });

  it('left and right touched separately, then the gap is mapped: 2, it joins the left one only', () => {
    const tree = space();
    for (const first of [0, 4]) {
      map(tree, first, first + 2);
      write(tree, first);
    }
    map(tree, 2, 4);
    expect(shape(tree)).toBe('[0-4][4-6]');
  });

  it('left touched, right mapped, right touched: 1', () => {
    const tree = space();
    map(tree, 0, 2);
    write(tree, 0);
    map(tree, 2, 4);
    write(tree, 2);
    expect(shape(tree)).toBe('[0-4]');
  });

  it.each([false, true])('a read-only neighbour, only read, then mprotect to rw: 1 (left touched: %s)', (touched) => {
    const tree = space();
    map(tree, 0, 2);
    if (touched) write(tree, 0);
    map(tree, 2, 4, RO);
    expect(shape(tree)).toBe('[0-2][2-4]');
    protect(tree, 2, 4, RW);
    expect(shape(tree)).toBe('[0-4]');
  });

  it.each([false, true])('mprotect of the middle to r/o and back to rw: 3 and 1 (touched: %s)', (touched) => {
    const tree = space();
    map(tree, 0, 4);
    if (touched) write(tree, 1);
    protect(tree, 1, 3, RO);
    expect(shape(tree)).toBe('[0-1][1-3][3-4]');
    protect(tree, 1, 3, RW);
    expect(shape(tree)).toBe('[0-4]');
  });

  it('ro, rw, ro: the middle made ro: 1, three joined', () => {
    const tree = space();
    map(tree, 0, 2, RO);
    map(tree, 2, 4, RW);
    map(tree, 4, 6, RO);
    expect(shape(tree)).toBe('[0-2][2-4][4-6]');
    protect(tree, 2, 4, RO);
    expect(shape(tree)).toBe('[0-6]');
  });

  it('FACTS 20: but a middle that was written to still counts, so it stays apart', () => {
    const tree = space();
    map(tree, 0, 2, RO);
    map(tree, 2, 4, RW);
    write(tree, 2);
    map(tree, 4, 6, RO);
    protect(tree, 2, 4, RO);
    expect(shape(tree)).toBe('[0-2][2-4][4-6]');
  });

  it('MADV_DONTFORK of the first page, MADV_DOFORK: 2 and 1', () => {
    const tree = space();
    map(tree, 0, 4);
    change(tree, 0, 1, ({ flags }) => flags | VM_DONTCOPY);
    expect(shape(tree)).toBe('[0-1][1-4]');
    change(tree, 0, 1, ({ flags }) => flags & ~VM_DONTCOPY);
    expect(shape(tree)).toBe('[0-4]');
  });

  it('mlock of a page in the middle, munlock: 3 and 1', () => {
    const tree = space();
    map(tree, 0, 4);
    change(tree, 1, 2, ({ flags }) => flags | VM_LOCKED);
    expect(shape(tree)).toBe('[0-1][1-2][2-4]');
    change(tree, 1, 2, ({ flags }) => flags & ~VM_LOCKED);
    expect(shape(tree)).toBe('[0-4]');
  });

  it('the same file shared, at offsets that go on and that do not: 1 and 2', () => {
    const file = {};
    for (const [pgoff, expected] of [
      [2, '[0-4]'],
      [3, '[0-2][2-4]'],
      [0, '[0-2][2-4]'],
    ] as const) {
      const tree = space();
      map(tree, 0, 2, SHARED, { file, pgoff: 0 });
      map(tree, 2, 4, SHARED, { file, pgoff });
      expect(shape(tree)).toBe(expected);
    }
  });

  it('shared next to private of the same file: 2', () => {
    const tree = space();
    const file = {};
    map(tree, 0, 2, SHARED, { file, pgoff: 0 });
    map(tree, 2, 4, RW, { file, pgoff: 2 });
    expect(shape(tree)).toBe('[0-2][2-4]');
  });

  it('a private r/o file at offsets that go on: 1', () => {
    const tree = space();
    const file = {};
    map(tree, 2, 4, RO, { file, pgoff: 2 });
    map(tree, 0, 2, RO, { file, pgoff: 0 });
    expect(shape(tree)).toBe('[0-4]');
  });

  it('mremap of the untouched tail away, then back: 2, then 1', () => {
    const tree = space();
    map(tree, 0, 4);
    move(tree, 2, 4, 8);
    expect(shape(tree)).toBe('[0-2][8-10]');
    move(tree, 8, 10, 2);
    expect(shape(tree)).toBe('[0-4]');
  });

  it('touched head moved away, new memory between the tail and it: the head keeps its old pgoff, 2', () => {
    const tree = space();
    map(tree, 0, 4);
    write(tree, 0);
    move(tree, 0, 2, 6);
    expect(shape(tree)).toBe('[2-4][6-8]');
    map(tree, 4, 6);
    expect(shape(tree)).toBe('[2-6][6-8]');
  });

  it('munmap of a page in the middle, mapped again: 2 and 1', () => {
    const tree = space();
    map(tree, 0, 4);
    unmap(tree, 1, 2);
    expect(shape(tree)).toBe('[0-1][2-4]');
    map(tree, 1, 2);
    expect(shape(tree)).toBe('[0-4]');
  });

  it('in a forked child: extending what the parent had not touched, and had: 1 and 2', () => {
    for (const [touched, expected] of [
      [false, '[0-4]'],
      [true, '[0-2][2-4]'],
    ] as const) {
      const parent = space();
      map(parent, 0, 2);
      if (touched) write(parent, 0);
      const child = fork(parent);
      map(child, 2, 4);
      expect([shape(child), shape(parent)]).toEqual([expected, '[0-2]']);
    }
  });
});
