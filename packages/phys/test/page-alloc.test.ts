import { ENOMEM, FOLL_PIN } from '@mmkit/base';
import { describe, expect, it } from 'vitest';
import {
  allocPages,
  buddyInfo,
  checkPhys,
  COLD_INDEX,
  COLD_PRIVATE,
  copyFrame,
  countFrames,
  createPhys,
  drainPages,
  folioAddRmapPmd,
  folioAddRmapPtes,
  folioRemoveRmapPmd,
  folioRemoveRmapPtes,
  frameBytes,
  frameWordIndex,
  frameWords,
  freePages,
  GFP_COMP,
  GFP_HIGHUSER_MOVABLE,
  GFP_ZERO,
  getPage,
  gupPutFolio,
  HOT_FLAGS,
  HOT_MAPCOUNT,
  HOT_OWNER,
  HOT_REFCOUNT,
  MAX_PAGE_ORDER,
  PG_DIRTY,
  PG_LOCKED,
  PG_WRITEBACK,
  pageOrder,
  pageRefCount,
  putPage,
  readBytes,
  setFlag,
  tryGrabFolio,
  writeBytes,
} from '../src/index.ts';
import type { Phys } from '../src/index.ts';
import { BUILDS } from './builds.ts';
import type { Build } from './builds.ts';
import { expectRefused } from './support.ts';

/** All blocks of `order` there are. */
function takeAll(phys: Phys, order: number, alloc: Build['allocPages']): number[] {
  const blocks: number[] = [];
  for (let pfn = alloc(phys, 0, order); pfn >= 0; pfn = alloc(phys, 0, order)) blocks.push(pfn);
  return blocks;
}

const allocAll = (phys: Phys, order: number): number[] => takeAll(phys, order, allocPages);

function words(phys: Phys, pfn: number): number[] {
  return [...phys.hot.subarray(pfn * 4, pfn * 4 + 4), ...phys.cold.subarray(pfn * 4, pfn * 4 + 4)];
}

