/** LRU lists and their per-CPU batches, against plain arrays (naive-lru.ts) and rule by rule. */
import { deepEqual } from 'node:assert/strict';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkLru } from '../src/check-lru.ts';
import {
  allocPagesNode,
  checkPhys,
  clearFlag,
  COLD_NEXT,
  COLD_PREV,
  createPhys,
  deactivateFile,
  folioActivate,
  folioAddLru,
  folioAddRmapPtes,
  folioDeactivate,
  folioIsolateLru,
  folioLruList,
  folioMarkAccessed,
  folioPutbackLru,
  folioRotateReclaimable,
  freePages,
  getPage,
  GFP_COMP,
  GFP_HIGHUSER_MOVABLE,
  HOT_OWNER,
  HOT_REFCOUNT,
  LRU_ACTIVE_ANON,
  LRU_ACTIVE_FILE,
  LRU_INACTIVE_ANON,
  LRU_INACTIVE_FILE,
  LRU_UNEVICTABLE,
  lruAddDrain,
  lruAddDrainAll,
  lruFolios,
  markLazyfree,
  mlockFolio,
  mlockNewFolio,
  munlockFolio,
  nodeLruPages,
  OWNER_ANON,
  OWNER_FILE,
  pageRefCount,
  PAGEVEC_SIZE,
  PG_ACTIVE,
  PG_DIRTY,
  PG_LOCKED,
  PG_LRU,
  PG_MLOCKED,
  PG_OWNER_PRIV_1,
  PG_RECLAIM,
  PG_REFERENCED,
  PG_SWAPBACKED,
  PG_UNEVICTABLE,
  Phys,
  putPage,
  setFlag,
  splitFolio,
  testFlag,
  ZONE_NORMAL,
} from '../src/index.ts';
import { NaiveLru } from './naive-lru.ts';
import type { NaiveFolio } from './naive-lru.ts';
import { expectRefused, refusal } from './support.ts';

/** One node, one CPU. */
function small(): Phys {
  return createPhys({ frames: 2048 });
}

/** Two nodes, two CPUs. */
function twoNodes(): Phys {
  const zones = [0, 1].map((node) => ({ kind: ZONE_NORMAL, start: node * 2048, end: (node + 1) * 2048, node }));
  return createPhys({ frames: 4096, zones, cpus: 2, contents: false });
}

/** A new folio of this order with one reference, anonymous or a file's. */
function folio(phys: Phys, anon: boolean, order: number = 0, node: number = 0): number {
  const gfp = GFP_HIGHUSER_MOVABLE | (order === 0 ? 0 : GFP_COMP);
  const pfn = allocPagesNode(phys, gfp, order, node);
  phys.hot[pfn * 4 + HOT_OWNER] = (1 << 2) | (anon ? OWNER_ANON : OWNER_FILE);
  if (anon) setFlag(phys, pfn, PG_SWAPBACKED);
  return pfn;
}

/** The same, on its list. */
function listed(phys: Phys, anon: boolean, order: number = 0): number {
  const pfn = folio(phys, anon, order);
  folioAddLru(phys, pfn);
  lruAddDrain(phys);
  return pfn;
}

/** Where a folio is: its list, null = on none. */
function where(phys: Phys, pfn: number): number | null {
  return testFlag(phys, pfn, PG_LRU) ? folioLruList(phys, pfn) : null;
}

