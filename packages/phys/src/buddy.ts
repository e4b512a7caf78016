/**
 * The buddy allocator (N.15): the buddy of a block differs from it in one bit of its PFN; two free buddies are one
 * block of the next order. Takes and gives blocks of one zone and counts them; no watermarks, no per-CPU lists.
 */
import { accountFree, addToFreeList, delFromFreeList, takeFirst, unlink } from './free-area.ts';
import { COLD_NEXT, COLD_PREV, HOT_FLAGS, MAX_PAGE_ORDER } from './frame.ts';
import type { Phys } from './frame.ts';
import { ORDER_SHIFT, PG_BUDDY } from './page-flags.ts';
import { MIGRATE_PCPTYPES, NR_PAGE_ORDERS } from './zone.ts';
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

/**
 * Splits a block off its list down to `order` (`expand`); the upper halves become free blocks of `type`. Whoever splits
 * takes the smallest block that fits, so the lists that get the halves are empty.
 */
export function expand(phys: Phys, zone: Zone, pfn: number, order: number, current: number, type: number): void {
  const { hot } = phys;
  const { heads, tails, nrFree, orders } = zone;
  orders[type] = orders[type]! | ((1 << current) - (1 << order));
  for (let half = (current - 1) | 0; half >= order; half--) {
    const upper = (pfn + (1 << half)) | 0;
    const list = (type * NR_PAGE_ORDERS + half) | 0;
    hot[(upper << 2) + HOT_FLAGS] = PG_BUDDY | (half << ORDER_SHIFT);
    heads[list] = upper;
    tails[list] = upper;
    nrFree[half] = (nrFree[half]! + 1) | 0;
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
  const { hot, cold, frames, pageblockOrder } = phys;
  const { heads, tails, nrFree, orders } = zone;
  let emptied = 0;
  while (order < MAX_PAGE_ORDER) {
    const buddy = pfn ^ (1 << order);
    const at = buddy << 2;
    if (buddy >= frames || hot[at + HOT_FLAGS] !== (PG_BUDDY | (order << ORDER_SHIFT))) break;
    if (order >= pageblockOrder) {
      if (!takeBuddy(phys, zone, buddy, order, type)) break;
    } else {
      // delFromFreeList, whose call would cost as much as its work.
      const list = (type * NR_PAGE_ORDERS + order) | 0;
      hot[at + HOT_FLAGS] = 0;
      nrFree[order] = (nrFree[order]! - 1) | 0;
      if ((cold[at + COLD_NEXT]! | cold[at + COLD_PREV]!) !== 0) unlink(phys, zone, buddy, list);
      else {
        heads[list] = 0;
        tails[list] = 0;
        emptied |= 1 << order;
      }
    }
    pfn &= buddy;
    order = (order + 1) | 0;
  }
  orders[type] = orders[type]! & ~emptied;
  addToFreeList(phys, zone, pfn, order, type, tail || mergeLikely(phys, pfn, order));
}

/** Takes a free buddy of whole pageblocks off its list and gives them `type`; false: it may not become one with such. */
function takeBuddy(phys: Phys, zone: Zone, buddy: number, order: number, type: number): boolean {
  const own = pageblockType(phys, buddy);
  if (own !== type && !(mergeable(type) && mergeable(own))) return false;
  delFromFreeList(phys, zone, buddy, order, own);
  if (own !== type) setPageblockType(phys, buddy, type);
  return true;
}

/** Whether the block that this one and its buddy would make has a free buddy (`buddy_merge_likely`). */
function mergeLikely(phys: Phys, pfn: number, order: number): boolean {
  if (order >= MAX_PAGE_ORDER - 1) return false;
  const higher = (pfn & ~(1 << order)) ^ (2 << order);
  return higher < phys.frames && phys.hot[(higher << 2) + HOT_FLAGS] === (PG_BUDDY | ((order + 1) << ORDER_SHIFT));
}
