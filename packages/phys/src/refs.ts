/**
 * Reference and pin arithmetic (B.7, B.8): `folio_get`, `folio_put`, `try_get_folio`, `try_grab_folio`,
 * `try_grab_folio_fast`, `gup_put_folio`, `folio_add_pin`, `folio_maybe_dma_pinned`, `folio_is_longterm_pinnable`. A
 * reference counts 1. A pin of a small folio counts 1024, one of a large folio 1 and 1 in `_pincount`; the zero page
 * counts references and ignores pins. A PFN stands for the folio of that page: for a tail, its head.
 *
 * Differs from Linux: a count never goes beyond 2^31 − 1. Linux lets it turn negative once and refuses from then on;
 * here the call that would is refused. Counts are atomic in Linux; here calls run one at a time, shared.ts is for
 * several threads. A block of order > 0 without GFP_COMP counts as a small folio, on its head.
 */
import { checkInteger, ENOMEM, FOLL_GET, FOLL_LONGTERM, FOLL_PIN, InvariantError } from '@mmkit/base';
import { frameZone, pageblockType } from './buddy.ts';
import { folioEntireMapcount, folioPincount, headOf, tailWord } from './folio.ts';
import { checkFrame, HOT_FLAGS, HOT_MAPCOUNT, HOT_OWNER, HOT_REFCOUNT, MAX_COUNT, TAIL_PINCOUNT } from './frame.ts';
import type { Phys } from './frame.ts';
import { freeLastReference } from './page-alloc.ts';
import { PG_HEAD, PG_TAIL } from './page-flags.ts';
import { bookPins, debitPins, PinScope } from './pin-ledger.ts';
import { MIGRATE_CMA, MIGRATE_ISOLATE, ZONE_MOVABLE } from './zone.ts';

/** What one pin adds to the reference count of a small folio. */
export const GUP_PIN_COUNTING_BIAS = 1024;
/** What tells the frames of a large folio. */
const LARGE = PG_HEAD | PG_TAIL;

function checkRefs(refs: number): void {
  if ((refs | 0) !== refs || refs <= 0) checkInteger('refs', refs, 1, MAX_COUNT);
}

/** The head of the large folio that a frame is a tail of, −1: it is no tail. */
function headOfTail(hot: Int32Array, pfn: number): number {
  return (hot[(pfn << 2) + HOT_FLAGS]! & PG_TAIL) === 0 ? -1 : hot[(pfn << 2) + HOT_OWNER]!;
}

/** The reference count of a frame's folio (`page_count`, `folio_ref_count`). */
export function pageRefCount(phys: Phys, pfn: number): number {
  checkFrame(phys, pfn);
  return phys.hot[(headOf(phys.hot, pfn) << 2) + HOT_REFCOUNT]!;
}

/**
 * How many page-table entries map this very frame, large ones of its folio included (`folio_precise_page_mapcount`).
 */
export function pageMapCount(phys: Phys, pfn: number): number {
  checkFrame(phys, pfn);
  const at = pfn << 2;
  const own = phys.hot[at + HOT_MAPCOUNT]!;
  return (phys.hot[at + HOT_FLAGS]! & LARGE) === 0 ? own : own + folioEntireMapcount(phys, pfn);
}

/**
 * Adds `refs` references to a folio that has some (`folio_get`). InvariantError, with nothing changed: GET_FROM_ZERO
 * (free, or inside a block), REF_OVERFLOW.
 */
export function getPage(phys: Phys, pfn: number, refs: number = 1): void {
  checkFrame(phys, pfn);
  checkRefs(refs);
  const hot = phys.hot;
  const at = (pfn << 2) + HOT_REFCOUNT;
  const count = hot[at]!;
  if (count > 0 && refs <= MAX_COUNT - count) hot[at] = count + refs;
  else if (!tryGetFolio(phys, pfn, refs)) refuseGet(phys, pfn, refs);
}

/** Says why a folio cannot be got. */
function refuseGet(phys: Phys, pfn: number, refs: number): never {
  const count = pageRefCount(phys, pfn);
  if (count === 0) throw new InvariantError('GET_FROM_ZERO', `frame ${pfn} has no reference to add to`);
  throw new InvariantError('REF_OVERFLOW', `frame ${pfn} has ${count} references, ${refs} more are too many`);
}

/**
 * Drops `refs` references (`folio_put_refs`); the last one frees the block. InvariantError, with nothing changed:
 * PUT_BELOW_ZERO, and where the last reference goes what `freeLastReference` refuses: FREE_RESERVED, FREE_MAPPED,
 * FREE_PINNED, FREE_LOCKED, FREE_REFERENCED.
 */
