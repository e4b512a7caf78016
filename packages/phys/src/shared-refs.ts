/**
 * The functions of refs.ts for several threads, by the same names: counts are atomic, and the last reference leaves the
 * block to the owner (shared-phys.ts). As in Linux a folio with count 0 cannot be got, and a grab looks again whether
 * the page still belongs to the folio.
 *
 * While other threads run the owner too takes and drops references with these. Flags, map counts and owners are not
 * atomic: who writes them holds what Linux would hold. A folio may be split only while no other thread can reach it.
 */
import { checkInteger, ENOMEM, FOLL_GET, FOLL_LONGTERM, FOLL_PIN, InvariantError } from '@mmkit/base';
import { headOf, tailWord } from './folio.ts';
import {
  HOT_FLAGS,
  HOT_MAPCOUNT,
  HOT_REFCOUNT,
  SHARED_ACQUIRED,
  SHARED_RELEASED,
  TAIL_LARGE_MAPCOUNT,
  TAIL_PINCOUNT,
} from './frame.ts';
import { PG_HEAD, PG_LOCKED, PG_RESERVED, PG_WRITEBACK } from './page-flags.ts';
import { GUP_PIN_COUNTING_BIAS } from './refs.ts';
import { pushFreed } from './shared-phys.ts';
import type { SharedPhys } from './shared-phys.ts';
import { MIGRATE_CMA, MIGRATE_ISOLATE, ZONE_MOVABLE } from './zone.ts';

/** Largest reference count. */
const MAX_COUNT = 0x7fff_ffff;

function check(view: SharedPhys, pfn: number, refs: number): void {
  if (pfn >>> 0 !== pfn || pfn >= view.frames) checkInteger('pfn', pfn, 0, view.frames - 1);
  if ((refs | 0) !== refs || refs <= 0) checkInteger('refs', refs, 1, MAX_COUNT);
}

/** Adds to a count that is not 0, unless it would pass the largest (`atomic_add_unless`); true when added. */
function addUnlessZero(words: Int32Array, at: number, more: number): boolean {
  let count = Atomics.load(words, at);
  while (count > 0 && more <= MAX_COUNT - count) {
    const seen = Atomics.compareExchange(words, at, count, count + more);
    if (seen === count) return true;
    count = seen;
  }
  return false;
}

/** Drops references of the folio at `head`; the last one puts it on the list. Throws `code` where it has less. */
function dropRefs(view: SharedPhys, head: number, refs: number, code: string): void {
  const hot = view.hot;
  const at = (head << 2) + HOT_REFCOUNT;
  let count = Atomics.load(hot, at);
  for (;;) {
    if (count < refs) throw new InvariantError(code, `frame ${head} has ${count} references, ${refs} were dropped`);
    // Who drops all there are is alone with the folio: nobody can map, lock or pin it any more.
    if (count === refs) checkUnused(view, head);
    const seen = Atomics.compareExchange(hot, at, count, count - refs);
    if (seen === count) break;
    count = seen;
  }
  if (count === refs) pushFreed(view, head);
}

/** Throws when something but references keeps the folio at `head` from being freed. */
function checkUnused(view: SharedPhys, head: number): void {
  const { hot, cold } = view;
  const flags = hot[(head << 2) + HOT_FLAGS]!;
  const large = (flags & PG_HEAD) !== 0;
  const mapped = large ? cold[tailWord(head, TAIL_LARGE_MAPCOUNT)]! : hot[(head << 2) + HOT_MAPCOUNT]!;
  if ((flags & PG_RESERVED) !== 0) throw new InvariantError('FREE_RESERVED', `frame ${head} is reserved`);
  if (mapped !== 0) throw new InvariantError('FREE_MAPPED', `the folio at frame ${head} is mapped ${mapped} times`);
  if (large && cold[tailWord(head, TAIL_PINCOUNT)] !== 0) {
    throw new InvariantError('FREE_PINNED', `the large folio at frame ${head} is pinned`);
  }
  if ((flags & (PG_LOCKED | PG_WRITEBACK)) !== 0) {
    throw new InvariantError('FREE_LOCKED', `frame ${head} is locked or under writeback`);
  }
}

