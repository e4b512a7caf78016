/**
 * Allocating and freeing frames (`alloc_pages`, `__free_pages`). Single frames go through a short list in front of the
 * buddy lists (Linux's per-CPU page lists, here one a machine): last freed, first given, not merged until the buddy
 * lists need them.
 *
 * Differs from Linux: a block of order > 0 is always freed whole by its last reference; nothing waits or reclaims; a
 * frame that Linux would report as "Bad page state" is not freed at all but refused.
 */
import { checkInteger, ENOMEM, InvariantError } from '@mmkit/base';
import { takeFreeBlock, giveFreeBlock } from './free-area.ts';
import {
  checkFrame,
  COLD_INDEX,
  COLD_NEXT,
  COLD_PREV,
  COLD_PRIVATE,
  HOT_FLAGS,
  HOT_MAPCOUNT,
  HOT_OWNER,
  HOT_REFCOUNT,
  MAX_PAGE_ORDER,
} from './frame.ts';
import type { Phys } from './frame.ts';
import { GFP_ZERO } from './gfp.ts';
import { ORDER_SHIFT, PG_LOCKED, PG_PCP, PG_RESERVED, PG_WRITEBACK } from './page-flags.ts';
import { zeroFrame } from './ram.ts';

/** Flags a frame may not have when it is freed. */
const CHECK_AT_FREE = PG_LOCKED | PG_WRITEBACK | PG_RESERVED;
/** The same, and the bits of an order above 0. */
const NOT_SIMPLE = CHECK_AT_FREE | (0xf << ORDER_SHIFT);

/**
 * Takes a block of 2^order frames (`alloc_pages`) and returns its first PFN: aligned to the block, reference count 1,
 * no flags, no owner; contents as they were, or zero with GFP_ZERO. Returns -ENOMEM when no block fits, and for an
 * order above MAX_PAGE_ORDER.
 */
export function allocPages(phys: Phys, gfp: number, order: number): number {
  const pfn = phys.pcpHead;
  if (order !== 0 || pfn === 0) return allocBlock(phys, gfp, order);
  const { hot, cold } = phys;
  phys.pcpHead = cold[(pfn << 2) + COLD_NEXT]!;
  phys.pcpCount--;
  phys.freeFrames--;
  cold[(pfn << 2) + COLD_NEXT] = 0;
  hot[(pfn << 2) + HOT_REFCOUNT] = 1;
  hot[(pfn << 2) + HOT_FLAGS] = 0;
  if ((gfp & GFP_ZERO) !== 0) zeroFrame(phys, pfn);
  return pfn;
}

/** A block from the buddy lists, where need be after the single frames in front have gone back to them. */
function allocBlock(phys: Phys, gfp: number, order: number): number {
  checkInteger('order', order, 0, Number.MAX_SAFE_INTEGER);
  if (order > MAX_PAGE_ORDER) return -ENOMEM;
  let pfn = takeFreeBlock(phys, order);
  if (pfn === 0 && phys.pcpCount !== 0) {
    drainPages(phys);
    pfn = takeFreeBlock(phys, order);
  }
  if (pfn === 0) return -ENOMEM;
  phys.freeFrames -= 1 << order;
  phys.hot[(pfn << 2) + HOT_REFCOUNT] = 1;
  phys.hot[(pfn << 2) + HOT_FLAGS] = order << ORDER_SHIFT;
  const end = pfn + (1 << order);
  if ((gfp & GFP_ZERO) !== 0) zeroFrames(phys, pfn, end);
  if (end > phys.untouched) phys.untouched = end;
  return pfn;
}

/** Zeroes [pfn, end), but for what nobody can have written to: other threads may, without a note here. */
function zeroFrames(phys: Phys, pfn: number, end: number): void {
  const written = phys.shared ? end : Math.min(end, phys.untouched);
  for (let frame = pfn; frame < written; frame++) zeroFrame(phys, frame);
}

/**
 * Frees the block of 2^order frames at `pfn`, dropping the one reference `allocPages` gave (`__free_pages`).
 * InvariantError, with nothing changed: DOUBLE_FREE (no reference: free already, or inside a block), FREE_RESERVED,
 * WRONG_ORDER, FREE_REFERENCED (others hold references), FREE_MAPPED, FREE_LOCKED (locked or under writeback).
 */
export function freePages(phys: Phys, pfn: number, order: number): void {
  checkFrame(phys, pfn);
  const hot = phys.hot;
  const at = pfn << 2;
  if (hot[at + HOT_REFCOUNT] !== 1 || hot[at + HOT_FLAGS]! >>> ORDER_SHIFT !== order) refuseFreePages(phys, pfn, order);
  freeLastReference(phys, pfn);
}