export function putPage(phys: Phys, pfn: number, refs: number = 1): void {
  checkFrame(phys, pfn);
  checkRefs(refs);
  const hot = phys.hot;
  const at = (pfn << 2) + HOT_REFCOUNT;
  const count = hot[at]!;
  if (count > refs) hot[at] = count - refs;
  else if (count === refs) freeLastReference(phys, pfn);
  else putHead(phys, pfn, refs);
}

/** The same by a tail; throws for others. */
function putHead(phys: Phys, pfn: number, refs: number): void {
  const head = headOfTail(phys.hot, pfn);
  if (head >= 0) return putPage(phys, head, refs);
  const count = phys.hot[(pfn << 2) + HOT_REFCOUNT]!;
  throw new InvariantError('PUT_BELOW_ZERO', `frame ${pfn} has ${count} references, ${refs} were put`);
}

/**
 * Adds `refs` references unless the folio has none or has too many (`try_get_folio`): what a lock-free reader does
 * with a frame that may be freed meanwhile. True when added.
 */
export function tryGetFolio(phys: Phys, pfn: number, refs: number): boolean {
  checkFrame(phys, pfn);
  checkRefs(refs);
  const hot = phys.hot;
  const at = (pfn << 2) + HOT_REFCOUNT;
  const count = hot[at]!;
  if (count <= 0 || refs > MAX_COUNT - count) {
    const head = headOfTail(hot, pfn);
    return head >= 0 && tryGetFolio(phys, head, refs);
  }
  hot[at] = count + refs;
  return true;
}

/** Adds `refs` pins to a folio that is not the zero page; false when it has no reference or too many. */
function tryPin(phys: Phys, pfn: number, refs: number): boolean {
  const hot = phys.hot;
  if ((hot[(pfn << 2) + HOT_FLAGS]! & LARGE) !== 0) return tryPinLarge(phys, headOf(hot, pfn), refs);
  const at = (pfn << 2) + HOT_REFCOUNT;
  const count = hot[at]!;
  if (count <= 0 || refs > (MAX_COUNT - count) >> 10) return false;
  hot[at] = count + refs * GUP_PIN_COUNTING_BIAS;
  phys.nrFollPinAcquired += refs;
  return true;
}

/** The same for the large folio at `head`. */
function tryPinLarge(phys: Phys, head: number, refs: number): boolean {
  if (!tryGetFolio(phys, head, refs)) return false;
  phys.cold[tailWord(head, TAIL_PINCOUNT)]! += refs;
  phys.nrFollPinAcquired += refs;
  return true;
}

/**
 * Takes what `flags` ask for, `refs` times (`try_grab_folio`, slow GUP: the caller holds the page-table lock):
 * FOLL_GET references, FOLL_PIN pins, neither nothing. 0, or -ENOMEM when the folio has no reference or too many.
 */
export function tryGrabFolio(phys: Phys, pfn: number, refs: number, flags: number): number {
  checkFrame(phys, pfn);
  checkRefs(refs);
  if ((flags & FOLL_GET) !== 0) return tryGetFolio(phys, pfn, refs) ? 0 : -ENOMEM;
  if ((flags & FOLL_PIN) === 0) return pageRefCount(phys, pfn) > 0 ? 0 : -ENOMEM;
  return pfn === phys.zeroPfn || tryPin(phys, pfn, refs) ? 0 : -ENOMEM;
}

/**
 * The same for gup-fast, which holds nothing (`try_grab_folio_fast`): true when taken; false when the folio has no
 * reference or too many, when `flags` have neither FOLL_GET nor FOLL_PIN, and for FOLL_PIN with FOLL_LONGTERM where the
 * folio may not be pinned for long.
 */
export function tryGrabFolioFast(phys: Phys, pfn: number, refs: number, flags: number): boolean {
  checkFrame(phys, pfn);
  checkRefs(refs);
  if ((flags & FOLL_GET) !== 0) return tryGetFolio(phys, pfn, refs);
  if ((flags & FOLL_PIN) === 0) return false;
  if (pfn === phys.zeroPfn) return true;
  if ((flags & FOLL_LONGTERM) !== 0 && !folioIsLongtermPinnable(phys, pfn)) return false;
  return tryPin(phys, pfn, refs);
}

/**
 * Gives back what a grab with the same `flags` took (`gup_put_folio`); the last reference frees the folio. Throws what
 * `putPage` throws; for pins PIN_BELOW_ZERO where there are less than `refs`.
 */
