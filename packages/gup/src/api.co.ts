/**
 * The family's entry points (B.3). `get_*` take a reference (`putUserPages` gives it back), `pin_*` a pin
 * (`unpinUserPages`). Bad flags: `get_*` and `*_fast` return -EINVAL, the other `pin_*` 0 (B.2); the warn port is told. `scope` says who pins, where
 * a ledger of pins is kept (`openPinScope` of phys; null: nobody in particular).
 */
import {
  checkAddress,
  checkInteger,
  checkPages,
  EINVAL,
  FOLL_DUMP,
  FOLL_FAST_ONLY,
  FOLL_FORCE,
  FOLL_GET,
  FOLL_PIN,
  FOLL_REMOTE,
  FOLL_TOUCH,
  FOLL_UNLOCKABLE,
  InvariantError,
} from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { Mm } from '@mmkit/aspace';
import type { PinScope } from '@mmkit/phys';
import { getUserPagesLocked } from './locked.co.ts';
import { gupFastFallback } from './fast.co.ts';
import { gupArgsProblem } from './legality.ts';
import type { LockState } from './request.ts';

/** Smallest value of C's int. */
const MIN_INT = -0x8000_0000;

/**
 * References to the pages of `nr` pages from `start` on (Linux: get_user_pages). mmap_lock is held and kept. `pages` null:
 * only fault in. How many, or a negative errno when the first failed.
 */
export function* getUserPages(
  mm: Mm,
  start: number,
  nr: number,
  flags: number,
  pages: Uint32Array | null,
): Task<number> {
  if (!valid(mm, start, nr, flags, FOLL_TOUCH, pages)) return -EINVAL;
  return yield* getUserPagesLocked(mm, start, nr, pages, 0, { value: 1 }, flags | FOLL_TOUCH);
}

/**
 * As getUserPages, for another process's memory (Linux: get_user_pages_remote). mmap_lock is held; given `locked`, whose
 * value must be 1, a fault may drop it: the value is 0 then.
 */
export function* getUserPagesRemote(
  mm: Mm,
  start: number,
  nr: number,
  flags: number,
  pages: Uint32Array | null,
  locked: LockState | null = null,
): Task<number> {
  const set = remoteFlags(locked) | FOLL_TOUCH;
  if (!valid(mm, start, nr, flags, set, pages) || !heldOrTold(mm, locked)) return -EINVAL;
  return yield* getUserPagesLocked(mm, start, nr, pages, 0, locked ?? { value: 1 }, flags | set);
}

/** As getUserPages, but takes and drops mmap_lock itself (Linux: get_user_pages_unlocked). -EAGAIN: killed while waiting for it. */
export function* getUserPagesUnlocked(
  mm: Mm,
  start: number,
  nr: number,
  pages: Uint32Array | null,
  flags: number,
): Task<number> {
  const set = FOLL_TOUCH | FOLL_UNLOCKABLE;
  if (!valid(mm, start, nr, flags, set, pages)) return -EINVAL;
  return yield* getUserPagesLocked(mm, start, nr, pages, 0, { value: 0 }, flags | set);
}

/**
 * References without mmap_lock where the tables allow it (Linux: get_user_pages_fast). `nr` is 1 or more: InvariantError
 * 'ZERO_PAGES' for 0; a negative one is a huge length as in C, which wraps: -EOVERFLOW (G.2).
 */
export function* getUserPagesFast(mm: Mm, start: number, nr: number, flags: number, pages: Uint32Array): Task<number> {
  if (!valid(mm, start, nr, flags, FOLL_GET, pages, MIN_INT)) return -EINVAL;
  refuseZero(nr);
  return yield* gupFastFallback(mm, start, nr, flags | FOLL_GET, pages, null);
}

/**
 * As getUserPagesFast, but never waits: what the tables do not have is not taken (Linux: get_user_pages_fast_only). How many,
 * 0 and up; a negative errno for bad flags and ranges only.
 */
export function* getUserPagesFastOnly(
  mm: Mm,
  start: number,
  nr: number,
  flags: number,
  pages: Uint32Array,
): Task<number> {
  if (!valid(mm, start, nr, flags, FOLL_GET | FOLL_FAST_ONLY, pages, MIN_INT)) return -EINVAL;
  refuseZero(nr);
  return yield* gupFastFallback(mm, start, nr, flags | FOLL_GET | FOLL_FAST_ONLY, pages, null);
}