/** Says why the block at `pfn` may not be freed as one of `order` with one reference. */
function refuseFreePages(phys: Phys, pfn: number, order: number): never {
  checkInteger('order', order, 0, MAX_PAGE_ORDER);
  const count = phys.hot[(pfn << 2) + HOT_REFCOUNT]!;
  const flags = phys.hot[(pfn << 2) + HOT_FLAGS]!;
  if (count === 0) throw new InvariantError('DOUBLE_FREE', `frame ${pfn} is free already, or inside a block`);
  if ((flags & PG_RESERVED) !== 0) refuseFrame(phys, pfn);
  if (flags >>> ORDER_SHIFT !== order) {
    throw new InvariantError('WRONG_ORDER', `frame ${pfn} is of order ${flags >>> ORDER_SHIFT}, freed as ${order}`);
  }
  throw new InvariantError('FREE_REFERENCED', `frame ${pfn} has ${count} references`);
}

/**
 * Frees the block at `pfn`, whose last references the caller drops (`__folio_put`): the count becomes 0 here. Throws
 * FREE_RESERVED, FREE_MAPPED, FREE_LOCKED or FREE_REFERENCED (a frame inside the block) with nothing changed.
 */
export function freeLastReference(phys: Phys, pfn: number): void {
  const { hot, cold } = phys;
  const at = pfn << 2;
  const count = phys.pcpCount;
  if ((hot[at + HOT_FLAGS]! & NOT_SIMPLE) !== 0 || hot[at + HOT_MAPCOUNT] !== 0 || count >= phys.pcpHigh) {
    return freeBlock(phys, pfn);
  }
  hot[at + HOT_REFCOUNT] = 0;
  hot[at + HOT_FLAGS] = PG_PCP;
  hot[at + HOT_OWNER] = 0;
  cold[at + COLD_INDEX] = 0;
  cold[at + COLD_NEXT] = phys.pcpHead;
  cold[at + COLD_PREV] = 0;
  cold[at + COLD_PRIVATE] = 0;
  phys.pcpHead = pfn;
  phys.pcpCount = count + 1;
  phys.freeFrames++;
}

/** Frees a block to the buddy lists; throws before it changes anything when a frame of it is still in use. */
function freeBlock(phys: Phys, pfn: number): void {
  const { hot, cold } = phys;
  const order = hot[(pfn << 2) + HOT_FLAGS]! >>> ORDER_SHIFT;
  const end = pfn + (1 << order);
  for (let frame = pfn; frame < end; frame++) {
    const at = frame << 2;
    if (frame !== pfn && hot[at + HOT_REFCOUNT] !== 0) {
      throw new InvariantError('FREE_REFERENCED', `frame ${frame}, inside the block of ${pfn}, has references`);
    }
    if ((hot[at + HOT_FLAGS]! & CHECK_AT_FREE) !== 0 || hot[at + HOT_MAPCOUNT] !== 0) refuseFrame(phys, frame);
  }
  for (let at = pfn << 2; at < end << 2; at++) {
    hot[at] = 0;
    cold[at] = 0;
  }
  phys.freeFrames += 1 << order;
  giveFreeBlock(phys, pfn, order);
}

/** Says what keeps a frame from being freed. */
function refuseFrame(phys: Phys, pfn: number): never {
  const flags = phys.hot[(pfn << 2) + HOT_FLAGS]!;
  const mapped = phys.hot[(pfn << 2) + HOT_MAPCOUNT]!;
  if ((flags & PG_RESERVED) !== 0) throw new InvariantError('FREE_RESERVED', `frame ${pfn} is reserved`);
  if (mapped !== 0) throw new InvariantError('FREE_MAPPED', `frame ${pfn} is mapped ${mapped} times`);
  throw new InvariantError('FREE_LOCKED', `frame ${pfn} is locked or under writeback`);
}

/** Gives the single frames in front back to the buddy lists, which merge them (`drain_all_pages`). */
export function drainPages(phys: Phys): void {
  const { hot, cold } = phys;
  let pfn = phys.pcpHead;
  phys.pcpHead = 0;
  phys.pcpCount = 0;
  while (pfn !== 0) {
    const next = cold[(pfn << 2) + COLD_NEXT]!;
    hot[(pfn << 2) + HOT_FLAGS] = 0;
    cold[(pfn << 2) + COLD_NEXT] = 0;
    giveFreeBlock(phys, pfn, 0);
    pfn = next;
  }
}
