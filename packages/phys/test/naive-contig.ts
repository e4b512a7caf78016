/**
 * All that isolates (allocContigRange, CMA, offline, by hand) against a table of who has which frame: a range is given
 * exactly when nothing fixed, pinned, missing, isolated or of another's area lies in it and there is room for what must
 * move; a call that is refused at once changes nothing; no page loses its contents, no frame is lost.
 */
import { EBUSY, EINVAL, ENOMEM, FOLL_PIN } from '@mmkit/base';
import {
  allocPagesNowait,
  checkPhys,
  cmaRelease,
  compoundHead,
  declareCma,
  drainPages,
  folioMaybeDmaPinned,
  folioNrPages,
  freeContigRange,
  freePages,
  GFP_KERNEL,
  GFP_RECLAIMABLE,
  gupPutFolio,
  linuxZones,
  MIGRATE_CMA,
  MIGRATE_ISOLATE,
  MIGRATE_MOVABLE,
  onlinePages,
  pageblockType,
  setHwpoison,
  startIsolatePageRange,
  tryGrabFolio,
  undoIsolatePageRange,
  ZONE_MOVABLE,
} from '../src/index.ts';
import type { Cma, Phys, PhysOptions, Zone } from '../src/index.ts';
import type { Build } from './builds.ts';
import * as support from './support.ts';
import { World } from './world.ts';

/** The state but for contents: comparing 16 MiB takes too long. */
const stateOf = (phys: Phys): Phys => ({ ...phys, chunks: [], chunkBytes: [], chunkDoubles: [] }) as unknown as Phys;
const snapshot = (phys: Phys): unknown => support.snapshot(stateOf(phys));
const expectSame = (phys: Phys, before: unknown): void => support.expectSame(stateOf(phys), before);

/** Throws unless both are the same. */
function same(what: string, got: unknown, wanted: unknown): void {
  if (!Object.is(got, wanted)) throw new Error(`${what}: expected ${String(wanted)}, got ${String(got)}`);
}

/** Who has a frame, if not a page of the world. */
export const NOBODY = 0;
export const ABSENT = 1;
const FIXED = 2;
const RANGE = 3;
const AREA = 4;
const POISON = 5;

export const MACHINES: readonly PhysOptions[] = [
  { frames: 4096 },
  {
    frames: 4096 + 700,
    holes: [
      [1500, 1600],
      [2560, 3072],
    ],
  },
  { frames: 8192, zones: linuxZones(8192, 4096, 4096), holes: [[4096, 4608]], cpus: 2 },
  { frames: 4096, pageSize: 16384, minFreeKbytes: 512 },
];

export class Model {
  readonly build: Build;
  readonly world: World;
  readonly phys: Phys;
  /** By PFN. */
  readonly owner: Uint8Array;
  /** Blocks that cannot move: PFN and order. */
  readonly fixed: [number, number][];
  /** Ranges `allocContigRange` gave. */
  readonly ranges: [number, number][];
  /** Ranges `cmaAlloc` gave. */
  readonly taken: [number, number][];
  readonly cma: Cma;
  /** Pinned pages. */
  readonly pinned: Set<number>;
  /** Ranges isolated by hand, with the types they had. */
  readonly isolated: [number, number, Uint8Array][];

  constructor(build: Build, options: PhysOptions) {
    this.build = build;
    this.world = new World(build, options);
    this.phys = this.world.phys;
    this.owner = new Uint8Array(this.phys.frames);
    this.owner.fill(FIXED, 0, 2);
    for (const [start, end] of options.holes ?? []) this.owner.fill(ABSENT, start, end);
    const size = 1 << this.phys.pageblockOrder;
    this.cma = declareCma(this.phys, 'area', size, size, 1);
    this.fixed = [];
    this.ranges = [];
    this.taken = [];
    this.pinned = new Set();
    this.isolated = [];
  }

  /** The page of the world that has a frame, 0: none. */
  pageOf(pfn: number): number {
    return this.world.pageAt(compoundHead(this.phys, pfn));
  }

  /** Some page, 0: there is none. */
  pick(n: number): number {
    const pages = [...this.world.table.keys()];
    return pages.length === 0 ? 0 : pages[n % pages.length]!;
  }

  /** A frame, more often than not one in use by a page. */
  near(a: number, b: number): number {
    const page = this.pick(a);
    return page !== 0 && (b & 6) !== 0 ? this.world.table.get(page)! : a % this.phys.frames;
  }

  zone(start: number, end: number): Zone | undefined {
    return this.phys.zones.find((zone) => start >= zone.start && end <= zone.end);
  }

