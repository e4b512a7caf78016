/** Memory that goes away and comes back, in both builds (`offline_pages`, `online_pages`, N.12). */
import { EAGAIN, EBUSY, EINVAL, ENOMEM, FOLL_PIN } from '@mmkit/base';
import { describe, expect, it } from 'vitest';
import { reserveHighatomic } from '../src/fallback.ts';
import {
  allocPagesNowait,
  buddyInfo,
  checkPhys,
  createPhys,
  declareCma,
  freePages,
  GFP_HIGHUSER_MOVABLE,
  GFP_KERNEL,
  gupPutFolio,
  linuxZones,
  MIGRATE_MOVABLE,
  onlinePages,
  pageblockType,
  setHwpoison,
  startIsolatePageRange,
  tryGrabFolio,
} from '../src/index.ts';
import { BUILDS } from './builds.ts';
import { expectRefused } from './support.ts';
import { World } from './world.ts';

describe.each(BUILDS)('offlinePages, $name', (build) => {
  const { offlinePages } = build;
  const take = (made: World, start: number, nr: number): number => {
    const result = offlinePages(made.phys, start, nr);
    checkPhys(made.phys);
    made.verify();
    return result;
  };
  const world = (pages: number = 0): World => {
    const made = new World(build, { frames: 4096, minFreeKbytes: 512 });
    for (let i = 0; i < pages; i++) made.map();
    return made;
  };

  it('free memory: gone from its zone, and nobody gets it; the watermarks are those of a smaller zone', () => {
    const made = world();
    const { phys } = made;
    const zone = phys.zones[0]!;
    phys.minFreeKbytes = 0;
    expect(take(made, 1536, 1024)).toBe(0);
    expect([zone.present, zone.managed, zone.free, zone.freeIsolated]).toEqual([3072, 3070, 3070, 0]);
    expect(zone.low).toBe(3);
    let got = 0;
    // Flags that wake kswapd would boost the watermarks.
    for (let pfn = allocPagesNowait(phys, 0, 0); pfn > 0; pfn = allocPagesNowait(phys, 0, 0)) {
      if (pfn >= 1536 && pfn < 2560) throw new Error(`frame ${pfn} is offline`);
      got++;
    }
    expect(got).toBe(3070);
    checkPhys(phys);
  });

  it('a port that throws: no pageblock stays isolated, and the range can go afterwards', () => {
    const made = world(1500);
    const { phys } = made;
    made.before = () => {
      throw new Error('the port broke');
    };
    const before = [...phys.pageblocks, phys.freeFrames, phys.zones[0]!.freeIsolated];
    expect(() => take(made, 512, 512)).toThrow('the port broke');
    expect([...phys.pageblocks, phys.freeFrames, phys.zones[0]!.freeIsolated]).toEqual(before);
    checkPhys(phys);
    made.before = () => {};
    expect(take(made, 512, 512)).toBe(0);
  });

  it('and back: as it was, but for the order of the lists', () => {
    const made = world();
    const { phys } = made;
    const { min, low, high } = phys.zones[0]!;
    expect(take(made, 512, 1024)).toBe(0);
    expect(phys.zones[0]!.min).toBeLessThan(low);
    expect(onlinePages(phys, 1024, 512)).toBe(0);
    checkPhys(phys);
    expect(onlinePages(phys, 512, 512)).toBe(0);
    checkPhys(phys);
    const zone = phys.zones[0]!;
    expect([zone.present, zone.managed, zone.free, zone.min, zone.low, zone.high]).toEqual([
      4096,
      4094,
      4094,
      min,
      low,
      high,
    ]);
    expect(buddyInfo(phys)).toEqual(buddyInfo(createPhys({ frames: 4096 })));
  });

  it('N.12: what is in use is moved away first', () => {
    const made = world(1500);
    expect(take(made, 512, 512)).toBe(0);
    expect(made.table.size).toBe(1500);
    expect([...made.table.values()].every((pfn) => pfn < 512 || pfn >= 1024)).toBe(true);
  });

  it('folios that wait in an LRU batch are put on their lists first', () => {
    const made = new World(build, { frames: 4096 });
    made.lru = true;
    while (made.table.get(made.map())! < 520);
    const page = made.next - 1;
    expect(take(made, 512, 512)).toBe(0);
    expect(made.table.get(page)).toBeGreaterThanOrEqual(1024);
  });

  it('N.12: a pin is in the way: -EBUSY, and all is given back', () => {
    const made = world(600);
    const { phys } = made;
    const pinned = [...made.table.values()].find((pfn) => pfn >= 600)!;
    tryGrabFolio(phys, pinned, 1, FOLL_PIN);
    const before = { ...phys.zones[0]! };
    const free = phys.freeFrames;
    expect(take(made, 512, 512)).toBe(-EBUSY);
    const zone = phys.zones[0]!;
    expect(made.asked.filter((pfn) => pfn === pinned).length).toBe(5);
    expect([zone.present, zone.managed, zone.min, zone.freeIsolated]).toEqual([
      before.present,
      before.managed,
      before.min,
      0,
    ]);
    expect(phys.freeFrames).toBe(free);
    expect(pageblockType(phys, 512)).toBe(MIGRATE_MOVABLE);
    gupPutFolio(phys, pinned, 1, FOLL_PIN);
    expect(take(made, 512, 512)).toBe(0);
  });

  it('nothing to move to: -ENOMEM; users that let go: 0', () => {
    const made = world();
    while (made.map() > 0);
    expect(take(made, 2048, 512)).toBe(-ENOMEM);
    made.error = -EAGAIN;
    made.before = (pfn) => made.unmap(made.pageAt(pfn));
    expect(take(made, 2048, 512)).toBe(0);
  });

  it('folios that straddle the border move whole', () => {
    const made = world();
    const page = made.map(10);
    const pfn = made.table.get(page)!;
    expect(take(made, pfn + 512, 512)).toBe(0);
    expect(made.asked).toEqual([pfn]);
    expect(made.phys.freeFrames).toBe(4094 - 1024 - 512);
  });

  it('reserves for atomic callers in it are reserved no longer', () => {
    const made = new World(build, { frames: 0x20000 });
    const { phys } = made;
    const pfn = allocPagesNowait(phys, GFP_KERNEL, 3);
    reserveHighatomic(phys, phys.zones[0]!, pfn);
    freePages(phys, pfn, 3);
    expect(phys.zones[0]!.reservedHighatomic).toBe(512);
    expect(take(made, pfn - (pfn % 512), 512)).toBe(0);
    expect(phys.zones[0]!.reservedHighatomic).toBe(0);
  });

  it('poisoned frames go with it', () => {
    const made = world();
    const { phys } = made;
    setHwpoison(phys, 1100);
    setHwpoison(phys, 1102);
    expect(take(made, 1024, 512)).toBe(0);
    expect(phys.numPoisoned).toBe(0);
    expect(onlinePages(phys, 1024, 512)).toBe(0);
    checkPhys(phys);
    expect(phys.freeFrames).toBe(4094);
  });

  it('a whole zone can go and come', () => {
    const made = new World(build, { frames: 8192, zones: linuxZones(8192, 4096, 4096), minFreeKbytes: 256 });
    const { phys } = made;
    for (let i = 0; i < 100; i++) made.map();
    expect(take(made, 4096, 4096)).toBe(0);
    expect([...made.table.values()].every((pfn) => pfn < 4096)).toBe(true);
    expect(phys.zones[1]!.present).toBe(0);
    expect(allocPagesNowait(phys, GFP_HIGHUSER_MOVABLE, 0)).toBeLessThan(4096);
    expect(onlinePages(phys, 4096, 4096)).toBe(0);
    checkPhys(phys);
    expect(allocPagesNowait(phys, GFP_HIGHUSER_MOVABLE, 0)).toBeGreaterThanOrEqual(4096);
  });

  it('-EINVAL, nothing changed: not whole pageblocks of one zone, holes, offline already', () => {
    const made = new World(build, { frames: 8192 + 100, zones: linuxZones(8292, 4096, 4096), holes: [[2600, 2601]] });
    const { phys } = made;
    const refused = (start: number, nr: number): void =>
      expectRefused(phys, '', () => expect(offlinePages(phys, start, nr)).toBe(-EINVAL));
    refused(1000, 512);
    refused(1024, 100);
    refused(3584, 1024);
    refused(2560, 512);
    refused(8192, 100);
    expect(take(made, 1024, 512)).toBe(0);
    refused(1024, 512);
    refused(512, 1024);
    expect(made.asked).toEqual([]);
  });

  it('-EBUSY, nothing changed: reserved, unmovable, isolated, CMA', () => {
    const made = world();
    const { phys } = made;
    const fixed = allocPagesNowait(phys, GFP_KERNEL, 0);
    expect(fixed).toBe(1024);
    declareCma(phys, 'area', 2048, 512);
    startIsolatePageRange(phys, 3072, 3073, 2, new Uint8Array(1));
    for (const start of [0, 1024, 2048, 3072]) {
      expectRefused(phys, '', () => expect(offlinePages(phys, start, 512)).toBe(-EBUSY));
    }
    expect(take(made, 1536, 512)).toBe(0);
  });

  it('RangeError, nothing changed', () => {
    const { phys } = world();
    for (const [start, nr] of [
      [-1, 512],
      [0, 0],
      [3584, 1024],
      [4096, 512],
    ] as const) {
      expectRefused(phys, 'RangeError', () => offlinePages(phys, start, nr));
      expectRefused(phys, 'RangeError', () => onlinePages(phys, start, nr));
    }
  });
});

describe('onlinePages', () => {
  it('a hole becomes memory', () => {
    const phys = createPhys({ frames: 4096, holes: [[1024, 2048]] });
    expect(onlinePages(phys, 1024, 512)).toBe(0);
    checkPhys(phys);
    expect(phys.freeFrames).toBe(4094 - 512);
    expect(onlinePages(phys, 1536, 512)).toBe(0);
    checkPhys(phys);
    expect(buddyInfo(phys)).toEqual(buddyInfo(createPhys({ frames: 4096 })));
  });

  it('-EINVAL, nothing changed: part of it exists, or it lies in no zone', () => {
    const phys = createPhys({
      frames: 8192,
      zones: [
        { kind: 2, start: 0, end: 2048 },
        { kind: 3, start: 4096, end: 8192 },
      ],
      holes: [[1600, 2048]],
    });
    for (const start of [512, 1024, 1536, 2048, 4096]) {
      expectRefused(phys, '', () => expect(onlinePages(phys, start, 512)).toBe(-EINVAL));
    }
    expectRefused(phys, '', () => expect(onlinePages(phys, 1600, 448)).toBe(-EINVAL));
  });
});
