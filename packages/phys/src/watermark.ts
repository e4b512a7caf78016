/**
 * Watermarks (`zone_watermark_ok`, `setup_per_zone_wmarks`, `setup_per_zone_lowmem_reserve`, N.15): how many frames
 * must stay free in a zone for whom, and what per-CPU lists may hold. Figures as /proc/zoneinfo shows them.
 */
import { updatePlenty } from './free-area.ts';
import type { Phys } from './frame.ts';
import {
  MIGRATE_CMA,
  MIGRATE_HIGHATOMIC,
  MIGRATE_MOVABLE,
  MIGRATE_RECLAIMABLE,
  MIGRATE_UNMOVABLE,
  ZONE_KINDS,
  ZONE_MOVABLE,
} from './zone.ts';
import type { Pcp, Zone } from './zone.ts';

/** Test against the min watermark. */
export const ALLOC_WMARK_MIN = 0;
/** Test against the low watermark. */
export const ALLOC_WMARK_LOW = 1;
/** Test against the high watermark. */
export const ALLOC_WMARK_HIGH = 2;
/** The bits that say which watermark. */
export const ALLOC_WMARK_MASK = 0x3;
/** No watermark at all. */
export const ALLOC_NO_WATERMARKS = 0x4;
/** A victim of the OOM killer: half of what is left of the minimum. */
export const ALLOC_OOM = 0x8;
/** May not wait: a quarter of the minimum more. */
export const ALLOC_NON_BLOCK = 0x10;
/** `__GFP_HIGH`: half the minimum. */
export const ALLOC_MIN_RESERVE = 0x20;
/** May take from CMA areas. */
export const ALLOC_CMA = 0x80;
/** Rather another zone than a mixed pageblock. */
export const ALLOC_NOFRAGMENT = 0x100;
/** May take from HIGHATOMIC blocks. */
export const ALLOC_HIGHATOMIC = 0x200;
/** Wakes kswapd, so it may boost the watermarks. */
export const ALLOC_KSWAPD = 0x800;
/** Who has any of these may go below the watermark. */
const ALLOC_RESERVES = ALLOC_OOM | ALLOC_NON_BLOCK | ALLOC_MIN_RESERVE | ALLOC_HIGHATOMIC;

/** `sysctl_lowmem_reserve_ratio` by kind: a zone keeps 1/ratio of the zones above it; 0: nothing. */
const LOWMEM_RESERVE_RATIO = [256, 256, 32, 0] as const;
/** `watermark_boost_factor`: the boost goes up to so many ten-thousandths of the high watermark. */
const WATERMARK_BOOST_FACTOR = 15_000;
/** Per-CPU lists hold at most 1/8 of a zone together (`MIN_PERCPU_PAGELIST_HIGH_FRACTION`). */
const PCP_HIGH_FRACTION = 8;

/** A watermark of a zone with its boost: 0 min, 1 low, 2 high (`wmark_pages`). */
export function wmarkPages(zone: Zone, mark: number): number {
  return (mark === ALLOC_WMARK_MIN ? zone.min : mark === ALLOC_WMARK_LOW ? zone.low : zone.high) + zone.boost;
}

/**
 * Whether a block of `order` may be taken from a zone that must keep `mark` frames, for a caller who asked for a zone
 * of `kind` and has the ALLOC_* `flags` (`__zone_watermark_ok`).
 */
export function zoneWatermarkOk(zone: Zone, order: number, mark: number, kind: number, flags: number): boolean {
  let free = zone.free - ((1 << order) - 1);
  let min = mark;
  if ((flags & ALLOC_RESERVES) === 0) free -= zone.freeHighatomic;
  if ((flags & ALLOC_CMA) === 0) free -= zone.freeCma;
  if ((flags & ALLOC_MIN_RESERVE) !== 0) {
    min -= min >> 1;
    if ((flags & ALLOC_NON_BLOCK) !== 0) min -= min >> 2;
  }
  if ((flags & ALLOC_OOM) !== 0) min -= min >> 1;
  if (free <= min + zone.lowmemReserve[kind]!) return false;
  if (order === 0) return true;
  const orders = zone.orders;
  let usable = orders[MIGRATE_UNMOVABLE]! | orders[MIGRATE_MOVABLE]! | orders[MIGRATE_RECLAIMABLE]!;
  if ((flags & ALLOC_CMA) !== 0) usable |= orders[MIGRATE_CMA]!;
  if ((flags & (ALLOC_HIGHATOMIC | ALLOC_OOM)) !== 0) usable |= orders[MIGRATE_HIGHATOMIC]!;
  return usable >>> order !== 0;
}

