import { ENOMEM, FOLL_GET, FOLL_LONGTERM, FOLL_PIN, FOLL_WRITE } from '@mmkit/base';
import { describe, expect, it } from 'vitest';
import {
  allocPages,
  checkPhys,
  countFrames,
  createPhys,
  folioMaybeDmaPinned,
  freePages,
  getPage,
  GUP_PIN_COUNTING_BIAS,
  gupPutFolio,
  HOT_MAPCOUNT,
  HOT_REFCOUNT,
  pageMapCount,
  pageRefCount,
  putPage,
  tryGetFolio,
  tryGrabFolio,
  tryGrabFolioFast,
} from '../src/index.ts';
import type { Phys } from '../src/index.ts';
import { expectRefused, refusal } from './support.ts';

const MAX_COUNT = 2 ** 31 - 1;

function machine(): { phys: Phys; pfn: number } {
  const phys = createPhys({ frames: 64 });
  return { phys, pfn: allocPages(phys, 0, 0) };
}

function setCount(phys: Phys, pfn: number, count: number): void {
  phys.hot[pfn * 4 + HOT_REFCOUNT] = count;
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
    expect(countFrames(phys)).toMatchObject({ free: 62, used: 0 });
    checkPhys(phys);
  });

  it('frees a block of order > 0 whole', () => {
    const phys = createPhys({ frames: 64 });
    const block = allocPages(phys, 0, 4);
    putPage(phys, block);
    expect(phys.freeFrames).toBe(62);
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

  it('refuses bad numbers', () => {
    const { phys, pfn } = machine();
    for (const refs of [0, -1, 1.5, NaN, 2 ** 31, 2 ** 32 + 1]) {
      expectRefused(phys, 'RangeError', () => getPage(phys, pfn, refs));
      expectRefused(phys, 'RangeError', () => putPage(phys, pfn, refs));
      expectRefused(phys, 'RangeError', () => tryGetFolio(phys, pfn, refs));
      expectRefused(phys, 'RangeError', () => tryGrabFolio(phys, pfn, refs, FOLL_PIN));
      expectRefused(phys, 'RangeError', () => tryGrabFolioFast(phys, pfn, refs, FOLL_PIN));
      expectRefused(phys, 'RangeError', () => gupPutFolio(phys, pfn, refs, FOLL_PIN));
    }
    for (const frame of [64, -1, 0.5, NaN, 2 ** 30 + pfn]) {
      expectRefused(phys, 'RangeError', () => getPage(phys, frame));
      expectRefused(phys, 'RangeError', () => putPage(phys, frame));
      expectRefused(phys, 'RangeError', () => tryGetFolio(phys, frame, 1));
      expectRefused(phys, 'RangeError', () => tryGrabFolio(phys, frame, 1, FOLL_PIN));
      expectRefused(phys, 'RangeError', () => tryGrabFolioFast(phys, frame, 1, FOLL_PIN));
      expectRefused(phys, 'RangeError', () => gupPutFolio(phys, frame, 1, FOLL_PIN));
      for (const read of [pageRefCount, pageMapCount, folioMaybeDmaPinned]) {
        expect(refusal(() => read(phys, frame))).toBe('RangeError');
      }
    }
  });

  it('pageMapCount is the number of mappings', () => {
    const { phys, pfn } = machine();
    expect(pageMapCount(phys, pfn)).toBe(0);
    phys.hot[pfn * 4 + HOT_MAPCOUNT] = 2;
    expect(pageMapCount(phys, pfn)).toBe(2);
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
});

/** Both grabs, as one that says whether it worked. */
const GRABS = [
  [
    'tryGrabFolio',
    (phys: Phys, pfn: number, refs: number, flags: number) => tryGrabFolio(phys, pfn, refs, flags) === 0,
  ],
  ['tryGrabFolioFast', tryGrabFolioFast],
] as const;

describe.each(GRABS)('%s', (name, grab) => {
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
    expect(phys.nrFollPinAcquired).toBe(3);
    expect(countFrames(phys)).toMatchObject({ pinned: 1, pins: 3 });
    gupPutFolio(phys, pfn, 2, FOLL_PIN);
    expect(phys.nrFollPinReleased).toBe(2);
    expect(pageRefCount(phys, pfn)).toBe(1025);
    checkPhys(phys);
  });

  it('B.7, B.22 #24: the zero page counts references and ignores pins', () => {
    const { phys } = machine();
    expectRefused(phys, '', () => expect(grab(phys, phys.zeroPfn, 7, FOLL_PIN)).toBe(true));
    expectRefused(phys, '', () => gupPutFolio(phys, phys.zeroPfn, 7, FOLL_PIN));
    expect(grab(phys, phys.zeroPfn, 7, FOLL_GET)).toBe(true);
    expect(pageRefCount(phys, phys.zeroPfn)).toBe(8);
    gupPutFolio(phys, phys.zeroPfn, 7, FOLL_GET);
    expect(pageRefCount(phys, phys.zeroPfn)).toBe(1);
  });

  it('B.7: fails on a count that is zero or negative', () => {
    const { phys, pfn } = machine();
    for (const count of [0, -5]) {
      setCount(phys, pfn, count);
      for (const flags of [FOLL_GET, FOLL_PIN]) {
        expectRefused(phys, '', () => expect(grab(phys, pfn, 1, flags)).toBe(false));
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

  it('takes nothing without GET or PIN', () => {
    const { phys, pfn } = machine();
    expectRefused(phys, '', () => expect(grab(phys, pfn, 1, FOLL_WRITE)).toBe(name === 'tryGrabFolio'));
    expectRefused(phys, '', () => gupPutFolio(phys, pfn, 1, FOLL_WRITE));
  });
});

describe('tryGrabFolio', () => {
  it('B.7: a frame without references is -ENOMEM, whatever the flags', () => {
    const { phys, pfn } = machine();
    setCount(phys, pfn, 0);
    for (const flags of [0, FOLL_GET, FOLL_PIN]) expect(tryGrabFolio(phys, pfn, 1, flags)).toBe(-ENOMEM);
  });
});

describe('gupPutFolio', () => {
  it('the last pin of an orphan frees it', () => {
    const { phys, pfn } = machine();
    tryGrabFolio(phys, pfn, 1, FOLL_PIN);
    putPage(phys, pfn);
    expect(pageRefCount(phys, pfn)).toBe(1024);
    gupPutFolio(phys, pfn, 1, FOLL_PIN);
    expect(phys.freeFrames).toBe(62);
    expect(phys.nrFollPinReleased).toBe(1);
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

  it('refuses to free a mapped frame with its last pin, and counts nothing then', () => {
    const { phys, pfn } = machine();
    tryGrabFolio(phys, pfn, 1, FOLL_PIN);
    putPage(phys, pfn);
    phys.hot[pfn * 4 + HOT_MAPCOUNT] = 1;
    expectRefused(phys, 'FREE_MAPPED', () => gupPutFolio(phys, pfn, 1, FOLL_PIN));
  });
});

describe('E.1: reference-count oracle', () => {
  it('anonymous page mapped once with 3 pins and 2 references: 3075', () => {
    const { phys, pfn } = machine();
    tryGrabFolio(phys, pfn, 3, FOLL_PIN);
    tryGrabFolio(phys, pfn, 2, FOLL_GET);
    expect(pageRefCount(phys, pfn)).toBe(3075);
  });

  it('maybe_dma_pinned: 1023 plain references no, 1024 yes, −5 (overflowed) yes', () => {
    const { phys, pfn } = machine();
    getPage(phys, pfn, 1022);
    expect(folioMaybeDmaPinned(phys, pfn)).toBe(false);
    getPage(phys, pfn);
    expect(folioMaybeDmaPinned(phys, pfn)).toBe(true);
    setCount(phys, pfn, -5);
    expect(folioMaybeDmaPinned(phys, pfn)).toBe(true);
  });
});