export function gupPutFolio(phys: Phys, pfn: number, refs: number, flags: number): void {
  checkFrame(phys, pfn);
  checkRefs(refs);
  if ((flags & FOLL_GET) !== 0) return putPage(phys, pfn, refs);
  if ((flags & FOLL_PIN) === 0 || pfn === phys.zeroPfn) return;
  const hot = phys.hot;
  const at = (pfn << 2) + HOT_REFCOUNT;
  if ((hot[(pfn << 2) + HOT_FLAGS]! & LARGE) !== 0) return unpinLarge(phys, headOf(hot, pfn), refs);
  const left = hot[at]! - refs * GUP_PIN_COUNTING_BIAS;
  if (left < 0) {
    throw new InvariantError('PIN_BELOW_ZERO', `frame ${pfn} has ${hot[at]!} references, ${refs} pins were dropped`);
  }
  if (left === 0) freeLastReference(phys, pfn);
  else hot[at] = left;
  phys.nrFollPinReleased += refs;
}

/** Drops `refs` pins of the large folio at `head`: first the pins, then the references, as the last one frees it. */
function unpinLarge(phys: Phys, head: number, refs: number): void {
  const { cold } = phys;
  const pinsAt = tailWord(head, TAIL_PINCOUNT);
  const pins = cold[pinsAt]!;
  if (pins < refs) {
    throw new InvariantError('PIN_BELOW_ZERO', `the folio at frame ${head} has ${pins} pins, ${refs} were dropped`);
  }
  cold[pinsAt] = pins - refs;
  try {
    putPage(phys, head, refs);
  } catch (error) {
    cold[pinsAt] = pins;
    throw error;
  }
  phys.nrFollPinReleased += refs;
}

/**
 * Drops `pins` pins of a folio (`unpin_user_folio`, `unpin_folio`), which `scope` took as far as the ledger of pins knows;
 * throws what `gupPutFolio` throws.
 */
export function unpinFolio(phys: Phys, pfn: number, pins: number = 1, scope: PinScope | null = null): void {
  const { pinLedger } = phys;
  if (pinLedger === null) return gupPutFolio(phys, pfn, pins, FOLL_PIN);
  checkFrame(phys, pfn);
  // The last pin may free the folio.
  const folio = headOf(phys.hot, pfn);
  gupPutFolio(phys, pfn, pins, FOLL_PIN);
  if (pfn !== phys.zeroPfn) debitPins(pinLedger, folio, pins, scope);
}

/**
 * Adds a pin to a folio that is pinned (`folio_add_pin`); nothing for the zero page. InvariantError, with nothing
 * changed: ADD_PIN_UNPINNED (Linux warns), REF_OVERFLOW. Counted as acquired, so that acquired − released stays the
 * number of pins; booked to `scope` where a ledger of pins is kept.
 */
export function folioAddPin(phys: Phys, pfn: number, scope: PinScope | null = null): void {
  checkFrame(phys, pfn);
  if (pfn === phys.zeroPfn) return;
  if (pageRefCount(phys, pfn) <= 0 || !folioMaybeDmaPinned(phys, pfn)) {
    throw new InvariantError('ADD_PIN_UNPINNED', `frame ${pfn} is not pinned`);
  }
  if (!tryPin(phys, pfn, 1)) throw new InvariantError('REF_OVERFLOW', `frame ${pfn} has too many references to pin it`);
  bookPins(phys, Uint32Array.of(pfn), 0, 1, scope);
}

/**
 * True when the folio may be pinned (`folio_maybe_dma_pinned`). Large: exact. Small: its count, taken as unsigned, is
 * 1024 or more; never false for a pinned frame, true also for one with 1024 plain references, or an overflowed count.
 */
export function folioMaybeDmaPinned(phys: Phys, pfn: number): boolean {
  checkFrame(phys, pfn);
  const hot = phys.hot;
  if ((hot[(pfn << 2) + HOT_FLAGS]! & LARGE) !== 0) return folioPincount(phys, pfn) > 0;
  return hot[(pfn << 2) + HOT_REFCOUNT]! >>> 0 >= GUP_PIN_COUNTING_BIAS;
}

/**
 * True when a long-term pin of the folio would stand in nobody's way (`folio_is_longterm_pinnable`, B.8): not in a
 * pageblock of type CMA or ISOLATE, not in ZONE_MOVABLE; the zero page always.
 */
export function folioIsLongtermPinnable(phys: Phys, pfn: number): boolean {
  checkFrame(phys, pfn);
  if (pfn === phys.zeroPfn) return true;
  const head = headOf(phys.hot, pfn);
  const type = pageblockType(phys, head);
  return type !== MIGRATE_CMA && type !== MIGRATE_ISOLATE && frameZone(phys, head).kind !== ZONE_MOVABLE;
}
