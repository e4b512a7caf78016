/**
 * Making a machine's memory: nodes and zones by address, holes, what the buddy lists start with. Nothing is touched for
 * a frame: blocks of the largest order start as `Zone.fresh`, only what is left at the edges is put on lists.
 */
import { checkInteger } from '@mmkit/base';
import { accountFree, addToFreeList } from './free-area.ts';
import { FIRST_FREE, HOT_FLAGS, HOT_REFCOUNT, MAX_PAGE_ORDER, MemNode, Phys, PhysCpu } from './frame.ts';
import type { Migrate, Relieve } from './frame.ts';
import { GFP_ZONE_TYPE_MASK, gfpMigratetype, gfpZone } from './gfp-zone.ts';
import { PG_RESERVED } from './page-flags.ts';
import { setupWatermarks } from './watermark.ts';
import {
  MIGRATE_ISOLATE,
  MIGRATE_MOVABLE,
  MIGRATE_PCPTYPES,
  PAGEBLOCK_NONE,
  Pcp,
  Zone,
  ZONE_DMA,
  ZONE_KINDS,
  ZONE_MOVABLE,
  ZONE_NORMAL,
} from './zone.ts';

/** Fewest frames a machine may have. */
export const MIN_FRAMES = 16;
/** Most frames a machine may have: every word index stays below 2^31. */
export const MAX_FRAMES = 0x1fff_ffff;
/** Zones begin at multiples of this: no block lies in two. */
const ZONE_ALIGN = 1 << MAX_PAGE_ORDER;
/** Most zones: their index has five bits of a pageblock's byte. */
const MAX_ZONES = 32;
/** Most CPUs. */
const MAX_CPUS = 1024;

/** A zone of a machine to be made. */
export interface ZoneRange {
  /** ZONE_DMA, ZONE_DMA32, ZONE_NORMAL or ZONE_MOVABLE. */
  readonly kind: number;
  /** First PFN, a multiple of 1024. */
  readonly start: number;
  /** PFN past the last: a multiple of 1024, or the machine's frames. */
  readonly end: number;
  /** Its node. Default 0; nodes are numbered without gaps. */
  readonly node?: number;
}

export interface PhysOptions {
  /** Frames of RAM, holes included: 16 to 2^29 − 1, any integer. */
  readonly frames: number;
  /** Bytes of a page: 4096 (default), 16384 or 65536. */
  readonly pageSize?: 4096 | 16384 | 65536;
  /** The zones, ascending by address; what lies between them is a hole. Default: one ZONE_NORMAL. See `linuxZones`. */
  readonly zones?: readonly ZoneRange[];
  /** PFN ranges [start, end) that do not exist, ascending. */
  readonly holes?: readonly (readonly [number, number])[];
  /** CPUs, 1 to 1024: each has page lists of its own; CPU n belongs to node n modulo nodes. Default 1. */
  readonly cpus?: number;
  /** `vm.min_free_kbytes`: what the watermarks keep free. Default 0: ordinary callers may have every frame. */
  readonly minFreeKbytes?: number;
  /** `vm.watermark_scale_factor`, 1 to 3000. Default 10. */
  readonly watermarkScaleFactor?: number;
  /** False: no contents, for models of counts and pins only. Default true. */
  readonly contents?: boolean;
  /** True: tables and RAM lie in SharedArrayBuffers. Default false. */
  readonly shared?: boolean;
  /** Where Linux would reclaim or compact. Default: nothing can be reclaimed. */
  readonly relieve?: Relieve;
  /** Moves a folio away. Default: nothing can be moved. */
  readonly migrate?: Migrate;
}

/**
 * The zones Linux makes on x86-64 for memory that begins at 0: DMA below 16 MiB, DMA32 below 4 GiB, NORMAL above, and
 * the last `movable` frames, rounded down to whole zones, as MOVABLE (`movablecore=`).
 */
export function linuxZones(frames: number, pageSize: number = 4096, movable: number = 0): ZoneRange[] {
  const end = frames - movable;
  const cut = movable === 0 ? frames : end - (end % ZONE_ALIGN);
  const align = (bytes: number): number => Math.ceil(bytes / pageSize / ZONE_ALIGN) * ZONE_ALIGN;
  const bounds = [0, align(0x100_0000), align(0x1_0000_0000), Infinity];
  const zones: ZoneRange[] = [];
  for (let kind = ZONE_DMA; kind <= ZONE_NORMAL; kind++) {
    const start = bounds[kind]!;
    const last = Math.min(bounds[kind + 1]!, cut);
    if (start < last) zones.push({ kind, start, end: last });
  }
  if (cut < frames) zones.push({ kind: ZONE_MOVABLE, start: cut, end: frames });
  return zones;
}

