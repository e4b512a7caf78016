/**
 * The buddy allocator's free lists (`struct free_area`, N.15): blocks of 2^order frames, aligned to their size, orders
 * 0 to 10, one list for each order and migrate type of a zone. Doubly linked through the cold words of each block's
 * head.
 *
 * A list's type is that of the pageblock its block begins in. In Linux the zone lock protects all of this; here calls
 * run one at a time, and none of these functions has a point inside.
 */
import { COLD_NEXT, COLD_PREV, HOT_FLAGS, MAX_PAGE_ORDER } from './frame.ts';
import type { Phys } from './frame.ts';
import { ORDER_SHIFT, PG_BUDDY } from './page-flags.ts';
import { MIGRATE_CMA, MIGRATE_HIGHATOMIC, MIGRATE_ISOLATE, MIGRATE_MOVABLE, NR_PAGE_ORDERS } from './zone.ts';
import type { Zone } from './zone.ts';

/** What a block of the largest order per-CPU lists have needs above the watermark: 2^3 − 1. */
const FAST_MARGIN = 7;

/** The flags word of a free block's head. */
export function freeFlags(order: number): number {
  return PG_BUDDY | (order << ORDER_SHIFT);
}

/** Puts a free block, whose words are all zero, on its list: at the end with `tail`, else in front. */
export function addToFreeList(phys: Phys, zone: Zone, pfn: number, order: number, type: number, tail: boolean): void {
  const { hot, cold } = phys;
  const { heads, tails } = zone;
  const list = (type * NR_PAGE_ORDERS + order) | 0;
  hot[(pfn << 2) + HOT_FLAGS] = PG_BUDDY | (order << ORDER_SHIFT);
  const first = heads[list]!;
  if (first === 0) {
    heads[list] = pfn;
    tails[list] = pfn;
    zone.orders[type] = zone.orders[type]! | (1 << order);
  } else if (tail) {
    const last = tails[list]!;
    cold[(last << 2) + COLD_NEXT] = pfn;
    cold[(pfn << 2) + COLD_PREV] = last;
    tails[list] = pfn;
  } else {
    cold[(first << 2) + COLD_PREV] = pfn;
    cold[(pfn << 2) + COLD_NEXT] = first;
    heads[list] = pfn;
  }
  zone.nrFree[order] = (zone.nrFree[order]! + 1) | 0;
}

/** Takes a free block off its list; its words are zero again. */
export function delFromFreeList(phys: Phys, zone: Zone, pfn: number, order: number, type: number): void {
  const list = (type * NR_PAGE_ORDERS + order) | 0;
  phys.hot[(pfn << 2) + HOT_FLAGS] = 0;
  zone.nrFree[order] = (zone.nrFree[order]! - 1) | 0;
  unlink(phys, zone, pfn, list);
  if (zone.heads[list] === 0) listEmptied(zone, order, type);
}

/** Takes a block out of the links of its list. */
export function unlink({ cold }: Phys, { heads, tails }: Zone, pfn: number, list: number): void {
  const at = pfn << 2;
  const next = cold[at + COLD_NEXT]!;
  const prev = cold[at + COLD_PREV]!;
  cold[at + COLD_NEXT] = 0;
  cold[at + COLD_PREV] = 0;
  if (next !== 0) cold[(next << 2) + COLD_PREV] = prev;
  else tails[list] = prev;
  if (prev !== 0) cold[(prev << 2) + COLD_NEXT] = next;
  else heads[list] = next;
}

/** The last linked block of a list is gone: the list is empty unless it goes on with fresh blocks. */
function listEmptied(zone: Zone, order: number, type: number): void {
  if (order === MAX_PAGE_ORDER && type === MIGRATE_MOVABLE && zone.fresh.length !== 0) return;
  zone.orders[type] = zone.orders[type]! & ~(1 << order);
}

/** The first block of a list that is not empty (`get_page_from_free_area`): taken off, its words zero. */
export function takeFirst(phys: Phys, zone: Zone, order: number, type: number): number {
  const pfn = zone.heads[type * NR_PAGE_ORDERS + order]!;
  if (pfn === 0) return takeFresh(zone);
  delFromFreeList(phys, zone, pfn, order, type);
  return pfn;
}

/** The first fresh block; the caller knows that there is one. */
function takeFresh(zone: Zone): number {
  const fresh = zone.fresh;
  const pfn = fresh[0]!;
  const next = pfn + (1 << MAX_PAGE_ORDER);
  if (next === fresh[1]) fresh.splice(0, 2);
  else fresh[0] = next;
  freshTaken(zone, 1);
  return pfn;
}

/** So many fresh blocks are fresh no longer. */
function freshTaken(zone: Zone, blocks: number): void {
  zone.nrFree[MAX_PAGE_ORDER] = zone.nrFree[MAX_PAGE_ORDER]! - blocks;
  if (zone.heads[MIGRATE_MOVABLE * NR_PAGE_ORDERS + MAX_PAGE_ORDER] === 0) {
    listEmptied(zone, MAX_PAGE_ORDER, MIGRATE_MOVABLE);
  }
}

/**
 * Puts the fresh blocks that touch [start, end) on their list, at its end: for who is about to look at single blocks
 * of a range, or to change their type.
 */
export function linkFresh(phys: Phys, zone: Zone, start: number, end: number): void {
  const size = 1 << MAX_PAGE_ORDER;
  const left: number[] = [];
  const linked: number[] = [];
  for (let i = 0; i < zone.fresh.length; i += 2) {
    const first = zone.fresh[i]!;
    const last = zone.fresh[i + 1]!;
    const from = Math.min(Math.max(first, start - (start % size)), last);
    const to = Math.max(Math.min(last, Math.ceil(end / size) * size), from);
    if (from > first) left.push(first, from);
    if (last > to) left.push(to, last);
    for (let pfn = from; pfn < to; pfn += size) linked.push(pfn);
  }
  zone.fresh = left;
  freshTaken(zone, linked.length);
  for (const pfn of linked) addToFreeList(phys, zone, pfn, MAX_PAGE_ORDER, MIGRATE_MOVABLE, true);
}

/** So many frames more (or less) are free in blocks of `type` (`account_freepages`). */
export function accountFree(zone: Zone, frames: number, type: number): void {
  if (type >= MIGRATE_HIGHATOMIC) {
    if (type === MIGRATE_ISOLATE) {
      zone.freeIsolated += frames;
      return;
    }
    if (type === MIGRATE_CMA) zone.freeCma += frames;
    else zone.freeHighatomic += frames;
  }
  zone.free += frames;
  updatePlenty(zone);
}

/** What `zone.plenty` is by the counts and watermarks: 0 or 1. */
export function hasPlenty(zone: Zone): number {
  return zone.free - zone.freeHighatomic - zone.freeCma - FAST_MARGIN > zone.low + zone.boost ? 1 : 0;
}

/** Works out `zone.plenty` again: after free frames or watermarks changed. */
export function updatePlenty(zone: Zone): void {
  zone.plenty = hasPlenty(zone);
}

/** Pairs [start, end) of PFNs, ascending: all frames of the zones but the fresh ones, holes included. For walks. */
export function touchedRanges(phys: Phys): number[] {
  const ranges: number[] = [];
  for (const zone of phys.zones) {
    let from = zone.start;
    for (let i = 0; i < zone.fresh.length; i += 2) {
      if (zone.fresh[i]! > from) ranges.push(from, zone.fresh[i]!);
      from = zone.fresh[i + 1]!;
    }
    if (from < zone.end) ranges.push(from, zone.end);
  }
  return ranges;
}
