import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  allocPages,
  checkFrame,
  checkPhys,
  clearFlag,
  countFrames,
  createPhys,
  freePages,
  frameWords,
  HOT_WORDS,
  MAX_FRAMES,
  PG_ANON_EXCLUSIVE,
  PG_BUDDY,
  PG_DIRTY,
  PG_LOCKED,
  PG_LRU,
  PG_PCP,
  PG_MLOCKED,
  PG_PRIVATE_2,
  PG_SWAPBACKED,
  PG_UNEVICTABLE,
  PG_RESERVED,
  PG_TABLE,
  pageOrder,
  pageRefCount,
  setFlag,
  testFlag,
  touchedRanges,
} from '../src/index.ts';
import { expectRefused, refusal } from './support.ts';

afterEach(() => vi.unstubAllGlobals());

describe('createPhys', () => {
  it('reserves frame 0 and the zero page, with one reference each; all others are free', () => {
    const phys = createPhys({ frames: 64 });
    expect(phys.zeroPfn).toBe(1);
    for (const pfn of [0, phys.zeroPfn]) {
      expect(pageRefCount(phys, pfn)).toBe(1);
      expect(testFlag(phys, pfn, PG_RESERVED)).toBe(true);
    }
    expect(countFrames(phys)).toEqual({ free: 62, used: 0, reserved: 2, pinned: 0, pins: 0 });
    expect(phys.freeFrames).toBe(62);
    checkPhys(phys);
  });

  it('has pages of 4096 bytes unless told', () => {
    expect(createPhys({ frames: 16 })).toMatchObject({ frames: 16, pageSize: 4096, pageShift: 12 });
    expect(createPhys({ frames: 16, pageSize: 16384 })).toMatchObject({ pageSize: 16384, pageShift: 14 });
    expect(createPhys({ frames: 16, pageSize: 65536 })).toMatchObject({ pageSize: 65536, pageShift: 16 });
  });

  it('refuses bad options by name', () => {
    for (const frames of [15, 0, -1, 16.5, NaN, MAX_FRAMES + 1, 2 ** 53]) {
      expect(() => createPhys({ frames })).toThrow(/^frames: /);
    }
    expect(() => createPhys({ frames: 64, pageSize: 8192 as 4096 })).toThrow(/^pageSize: /);
  });

  it('touches nothing per frame: a machine of more than 1 TiB is made and used at once', () => {
    const frames = 2 ** 28 + 12345;
    const phys = createPhys({ frames });
    expect(phys.freeFrames).toBe(frames - 2);
    const pfn = allocPages(phys, 0, 10);
    expect(touchedRanges(phys)).toEqual([0, 2048, frames - (frames % 1024), frames]);
    freePages(phys, pfn, 10);
    checkPhys(phys);
    expect(MAX_FRAMES * HOT_WORDS).toBeLessThan(2 ** 31);
  });

  it('has both tables in one buffer: V8 collects garbage for each large one', () => {
    const { hot, cold } = createPhys({ frames: 2 ** 20 });
    expect(cold.buffer).toBe(hot.buffer);
    expect([hot.byteOffset, hot.length, cold.byteOffset, cold.length]).toEqual([0, 2 ** 22, 2 ** 24, 2 ** 22]);
  });

  it('has two buffers where the host refuses one so large, and is refused where it refuses these', () => {
    let largest = 2 ** 20;
    class Limited extends ArrayBuffer {
      constructor(bytes: number) {
        if (bytes > largest) throw new RangeError('Array buffer allocation failed');
        super(bytes);
      }
    }
    vi.stubGlobal('ArrayBuffer', Limited);
    const phys = createPhys({ frames: 2 ** 16 });
    expect([phys.hot.byteLength, phys.cold.byteLength, phys.cold.byteOffset]).toEqual([2 ** 20, 2 ** 20, 0]);
    expect(phys.cold.buffer).not.toBe(phys.hot.buffer);
    freePages(phys, allocPages(phys, 0, 3), 3);
    checkPhys(phys);
    largest--;
    expect(() => createPhys({ frames: 2 ** 16 })).toThrow(RangeError);
  });

  it('makes no RAM before it is touched, and then a chunk no larger than the machine', () => {
    const small = createPhys({ frames: 20 });
    expect(small.chunks).toEqual([]);
    expect(frameWords(small, 2).length).toBe(8 * 1024);
    expect(frameWords(small, 19).length).toBe(4 * 1024);
    const large = createPhys({ frames: 4096 + 700 });
    expect(frameWords(large, 512).length).toBe(512 * 1024);
    expect(frameWords(large, 4795).length).toBe(188 * 1024);
    expect(large.chunks.filter((words) => words !== undefined).length).toBe(2);
    expect(Object.keys(large.chunks).length).toBe(10);
    expect(frameWords(createPhys({ frames: 16, pageSize: 65536 }), 3).length).toBe(16 * 1024);
  });

  it('lies in shared memory when asked to', () => {
    const shared = createPhys({ frames: 64, shared: true });
    for (const table of [shared.hot, shared.cold, frameWords(shared, 2)]) {
      expect(table.buffer).toBeInstanceOf(SharedArrayBuffer);
    }
    freePages(shared, allocPages(shared, 0, 0), 0);
    checkPhys(shared);
    expect(createPhys({ frames: 64 }).hot.buffer).toBeInstanceOf(ArrayBuffer);
  });

  it('keeps the tables apart, in one buffer or in two', () => {
    for (const frames of [64, 65537]) {
      const phys = createPhys({ frames });
      phys.hot[frames * 4 - 1] = 7;
      expect(phys.cold.every((word) => word === 0)).toBe(true);
      phys.cold[0] = 5;
      expect(phys.hot[frames * 4 - 1]).toBe(7);
      expect(phys.hot.length).toBe(frames * 4);
      expect(phys.cold.length).toBe(frames * 4);
    }
  });
});