/**
 * Makes a machine's memory. Frame 0 is reserved and never given out (0 ends a list); frame 1 is the zero page. Frames
 * nobody ever used hold zeros. Throws RangeError for bad options, and where the host cannot reserve 32 bytes a frame.
 */
export function createPhys(options: PhysOptions): Phys {
  const { frames, pageSize = 4096, shared = false, contents = true, cpus = 1, holes = [] } = options;
  const { minFreeKbytes = 0, watermarkScaleFactor = 10 } = options;
  checkInteger('frames', frames, MIN_FRAMES, MAX_FRAMES);
  if (pageSize !== 4096 && pageSize !== 16384 && pageSize !== 65536) {
    throw new RangeError(`pageSize: expected 4096, 16384 or 65536, got ${String(pageSize)}`);
  }
  checkInteger('cpus', cpus, 1, MAX_CPUS);
  checkInteger('minFreeKbytes', minFreeKbytes, 0, 0x7fff_ffff);
  checkInteger('watermarkScaleFactor', watermarkScaleFactor, 1, 3000);
  if (options.zones !== undefined) checkZones(options.zones, frames);
  checkHoles(holes, frames);
  // A pageblock is what one entry of the level above the pages maps, but for pages over 4 KiB where that is too large.
  const phys = new Phys(frames, pageSize, pageSize === 4096 ? 9 : MAX_PAGE_ORDER, shared, contents);
  phys.minFreeKbytes = minFreeKbytes;
  phys.watermarkScaleFactor = watermarkScaleFactor;
  phys.relieve = options.relieve ?? null;
  phys.migrate = options.migrate ?? null;
  for (let pfn = 0; pfn < FIRST_FREE; pfn++) {
    phys.hot[(pfn << 2) + HOT_REFCOUNT] = 1;
    phys.hot[(pfn << 2) + HOT_FLAGS] = PG_RESERVED;
  }
  if (options.zones === undefined) makeZone(phys, { kind: ZONE_NORMAL, start: 0, end: frames }, holes);
  else for (const range of options.zones) makeZone(phys, range, holes);
  makeNodes(phys);
  makeCpus(phys, cpus);
  setupWatermarks(phys);
  return phys;
}

function checkZones(zones: readonly ZoneRange[], frames: number): void {
  checkInteger('zones.length', zones.length, 1, MAX_ZONES);
  let last = 0;
  for (const { kind, start, end, node = 0 } of zones) {
    checkInteger('zone kind', kind, ZONE_DMA, ZONE_MOVABLE);
    checkInteger('zone start', start, last, frames - 1);
    checkInteger('zone end', end, start + 1, frames);
    checkInteger('zone node', node, 0, MAX_ZONES - 1);
    if (start % ZONE_ALIGN !== 0 || (end !== frames && end % ZONE_ALIGN !== 0)) {
      throw new RangeError(`zones: expected bounds that are multiples of ${ZONE_ALIGN}, got ${start} to ${end}`);
    }
    last = end;
  }
  const nodes = new Set(zones.map((zone) => zone.node ?? 0));
  if (Math.max(...nodes) !== nodes.size - 1) throw new RangeError('zones: expected nodes numbered without gaps from 0');
  if (new Set(zones.map((zone) => (zone.node ?? 0) * ZONE_KINDS + zone.kind)).size !== zones.length) {
    throw new RangeError('zones: expected at most one zone of a kind in a node');
  }
  if (zones[0]!.start !== 0) throw new RangeError(`zones: expected the first to begin at 0, got ${zones[0]!.start}`);
}

function checkHoles(holes: readonly (readonly [number, number])[], frames: number): void {
  let last = FIRST_FREE;
  for (const [start, end] of holes) {
    checkInteger('hole start', start, last, frames - 1);
    checkInteger('hole end', end, start + 1, frames);
    last = end;
  }
}

/** Makes one zone; its memory, but for the holes, is free. */
function makeZone(phys: Phys, range: ZoneRange, holes: readonly (readonly [number, number])[]): void {
  const zone = new Zone(phys.zones.length, range.node ?? 0, range.kind, range.start, range.end);
  phys.zones.push(zone);
  const shift = phys.pageblockOrder;
  phys.pageblocks.fill((zone.index << 3) | PAGEBLOCK_NONE, zone.start >> shift, Math.ceil(zone.end / (1 << shift)));
  let from = zone.start;
  for (const [start, end] of holes) {
    if (end <= from || start >= zone.end) continue;
    addMemory(phys, zone, from, Math.max(start, from));
    from = Math.min(end, zone.end);
  }
  addMemory(phys, zone, from, zone.end);
}

