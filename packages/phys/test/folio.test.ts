import { FOLL_GET, FOLL_PIN, InvariantError } from '@mmkit/base';
import { describe, expect, it } from 'vitest';
import {
  allocPages,
  checkPhys,
  compoundHead,
  createPhys,
  folioAddRmapPmd,
  folioAddRmapPtes,
  folioEntireMapcount,
  folioMapcount,
  folioMaybeDmaPinned,
  folioNrPages,
  folioNrPagesMapped,
  folioOrder,
  folioPincount,
  folioRemoveRmapPmd,
  folioRemoveRmapPtes,
  folioTestLarge,
  freePages,
  getPage,
  GFP_COMP,
  gupPutFolio,
  HOT_FLAGS,
  HOT_MAPCOUNT,
  HOT_OWNER,
  HOT_REFCOUNT,
  ORDER_SHIFT,
  OWNER_ANON,
  OWNER_FILE,
  OWNER_NONE,
  OWNER_SHIFT,
  pageMapCount,
  pageRefCount,
  PG_HEAD,
  PG_PRIVATE,
  PG_TAIL,
  putPage,
  setFlag,
  TAIL_LARGE_MAPCOUNT,
  tryGrabFolio,
} from '../src/index.ts';
import type { Phys } from '../src/index.ts';
import { expectRefused, refusal } from './support.ts';

const FRAMES = 4096;
const HUGE = 9;
/** Largest count. */
const MAX_COUNT = 0x7fff_ffff;

function machine(order: number): { phys: Phys; pfn: number } {
  const phys = createPhys({ frames: FRAMES });
  return { phys, pfn: allocPages(phys, GFP_COMP, order) };
}

function setOwner(phys: Phys, pfn: number, kind: number): void {
  phys.hot[pfn * 4 + HOT_OWNER] = (7 << OWNER_SHIFT) | kind;
}

/** Maps a page once more: an entry and its reference. */
function mapPage(phys: Phys, pfn: number): void {
  getPage(phys, pfn);
  folioAddRmapPtes(phys, pfn);
}

/** What an anonymous fault leaves: a folio whose one reference is its mapping. */
function anonymous(order: number): { phys: Phys; pfn: number } {
  const made = machine(order);
  setOwner(made.phys, made.pfn, OWNER_ANON);
  if (order === 0) folioAddRmapPtes(made.phys, made.pfn);
  else folioAddRmapPmd(made.phys, made.pfn);
  return made;
}

/** What a read leaves: a folio in the page cache, which has a reference for each page. */
function cached(order: number): { phys: Phys; pfn: number } {
  const made = machine(order);
  setOwner(made.phys, made.pfn, OWNER_FILE);
  getPage(made.phys, made.pfn, 1 << order);
  putPage(made.phys, made.pfn);
  return made;
}

function counts(phys: Phys, pfn: number): number[] {
  return [pageRefCount(phys, pfn), folioMapcount(phys, pfn), folioPincount(phys, pfn)];
}