  /** Frames that must exist, be free or movable. `area`: for the area's owner; `offline`: poison does not matter. */
  refusal(start: number, end: number, area: boolean, offline: boolean): number {
    const zone = this.zone(start, end);
    if (zone === undefined) return -EINVAL;
    if (offline && this.owner.subarray(start, end).includes(ABSENT)) return -EINVAL;
    const size = 1 << this.phys.pageblockOrder;
    for (let pfn = start - (start % size); pfn < end; pfn += size) {
      const type = pageblockType(this.phys, pfn);
      if (type === MIGRATE_ISOLATE || (type === MIGRATE_CMA && !area)) return -EBUSY;
    }
    for (let pfn = start; pfn < end; pfn++) {
      const who = this.owner[pfn]!;
      if (who === NOBODY || (who === POISON && offline)) continue;
      if ((who === AREA || who === RANGE) && zone.kind === ZONE_MOVABLE) continue;
      if (who === FIXED && zone.kind === ZONE_MOVABLE && pfn > 1) continue;
      if (who === AREA && area) continue;
      return -EBUSY;
    }
    return 0;
  }

  /** What the walk stumbles over though it was not refused at once: what the port does not move. */
  blocked(start: number, end: number): boolean {
    for (let pfn = start; pfn < end; pfn++) {
      const who = this.owner[pfn]!;
      if (who !== NOBODY && who !== POISON) return true;
      const page = this.pageOf(pfn);
      if (page !== 0 && folioMaybeDmaPinned(this.phys, this.world.table.get(page)!)) return true;
    }
    return false;
  }

  /** Compares the call's result with what the table says. */
  judge(start: number, end: number, area: boolean, offline: boolean, call: () => number): number {
    const refused = this.refusal(start, end, area, offline);
    const blocked = refused === 0 && this.blocked(start, end);
    const before = refused === 0 ? null : snapshot(this.phys);
    const free = this.phys.freeFrames;
    const pages = this.world.table.size;
    const types = [...this.phys.pageblocks].filter((byte) => (byte & 7) === MIGRATE_ISOLATE).length;
    const result = call();
    if (refused !== 0) {
      same('result', result, refused);
      expectSame(this.phys, before);
    } else if (result !== -ENOMEM) {
      same('result', result, blocked ? -EBUSY : 0);
    }
    if (result !== 0) same('result', this.phys.freeFrames, free);
    same('result', this.world.table.size, pages);
    same('isolated', [...this.phys.pageblocks].filter((byte) => (byte & 7) === MIGRATE_ISOLATE).length, types);
    return result;
  }

  check(): void {
    checkPhys(this.phys);
    this.world.verify();
    let used = this.owner.reduce((sum, who) => sum + (who === NOBODY ? 0 : 1), 0);
    for (const pfn of this.world.table.values()) {
      const pages = folioNrPages(this.phys, pfn);
      used += pages;
      if (this.owner.subarray(pfn, pfn + pages).some((who) => who !== NOBODY)) throw new Error(`frame ${pfn} twice`);
    }
    same('result', this.phys.freeFrames, this.phys.frames - used);
  }
}

export interface Step {
  readonly op: (typeof OPS)[number];
  readonly a: number;
  readonly b: number;
  readonly order: number;
}
const OPS = [
  'map',
  'map',
  'map',
  'unmap',
  'fixed',
  'unfix',
  'pin',
  'unpin',
  'range',
  'range',
  'range',
  'unrange',
] as const;
const MORE = [
  'cma',
  'offline',
  'uncma',
  'offline',
  'online',
  'isolate',
  'undo',
  'poison',
  'drain',
  'cpu',
  'pages',
] as const;
export const ALL: readonly ((typeof OPS)[number] | (typeof MORE)[number])[] = [...OPS, ...MORE];

function remove<T>(list: T[], n: number): T | undefined {
  return list.length === 0 ? undefined : list.splice(n % list.length, 1)[0];
}