/** The reference count of a frame's folio (`folio_ref_count`). */
export function pageRefCount(view: SharedPhys, pfn: number): number {
  check(view, pfn, 1);
  return Atomics.load(view.hot, (headOf(view.hot, pfn) << 2) + HOT_REFCOUNT);
}

/**
 * Adds `refs` references to a folio that has some: as `getPage` of the plain entry, GET_FROM_ZERO and REF_OVERFLOW too.
 */
export function getPage(view: SharedPhys, pfn: number, refs: number = 1): void {
  check(view, pfn, refs);
  if (addUnlessZero(view.hot, (headOf(view.hot, pfn) << 2) + HOT_REFCOUNT, refs)) return;
  const count = pageRefCount(view, pfn);
  if (count === 0) throw new InvariantError('GET_FROM_ZERO', `frame ${pfn} has no reference to add to`);
  throw new InvariantError('REF_OVERFLOW', `frame ${pfn} has ${count} references, ${refs} more are too many`);
}

/**
 * Drops `refs` references: as `putPage` of the plain entry, but the last one leaves the block to the owner's
 * `reapShared`. InvariantError, with nothing changed: PUT_BELOW_ZERO, FREE_RESERVED, FREE_MAPPED, FREE_PINNED,
 * FREE_LOCKED.
 */
export function putPage(view: SharedPhys, pfn: number, refs: number = 1): void {
  check(view, pfn, refs);
  dropRefs(view, headOf(view.hot, pfn), refs, 'PUT_BELOW_ZERO');
}

/** What `refs` references or pins are in the count of the folio at `head`; `bias`: what one is in a small folio's. */
function units(hot: Int32Array, head: number, refs: number, bias: number): number {
  return (hot[(head << 2) + HOT_FLAGS]! & PG_HEAD) !== 0 ? refs : refs * bias;
}

/** Adds references, or pins, where there are some: the head of the folio that got them; −1: none did. */
function tryGetHead(view: SharedPhys, pfn: number, refs: number, bias: number): number {
  const hot = view.hot;
  for (;;) {
    const head = headOf(hot, pfn);
    const more = units(hot, head, refs, bias);
    if (!addUnlessZero(hot, (head << 2) + HOT_REFCOUNT, more)) return -1;
    if (headOf(hot, pfn) === head && units(hot, head, refs, bias) === more) return head;
    dropRefs(view, head, more, 'PUT_BELOW_ZERO');
  }
}

/** Adds `refs` references unless the folio has none or has too many (`try_get_folio`). True when added. */
export function tryGetFolio(view: SharedPhys, pfn: number, refs: number): boolean {
  check(view, pfn, refs);
  return tryGetHead(view, pfn, refs, 1) >= 0;
}

/**
 * Adds `refs` pins to a folio that is not the zero page, with FOLL_LONGTERM only where it may stay; false: not added.
 */
function tryPin(view: SharedPhys, pfn: number, refs: number, flags: number): boolean {
  const { hot, cold, sharing } = view;
  const head = tryGetHead(view, pfn, refs, GUP_PIN_COUNTING_BIAS);
  if (head < 0) return false;
  if ((flags & FOLL_LONGTERM) !== 0 && !folioIsLongtermPinnable(view, head)) {
    dropRefs(view, head, units(hot, head, refs, GUP_PIN_COUNTING_BIAS), 'PIN_BELOW_ZERO');
    return false;
  }
  if ((hot[(head << 2) + HOT_FLAGS]! & PG_HEAD) !== 0) Atomics.add(cold, tailWord(head, TAIL_PINCOUNT), refs);
  Atomics.add(sharing, SHARED_ACQUIRED, refs);
  return true;
}

/** As `tryGrabFolio` of the plain entry: 0 or -ENOMEM. */
export function tryGrabFolio(view: SharedPhys, pfn: number, refs: number, flags: number): number {
  if ((flags & (FOLL_GET | FOLL_PIN)) !== 0) {
    return tryGrabFolioFast(view, pfn, refs, flags & ~FOLL_LONGTERM) ? 0 : -ENOMEM;
  }
  check(view, pfn, refs);
  return pageRefCount(view, pfn) > 0 ? 0 : -ENOMEM;
}

