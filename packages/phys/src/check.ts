/**
 * `checkPhys`: is the allocator's state consistent? For tests and for the explorer, at points where no call is under
 * way; it walks every frame that was ever used. In the spirit of Linux's CONFIG_DEBUG_VM and "Bad page state" reports,
 * with the invariants 4, 5, 8, 11 and 15 of reference E.3.
 */
import { InvariantError } from '@mmkit/base';
import { COLD_NEXT, COLD_PREV, HOT_FLAGS, HOT_MAPCOUNT, HOT_OWNER, HOT_REFCOUNT, MAX_PAGE_ORDER } from './frame.ts';
import type { Phys } from './frame.ts';
import { ORDER_SHIFT, PG_BUDDY, PG_DIRTY, PG_PCP, PG_RESERVED } from './page-flags.ts';
import { frameWordIndex } from './ram.ts';
import { countFrames } from './views.ts';

/**
 * Throws InvariantError where the state is inconsistent: BAD_LIST (a free list), BAD_FREE (a free frame with words in
 * use, a block not merged with its buddy), BAD_COUNT (counts that contradict each other), BAD_ZERO_PAGE (the zero page
 * was written). Changes nothing.
 */
export function checkPhys(phys: Phys): void {
  const listed = checkFreeLists(phys) + checkPcp(phys);
  const found = checkFrames(phys);
  if (listed !== found) throw new InvariantError('BAD_LIST', `${listed} frames on free lists, ${found} marked free`);
  const free = listed + phys.frames - phys.frontier;
  if (free !== phys.freeFrames) {
    throw new InvariantError('BAD_COUNT', `freeFrames is ${phys.freeFrames}, found ${free} free frames`);
  }
  const live = phys.nrFollPinAcquired - phys.nrFollPinReleased;
  const pins = countFrames(phys).pins;
  if (live < 0 || live > pins) {
    throw new InvariantError('BAD_COUNT', `${live} pins by the counters, room for ${pins} in the frames`);
  }
  checkZeroPage(phys);
}

/** Walks the lists; returns the frames on them. */
function checkFreeLists(phys: Phys): number {
  const { hot, cold, frontier } = phys;
  let frames = 0;
  for (let order = 0; order <= MAX_PAGE_ORDER; order++) {
    let pfn = phys.freeHeads[order]!;
    if ((pfn !== 0) !== ((phys.freeOrders >>> order) % 2 === 1)) {
      throw new InvariantError('BAD_LIST', `bit ${order} of freeOrders does not tell whether the list is empty`);
    }
    let prev = 0;
    while (pfn !== 0) {
      if (pfn < 0 || pfn + (1 << order) > frontier || hot[(pfn << 2) + HOT_FLAGS] !== freeFlags(order)) {
        throw new InvariantError('BAD_LIST', `frame ${pfn} on the list of order ${order} is no such free block`);
      }
      if (cold[(pfn << 2) + COLD_PREV] !== prev) {
        throw new InvariantError('BAD_LIST', `frame ${pfn} on the list of order ${order} has a wrong back link`);
      }
      frames += 1 << order;
      prev = pfn;
      pfn = cold[(pfn << 2) + COLD_NEXT]!;
    }
  }
  return frames;
}

/** Walks the single frames in front of the lists; returns how many there are. */
function checkPcp(phys: Phys): number {
  let frames = 0;
  for (let pfn = phys.pcpHead; pfn !== 0; pfn = phys.cold[(pfn << 2) + COLD_NEXT]!) {
    if (phys.hot[(pfn << 2) + HOT_FLAGS] !== PG_PCP || frames === phys.pcpCount) {
      throw new InvariantError('BAD_LIST', `frame ${pfn} in front of the lists is not a single free frame`);
    }
    frames++;
  }
  if (frames !== phys.pcpCount) {
    throw new InvariantError('BAD_LIST', `pcpCount is ${phys.pcpCount}, found ${frames} frames`);
  }
  return frames;
}

/** Walks the used part of the frame table block by block; returns the frames marked free. */
function checkFrames(phys: Phys): number {
  const { hot, frontier } = phys;
  let free = 0;
  let pfn = 0;
  while (pfn < frontier) {
    const flags = hot[(pfn << 2) + HOT_FLAGS]!;
    const order = flags >>> ORDER_SHIFT;
    const end = pfn + (1 << order);
    if (order > MAX_PAGE_ORDER || pfn % (1 << order) !== 0 || end > frontier) {
      throw new InvariantError('BAD_FREE', `frame ${pfn} heads a block of order ${order}`);
    }
    if ((flags & (PG_BUDDY | PG_PCP)) !== 0) {
      checkFreeBlock(phys, pfn, order);
      free += end - pfn;
    } else {
      checkUsed(phys, pfn);
    }
    pfn = end;
  }
  return free;
}

/** A free block: nothing in its words but its own flags; its buddy is not free too. */
function checkFreeBlock(phys: Phys, pfn: number, order: number): void {
  const hot = phys.hot;
  for (let frame = pfn; frame < pfn + (1 << order); frame++) {
    const at = frame << 2;
    const flags = frame === pfn ? 0 : hot[at + HOT_FLAGS]!;
    if ((hot[at + HOT_REFCOUNT]! | flags | hot[at + HOT_MAPCOUNT]! | hot[at + HOT_OWNER]!) !== 0) {
      throw new InvariantError('BAD_FREE', `free frame ${frame} has a count, flags, a mapping or an owner`);
    }
  }
  const buddy = pfn ^ (1 << order);
  const merges = order < MAX_PAGE_ORDER && buddy < phys.frontier && hot[(pfn << 2) + HOT_FLAGS] === freeFlags(order);
  if (merges && hot[(buddy << 2) + HOT_FLAGS] === freeFlags(order)) {
    throw new InvariantError('BAD_FREE', `free blocks ${pfn} and ${buddy} of order ${order} are not merged`);
  }
}

/** A frame given out, or reserved: it has references, at least one for each mapping (the zero page's do not count). */
function checkUsed(phys: Phys, pfn: number): void {
  const count = phys.hot[(pfn << 2) + HOT_REFCOUNT]!;
  const mapped = phys.hot[(pfn << 2) + HOT_MAPCOUNT]!;
  const reserved = (phys.hot[(pfn << 2) + HOT_FLAGS]! & PG_RESERVED) !== 0;
  if (count === 0) throw new InvariantError('BAD_COUNT', `frame ${pfn} is given out but has no references`);
  if (mapped < 0 || (!reserved && count > 0 && count < mapped)) {
    throw new InvariantError('BAD_COUNT', `frame ${pfn} has ${count} references and ${mapped} mappings`);
  }
}

/** The zero page holds zeros and is not dirty. */
function checkZeroPage(phys: Phys): void {
  const { zeroPfn, pageSize } = phys;
  const words = phys.chunks[zeroPfn >> phys.chunkShift];
  const start = frameWordIndex(phys, zeroPfn);
  if ((phys.hot[(zeroPfn << 2) + HOT_FLAGS]! & PG_DIRTY) !== 0) {
    throw new InvariantError('BAD_ZERO_PAGE', 'the zero page is dirty');
  }
  for (let i = start; words !== undefined && i < start + pageSize / 4; i++) {
    if (words[i] !== 0) throw new InvariantError('BAD_ZERO_PAGE', 'the zero page was written');
  }
}

/** The flags word of a free block's head. */
function freeFlags(order: number): number {
  return PG_BUDDY | (order << ORDER_SHIFT);
}
