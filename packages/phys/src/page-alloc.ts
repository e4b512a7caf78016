/**
 * Taking frames and giving them back, the parts that never wait (`get_page_from_freelist`, `__free_pages`): per-CPU
 * lists in front of the buddy lists, zones in the order of the node's list, watermarks. `allocPages`, which may
 * reclaim, is in alloc-pages.co.ts.
 *
 * Differs from Linux: a block of order > 0 that is not compound remembers its order too, and is freed whole by its last
 * reference; before an allocation fails, per-CPU lists are drained, a HIGHATOMIC pageblock is given up and the boost of
 * the watermarks is dropped, whatever its flags: in Linux kswapd and those who reclaim have seen to that by then; a
 * frame that Linux would report as "Bad page state" is not freed at all but refused.
 */
import { checkInteger, checkPages, ENOMEM, InvariantError } from '@mmkit/base';
import { frameZone, freeOnePage, pageblockType, rmqueueSmallest } from './buddy.ts';
import { shouldFail } from './fail.ts';
import { reserveHighatomic, rmqueue, unreserveHighatomic } from './fallback.ts';
import { destroyLargeFolio, prepCompoundPage } from './folio.ts';
import {
  checkFrame,
  COLD_INDEX,
  COLD_PRIVATE,
  HOT_FLAGS,
  HOT_MAPCOUNT,
  HOT_OWNER,
  HOT_REFCOUNT,
  HOT_WORDS,
  MAX_PAGE_ORDER,
} from './frame.ts';
import type { Phys } from './frame.ts';
import { fastAllocFlags, GFP_ZONE_TYPE_MASK, gfpMigratetype, gfpZone, slowAllocFlags } from './gfp-zone.ts';
import { GFP_COMP, GFP_NOFAIL, GFP_THISNODE, GFP_ZERO } from './gfp.ts';
import { lruDelFolio } from './lru.ts';
import {
  ORDER_SHIFT,
  PG_HEAD,
  PG_HWPOISON,
  PG_LOCKED,
  PG_LRU,
  PG_PCP,
  PG_RESERVED,
  PG_TAIL,
  PG_UNEVICTABLE,
  PG_WRITEBACK,
} from './page-flags.ts';
import { drainPages, pcpIndex, pcpPop, pcpPush, pcpTrim } from './pcp.ts';
import { freePoisoned } from './poison.ts';
import { zeroFrame } from './ram.ts';
import {
  ALLOC_HIGHATOMIC,
  ALLOC_MIN_RESERVE,
  ALLOC_NO_WATERMARKS,
  ALLOC_NOFRAGMENT,
  ALLOC_NON_BLOCK,
  ALLOC_OOM,
  ALLOC_WMARK_MASK,
  ALLOC_WMARK_MIN,
  setBoost,
  wmarkPages,
  zoneWatermarkOk,
} from './watermark.ts';
import {
  MIGRATE_HIGHATOMIC,
  MIGRATE_ISOLATE,
  MIGRATE_MOVABLE,
  MIGRATE_PCPTYPES,
  PAGE_ALLOC_COSTLY_ORDER,
  ZONE_DMA32,
  ZONE_MOVABLE,
  ZONE_NORMAL,
} from './zone.ts';
import type { PcpList, Zone } from './zone.ts';

/** Flags a frame may not have when it is freed. */
const CHECK_AT_FREE = PG_LOCKED | PG_WRITEBACK | PG_RESERVED;
/**
 * What a block must not have to be freed the short way; and the bits of an order above 3. The COLD_PREV of an unevictable page
 * may still count mlocked mappings: mremap with DONTUNMAP leaves pages mlocked that nobody munlocks.
 */
const NOT_SIMPLE = CHECK_AT_FREE | PG_LRU | PG_UNEVICTABLE | PG_HEAD | PG_TAIL | PG_HWPOISON | (0xc << ORDER_SHIFT);