describe.each(BUILDS)('allocPages, $name', ({ allocPages }) => {
  const allocAll = (phys: Phys, order: number): number[] => takeAll(phys, order, allocPages);

  it('N.15: gives blocks aligned to their size with one reference', () => {
    const phys = createPhys({ frames: 4096 });
    for (let order = 0; order <= MAX_PAGE_ORDER; order++) {
      const pfn = allocPages(phys, GFP_HIGHUSER_MOVABLE, order);
      expect(pfn % 2 ** order).toBe(0);
      expect(pfn).toBeGreaterThan(phys.zeroPfn);
      expect(pageOrder(phys, pfn)).toBe(order);
      expect(words(phys, pfn)).toEqual([1, order << 28, 0, 0, 0, 0, 0, 0]);
      checkPhys(phys);
    }
  });

  it('N.15: splits the smallest block that fits and keeps the lower half', () => {
    const phys = createPhys({ frames: 64 });
    const small = allocPages(phys, 0, 1);
    expect(small).toBe(2);
    expect(allocPages(phys, 0, 0)).toBe(4);
    expect(allocPages(phys, 0, 1)).toBe(6);
    expect(allocPages(phys, 0, 0)).toBe(5);
    expect(buddyInfo(phys)).toEqual([0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0]);
  });

  it('gives the frame freed last first', () => {
    const phys = createPhys({ frames: 64 });
    const a = allocPages(phys, 0, 0);
    const b = allocPages(phys, 0, 0);
    freePages(phys, a, 0);
    freePages(phys, b, 0);
    expect(allocPages(phys, 0, 0)).toBe(b);
    expect(words(phys, b)).toEqual([1, 0, 0, 0, 0, 0, 0, 0]);
    expect(allocPages(phys, 0, 0)).toBe(a);
  });

  it('returns -ENOMEM when nothing is left, and changes nothing then', () => {
    const phys = createPhys({ frames: 50 });
    expect(allocAll(phys, 0).sort((a, b) => a - b)).toEqual(Array.from({ length: 48 }, (_, i) => i + 2));
    expectRefused(phys, '', () => expect(allocPages(phys, 0, 0)).toBe(-ENOMEM));
    expect(countFrames(phys)).toMatchObject({ free: 0, used: 48 });
  });

  it('returns -ENOMEM when no block of the order fits, and for orders above MAX_PAGE_ORDER', () => {
    const phys = createPhys({ frames: 64 });
    expect(allocPages(phys, 0, 6)).toBe(-ENOMEM);
    checkPhys(phys);
    for (const order of [11, 32, 42, 1000, 2 ** 40]) {
      expectRefused(phys, '', () => expect(allocPages(phys, 0, order)).toBe(-ENOMEM));
    }
    expect(phys.freeFrames).toBe(62);
  });

  it('refuses an order that is no order', () => {
    const phys = createPhys({ frames: 64 });
    for (const order of [-1, 0.5, NaN]) expectRefused(phys, 'RangeError', () => allocPages(phys, 0, order));
  });

  it('never crosses the end of a machine of any size', () => {
    for (let frames = 16; frames < 200; frames++) {
      const phys = createPhys({ frames });
      for (let order = 5; order >= 0; order--) {
        for (const pfn of allocAll(phys, order)) expect(pfn + 2 ** order).toBeLessThanOrEqual(frames);
      }
      expect(phys.freeFrames).toBe(0);
      checkPhys(phys);
    }
  });

  it('N.15: takes single free frames back into blocks before it fails', () => {
    const phys = createPhys({ frames: 64 });
    const frames = allocAll(phys, 0);
    for (const pfn of frames.filter((frame) => frame >= 48 && frame < 52)) freePages(phys, pfn, 0);
    const [pcp] = phys.zones[0]!.pcps;
    expect(pcp!.count).toBe(4);
    expect(buddyInfo(phys)).toEqual(new Array(11).fill(0));
    expect(allocPages(phys, 0, 2)).toBe(48);
    expect(pcp!.count).toBe(0);
    checkPhys(phys);
  });

  it('GFP_ZERO zeroes every frame of the block; without it the contents stay', () => {
    const phys = createPhys({ frames: 64 });
    const out = new Uint8Array(1);
    const block = allocPages(phys, GFP_ZERO, 1);
    for (const pfn of [block, block + 1]) writeBytes(phys, pfn, 4095, Uint8Array.of(9), 0, 1);
    freePages(phys, block, 1);
    expect(allocPages(phys, 0, 1)).toBe(block);
    readBytes(phys, block + 1, 4095, out, 0, 1);
    expect(out[0]).toBe(9);
    freePages(phys, block, 1);
    expect(allocPages(phys, GFP_ZERO, 1)).toBe(block);
    for (const pfn of [block, block + 1]) {
      readBytes(phys, pfn, 4095, out, 0, 1);
      expect(out[0]).toBe(0);
    }
    const single = allocPages(phys, 0, 0);
    writeBytes(phys, single, 0, Uint8Array.of(9), 0, 1);
    freePages(phys, single, 0);
    expect(allocPages(phys, GFP_ZERO, 0)).toBe(single);
    readBytes(phys, single, 0, out, 0, 1);
    expect(out[0]).toBe(0);
  });

  it.each([
    ['writeBytes', (phys: Phys, pfn: number) => writeBytes(phys, pfn, 8, Uint8Array.of(9), 0, 1)],
    ['frameWords', (phys: Phys, pfn: number) => (frameWords(phys, pfn)[frameWordIndex(phys, pfn) + 2] = 9)],
    ['frameBytes', (phys: Phys, pfn: number) => (frameBytes(phys, pfn - 1, 2)![phys.pageSize + 8] = 9)],
    ['copyFrame', (phys: Phys, pfn: number) => copyFrame(phys, pfn, written(phys))],
  ])('GFP_ZERO zeroes a frame that was written through %s before it was ever given out', (_name, write) => {
    const phys = createPhys({ frames: 64 });
    const out = new Uint8Array(1);
    frameWords(phys, 8);
    const last = 63;
    write(phys, last);
    readBytes(phys, last, 8, out, 0, 1);
    expect(out[0]).toBe(9);
    while (allocPages(phys, GFP_ZERO, 0) > 0);
    readBytes(phys, last, 8, out, 0, 1);
    expect(out[0]).toBe(0);
    checkPhys(phys);
  });

  it('GFP_ZERO makes no RAM where none was touched', () => {
    const phys = createPhys({ frames: 64 });
    allocPages(phys, GFP_ZERO, 4);
    expect(phys.chunks).toEqual([]);
  });
});

/** A frame with a 9 at byte 8. */
function written(phys: Phys): number {
  writeBytes(phys, 40, 8, Uint8Array.of(9), 0, 1);
  return 40;
}