/** Makes [start, end) exist: all of it is free, but for the first frames of the machine. */
function addMemory(phys: Phys, zone: Zone, from: number, to: number): void {
  const start = from | 0;
  const end = to | 0;
  if (start >= end) return;
  zone.present += end - start;
  const shift = phys.pageblockOrder;
  phys.pageblocks.fill((zone.index << 3) | MIGRATE_MOVABLE, start >> shift, Math.ceil(end / (1 << shift)));
  const reserved = Math.max(FIRST_FREE - start, 0);
  freeRange(phys, zone, start + reserved, end);
}

/**
 * Gives never-used frames [start, end) to the buddy lists (`memblock_free_pages`), in the largest blocks their
 * alignment allows, ascending, each at the end of its list; whole blocks of the largest order stay fresh.
 */
export function freeRange(phys: Phys, zone: Zone, start: number, end: number): void {
  zone.managed += end - start;
  const fresh = 1 << MAX_PAGE_ORDER;
  for (let pfn = start; pfn < end; ) {
    const aligned = pfn === 0 ? MAX_PAGE_ORDER : 31 - Math.clz32(pfn & -pfn);
    const order = Math.min(aligned, 31 - Math.clz32(end - pfn), MAX_PAGE_ORDER);
    if (order === MAX_PAGE_ORDER) {
      const last = end - (end % fresh);
      zone.fresh.push(pfn, last);
      zone.nrFree[order] = zone.nrFree[order]! + (last - pfn) / fresh;
      zone.orders[MIGRATE_MOVABLE] = zone.orders[MIGRATE_MOVABLE]! | (1 << order);
      accountFree(zone, last - pfn, MIGRATE_MOVABLE);
      pfn = last;
    } else {
      addToFreeList(phys, zone, pfn, order, MIGRATE_MOVABLE, true);
      accountFree(zone, 1 << order, MIGRATE_MOVABLE);
      pfn += 1 << order;
    }
  }
}

/** Nodes, and for each the zones it falls back to: its own from the highest kind down, then those of the next nodes. */
function makeNodes(phys: Phys): void {
  const { nodes, zones } = phys;
  for (const zone of zones) {
    while (nodes.length <= zone.node) nodes.push(new MemNode());
    nodes[zone.node]!.zones[zone.kind] = zone;
  }
  for (let node = 0; node < nodes.length; node++) {
    for (let i = 0; i < nodes.length; i++) {
      const own = nodes[(node + i) % nodes.length]!.zones;
      for (let kind = ZONE_KINDS - 1; kind >= 0; kind--) {
        if (own[kind] !== null) nodes[node]!.zonelist.push(own[kind]!);
      }
    }
  }
}

/** CPUs with their page lists. */
function makeCpus(phys: Phys, count: number): void {
  const { nodes, cpus, zones } = phys;
  for (let i = 0; i < count; i++) {
    if (i > 0) cpus.push(new PhysCpu(i, i % nodes.length));
    nodes[i % nodes.length]!.cpus++;
    for (const zone of zones) zone.pcps.push(new Pcp(zone, phys.pageblockOrder));
    fillCpu(phys, cpus[i]!);
  }
}

/** `gfpZone` of the bits that choose. */
const ZONE_BY_GFP: readonly number[] = Object.freeze(
  Array.from({ length: GFP_ZONE_TYPE_MASK + 1 }, (_, gfp) => gfpZone(gfp)),
);

/** The tables of one CPU by which the fast paths find a list. */
function fillCpu(phys: Phys, cpu: PhysCpu): void {
  const { index, byGfp, byBlock } = cpu;
  const { zones } = phys.nodes[cpu.node]!;
  // Of a zone without memory: those of larger blocks are looked for beside the list that is found.
  const none = new Pcp(new Zone(0, 0, ZONE_NORMAL, 0, 0), phys.pageblockOrder).lists[0]!;
  for (let gfp = 0; gfp <= GFP_ZONE_TYPE_MASK; gfp++) {
    let kind = ZONE_BY_GFP[gfp]!;
    while (kind > 0 && zones[kind] === null) kind--;
    const zone = zones[kind]!;
    byGfp.push(zone === null ? none : zone.pcps[index]!.lists[gfpMigratetype(gfp)]!);
  }
  for (const zone of phys.zones) {
    const lists = zone.pcps[index]!.lists;
    for (let type = 0; type < 8; type++) {
      byBlock.push(type >= MIGRATE_ISOLATE ? none : lists[type < MIGRATE_PCPTYPES ? type : MIGRATE_MOVABLE]!);
    }
  }
}
