/**
 * The buddy allocator (N.15): the buddy of a block differs from it in one bit of its PFN; two free buddies are one
 * block of the next order. Takes and gives blocks of one zone and counts them; no watermarks, no per-CPU lists.
 */
import { accountFree, addToFreeList, delFromFreeList, takeFirst } from './free-area.ts';
import { HOT_FLAGS, MAX_PAGE_ORDER } from './frame.ts';
import type { Phys } from './frame.ts';
import { ORDER_SHIFT, PG_BUDDY } from './page-flags.ts';
import { MIGRATE_PCPTYPES } from './zone.ts';
import type { Zone } from './zone.ts';

/** The migrate type of the pageblock that holds a frame (`get_pfnblock_migratetype`). */
export function pageblockType(phys: Phys, pfn: number): number {
  return phys.pageblocks[pfn >> phys.pageblockOrder]! & 7;
}

/** Gives the pageblock that holds a frame a type (`set_pageblock_migratetype`); lists and counts are the caller's. */
export function setPageblockType(phys: Phys, pfn: number, type: number): void {
  const block = pfn >> phys.pageblockOrder;
  phys.pageblocks[block] = (phys.pageblocks[block]! & ~7) | type;
}

/** The zone of a frame (`page_zone`). */
export function frameZone(phys: Phys, pfn: number): Zone {
  return phys.zones[phys.pageblocks[pfn >> phys.pageblockOrder]! >> 3]!;
}

/**
 * Takes a block of `order` from the lists of `type` (`__rmqueue_smallest`): the first of the smallest order that fits;
 * its lower half is split on, the upper halves go to the front of their lists. 0: none fits.
 */
export function rmqueueSmallest(phys: Phys, zone: Zone, order: number, type: number): number {
  const fitting = zone.orders[type]! >>> order;
  if (fitting === 0) return 0;
  const current = (order + 31 - Math.clz32(fitting & -fitting)) | 0;
  const pfn = takeFirst(phys, zone, current, type);
  expand(phys, zone, pfn, order, current, type);
  accountFree(zone, -(1 << order), type);
  return pfn;
}

/** Splits a block off its list down to `order` (`expand`); the upper halves become free blocks of `type`. */
export function expand(phys: Phys, zone: Zone, pfn: number, order: number, current: number, type: number): void {
  while (current > order) {
    current--;
    addToFreeList(phys, zone, pfn + (1 << current), current, type, false);
  }
}

/** Types whose blocks may become one (`migratetype_is_mergeable`). */
function mergeable(type: number): boolean {
  return type < MIGRATE_PCPTYPES;
}

/**
 * Gives a block back (`__free_one_page`), merged with its buddy as long as that is free. All its words are zero. From
 * the order of a pageblock on, buddies of different types merge only if both are mergeable, and the block takes the
 * type of the one freed. It goes to the front of its list, or to the end with `tail` or where the next larger buddy is
 * free already, so that the two have time to become one.
 */
export function freeOnePage(phys: Phys, zone: Zone, pfn: number, order: number, type: number, tail: boolean): void {
  accountFree(zone, 1 << order, type);
  const { hot, frames, pageblockOrder } = phys;
  while (order < MAX_PAGE_ORDER) {
    const buddy = pfn ^ (1 << order);
    if (buddy >= frames || hot[(buddy << 2) + HOT_FLAGS] !== (PG_BUDDY | (order << ORDER_SHIFT))) break;
    let buddyType = type;
    if (order >= pageblockOrder) {
      buddyType = pageblockType(phys, buddy);
      if (type !== buddyType && !(mergeable(type) && mergeable(buddyType))) break;
    }
    delFromFreeList(phys, zone, buddy, order, buddyType);
    if (buddyType !== type) setPageblockType(phys, buddy, type);
    pfn &= buddy;
    order++;
  }
  addToFreeList(phys, zone, pfn, order, type, tail || mergeLikely(phys, pfn, order));
}

/** Whether the block that this one and its buddy would make has a free buddy (`buddy_merge_likely`). */
function mergeLikely(phys: Phys, pfn: number, order: number): boolean {
  if (order >= MAX_PAGE_ORDER - 1) return false;
  const higher = (pfn & ~(1 << order)) ^ (2 << order);
  return higher < phys.frames && phys.hot[(higher << 2) + HOT_FLAGS] === (PG_BUDDY | ((order + 1) << ORDER_SHIFT));
}