describe('a folio comes onto a list', () => {
  it('E.1: a fresh add holds one reference more until the batch is drained', () => {
    const phys = small();
    const pfn = folio(phys, true);
    folioAddLru(phys, pfn);
    expect([pageRefCount(phys, pfn), where(phys, pfn)]).toEqual([2, null]);
    lruAddDrain(phys);
    expect([pageRefCount(phys, pfn), where(phys, pfn)]).toEqual([1, LRU_INACTIVE_ANON]);
    checkLru(phys);
  });

  it('the flags name the list: PG_SWAPBACKED, PG_ACTIVE, and mlocked folios on none of the four', () => {
    const phys = small();
    const make = (flags: number): number => {
      const pfn = folio(phys, false);
      if (flags !== 0) setFlag(phys, pfn, flags);
      folioAddLru(phys, pfn);
      return pfn;
    };
    const pfns = [PG_SWAPBACKED, PG_SWAPBACKED | PG_ACTIVE, 0, PG_ACTIVE, PG_MLOCKED | PG_ACTIVE].map(make);
    lruAddDrain(phys);
    expect(pfns.map((pfn) => where(phys, pfn))).toEqual([
      LRU_INACTIVE_ANON,
      LRU_ACTIVE_ANON,
      LRU_INACTIVE_FILE,
      LRU_ACTIVE_FILE,
      LRU_UNEVICTABLE,
    ]);
    expect(phys.zones[0]!.lruPages).toEqual([1, 1, 1, 1, 1]);
    expect(testFlag(phys, pfns[4]!, PG_ACTIVE)).toBe(false);
    checkLru(phys);
  });

  it('the entry that fills a batch drains it: 31 (PAGEVEC_SIZE)', () => {
    const phys = small();
    expect(PAGEVEC_SIZE).toBe(31);
    const pfns = Array.from({ length: PAGEVEC_SIZE }, () => folio(phys, true));
    for (const pfn of pfns.slice(1)) folioAddLru(phys, pfn);
    expect(lruFolios(phys, 0, LRU_INACTIVE_ANON)).toEqual([]);
    folioAddLru(phys, pfns[0]!);
    expect(lruFolios(phys, 0, LRU_INACTIVE_ANON)).toEqual([pfns[0]!, ...pfns.slice(1).reverse()]);
  });

  it('a large folio is added at once, and counts its pages', () => {
    const phys = small();
    const waiting = folio(phys, true);
    folioAddLru(phys, waiting);
    const pfn = folio(phys, true, 4);
    folioAddLru(phys, pfn + 3);
    expect(lruFolios(phys, 0, LRU_INACTIVE_ANON)).toEqual([pfn, waiting]);
    expect([pageRefCount(phys, pfn), nodeLruPages(phys, 0, LRU_INACTIVE_ANON)]).toEqual([1, 17]);
    checkLru(phys);
  });

  it('a batch belongs to a CPU; lruAddDrainAll drains all', () => {
    const phys = twoNodes();
    const pfn = folio(phys, true, 0, 1);
    phys.cpu = phys.cpus[1]!;
    folioAddLru(phys, pfn);
    phys.cpu = phys.cpus[0]!;
    lruAddDrain(phys);
    expect(where(phys, pfn)).toBe(null);
    lruAddDrainAll(phys);
    expect(lruFolios(phys, 1, LRU_INACTIVE_ANON)).toEqual([pfn]);
    expect([nodeLruPages(phys, 0, LRU_INACTIVE_ANON), nodeLruPages(phys, 1, LRU_INACTIVE_ANON)]).toEqual([0, 1]);
  });

  it('a folio whose users are all gone is freed when the batch lets go of it', () => {
    const phys = small();
    const free = phys.freeFrames;
    const pfn = folio(phys, true);
    folioAddLru(phys, pfn);
    putPage(phys, pfn);
    expect(phys.freeFrames).toBe(free - 1);
    lruAddDrain(phys);
    expect(phys.freeFrames).toBe(free);
    checkPhys(phys);
    checkLru(phys);
  });
});

