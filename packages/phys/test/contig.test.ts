/** Contiguous ranges, in both builds (`alloc_contig_range`, N.12), with a `migrate` port that moves what it may. */
import { EAGAIN, EBUSY, EINVAL, ENOMEM, FOLL_PIN } from '@mmkit/base';
import { describe, expect, it } from 'vitest';
import {
  allocPagesNowait,
  buddyInfo,
  checkPhys,
  createPhys,
  declareCma,
  folioOrder,
  frameWordIndex,
  frameWords,
  freeContigRange,
  freePages,
  getPage,
  GFP_ATOMIC,
  GFP_COMP,
  GFP_DMA32,
  GFP_HIGHUSER_MOVABLE,
  GFP_KERNEL,
  GFP_MEMALLOC,
  GFP_NOFAIL,
  GFP_NORETRY,
  GFP_NOWARN,
  GFP_THISNODE,
  GFP_ZERO,
  gupPutFolio,
  HOT_OWNER,
  HOT_REFCOUNT,
  linuxZones,
  MIGRATE_CMA,
  MIGRATE_ISOLATE,
  MIGRATE_MOVABLE,
  pageblockType,
  PG_LOCKED,
  putPage,
  setFlag,
  clearFlag,
  startIsolatePageRange,
  tryGrabFolio,
  undoIsolatePageRange,
  ZONE_DMA,
  ZONE_NORMAL,
} from '../src/index.ts';
import { BUILDS } from './builds.ts';
import { expectRefused } from './support.ts';
import { World } from './world.ts';

