/** FACTS 20: when VM_ACCOUNT comes and goes. */
import { describe, expect, it } from 'vitest';
import type { Vma } from '../src/index.ts';
import { mprotectFlags, newAccountFlags, VM_ACCOUNT, VM_HUGETLB, VM_NORESERVE, VM_SHARED } from '../src/index.ts';
import { map, RO, RW, space, write } from './space.ts';

const COUNTED = RW | VM_ACCOUNT;

function vmaWith(flags: number, file: object | null = null): Vma {
  const tree = space();
  const vma = map(tree, 0, 1, RO, { file });
  vma.flags = flags;
  return vma;
}

describe('VM_ACCOUNT', () => {
  it('new memory counts when it is private and writable, and not NORESERVE', () => {
    expect([RW, RO, RW | VM_SHARED, RW | VM_NORESERVE].map((flags) => newAccountFlags(flags) & VM_ACCOUNT)).toEqual([
      VM_ACCOUNT,
      0,
      0,
      0,
    ]);
  });

  it('what mprotect makes writable counts from then on, but for shared, NORESERVE and hugetlb memory', () => {
    expect(mprotectFlags(vmaWith(RO), RW)).toBe(COUNTED);
    for (const free of [VM_SHARED, VM_NORESERVE, VM_HUGETLB]) expect(mprotectFlags(vmaWith(RO | free), RW)).toBe(RW);
    expect(mprotectFlags(vmaWith(RW), RW)).toBe(RW);
  });

  it('what it makes read-only does not count any more, unless it was written to or has a file', () => {
    expect(mprotectFlags(vmaWith(COUNTED), RO | VM_ACCOUNT)).toBe(RO);
    expect(mprotectFlags(vmaWith(COUNTED, {}), RO | VM_ACCOUNT)).toBe(RO | VM_ACCOUNT);
    const tree = space();
    const vma = map(tree, 0, 1);
    write(tree, 0);
    expect(mprotectFlags(vma, RO | VM_ACCOUNT)).toBe(RO | VM_ACCOUNT);
    expect(mprotectFlags(vmaWith(RO), RO)).toBe(RO);
  });
});
