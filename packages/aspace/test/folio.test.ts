import { describe, expect, it } from 'vitest';
import {
  folioAddNewAnonRmap,
  folioAnonVma,
  folioDupAnonRmap,
  folioMoveAnonRmap,
  folioRemoveRmap,
  folioTestAnon,
  Mm,
  pageAnonExclusive,
} from '@mmkit/aspace';
import { allocPages, COLD_INDEX, COLD_WORDS, GFP_KERNEL, pageMapCount, Phys } from '@mmkit/phys';
import { codeOf, formats, machine, space } from './builds.ts';

function frame(): [Mm, Phys, number] {
  const mm = space(machine());
  const { phys } = mm.memory;
  return [mm, phys, allocPages(phys, GFP_KERNEL, 0)];
}

describe.each(formats)('%s: the reverse map as counts', () => {
  it('B.15 #1: a page newly mapped is anonymous, exclusive, and mapped once', () => {
    const [mm, phys, pfn] = frame();
    expect(folioTestAnon(phys, pfn)).toBe(false);
    folioAddNewAnonRmap(mm, pfn, 3, 17);
    expect(folioTestAnon(phys, pfn)).toBe(true);
    expect(folioAnonVma(phys, pfn)).toBe(3);
    expect(pageAnonExclusive(phys, pfn)).toBe(true);
    expect(pageMapCount(phys, pfn)).toBe(1);
    expect(phys.cold[pfn * COLD_WORDS + COLD_INDEX]).toBe(17);
  });

  it('B.15 #4: fork maps it once more and it is exclusive no longer', () => {
    const [mm, phys, pfn] = frame();
    folioAddNewAnonRmap(mm, pfn, 3, 17);
    folioDupAnonRmap(mm, pfn);
    expect(pageMapCount(phys, pfn)).toBe(2);
    expect(pageAnonExclusive(phys, pfn)).toBe(false);
  });

  it('N.4: a sole owner takes it over: its own anon_vma, exclusive again', () => {
    const [mm, phys, pfn] = frame();
    folioAddNewAnonRmap(mm, pfn, 3, 17);
    folioDupAnonRmap(mm, pfn);
    folioRemoveRmap(mm, pfn);
    folioMoveAnonRmap(phys, pfn, 4);
    expect([folioAnonVma(phys, pfn), pageMapCount(phys, pfn), pageAnonExclusive(phys, pfn)]).toEqual([4, 1, true]);
  });

  it('a page that is mapped cannot be new: RMAP_NOT_NEW, nothing changed', () => {
    const [mm, phys, pfn] = frame();
    folioAddNewAnonRmap(mm, pfn, 3, 17);
    const before = phys.hot.slice();
    expect(codeOf(() => folioAddNewAnonRmap(mm, pfn, 4, 18))).toBe('RMAP_NOT_NEW');
    expect(phys.hot).toEqual(before);
    expect(phys.cold[pfn * COLD_WORDS + COLD_INDEX]).toBe(17);
  });

  it('a mapping that is not there cannot go: RMAP_BELOW_ZERO, nothing changed', () => {
    const [mm, phys, pfn] = frame();
    const before = phys.hot.slice();
    expect(codeOf(() => folioRemoveRmap(mm, pfn))).toBe('RMAP_BELOW_ZERO');
    expect(phys.hot).toEqual(before);
  });
});