describe('checkFrame', () => {
  it('accepts the frames of the machine and nothing else', () => {
    const phys = createPhys({ frames: 100 });
    checkFrame(phys, 0);
    checkFrame(phys, 99);
    for (const pfn of [100, -1, 1.5, NaN, 2 ** 30 + 5, 2 ** 32 + 5, Infinity]) {
      expect(() => checkFrame(phys, pfn)).toThrow(RangeError);
      expect(() => checkFrame(phys, pfn)).toThrow(/^pfn: /);
    }
  });
});

describe('page flags', () => {
  it('N.15: Linux bit order', () => {
    expect(PG_LOCKED).toBe(1 << 0);
    expect(PG_DIRTY).toBe(1 << 4);
    expect(PG_LRU).toBe(1 << 5);
    expect(PG_ANON_EXCLUSIVE).toBe(1 << 11);
    expect(PG_RESERVED).toBe(1 << 13);
    expect(PG_PRIVATE_2).toBe(1 << 15);
    expect(PG_SWAPBACKED).toBe(1 << 17);
    expect(PG_UNEVICTABLE).toBe(1 << 18);
    expect(PG_MLOCKED).toBe(1 << 20);
  });

  it('are set, tested and cleared one by one, and keep the order', () => {
    const phys = createPhys({ frames: 64 });
    const pfn = allocPages(phys, 0, 3);
    setFlag(phys, pfn, PG_DIRTY);
    setFlag(phys, pfn, PG_TABLE | PG_MLOCKED);
    expect(testFlag(phys, pfn, PG_DIRTY)).toBe(true);
    expect(testFlag(phys, pfn, PG_LOCKED)).toBe(false);
    clearFlag(phys, pfn, PG_DIRTY);
    expect(testFlag(phys, pfn, PG_DIRTY)).toBe(false);
    expect(testFlag(phys, pfn, PG_TABLE)).toBe(true);
    expect(pageOrder(phys, pfn)).toBe(3);
  });

  it('of the allocator, and what is no flag, cannot be changed', () => {
    const phys = createPhys({ frames: 64 });
    const pfn = allocPages(phys, 0, 0);
    for (const flag of [PG_BUDDY, PG_PCP, 1 << 28, -1, 0.5, NaN, 2 ** 32 + 1]) {
      expectRefused(phys, 'RangeError', () => setFlag(phys, pfn, flag));
      expectRefused(phys, 'RangeError', () => clearFlag(phys, pfn, flag));
    }
  });

  it('of a frame that is not there throw', () => {
    const phys = createPhys({ frames: 64 });
    expect(refusal(() => testFlag(phys, 64, PG_DIRTY))).toBe('RangeError');
    expectRefused(phys, 'RangeError', () => setFlag(phys, 64, PG_DIRTY));
    expectRefused(phys, 'RangeError', () => clearFlag(phys, -1, PG_DIRTY));
    expect(refusal(() => pageOrder(phys, 2.5))).toBe('RangeError');
  });
});