describe('E.1: reference-count oracle (reference count, map count, pin count)', () => {
  it('anon 4K mapped once: 1, 1', () => {
    const { phys, pfn } = anonymous(0);
    expect(counts(phys, pfn)).toEqual([1, 1, 0]);
  });

  it('anon 4K mapped by parent and child: 2, 2', () => {
    const { phys, pfn } = anonymous(0);
    mapPage(phys, pfn);
    expect(counts(phys, pfn)).toEqual([2, 2, 0]);
  });

  it('anon 4K in the swap cache, mapped once: 2, 1', () => {
    const { phys, pfn } = anonymous(0);
    getPage(phys, pfn);
    expect(counts(phys, pfn)).toEqual([2, 1, 0]);
  });

  it('anon 4K mapped once, with one pin: 1025, 1', () => {
    const { phys, pfn } = anonymous(0);
    tryGrabFolio(phys, pfn, 1, FOLL_PIN);
    expect(counts(phys, pfn)).toEqual([1025, 1, 0]);
  });

  it('anon 4K mapped once, with 3 pins and 2 references: 3075, 1', () => {
    const { phys, pfn } = anonymous(0);
    tryGrabFolio(phys, pfn, 3, FOLL_PIN);
    tryGrabFolio(phys, pfn, 2, FOLL_GET);
    expect(counts(phys, pfn)).toEqual([3075, 1, 0]);
  });

  it('anon 4K pinned, then unmapped: 1024, 0', () => {
    const { phys, pfn } = anonymous(0);
    tryGrabFolio(phys, pfn, 1, FOLL_PIN);
    folioRemoveRmapPtes(phys, pfn);
    putPage(phys, pfn);
    expect(counts(phys, pfn)).toEqual([1024, 0, 0]);
  });

  it('page-cache 4K, unmapped, no private data: 1, 0', () => {
    const { phys, pfn } = cached(0);
    expect(counts(phys, pfn)).toEqual([1, 0, 0]);
  });

  it('page-cache 4K mapped twice, with private data: 4, 2', () => {
    const { phys, pfn } = cached(0);
    mapPage(phys, pfn);
    mapPage(phys, pfn);
    setFlag(phys, pfn, PG_PRIVATE);
    getPage(phys, pfn);
    expect(counts(phys, pfn)).toEqual([4, 2, 0]);
  });

  it('page-cache 4K truncated while pinned and unmapped: 1024, no owner, 0', () => {
    const { phys, pfn } = cached(0);
    tryGrabFolio(phys, pfn, 1, FOLL_PIN);
    phys.hot[pfn * 4 + HOT_OWNER] = OWNER_NONE;
    putPage(phys, pfn);
    expect(counts(phys, pfn)).toEqual([1024, 0, 0]);
    gupPutFolio(phys, pfn, 1, FOLL_PIN);
    expect(phys.freeFrames).toBe(FRAMES - 2);
  });

  it('anon THP, PMD-mapped once: 1, 1 (entire), 0', () => {
    const { phys, pfn } = anonymous(HUGE);
    expect(counts(phys, pfn)).toEqual([1, 1, 0]);
    expect(folioEntireMapcount(phys, pfn)).toBe(1);
    expect(folioNrPagesMapped(phys, pfn)).toBe(0);
  });

  it('… all 512 pages pinned by one call: 513, 1, 512', () => {
    const { phys, pfn } = anonymous(HUGE);
    expect(tryGrabFolio(phys, pfn, 512, FOLL_PIN)).toBe(0);
    expect(counts(phys, pfn)).toEqual([513, 1, 512]);
  });

  it('… then PMD split to PTEs: 1024, 512, 512', () => {
    const { phys, pfn } = anonymous(HUGE);
    tryGrabFolio(phys, pfn, 512, FOLL_PIN);
    getPage(phys, pfn, 511);
    folioAddRmapPtes(phys, pfn, 512);
    folioRemoveRmapPmd(phys, pfn);
    expect(counts(phys, pfn)).toEqual([1024, 512, 512]);
    expect(folioEntireMapcount(phys, pfn)).toBe(0);
    expect(folioNrPagesMapped(phys, pfn)).toBe(512);
    checkPhys(phys);
  });

  it('file THP (order 9) in the cache, PMD-mapped once: 513, 1, 0', () => {
    const { phys, pfn } = cached(HUGE);
    getPage(phys, pfn);
    folioAddRmapPmd(phys, pfn);
    expect(counts(phys, pfn)).toEqual([513, 1, 0]);
  });

  it('hugetlb anon mapped once, 1 pin: 2, 1, 1', () => {
    const { phys, pfn } = anonymous(HUGE);
    tryGrabFolio(phys, pfn, 1, FOLL_PIN);
    expect(counts(phys, pfn)).toEqual([2, 1, 1]);
  });

  it('the zero page after any number of pins: unchanged', () => {
    const { phys } = machine(0);
    const before = counts(phys, phys.zeroPfn);
    tryGrabFolio(phys, phys.zeroPfn, 1000, FOLL_PIN);
    expect(counts(phys, phys.zeroPfn)).toEqual(before);
  });

  it('isolated for migration, mapped once anon: 2, 1', () => {
    const { phys, pfn } = anonymous(0);
    getPage(phys, pfn);
    expect(counts(phys, pfn)).toEqual([2, 1, 0]);
  });

  it.each([
    [1023, false],
    [1024, true],
    [-5, true],
  ])('maybe_dma_pinned of a small folio with count %i: %s', (count, pinned) => {
    const { phys, pfn } = machine(0);
    phys.hot[pfn * 4 + HOT_REFCOUNT] = count;
    expect(folioMaybeDmaPinned(phys, pfn)).toBe(pinned);
  });
});

