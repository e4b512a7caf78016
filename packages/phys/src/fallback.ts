/**
 * Keeping migrate types apart (N.15): where the lists of a type are empty, a whole pageblock of another type is claimed
 * when enough of it is free or alike, else single blocks are stolen; and the reserve of HIGHATOMIC pageblocks.
 */
import { expand, pageblockType, rmqueueSmallest, setPageblockType } from './buddy.ts';
import { accountFree, addToFreeList, delFromFreeList, takeFirst } from './free-area.ts';
import { HOT_FLAGS, MAX_PAGE_ORDER } from './frame.ts';
import type { Phys } from './frame.ts';
import { ORDER_SHIFT, PG_BUDDY, PG_LRU } from './page-flags.ts';
import { ALLOC_CMA, ALLOC_KSWAPD, ALLOC_NOFRAGMENT, boostWatermark } from './watermark.ts';
import {
  MIGRATE_CMA,
  MIGRATE_HIGHATOMIC,
  MIGRATE_MOVABLE,
  MIGRATE_PCPTYPES,
  MIGRATE_RECLAIMABLE,
  MIGRATE_UNMOVABLE,
} from './zone.ts';
import type { Zone } from './zone.ts';

/** Types to take from, in turn, when those of the first index are used up: pairs, flat. */
const FALLBACKS = [
  MIGRATE_RECLAIMABLE,
  MIGRATE_MOVABLE,
  MIGRATE_RECLAIMABLE,
  MIGRATE_UNMOVABLE,
  MIGRATE_UNMOVABLE,
  MIGRATE_MOVABLE,
] as const;

/**
 * Takes a block of `order` for `type` (`__rmqueue`): from CMA while that holds more than half of what is free, from the
 * type's own lists, from CMA, by claiming a pageblock, by stealing. The frames' words are zero. 0: none.
 */
export function rmqueue(phys: Phys, zone: Zone, order: number, type: number, flags: number): number {
  const cma = (flags & ALLOC_CMA) !== 0;
  if (cma && zone.freeCma * 2 > zone.free) {
    const pfn = rmqueueSmallest(phys, zone, order, MIGRATE_CMA);
    if (pfn !== 0) return pfn;
  }
  let pfn = rmqueueSmallest(phys, zone, order, type);
  if (pfn !== 0) return pfn;
  if (cma) pfn = rmqueueSmallest(phys, zone, order, MIGRATE_CMA);
  if (pfn === 0) pfn = claim(phys, zone, order, type, flags);
  if (pfn === 0 && (flags & ALLOC_NOFRAGMENT) === 0) pfn = steal(phys, zone, order, type);
  return pfn;
}

/** The type to take a block of `order` from instead of `type`, −1: no other has one. */
function findFallback(zone: Zone, order: number, type: number): number {
  for (let i = 2 * type; i < 2 * type + 2; i++) {
    const other = FALLBACKS[i]!;
    if (((zone.orders[other]! >>> order) & 1) !== 0) return other;
  }
  return -1;
}

/** Claims the pageblock of the largest block of another type (`__rmqueue_claim`), and takes from it. */
function claim(phys: Phys, zone: Zone, order: number, type: number, flags: number): number {
  const least = (flags & ALLOC_NOFRAGMENT) !== 0 ? Math.max(order, phys.pageblockOrder) : order;
  for (let current = MAX_PAGE_ORDER; current >= least; current--) {
    const other = findFallback(zone, current, type);
    if (other < 0) continue;
    if (current < phys.pageblockOrder >> 1 && type === MIGRATE_MOVABLE) return 0;
    const pfn = tryToClaim(phys, zone, current, order, type, other, flags);
    if (pfn !== 0) return pfn;
  }
  return 0;
}

/** Claims the pageblock of the first block of order `current` of type `other`, if it may be (`try_to_claim_block`). */
function tryToClaim(
  phys: Phys,
  zone: Zone,
  current: number,
  order: number,
  type: number,
  other: number,
  flags: number,
): number {
  if (current >= phys.pageblockOrder) {
    const pfn = takeFirst(phys, zone, current, other);
    for (let i = 0; i < 1 << current; i += 1 << phys.pageblockOrder) setPageblockType(phys, pfn + i, type);
    expand(phys, zone, pfn, order, current, type);
    accountFree(zone, -(1 << order), type);
    return pfn;
  }
  if ((flags & ALLOC_KSWAPD) !== 0) boostWatermark(phys, zone);
  const pfn = firstOf(zone, current, other);
  const start = (pfn >> phys.pageblockOrder) << phys.pageblockOrder;
  const { free, movable } = countPageblock(phys, start);
  const size = 1 << phys.pageblockOrder;
  // Frames in use that are like the new type: known for movable ones only, the rest of a movable block is unlike it.
  const alike = type === MIGRATE_MOVABLE ? movable : other === MIGRATE_MOVABLE ? size - free - movable : 0;
  if (free + alike < size >> 1) return 0;
  moveFreepagesBlock(phys, zone, start, type);
  return rmqueueSmallest(phys, zone, order, type);
}

