/**
 * Per-CPU page lists (`struct per_cpu_pages`, `rmqueue_bulk`, `free_pcppages_bulk`, N.15): free blocks of orders 0 to 3
 * and of huge pages, last freed first, not merged. A list that is empty takes a batch from the buddy lists; lists that
 * hold `high` frames give a batch back, those longest there first, the lists in turn. A refill raises `high` by a
 * batch, while the zone is above its high watermark; below it, it falls back.
 *
 * Differs from Linux: the batch does not grow with repeated refills and frees, but an eighth of `high` goes back at
 * least, as the rest of a list moves down then; and no timer shrinks idle lists.
 */
import { checkInteger } from '@mmkit/base';
import { freeOnePage, pageblockType } from './buddy.ts';
import { rmqueue } from './fallback.ts';
import { HOT_FLAGS } from './frame.ts';
import type { Phys } from './frame.ts';
import { ORDER_SHIFT, PG_PCP } from './page-flags.ts';
import { ALLOC_WMARK_HIGH, wmarkPages } from './watermark.ts';
import { MIGRATE_MOVABLE, MIGRATE_PCPTYPES, NR_PCP_LISTS, PAGE_ALLOC_COSTLY_ORDER, PCP_THP } from './zone.ts';
import type { Pcp, PcpList, Zone } from './zone.ts';

/** Fewest slots of a list that has any. */
const FIRST_SLOTS = 16;

/** The index of the list for blocks of an order and type (`order_to_pindex`), −1: none. */
export function pcpIndex(phys: Phys, order: number, type: number): number {
  if (order <= PAGE_ALLOC_COSTLY_ORDER) return order * MIGRATE_PCPTYPES + type;
  if (order !== phys.pageblockOrder) return -1;
  return type === MIGRATE_MOVABLE ? PCP_THP : PCP_THP + 1;
}

/** Puts a block, whose words are all zero, on top of a list. */
export function pcpPush(phys: Phys, list: PcpList, pfn: number): void {
  if (list.top === list.capacity) grow(list, list.top + 1);
  phys.hot[(pfn << 2) + HOT_FLAGS] = PG_PCP | (list.order << ORDER_SHIFT);
  list.slots[list.top] = pfn;
  list.top++;
  list.pcp.filled |= 1 << list.index;
  list.pcp.count += 1 << list.order;
}

/**
 * At least so many slots. A plain array of small integers: reading a typed array's length costs more than its element.
 */
function grow(list: PcpList, least: number): void {
  list.capacity = Math.max(list.capacity * 2, FIRST_SLOTS, least);
  const slots = new Array<number>(list.capacity).fill(0);
  for (let i = 0; i < list.top; i++) slots[i] = list.slots[i]!;
  list.slots = slots;
}

/** Takes the block last put on a list, its words zero; the list is refilled when it is empty. 0: none to be had. */
export function pcpPop(phys: Phys, list: PcpList, type: number, flags: number): number {
  if (list.top === 0) refill(phys, list, type, flags);
  if (list.top === 0) return 0;
  list.top--;
  list.pcp.count -= 1 << list.order;
  const pfn = list.slots[list.top]!;
  phys.hot[(pfn << 2) + HOT_FLAGS] = 0;
  return pfn;
}

/** Fills an empty list with a batch, so that the first block taken from the buddy lists is the first given out. */
function refill(phys: Phys, list: PcpList, type: number, flags: number): void {
  const { pcp, order } = list;
  const zone = pcp.zone;
  const { batch, highMax } = pcp;
  if (zone.free > zone.high + zone.boost) pcp.high = pcp.high + batch < highMax ? pcp.high + batch : highMax;
  const blocks = order === 0 || batch === 1 ? batch : Math.max(batch >> order, 2);
  if (list.capacity < blocks) grow(list, blocks);
  while (list.top < blocks) {
    const pfn = rmqueue(phys, zone, order, type, flags);
    if (pfn === 0) break;
    pcpPush(phys, list, pfn);
  }
  for (let i = 0, j = list.top - 1; i < j; i++, j--) {
    const pfn = list.slots[i]!;
    list.slots[i] = list.slots[j]!;
    list.slots[j] = pfn;
  }
}

/** After a free: gives a batch back when the lists hold too much. */
export function pcpTrim(phys: Phys, pcp: Pcp): void {
  const zone = pcp.zone;
  if (zone.free < wmarkPages(zone, ALLOC_WMARK_HIGH)) pcp.high = Math.max(pcp.high - pcp.batch, pcp.highMin);
  if (pcp.count >= pcp.high) freePcppagesBulk(phys, pcp, Math.max(pcp.batch, pcp.high >> 3, pcp.count - pcp.high));
}

/** Gives at least `frames` frames back to the buddy lists, or all there are (`free_pcppages_bulk`). */
function freePcppagesBulk(phys: Phys, pcp: Pcp, frames: number): void {
  const lists = pcp.lists;
  let left = Math.min(frames, pcp.count) | 0;
  while (left > 0) {
    // The first list that has blocks, from `turn` on and round.
    const later = pcp.filled & (-1 << pcp.turn);
    const bits = later !== 0 ? later : pcp.filled;
    const i = 31 - Math.clz32(bits & -bits);
    const list = lists[i]!;
    left = (left - giveOldest(phys, list, left)) | 0;
    if (list.top === 0) pcp.filled &= ~(1 << i);
    pcp.turn = i === NR_PCP_LISTS - 1 ? 0 : i + 1;
  }
}

/** Gives at least `frames` frames of a list back, or all it has, those longest there first; how many. */
function giveOldest(phys: Phys, list: PcpList, frames: number): number {
  const { slots, top, order, pcp } = list;
  let blocks = 0;
  for (let given = 0; given < frames && blocks < top; given += 1 << order) {
    giveBack(phys, pcp.zone, slots[blocks]!, order);
    blocks++;
  }
  for (let i = blocks; i < top; i++) slots[i - blocks] = slots[i]!;
  list.top = top - blocks;
  pcp.count -= blocks << order;
  return blocks << order;
}

/** Gives a block that was on a per-CPU list back to the buddy lists. */
function giveBack(phys: Phys, zone: Zone, pfn: number, order: number): void {
  phys.hot[(pfn << 2) + HOT_FLAGS] = 0;
  freeOnePage(phys, zone, pfn, order, pageblockType(phys, pfn), false);
}

/** Gives all that per-CPU lists hold back to the buddy lists: of one CPU, or of all (`drain_all_pages`). */
export function drainPages(phys: Phys, cpu?: number): void {
  if (cpu !== undefined) checkInteger('cpu', cpu, 0, phys.cpus.length - 1);
  for (const zone of phys.zones) {
    for (let i = 0; i < zone.pcps.length; i++) {
      const pcp = zone.pcps[i]!;
      if (cpu === undefined || cpu === i) freePcppagesBulk(phys, pcp, pcp.count);
    }
  }
}
