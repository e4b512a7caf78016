import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ACCESS_EXEC,
  ACCESS_READ,
  ACCESS_USER,
  ACCESS_WRITE,
  createTlb,
  createTranslation,
  E_DIRTY,
  E_EXEC,
  E_RIGHTS,
  E_USER,
  E_WRITE,
  hwWalk,
  mapRange,
  protectRange,
  tlbFlushAll,
  tlbFlushPage,
  tlbFlushRange,
  tlbFlushRoot,
  tlbInsert,
  tlbLookup,
  type Translation,
  unmapRange,
  x86_64,
} from '@mmkit/pgtable';
import { createMachine } from './machine.ts';

const ROOT = 40;
const USER_READ = ACCESS_READ | ACCESS_USER;
const USER_WRITE = ACCESS_WRITE | ACCESS_USER;
const USER_EXEC = ACCESS_EXEC | ACCESS_USER;

function translation(pfn: number, flags: number = E_RIGHTS | E_DIRTY, shift = 12): Translation {
  const out = createTranslation();
  out.pfn = pfn;
  out.flags = flags;
  out.shift = shift;
  return out;
}

describe('TLB lookup', () => {
  it('gives the frame that was inserted for the page, and only under its root', () => {
    const tlb = createTlb();
    expect(tlbLookup(tlb, ROOT, 0x5000, USER_READ)).toBe(-1);
    tlbInsert(tlb, ROOT, 0x5123, translation(7));
    expect(tlbLookup(tlb, ROOT, 0x5fff, USER_READ)).toBe(7);
    expect(tlbLookup(tlb, ROOT, 0x6000, USER_READ)).toBe(-1);
    expect(tlbLookup(tlb, ROOT + 1, 0x5000, USER_READ)).toBe(-1);
    expect(tlbLookup(tlb, ROOT, 0x5000 + 2 ** 44, USER_READ)).toBe(-1);
    expect([tlb.hits, tlb.misses]).toEqual([1, 4]);
  });

  it.each([
    ['write without the right', E_USER | E_DIRTY, USER_WRITE],
    ['fetch without the right', E_USER | E_DIRTY, USER_EXEC],
    ['user access of a supervisor page', E_WRITE | E_DIRTY, USER_READ],
    ['first write to a page that is not dirty', E_USER | E_WRITE, USER_WRITE],
  ])('misses, so that the tables are walked: %s', (_name, flags, access) => {
    const tlb = createTlb();
    tlbInsert(tlb, ROOT, 0x5000, translation(7, flags));
    expect(tlbLookup(tlb, ROOT, 0x5000, access)).toBe(-1);
    expect(tlbLookup(tlb, ROOT, 0x5000, ACCESS_READ)).toBe(7);
  });

  it('SDM: a write through a clean entry sets Dirty in the tables, later ones need no walk', () => {
    const { tables, root } = createMachine(x86_64);
    mapRange(tables, root, 0x5000, 0x6000, 9, E_WRITE | E_USER);
    const tlb = createTlb();
    const out = createTranslation();
    const access = (kind: number): number => {
      const pfn = tlbLookup(tlb, root, 0x5000, kind);
      if (pfn >= 0) return pfn;
      if (hwWalk(tables, root, 0x5000, kind, out) !== 0) return -1;
      tlbInsert(tlb, root, 0x5000, out);
      return out.pfn;
    };
    expect([access(USER_READ), access(USER_WRITE), access(USER_WRITE), access(USER_READ)]).toEqual([9, 9, 9, 9]);
    expect([tlb.hits, tlb.misses]).toEqual([2, 2]);
    protectRange(tables, root, 0x5000, 0x6000, 0, E_WRITE);
    expect(access(USER_WRITE)).toBe(9);
    tlbFlushPage(tlb, root, 0x5000);
    expect(access(USER_WRITE)).toBe(-1);
    unmapRange(tables, root, 0x5000, 0x6000);
    expect(access(USER_READ)).toBe(-1);
  });

  it('does not keep a frame that is no RAM', () => {
    const tlb = createTlb();
    tlbInsert(tlb, ROOT, 0x5000, translation(2 ** 29));
    expect(tlbLookup(tlb, ROOT, 0x5000, USER_READ)).toBe(-1);
  });
});

