/** A.14, FACTS 19: PG_mlocked and PG_unevictable, and how many locked mappings a page has. */
import { describe, expect, it } from 'vitest';
import { mlockFolio, mlockVmaFolio, munlockFolio, munlockVmaFolio } from '@mmkit/aspace';
import type { Memory } from '@mmkit/aspace';
import { E_SPECIAL, E_USER } from '@mmkit/pgtable';
import { allocPages, GFP_HIGHUSER_MOVABLE, PG_MLOCKED, PG_UNEVICTABLE, putPage, testFlag } from '@mmkit/phys';
import { VM_IO, VM_LOCKED } from '@mmkit/vma';
import { addVma, AT, builds, formats, machine, mapAnon, PAGE, RW, setLeaf, space } from './builds.ts';

const isMlocked = ({ phys }: Memory, pfn: number): boolean => {
  expect(testFlag(phys, pfn, PG_UNEVICTABLE)).toBe(testFlag(phys, pfn, PG_MLOCKED));
  return testFlag(phys, pfn, PG_MLOCKED);
};

describe.each(formats)('%s: mlockFolio', () => {
  it('a page is mlocked while one locked mapping is left; one unlocked too often stays as it is', () => {
    const memory = machine();
    const { phys } = memory;
    const pfn = allocPages(phys, GFP_HIGHUSER_MOVABLE, 0);
    munlockFolio(phys, pfn);
    expect(isMlocked(memory, pfn)).toBe(false);
    mlockFolio(phys, pfn);
    mlockFolio(phys, pfn);
    munlockFolio(phys, pfn);
    expect(isMlocked(memory, pfn)).toBe(true);
    munlockFolio(phys, pfn);
    expect(isMlocked(memory, pfn)).toBe(false);
    mlockFolio(phys, pfn);
    munlockFolio(phys, pfn);
    expect(isMlocked(memory, pfn)).toBe(false);
    putPage(phys, pfn);
  });

  it('a page that is freed while mlocked (DONTUNMAP leaves such) is none when it is given out again', () => {
    const memory = machine();
    const { phys } = memory;
    const pfn = allocPages(phys, GFP_HIGHUSER_MOVABLE, 0);
    mlockFolio(phys, pfn);
    putPage(phys, pfn);
    const again = allocPages(phys, GFP_HIGHUSER_MOVABLE, 0);
    expect([again, isMlocked(memory, again)]).toEqual([pfn, false]);
  });

  it('only pages of VMAs that are locked, and not special, count', () => {
    const memory = machine();
    const mm = space(memory);
    const pfn = allocPages(memory.phys, GFP_HIGHUSER_MOVABLE, 0);
    const vma = addVma(mm, AT, 1, RW);
    for (const [flags, counts] of [
      [RW, false],
      [RW | VM_LOCKED | VM_IO, false],
      [RW | VM_LOCKED, true],
    ] as const) {
      vma.flags = flags;
      mlockVmaFolio(mm, vma, pfn);
      expect(isMlocked(memory, pfn)).toBe(counts);
    }
    vma.flags = RW;
    munlockVmaFolio(mm, vma, pfn);
    expect(isMlocked(memory, pfn)).toBe(true);
    vma.flags = RW | VM_LOCKED;
    munlockVmaFolio(mm, vma, pfn);
    expect(isMlocked(memory, pfn)).toBe(false);
  });
});

describe.each(builds)('%s: mlockRange', (_name, api) => {
  it('marks the pages mapped in the range, and no zero page; takes the marks back', () => {
    const memory = machine();
    const mm = space(memory);
    const vma = addVma(mm, AT, 4, RW);
    const pages = [0, 1, 2].map((page) => mapAnon(mm, vma, AT + page * PAGE));
    setLeaf(mm, AT + 3 * PAGE, memory.phys.zeroPfn, E_USER | E_SPECIAL);
    api.mlockRange(mm, AT + PAGE, AT + 4 * PAGE, true);
    expect([...pages, memory.phys.zeroPfn].map((pfn) => isMlocked(memory, pfn))).toEqual([false, true, true, false]);
    api.mlockRange(mm, AT, AT + 2 * PAGE, false);
    expect(pages.map((pfn) => isMlocked(memory, pfn))).toEqual([false, false, true]);
  });
});