describe.each(BUILDS)('allocContigRange, $name', (build) => {
  const { allocContigRange, allocContigPages } = build;
  /** 4096 frames; the first `pages` single frames that movable memory gets are in use. */
  const world = (pages: number = 0): World => {
    const made = new World(build, { frames: 4096 });
    for (let i = 0; i < pages; i++) made.map();
    return made;
  };
  const contig = (made: World, start: number, end: number, gfp: number = GFP_KERNEL): number => {
    const result = allocContigRange(made.phys, start, end, MIGRATE_MOVABLE, gfp);
    checkPhys(made.phys);
    made.verify();
    for (let pfn = 0; pfn < 4096; pfn += 512) expect(pageblockType(made.phys, pfn)).not.toBe(MIGRATE_ISOLATE);
    return result;
  };
  const counts = (made: World, start: number, end: number): Set<number> =>
    new Set(Array.from({ length: end - start }, (_, i) => made.phys.hot[(start + i) * 4 + HOT_REFCOUNT]!));
  /** What a failed call may not change: who is where, what is free, the types of pageblocks. */
  const state = (made: World): unknown => [
    [...made.table],
    made.phys.freeFrames,
    made.phys.zones.map(({ free, freeIsolated, present, managed, cma }) => [free, freeIsolated, present, managed, cma]),
    [...made.phys.pageblocks],
  ];

  it('free frames: taken as single frames with a reference each, those around stay free', () => {
    const made = world();
    const free = made.phys.freeFrames;
    expect(contig(made, 1000, 1100)).toBe(0);
    expect(counts(made, 1000, 1100)).toEqual(new Set([1]));
    expect(counts(made, 900, 1000)).toEqual(new Set([0]));
    expect(counts(made, 1100, 1200)).toEqual(new Set([0]));
    expect(made.phys.freeFrames).toBe(free - 100);
    freePages(made.phys, 1042, 0);
    expect(allocPagesNowait(made.phys, GFP_HIGHUSER_MOVABLE, 0)).toBe(1042);
    freeContigRange(made.phys, 1000, 100);
    checkPhys(made.phys);
    build.allocPages(made.phys, 0, 0);
    expect(made.phys.freeFrames).toBe(free - 1);
  });

  it('given back and drained, the lists hold the blocks of the beginning', () => {
    const made = world();
    for (const [start, end] of [
      [2, 3],
      [513, 1024],
      [1023, 3073],
      [4095, 4096],
    ] as const) {
      expect(contig(made, start, end)).toBe(0);
      freeContigRange(made.phys, start, end - start);
      for (const zone of made.phys.zones) expect(zone.pcps.length).toBe(1);
      expect(contig(made, start, end)).toBe(0);
      freeContigRange(made.phys, start, end - start);
    }
    // Any range drains.
    expect(contig(made, 2, 3)).toBe(0);
    putPage(made.phys, 2);
    expect(contig(made, 4095, 4096)).toBe(0);
    freePages(made.phys, 4095, 0);
    expect(contig(made, 3, 4)).toBe(0);
    expect(buddyInfo(made.phys).slice(1)).toEqual([0, ...buddyInfo(createPhys({ frames: 4096 })).slice(2)]);
  });

  it('N.12: what is in use is moved away with its contents', () => {
    const made = world(300);
    const inside = [...made.table].filter(([, pfn]) => pfn >= 64 && pfn < 128).map(([page]) => page);
    expect(inside.length).toBe(64);
    expect(contig(made, 64, 128)).toBe(0);
    expect(made.asked.length).toBe(64);
    for (const page of inside) expect(made.table.get(page)! < 64 || made.table.get(page)! >= 128).toBe(true);
    expect(counts(made, 64, 128)).toEqual(new Set([1]));
  });

  it('B.10: folios that wait in a CPU’s LRU batch, with a reference of the batch’s, are put on their lists first', () => {
    const made = new World(build, { frames: 4096, cpus: 2 });
    made.lru = true;
    for (let i = 0; i < 100; i++) {
      made.map();
      made.phys.cpu = made.phys.cpus[i % 2]!;
    }
    const inUse = [...made.table.values()].filter((pfn) => pfn >= 64 && pfn < 128).length;
    expect(contig(made, 64, 128)).toBe(0);
    expect(made.asked.length).toBe(inUse);
    expect(inUse).toBeGreaterThan(0);
    expect(made.table.size).toBe(100);
    // Those moved wait in a batch again.
    const moved = [...made.table.values()].at(-1)!;
    expect(contig(made, moved, moved + 1)).toBe(0);
  });

  it('nothing is moved into the pageblocks that are being emptied', () => {
    const made = world(100);
    expect(contig(made, 2, 50)).toBe(0);
    // Frames 100 to 511 were free, but in the same pageblock.
    expect([...made.table.values()].slice(-48).every((pfn) => pfn >= 512)).toBe(true);
  });

  it.each([4, 9, 10])('a large folio of order %i that the range touches is moved whole', (order) => {
    const made = world();
    const page = made.map(order);
    const pfn = made.table.get(page)!;
    const last = pfn + (1 << order) - 1;
    expect(contig(made, last, last + 2)).toBe(0);
    expect(made.asked).toEqual([pfn]);
    expect(folioOrder(made.phys, made.table.get(page)!)).toBe(order);
    // All but the last frame of where it was are free.
    expect(allocContigRange(made.phys, pfn, last, MIGRATE_MOVABLE, GFP_KERNEL)).toBe(0);
    checkPhys(made.phys);
  });

  it('N.12: a pinned folio cannot be moved: -EBUSY after five tries, and it stays', () => {
    for (const order of [0, 2]) {
      const made = world();
      const pages = Array.from({ length: 40 }, () => made.map(order));
      const pinned = made.table.get(pages[20]!)!;
      expect(tryGrabFolio(made.phys, pinned, 1, FOLL_PIN)).toBe(0);
      const before = made.phys.freeFrames;
      expect(contig(made, pinned, pinned + 1)).toBe(-EBUSY);
      expect(made.asked).toEqual(new Array(5).fill(pinned));
      expect(made.table.get(pages[20]!)).toBe(pinned);
      expect(made.phys.freeFrames).toBe(before);
      gupPutFolio(made.phys, pinned, 1, FOLL_PIN);
      expect(contig(made, pinned, pinned + 1)).toBe(0);
    }
  });

  it('a reference nobody expects keeps a folio as well', () => {
    const made = world(10);
    getPage(made.phys, 5);
    expect(contig(made, 5, 6)).toBe(-EBUSY);
    putPage(made.phys, 5);
    expect(contig(made, 5, 6)).toBe(0);
  });

  it('fails four times and then moves: taken; five times: -EBUSY, everything where it was', () => {
    const made = world(10);
    made.fails = 4;
    expect(contig(made, 5, 6)).toBe(0);
    made.fails = 5;
    const before = state(made);
    expect(contig(made, 6, 7)).toBe(-EBUSY);
    expect(state(made)).toEqual(before);
    made.fails = 1;
    expect(contig(made, 6, 7)).toBe(0);
  });

  it('no memory to move to: -ENOMEM at once', () => {
    const made = world();
    while (made.map() > 0);
    made.asked.length = 0;
    const before = state(made);
    expect(contig(made, 600, 610)).toBe(-ENOMEM);
    expect(made.asked.length).toBe(1);
    expect(state(made)).toEqual(before);
  });

  it('users that let go while it is tried: taken', () => {
    const made = world(10);
    made.error = -EAGAIN;
    made.before = (pfn) => made.unmap(made.pageAt(pfn));
    expect(contig(made, 5, 8)).toBe(0);
    expect(made.asked).toEqual([5, 6, 7]);
  });

  it('a port that says it moved a folio and did not: -EBUSY', () => {
    const made = world(10);
    made.phys.migrate = build.port(() => 0);
    const before = state(made);
    expect(contig(made, 5, 8)).toBe(-EBUSY);
    expect(state(made)).toEqual(before);
  });

  it('a port that throws: no pageblock stays isolated, and the range can be had afterwards', () => {
    const made = world(10);
    made.before = () => {
      throw new Error('the port broke');
    };
    const before = state(made);
    expect(() => contig(made, 5, 8)).toThrow('the port broke');
    expect(state(made)).toEqual(before);
    made.before = () => {};
    expect(contig(made, 5, 8)).toBe(0);
  });

  it('nobody who can move: -EBUSY where something is in use, 0 elsewhere', () => {
    const made = world(10);
    made.phys.migrate = null;
    expect(contig(made, 5, 6)).toBe(-EBUSY);
    expect(contig(made, 64, 128)).toBe(0);
  });

  it('meanwhile others allocate and free elsewhere', () => {
    const made = world(400);
    made.before = () => {
      made.before = () => {};
      for (let i = 0; i < 100; i++) made.map();
      for (let page = 300; page < 350; page++) made.unmap(page);
    };
    expect(contig(made, 100, 200)).toBe(0);
    expect(counts(made, 100, 200)).toEqual(new Set([1]));
    expect(made.table.size).toBe(450);
  });

  it('a second caller meets the isolated pageblock: -EBUSY, and both ranges come out right', () => {
    const made = world(10);
    made.before = () => {
      made.before = () => {};
      expect(startIsolatePageRange(made.phys, 40, 41, 2, new Uint8Array(1))).toBe(-EBUSY);
      const saved = new Uint8Array(1);
      expect(startIsolatePageRange(made.phys, 2048, 2049, 2, saved)).toBe(0);
      undoIsolatePageRange(made.phys, 2048, 2049, saved);
    };
    expect(contig(made, 4, 9)).toBe(0);
  });

  it('contents stay as they were; with GFP_ZERO they are zero', () => {
    const made = world(100);
    const word = (pfn: number): number => frameWords(made.phys, pfn)[frameWordIndex(made.phys, pfn)]!;
    const old = word(50);
    expect(old).not.toBe(0);
    expect(contig(made, 50, 60)).toBe(0);
    expect(word(50)).toBe(old);
    freeContigRange(made.phys, 50, 10);
    expect(contig(made, 50, 60, GFP_KERNEL | GFP_ZERO)).toBe(0);
    expect(word(50)).toBe(0);
    // A frame nobody ever had, taken, written and freed, is known to have been written.
    expect(contig(made, 4000, 4001)).toBe(0);
    frameWords(made.phys, 4000)[frameWordIndex(made.phys, 4000)] = 7;
    freeContigRange(made.phys, 4000, 1);
    expect(contig(made, 4000, 4001, GFP_KERNEL | GFP_ZERO)).toBe(0);
    expect(word(4000)).toBe(0);
  });

  it('-EBUSY, nothing changed: what cannot move, holes, isolated and CMA pageblocks', () => {
    const made = new World(build, { frames: 4096, holes: [[700, 710]] });
    const { phys } = made;
    const fixed = allocPagesNowait(phys, GFP_KERNEL, 0);
    declareCma(phys, 'area', 3072, 512);
    startIsolatePageRange(phys, 3584, 3585, 2, new Uint8Array(1));
    for (const [start, end] of [
      [0, 8],
      [1, 2],
      [fixed, fixed + 1],
      [695, 701],
      [3000, 3073],
      [4000, 4001],
    ] as const) {
      const call = (): number => allocContigRange(phys, start, end, MIGRATE_MOVABLE, GFP_KERNEL);
      expectRefused(phys, '', () => expect(call()).toBe(-EBUSY));
    }
    expect(made.asked).toEqual([]);
    expect(allocContigRange(phys, 710, 720, MIGRATE_MOVABLE, GFP_KERNEL)).toBe(0);
    checkPhys(phys);
  });

  it('-EINVAL, nothing changed: two zones, flags that make no sense', () => {
    const phys = createPhys({ frames: 8192, zones: linuxZones(8192, 4096, 4096) });
    const call = (start: number, gfp: number): void =>
      expectRefused(phys, '', () => expect(allocContigRange(phys, start, 5000, MIGRATE_MOVABLE, gfp)).toBe(-EINVAL));
    call(4000, GFP_KERNEL);
    for (const flag of [GFP_COMP, GFP_NOFAIL, GFP_NORETRY, GFP_MEMALLOC, GFP_ATOMIC]) call(4200, flag);
    expectRefused(phys, '', () => expect(allocContigPages(phys, 4, GFP_NOFAIL)).toBe(-EINVAL));
    expect(allocContigRange(phys, 4200, 5000, MIGRATE_MOVABLE, GFP_HIGHUSER_MOVABLE | GFP_NOWARN)).toBe(0);
  });

  it('RangeError, nothing changed', () => {
    const phys = createPhys({ frames: 4096 });
    const call = (start: number, end: number, type: number, gfp: number): void =>
      expectRefused(phys, 'RangeError', () => allocContigRange(phys, start, end, type, gfp));
    call(10, 10, MIGRATE_MOVABLE, 0);
    call(-1, 10, MIGRATE_MOVABLE, 0);
    call(1, 4097, MIGRATE_MOVABLE, 0);
    call(1, 4.5, MIGRATE_MOVABLE, 0);
    call(10, 20, MIGRATE_ISOLATE, 0);
    call(10, 20, MIGRATE_MOVABLE, -1);
    expectRefused(phys, 'RangeError', () => allocContigPages(phys, 0, 0));
  });

  describe('allocContigPages', () => {
    it('the first place that is free or can be made so, a multiple of the length', () => {
      const made = world(100);
      const { phys } = made;
      const fixed = allocPagesNowait(phys, GFP_KERNEL, 10);
      expect(fixed).toBe(1024);
      expect(allocContigPages(phys, 64, GFP_KERNEL)).toBe(64);
      expect(made.asked.length).toBe(38);
      expect(allocContigPages(phys, 1000, GFP_KERNEL)).toBe(3000);
      expect(allocContigPages(phys, 2000, GFP_KERNEL)).toBe(-ENOMEM);
      checkPhys(phys);
      made.verify();
    });

    it('in the zones the flags allow, near the CPU first', () => {
      const phys = createPhys({
        frames: 8192,
        cpus: 2,
        zones: [
          { kind: ZONE_DMA, start: 0, end: 2048 },
          { kind: ZONE_NORMAL, start: 2048, end: 4096 },
          { kind: ZONE_NORMAL, start: 4096, end: 8192, node: 1 },
        ],
      });
      expect(allocContigPages(phys, 100, GFP_KERNEL)).toBe(2100);
      expect(allocContigPages(phys, 16, GFP_DMA32)).toBe(16);
      phys.cpu = phys.cpus[1]!;
      expect(allocContigPages(phys, 4000, GFP_KERNEL | GFP_THISNODE)).toBe(-ENOMEM);
      expect(allocContigPages(phys, 2048, GFP_KERNEL)).toBe(4096);
      expect(allocContigPages(phys, 2048, GFP_KERNEL)).toBe(6144);
      expect(allocContigPages(phys, 1024, GFP_KERNEL | GFP_THISNODE)).toBe(-ENOMEM);
      expect(allocContigPages(phys, 1024, GFP_KERNEL)).toBe(3072);
      checkPhys(phys);
    });
  });
});