/**
 * A block of order 0 to 3 from the top of the current CPU's list, where the zone has plenty (`rmqueue_pcplist`); 0: go
 * the long way. The caller has seen that no failures are asked for.
 */
export function takeFast(phys: Phys, gfp: number, order: number): number {
  let list = phys.cpu.byGfp[gfp & GFP_ZONE_TYPE_MASK]!;
  const { pcp, zone } = list;
  if (order !== 0) {
    if ((zone.orders[0]! | zone.orders[1]! | zone.orders[2]!) >>> order === 0) return 0;
    list = pcp.lists[order * MIGRATE_PCPTYPES + gfpMigratetype(gfp)]!;
  }
  if (zone.plenty === 0) return 0;
  const top = (list.top - 1) | 0;
  if (top < 0) return takeRefilled(phys, list, gfp);
  list.top = top;
  pcp.count = (pcp.count - (1 << order)) | 0;
  const pfn = list.slots[top]!;
  if (order !== 0 || (gfp & GFP_ZERO) !== 0) {
    prepNewPage(phys, pfn, order, gfp);
    return pfn;
  }
  const { hot } = phys;
  const at = pfn << 2;
  hot[at | HOT_REFCOUNT] = 1;
  hot[at | HOT_FLAGS] = 0;
  if (pfn >= phys.untouched) phys.untouched = pfn + 1;
  return pfn;
}

/** The same of a list that is empty: it is refilled, unless that would mix types. */
function takeRefilled(phys: Phys, list: PcpList, gfp: number): number {
  const { order, pcp } = list;
  const type = gfpMigratetype(gfp);
  if (pcp.zone.orders[type]! >>> order === 0) return 0;
  const nofragment = avoidMixing(phys, gfp, phys.cpu.node) ? ALLOC_NOFRAGMENT : 0;
  const pfn = pcpPop(phys, list, type, fastAllocFlags(gfp) | nofragment);
  prepNewPage(phys, pfn, order, gfp);
  return pfn;
}

/** Zeroes [pfn, end), but for what nobody can have written to: other threads may, without a note here. */
function zeroFrames(phys: Phys, pfn: number, end: number): void {
  const written = phys.shared ? end : Math.min(end, phys.untouched);
  for (let frame = pfn; frame < written; frame++) zeroFrame(phys, frame);
}

/** A block just taken off the lists becomes the caller's (`prep_new_page`). */
export function prepNewPage(phys: Phys, pfn: number, order: number, gfp: number): void {
  phys.hot[(pfn << 2) + HOT_REFCOUNT] = 1;
  phys.hot[(pfn << 2) + HOT_FLAGS] = order << ORDER_SHIFT;
  const end = pfn + (1 << order);
  if ((gfp & GFP_ZERO) !== 0) zeroFrames(phys, pfn, end);
  if (end > phys.untouched) phys.untouched = end;
  if (order !== 0 && (gfp & GFP_COMP) !== 0) prepCompoundPage(phys, pfn, order);
}

/**
 * Takes a block where the watermark allows it (`get_page_from_freelist`): its first PFN, 0: nowhere. Zones in the order
 * of `node`'s list, of nodes whose bit is set in `nodemask`.
 */
function getPageFromFreelist(
  phys: Phys,
  gfp: number,
  order: number,
  flags: number,
  node: number,
  nodemask: number,
): number {
  const mask = (gfp & GFP_THISNODE) !== 0 ? nodemask & (1 << node) : nodemask;
  const nofragment = avoidMixing(phys, gfp, node) ? ALLOC_NOFRAGMENT : 0;
  const pfn = tryZones(phys, gfp, order, flags | nofragment, node, mask);
  return pfn !== 0 || nofragment === 0 ? pfn : tryZones(phys, gfp, order, flags, node, mask);
}

