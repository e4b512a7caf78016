/** The part of `checkPhys` that walks lists: the buddy lists of a zone, the per-CPU lists. Changes nothing. */
import { InvariantError } from '@mmkit/base';
import { pageblockType } from './buddy.ts';
import { COLD_NEXT, COLD_PREV, HOT_FLAGS, MAX_PAGE_ORDER } from './frame.ts';
import type { Phys } from './frame.ts';
import { freeFlags } from './free-area.ts';
import { ORDER_SHIFT, PG_PCP } from './page-flags.ts';
import { MIGRATE_MOVABLE, MIGRATE_TYPES, NR_PAGE_ORDERS } from './zone.ts';
import type { PcpList, Zone } from './zone.ts';

/** Walks the free lists of a zone (BAD_LIST, BAD_TYPE, BAD_BLOCK, BAD_ORDERS, NR_FREE); returns the blocks on them. */
export function checkFreeLists(phys: Phys, zone: Zone): number {
  let blocks = 0;
  for (let order = 0; order <= MAX_PAGE_ORDER; order++) {
    let ofOrder = order === MAX_PAGE_ORDER ? freshBlocks(zone) : 0;
    for (let type = 0; type < MIGRATE_TYPES; type++) {
      const listed = checkFreeList(phys, zone, order, type);
      const goesOn = order === MAX_PAGE_ORDER && type === MIGRATE_MOVABLE && zone.fresh.length !== 0;
      if (((zone.orders[type]! >>> order) & 1) !== (listed !== 0 || goesOn ? 1 : 0)) {
        throw new InvariantError('BAD_ORDERS', `zone ${zone.index}: bit ${order} of orders[${type}] is wrong`);
      }
      ofOrder += listed;
      blocks += listed;
    }
    if (zone.nrFree[order] !== ofOrder) {
      const says = zone.nrFree[order]!;
      throw new InvariantError('NR_FREE', `zone ${zone.index}: nrFree[${order}] is ${says}, found ${ofOrder}`);
    }
  }
  return blocks;
}

/** Blocks of the largest order in the fresh ranges of a zone. */
function freshBlocks(zone: Zone): number {
  let frames = 0;
  for (let i = 0; i < zone.fresh.length; i += 2) frames += zone.fresh[i + 1]! - zone.fresh[i]!;
  return frames >> MAX_PAGE_ORDER;
}

/** Walks one list; a list that loops has a wrong back link where it comes back. */
function checkFreeList(phys: Phys, zone: Zone, order: number, type: number): number {
  const { hot, cold } = phys;
  const list = type * NR_PAGE_ORDERS + order;
  const fail = (code: string, what: string): never => {
    throw new InvariantError(code, `zone ${zone.index}, order ${order}, type ${type}: ${what}`);
  };
  let blocks = 0;
  let prev = 0;
  for (let pfn = zone.heads[list]!; pfn !== 0; pfn = cold[(pfn << 2) + COLD_NEXT]!) {
    if (pfn < zone.start || pfn >= zone.end || hot[(pfn << 2) + HOT_FLAGS] !== freeFlags(order)) {
      fail('BAD_LIST', `frame ${pfn} is no such free block`);
    }
    if (cold[(pfn << 2) + COLD_PREV] !== prev) fail('BAD_LIST', `frame ${pfn} has a wrong back link`);
    checkBounds(zone, pfn, order);
    for (let frame = pfn; frame < pfn + (1 << order); frame += 1 << phys.pageblockOrder) {
      if (pageblockType(phys, frame) !== type) fail('BAD_TYPE', `frame ${frame} lies in a pageblock of another type`);
    }
    blocks++;
    prev = pfn;
  }
  if (zone.tails[list] !== prev) fail('BAD_LIST', `the last is not ${zone.tails[list]!}`);
  return blocks;
}

/** Throws BAD_BLOCK unless a block is aligned to its size and ends inside its zone. */
export function checkBounds(zone: Zone, pfn: number, order: number): void {
  if (order <= MAX_PAGE_ORDER && pfn % 2 ** order === 0 && pfn + 2 ** order <= zone.end) return;
  throw new InvariantError('BAD_BLOCK', `frame ${pfn} heads a block of order ${order}`);
}

/** Walks all per-CPU lists (BAD_PCP, BAD_BLOCK, PCP_TWICE, PCP_COUNT); returns the blocks on them. */
export function checkPcps(phys: Phys): number {
  const seen = new Set<number>();
  for (const zone of phys.zones) {
    zone.pcps.forEach((pcp, cpu) => {
      let frames = 0;
      for (const list of pcp.lists) frames += checkPcpList(phys, zone, list, seen);
      if (frames === pcp.count) return;
      throw new InvariantError('PCP_COUNT', `zone ${zone.index}, CPU ${cpu}: count ${pcp.count}, found ${frames}`);
    });
  }
  return seen.size;
}

/** Walks one per-CPU list; returns the frames on it. */
function checkPcpList(phys: Phys, zone: Zone, list: PcpList, seen: Set<number>): number {
  const { order, slots, top } = list;
  if (top < 0 || top > slots.length) {
    throw new InvariantError('BAD_PCP', `a per-CPU list of zone ${zone.index} has ${top} of ${slots.length} blocks`);
  }
  if (top !== 0 && ((list.pcp.filled >>> list.index) & 1) === 0) {
    throw new InvariantError('BAD_PCP', `a per-CPU list of zone ${zone.index} has ${top} blocks, its bit says none`);
  }
  for (let i = 0; i < top; i++) {
    const pfn = slots[i]!;
    const marked = phys.hot[(pfn << 2) + HOT_FLAGS] === (PG_PCP | (order << ORDER_SHIFT));
    if (pfn < zone.start || pfn >= zone.end || !marked) {
      throw new InvariantError('BAD_PCP', `frame ${pfn} on a per-CPU list of order ${order} is no such block`);
    }
    if (seen.has(pfn)) throw new InvariantError('PCP_TWICE', `frame ${pfn} is on per-CPU lists twice`);
    checkBounds(zone, pfn, order);
    seen.add(pfn);
  }
  return top << order;
}
