import { readFileSync } from 'node:fs';
import { FOLL_PIN } from '@mmkit/base';
import { describe, expect, it } from 'vitest';
import { addToFreeList, delFromFreeList } from '../src/free-area.ts';
import {
  allocPages,
  checkPhys,
  COLD_INDEX,
  COLD_NEXT,
  COLD_PREV,
  COLD_PRIVATE,
  createPhys,
  drainPages,
  folioAddRmapPmd,
  folioAddRmapPtes,
  frameWordIndex,
  frameWords,
  freePages,
  getPage,
  GFP_COMP,
  GFP_MOVABLE,
  HOT_FLAGS,
  HOT_MAPCOUNT,
  HOT_OWNER,
  HOT_REFCOUNT,
  MIGRATE_CMA,
  MIGRATE_HIGHATOMIC,
  MIGRATE_ISOLATE,
  MIGRATE_MOVABLE,
  MIGRATE_UNMOVABLE,
  NR_PAGE_ORDERS,
  ORDER_SHIFT,
  PG_BUDDY,
  PG_DIRTY,
  PG_HEAD,
  PG_HWPOISON,
  PG_LOCKED,
  PG_LRU,
  PG_PCP,
  PG_RESERVED,
  PG_TAIL,
  setFlag,
  setHwpoison,
  TAIL_ENTIRE_MAPCOUNT,
  TAIL_LARGE_MAPCOUNT,
  TAIL_NR_PAGES_MAPPED,
  TAIL_PINCOUNT,
  tryGrabFolio,
} from '../src/index.ts';
import type { Pcp, Phys, Zone } from '../src/index.ts';
import { PAGEBLOCK_NONE } from '../src/zone.ts';
import { expectRefused, expectSame, snapshot } from './support.ts';

/** A machine of which every rule has something to be broken. */
class Bench {
  readonly phys: Phys = createPhys({ frames: 4096, cpus: 2, holes: [[900, 905]] });
  readonly zone: Zone = this.phys.zones[0]!;
  readonly pcp: Pcp = this.zone.pcps[0]!;
  /** In use: single, pinned once; single and mapped; a block of four; a large folio of eight, mapped and pinned. */
  readonly pinned: number = allocPages(this.phys, GFP_MOVABLE, 0);
  readonly mapped: number = allocPages(this.phys, GFP_MOVABLE, 0);
  readonly plain: number = allocPages(this.phys, GFP_MOVABLE, 2);
  readonly large: number = allocPages(this.phys, GFP_COMP | GFP_MOVABLE, 3);
  /** Poisoned and used by nobody. */
  readonly poisoned = 800;
  /** Free: on the CPU's list, and a block of 32 on a buddy list. */
  readonly cached: number;
  readonly block = 32;

  constructor() {
    const { phys } = this;
    tryGrabFolio(phys, this.pinned, 1, FOLL_PIN);
    getPage(phys, this.mapped);
    folioAddRmapPtes(phys, this.mapped);
    getPage(phys, this.large, 2);
    folioAddRmapPtes(phys, this.large + 5);
    folioAddRmapPmd(phys, this.large);
    tryGrabFolio(phys, this.large, 3, FOLL_PIN);
    setHwpoison(phys, this.poisoned);
    this.cached = allocPages(phys, GFP_MOVABLE, 0);
    freePages(phys, this.cached, 0);
    checkPhys(phys);
  }

  /** Index of a word of a frame. */
  at(pfn: number, word: number): number {
    return pfn * 4 + word;
  }

  /** Index of a list of movable blocks. */
  list(order: number): number {
    return MIGRATE_MOVABLE * NR_PAGE_ORDERS + order;
  }

