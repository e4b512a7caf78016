import { EAGAIN, EBUSY, EINVAL, FOLL_GET, FOLL_PIN } from '@mmkit/base';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  allocPages,
  checkPhys,
  clearFlag,
  COLD_INDEX,
  COLD_PRIVATE,
  compoundHead,
  createPhys,
  drainPages,
  folioAddRmapPmd,
  folioAddRmapPtes,
  folioMapcount,
  folioNrPagesMapped,
  folioOrder,
  folioPincount,
  folioRemoveRmapPtes,
  freePages,
  getPage,
  GFP_COMP,
  HOT_FLAGS,
  HOT_OWNER,
  OWNER_ANON,
  OWNER_FILE,
  OWNER_NONE,
  OWNER_SHIFT,
  pageMapCount,
  pageOrder,
  pageRefCount,
  PG_ACTIVE,
  PG_ANON_EXCLUSIVE,
  PG_ARCH_1,
  PG_DIRTY,
  PG_HEAD,
  PG_HWPOISON,
  PG_LOCKED,
  PG_LRU,
  PG_MLOCKED,
  PG_OWNER_PRIV_1,
  PG_PRIVATE,
  PG_RECLAIM,
  PG_REFERENCED,
  PG_SWAPBACKED,
  PG_TAIL,
  PG_UNEVICTABLE,
  PG_UPTODATE,
  PG_WAITERS,
  PG_WORKINGSET,
  PG_WRITEBACK,
  putPage,
  setFlag,
  setHwpoison,
  splitFolio,
  splitPage,
  testFlag,
  tryGrabFolio,
  unpinFolio,
} from '../src/index.ts';
import type { Phys } from '../src/index.ts';
import { LRU_ACTIVE_FILE, LRU_INACTIVE_ANON, lruFolios, lruvecAddFolio, nodeLruPages } from '../src/lru.ts';
import { expectRefused, refusal } from './support.ts';

const FRAMES = 4096;
const INDEX = 100;

/** A locked large folio; the caller has one reference, a page cache one a page. */
function folio(order: number, kind: number): { phys: Phys; pfn: number } {
  const phys = createPhys({ frames: FRAMES });
  const pfn = allocPages(phys, GFP_COMP, order);
  phys.hot[pfn * 4 + HOT_OWNER] = (7 << OWNER_SHIFT) | kind;
  phys.cold[pfn * 4 + COLD_INDEX] = INDEX;
  if (kind === OWNER_FILE) getPage(phys, pfn, 1 << order);
  setFlag(phys, pfn, PG_LOCKED);
  return { phys, pfn };
}

function mapPage(phys: Phys, pfn: number, times: number = 1): void {
  for (let i = 0; i < times; i++) {
    getPage(phys, pfn);
    folioAddRmapPtes(phys, pfn);
  }
}

describe('splitPage', () => {
  it('split_page: each frame of the block becomes one of its own, with one reference', () => {
    const phys = createPhys({ frames: FRAMES });
    const pfn = allocPages(phys, 0, 3);
    getPage(phys, pfn, 4);
    splitPage(phys, pfn);
    for (let frame = pfn; frame < pfn + 8; frame++) {
      expect([pageRefCount(phys, frame), pageOrder(phys, frame)]).toEqual([frame === pfn ? 5 : 1, 0]);
    }
    checkPhys(phys);
    putPage(phys, pfn, 4);
    for (let frame = pfn; frame < pfn + 8; frame++) freePages(phys, frame, 0);
    drainPages(phys);
    expect(phys.freeFrames).toBe(FRAMES - 2);
    checkPhys(phys);
  });

  it('a single frame is what it was', () => {
    const phys = createPhys({ frames: FRAMES });
    const pfn = allocPages(phys, 0, 0);
    expectRefused(phys, '', () => splitPage(phys, pfn));
  });

  it('refuses compound pages, free frames and the inside of a block', () => {
    const phys = createPhys({ frames: FRAMES });
    const compound = allocPages(phys, GFP_COMP, 2);
    const block = allocPages(phys, 0, 2);
    expectRefused(phys, 'SPLIT_COMPOUND', () => splitPage(phys, compound));
    expectRefused(phys, 'SPLIT_COMPOUND', () => splitPage(phys, compound + 3));
    expectRefused(phys, 'SPLIT_FREE', () => splitPage(phys, block + 1));
    freePages(phys, block, 2);
    expectRefused(phys, 'SPLIT_FREE', () => splitPage(phys, block));
    expectRefused(phys, 'RangeError', () => splitPage(phys, FRAMES));
  });
});