/**
 * A reference to the page at `address` for a core dump (Linux: get_dump_page): its PFN, or null where it would be zeros
 * or cannot be had. mmap_lock is held and kept, or with `locked.value` 0 taken and dropped.
 */
export function* getDumpPage(mm: Mm, address: number, locked: LockState): Task<number | null> {
  checkAddress('address', address);
  const pages = new Uint32Array(1);
  const flags = FOLL_FORCE | FOLL_DUMP | FOLL_GET;
  return (yield* getUserPagesLocked(mm, address, 1, pages, 0, locked, flags)) === 1 ? pages[0]! : null;
}

/** Pins (Linux: pin_user_pages). mmap_lock is held and kept. Unlike the others it does not mark the pages accessed (G.8). */
export function* pinUserPages(
  mm: Mm,
  start: number,
  nr: number,
  flags: number,
  pages: Uint32Array,
  scope: PinScope | null = null,
): Task<number> {
  if (!valid(mm, start, nr, flags, FOLL_PIN, pages)) return 0;
  return yield* getUserPagesLocked(mm, start, nr, pages, 0, { value: 1 }, flags | FOLL_PIN, scope);
}

/** As pinUserPages, but takes and drops mmap_lock itself (Linux: pin_user_pages_unlocked). -EAGAIN: killed while waiting for it. */
export function* pinUserPagesUnlocked(
  mm: Mm,
  start: number,
  nr: number,
  pages: Uint32Array,
  flags: number,
  scope: PinScope | null = null,
): Task<number> {
  const set = FOLL_PIN | FOLL_TOUCH | FOLL_UNLOCKABLE;
  if (!valid(mm, start, nr, flags, set, pages)) return 0;
  return yield* getUserPagesLocked(mm, start, nr, pages, 0, { value: 0 }, flags | set, scope);
}

/** Pins in another process's memory (Linux: pin_user_pages_remote); mmap_lock and `locked` as for getUserPagesRemote. */
export function* pinUserPagesRemote(
  mm: Mm,
  start: number,
  nr: number,
  flags: number,
  pages: Uint32Array,
  locked: LockState | null = null,
  scope: PinScope | null = null,
): Task<number> {
  const set = remoteFlags(locked) | FOLL_PIN | FOLL_TOUCH;
  if (!valid(mm, start, nr, flags, set, pages) || !heldOrTold(mm, locked)) return 0;
  return yield* getUserPagesLocked(mm, start, nr, pages, 0, locked ?? { value: 1 }, flags | set, scope);
}

/** Pins without mmap_lock where the tables allow it (Linux: pin_user_pages_fast). `nr` as for getUserPagesFast. */
export function* pinUserPagesFast(
  mm: Mm,
  start: number,
  nr: number,
  flags: number,
  pages: Uint32Array,
  scope: PinScope | null = null,
): Task<number> {
  if (!valid(mm, start, nr, flags, FOLL_PIN, pages, MIN_INT)) return -EINVAL;
  refuseZero(nr);
  return yield* gupFastFallback(mm, start, nr, flags | FOLL_PIN, pages, scope);
}

function valid(
  mm: Mm,
  start: number,
  nr: number,
  flags: number,
  toSet: number,
  pages: Uint32Array | null,
  least: number = 0,
): boolean {
  checkAddress('start', start);
  checkInteger('nr', nr, least, 0x7fff_ffff);
  checkInteger('flags', flags, 0, 0xffff_ffff);
  if (pages !== null) checkPages('pages', pages, Math.max(nr, 0));
  const problem = gupArgsProblem(flags, toSet, pages);
  if (problem !== null) mm.memory.warn(problem);
  return problem === null;
}

function remoteFlags(locked: LockState | null): number {
  return locked === null ? FOLL_REMOTE : FOLL_REMOTE | FOLL_UNLOCKABLE;
}

/** A caller that allows the lock to be dropped must hold it (the fourth rule of B.2). */
function heldOrTold(mm: Mm, locked: LockState | null): boolean {
  if (locked === null || locked.value === 1) return true;
  mm.memory.warn('locked says that mmap_lock is not held');
  return false;
}

/** Linux's fast walk does not expect 0 pages and would walk on (G.2). */
function refuseZero(nr: number): void {
  if (nr === 0) throw new InvariantError('ZERO_PAGES', 'a fast call needs 1 page or more');
}