/** Whether types are rather not mixed in NORMAL, because DMA32 is there to fall back to (`alloc_flags_nofragment`). */
function avoidMixing(phys: Phys, gfp: number, node: number): boolean {
  const zones = phys.nodes[node]!.zones;
  const kind = gfpZone(gfp);
  if (kind < ZONE_NORMAL || (kind === ZONE_MOVABLE && zones[ZONE_MOVABLE] !== null)) return false;
  return zones[ZONE_NORMAL] !== null && zones[ZONE_DMA32] !== null;
}

function tryZones(phys: Phys, gfp: number, order: number, flags: number, node: number, nodemask: number): number {
  const zonelist = phys.nodes[node]!.zonelist;
  const kind = gfpZone(gfp);
  for (let i = 0; i < zonelist.length; i++) {
    const zone = zonelist[i]!;
    if (zone.kind > kind || ((nodemask >>> zone.node) & 1) === 0) continue;
    // Near memory counts for more than unmixed pageblocks: the second attempt mixes.
    if ((flags & ALLOC_NOFRAGMENT) !== 0 && zone.node !== node) return 0;
    if ((flags & ALLOC_NO_WATERMARKS) === 0 && !mayTake(zone, order, kind, flags)) continue;
    const pfn = rmqueueZone(phys, zone, order, gfpMigratetype(gfp), flags);
    if (pfn === 0) continue;
    prepNewPage(phys, pfn, order, gfp);
    if (order !== 0 && (flags & ALLOC_HIGHATOMIC) !== 0) reserveHighatomic(phys, zone, pfn);
    return pfn;
  }
  return 0;
}

/** Whether a zone is above the caller's watermark; for one frame, who may use reserves need not mind the boost. */
function mayTake(zone: Zone, order: number, kind: number, flags: number): boolean {
  const mark = flags & ALLOC_WMARK_MASK;
  if (zoneWatermarkOk(zone, order, wmarkPages(zone, mark), kind, flags)) return true;
  const boosted = order === 0 && (flags & ALLOC_MIN_RESERVE) !== 0 && zone.boost !== 0 && mark === ALLOC_WMARK_MIN;
  return boosted && zoneWatermarkOk(zone, order, zone.min, kind, flags);
}

/** A block of one zone (`rmqueue`): from the CPU's list if there is one for the order, else from the buddy lists. */
function rmqueueZone(phys: Phys, zone: Zone, order: number, type: number, flags: number): number {
  const index = pcpIndex(phys, order, type);
  if (index >= 0) {
    const pfn = pcpPop(phys, zone.pcps[phys.cpu.index]!.lists[index]!, type, flags);
    if (pfn !== 0) return pfn;
  }
  if ((flags & ALLOC_HIGHATOMIC) !== 0) {
    const pfn = rmqueueSmallest(phys, zone, order, MIGRATE_HIGHATOMIC);
    if (pfn !== 0) return pfn;
  }
  const pfn = rmqueue(phys, zone, order, type, flags);
  if (pfn !== 0 || (flags & (ALLOC_OOM | ALLOC_NON_BLOCK)) === 0) return pfn;
  return rmqueueSmallest(phys, zone, order, MIGRATE_HIGHATOMIC);
}

/**
 * Whether this allocation is refused before it is tried: an order there is none of, or one that is made to fail; those
 * that must not fail are not.
 */
export function refusedAtOnce(phys: Phys, gfp: number, order: number, site: string): boolean {
  checkInteger('order', order, 0, Number.MAX_SAFE_INTEGER);
  if (order > MAX_PAGE_ORDER) return true;
  return phys.failures !== null && (gfp & GFP_NOFAIL) === 0 && shouldFail(phys.failures, order, site);
}

/**
 * All that is tried without waiting: above the low watermark, with what the flags allow of the reserves, and again with
 * what the per-CPU lists, the HIGHATOMIC reserve and boosted watermarks gave back. 0: nothing.
 */
