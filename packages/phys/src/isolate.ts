/**
 * Isolating pageblocks (`start_isolate_page_range`, N.12): those of a range become MIGRATE_ISOLATE, their free blocks
 * go to the ISOLATE lists, which nobody allocates from and `zone.free` does not count, and what is freed in them goes
 * there too, past the per-CPU lists. Frames in use stay: who isolated moves them away (contig.co.ts, offline.co.ts).
 * And giving a pageblock another type at all.
 *
 * Differs from Linux: whoever isolates gets the former types, and gives exactly them back; an isolated pageblock counts
 * neither as CMA nor as HIGHATOMIC meanwhile. A block without owner that is on no LRU list cannot move, as in Linux,
 * but a block that has an owner can, wherever it is listed. In Linux the zone lock protects types and lists; here no
 * call has a point inside.
 */
import { EBUSY, EINVAL, InvariantError } from '@mmkit/base';
import { BLOCK_FREE, BLOCK_NONE, BLOCK_POISONED, checkRange, someBlock, zoneOfRange } from './block-walk.ts';
import { frameZone, freeOnePage, pageblockType, setPageblockType } from './buddy.ts';
import { moveFreepagesBlock } from './fallback.ts';
import { HOT_FLAGS, HOT_OWNER, MAX_PAGE_ORDER, OWNER_KIND_MASK, OWNER_NONE } from './frame.ts';
import type { Phys } from './frame.ts';
import { accountFree, addToFreeList, delFromFreeList, freeFlags, linkFresh } from './free-area.ts';
import { PG_BUDDY, PG_LRU, PG_RESERVED, PG_TABLE } from './page-flags.ts';
import { MIGRATE_CMA, MIGRATE_HIGHATOMIC, MIGRATE_ISOLATE, ZONE_MOVABLE } from './zone.ts';
import type { Zone } from './zone.ts';

/** Isolated to go offline: poisoned frames may stay (`PB_ISOLATE_MODE_MEM_OFFLINE`). */
export const PB_ISOLATE_MODE_MEM_OFFLINE = 0;
/** Isolated by the owner of a CMA area, whose pageblocks nobody else isolates (`PB_ISOLATE_MODE_CMA_ALLOC`). */
export const PB_ISOLATE_MODE_CMA_ALLOC = 1;
/** Isolated for other reasons (`PB_ISOLATE_MODE_OTHER`). */
export const PB_ISOLATE_MODE_OTHER = 2;

/** Counts a pageblock of a type in its zone, or (−1) no longer. */
function countPageblock(phys: Phys, zone: Zone, type: number, sign: number): void {
  const frames = sign << phys.pageblockOrder;
  if (type === MIGRATE_CMA) zone.cma += frames;
  if (type === MIGRATE_HIGHATOMIC) zone.reservedHighatomic += frames;
}

/** Splits the free block larger than a pageblock that holds `start`, if there is one, into pageblocks. */
function splitAtPageblocks(phys: Phys, zone: Zone, start: number): void {
  const size = 1 << phys.pageblockOrder;
  for (let order = phys.pageblockOrder + 1; order <= MAX_PAGE_ORDER; order++) {
    const head = start & -(1 << order);
    if (phys.hot[(head << 2) + HOT_FLAGS] !== freeFlags(order)) continue;
    const type = pageblockType(phys, head);
    delFromFreeList(phys, zone, head, order, type);
    for (let pfn = head; pfn < head + (1 << order); pfn += size) {
      addToFreeList(phys, zone, pfn, phys.pageblockOrder, type, true);
    }
  }
}

/**
 * Gives the pageblock that begins at `start`, none of it fresh, another type, and its free blocks to the lists of that
 * type; one that is free as a whole becomes one block with its buddy where the types allow it.
 */
export function retypePageblock(phys: Phys, zone: Zone, start: number, type: number): void {
  const old = pageblockType(phys, start);
  const order = phys.pageblockOrder;
  splitAtPageblocks(phys, zone, start);
  countPageblock(phys, zone, old, -1);
  countPageblock(phys, zone, type, 1);
  if (phys.hot[(start << 2) + HOT_FLAGS] !== freeFlags(order)) {
    moveFreepagesBlock(phys, zone, start, type);
    return;
  }
  delFromFreeList(phys, zone, start, order, old);
  accountFree(zone, -(1 << order), old);
  setPageblockType(phys, start, type);
  freeOnePage(phys, zone, start, order, type, true);
}

/** Whether a block can neither be given away nor moved (`has_unmovable_pages`). */
function cannotMove(phys: Phys, zone: Zone, pfn: number, kind: number, mode: number): boolean {
  if (kind === BLOCK_FREE) return false;
  if (kind === BLOCK_NONE) return true;
  if (kind === BLOCK_POISONED) return mode !== PB_ISOLATE_MODE_MEM_OFFLINE;
  const flags = phys.hot[(pfn << 2) + HOT_FLAGS]!;
  if ((flags & (PG_RESERVED | PG_TABLE)) !== 0) return true;
  if (zone.kind === ZONE_MOVABLE || pageblockType(phys, pfn) === MIGRATE_CMA) return false;
  return (flags & PG_LRU) === 0 && (phys.hot[(pfn << 2) + HOT_OWNER]! & OWNER_KIND_MASK) === OWNER_NONE;
}