describe('moves', () => {
  it('mark_page_accessed: the first time referenced, the second time active', () => {
    const phys = small();
    const pfn = listed(phys, false);
    folioMarkAccessed(phys, pfn);
    expect([testFlag(phys, pfn, PG_REFERENCED), where(phys, pfn)]).toEqual([true, LRU_INACTIVE_FILE]);
    folioMarkAccessed(phys, pfn);
    expect([testFlag(phys, pfn, PG_REFERENCED), pageRefCount(phys, pfn)]).toEqual([false, 2]);
    lruAddDrain(phys);
    expect([where(phys, pfn), pageRefCount(phys, pfn)]).toEqual([LRU_ACTIVE_FILE, 1]);
  });

  it('mark_page_accessed: a folio in the batch of new ones becomes active there', () => {
    const phys = small();
    const pfn = folio(phys, false);
    folioAddLru(phys, pfn);
    folioMarkAccessed(phys, pfn);
    folioMarkAccessed(phys, pfn);
    expect([testFlag(phys, pfn, PG_ACTIVE), pageRefCount(phys, pfn)]).toEqual([true, 2]);
    lruAddDrain(phys);
    expect(where(phys, pfn)).toBe(LRU_ACTIVE_FILE);
  });

  it('folio_activate and folio_deactivate; on an unevictable folio they do nothing', () => {
    const phys = small();
    const pfn = listed(phys, true);
    folioActivate(phys, pfn);
    lruAddDrain(phys);
    expect(where(phys, pfn)).toBe(LRU_ACTIVE_ANON);
    setFlag(phys, pfn, PG_REFERENCED);
    folioDeactivate(phys, pfn);
    lruAddDrain(phys);
    expect([where(phys, pfn), testFlag(phys, pfn, PG_REFERENCED)]).toEqual([LRU_INACTIVE_ANON, false]);
    mlockFolio(phys, pfn);
    lruAddDrain(phys);
    for (const call of [folioActivate, folioDeactivate, deactivateFile, markLazyfree, folioRotateReclaimable]) {
      call(phys, pfn);
    }
    expect([where(phys, pfn), pageRefCount(phys, pfn)]).toEqual([LRU_UNEVICTABLE, 1]);
  });

  it('deactivate_file_folio: to the end when clean, to the front with PG_reclaim when dirty, not when mapped', () => {
    const phys = small();
    const [clean, dirty, mapped] = [0, 1, 2].map(() => listed(phys, false)) as [number, number, number];
    setFlag(phys, dirty, PG_DIRTY);
    getPage(phys, mapped);
    folioAddRmapPtes(phys, mapped);
    for (const pfn of [clean, dirty, mapped]) deactivateFile(phys, pfn);
    lruAddDrain(phys);
    expect(lruFolios(phys, 0, LRU_INACTIVE_FILE)).toEqual([dirty, mapped, clean]);
    expect([clean, dirty, mapped].map((pfn) => testFlag(phys, pfn, PG_RECLAIM))).toEqual([false, true, false]);
  });

  it('folio_rotate_reclaimable: to the end of the inactive list, not while locked or dirty', () => {
    const phys = small();
    const [a, b, c] = [0, 1, 2].map(() => listed(phys, false)) as [number, number, number];
    folioRotateReclaimable(phys, c);
    setFlag(phys, b, PG_LOCKED);
    folioRotateReclaimable(phys, b);
    lruAddDrain(phys);
    expect(lruFolios(phys, 0, LRU_INACTIVE_FILE)).toEqual([b, a, c]);
  });

  it('folio_mark_lazyfree: anonymous memory goes to the inactive file list and is swapbacked no more', () => {
    const phys = small();
    const pfn = listed(phys, true);
    const [file, shmem, swapcache] = [listed(phys, false), listed(phys, true), listed(phys, true)];
    phys.hot[shmem * 4 + HOT_OWNER] = (1 << 2) | OWNER_FILE;
    setFlag(phys, swapcache, PG_OWNER_PRIV_1);
    for (const one of [pfn, file, shmem, swapcache]) markLazyfree(phys, one);
    expect([pfn, file, shmem, swapcache].map((one) => pageRefCount(phys, one))).toEqual([2, 1, 1, 1]);
    lruAddDrain(phys);
    expect(where(phys, pfn)).toBe(LRU_INACTIVE_FILE);
    expect(testFlag(phys, pfn, PG_SWAPBACKED)).toBe(false);
  });
});

