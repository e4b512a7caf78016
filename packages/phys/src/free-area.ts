/**
 * The buddy allocator's free lists (N.15): blocks of 2^order frames, aligned to their size, orders 0 to 10. The buddy
 * of a block differs from it in one bit of its PFN; two free buddies are one block of the next order. Lists are doubly
 * linked through the cold words of each block's head, last freed first.
 *
 * Differs from Linux: frames never used are not on the lists but beyond `frontier`, and are carved into the largest
 * aligned blocks when the lists run out, so a machine costs nothing per frame to make. In Linux the zone lock protects
 * all of this; here calls run one at a time.
 */
import { COLD_NEXT, COLD_PREV, HOT_FLAGS, MAX_PAGE_ORDER } from './frame.ts';
import type { Phys } from './frame.ts';
import { ORDER_SHIFT, PG_BUDDY } from './page-flags.ts';

/** Puts a free block at the head of its list. All its words are zero. */
function addToFreeList(phys: Phys, pfn: number, order: number): void {
  const cold = phys.cold;
  const first = phys.freeHeads[order]!;
  phys.hot[(pfn << 2) + HOT_FLAGS] = PG_BUDDY | (order << ORDER_SHIFT);
  cold[(pfn << 2) + COLD_NEXT] = first;
  if (first !== 0) cold[(first << 2) + COLD_PREV] = pfn;
  else phys.freeOrders |= 1 << order;
  phys.freeHeads[order] = pfn;
}

/** Takes a free block off its list; its words are zero again. */
function delFromFreeList(phys: Phys, pfn: number, order: number): void {
  const cold = phys.cold;
  const at = pfn << 2;
  const next = cold[at + COLD_NEXT]!;
  const prev = cold[at + COLD_PREV]!;
  phys.hot[at + HOT_FLAGS] = 0;
  cold[at + COLD_NEXT] = 0;
  cold[at + COLD_PREV] = 0;
  if (next !== 0) cold[(next << 2) + COLD_PREV] = prev;
  if (prev !== 0) {
    cold[(prev << 2) + COLD_NEXT] = next;
  } else {
    phys.freeHeads[order] = next;
    if (next === 0) phys.freeOrders &= ~(1 << order);
  }
}

/** The order of the block of never-used frames that begins at `pfn`: as aligned, and not across the end of memory. */
export function frontierOrder(pfn: number, frames: number): number {
  const aligned = 31 - Math.clz32(pfn & -pfn);
  const room = 31 - Math.clz32(frames - pfn);
  return Math.min(aligned, room, MAX_PAGE_ORDER);
}

/** Puts never-used frames on the lists until a block of `order` or more is there; false when none are left. */
function carveFrontier(phys: Phys, order: number): boolean {
  const frames = phys.frames;
  let pfn = phys.frontier;
  while (pfn < frames) {
    const carved = frontierOrder(pfn, frames);
    addToFreeList(phys, pfn, carved);
    pfn += 1 << carved;
    phys.frontier = pfn;
    if (carved >= order) return true;
  }
  return false;
}

/** Takes a block of `order` (`__rmqueue_smallest`): the smallest that fits, its upper halves go back. 0: none fits. */
export function takeFreeBlock(phys: Phys, order: number): number {
  if (phys.freeOrders >>> order === 0 && !carveFrontier(phys, order)) return 0;
  const fitting = phys.freeOrders >>> order;
  let current = order + 31 - Math.clz32(fitting & -fitting);
  const pfn = phys.freeHeads[current]!;
  delFromFreeList(phys, pfn, current);
  while (current > order) {
    current--;
    addToFreeList(phys, pfn + (1 << current), current);
  }
  return pfn;
}

/** Gives a block back (`__free_one_page`), merging with its buddy as long as that is free too. All words are zero. */
export function giveFreeBlock(phys: Phys, pfn: number, order: number): void {
  const hot = phys.hot;
  const frames = phys.frames;
  while (order < MAX_PAGE_ORDER) {
    const buddy = pfn ^ (1 << order);
    if (buddy >= frames || hot[(buddy << 2) + HOT_FLAGS] !== (PG_BUDDY | (order << ORDER_SHIFT))) break;
    delFromFreeList(phys, buddy, order);
    pfn &= buddy;
    order++;
  }
  addToFreeList(phys, pfn, order);
}