describe('compound pages', () => {
  it('DESIGN, State: GFP_COMP makes a head and tails that name it', () => {
    const { phys, pfn } = machine(3);
    expect(phys.hot[pfn * 4 + HOT_FLAGS]).toBe(PG_HEAD | (3 << ORDER_SHIFT));
    for (let frame = pfn; frame < pfn + 8; frame++) {
      expect(compoundHead(phys, frame)).toBe(pfn);
      expect([folioOrder(phys, frame), folioNrPages(phys, frame), folioTestLarge(phys, frame)]).toEqual([3, 8, true]);
      if (frame !== pfn) expect(phys.hot[frame * 4 + HOT_FLAGS]).toBe(PG_TAIL);
    }
    checkPhys(phys);
    freePages(phys, pfn, 3);
    checkPhys(phys);
    expect([folioTestLarge(phys, pfn), folioOrder(phys, pfn + 7), compoundHead(phys, pfn + 7)]).toEqual([
      false,
      0,
      pfn + 7,
    ]);
  });

  it('a block without GFP_COMP is a small folio', () => {
    const phys = createPhys({ frames: 64 });
    const pfn = allocPages(phys, 0, 3);
    expect([folioOrder(phys, pfn), folioNrPages(phys, pfn), folioTestLarge(phys, pfn)]).toEqual([0, 1, false]);
    expect(compoundHead(phys, pfn + 1)).toBe(pfn + 1);
  });

  it('B.7: a map count that is full: MAP_OVERFLOW, of a page, of the whole folio, by large entries', () => {
    const { phys, pfn } = machine(2);
    folioAddRmapPtes(phys, pfn + 1);
    phys.hot[(pfn + 1) * 4 + HOT_MAPCOUNT] = MAX_COUNT;
    expectRefused(phys, 'MAP_OVERFLOW', () => folioAddRmapPtes(phys, pfn, 2));
    phys.hot[(pfn + 1) * 4 + HOT_MAPCOUNT] = 1;
    phys.cold[(pfn + 1) * 4 + TAIL_LARGE_MAPCOUNT] = MAX_COUNT - 2;
    expectRefused(phys, 'MAP_OVERFLOW', () => folioAddRmapPtes(phys, pfn, 3));
    folioAddRmapPtes(phys, pfn, 2);
    expectRefused(phys, 'MAP_OVERFLOW', () => folioAddRmapPmd(phys, pfn));
    expect(folioMapcount(phys, pfn)).toBe(MAX_COUNT);
    const small = allocPages(phys, 0, 0);
    folioAddRmapPtes(phys, small);
    phys.hot[small * 4 + HOT_MAPCOUNT] = MAX_COUNT;
    expectRefused(phys, 'MAP_OVERFLOW', () => folioAddRmapPtes(phys, small));
  });

  it('refuses to free a large folio that is mapped or pinned, by any of its counts', () => {
    const { phys, pfn } = machine(2);
    folioAddRmapPmd(phys, pfn);
    expectRefused(phys, 'FREE_MAPPED', () => freePages(phys, pfn, 2));
    expectRefused(phys, 'FREE_MAPPED', () => putPage(phys, pfn + 1));
    folioRemoveRmapPmd(phys, pfn);
    folioAddRmapPtes(phys, pfn + 3);
    expectRefused(phys, 'FREE_MAPPED', () => freePages(phys, pfn, 2));
    folioRemoveRmapPtes(phys, pfn + 3);
    tryGrabFolio(phys, pfn, 1, FOLL_PIN);
    putPage(phys, pfn);
    expectRefused(phys, 'FREE_PINNED', () => freePages(phys, pfn, 2));
    expectRefused(phys, 'FREE_PINNED', () => putPage(phys, pfn));
    gupPutFolio(phys, pfn, 1, FOLL_PIN);
    expect(phys.freeFrames).toBe(FRAMES - 2);
    checkPhys(phys);
  });

  it('refuses to free a tail, or a block with the wrong order', () => {
    const { phys, pfn } = machine(2);
    for (let order = 0; order <= 2; order++) {
      expectRefused(phys, 'FREE_TAIL', () => freePages(phys, pfn + 1, order));
      if (order !== 2) expectRefused(phys, 'WRONG_ORDER', () => freePages(phys, pfn, order));
    }
  });
});

