/**
 * Reference and pin arithmetic (B.7, small folios): `folio_get`, `folio_put`, `try_get_folio`, `try_grab_folio`,
 * `try_grab_folio_fast`, `gup_put_folio`, `folio_maybe_dma_pinned`. A reference counts 1, a pin 1024; the zero page
 * counts references and ignores pins.
 *
 * Differs from Linux: a count never goes beyond 2^31 − 1. Linux lets it turn negative once and refuses from then on;
 * here the call that would is refused. Counts are atomic in Linux; here calls run one at a time. Pins of large folios
 * (`_pincount`) are not here: a block of order > 0 counts as a small folio, on its head.
 */
import { checkInteger, ENOMEM, FOLL_GET, FOLL_PIN, InvariantError } from '@mmkit/base';
import { checkFrame, HOT_MAPCOUNT, HOT_REFCOUNT } from './frame.ts';
import type { Phys } from './frame.ts';
import { freeLastReference } from './page-alloc.ts';

/** What one pin adds to the reference count of a small folio. */
export const GUP_PIN_COUNTING_BIAS = 1024;
/** Largest reference count. */
const MAX_COUNT = 0x7fff_ffff;

function checkRefs(refs: number): void {
  if ((refs | 0) !== refs || refs <= 0) checkInteger('refs', refs, 1, MAX_COUNT);
}

/** The reference count of a frame (`page_ref_count`). */
export function pageRefCount(phys: Phys, pfn: number): number {
  checkFrame(phys, pfn);
  return phys.hot[(pfn << 2) + HOT_REFCOUNT]!;
}

/** How many page-table entries map a frame (`folio_mapcount`). */
export function pageMapCount(phys: Phys, pfn: number): number {
  checkFrame(phys, pfn);
  return phys.hot[(pfn << 2) + HOT_MAPCOUNT]!;
}

/**
 * Adds `refs` references to a frame that has some (`folio_get`). InvariantError, with nothing changed: GET_FROM_ZERO
 * (free, or inside a block), REF_OVERFLOW.
 */
export function getPage(phys: Phys, pfn: number, refs: number = 1): void {
  checkFrame(phys, pfn);
  checkRefs(refs);
  const hot = phys.hot;
  const at = (pfn << 2) + HOT_REFCOUNT;
  const count = hot[at]!;
  if (count === 0) throw new InvariantError('GET_FROM_ZERO', `frame ${pfn} has no reference to add to`);
  if (count < 0 || refs > MAX_COUNT - count) {
    throw new InvariantError('REF_OVERFLOW', `frame ${pfn} has ${count} references, ${refs} more are too many`);
  }
  hot[at] = count + refs;
}

/**
 * Drops `refs` references (`folio_put_refs`); the last one frees the block. InvariantError, with nothing changed:
 * PUT_BELOW_ZERO, and where the last reference goes what `freeLastReference` refuses: FREE_RESERVED, FREE_MAPPED,
 * FREE_LOCKED, FREE_REFERENCED.
 */
export function putPage(phys: Phys, pfn: number, refs: number = 1): void {
  checkFrame(phys, pfn);
  checkRefs(refs);
  const hot = phys.hot;
  const at = (pfn << 2) + HOT_REFCOUNT;
  const count = hot[at]!;
  if (count > refs) hot[at] = count - refs;
  else if (count === refs) freeLastReference(phys, pfn);
  else throw new InvariantError('PUT_BELOW_ZERO', `frame ${pfn} has ${count} references, ${refs} were put`);
}

/**
 * Adds `refs` references unless the frame has none or has too many (`try_get_folio`): what a lock-free reader does
 * with a frame that may be freed meanwhile. True when added.
 */
export function tryGetFolio(phys: Phys, pfn: number, refs: number): boolean {
  checkFrame(phys, pfn);
  checkRefs(refs);
  const hot = phys.hot;
  const at = (pfn << 2) + HOT_REFCOUNT;
  const count = hot[at]!;
  if (count <= 0 || refs > MAX_COUNT - count) return false;
  hot[at] = count + refs;
  return true;
}

/** Adds `refs` pins to a frame that is not the zero page; false when it has no reference or too many. */
function tryPin(phys: Phys, pfn: number, refs: number): boolean {
  const hot = phys.hot;
  const at = (pfn << 2) + HOT_REFCOUNT;
  const count = hot[at]!;
  if (count <= 0 || refs > (MAX_COUNT - count) >> 10) return false;
  hot[at] = count + refs * GUP_PIN_COUNTING_BIAS;
  phys.nrFollPinAcquired += refs;
  return true;
}

/**
 * Takes what `flags` ask for, `refs` times (`try_grab_folio`, slow GUP: the caller holds the page-table lock):
 * FOLL_GET references, FOLL_PIN pins, neither nothing. 0, or -ENOMEM when the frame has no reference or too many.
 */
export function tryGrabFolio(phys: Phys, pfn: number, refs: number, flags: number): number {
  checkFrame(phys, pfn);
  checkRefs(refs);
  if (phys.hot[(pfn << 2) + HOT_REFCOUNT]! <= 0) return -ENOMEM;
  if ((flags & FOLL_GET) !== 0) return tryGetFolio(phys, pfn, refs) ? 0 : -ENOMEM;
  if ((flags & FOLL_PIN) === 0 || pfn === phys.zeroPfn) return 0;
  return tryPin(phys, pfn, refs) ? 0 : -ENOMEM;
}

/**
 * The same for gup-fast, which holds nothing (`try_grab_folio_fast`): true when taken; false when the frame has no
 * reference or too many, and when `flags` have neither FOLL_GET nor FOLL_PIN.
 */
export function tryGrabFolioFast(phys: Phys, pfn: number, refs: number, flags: number): boolean {
  checkFrame(phys, pfn);
  checkRefs(refs);
  if ((flags & FOLL_GET) !== 0) return tryGetFolio(phys, pfn, refs);
  if ((flags & FOLL_PIN) === 0) return false;
  return pfn === phys.zeroPfn || tryPin(phys, pfn, refs);
}

/**
 * Gives back what a grab with the same `flags` took (`gup_put_folio`); the last reference frees the frame. Throws what
 * `putPage` throws; for pins PIN_BELOW_ZERO where the count is less than the pins.
 */
export function gupPutFolio(phys: Phys, pfn: number, refs: number, flags: number): void {
  checkFrame(phys, pfn);
  checkRefs(refs);
  if ((flags & FOLL_GET) !== 0) return putPage(phys, pfn, refs);
  if ((flags & FOLL_PIN) === 0 || pfn === phys.zeroPfn) return;
  const hot = phys.hot;
  const at = (pfn << 2) + HOT_REFCOUNT;
  const left = hot[at]! - refs * GUP_PIN_COUNTING_BIAS;
  if (left < 0) {
    throw new InvariantError('PIN_BELOW_ZERO', `frame ${pfn} has ${hot[at]!} references, ${refs} pins were dropped`);
  }
  if (left === 0) freeLastReference(phys, pfn);
  else hot[at] = left;
  phys.nrFollPinReleased += refs;
}

/**
 * True when the frame may be pinned (`folio_maybe_dma_pinned`): its count, taken as unsigned, is 1024 or more. Never
 * false for a pinned frame; true also for one with 1024 plain references, or an overflowed count.
 */
export function folioMaybeDmaPinned(phys: Phys, pfn: number): boolean {
  checkFrame(phys, pfn);
  return phys.hot[(pfn << 2) + HOT_REFCOUNT]! >>> 0 >= GUP_PIN_COUNTING_BIAS;
}