  /** Takes the only block of a list off it, without a trace. */
  lose(): void {
    const { heads, tails, orders, nrFree } = this.zone;
    let order = 0;
    while (heads[this.list(order)] === 0 || heads[this.list(order)] !== tails[this.list(order)]) order++;
    heads[this.list(order)] = 0;
    tails[this.list(order)] = 0;
    orders[MIGRATE_MOVABLE]! &= ~(1 << order);
    nrFree[order]!--;
  }
}

/** Code of checkPhys, what is broken, how. */
const BROKEN: readonly (readonly [string, string, (bench: Bench) => void])[] = [
  ['ZERO_PAGE', 'E.3 #8: the zero page dirty', ({ phys }) => setFlag(phys, phys.zeroPfn, PG_DIRTY)],
  [
    'ZERO_PAGE',
    'E.3 #8: the zero page written',
    ({ phys }) => (frameWords(phys, 1)[frameWordIndex(phys, 1) + 1023] = 1),
  ],
  ['ZERO_PAGE', 'the zero page not reserved', ({ phys, at }) => (phys.hot[at(phys.zeroPfn, HOT_FLAGS)] = 0)],
  ['BAD_PAGEBLOCK', 'a pageblock of another zone', ({ phys }) => (phys.pageblocks[7] = (1 << 3) | MIGRATE_MOVABLE)],
  ['BAD_PAGEBLOCK', 'a pageblock of no type', ({ phys }) => (phys.pageblocks[0] = 6)],
  [
    'BAD_PAGEBLOCK',
    'a pageblock without memory that has some',
    ({ phys }) => (phys.pageblocks[allocPages(phys, GFP_MOVABLE, 9) >> phys.pageblockOrder] = PAGEBLOCK_NONE),
  ],
  ['BAD_FRESH', 'a fresh frame with an owner', ({ phys, at }) => (phys.hot[at(1024, HOT_OWNER)] = 5)],
  ['BAD_FRESH', 'a fresh frame with an index', ({ phys, at }) => (phys.cold[at(4095, COLD_INDEX)] = 5)],
  ['BAD_FRESH', 'a fresh block that is not movable', ({ phys }) => (phys.pageblocks[5] = MIGRATE_UNMOVABLE)],
  ['BAD_FRESH', 'a fresh range that is not whole blocks', ({ zone }) => (zone.fresh = [1500, 4096])],
  ['BAD_FRESH', 'a fresh range that ends before it begins', ({ zone }) => (zone.fresh = [2048, 1024])],
  ['BAD_FRESH', 'a fresh range beyond the zone', ({ zone }) => (zone.fresh = [1024, 5120])],
  ['BAD_FRESH', 'fresh ranges that overlap', ({ zone }) => (zone.fresh = [1024, 3072, 2048, 4096])],
  ['BAD_LIST', 'a block on the list of another order', ({ phys, at, block }) => (phys.hot[at(block, 1)] = PG_BUDDY)],
  ['BAD_LIST', 'a list that begins nowhere', ({ zone, list }) => (zone.heads[list(5)] = -8)],
  [
    'BAD_LIST',
    'a list that goes out of the machine',
    ({ phys, at, block }) => (phys.cold[at(block, COLD_NEXT)] = 5000),
  ],
  ['BAD_LIST', 'a list that loops', ({ phys, at, block }) => (phys.cold[at(block, COLD_NEXT)] = block)],
  ['BAD_LIST', 'a wrong back link', ({ phys, at, block }) => (phys.cold[at(block, COLD_PREV)] = 64)],
  ['BAD_LIST', 'a wrong last block', ({ zone, list }) => (zone.tails[list(5)] = 64)],
  ['BAD_LIST', 'a used frame on a list', ({ zone, list, mapped }) => (zone.heads[list(0)] = mapped)],
  ['BAD_TYPE', 'a pageblock whose blocks stayed behind', ({ phys }) => (phys.pageblocks[0] = MIGRATE_UNMOVABLE)],
  ['BAD_ORDERS', 'a list whose bit is clear', ({ zone }) => (zone.orders[MIGRATE_MOVABLE]! &= ~(1 << 5))],
  ['BAD_ORDERS', 'a bit whose list is empty', ({ zone }) => (zone.orders[MIGRATE_UNMOVABLE]! |= 1 << 9)],
  ['BAD_ORDERS', 'fresh blocks without a bit', ({ zone }) => (zone.orders[MIGRATE_MOVABLE]! &= ~(1 << 10))],
  ['NR_FREE', 'a wrong number of free blocks', ({ zone }) => zone.nrFree[5]!++],
  ['NR_FREE', 'a wrong number of fresh blocks', ({ zone }) => zone.nrFree[10]!--],
  ['LOST_BLOCK', 'a block lost from its list', (bench) => bench.lose()],
  ['BAD_PCP', 'a per-CPU list that is longer than it can be', ({ pcp }) => (pcp.lists[8]!.top = 99)],
  ['BAD_PCP', 'a per-CPU list that a drain passes over', ({ pcp }) => (pcp.filled = 0)],
  ['BAD_PCP', 'a per-CPU list of less than nothing', ({ pcp }) => (pcp.lists[8]!.top = -1)],
  ['BAD_PCP', 'a used frame on a per-CPU list', ({ phys, at, cached }) => (phys.hot[at(cached, HOT_FLAGS)] = 0)],
  [
    'BAD_PCP',
    'a frame on the per-CPU list of another order',
    ({ phys, at, cached }) => (phys.hot[at(cached, HOT_FLAGS)] = PG_PCP | (1 << ORDER_SHIFT)),
  ],
  [
    'PCP_TWICE',
    'a frame on the lists of two CPUs',
    ({ zone, cached }) => {
      zone.pcps[1]!.lists[0]!.slots = [cached];
      zone.pcps[1]!.lists[0]!.top = 1;
      zone.pcps[1]!.count = 1;
      zone.pcps[1]!.filled = 1;
    },
  ],
  ['PCP_COUNT', 'a wrong number of frames on per-CPU lists', ({ pcp }) => pcp.count++],
  [
    'PCP_LOST',
    'a frame lost from its per-CPU list',
    ({ pcp }) => {
      pcp.lists.find((list) => list.top === 1)!.top = 0;
      pcp.count = 0;
    },
  ],
  [
    'BAD_BLOCK',
    'a block in use that is not aligned',
    ({ phys, at, mapped }) => (phys.hot[at(mapped, HOT_FLAGS)] = 5 << ORDER_SHIFT),
  ],
  [
    'BAD_BLOCK',
    'a free block that is not aligned',
    ({ phys, zone, at, list, mapped }) => {
      phys.hot.fill(0, at(mapped, 0), at(mapped + 1, 0));
      phys.hot[at(mapped, HOT_FLAGS)] = PG_BUDDY | (6 << ORDER_SHIFT);
      phys.cold[at(64, COLD_NEXT)] = mapped;
      phys.cold[at(mapped, COLD_PREV)] = 64;
      zone.tails[list(6)] = mapped;
      zone.nrFree[6]!++;
    },
  ],
  [
    'BAD_BLOCK',
    'a block of more than the largest order',
    ({ phys, at, mapped }) => (phys.hot[at(mapped, HOT_FLAGS)] = 11 << ORDER_SHIFT),
  ],
  ['BAD_BLOCK', 'a frame inside a block with a count', ({ phys, at, plain }) => (phys.hot[at(plain + 3, 0)] = 1)],
  ['BAD_BLOCK', 'a tail in a simple block', ({ phys, at, plain }) => (phys.hot[at(plain + 1, HOT_FLAGS)] = PG_TAIL)],
  ['BAD_FREE', 'E.3 #5: a free frame with a reference', ({ phys, at, block }) => (phys.hot[at(block, 0)] = 1)],
  ['BAD_FREE', 'E.3 #5: a free frame that is mapped', ({ phys, at }) => (phys.hot[at(35, HOT_MAPCOUNT)] = 1)],
  ['BAD_FREE', 'a free frame with an owner', ({ phys, at, cached }) => (phys.hot[at(cached, HOT_OWNER)] = 5)],
  ['BAD_FREE', 'a free frame with flags', ({ phys, at }) => (phys.hot[at(63, HOT_FLAGS)] = PG_LOCKED)],
  ['BAD_FREE', 'a free frame with an index', ({ phys, at }) => (phys.cold[at(40, COLD_INDEX)] = 1)],
  ['BAD_FREE', 'a free frame with a private word', ({ phys, at, block }) => (phys.cold[at(block, COLD_PRIVATE)] = 1)],
  [
    'BAD_FREE',
    'a frame on a per-CPU list with links',
    ({ phys, at, cached }) => (phys.cold[at(cached, COLD_NEXT)] = 9),
  ],
  ['BAD_FREE', 'a frame of a hole with an owner', ({ phys, at }) => (phys.hot[at(902, HOT_OWNER)] = 5)],
  ['BAD_FREE', 'an unused poisoned frame with an owner', ({ phys, at }) => (phys.hot[at(800, HOT_OWNER)] = 5)],
  [
    'NOT_MERGED',
    'E.3 #15: two free buddies',
    ({ phys, zone, block }) => {
      delFromFreeList(phys, zone, block, 5, MIGRATE_MOVABLE);
      addToFreeList(phys, zone, block, 4, MIGRATE_MOVABLE, false);
      addToFreeList(phys, zone, block + 16, 4, MIGRATE_MOVABLE, false);
    },
  ],
  ['BAD_COMPOUND', 'a tail without a head', ({ phys, at, mapped }) => (phys.hot[at(mapped, HOT_FLAGS)] = PG_TAIL)],
  ['BAD_COMPOUND', 'a head of order 0', ({ phys, at, mapped }) => (phys.hot[at(mapped, HOT_FLAGS)] = PG_HEAD)],
  ['BAD_COMPOUND', 'a tail that names another head', ({ phys, at, large }) => phys.hot[at(large + 7, HOT_OWNER)]!--],
  ['BAD_COMPOUND', 'a tail that is not marked', ({ phys, at, large }) => (phys.hot[at(large + 2, HOT_FLAGS)] = 0)],
  ['BAD_COMPOUND', 'a tail with a reference', ({ phys, at, large }) => (phys.hot[at(large + 2, HOT_REFCOUNT)] = 1)],
  ['BAD_COMPOUND', 'a head inside a folio', ({ phys, at, large }) => (phys.hot[at(large + 4, HOT_FLAGS)]! |= PG_HEAD)],
  ['BAD_MAPCOUNT', 'a negative map count', ({ phys, at, mapped }) => (phys.hot[at(mapped, HOT_MAPCOUNT)] = -1)],
  ['BAD_MAPCOUNT', 'a negative map count of a tail', ({ phys, at, large }) => (phys.hot[at(large + 1, 2)] = -1)],
  ['BAD_MAPCOUNT', 'a folio’s mappings', ({ phys, at, large }) => phys.cold[at(large + 1, TAIL_LARGE_MAPCOUNT)]!++],
  ['BAD_MAPCOUNT', 'its large entries', ({ phys, at, large }) => phys.cold[at(large + 1, TAIL_ENTIRE_MAPCOUNT)]!--],
  ['BAD_MAPCOUNT', 'its mapped pages', ({ phys, at, large }) => phys.cold[at(large + 1, TAIL_NR_PAGES_MAPPED)]!++],
  ['BAD_PINCOUNT', 'more pins than references', ({ phys, at, large }) => (phys.cold[at(large + 1, TAIL_PINCOUNT)] = 7)],
  ['BAD_PINCOUNT', 'less than no pins', ({ phys, at, large }) => (phys.cold[at(large + 1, TAIL_PINCOUNT)] = -1)],
  [
    'NO_REFERENCE',
    'a frame in use without a reference',
    ({ phys, at, pinned }) => {
      phys.hot[at(pinned, HOT_FLAGS)] = PG_DIRTY;
      phys.hot[at(pinned, HOT_REFCOUNT)] = 0;
    },
  ],
  ['NO_REFERENCE', 'a large folio without a reference', ({ phys, at, large }) => (phys.hot[at(large, 0)] = 0)],
  ['BAD_COUNT', 'E.3 #4: fewer references than mappings', ({ phys, at, mapped }) => (phys.hot[at(mapped, 2)] = 3)],
  ['BAD_COUNT', 'E.3 #4: mappings inside a simple block', ({ phys, at, plain }) => (phys.hot[at(plain + 1, 2)] = 2)],
  ['BAD_COUNT', 'E.3 #4: of a large folio', ({ phys, at, large }) => (phys.hot[at(large, HOT_REFCOUNT)] = 4)],
  ['BAD_COMPOUND', 'a tail on an LRU list', ({ phys, at, large }) => (phys.hot[at(large + 4, HOT_FLAGS)]! |= PG_LRU)],
  ['BAD_LRU', 'an LRU list that ends nowhere', ({ phys }) => (phys.nodes[0]!.lruTails[0] = 5)],
  ['BAD_LRU', 'a free frame on an LRU list', ({ phys, block }) => (phys.nodes[0]!.lruHeads[3] = block)],
  ['LRU_LOST', 'a folio on no LRU list', ({ phys, at, mapped }) => (phys.hot[at(mapped, HOT_FLAGS)]! |= PG_LRU)],
  ['LRU_PAGES', 'a wrong number of pages on an LRU list', ({ zone }) => zone.lruPages[4]!++],
  ['BAD_BATCH', 'a free frame in an LRU batch', ({ phys, block }) => phys.cpu.lruBatches[1]!.push(block << 2)],
  ['BAD_BATCH', 'a folio that waits in none', ({ phys, at, mapped }) => (phys.cold[at(mapped, COLD_NEXT)] = -1)],
  ['BAD_POISON', 'a wrong number of poisoned frames', ({ phys }) => phys.numPoisoned++],
  [
    'BAD_POISON',
    'a frame in use poisoned behind our back',
    ({ phys, at, plain }) => (phys.hot[at(plain + 1, 1)] = PG_HWPOISON),
  ],
  ['BAD_UNTOUCHED', 'a used frame that nobody touched', ({ phys, mapped }) => (phys.untouched = mapped)],
  ['ZONE_FREE', 'a wrong number of free frames', ({ zone }) => zone.free++],
  ['ZONE_FREE_CMA', 'of those in CMA areas', ({ zone }) => zone.freeCma++],
  ['ZONE_FREE_HIGHATOMIC', 'of those in the reserve', ({ zone }) => zone.freeHighatomic++],
  ['ZONE_FREE_ISOLATED', 'of those isolated', ({ zone }) => zone.freeIsolated++],
  ['ZONE_PLENTY', 'plenty where there is', ({ zone }) => (zone.plenty = 1 - zone.plenty)],
  ['ZONE_PLENTY', 'plenty under another watermark', ({ zone }) => (zone.boost = 4096)],
  ['ZONE_HIGHATOMIC', 'a reserve without pageblocks', ({ zone }) => (zone.reservedHighatomic += 512)],
  ['ZONE_CMA', 'a CMA area without pageblocks', ({ zone }) => (zone.cma += 512)],
  ['ZONE_PRESENT', 'a frame that came from nowhere', ({ zone }) => zone.present--],
  [
    'ZONE_PRESENT',
    'a frame in use that vanished',
    ({ phys, at, pinned }) => phys.hot.fill(0, at(pinned, 0), at(pinned + 1, 0)),
  ],
  ['ZONE_MANAGED', 'a wrong number of managed frames', ({ zone }) => zone.managed++],
  ['ZONE_MANAGED', 'a frame that became reserved', ({ phys, at, pinned }) => (phys.hot[at(pinned, 1)] = PG_RESERVED)],
  ['PIN_BALANCE', 'E.3 #11: a pin counted but not there', ({ phys }) => phys.nrFollPinAcquired++],
  ['PIN_BALANCE', 'E.3 #11: more pins released than taken', ({ phys }) => (phys.nrFollPinReleased = 9)],
  [
    'PIN_BALANCE',
    'E.3 #8: a pin of the zero page, counted',
    ({ phys, at }) => {
      phys.hot[at(phys.zeroPfn, HOT_REFCOUNT)]! += 1024;
      phys.nrFollPinAcquired++;
    },
  ],
];