describe('map counts', () => {
  it('entries of its own and large ones of the folio map a page (folio_precise_page_mapcount)', () => {
    const { phys, pfn } = machine(2);
    folioAddRmapPmd(phys, pfn);
    folioAddRmapPtes(phys, pfn + 1, 2);
    folioAddRmapPtes(phys, pfn + 2);
    expect([0, 1, 2, 3].map((page) => pageMapCount(phys, pfn + page))).toEqual([1, 2, 3, 1]);
    expect(folioMapcount(phys, pfn + 3)).toBe(4);
    expect(folioNrPagesMapped(phys, pfn)).toBe(2);
    folioRemoveRmapPtes(phys, pfn + 1, 2);
    expect(folioNrPagesMapped(phys, pfn + 1)).toBe(1);
    expect(folioMapcount(phys, pfn)).toBe(2);
  });

  it('of a small folio are its own', () => {
    const { phys, pfn } = machine(0);
    expect([folioMapcount(phys, pfn), folioNrPagesMapped(phys, pfn)]).toEqual([0, 0]);
    folioAddRmapPtes(phys, pfn);
    folioAddRmapPtes(phys, pfn);
    expect([folioMapcount(phys, pfn), folioNrPagesMapped(phys, pfn), pageMapCount(phys, pfn)]).toEqual([2, 1, 2]);
    expect([folioEntireMapcount(phys, pfn), folioPincount(phys, pfn)]).toEqual([0, 0]);
  });

  it('refuses what nothing maps: MAP_BELOW_ZERO', () => {
    const { phys, pfn } = machine(2);
    expectRefused(phys, 'MAP_BELOW_ZERO', () => folioRemoveRmapPmd(phys, pfn));
    folioAddRmapPtes(phys, pfn, 2);
    expectRefused(phys, 'MAP_BELOW_ZERO', () => folioRemoveRmapPtes(phys, pfn, 3));
    expectRefused(phys, 'MAP_BELOW_ZERO', () => folioRemoveRmapPmd(phys, pfn));
  });

  it('refuses free frames, the inside of a block, and large entries of small folios', () => {
    const { phys, pfn } = machine(0);
    expectRefused(phys, 'NOT_LARGE', () => folioAddRmapPmd(phys, pfn));
    expectRefused(phys, 'NOT_LARGE', () => folioRemoveRmapPmd(phys, pfn));
    const block = allocPages(phys, 0, 2);
    expectRefused(phys, 'MAP_FREE', () => folioAddRmapPtes(phys, block + 1));
    freePages(phys, pfn, 0);
    expectRefused(phys, 'MAP_FREE', () => folioAddRmapPtes(phys, pfn));
    expectRefused(phys, 'MAP_FREE', () => folioRemoveRmapPtes(phys, pfn));
    expectRefused(phys, 'MAP_FREE', () => folioAddRmapPmd(phys, pfn));
  });

  it('refuses pages beyond the folio, and bad numbers', () => {
    const { phys, pfn } = machine(2);
    for (const pages of [0, -1, 0.5, NaN, 4]) {
      expectRefused(phys, 'RangeError', () => folioAddRmapPtes(phys, pfn + 1, pages));
      expectRefused(phys, 'RangeError', () => folioRemoveRmapPtes(phys, pfn + 1, pages));
    }
    for (const frame of [FRAMES, -1, 0.5, NaN]) {
      for (const call of [
        compoundHead,
        folioTestLarge,
        folioOrder,
        folioNrPages,
        folioMapcount,
        folioEntireMapcount,
        folioNrPagesMapped,
        folioPincount,
        folioAddRmapPtes,
        folioRemoveRmapPtes,
        folioAddRmapPmd,
        folioRemoveRmapPmd,
      ]) {
        expect(refusal(() => call(phys, frame))).toBe('RangeError');
      }
    }
  });

  it('a refusal is an InvariantError', () => {
    const { phys, pfn } = machine(0);
    expect(() => folioAddRmapPmd(phys, pfn)).toThrow(InvariantError);
    expect(phys.hot[pfn * 4 + HOT_MAPCOUNT]).toBe(0);
  });
});
