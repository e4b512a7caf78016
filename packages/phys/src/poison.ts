/**
 * Bad memory: the bookkeeping of `memory_failure` and `unpoison_memory` on frames. PG_HWPOISON is a flag of the very
 * page, not of its folio. A free frame is taken out of the buddy lists at once (`take_page_off_buddy`), one in use when
 * it is freed. A poisoned frame that nobody uses has count 0 and PG_HWPOISON alone in its words; it counts nowhere as
 * free and is never given out again. Killing and unmapping its users is the caller's.
 *
 * Differs from Linux: Linux keeps one reference on a poisoned frame it took out of the lists; a block freed with
 * poisoned frames gives its good ones back, where Linux 6.18 does so for folios split before.
 */
import { EBUSY, EHWPOISON, ENXIO } from '@mmkit/base';
import { freeOnePage, frameZone, pageblockType } from './buddy.ts';
import { accountFree, addToFreeList, delFromFreeList, linkFresh } from './free-area.ts';
import { checkFrame, HOT_FLAGS, HOT_REFCOUNT, MAX_PAGE_ORDER } from './frame.ts';
import type { Phys } from './frame.ts';
import { freeClean } from './page-alloc.ts';
import { ORDER_SHIFT, PG_BUDDY, PG_HWPOISON, PG_PCP, PG_RESERVED } from './page-flags.ts';
import { drainPages } from './pcp.ts';

/**
 * A frame has gone bad (`memory_failure`): 0, or with nothing changed -EHWPOISON (it is known already), -EBUSY
 * (reserved, the zero page) or -ENXIO (a hole).
 */
export function setHwpoison(phys: Phys, pfn: number): number {
  checkFrame(phys, pfn);
  const { hot } = phys;
  const at = (pfn << 2) + HOT_FLAGS;
  if ((hot[at]! & PG_HWPOISON) !== 0) return -EHWPOISON;
  if ((hot[at]! & PG_RESERVED) !== 0) return -EBUSY;
  const zone = frameZone(phys, pfn);
  linkFresh(phys, zone, pfn, pfn + 1);
  let head = blockHead(phys, pfn);
  if (head < 0) return -ENXIO;
  if ((hot[(head << 2) + HOT_FLAGS]! & PG_PCP) !== 0) {
    drainPages(phys);
    head = blockHead(phys, pfn);
  }
  if ((hot[(head << 2) + HOT_FLAGS]! & PG_BUDDY) !== 0) takePageOffBuddy(phys, pfn, head);
  hot[at]! |= PG_HWPOISON;
  phys.numPoisoned++;
  return 0;
}

/** The head of the block, free or not, that holds a frame; −1: none does, the frame lies in a hole. */
function blockHead(phys: Phys, pfn: number): number {
  const { hot } = phys;
  for (let order = 0; order <= MAX_PAGE_ORDER; order++) {
    const head = pfn & -(1 << order);
    const flags = hot[(head << 2) + HOT_FLAGS]!;
    const used = hot[(head << 2) + HOT_REFCOUNT] !== 0 || (flags & (PG_BUDDY | PG_PCP)) !== 0;
    if (used && flags >>> ORDER_SHIFT >= order) return head;
  }
  return -1;
}

/** Takes one frame out of the free block at `head`; the rest goes back in halves (`take_page_off_buddy`). */
function takePageOffBuddy(phys: Phys, pfn: number, head: number): void {
  const zone = frameZone(phys, head);
  const type = pageblockType(phys, head);
  let order = phys.hot[(head << 2) + HOT_FLAGS]! >>> ORDER_SHIFT;
  delFromFreeList(phys, zone, head, order, type);
  while (order > 0) {
    order--;
    addToFreeList(phys, zone, (pfn & -(1 << order)) ^ (1 << order), order, type, false);
  }
  accountFree(zone, -1, type);
}

/** True when one of 2^order frames is poisoned. */
export function hasPoison(phys: Phys, pfn: number, order: number): boolean {
  if (phys.numPoisoned === 0) return false;
  const end = pfn + (1 << order);
  for (let frame = pfn; frame < end; frame++) {
    if ((phys.hot[(frame << 2) + HOT_FLAGS]! & PG_HWPOISON) !== 0) return true;
  }
  return false;
}

/** Frees a block that has poisoned frames, its words still as they were: they stay, the others are freed. */
export function freePoisoned(phys: Phys, pfn: number, order: number): void {
  const { hot, cold } = phys;
  const end = (pfn + (1 << order)) << 2;
  for (let at = pfn << 2; at < end; at++) {
    hot[at]! &= (at & 3) === HOT_FLAGS ? PG_HWPOISON : 0;
    cold[at] = 0;
  }
  freeGood(phys, pfn, order);
}

/** Frees the good frames of a block, whose words are zero but for PG_HWPOISON, in the largest pieces. */
function freeGood(phys: Phys, pfn: number, order: number): void {
  if (!hasPoison(phys, pfn, order)) return freeClean(phys, pfn, order);
  if (order === 0) return;
  freeGood(phys, pfn, order - 1);
  freeGood(phys, pfn + (1 << (order - 1)), order - 1);
}

/** A poisoned frame is good after all (`unpoison_memory`): 0, or -EBUSY when it is not poisoned. */
export function unpoison(phys: Phys, pfn: number): number {
  checkFrame(phys, pfn);
  const at = (pfn << 2) + HOT_FLAGS;
  if ((phys.hot[at]! & PG_HWPOISON) === 0) return -EBUSY;
  phys.hot[at]! &= ~PG_HWPOISON;
  phys.numPoisoned--;
  if (blockHead(phys, pfn) < 0) freeOnePage(phys, frameZone(phys, pfn), pfn, 0, pageblockType(phys, pfn), false);
  return 0;
}