/** First frames of the pageblocks that touch [start, end). */
function pageblocksOf(phys: Phys, start: number, end: number): number[] {
  const size = 1 << phys.pageblockOrder;
  const first = start - (start % size);
  return Array.from({ length: countPageblocks(phys, start, end) }, (_, i) => first + i * size);
}

/** How many pageblocks touch [start, end): the least length of `types` below. */
export function countPageblocks(phys: Phys, start: number, end: number): number {
  return ((end - 1) >> phys.pageblockOrder) - (start >> phys.pageblockOrder) + 1;
}

/**
 * Isolates the pageblocks that touch [start, end), and writes the types they had, one a pageblock, into `types`
 * (`start_isolate_page_range`). Frames of them outside the range may be of any sort. 0; or with nothing changed -EINVAL
 * (not in one zone), -EBUSY (one of them is isolated already, or CMA though `mode` is not PB_ISOLATE_MODE_CMA_ALLOC; or
 * the range has frames that cannot move, or do not exist). RangeError: no such range, or `types` is too short.
 */
export function startIsolatePageRange(phys: Phys, start: number, end: number, mode: number, types: Uint8Array): number {
  checkRange(phys, start, end);
  checkTypes(phys, start, end, types);
  const zone = zoneOfRange(phys, start, end);
  if (zone === null) return -EINVAL;
  for (const pfn of pageblocksOf(phys, start, end)) {
    const type = pageblockType(phys, pfn);
    if (type === MIGRATE_ISOLATE || (type === MIGRATE_CMA && mode !== PB_ISOLATE_MODE_CMA_ALLOC)) return -EBUSY;
  }
  if (someBlock(phys, zone, start, end, (pfn, _, kind) => cannotMove(phys, zone, pfn, kind, mode))) return -EBUSY;
  linkFresh(phys, zone, start, end);
  pageblocksOf(phys, start, end).forEach((pfn, i) => {
    types[i] = pageblockType(phys, pfn);
    retypePageblock(phys, zone, pfn, MIGRATE_ISOLATE);
  });
  return 0;
}

/**
 * Gives the pageblocks that touch [start, end) the types they had (`undo_isolate_page_range`); free ones are given out
 * again. InvariantError NOT_ISOLATED, with nothing changed; RangeError as above.
 */
export function undoIsolatePageRange(phys: Phys, start: number, end: number, types: Uint8Array): void {
  checkRange(phys, start, end);
  checkTypes(phys, start, end, types);
  for (const pfn of pageblocksOf(phys, start, end)) {
    if (pageblockType(phys, pfn) === MIGRATE_ISOLATE) continue;
    throw new InvariantError('NOT_ISOLATED', `the pageblock at frame ${pfn} is not isolated`);
  }
  pageblocksOf(phys, start, end).forEach((pfn, i) => retypePageblock(phys, frameZone(phys, pfn), pfn, types[i]!));
}

function checkTypes(phys: Phys, start: number, end: number, types: Uint8Array): void {
  const least = countPageblocks(phys, start, end);
  if (types instanceof Uint8Array && types.length >= least) return;
  throw new RangeError(`types: expected a Uint8Array of at least ${least} bytes`);
}

/**
 * 0 when every frame of [start, end) is free in an isolated pageblock (`test_pages_isolated`), or poisoned with
 * PB_ISOLATE_MODE_MEM_OFFLINE; else -EBUSY.
 */
export function testPagesIsolated(phys: Phys, start: number, end: number, mode: number): number {
  checkRange(phys, start, end);
  const zone = zoneOfRange(phys, start, end);
  if (zone === null) return -EBUSY;
  for (const pfn of pageblocksOf(phys, start, end)) if (pageblockType(phys, pfn) !== MIGRATE_ISOLATE) return -EBUSY;
  const inUse = someBlock(phys, zone, start, end, (pfn, _, kind) => {
    if (kind === BLOCK_POISONED) return mode !== PB_ISOLATE_MODE_MEM_OFFLINE;
    return (phys.hot[(pfn << 2) + HOT_FLAGS]! & PG_BUDDY) === 0;
  });
  return inUse ? -EBUSY : 0;
}

/**
 * Takes the free blocks of [start, end) off the ISOLATE lists; what of them lies outside stays there, in smaller
 * blocks. `testPagesIsolated` has said 0. The frames' words are zero, but for poisoned ones.
 */
export function takeIsolated(phys: Phys, zone: Zone, start: number, end: number): void {
  someBlock(phys, zone, start, end, (pfn, size, kind) => {
    if (kind !== BLOCK_FREE) return false;
    delFromFreeList(phys, zone, pfn, 31 - Math.clz32(size), MIGRATE_ISOLATE);
    accountFree(zone, -size, MIGRATE_ISOLATE);
    giveBack(phys, zone, pfn, Math.max(pfn, start));
    giveBack(phys, zone, Math.min(pfn + size, end), pfn + size);
    return false;
  });
}

/** Frees [start, end), part of a block that was isolated, in the largest blocks. */
function giveBack(phys: Phys, zone: Zone, start: number, end: number): void {
  for (let pfn = start; pfn < end; ) {
    const order = Math.min(31 - Math.clz32(pfn & -pfn), 31 - Math.clz32(end - pfn));
    freeOnePage(phys, zone, pfn, order, MIGRATE_ISOLATE, false);
    pfn += 1 << order;
  }
}