/** As `tryGrabFolioFast` of the plain entry. */
export function tryGrabFolioFast(view: SharedPhys, pfn: number, refs: number, flags: number): boolean {
  check(view, pfn, refs);
  if ((flags & FOLL_GET) !== 0) return tryGetFolio(view, pfn, refs);
  if ((flags & FOLL_PIN) === 0) return false;
  return pfn === view.zeroPfn || tryPin(view, pfn, refs, flags);
}

/** As `gupPutFolio` of the plain entry; the last reference leaves the block to the owner's `reapShared`. */
export function gupPutFolio(view: SharedPhys, pfn: number, refs: number, flags: number): void {
  check(view, pfn, refs);
  if ((flags & FOLL_GET) !== 0) return putPage(view, pfn, refs);
  if ((flags & FOLL_PIN) === 0 || pfn === view.zeroPfn) return;
  const head = headOf(view.hot, pfn);
  if ((view.hot[(head << 2) + HOT_FLAGS]! & PG_HEAD) !== 0) unpinLarge(view, head, refs);
  else dropRefs(view, head, refs * GUP_PIN_COUNTING_BIAS, 'PIN_BELOW_ZERO');
  Atomics.add(view.sharing, SHARED_RELEASED, refs);
}

/** Drops pins of the large folio at `head`, then their references. */
function unpinLarge(view: SharedPhys, head: number, refs: number): void {
  const { cold } = view;
  const at = tailWord(head, TAIL_PINCOUNT);
  let pins = Atomics.load(cold, at);
  for (;;) {
    if (pins < refs) {
      throw new InvariantError('PIN_BELOW_ZERO', `the folio at frame ${head} has ${pins} pins, ${refs} were dropped`);
    }
    const seen = Atomics.compareExchange(cold, at, pins, pins - refs);
    if (seen === pins) break;
    pins = seen;
  }
  try {
    dropRefs(view, head, refs, 'PUT_BELOW_ZERO');
  } catch (error) {
    Atomics.add(cold, at, refs);
    throw error;
  }
}

/** Drops `pins` pins of a folio: as `unpinFolio` of the plain entry. */
export function unpinFolio(view: SharedPhys, pfn: number, pins: number = 1): void {
  gupPutFolio(view, pfn, pins, FOLL_PIN);
}

/**
 * Adds a pin to a folio the caller has pinned: as `folioAddPin` of the plain entry, ADD_PIN_UNPINNED and REF_OVERFLOW
 * too.
 */
export function folioAddPin(view: SharedPhys, pfn: number): void {
  check(view, pfn, 1);
  if (pfn === view.zeroPfn) return;
  if (pageRefCount(view, pfn) <= 0 || !folioMaybeDmaPinned(view, pfn)) {
    throw new InvariantError('ADD_PIN_UNPINNED', `frame ${pfn} is not pinned`);
  }
  if (!tryPin(view, pfn, 1, 0)) {
    throw new InvariantError('REF_OVERFLOW', `frame ${pfn} has too many references to pin it`);
  }
}

/** True when the folio may be pinned: as `folioMaybeDmaPinned` of the plain entry. */
export function folioMaybeDmaPinned(view: SharedPhys, pfn: number): boolean {
  check(view, pfn, 1);
  const head = headOf(view.hot, pfn);
  const large = (view.hot[(head << 2) + HOT_FLAGS]! & PG_HEAD) !== 0;
  if (large) return Atomics.load(view.cold, tailWord(head, TAIL_PINCOUNT)) > 0;
  return pageRefCount(view, pfn) >>> 0 >= GUP_PIN_COUNTING_BIAS;
}

/** True when a long-term pin would stand in nobody's way: as `folioIsLongtermPinnable` of the plain entry. */
export function folioIsLongtermPinnable(view: SharedPhys, pfn: number): boolean {
  check(view, pfn, 1);
  if (pfn === view.zeroPfn) return true;
  const block = view.pageblocks[headOf(view.hot, pfn) >> view.pageblockOrder]!;
  const type = block & 7;
  return type !== MIGRATE_CMA && type !== MIGRATE_ISOLATE && view.zoneKinds[block >> 3] !== ZONE_MOVABLE;
}