describe('isolation and freeing', () => {
  it('E.1: isolated for migration, mapped once: two references; putback drops the second', () => {
    const phys = small();
    const pfn = listed(phys, true);
    folioAddRmapPtes(phys, pfn);
    expect(folioIsolateLru(phys, pfn)).toBe(true);
    expect([pageRefCount(phys, pfn), where(phys, pfn)]).toEqual([2, null]);
    expect(folioIsolateLru(phys, pfn)).toBe(false);
    folioPutbackLru(phys, pfn);
    lruAddDrain(phys);
    expect([pageRefCount(phys, pfn), where(phys, pfn)]).toEqual([1, LRU_INACTIVE_ANON]);
  });

  it('a folio in a batch of new ones cannot be isolated', () => {
    const phys = small();
    const pfn = folio(phys, true);
    folioAddLru(phys, pfn);
    expect(folioIsolateLru(phys, pfn)).toBe(false);
  });

  it.each([0, 5])('the last put of order %i takes a folio off its list and leaves no trace in its words', (order) => {
    const phys = small();
    const pfns = [0, 1, 2].map(() => listed(phys, true, order));
    putPage(phys, pfns[1]!);
    expect(lruFolios(phys, 0, LRU_INACTIVE_ANON)).toEqual([pfns[2]!, pfns[0]!]);
    expect(phys.zones[0]!.lruPages[LRU_INACTIVE_ANON]).toBe(2 << order);
    freePages(phys, pfns[0]!, order);
    freePages(phys, pfns[2]!, order);
    expect([phys.nodes[0]!.lruHeads, phys.nodes[0]!.lruTails]).toEqual([
      [0, 0, 0, 0, 0],
      [0, 0, 0, 0, 0],
    ]);
    checkPhys(phys);
    checkLru(phys);
  });

  it('a split folio: its parts stand where it stood, and the list has as many pages', () => {
    const phys = small();
    const before = listed(phys, true);
    const pfn = listed(phys, true, 2);
    const after = listed(phys, true);
    getPage(phys, pfn, 4);
    folioAddRmapPtes(phys, pfn, 4);
    setFlag(phys, pfn, PG_LOCKED);
    expect(splitFolio(phys, pfn, 0)).toBe(0);
    expect(lruFolios(phys, 0, LRU_INACTIVE_ANON)).toEqual([after, pfn + 1, pfn + 2, pfn + 3, pfn, before]);
    expect(phys.zones[0]!.lruPages[LRU_INACTIVE_ANON]).toBe(6);
    checkLru(phys);
  });
});

describe('mlocked folios', () => {
  it('a folio stays on the unevictable list until its last mlocked mapping is gone', () => {
    const phys = small();
    const pfn = listed(phys, true);
    mlockFolio(phys, pfn);
    mlockFolio(phys, pfn);
    expect([where(phys, pfn), pageRefCount(phys, pfn)]).toEqual([LRU_INACTIVE_ANON, 3]);
    lruAddDrain(phys);
    expect([where(phys, pfn), pageRefCount(phys, pfn)]).toEqual([LRU_UNEVICTABLE, 1]);
    munlockFolio(phys, pfn);
    lruAddDrain(phys);
    expect([where(phys, pfn), testFlag(phys, pfn, PG_MLOCKED)]).toEqual([LRU_UNEVICTABLE, true]);
    munlockFolio(phys, pfn);
    lruAddDrain(phys);
    expect([where(phys, pfn), testFlag(phys, pfn, PG_MLOCKED)]).toEqual([LRU_INACTIVE_ANON, false]);
    expect(phys.zones[0]!.lruPages).toEqual([1, 0, 0, 0, 0]);
    checkLru(phys);
  });

  it('mlock_new_folio: a new folio goes to the unevictable list at once', () => {
    const phys = small();
    const pfn = folio(phys, true);
    mlockNewFolio(phys, pfn);
    lruAddDrain(phys);
    expect([where(phys, pfn), nodeLruPages(phys, 0, LRU_UNEVICTABLE)]).toEqual([LRU_UNEVICTABLE, 1]);
    freePages(phys, pfn, 0);
    expect(nodeLruPages(phys, 0, LRU_UNEVICTABLE)).toBe(0);
    checkPhys(phys);
  });

  it('a folio isolated from the unevictable list and munlocked comes back evictable', () => {
    const phys = small();
    const pfn = folio(phys, true);
    mlockNewFolio(phys, pfn);
    lruAddDrain(phys);
    expect(folioIsolateLru(phys, pfn)).toBe(true);
    munlockFolio(phys, pfn);
    folioPutbackLru(phys, pfn);
    lruAddDrain(phys);
    expect([where(phys, pfn), pageRefCount(phys, pfn)]).toEqual([LRU_INACTIVE_ANON, 1]);
  });
});