export function tryAlloc(phys: Phys, gfp: number, order: number, node: number, nodemask: number): number {
  const pfn = getPageFromFreelist(phys, gfp, order, fastAllocFlags(gfp), node, nodemask);
  return pfn !== 0 ? pfn : tryHarder(phys, gfp, order, node, nodemask);
}

function tryHarder(phys: Phys, gfp: number, order: number, node: number, nodemask: number): number {
  const flags = slowAllocFlags(gfp, order);
  const pfn = getPageFromFreelist(phys, gfp, order, flags, node, nodemask);
  if (pfn !== 0) return pfn;
  const unreserved = unreserveHighatomic(phys, gfpMigratetype(gfp), true);
  const more = phys.zones.some((zone) => zone.boost !== 0 || zone.pcps.some((pcp) => pcp.count !== 0));
  if (!unreserved && !more) return 0;
  for (const zone of phys.zones) setBoost(zone, 0);
  drainPages(phys);
  return getPageFromFreelist(phys, gfp, order, flags, node, nodemask);
}

/**
 * Takes a block without ever waiting: as `allocPages`, but the `relieve` port is not called, so it is an ordinary
 * function in both builds. -ENOMEM when there is none.
 */
export function allocPagesNowait(phys: Phys, gfp: number, order: number, site: string = ''): number {
  if ((order & PAGE_ALLOC_COSTLY_ORDER) === order && phys.failures === null) {
    const pfn = takeFast(phys, gfp, order);
    if (pfn !== 0) return pfn;
  }
  if (refusedAtOnce(phys, gfp, order, site)) return -ENOMEM;
  const pfn = tryAlloc(phys, gfp, order, phys.cpu.node, -1);
  return pfn !== 0 ? pfn : -ENOMEM;
}

/**
 * Frees the block of 2^order frames at `pfn`, dropping the one reference `allocPages` gave (`__free_pages`).
 * InvariantError, with nothing changed: DOUBLE_FREE (no reference: free already, or inside a block), FREE_TAIL (inside
 * a compound page), FREE_RESERVED, WRONG_ORDER, FREE_REFERENCED (others hold references), FREE_PINNED, FREE_MAPPED,
 * FREE_LOCKED (locked or under writeback).
 */
export function freePages(phys: Phys, pfn: number, order: number): void {
  checkFrame(phys, pfn);
  const hot = phys.hot;
  const at = pfn << 2;
  if (hot[at + HOT_REFCOUNT] !== 1 || hot[at + HOT_FLAGS]! >>> ORDER_SHIFT !== order) refuseFreePages(phys, pfn, order);
  if (!freeFast(phys, pfn)) freeBlock(phys, pfn);
}

/** Throws what `freePages` would throw for a single frame. */
export function checkFreePage(phys: Phys, pfn: number): void {
  const at = pfn << 2;
  if (phys.hot[at + HOT_REFCOUNT] !== 1 || phys.hot[at + HOT_FLAGS]! >>> ORDER_SHIFT !== 0)
    refuseFreePages(phys, pfn, 0);
  checkUnused(phys, pfn, pfn);
}

/** Count of a frame that `freePagesBulk` has seen already. */
const SEEN = -1;

/**
 * Frees the first `count` frames of `pages`, single ones with the one reference `allocPagesBulk` gave
 * (`release_pages`). Throws what `freePages` throws, DOUBLE_FREE for a frame that is there twice, with nothing changed.
 */
export function freePagesBulk(phys: Phys, count: number, pages: Uint32Array): void {
  checkInteger('count', count, 0, 0x7fff_ffff);
  checkPages('pages', pages, count);
  const hot = phys.hot;
  let seen = 0;
  try {
    for (; seen < count; seen++) {
      const pfn = pages[seen]!;
      checkFrame(phys, pfn);
      if (hot[(pfn << 2) + HOT_REFCOUNT] === SEEN)
        throw new InvariantError('DOUBLE_FREE', `frame ${pfn} is there twice`);
      checkFreePage(phys, pfn);
      hot[(pfn << 2) + HOT_REFCOUNT] = SEEN;
    }
  } finally {
    for (let i = 0; i < seen; i++) hot[(pages[i]! << 2) + HOT_REFCOUNT] = 1;
  }
  for (let i = 0; i < count; i++) freeLastReference(phys, pages[i]!);
}