/** The first block of a list that is not empty; below MAX_PAGE_ORDER none is fresh. */
function firstOf(zone: Zone, order: number, type: number): number {
  return zone.heads[type * (MAX_PAGE_ORDER + 1) + order]!;
}

/** Frames of a pageblock that are free in its lists, and that are in use but can be moved (on an LRU list). */
function countPageblock(phys: Phys, start: number): { free: number; movable: number } {
  const hot = phys.hot;
  const end = Math.min(start + (1 << phys.pageblockOrder), phys.frames);
  let free = 0;
  let movable = 0;
  for (let pfn = start; pfn < end; ) {
    const flags = hot[(pfn << 2) + HOT_FLAGS]!;
    const size = 1 << (flags >>> ORDER_SHIFT);
    if ((flags & PG_BUDDY) !== 0) free += size;
    else if ((flags & PG_LRU) !== 0) movable += size;
    pfn += size;
  }
  return { free, movable };
}

/**
 * Gives a pageblock another type and moves its free blocks, none larger than it, to the ends of that type's lists
 * (`move_freepages_block`). Returns the frames moved.
 */
export function moveFreepagesBlock(phys: Phys, zone: Zone, start: number, type: number): number {
  const hot = phys.hot;
  const old = pageblockType(phys, start);
  const end = Math.min(start + (1 << phys.pageblockOrder), phys.frames);
  let moved = 0;
  for (let pfn = start; pfn < end; ) {
    const flags = hot[(pfn << 2) + HOT_FLAGS]!;
    const order = flags >>> ORDER_SHIFT;
    if ((flags & PG_BUDDY) !== 0) {
      delFromFreeList(phys, zone, pfn, order, old);
      addToFreeList(phys, zone, pfn, order, type, true);
      moved += 1 << order;
    }
    pfn += 1 << order;
  }
  setPageblockType(phys, start, type);
  accountFree(zone, -moved, old);
  accountFree(zone, moved, type);
  return moved;
}

/**
 * Takes the first block of the smallest order that fits from another type, whose the pageblock stays
 * (`__rmqueue_steal`).
 */
function steal(phys: Phys, zone: Zone, order: number, type: number): number {
  for (let current = order; current <= MAX_PAGE_ORDER; current++) {
    const other = findFallback(zone, current, type);
    if (other < 0) continue;
    const pfn = takeFirst(phys, zone, current, other);
    expand(phys, zone, pfn, order, current, other);
    accountFree(zone, -(1 << order), other);
    return pfn;
  }
  return 0;
}

/**
 * Keeps the pageblock of a block just given to a caller that may not wait for the next such callers
 * (`reserve_highatomic_pageblock`); together at most a hundredth of the zone, and nothing in a zone so small that a
 * hundredth is less than a pageblock.
 */
export function reserveHighatomic(phys: Phys, zone: Zone, pfn: number): void {
  const size = 1 << phys.pageblockOrder;
  const most = Math.ceil(Math.floor(zone.managed / 100) / size) * size;
  if (zone.managed / 100 < size || zone.reservedHighatomic >= most) return;
  if (pageblockType(phys, pfn) >= MIGRATE_PCPTYPES) return;
  zone.reservedHighatomic += movePageblocks(phys, zone, pfn, MIGRATE_HIGHATOMIC);
}

/**
 * Gives the HIGHATOMIC pageblock of one free block back to `type` (`unreserve_highatomic_pageblock`); the last one only
 * with `force`. False: there was none.
 */
export function unreserveHighatomic(phys: Phys, type: number, force: boolean): boolean {
  const size = 1 << phys.pageblockOrder;
  for (const zone of phys.zones) {
    const orders = zone.orders[MIGRATE_HIGHATOMIC]!;
    if (orders === 0 || (!force && zone.reservedHighatomic <= size)) continue;
    const pfn = firstOf(zone, 31 - Math.clz32(orders & -orders), MIGRATE_HIGHATOMIC);
    zone.reservedHighatomic -= movePageblocks(phys, zone, pfn, type);
    return true;
  }
  return false;
}

/** Gives the pageblock of the block at `pfn`, or all that a larger block covers, another type; returns their frames. */
function movePageblocks(phys: Phys, zone: Zone, pfn: number, type: number): number {
  const flags = phys.hot[(pfn << 2) + HOT_FLAGS]!;
  const order = flags >>> ORDER_SHIFT;
  const size = 1 << phys.pageblockOrder;
  if (order <= phys.pageblockOrder) {
    moveFreepagesBlock(phys, zone, pfn & -size, type);
    return size;
  }
  const old = pageblockType(phys, pfn);
  const end = pfn + (1 << order);
  for (let frame = pfn; frame < end; frame += size) setPageblockType(phys, frame, type);
  if ((flags & PG_BUDDY) === 0) return 1 << order;
  delFromFreeList(phys, zone, pfn, order, old);
  addToFreeList(phys, zone, pfn, order, type, true);
  accountFree(zone, -(1 << order), old);
  accountFree(zone, 1 << order, type);
  return 1 << order;
}