describe('freePages', () => {
  it('N.15: merges buddies back to the largest blocks, in whatever order they are freed', () => {
    for (const frames of [64, 1000, 2048, 3000]) {
      const phys = createPhys({ frames });
      const fresh = buddyInfo(phys);
      const pfns = allocAll(phys, 0);
      for (let i = 0; i < pfns.length; i++) freePages(phys, pfns[(i * 7919) % pfns.length]!, 0);
      drainPages(phys);
      expect(buddyInfo(phys)).toEqual(fresh);
      expect(phys.freeFrames).toBe(frames - 2);
      checkPhys(phys);
    }
  });

  it('N.15: does not merge blocks that are not buddies, or of different orders', () => {
    const phys = createPhys({ frames: 1024 });
    const frames = allocAll(phys, 0);
    for (const pfn of frames) if (pfn >= 33 && pfn <= 34) freePages(phys, pfn, 0);
    drainPages(phys);
    expect(buddyInfo(phys)).toEqual([2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for (const pfn of [35, 36, 37]) freePages(phys, pfn, 0);
    drainPages(phys);
    expect(buddyInfo(phys)).toEqual([1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    checkPhys(phys);
  });

  it('leaves every word of every frame of the block zero but for the list', () => {
    const phys = createPhys({ frames: 64 });
    for (const order of [0, 2]) {
      const pfn = allocPages(phys, 0, order);
      const last = pfn + (1 << order) - 1;
      for (const frame of new Set([pfn, last])) {
        setFlag(phys, frame, PG_DIRTY);
        phys.hot[frame * 4 + HOT_OWNER] = 5;
        for (const word of [COLD_INDEX, COLD_PRIVATE]) phys.cold[frame * 4 + word] = 77;
      }
      freePages(phys, pfn, order);
      checkPhys(phys);
      drainPages(phys);
      expect(allocPages(phys, 0, order)).toBe(pfn);
      expect(words(phys, pfn)).toEqual([1, order << 28, 0, 0, 0, 0, 0, 0]);
      if (order !== 0) expect(words(phys, last)).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
    }
  });

  it('keeps a bounded number of frames in front of the lists: at most `high`', () => {
    for (const frames of [64, 2048, 16_384]) {
      const phys = createPhys({ frames });
      const [pcp] = phys.zones[0]!.pcps;
      for (const pfn of allocAll(phys, 0)) {
        freePages(phys, pfn, 0);
        expect(pcp!.count).toBeLessThanOrEqual(pcp!.high);
      }
      expect(pcp!.high).toBeLessThanOrEqual(Math.max(frames / 8, 4 * pcp!.batch));
      expect(pcp!.count).toBeGreaterThan(0);
      checkPhys(phys);
    }
  });

  it('refuses a second free: DOUBLE_FREE', () => {
    const phys = createPhys({ frames: 64 });
    const single = allocPages(phys, 0, 0);
    freePages(phys, single, 0);
    expectRefused(phys, 'DOUBLE_FREE', () => freePages(phys, single, 0));
    drainPages(phys);
    expectRefused(phys, 'DOUBLE_FREE', () => freePages(phys, single, 0));
    const block = allocPages(phys, 0, 3);
    freePages(phys, block, 3);
    expectRefused(phys, 'DOUBLE_FREE', () => freePages(phys, block, 3));
    expectRefused(phys, 'DOUBLE_FREE', () => freePages(phys, block + 1, 0));
  });

  it('refuses a frame never given out, and the inside of a block: DOUBLE_FREE', () => {
    const phys = createPhys({ frames: 64 });
    expectRefused(phys, 'DOUBLE_FREE', () => freePages(phys, 40, 0));
    const block = allocPages(phys, 0, 3);
    expectRefused(phys, 'DOUBLE_FREE', () => freePages(phys, block + 1, 0));
  });

  it('refuses a tail: FREE_TAIL', () => {
    const phys = createPhys({ frames: 64 });
    const folio = allocPages(phys, GFP_COMP, 3);
    for (const order of [0, 3]) {
      expectRefused(phys, 'FREE_TAIL', () => freePages(phys, folio + 1, order));
      expectRefused(phys, 'FREE_TAIL', () => freePages(phys, folio + 7, order));
    }
    freePages(phys, folio, 3);
    expectRefused(phys, 'DOUBLE_FREE', () => freePages(phys, folio + 1, 0));
    checkPhys(phys);
  });

  it('refuses a large folio that is mapped or pinned: FREE_MAPPED, FREE_PINNED', () => {
    const phys = createPhys({ frames: 64 });
    const folio = allocPages(phys, GFP_COMP, 3);
    folioAddRmapPtes(phys, folio + 5);
    expectRefused(phys, 'FREE_MAPPED', () => freePages(phys, folio, 3));
    folioRemoveRmapPtes(phys, folio + 5);
    folioAddRmapPmd(phys, folio);
    expectRefused(phys, 'FREE_MAPPED', () => freePages(phys, folio, 3));
    folioRemoveRmapPmd(phys, folio);
    tryGrabFolio(phys, folio + 2, 1, FOLL_PIN);
    putPage(phys, folio);
    expectRefused(phys, 'FREE_PINNED', () => freePages(phys, folio, 3));
    expectRefused(phys, 'FREE_PINNED', () => putPage(phys, folio + 1));
    gupPutFolio(phys, folio, 1, FOLL_PIN);
    expect(phys.freeFrames).toBe(62);
    checkPhys(phys);
  });

  it('refuses what is in a hole: DOUBLE_FREE', () => {
    const phys = createPhys({ frames: 64, holes: [[20, 24]] });
    for (const order of [0, 2]) expectRefused(phys, 'DOUBLE_FREE', () => freePages(phys, 20, order));
  });

  it('refuses frame 0 and the zero page: FREE_RESERVED', () => {
    const phys = createPhys({ frames: 64 });
    expectRefused(phys, 'FREE_RESERVED', () => freePages(phys, 0, 0));
    expectRefused(phys, 'FREE_RESERVED', () => freePages(phys, phys.zeroPfn, 0));
    expectRefused(phys, 'FREE_RESERVED', () => freePages(phys, phys.zeroPfn, 1));
    expectRefused(phys, 'FREE_RESERVED', () => putPage(phys, phys.zeroPfn));
    getPage(phys, phys.zeroPfn);
    expectRefused(phys, 'FREE_RESERVED', () => freePages(phys, phys.zeroPfn, 0));
  });

  it('refuses an order that is not the block’s: WRONG_ORDER', () => {
    const phys = createPhys({ frames: 64 });
    const block = allocPages(phys, 0, 2);
    for (const order of [0, 1, 3, 10]) expectRefused(phys, 'WRONG_ORDER', () => freePages(phys, block, order));
    for (const order of [-1, 11, 1.5, NaN]) expectRefused(phys, 'RangeError', () => freePages(phys, block, order));
    freePages(phys, block, 2);
  });

  it('refuses while others hold references: FREE_REFERENCED', () => {
    const phys = createPhys({ frames: 64 });
    const pfn = allocPages(phys, 0, 0);
    getPage(phys, pfn);
    expectRefused(phys, 'FREE_REFERENCED', () => freePages(phys, pfn, 0));
    putPage(phys, pfn);
    freePages(phys, pfn, 0);
  });

  it('refuses while a frame inside the block is in use', () => {
    const phys = createPhys({ frames: 64 });
    const block = allocPages(phys, 0, 2);
    const at = (block + 3) * 4;
    phys.hot[at + HOT_REFCOUNT] = 1;
    expectRefused(phys, 'FREE_REFERENCED', () => freePages(phys, block, 2));
    phys.hot[at + HOT_REFCOUNT] = 0;
    phys.hot[at + HOT_MAPCOUNT] = 1;
    expectRefused(phys, 'FREE_MAPPED', () => freePages(phys, block, 2));
    phys.hot[at + HOT_MAPCOUNT] = 0;
    phys.hot[at + HOT_FLAGS] = PG_LOCKED;
    expectRefused(phys, 'FREE_LOCKED', () => putPage(phys, block));
    phys.hot[at + HOT_FLAGS] = 0;
    freePages(phys, block, 2);
    checkPhys(phys);
  });

  it('refuses a mapped frame: FREE_MAPPED; a locked one or one under writeback: FREE_LOCKED', () => {
    const phys = createPhys({ frames: 64 });
    const pfn = allocPages(phys, 0, 0);
    phys.hot[pfn * 4 + HOT_MAPCOUNT] = 2;
    expectRefused(phys, 'FREE_MAPPED', () => freePages(phys, pfn, 0));
    expectRefused(phys, 'FREE_MAPPED', () => putPage(phys, pfn));
    phys.hot[pfn * 4 + HOT_MAPCOUNT] = 0;
    for (const flag of [PG_LOCKED, PG_WRITEBACK]) {
      phys.hot[pfn * 4 + HOT_FLAGS] = flag;
      expectRefused(phys, 'FREE_LOCKED', () => freePages(phys, pfn, 0));
      expectRefused(phys, 'FREE_LOCKED', () => putPage(phys, pfn));
    }
    phys.hot[pfn * 4 + HOT_FLAGS] = 0;
    freePages(phys, pfn, 0);
    expect(pageRefCount(phys, pfn)).toBe(0);
  });

  it('refuses what is no frame', () => {
    const phys = createPhys({ frames: 64 });
    for (const pfn of [64, -1, 2.5, NaN]) expectRefused(phys, 'RangeError', () => freePages(phys, pfn, 0));
  });
});

describe('buddyInfo', () => {
  it('shows a fresh machine in largest aligned blocks up to its end', () => {
    expect(buddyInfo(createPhys({ frames: 64 }))).toEqual([0, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0]);
    expect(buddyInfo(createPhys({ frames: 19 }))).toEqual([1, 2, 1, 1, 0, 0, 0, 0, 0, 0, 0]);
    expect(buddyInfo(createPhys({ frames: 4096 }))).toEqual([0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 3]);
  });
});
