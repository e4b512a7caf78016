import { ENOMEM, FOLL_GET, FOLL_LONGTERM, FOLL_PIN, FOLL_WRITE } from '@mmkit/base';
import { describe, expect, it } from 'vitest';
import {
  allocPages,
  checkPhys,
  createPhys,
  folioAddRmapPmd,
  folioAddRmapPtes,
  folioPincount,
  freePages,
  GFP_COMP,
  GFP_HIGHUSER_MOVABLE,
  GUP_PIN_COUNTING_BIAS,
  HOT_MAPCOUNT,
  HOT_REFCOUNT,
  MIGRATE_CMA,
  MIGRATE_ISOLATE,
  MIGRATE_MOVABLE,
  MIGRATE_RECLAIMABLE,
  MIGRATE_UNMOVABLE,
  pageMapCount,
  PG_LOCKED,
  PG_RESERVED,
  PG_WRITEBACK,
  setFlag,
  ZONE_MOVABLE,
  ZONE_NORMAL,
} from '../src/index.ts';
import type { Phys } from '../src/index.ts';
import { ENTRIES } from './refs-entries.ts';
import { expectRefused, refusal } from './support.ts';

const MAX_COUNT = 2 ** 31 - 1;
const FRAMES = 64;
const FREE = FRAMES - 2;
const ORDER = 2;

function setCount(phys: Phys, pfn: number, count: number): void {
  phys.hot[pfn * 4 + HOT_REFCOUNT] = count;
}