describe('freeContigRange refuses all of it, and changes nothing', () => {
  it.each(BUILDS)('$name', ({ allocContigRange }) => {
    const phys = createPhys({ frames: 4096 });
    expect(allocContigRange(phys, 100, 200, MIGRATE_MOVABLE, GFP_KERNEL)).toBe(0);
    expectRefused(phys, 'DOUBLE_FREE', () => freeContigRange(phys, 190, 11));
    expectRefused(phys, 'FREE_RESERVED', () => freeContigRange(phys, 1, 1));
    expectRefused(phys, 'RangeError', () => freeContigRange(phys, 4000, 97));
    expectRefused(phys, 'RangeError', () => freeContigRange(phys, 100, 0));
    getPage(phys, 150);
    expectRefused(phys, 'FREE_REFERENCED', () => freeContigRange(phys, 100, 100));
    putPage(phys, 150);
    setFlag(phys, 151, PG_LOCKED);
    expectRefused(phys, 'FREE_LOCKED', () => freeContigRange(phys, 100, 100));
    clearFlag(phys, 151, PG_LOCKED);
    const large = allocPagesNowait(phys, GFP_COMP, 3);
    expectRefused(phys, 'WRONG_ORDER', () => freeContigRange(phys, large, 1));
    expectRefused(phys, 'FREE_TAIL', () => freeContigRange(phys, large + 1, 1));
    freeContigRange(phys, 100, 100);
    checkPhys(phys);
  });
});

it('the owner word says what can move, wherever the block came from', () => {
  const made = new World(BUILDS[0]!, { frames: 4096 });
  const pfn = allocPagesNowait(made.phys, GFP_KERNEL, 0);
  made.phys.hot[pfn * 4 + HOT_OWNER] = 5;
  expect(BUILDS[0]!.allocContigRange(made.phys, pfn, pfn + 1, MIGRATE_CMA, GFP_KERNEL)).toBe(-EBUSY);
  expect(made.asked).toEqual(new Array(5).fill(pfn));
});