describe('TLB flush', () => {
  it('of a page drops that page only', () => {
    const tlb = createTlb();
    tlbInsert(tlb, ROOT, 0x5000, translation(7));
    tlbInsert(tlb, ROOT, 0x6000, translation(8));
    tlbFlushPage(tlb, ROOT + 1, 0x5000);
    expect(tlbLookup(tlb, ROOT, 0x5000, USER_READ)).toBe(7);
    tlbFlushPage(tlb, ROOT, 0x5fff);
    expect(tlbLookup(tlb, ROOT, 0x5000, USER_READ)).toBe(-1);
    expect(tlbLookup(tlb, ROOT, 0x6000, USER_READ)).toBe(8);
    expect(tlb.flushes).toBe(2);
  });

  it('of a page of a huge leaf drops the whole leaf, as INVLPG does', () => {
    const tlb = createTlb();
    const huge = translation(0x205, E_USER | E_EXEC, 21);
    tlbInsert(tlb, ROOT, 0x40_5000, huge);
    tlbInsert(tlb, ROOT, 0x5f_f000, huge);
    tlbInsert(tlb, ROOT, 0x60_0000, translation(8));
    tlbFlushPage(tlb, ROOT, 0x40_0000);
    expect(tlbLookup(tlb, ROOT, 0x40_5000, USER_READ)).toBe(-1);
    expect(tlbLookup(tlb, ROOT, 0x5f_f000, USER_READ)).toBe(-1);
    expect(tlbLookup(tlb, ROOT, 0x60_0000, USER_READ)).toBe(8);
  });

  it('of a root drops what that root has; of all drops all', () => {
    const tlb = createTlb();
    tlbInsert(tlb, ROOT, 0x5000, translation(7));
    tlbInsert(tlb, ROOT + 1, 0x8000, translation(8));
    tlbFlushRoot(tlb, ROOT);
    expect(tlbLookup(tlb, ROOT, 0x5000, USER_READ)).toBe(-1);
    expect(tlbLookup(tlb, ROOT + 1, 0x8000, USER_READ)).toBe(8);
    tlbFlushAll(tlb);
    expect(tlbLookup(tlb, ROOT + 1, 0x8000, USER_READ)).toBe(-1);
  });

  it('of a page drops none whose number has the same low 32 bits', () => {
    const tlb = createTlb();
    tlbInsert(tlb, ROOT, 2 ** 44 + 0x5000, translation(7));
    tlbFlushPage(tlb, ROOT, 0x5000);
    expect(tlbLookup(tlb, ROOT, 2 ** 44 + 0x5000, USER_READ)).toBe(7);
    tlbFlushPage(tlb, ROOT, 2 ** 44 + 0x5000);
    expect(tlbLookup(tlb, ROOT, 2 ** 44 + 0x5000, USER_READ)).toBe(-1);
  });

  it('an empty range drops nothing', () => {
    const tlb = createTlb();
    tlbInsert(tlb, ROOT, 0, translation(7));
    tlbFlushRange(tlb, ROOT, 0, 0);
    expect(tlbLookup(tlb, ROOT, 0, USER_READ)).toBe(7);
  });

  it('never leaves a page of the range behind, and drops no page that shares no leaf with it', () => {
    const inserted = fc.record({
      root: fc.integer({ min: ROOT, max: ROOT + 1 }),
      page: fc.integer({ min: 0, max: 1100 }),
      huge: fc.boolean(),
    });
    const range = fc.tuple(fc.integer({ min: 0, max: 1100 }), fc.integer({ min: 0, max: 200 }));
    fc.assert(
      fc.property(fc.array(inserted, { maxLength: 30 }), range, (list, [first, pages]) => {
        const tlb = createTlb({ slots: 32 });
        const huge = new Map<string, boolean>();
        for (const entry of list) {
          tlbInsert(tlb, entry.root, entry.page * 4096, translation(entry.page + 1, E_RIGHTS, entry.huge ? 21 : 12));
          huge.set(`${entry.root} ${entry.page}`, entry.huge);
        }
        const kept = list.filter(({ root, page }) => tlbLookup(tlb, root, page * 4096, USER_READ) >= 0);
        tlbFlushRange(tlb, ROOT, first * 4096 + (pages > 0 ? 5 : 0), (first + pages) * 4096);
        for (const { root, page } of kept) {
          const size = huge.get(`${root} ${page}`) === true ? 512 : 1;
          const leaf = page - (page % size);
          const touched = root === ROOT && leaf < first + pages && leaf + size > first && pages > 0;
          expect(tlbLookup(tlb, root, page * 4096, USER_READ)).toBe(touched ? -1 : page + 1);
        }
      }),
    );
  });
});

describe('createTlb', () => {
  it('takes another page size', () => {
    const tlb = createTlb({ slots: 1, pageShift: 14 });
    tlbInsert(tlb, ROOT, 0x4000, translation(7, E_USER, 14));
    expect(tlbLookup(tlb, ROOT, 0x7fff, USER_READ)).toBe(7);
  });

  it('refuses bad options', () => {
    expect(() => createTlb({ slots: 48 })).toThrow(/^slots: /);
    expect(() => createTlb({ slots: 0 })).toThrow(/^slots: /);
    expect(() => createTlb({ pageShift: 11 })).toThrow(/^pageShift: /);
  });
});