/** Says why the block at `pfn` may not be freed as one of `order` with one reference. */
function refuseFreePages(phys: Phys, pfn: number, order: number): never {
  checkInteger('order', order, 0, MAX_PAGE_ORDER);
  const count = phys.hot[(pfn << 2) + HOT_REFCOUNT]!;
  const flags = phys.hot[(pfn << 2) + HOT_FLAGS]!;
  if ((flags & PG_TAIL) !== 0) throw new InvariantError('FREE_TAIL', `frame ${pfn} is inside a compound page`);
  if (count === 0) throw new InvariantError('DOUBLE_FREE', `frame ${pfn} is free already, or inside a block`);
  if ((flags & PG_RESERVED) !== 0) refuseFrame(phys, pfn);
  if (flags >>> ORDER_SHIFT !== order) {
    throw new InvariantError('WRONG_ORDER', `frame ${pfn} is of order ${flags >>> ORDER_SHIFT}, freed as ${order}`);
  }
  throw new InvariantError('FREE_REFERENCED', `frame ${pfn} has ${count} references`);
}

/**
 * Frees the block at `pfn`, whose last references the caller drops (`__folio_put`): the count becomes 0 here, and a
 * folio on an LRU list leaves it. Throws FREE_RESERVED, FREE_MAPPED, FREE_PINNED, FREE_LOCKED or FREE_REFERENCED (a
 * frame inside the block) with nothing changed.
 */
export function freeLastReference(phys: Phys, pfn: number): void {
  if (!freeFast(phys, pfn)) freeBlock(phys, pfn);
}

/**
 * The short way of a block of order 0 to 3 with nothing special, whose inner frames nobody wrote to: onto the CPU's list,
 * if there is room (`free_unref_page`).
 */
function freeFast(phys: Phys, pfn: number): boolean {
  const { hot, cold } = phys;
  const at = pfn << 2;
  const flags = hot[at | HOT_FLAGS]!;
  if ((flags & NOT_SIMPLE) !== 0 || hot[at | HOT_MAPCOUNT] !== 0) return false;
  const order = flags >>> ORDER_SHIFT;
  let list = phys.cpu.byBlock[phys.pageblocks[pfn >> phys.pageblockOrder]!]!;
  const { pcp } = list;
  if (order !== 0) {
    if (!allZero(hot, cold, at + HOT_WORDS, at + (HOT_WORDS << order))) return false;
    list = pcp.lists[order * MIGRATE_PCPTYPES + list.index]!;
  }
  const { top } = list;
  if (top === list.capacity) return false;
  hot[at | HOT_REFCOUNT] = 0;
  hot[at | HOT_FLAGS] = PG_PCP | (order << ORDER_SHIFT);
  hot[at | HOT_OWNER] = 0;
  cold[at | COLD_INDEX] = 0;
  cold[at | COLD_PRIVATE] = 0;
  list.slots[top] = pfn;
  list.top = (top + 1) | 0;
  if (top === 0) pcp.filled |= 1 << list.index;
  const count = (pcp.count + (1 << order)) | 0;
  pcp.count = count;
  if (count >= pcp.high) pcpTrim(phys, pcp);
  return true;
}

/** Whether the words [from, end) of both tables are zero. */
function allZero(hot: Int32Array, cold: Int32Array, from: number, end: number): boolean {
  let bits = 0;
  for (let at = from; at < end; at++) bits |= hot[at]! | cold[at]!;
  return bits === 0;
}