describe('misuse is refused and changes nothing', () => {
  const USES = [
    folioAddLru,
    folioPutbackLru,
    folioActivate,
    folioDeactivate,
    deactivateFile,
    markLazyfree,
    folioRotateReclaimable,
    folioMarkAccessed,
    mlockFolio,
    mlockNewFolio,
    munlockFolio,
    folioIsolateLru,
  ];

  it.each(USES)('%o of a free frame: LRU_FREE; of no frame: RangeError', (call) => {
    const phys = small();
    expectRefused(phys, 'LRU_FREE', () => call(phys, 1500));
    expectRefused(phys, 'RangeError', () => call(phys, 2048));
    expectRefused(phys, 'RangeError', () => call(phys, -1));
  });

  it.each([folioAddLru, folioPutbackLru, mlockNewFolio])('%o twice, or while a batch has it: LRU_ADD_TWICE', (call) => {
    const phys = small();
    const pfn = listed(phys, true);
    expectRefused(phys, 'LRU_ADD_TWICE', () => call(phys, pfn));
    const other = folio(phys, false);
    folioAddLru(phys, other);
    expectRefused(phys, 'LRU_ADD_TWICE', () => call(phys, other));
    const locked = folio(phys, false);
    mlockNewFolio(phys, locked);
    expectRefused(phys, 'LRU_ADD_TWICE', () => call(phys, locked));
  });

  it('the zero page, and a folio both active and unevictable, belong on no list', () => {
    const phys = small();
    expectRefused(phys, 'LRU_RESERVED', () => folioAddLru(phys, phys.zeroPfn));
    const pfn = folio(phys, true);
    setFlag(phys, pfn, PG_ACTIVE | PG_UNEVICTABLE);
    expectRefused(phys, 'LRU_FLAGS', () => folioAddLru(phys, pfn));
  });

  it('a count that is full: REF_OVERFLOW', () => {
    const phys = small();
    const pfn = folio(phys, true);
    phys.hot[pfn * 4 + HOT_REFCOUNT] = 0x7fff_ffff;
    expectRefused(phys, 'REF_OVERFLOW', () => folioAddLru(phys, pfn));
    expectRefused(phys, 'REF_OVERFLOW', () => mlockFolio(phys, pfn));
    expectRefused(phys, 'REF_OVERFLOW', () => mlockNewFolio(phys, pfn));
    const onList = listed(phys, true);
    phys.hot[onList * 4 + HOT_REFCOUNT] = 0x7fff_ffff;
    expectRefused(phys, 'REF_OVERFLOW', () => folioIsolateLru(phys, onList));
    expectRefused(phys, 'REF_OVERFLOW', () => folioActivate(phys, onList));
  });

  describe('a batch that holds the last reference of a locked folio is drained by who fills it', () => {
    /** A machine whose batch of new folios begins with such a folio and has `others` more. */
    const blocked = (others: number): { phys: Phys; locked: number } => {
      const phys = small();
      const locked = folio(phys, true);
      folioAddLru(phys, locked);
      for (let i = 0; i < others; i++) folioAddLru(phys, folio(phys, true));
      setFlag(phys, locked, PG_LOCKED);
      putPage(phys, locked);
      return { phys, locked };
    };
    const mend = ({ phys, locked }: { phys: Phys; locked: number }): void => {
      clearFlag(phys, locked, PG_LOCKED);
      lruAddDrain(phys);
      checkLru(phys);
    };

    it('a large folio: FREE_LOCKED, nothing changed; then it comes onto its list', () => {
      const made = blocked(3);
      const large = folio(made.phys, true, 2);
      expectRefused(made.phys, 'FREE_LOCKED', () => folioAddLru(made.phys, large));
      mend(made);
      folioAddLru(made.phys, large);
      expect([pageRefCount(made.phys, large), where(made.phys, large)]).toEqual([1, LRU_INACTIVE_ANON]);
      checkLru(made.phys);
    });

    it('the 31st entry, new or put back: FREE_LOCKED, nothing changed', () => {
      for (const putBack of [false, true]) {
        const made = blocked(PAGEVEC_SIZE - 2);
        const { phys } = made;
        const last = folio(phys, true);
        const call = putBack ? folioPutbackLru : folioAddLru;
        expectRefused(phys, 'FREE_LOCKED', () => call(phys, last));
        mend(made);
        call(phys, last);
        lruAddDrain(phys);
        expect(refusal(() => getPage(phys, last))).toBe(putBack ? 'GET_FROM_ZERO' : '');
        checkLru(phys);
      }
    });
  });

  describe('a locked folio that the isolation alone holds is not put back where the batch is drained at once', () => {
    it('a large one: FREE_LOCKED, nothing changed; unlocked, it is freed', () => {
      const phys = small();
      const pfn = folio(phys, true, 2);
      setFlag(phys, pfn, PG_LOCKED);
      expectRefused(phys, 'FREE_LOCKED', () => folioPutbackLru(phys, pfn + 1));
      clearFlag(phys, pfn, PG_LOCKED);
      folioPutbackLru(phys, pfn + 1);
      expect(refusal(() => getPage(phys, pfn))).toBe('GET_FROM_ZERO');
      checkLru(phys);
    });

    it('the 31st entry: FREE_LOCKED, on no list, the others drained', () => {
      const phys = small();
      const others = Array.from({ length: PAGEVEC_SIZE - 1 }, () => folio(phys, true));
      for (const other of others) folioAddLru(phys, other);
      const pfn = folio(phys, true);
      setFlag(phys, pfn, PG_LOCKED);
      expect(refusal(() => folioPutbackLru(phys, pfn))).toBe('FREE_LOCKED');
      expect([pageRefCount(phys, pfn), where(phys, pfn), where(phys, others[29]!)]).toEqual([
        1,
        null,
        LRU_INACTIVE_ANON,
      ]);
      checkLru(phys);
    });
  });

  it('a drain that would free a locked folio is refused; the folio stays in the batch', () => {
    const phys = small();
    const pfn = folio(phys, true);
    folioAddLru(phys, pfn);
    setFlag(phys, pfn, PG_LOCKED);
    putPage(phys, pfn);
    expectRefused(phys, 'FREE_LOCKED', () => lruAddDrain(phys));
    clearFlag(phys, pfn, PG_LOCKED);
    lruAddDrain(phys);
    expect(refusal(() => getPage(phys, pfn))).toBe('GET_FROM_ZERO');
  });

  it('PG_LRU set by hand: LRU_CORRUPT where the folio would leave its list', () => {
    const phys = small();
    listed(phys, true);
    const pfn = folio(phys, true);
    setFlag(phys, pfn, PG_LRU);
    expectRefused(phys, 'LRU_CORRUPT', () => freePages(phys, pfn, 0));
    expectRefused(phys, 'LRU_CORRUPT', () => folioIsolateLru(phys, pfn));
  });

  it('lists and nodes that do not exist', () => {
    const phys = small();
    expect(refusal(() => lruFolios(phys, 1, 0))).toBe('RangeError');
    expect(refusal(() => lruFolios(phys, 0, LRU_UNEVICTABLE))).toBe('RangeError');
    expect(refusal(() => nodeLruPages(phys, 0, 5))).toBe('RangeError');
    expect(refusal(() => nodeLruPages(phys, -1, 0))).toBe('RangeError');
  });
});