describe('splitFolio', () => {
  it('N.12: of a file folio each new one keeps the cache’s references, the caller’s stays with its page', () => {
    const { phys, pfn } = folio(3, OWNER_FILE);
    expect(splitFolio(phys, pfn + 5, 1)).toBe(0);
    for (let page = 0; page < 8; page += 2) {
      const head = pfn + page;
      const mine = page === 4;
      expect([folioOrder(phys, head), compoundHead(phys, head + 1)]).toEqual([1, head]);
      expect(pageRefCount(phys, head)).toBe(mine ? 3 : 2);
      expect(testFlag(phys, head, PG_LOCKED)).toBe(mine);
      expect(phys.cold[head * 4 + COLD_INDEX]).toBe(INDEX + page);
      expect(phys.hot[head * 4 + HOT_OWNER]).toBe((7 << OWNER_SHIFT) | OWNER_FILE);
    }
    checkPhys(phys);
  });

  it('N.12: mappings and their references go to the folio of the mapped page', () => {
    const { phys, pfn } = folio(2, OWNER_ANON);
    mapPage(phys, pfn + 1, 3);
    mapPage(phys, pfn + 2);
    expect(splitFolio(phys, pfn + 1, 0)).toBe(0);
    expect([1, 2].map((page) => pageRefCount(phys, pfn + page))).toEqual([4, 1]);
    expect([1, 2].map((page) => pageMapCount(phys, pfn + page))).toEqual([3, 1]);
    expect([1, 2].map((page) => folioMapcount(phys, pfn + page))).toEqual([3, 1]);
  });

  it('new folios that nothing maps and no cache holds are freed', () => {
    const { phys, pfn } = folio(4, OWNER_ANON);
    mapPage(phys, pfn + 9);
    expect(splitFolio(phys, pfn, 2)).toBe(0);
    drainPages(phys);
    expect(phys.freeFrames).toBe(FRAMES - 2 - 8);
    expect([0, 4, 8, 12].map((page) => pageRefCount(phys, pfn + page))).toEqual([1, 0, 1, 0]);
    checkPhys(phys);
    clearFlag(phys, pfn, PG_LOCKED);
    putPage(phys, pfn);
    folioRemoveRmapPtes(phys, pfn + 9);
    putPage(phys, pfn + 9);
    drainPages(phys);
    expect(phys.freeFrames).toBe(FRAMES - 2);
    checkPhys(phys);
  });

  it('flags of the folio are copied to each new one, a page’s own stay with it', () => {
    const { phys, pfn } = folio(2, OWNER_FILE);
    const copied =
      PG_REFERENCED | PG_UPTODATE | PG_DIRTY | PG_ACTIVE | PG_WORKINGSET | PG_SWAPBACKED | PG_MLOCKED | PG_UNEVICTABLE;
    setFlag(phys, pfn, copied | PG_WAITERS | PG_ARCH_1 | PG_RECLAIM);
    setFlag(phys, pfn + 2, PG_ANON_EXCLUSIVE);
    setHwpoison(phys, pfn + 3);
    splitFolio(phys, pfn, 0);
    expect([0, 1, 2, 3].map((page) => phys.hot[(pfn + page) * 4 + HOT_FLAGS])).toEqual([
      copied | PG_WAITERS | PG_ARCH_1 | PG_RECLAIM | PG_LOCKED,
      copied,
      copied | PG_ANON_EXCLUSIVE,
      copied | PG_HWPOISON,
    ]);
  });

  it('N.21: PG_ANON_EXCLUSIVE of each page stays with it in a folio of a lower order', () => {
    const { phys, pfn } = folio(4, OWNER_ANON);
    mapPage(phys, pfn + 9);
    setFlag(phys, pfn + 9, PG_ANON_EXCLUSIVE);
    splitFolio(phys, pfn, 2);
    expect(phys.hot[(pfn + 9) * 4 + HOT_FLAGS]).toBe(PG_TAIL | PG_ANON_EXCLUSIVE);
    expect(phys.hot[(pfn + 8) * 4 + HOT_FLAGS]! & (PG_HEAD | PG_ANON_EXCLUSIVE)).toBe(PG_HEAD);
  });

  it('lru_add_split_folio: new folios of one on an LRU list come before it there; the list keeps its pages', () => {
    const { phys, pfn } = folio(3, OWNER_FILE);
    const [first, last] = [allocPages(phys, 0, 0), allocPages(phys, 0, 0)];
    setFlag(phys, pfn, PG_ACTIVE);
    for (const frame of [last, first]) setFlag(phys, frame, PG_ACTIVE);
    for (const frame of [last, pfn, first]) lruvecAddFolio(phys, frame);
    expect(splitFolio(phys, pfn + 4, 1)).toBe(0);
    expect(lruFolios(phys, 0, LRU_ACTIVE_FILE)).toEqual([first, pfn + 2, pfn + 4, pfn + 6, pfn, last]);
    expect(nodeLruPages(phys, 0, LRU_ACTIVE_FILE)).toBe(10);
    expect(testFlag(phys, pfn + 6, PG_LRU)).toBe(true);
    checkPhys(phys);
  });

  it('new folios that are freed leave the LRU list', () => {
    const { phys, pfn } = folio(2, OWNER_ANON);
    setFlag(phys, pfn, PG_SWAPBACKED);
    lruvecAddFolio(phys, pfn);
    mapPage(phys, pfn + 2);
    expect(splitFolio(phys, pfn + 3, 0)).toBe(0);
    expect(lruFolios(phys, 0, LRU_INACTIVE_ANON)).toEqual([pfn + 2, pfn + 3]);
    expect(nodeLruPages(phys, 0, LRU_INACTIVE_ANON)).toBe(2);
    checkPhys(phys);
  });

  it('of the swap cache: one reference a page, each with its own swap entry', () => {
    const { phys, pfn } = folio(3, OWNER_ANON);
    setFlag(phys, pfn, PG_SWAPBACKED | PG_OWNER_PRIV_1);
    phys.cold[pfn * 4 + COLD_PRIVATE] = 40;
    getPage(phys, pfn, 8);
    for (const order of [1, 2]) expectRefused(phys, '', () => expect(splitFolio(phys, pfn, order)).toBe(-EINVAL));
    expect(splitFolio(phys, pfn + 1, 0)).toBe(0);
    expect([0, 1, 7].map((page) => phys.cold[(pfn + page) * 4 + COLD_PRIVATE])).toEqual([40, 41, 47]);
    expect([0, 1, 7].map((page) => pageRefCount(phys, pfn + page))).toEqual([1, 2, 1]);
  });

  it('N.12: refused with -EAGAIN while pinned or held by others, possible again after', () => {
    const { phys, pfn } = folio(3, OWNER_FILE);
    for (const flags of [FOLL_PIN, FOLL_GET]) {
      tryGrabFolio(phys, pfn + 3, 1, flags);
      for (const order of [0, 1, 2]) expectRefused(phys, '', () => expect(splitFolio(phys, pfn, order)).toBe(-EAGAIN));
      if (flags === FOLL_PIN) unpinFolio(phys, pfn + 3);
      else putPage(phys, pfn + 3);
    }
    expect(splitFolio(phys, pfn, 2)).toBe(0);
  });

  it('-EINVAL: no lower order, order 1 of anonymous memory', () => {
    const { phys, pfn } = folio(2, OWNER_ANON);
    for (const order of [1, 2, 10]) expectRefused(phys, '', () => expect(splitFolio(phys, pfn, order)).toBe(-EINVAL));
    const small = allocPages(phys, 0, 0);
    setFlag(phys, small, PG_LOCKED);
    expectRefused(phys, '', () => expect(splitFolio(phys, small, 0)).toBe(-EINVAL));
  });

  it('-EBUSY: without owner (truncated), under writeback, with private data', () => {
    const { phys, pfn } = folio(2, OWNER_FILE);
    for (const flag of [PG_WRITEBACK, PG_PRIVATE]) {
      setFlag(phys, pfn, flag);
      expectRefused(phys, '', () => expect(splitFolio(phys, pfn, 0)).toBe(-EBUSY));
      clearFlag(phys, pfn, flag);
    }
    phys.hot[pfn * 4 + HOT_OWNER] = OWNER_NONE;
    expectRefused(phys, '', () => expect(splitFolio(phys, pfn, 0)).toBe(-EBUSY));
  });

  it('refuses free frames, unlocked folios, folios that large entries map, and bad numbers', () => {
    const { phys, pfn } = folio(2, OWNER_FILE);
    getPage(phys, pfn);
    folioAddRmapPmd(phys, pfn);
    expectRefused(phys, 'SPLIT_MAPPED_WHOLE', () => splitFolio(phys, pfn, 0));
    clearFlag(phys, pfn, PG_LOCKED);
    expectRefused(phys, 'SPLIT_UNLOCKED', () => splitFolio(phys, pfn, 0));
    const free = allocPages(phys, GFP_COMP, 2);
    freePages(phys, free, 2);
    expectRefused(phys, 'SPLIT_FREE', () => splitFolio(phys, free, 0));
    for (const order of [-1, 0.5, 11, NaN]) expect(refusal(() => splitFolio(phys, pfn, order))).toBe('RangeError');
    expect(refusal(() => splitFolio(phys, FRAMES, 0))).toBe('RangeError');
  });
});

