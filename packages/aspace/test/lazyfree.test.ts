import { describe, expect, it } from 'vitest';
import { folioDupAnonRmap, Mm, MM_CPUMASK, MM_ROOT } from '@mmkit/aspace';
import { folioTrylock } from '@mmkit/filemap';
import {
  ACCESS_READ,
  createTranslation,
  E_DIRTY,
  E_SPECIAL,
  E_USER,
  E_WRITE,
  E_YOUNG,
  hwWalk,
  tlbInsert,
  tlbLookup,
} from '@mmkit/pgtable';
import {
  getPage,
  PG_ACTIVE,
  PG_DIRTY,
  PG_REFERENCED,
  PG_SWAPBACKED,
  PG_UNEVICTABLE,
  pageRefCount,
  setFlag,
  testFlag,
} from '@mmkit/phys';
import { addVma, AT, builds, entryAt, machine, mapAnon, PAGE, rawAt, RW, setLeaf, space } from './builds.ts';

/** The page's B (swap-backed) and D (PG_dirty), its entry's `y`oung, `d`irty and `w`ritable. */
function letters(mm: Mm, address: number): string {
  const { pfn, flags } = entryAt(mm, address);
  const { phys } = mm.memory;
  return [
    testFlag(phys, pfn, PG_SWAPBACKED) && 'B',
    testFlag(phys, pfn, PG_DIRTY) && 'D',
    (flags & E_YOUNG) !== 0 && 'y',
    (flags & E_DIRTY) !== 0 && 'd',
    (flags & E_WRITE) !== 0 && 'w',
  ]
    .filter((letter) => letter !== false)
    .join('');
}

/** The CPU has used `address`: true while its TLB holds the translation. */
function useAt(mm: Mm, address: number): () => boolean {
  const root = mm.words[MM_ROOT]!;
  const found = createTranslation();
  hwWalk(mm.memory.tables, root, address, ACCESS_READ, found);
  tlbInsert(mm.memory.tlbs[0]!, root, address, found);
  mm.words[MM_CPUMASK]! |= 1;
  return () => tlbLookup(mm.memory.tlbs[0]!, root, address, ACCESS_READ) >= 0;
}

describe.each(builds)('%s: lazyfreeRange, coldRange', (_name, api) => {
  function one(): { mm: Mm; pfn: number } {
    const mm = space(machine());
    return { mm, pfn: mapAnon(mm, addVma(mm, AT, 4, RW), AT) };
  }

  it('FACTS 16: a page stays mapped and writable, no longer swap-backed; its entry is clean and old, TLBs are flushed', () => {
    const { mm, pfn } = one();
    setFlag(mm.memory.phys, pfn, PG_ACTIVE | PG_REFERENCED);
    const cached = useAt(mm, AT);
    expect(letters(mm, AT)).toBe('Bydw');
    api.lazyfreeRange(mm, AT, AT + PAGE);
    expect([letters(mm, AT), cached(), pageRefCount(mm.memory.phys, pfn)]).toEqual(['w', false, 1]);
    expect(testFlag(mm.memory.phys, pfn, PG_ACTIVE | PG_REFERENCED)).toBe(false);
  });

  it('FACTS 16: PG_dirty goes too where the page is mapped once', () => {
    const { mm, pfn } = one();
    setFlag(mm.memory.phys, pfn, PG_DIRTY);
    api.lazyfreeRange(mm, AT, AT + PAGE);
    expect([letters(mm, AT), folioTrylock(mm.memory, pfn)]).toEqual(['w', true]);
  });

  it('FACTS 16: a dirty page that is mapped twice, or whose lock is taken, is left alone', () => {
    const { mm, pfn } = one();
    const { phys } = mm.memory;
    setFlag(phys, pfn, PG_DIRTY);
    folioDupAnonRmap(mm, pfn);
    api.lazyfreeRange(mm, AT, AT + PAGE);
    expect(letters(mm, AT)).toBe('BDydw');
    const other = one();
    setFlag(other.mm.memory.phys, other.pfn, PG_DIRTY);
    folioTrylock(other.mm.memory, other.pfn);
    api.lazyfreeRange(other.mm, AT, AT + PAGE);
    expect(letters(other.mm, AT)).toBe('BDydw');
  });

  it('FACTS 16: a clean page mapped twice is handled, an unevictable one stays swap-backed', () => {
    const { mm, pfn } = one();
    folioDupAnonRmap(mm, pfn);
    api.lazyfreeRange(mm, AT, AT + PAGE);
    expect(letters(mm, AT)).toBe('w');
    const other = one();
    setFlag(other.mm.memory.phys, other.pfn, PG_UNEVICTABLE);
    api.lazyfreeRange(other.mm, AT, AT + PAGE);
    expect(letters(other.mm, AT)).toBe('Bw');
  });

  it('only the range; the zero page and guards keep their entries', () => {
    const { mm } = one();
    setLeaf(mm, AT + PAGE, mm.memory.phys.zeroPfn, E_USER | E_SPECIAL | E_YOUNG);
    api.guardInstall(mm, AT + 2 * PAGE, AT + 3 * PAGE);
    const before = [0, 1, 2].map((i) => ({ ...rawAt(mm, AT + i * PAGE) }));
    api.lazyfreeRange(mm, AT + PAGE, AT + 3 * PAGE);
    api.coldRange(mm, AT + PAGE, AT + 3 * PAGE);
    expect([0, 1, 2].map((i) => ({ ...rawAt(mm, AT + i * PAGE) }))).toEqual(before);
  });

  it('FACTS-2 11: coldRange makes an entry old and keeps it dirty, unless others map the page', () => {
    const { mm, pfn } = one();
    const { phys } = mm.memory;
    setFlag(phys, pfn, PG_ACTIVE | PG_REFERENCED);
    const cached = useAt(mm, AT);
    api.coldRange(mm, AT, AT + PAGE);
    expect([letters(mm, AT), cached(), testFlag(phys, pfn, PG_ACTIVE | PG_REFERENCED)]).toEqual(['Bdw', false, false]);
    const other = one();
    folioDupAnonRmap(other.mm, other.pfn);
    api.coldRange(other.mm, AT, AT + PAGE);
    expect(letters(other.mm, AT)).toBe('Bydw');
  });

  it('a new anonymous page is swap-backed, whatever happened to others', () => {
    const { mm, pfn } = one();
    api.lazyfreeRange(mm, AT, AT + PAGE);
    const { phys } = mm.memory;
    getPage(phys, pfn);
    const next = mapAnon(mm, addVma(mm, AT + 8 * PAGE, 1, RW), AT + 8 * PAGE);
    expect([testFlag(phys, pfn, PG_SWAPBACKED), testFlag(phys, next, PG_SWAPBACKED)]).toEqual([false, true]);
  });
});