describe('checkPhys', () => {
  it.each(BROKEN)('%s: %s', (code, _, breakIt) => {
    const bench = new Bench();
    breakIt(bench);
    expectRefused(bench.phys, code, () => checkPhys(bench.phys));
  });

  it('each code of its table is seen above', () => {
    const source = readFileSync(new URL('../src/check.ts', import.meta.url), 'utf8');
    const rows = [...source.matchAll(/^ \* \| ([A-Z_, ]+) \|/gm)].flatMap((row) => row[1]!.split(', '));
    expect(rows.length).toBeGreaterThan(30);
    expect(new Set(BROKEN.map(([code]) => code))).toEqual(new Set(rows));
  });

  it('counts free frames of each kind of pageblock apart', () => {
    const { phys, zone } = new Bench();
    const kinds = [
      [MIGRATE_CMA, 'ZONE_FREE_CMA'],
      [MIGRATE_HIGHATOMIC, 'ZONE_FREE_HIGHATOMIC'],
      [MIGRATE_ISOLATE, 'ZONE_FREE'],
    ] as const;
    zone.fresh = [2048, 4096];
    zone.nrFree[10] = 3;
    for (const [type, code] of kinds) {
      addToFreeList(phys, zone, 1024, 10, type, false);
      zone.nrFree[10] = 3;
      phys.pageblocks.fill(type, 2, 4);
      expectRefused(phys, code, () => checkPhys(phys));
      delFromFreeList(phys, zone, 1024, 10, type);
    }
  });

  it('E.3 #15: buddies of types that do not mix stay apart', () => {
    const { phys, zone } = new Bench();
    zone.fresh = [2048, 4096];
    addToFreeList(phys, zone, 1024, 9, MIGRATE_MOVABLE, false);
    addToFreeList(phys, zone, 1536, 9, MIGRATE_CMA, false);
    zone.nrFree[10] = 2;
    phys.pageblocks[3] = MIGRATE_CMA;
    zone.freeCma = 512;
    zone.cma = 512;
    checkPhys(phys);
  });

  it('accepts mappings of the zero page, which are not counted, 1024 plain references, an overflowed count', () => {
    const { phys, mapped, pinned } = new Bench();
    phys.hot[phys.zeroPfn * 4 + HOT_MAPCOUNT] = 5;
    phys.hot[mapped * 4 + HOT_REFCOUNT] = 5000;
    phys.hot[pinned * 4 + HOT_REFCOUNT] = -5;
    checkPhys(phys);
  });

  it('changes nothing', () => {
    const { phys, plain } = new Bench();
    freePages(phys, plain, 2);
    drainPages(phys);
    const before = snapshot(phys);
    checkPhys(phys);
    expectSame(phys, before);
  });

  it('reads nothing of a fresh block inside its range, so it is quick on a machine of a TiB', () => {
    const phys = createPhys({ frames: 2 ** 28 });
    checkPhys(phys);
    phys.hot[(2 ** 27 + 5) * 4 + HOT_OWNER] = 1;
    checkPhys(phys);
  });
});