/** Frees any block; throws before it changes anything when a frame of it is still in use. */
function freeBlock(phys: Phys, pfn: number): void {
  const { hot, cold } = phys;
  const start = pfn << 2;
  const flags = hot[start + HOT_FLAGS]!;
  const order = flags >>> ORDER_SHIFT;
  const end = (pfn + (1 << order)) << 2;
  let all = flags;
  let used = hot[start + HOT_MAPCOUNT]!;
  for (let at = start + HOT_WORDS; at < end; at += HOT_WORDS) {
    all |= hot[at + HOT_FLAGS]!;
    used |= hot[at + HOT_REFCOUNT]! | hot[at + HOT_MAPCOUNT]!;
  }
  if (used !== 0 || (all & CHECK_AT_FREE) !== 0) for (let i = 0; i < 1 << order; i++) checkUnused(phys, pfn + i, pfn);
  if ((flags & PG_HEAD) !== 0) destroyLargeFolio(phys, pfn);
  if ((flags & PG_LRU) !== 0) lruDelFolio(phys, pfn);
  if ((all & PG_HWPOISON) !== 0) return freePoisoned(phys, pfn, order);
  for (let at = start; at < end; at++) {
    hot[at] = 0;
    cold[at] = 0;
  }
  freeClean(phys, pfn, order);
}

/** Throws when a frame of the block at `head` is still in use, apart from the head's last references. */
function checkUnused(phys: Phys, frame: number, head: number): void {
  const hot = phys.hot;
  const at = frame << 2;
  if (frame !== head && hot[at + HOT_REFCOUNT] !== 0) {
    throw new InvariantError('FREE_REFERENCED', `frame ${frame}, inside the block of ${head}, has references`);
  }
  if ((hot[at + HOT_FLAGS]! & CHECK_AT_FREE) !== 0 || hot[at + HOT_MAPCOUNT] !== 0) refuseFrame(phys, frame);
}

/** Gives a block whose words are all zero to the CPU's list for it, or to the buddy lists. */
export function freeClean(phys: Phys, pfn: number, order: number): void {
  if (order > phys.pageblockOrder) return freePageblocks(phys, pfn, order);
  const block = phys.pageblocks[pfn >> phys.pageblockOrder]!;
  const zone = phys.zones[block >> 3]!;
  const type = block & 7;
  const index = pcpIndex(phys, order, type < MIGRATE_HIGHATOMIC ? type : MIGRATE_MOVABLE);
  if (type >= MIGRATE_ISOLATE || index < 0) return freeOnePage(phys, zone, pfn, order, type, false);
  const pcp = zone.pcps[phys.cpu.index]!;
  pcpPush(phys, pcp.lists[index]!, pfn);
  if (pcp.count >= pcp.high) pcpTrim(phys, pcp);
}

/** Gives a block larger than a pageblock back: its pageblocks may differ in type by now (`split_large_buddy`). */
function freePageblocks(phys: Phys, pfn: number, order: number): void {
  const end = pfn + (1 << order);
  for (let block = pfn; block < end; block += 1 << phys.pageblockOrder) {
    freeOnePage(phys, frameZone(phys, block), block, phys.pageblockOrder, pageblockType(phys, block), false);
  }
}

/** Says what keeps a frame from being freed. */
function refuseFrame(phys: Phys, pfn: number): never {
  const flags = phys.hot[(pfn << 2) + HOT_FLAGS]!;
  const mapped = phys.hot[(pfn << 2) + HOT_MAPCOUNT]!;
  if ((flags & PG_RESERVED) !== 0) throw new InvariantError('FREE_RESERVED', `frame ${pfn} is reserved`);
  if (mapped !== 0) throw new InvariantError('FREE_MAPPED', `frame ${pfn} is mapped ${mapped} times`);
  throw new InvariantError('FREE_LOCKED', `frame ${pfn} is locked or under writeback`);
}