describe('checkLru', () => {
  /** Three anonymous folios on a list, one waiting; the state is then broken by hand. */
  function broken(change: (phys: Phys, pfns: readonly number[], waiting: number) => void): string {
    const phys = twoNodes();
    const pfns = [0, 1, 2].map(() => listed(phys, true));
    const waiting = folio(phys, true);
    folioAddLru(phys, waiting);
    checkLru(phys);
    change(phys, pfns, waiting);
    return refusal(() => checkLru(phys));
  }

  const cases: [string, (phys: Phys, pfns: readonly number[], waiting: number) => void][] = [
    ['BAD_LRU', (phys, pfns) => (phys.cold[pfns[1]! * 4 + COLD_PREV] = 0)],
    ['BAD_LRU', (phys, pfns) => (phys.cold[pfns[1]! * 4 + COLD_NEXT] = pfns[2]!)],
    ['BAD_LRU', (phys) => (phys.nodes[0]!.lruTails[LRU_INACTIVE_ANON] = 0)],
    ['BAD_LRU', (phys, pfns) => clearFlag(phys, pfns[1]!, PG_LRU)],
    ['BAD_LRU', (phys, pfns) => setFlag(phys, pfns[1]!, PG_ACTIVE)],
    ['BAD_LRU', (phys, pfns) => (phys.hot[pfns[1]! * 4 + HOT_REFCOUNT] = 0)],
    ['BAD_LRU', (phys) => (phys.nodes[1]!.lruHeads[0] = phys.nodes[0]!.lruHeads[0]!)],
    ['LRU_LOST', (phys) => setFlag(phys, folio(phys, true), PG_LRU)],
    ['LRU_PAGES', (phys) => phys.zones[0]!.lruPages[LRU_ACTIVE_FILE]!++],
    ['LRU_PAGES', (phys) => setFlag(phys, folio(phys, true), PG_LRU | PG_UNEVICTABLE)],
    ['BAD_BATCH', (phys, _, waiting) => (phys.cold[waiting * 4 + COLD_NEXT] = 0)],
    ['BAD_BATCH', (phys) => (phys.cold[folio(phys, true) * 4 + COLD_NEXT] = -1)],
    ['BAD_BATCH', (phys, _, waiting) => (phys.hot[waiting * 4 + HOT_REFCOUNT] = 0)],
  ];
  it.each(cases)('reports %s: %o', (code, change) => {
    expect(broken(change)).toBe(code);
  });
});