/**
 * Raises the watermarks for a while because types were mixed (`boost_watermark`), at most to half as much again of the
 * high one; not in a zone of fewer than four pageblocks. Whoever reclaims lowers it again; nobody fails because of it.
 * Differs from Linux: callers that would not wake kswapd do not boost.
 */
export function boostWatermark(phys: Phys, zone: Zone): void {
  const block = 1 << phys.pageblockOrder;
  if (block * 4 > zone.managed) return;
  const max = Math.max(block, Math.floor((zone.high * WATERMARK_BOOST_FACTOR) / 10_000));
  if (zone.high === 0) return;
  setBoost(zone, Math.min(zone.boost + block, max));
}

/** Sets what is added to the watermarks of a zone, in frames: kswapd takes it back when it has reclaimed as much. */
export function setBoost(zone: Zone, boost: number): void {
  zone.boost = boost;
  updatePlenty(zone);
}

/**
 * Works out all watermarks, lowmem reserves and per-CPU marks: `minFreeKbytes` shared among the zones by size, but
 * ZONE_MOVABLE, which keeps a fixed share of itself. To be called after zones changed their size.
 */
export function setupWatermarks(phys: Phys): void {
  const minFree = Math.floor((phys.minFreeKbytes * 1024) / phys.pageSize);
  let lowmem = 0;
  for (const zone of phys.zones) if (zone.kind !== ZONE_MOVABLE) lowmem += zone.managed;
  for (const zone of phys.zones) {
    const share = lowmem === 0 ? 0 : Math.floor((minFree * zone.managed) / lowmem);
    zone.min = zone.kind === ZONE_MOVABLE ? Math.min(Math.max(zone.managed >> 10, 32), 128) : share;
    const gap = Math.max(share >> 2, Math.floor((zone.managed * phys.watermarkScaleFactor) / 10_000));
    zone.low = zone.min + gap;
    zone.high = zone.low + gap;
    zone.promo = zone.high + gap;
    zone.boost = 0;
    updatePlenty(zone);
    setupReserve(phys, zone);
    const cpus = Math.max(phys.nodes[zone.node]!.cpus, 1);
    for (const pcp of zone.pcps) setupPcp(phys, zone, pcp, cpus);
  }
}

/** What a zone keeps from callers that could have had a higher one of its node. */
function setupReserve(phys: Phys, zone: Zone): void {
  const ratio = LOWMEM_RESERVE_RATIO[zone.kind]!;
  let above = 0;
  for (let kind = zone.kind + 1; kind < ZONE_KINDS; kind++) {
    above += phys.nodes[zone.node]!.zones[kind]?.managed ?? 0;
    zone.lowmemReserve[kind] = ratio === 0 ? 0 : Math.floor(above / ratio);
  }
}

/** Batch and marks of a per-CPU list (`zone_set_pageset_high_and_batch`). */
function setupPcp(phys: Phys, zone: Zone, pcp: Pcp, cpus: number): void {
  const quarter = Math.max(Math.min(zone.managed >> 10, 0x10_0000 / phys.pageSize) >> 2, 1);
  const batch = Math.max((1 << (31 - Math.clz32(quarter + (quarter >> 1)))) - 1, 1);
  pcp.batch = batch;
  pcp.highMin = Math.max(Math.floor(zone.low / cpus), batch << 2);
  pcp.highMax = Math.max(Math.floor(zone.managed / PCP_HIGH_FRACTION / cpus), batch << 2);
  pcp.high = pcp.highMin;
}