describe('splits against a model that keeps pages apart', () => {
  /** What a page has of its own, wherever it lies. */
  interface Page {
    maps: number;
    exclusive: boolean;
  }
  const page = fc.record({ maps: fc.integer({ min: 0, max: 3 }), exclusive: fc.boolean() });
  const scenario = fc.integer({ min: 1, max: 6 }).chain((order) =>
    fc.record({
      order: fc.constant(order),
      file: fc.boolean(),
      pages: fc.array(page, { minLength: 1 << order, maxLength: 1 << order }),
      splits: fc.array(
        fc.record({ at: fc.integer({ min: 0, max: (1 << order) - 1 }), order: fc.integer({ min: 0, max: order }) }),
        { maxLength: 4 },
      ),
    }),
  );

  it('every page keeps its mappings and flags; every folio has the references of its pages', () => {
    fc.assert(
      fc.property(scenario, ({ order, file, pages, splits }) => {
        const { phys, pfn } = folio(order, file ? OWNER_FILE : OWNER_ANON);
        pages.forEach(({ maps, exclusive }, i) => {
          mapPage(phys, pfn + i, maps);
          if (exclusive) setFlag(phys, pfn + i, PG_ANON_EXCLUSIVE);
        });
        // Of each page: the first page of its folio and its order; null: freed.
        const where: ({ head: number; order: number } | null)[] = pages.map(() => ({ head: 0, order }));
        let mine = 0;
        for (const split of splits) {
          // The caller holds, and so splits, the folio that has its page.
          const held = where[mine]!;
          const at = held.head + (split.at % (1 << held.order));
          const refused = split.order >= held.order || (!file && split.order === 1);
          expect(splitFolio(phys, pfn + at, split.order)).toBe(refused ? -EINVAL : 0);
          if (refused) continue;
          mine = at;
          const size = 1 << split.order;
          for (let head = held.head; head < held.head + (1 << held.order); head += size) {
            const kept = file || (mine >= head && mine < head + size) || pages.slice(head, head + size).some(isMapped);
            where.fill(kept ? { head, order: split.order } : null, head, head + size);
          }
        }
        checkPhys(phys);
        where.forEach((its, i) => {
          if (its === null) return expect(pageRefCount(phys, pfn + i)).toBe(0);
          const all = pages.slice(its.head, its.head + (1 << its.order));
          const maps = all.reduce((sum, one) => sum + one.maps, 0);
          const holder = mine >= its.head && mine < its.head + all.length ? 1 : 0;
          expect({
            head: compoundHead(phys, pfn + i) - pfn,
            order: folioOrder(phys, pfn + i),
            refs: pageRefCount(phys, pfn + i),
            maps: folioMapcount(phys, pfn + i),
            mapped: folioNrPagesMapped(phys, pfn + i),
            own: pageMapCount(phys, pfn + i),
            exclusive: testFlag(phys, pfn + i, PG_ANON_EXCLUSIVE),
            locked: testFlag(phys, pfn + its.head, PG_LOCKED),
            index: phys.cold[(pfn + its.head) * 4 + COLD_INDEX],
            pins: folioPincount(phys, pfn + i),
          }).toEqual({
            head: its.head,
            order: its.order,
            refs: maps + (file ? all.length : 0) + holder,
            maps,
            mapped: all.filter(isMapped).length,
            own: pages[i]!.maps,
            exclusive: pages[i]!.exclusive,
            locked: holder === 1,
            index: INDEX + its.head,
            pins: 0,
          });
        });
      }),
      { numRuns: 300 },
    );
    function isMapped({ maps }: Page): boolean {
      return maps > 0;
    }
  });
});