/** What happens to a folio, by name in both. */
const CALLS = {
  add: folioAddLru,
  mlockNew: mlockNewFolio,
  activate: folioActivate,
  deactivate: folioDeactivate,
  deactivateFile,
  lazyfree: markLazyfree,
  rotate: folioRotateReclaimable,
  markAccessed: folioMarkAccessed,
  mlock: mlockFolio,
  munlock: munlockFolio,
} as const;
const NAMES = Object.keys(CALLS) as (keyof typeof CALLS)[];

/** Both sides of one run. */
class Pair {
  readonly phys: Phys = twoNodes();
  readonly naive: NaiveLru = new NaiveLru(2, 2);

  run(op: string, pick: number, what: number): void {
    const { phys, naive } = this;
    const one = naive.folios[pick % Math.max(naive.folios.length, 1)];
    if (op === 'new') this.make(what);
    else if (op === 'cpu') phys.cpu = phys.cpus[(naive.cpu = what & 1)]!;
    else if (op === 'drain') this.drain(what);
    else if (one !== undefined) this.use(op, one);
  }

  private make(what: number): void {
    if (this.naive.folios.length >= 120) return;
    const anon = (what & 1) !== 0;
    const node = (what >> 1) & 1;
    const order = (what & 12) === 12 ? 2 : 0;
    const pfn = folio(this.phys, anon, order, node);
    const flags = { lru: false, pending: false, active: false, unevictable: false, mlocked: false, referenced: false };
    const rest = { mlockCount: 0, dirty: false, reclaim: false, refs: 1, mapped: false, swapbacked: anon };
    this.naive.folios.push({ pfn, pages: 1 << order, node, anon, ...flags, ...rest });
  }