type Run = (model: Model, a: number, b: number, order: number) => void;
export const RUN: Record<(typeof ALL)[number], Run> = {
  map({ world }, a, _b, order) {
    for (let i = 0; i < (order === 0 ? a % 200 : a % 4); i++) world.map(order);
  },
  unmap({ world, pinned }, a) {
    const pages = [...world.table.keys()];
    for (let i = 0; i < a % 60 && pages.length > 0; i++) {
      const page = remove(pages, a + i * 7)!;
      if (!pinned.has(page)) world.unmap(page);
    }
  },
  fixed(model, a, _b, order) {
    const pfn = allocPagesNowait(model.phys, (a & 1) !== 0 ? GFP_KERNEL : GFP_RECLAIMABLE, order);
    if (pfn < 0) return;
    same('other', pageblockType(model.phys, pfn) === MIGRATE_CMA, false);
    model.fixed.push([pfn, order]);
    model.owner.fill(FIXED, pfn, pfn + (1 << order));
  },
  unfix(model, a) {
    const block = remove(model.fixed, a);
    if (block === undefined) return;
    freePages(model.phys, block[0], block[1]);
    model.owner.fill(NOBODY, block[0], block[0] + (1 << block[1]));
  },
  pin(model, a) {
    const page = model.pick(a);
    if (page === 0 || model.pinned.has(page)) return;
    same('result', tryGrabFolio(model.phys, model.world.table.get(page)!, 1, FOLL_PIN), 0);
    model.pinned.add(page);
  },
  unpin(model, a) {
    const page = remove([...model.pinned], a);
    if (page === undefined) return;
    gupPutFolio(model.phys, model.world.table.get(page)!, 1, FOLL_PIN);
    model.pinned.delete(page);
  },
  range(model, a, b) {
    const start = model.near(a, b);
    const end = Math.min(start + 1 + (b % ((b & 1) !== 0 ? 40 : 1500)), model.phys.frames);
    const call = (): number => model.build.allocContigRange(model.phys, start, end, MIGRATE_MOVABLE, GFP_KERNEL);
    if (model.judge(start, end, false, false, call) !== 0) return;
    model.ranges.push([start, end]);
    model.owner.fill(RANGE, start, end);
  },
  unrange(model, a) {
    const range = remove(model.ranges, a);
    if (range === undefined) return;
    freeContigRange(model.phys, range[0], range[1] - range[0]);
    model.owner.fill(NOBODY, range[0], range[1]);
  },
  cma(model, a, b) {
    const { phys, cma } = model;
    const count = 1 + (a % ((b & 1) !== 0 ? 8 : 300));
    const align = b % 6;
    const pfn = model.build.cmaAlloc(phys, cma, count, align);
    if (pfn < 0) {
      same('result', pfn, -ENOMEM);
      return;
    }
    same('result', pfn % 2 ** align, 0);
    same('result', pfn >= cma.start && pfn + count <= cma.start + cma.frames, true);
    same(
      'result',
      model.owner.subarray(pfn, pfn + count).every((who) => who === NOBODY),
      true,
    );
    model.taken.push([pfn, count]);
    model.owner.fill(AREA, pfn, pfn + count);
  },
  uncma(model, a) {
    const range = remove(model.taken, a);
    if (range === undefined) return;
    same('result', cmaRelease(model.phys, model.cma, range[0], range[1]), true);
    model.owner.fill(NOBODY, range[0], range[0] + range[1]);
  },
  offline(model, a, b) {
    const size = 1 << model.phys.pageblockOrder;
    const start = Math.floor(model.near(a, b) / size) * size;
    const nr = size * (1 + (b % 3));
    if (start + nr > model.phys.frames) return;
    const call = (): number => model.build.offlinePages(model.phys, start, nr);
    if (model.judge(start, start + nr, false, true, call) === 0) model.owner.fill(ABSENT, start, start + nr);
  },
  online(model, a, b) {
    const { phys, owner } = model;
    const size = 1 << phys.pageblockOrder;
    const start = Math.floor((a % phys.frames) / size) * size;
    const nr = size * (1 + (b % 2));
    if (start + nr > phys.frames) return;
    const may =
      model.zone(start, start + nr) !== undefined && owner.subarray(start, start + nr).every((who) => who === ABSENT);
    const before = may ? null : snapshot(phys);
    same('result', onlinePages(phys, start, nr), may ? 0 : -EINVAL);
    if (may) owner.fill(NOBODY, start, start + nr);
    else expectSame(phys, before);
  },
  isolate(model, a, b) {
    const start = a % model.phys.frames;
    const end = Math.min(start + 1 + (b % 1500), model.phys.frames);
    const types = new Uint8Array(8);
    const refused = model.refusal(start, end, false, false);
    const before = refused === 0 ? null : snapshot(model.phys);
    same('result', startIsolatePageRange(model.phys, start, end, 2, types), refused);
    if (refused === 0) model.isolated.push([start, end, types]);
    else expectSame(model.phys, before);
  },
  undo(model, a) {
    const range = remove(model.isolated, a);
    if (range !== undefined) undoIsolatePageRange(model.phys, ...range);
  },
  poison(model, a, b) {
    const pfn = a % model.phys.frames;
    if (b % 4 !== 0 || model.owner[pfn] !== NOBODY || model.pageOf(pfn) !== 0) return;
    same('result', setHwpoison(model.phys, pfn), 0);
    model.owner[pfn] = POISON;
  },
  drain({ phys }) {
    drainPages(phys);
  },
  cpu({ phys }, a) {
    phys.cpu = phys.cpus[a % phys.cpus.length]!;
  },
  pages(model, a) {
    const nr = 1 + (a % 600);
    const pfn = model.build.allocContigPages(model.phys, nr, GFP_KERNEL);
    if (pfn < 0) return same('result', pfn, -ENOMEM);
    same('result', pfn % nr, 0);
    same(
      'result',
      model.owner.subarray(pfn, pfn + nr).every((who) => who === NOBODY),
      true,
    );
    model.ranges.push([pfn, pfn + nr]);
    model.owner.fill(RANGE, pfn, pfn + nr);
  },
};