describe.each(ENTRIES)('%s', (_, refs, shared) => {
  const {
    folioAddPin,
    folioIsLongtermPinnable,
    folioMaybeDmaPinned,
    getPage,
    gupPutFolio,
    pageRefCount,
    putPage,
    tryGetFolio,
    tryGrabFolio,
    tryGrabFolioFast,
    unpinFolio,
  } = refs;

  function machine(): { phys: Phys; pfn: number } {
    const phys = createPhys({ frames: FRAMES, shared });
    return { phys, pfn: allocPages(phys, 0, 0) };
  }

  /** A large folio of four frames. */
  function largeMachine(): { phys: Phys; pfn: number } {
    const phys = createPhys({ frames: FRAMES, shared });
    return { phys, pfn: allocPages(phys, GFP_COMP, ORDER) };
  }

  describe('getPage, putPage', () => {
    it('B.7: GET adds n, put takes n, the last put frees', () => {
      const { phys, pfn } = machine();
      getPage(phys, pfn);
      getPage(phys, pfn, 5);
      expect(pageRefCount(phys, pfn)).toBe(7);
      putPage(phys, pfn, 6);
      putPage(phys, pfn);
      expect(pageRefCount(phys, pfn)).toBe(0);
      expect(phys.freeFrames).toBe(FREE);
      checkPhys(phys);
    });

    it('B.7: of a large folio they count on its head, whichever page is named', () => {
      const { phys, pfn } = largeMachine();
      getPage(phys, pfn + 3, 2);
      getPage(phys, pfn);
      expect([pageRefCount(phys, pfn), pageRefCount(phys, pfn + 1)]).toEqual([4, 4]);
      expect(phys.hot[(pfn + 3) * 4 + HOT_REFCOUNT]).toBe(0);
      putPage(phys, pfn + 1, 3);
      checkPhys(phys);
      putPage(phys, pfn + 2);
      expect(phys.freeFrames).toBe(FREE);
      checkPhys(phys);
    });

    it('frees a block that is not compound whole', () => {
      const phys = createPhys({ frames: FRAMES, shared });
      const block = allocPages(phys, 0, 4);
      putPage(phys, block);
      expect(phys.freeFrames).toBe(FREE);
      checkPhys(phys);
    });

    it('refuses a get from zero: free frames, and the inside of a block', () => {
      const { phys, pfn } = machine();
      freePages(phys, pfn, 0);
      expectRefused(phys, 'GET_FROM_ZERO', () => getPage(phys, pfn));
      const block = allocPages(phys, 0, 2);
      expectRefused(phys, 'GET_FROM_ZERO', () => getPage(phys, block + 1));
    });

    it('refuses a put below zero', () => {
      const { phys, pfn } = machine();
      expectRefused(phys, 'PUT_BELOW_ZERO', () => putPage(phys, pfn, 2));
      freePages(phys, pfn, 0);
      expectRefused(phys, 'PUT_BELOW_ZERO', () => putPage(phys, pfn));
      setCount(phys, pfn, -5);
      expectRefused(phys, 'PUT_BELOW_ZERO', () => putPage(phys, pfn));
    });

    it('C.9: refuses a count beyond 2^31 − 1, and one that is there already', () => {
      const { phys, pfn } = machine();
      getPage(phys, pfn, MAX_COUNT - 1);
      expect(pageRefCount(phys, pfn)).toBe(MAX_COUNT);
      expectRefused(phys, 'REF_OVERFLOW', () => getPage(phys, pfn));
      setCount(phys, pfn, 2);
      expectRefused(phys, 'REF_OVERFLOW', () => getPage(phys, pfn, MAX_COUNT - 1));
      setCount(phys, pfn, -5);
      expectRefused(phys, 'REF_OVERFLOW', () => getPage(phys, pfn));
    });

    it('refuses to free what is reserved, mapped, locked or under writeback', () => {
      const { phys, pfn } = machine();
      expectRefused(phys, 'FREE_RESERVED', () => putPage(phys, phys.zeroPfn));
      for (const flag of [PG_LOCKED, PG_WRITEBACK, PG_RESERVED]) {
        const frame = allocPages(phys, 0, 0);
        setFlag(phys, frame, flag);
        expectRefused(phys, flag === PG_RESERVED ? 'FREE_RESERVED' : 'FREE_LOCKED', () => putPage(phys, frame));
      }
      folioAddRmapPtes(phys, pfn);
      expectRefused(phys, 'FREE_MAPPED', () => putPage(phys, pfn));
    });

    it('refuses bad numbers', () => {
      const { phys, pfn } = machine();
      for (const n of [0, -1, 1.5, NaN, 2 ** 31, 2 ** 32 + 1]) {
        expectRefused(phys, 'RangeError', () => getPage(phys, pfn, n));
        expectRefused(phys, 'RangeError', () => putPage(phys, pfn, n));
        expectRefused(phys, 'RangeError', () => tryGetFolio(phys, pfn, n));
        expectRefused(phys, 'RangeError', () => tryGrabFolio(phys, pfn, n, FOLL_PIN));
        expectRefused(phys, 'RangeError', () => tryGrabFolioFast(phys, pfn, n, FOLL_PIN));
        expectRefused(phys, 'RangeError', () => gupPutFolio(phys, pfn, n, FOLL_PIN));
        expectRefused(phys, 'RangeError', () => unpinFolio(phys, pfn, n));
      }
      for (const frame of [FRAMES, -1, 0.5, NaN, 2 ** 30 + pfn]) {
        expectRefused(phys, 'RangeError', () => getPage(phys, frame));
        expectRefused(phys, 'RangeError', () => putPage(phys, frame));
        expectRefused(phys, 'RangeError', () => tryGetFolio(phys, frame, 1));
        expectRefused(phys, 'RangeError', () => tryGrabFolio(phys, frame, 1, FOLL_PIN));
        expectRefused(phys, 'RangeError', () => tryGrabFolioFast(phys, frame, 1, FOLL_PIN));
        expectRefused(phys, 'RangeError', () => gupPutFolio(phys, frame, 1, FOLL_PIN));
        for (const read of [pageRefCount, folioMaybeDmaPinned, folioIsLongtermPinnable, folioAddPin, unpinFolio]) {
          expect(refusal(() => read(phys, frame))).toBe('RangeError');
        }
      }
    });
  });

  describe('tryGetFolio', () => {
    it('B.7: adds unless the count is zero, negative or would overflow', () => {
      const { phys, pfn } = machine();
      expect(tryGetFolio(phys, pfn, 3)).toBe(true);
      expect(pageRefCount(phys, pfn)).toBe(4);
      for (const count of [0, -5, MAX_COUNT - 2]) {
        setCount(phys, pfn, count);
        expectRefused(phys, '', () => expect(tryGetFolio(phys, pfn, 3)).toBe(false));
      }
      setCount(phys, pfn, MAX_COUNT - 3);
      expect(tryGetFolio(phys, pfn, 3)).toBe(true);
    });

    it('B.7: by a tail it adds to the head', () => {
      const { phys, pfn } = largeMachine();
      expect(tryGetFolio(phys, pfn + 3, 3)).toBe(true);
      expect(pageRefCount(phys, pfn)).toBe(4);
    });
  });

  /** Both grabs, as one that says whether it worked. */
  const grabs = [
    ['tryGrabFolio', (phys: Phys, pfn: number, n: number, flags: number) => tryGrabFolio(phys, pfn, n, flags) === 0],
    ['tryGrabFolioFast', tryGrabFolioFast],
  ] as const;

  describe.each(grabs)('%s', (name, grab) => {
    it('B.7: GET adds n references, counted nowhere', () => {
      const { phys, pfn } = machine();
      expect(grab(phys, pfn, 3, FOLL_GET)).toBe(true);
      expect(pageRefCount(phys, pfn)).toBe(4);
      expect(phys.nrFollPinAcquired).toBe(0);
      gupPutFolio(phys, pfn, 3, FOLL_GET);
      expect(pageRefCount(phys, pfn)).toBe(1);
      expect(phys.nrFollPinReleased).toBe(0);
    });

    it('B.7: a pin of a small folio adds 1024; vmstat counts pins', () => {
      const { phys, pfn } = machine();
      expect(grab(phys, pfn, 1, FOLL_PIN | FOLL_WRITE)).toBe(true);
      expect(pageRefCount(phys, pfn)).toBe(1025);
      expect(grab(phys, pfn, 2, FOLL_PIN | FOLL_LONGTERM)).toBe(true);
      expect(pageRefCount(phys, pfn)).toBe(1 + 3 * GUP_PIN_COUNTING_BIAS);
      expect([phys.nrFollPinAcquired, folioPincount(phys, pfn)]).toEqual([3, 0]);
      gupPutFolio(phys, pfn, 2, FOLL_PIN);
      expect(phys.nrFollPinReleased).toBe(2);
      expect(pageRefCount(phys, pfn)).toBe(1025);
      checkPhys(phys);
    });

    it('B.7: a pin of a large folio adds 1, and 1 to its pin count', () => {
      const { phys, pfn } = largeMachine();
      expect(grab(phys, pfn + 2, 4, FOLL_PIN)).toBe(true);
      expect(grab(phys, pfn, 1, FOLL_PIN)).toBe(true);
      expect(grab(phys, pfn + 1, 2, FOLL_GET)).toBe(true);
      expect([pageRefCount(phys, pfn), folioPincount(phys, pfn), phys.nrFollPinAcquired]).toEqual([8, 5, 5]);
      checkPhys(phys);
      gupPutFolio(phys, pfn + 3, 3, FOLL_PIN);
      gupPutFolio(phys, pfn, 2, FOLL_GET);
      expect([pageRefCount(phys, pfn), folioPincount(phys, pfn), phys.nrFollPinReleased]).toEqual([3, 2, 3]);
      checkPhys(phys);
    });

    it('a block that is not compound counts as a small folio', () => {
      const phys = createPhys({ frames: FRAMES, shared });
      const pfn = allocPages(phys, 0, ORDER);
      expect(grab(phys, pfn, 1, FOLL_PIN)).toBe(true);
      expect(pageRefCount(phys, pfn)).toBe(1025);
      expectRefused(phys, '', () => expect(grab(phys, pfn + 1, 1, FOLL_PIN)).toBe(false));
    });

    it('B.7, B.22 #24, E.1: the zero page counts references and ignores pins', () => {
      const { phys } = machine();
      expectRefused(phys, '', () => expect(grab(phys, phys.zeroPfn, 7, FOLL_PIN | FOLL_LONGTERM)).toBe(true));
      expectRefused(phys, '', () => gupPutFolio(phys, phys.zeroPfn, 7, FOLL_PIN));
      expect(grab(phys, phys.zeroPfn, 7, FOLL_GET)).toBe(true);
      expect(pageRefCount(phys, phys.zeroPfn)).toBe(8);
      gupPutFolio(phys, phys.zeroPfn, 7, FOLL_GET);
      expect(pageRefCount(phys, phys.zeroPfn)).toBe(1);
    });

    it('B.7: fails on a count that is zero or negative', () => {
      for (const { phys, pfn } of [machine(), largeMachine()]) {
        for (const count of [0, -5]) {
          setCount(phys, pfn, count);
          for (const flags of [FOLL_GET, FOLL_PIN]) {
            expectRefused(phys, '', () => expect(grab(phys, pfn, 1, flags)).toBe(false));
          }
        }
      }
    });

    it('B.7, C.9: a small folio takes 2,097,151 pins and not one more', () => {
      const { phys, pfn } = machine();
      expectRefused(phys, '', () => expect(grab(phys, pfn, 2_097_152, FOLL_PIN)).toBe(false));
      expect(grab(phys, pfn, 2_097_151, FOLL_PIN)).toBe(true);
      expect(pageRefCount(phys, pfn)).toBe(1 + 2_097_151 * 1024);
      expectRefused(phys, '', () => expect(grab(phys, pfn, 1, FOLL_PIN)).toBe(false));
      expect(grab(phys, pfn, 1022, FOLL_GET)).toBe(true);
      expectRefused(phys, '', () => expect(grab(phys, pfn, 1, FOLL_GET)).toBe(false));
      gupPutFolio(phys, pfn, 1022, FOLL_GET);
      gupPutFolio(phys, pfn, 2_097_151, FOLL_PIN);
      expect(pageRefCount(phys, pfn)).toBe(1);
    });

    it('C.9: a large folio takes as many pins as references', () => {
      const { phys, pfn } = largeMachine();
      expect(grab(phys, pfn, MAX_COUNT - 1, FOLL_PIN)).toBe(true);
      expect(folioPincount(phys, pfn)).toBe(MAX_COUNT - 1);
      for (const flags of [FOLL_GET, FOLL_PIN]) {
        expectRefused(phys, '', () => expect(grab(phys, pfn + 1, 1, flags)).toBe(false));
      }
    });

    it('takes nothing without GET or PIN', () => {
      const { phys, pfn } = machine();
      expectRefused(phys, '', () => expect(grab(phys, pfn, 1, FOLL_WRITE)).toBe(name === 'tryGrabFolio'));
      expectRefused(phys, '', () => gupPutFolio(phys, pfn, 1, FOLL_WRITE));
    });
  });

  it('B.7: tryGrabFolio of a frame without references is -ENOMEM, whatever the flags', () => {
    const { phys, pfn } = machine();
    setCount(phys, pfn, 0);
    for (const flags of [0, FOLL_GET, FOLL_PIN]) expect(tryGrabFolio(phys, pfn, 1, flags)).toBe(-ENOMEM);
  });

  describe('gupPutFolio, unpinFolio', () => {
    it('the last pin of an orphan frees it', () => {
      const { phys, pfn } = machine();
      tryGrabFolio(phys, pfn, 1, FOLL_PIN);
      putPage(phys, pfn);
      expect(pageRefCount(phys, pfn)).toBe(1024);
      gupPutFolio(phys, pfn, 1, FOLL_PIN);
      expect(phys.freeFrames).toBe(FREE);
      expect(phys.nrFollPinReleased).toBe(1);
      checkPhys(phys);
    });

    it('the last pin of a large orphan frees it', () => {
      const { phys, pfn } = largeMachine();
      tryGrabFolio(phys, pfn + 1, 3, FOLL_PIN);
      putPage(phys, pfn);
      expect(pageRefCount(phys, pfn)).toBe(3);
      unpinFolio(phys, pfn + 3);
      unpinFolio(phys, pfn, 2);
      expect(phys.freeFrames).toBe(FREE);
      expect(phys.nrFollPinReleased).toBe(3);
      checkPhys(phys);
    });

    it('refuses more pins than the count holds: PIN_BELOW_ZERO', () => {
      const { phys, pfn } = machine();
      expectRefused(phys, 'PIN_BELOW_ZERO', () => gupPutFolio(phys, pfn, 1, FOLL_PIN));
      tryGrabFolio(phys, pfn, 1, FOLL_PIN);
      expectRefused(phys, 'PIN_BELOW_ZERO', () => gupPutFolio(phys, pfn, 2, FOLL_PIN));
      expectRefused(phys, 'PIN_BELOW_ZERO', () => gupPutFolio(phys, pfn, MAX_COUNT, FOLL_PIN));
      expectRefused(phys, 'PUT_BELOW_ZERO', () => gupPutFolio(phys, pfn, 2000, FOLL_GET));
    });

    it('refuses more pins than a large folio has, whatever its references: PIN_BELOW_ZERO', () => {
      const { phys, pfn } = largeMachine();
      getPage(phys, pfn, 5000);
      expectRefused(phys, 'PIN_BELOW_ZERO', () => unpinFolio(phys, pfn));
      tryGrabFolio(phys, pfn, 2, FOLL_PIN);
      expectRefused(phys, 'PIN_BELOW_ZERO', () => unpinFolio(phys, pfn + 1, 3));
    });

    it('refuses pins whose references were put: PUT_BELOW_ZERO', () => {
      const { phys, pfn } = largeMachine();
      tryGrabFolio(phys, pfn, 2, FOLL_PIN);
      putPage(phys, pfn, 2);
      expectRefused(phys, 'PUT_BELOW_ZERO', () => unpinFolio(phys, pfn, 2));
      expectRefused(phys, 'FREE_PINNED', () => unpinFolio(phys, pfn));
      expectRefused(phys, 'FREE_PINNED', () => putPage(phys, pfn));
    });

    it('refuses to free a mapped folio with its last pin, and counts nothing then', () => {
      const { phys, pfn } = machine();
      tryGrabFolio(phys, pfn, 1, FOLL_PIN);
      putPage(phys, pfn);
      phys.hot[pfn * 4 + HOT_MAPCOUNT] = 1;
      expectRefused(phys, 'FREE_MAPPED', () => gupPutFolio(phys, pfn, 1, FOLL_PIN));
      const large = allocPages(phys, GFP_COMP, ORDER);
      tryGrabFolio(phys, large, 1, FOLL_PIN);
      putPage(phys, large);
      folioAddRmapPmd(phys, large);
      expectRefused(phys, 'FREE_MAPPED', () => gupPutFolio(phys, large, 1, FOLL_PIN));
    });
  });

  describe('folioAddPin', () => {
    it('B.7: re-pins a pinned folio: +1024 when small, +1 and +1 when large', () => {
      const { phys, pfn } = machine();
      tryGrabFolio(phys, pfn, 1, FOLL_PIN);
      folioAddPin(phys, pfn);
      expect([pageRefCount(phys, pfn), phys.nrFollPinAcquired]).toEqual([2049, 2]);
      const large = allocPages(phys, GFP_COMP, ORDER);
      tryGrabFolio(phys, large, 1, FOLL_PIN);
      folioAddPin(phys, large + 1);
      expect([pageRefCount(phys, large), folioPincount(phys, large), phys.nrFollPinAcquired]).toEqual([3, 2, 4]);
    });

    it('B.7: nothing for the zero page', () => {
      const { phys } = machine();
      expectRefused(phys, '', () => folioAddPin(phys, phys.zeroPfn));
    });

    it('refuses a folio that is not pinned, and too many references', () => {
      const { phys, pfn } = machine();
      getPage(phys, pfn, 1022);
      expectRefused(phys, 'ADD_PIN_UNPINNED', () => folioAddPin(phys, pfn));
      setCount(phys, pfn, -5);
      expectRefused(phys, 'ADD_PIN_UNPINNED', () => folioAddPin(phys, pfn));
      setCount(phys, pfn, MAX_COUNT - 1023);
      expectRefused(phys, 'REF_OVERFLOW', () => folioAddPin(phys, pfn));
      const large = allocPages(phys, GFP_COMP, ORDER);
      getPage(phys, large, 5000);
      expectRefused(phys, 'ADD_PIN_UNPINNED', () => folioAddPin(phys, large));
    });
  });

  describe('folioMaybeDmaPinned', () => {
    it('E.1, small: 1023 plain references no, 1024 yes, −5 (overflowed) yes', () => {
      const { phys, pfn } = machine();
      getPage(phys, pfn, 1022);
      expect(folioMaybeDmaPinned(phys, pfn)).toBe(false);
      getPage(phys, pfn);
      expect(folioMaybeDmaPinned(phys, pfn)).toBe(true);
      setCount(phys, pfn, -5);
      expect(folioMaybeDmaPinned(phys, pfn)).toBe(true);
    });

    it('B.7, large: exact, on every page', () => {
      const { phys, pfn } = largeMachine();
      getPage(phys, pfn, 5000);
      expect(folioMaybeDmaPinned(phys, pfn)).toBe(false);
      tryGrabFolio(phys, pfn + 3, 1, FOLL_PIN);
      for (let page = 0; page < 4; page++) expect(folioMaybeDmaPinned(phys, pfn + page)).toBe(true);
      unpinFolio(phys, pfn);
      expect(folioMaybeDmaPinned(phys, pfn + 3)).toBe(false);
    });
  });

  describe('folioIsLongtermPinnable', () => {
    function zones(): Phys {
      return createPhys({
        frames: 4096,
        shared,
        zones: [
          { kind: ZONE_NORMAL, start: 0, end: 2048 },
          { kind: ZONE_MOVABLE, start: 2048, end: 4096 },
        ],
      });
    }

    it.each([
      ['UNMOVABLE', MIGRATE_UNMOVABLE, true],
      ['MOVABLE', MIGRATE_MOVABLE, true],
      ['RECLAIMABLE', MIGRATE_RECLAIMABLE, true],
      ['CMA', MIGRATE_CMA, false],
      ['ISOLATE', MIGRATE_ISOLATE, false],
    ])('B.8: in a pageblock of type %s', (__, type, pinnable) => {
      const phys = zones();
      const pfn = allocPages(phys, GFP_COMP, ORDER);
      phys.pageblocks[pfn >> phys.pageblockOrder] = type;
      for (const frame of [pfn, pfn + 3]) {
        expect(folioIsLongtermPinnable(phys, frame)).toBe(pinnable);
        expect(tryGrabFolioFast(phys, frame, 1, FOLL_PIN | FOLL_LONGTERM)).toBe(pinnable);
        expect(tryGrabFolioFast(phys, frame, 1, FOLL_PIN)).toBe(true);
        expect(tryGrabFolio(phys, frame, 1, FOLL_PIN | FOLL_LONGTERM)).toBe(0);
      }
      expect(folioPincount(phys, pfn)).toBe(pinnable ? 6 : 4);
      expect(pageRefCount(phys, pfn)).toBe(pinnable ? 7 : 5);
    });

    it('B.8: not in ZONE_MOVABLE; a refused pin changes nothing', () => {
      const phys = zones();
      const pfn = allocPages(phys, GFP_HIGHUSER_MOVABLE, 0);
      expect(pfn).toBeGreaterThanOrEqual(2048);
      expect(folioIsLongtermPinnable(phys, pfn)).toBe(false);
      expectRefused(phys, '', () => expect(tryGrabFolioFast(phys, pfn, 1, FOLL_PIN | FOLL_LONGTERM)).toBe(false));
      expect(tryGrabFolioFast(phys, pfn, 1, FOLL_GET | FOLL_LONGTERM)).toBe(true);
    });

    it('B.8: the zero page always', () => {
      const phys = zones();
      phys.pageblocks[0] = MIGRATE_ISOLATE;
      expect(folioIsLongtermPinnable(phys, phys.zeroPfn)).toBe(true);
    });
  });
});

describe('pageMapCount', () => {
  it('is the number of entries that map a frame', () => {
    const phys = createPhys({ frames: FRAMES });
    const pfn = allocPages(phys, 0, 0);
    expect(pageMapCount(phys, pfn)).toBe(0);
    phys.hot[pfn * 4 + HOT_MAPCOUNT] = 2;
    expect(pageMapCount(phys, pfn)).toBe(2);
    for (const frame of [FRAMES, -1, 0.5]) expect(refusal(() => pageMapCount(phys, frame))).toBe('RangeError');
  });
});