  private drain(what: number): void {
    const { phys, naive } = this;
    if (what % 3 === 0) lruAddDrainAll(phys);
    else lruAddDrain(phys);
    for (const cpu of what % 3 === 0 ? [0, 1] : [naive.cpu]) naive.drain(cpu);
  }

  private use(op: string, one: NaiveFolio): void {
    const { phys, naive } = this;
    if (op === 'put') {
      if (one.refs > naiveHolds(naive, one)) {
        putPage(phys, one.pfn);
        naive.put(one);
      }
    } else if (op === 'isolate') {
      deepEqual(folioIsolateLru(phys, one.pfn), naive.isolate(one));
    } else if (op === 'dirty') {
      one.dirty = !one.dirty;
      (one.dirty ? setFlag : clearFlag)(phys, one.pfn, PG_DIRTY);
    } else {
      const name = op as keyof typeof CALLS;
      if (name === 'add' || name === 'mlockNew') {
        if (one.lru || one.pending) {
          return deepEqual(
            refusal(() => CALLS[name](phys, one.pfn)),
            'LRU_ADD_TWICE',
          );
        }
      }
      CALLS[name](phys, one.pfn + one.pages - 1);
      naive[name](one);
    }
  }

  compare(): void {
    const { phys, naive } = this;
    naive.lists.forEach((lists, node) => {
      lists.forEach((list, i) =>
        deepEqual(
          lruFolios(phys, node, i),
          list.map(({ pfn }) => pfn),
        ),
      );
    });
    const pages = phys.zones.map(() => [0, 0, 0, 0, 0]);
    deepEqual(
      naive.folios.map(({ pfn }) => shown(phys, pfn)),
      naive.folios.map(told),
    );
    for (const one of naive.folios) {
      if (one.lru) pages[one.node]![folioLruList(phys, one.pfn)]! += one.pages;
    }
    deepEqual(
      phys.zones.map((zone) => zone.lruPages),
      pages,
    );
    checkLru(phys);
  }
}

/** References batches have to a folio. */
function naiveHolds(naive: NaiveLru, one: NaiveFolio): number {
  return naive.batches.flatMap((batches) => [...batches.values()].flat()).filter(({ folio }) => folio === one).length;
}

function shown(phys: Phys, pfn: number): unknown[] {
  const flags = [PG_LRU, PG_ACTIVE, PG_SWAPBACKED, PG_UNEVICTABLE, PG_MLOCKED, PG_REFERENCED, PG_RECLAIM];
  const count = testFlag(phys, pfn, PG_LRU) && testFlag(phys, pfn, PG_UNEVICTABLE) ? phys.cold[pfn * 4 + COLD_PREV] : 0;
  return [pfn, pageRefCount(phys, pfn), count, ...flags.map((flag) => testFlag(phys, pfn, flag))];
}

function told(one: NaiveFolio): unknown[] {
  const { pfn, refs, lru, active, swapbacked, unevictable, mlocked, referenced, reclaim, mlockCount } = one;
  return [pfn, refs, mlockCount, lru, active, swapbacked, unevictable, mlocked, referenced, reclaim];
}

it('random calls on two nodes and CPUs do what plain arrays do', () => {
  const op = fc.oneof(
    { arbitrary: fc.constantFrom(...NAMES, 'put', 'isolate', 'dirty', 'cpu'), weight: 90 },
    { arbitrary: fc.constantFrom('new', 'add'), weight: 60 },
    { arbitrary: fc.constant('drain'), weight: 1 },
  );
  const step = fc.tuple(op, fc.nat(10_000), fc.nat(15));
  const run = (steps: readonly (readonly [string, number, number])[]): void => {
    const pair = new Pair();
    for (const [at, [name, pick, what]] of steps.entries()) {
      pair.run(name, pick, what);
      if (at % 32 === 0) pair.compare();
    }
    pair.compare();
    pair.run('drain', 0, 0);
    pair.compare();
    checkPhys(pair.phys);
  };
  fc.assert(fc.property(fc.array(step, { maxLength: 400, size: 'max' }), run), { numRuns: 100 });
});
