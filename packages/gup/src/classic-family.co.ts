/**
 * The functions around the documented call (reference A.11–A.13), as of 4.0 to 4.5: `write` and `force` are booleans, the
 * task and the mm are named, the fast ones act on the mm they are given, which Linux takes from `current`. Names are Linux's.
 */
import {
  checkAddress,
  checkInteger,
  checkPages,
  FOLL_DUMP,
  FOLL_FORCE,
  FOLL_GET,
  FOLL_TOUCH,
  FOLL_TRIED,
  FOLL_UNLOCKABLE,
  FOLL_WRITE,
  InvariantError,
} from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { Mm, mmapAssertLocked, mmapReadUnlock } from '@mmkit/aspace';
import { mmapReadLock } from '@mmkit/aspace/sched';
import type { Vma } from '@mmkit/vma';
import * as classic from './classic-flags.ts';
import { knownFlags, modernFlags } from './classic-flags.ts';
import { getUserPagesRange } from './engine.co.ts';
import { gupFast } from './fast.co.ts';
import { Request } from './request.ts';
import type { FaultCounters, LockState } from './request.ts';

/**
 * References to pages, mmap_sem held and never dropped: how many, or a negative errno; never 0 for `nr_pages` of 1 or
 * more. Arguments as of `__get_user_pages`; a negative `nr_pages` is a RangeError.
 */
export function* get_user_pages(
  tsk: FaultCounters | null,
  mm: Mm,
  start: number,
  nr_pages: number,
  write: boolean,
  force: boolean,
  pages: Uint32Array | null,
  vmas: (Vma | null)[] | null,
): Task<number> {
  check(start, nr_pages, pages);
  const request = new Request(classicFlags(write, force, pages), pages, null, vmas, tsk, true);
  return yield* getUserPagesRange(mm, start, nr_pages, request);
}

/**
 * As get_user_pages, but mmap_sem, which is held for reading (`locked.value` is 1: InvariantError 'LOCKED'), may be
 * dropped on the way: then it is not held on return either, and `locked.value` is 0. With `pages` null the first wait ends
 * the call.
 */
export function* get_user_pages_locked(
  tsk: FaultCounters | null,
  mm: Mm,
  start: number,
  nr_pages: number,
  write: boolean,
  force: boolean,
  pages: Uint32Array | null,
  locked: LockState,
): Task<number> {
  check(start, nr_pages, pages);
  if (locked.value !== 1) throw new InvariantError('LOCKED', `locked is ${locked.value}, not 1`);
  mmapAssertLocked(mm);
  const dropped: LockState = { value: 1 };
  const got = yield* retryLoop(tsk, mm, start, nr_pages, classicFlags(write, force, pages), pages, locked, dropped);
  if (dropped.value === 0 && locked.value === 1) {
    mmapReadUnlock(mm);
    locked.value = 0;
  }
  return got;
}

/** As get_user_pages, but takes mmap_sem for reading and gives it back, dropping it where a fault has to wait. */
export function* get_user_pages_unlocked(
  tsk: FaultCounters | null,
  mm: Mm,
  start: number,
  nr_pages: number,
  write: boolean,
  force: boolean,
  pages: Uint32Array | null,
): Task<number> {
  return yield* __get_user_pages_unlocked(tsk, mm, start, nr_pages, write, force, pages, classic.FOLL_TOUCH);
}

/**
 * The same by `gup_flags` (classic-flags.ts): pages are marked accessed only with FOLL_TOUCH (4.0 to 4.9).
 * InvariantError 'FLAGS' for FOLL_GET, which `pages` says, for FOLL_NOWAIT and FOLL_TRIED, which do not go with
 * dropping mmap_sem, and for what the call does not know.
 */
export function* __get_user_pages_unlocked(
  tsk: FaultCounters | null,
  mm: Mm,
  start: number,
  nr_pages: number,
  write: boolean,
  force: boolean,
  pages: Uint32Array | null,
  gup_flags: number,
): Task<number> {
  check(start, nr_pages, pages);
  checkInteger('gup_flags', gup_flags, 0, 0xffff_ffff);
  const { policy } = mm.memory;
  const refused = ~knownFlags(policy) | classic.FOLL_NOWAIT | classic.FOLL_TRIED | classic.FOLL_GET;
  if ((gup_flags & refused) !== 0) throw new InvariantError('FLAGS', `gup_flags ${gup_flags} are not for this call`);
  yield* mmapReadLock(mm);
  const locked: LockState = { value: 1 };
  const flags = modernFlags(policy, gup_flags) | wanted(write, force, pages);
  const got = yield* retryLoop(tsk, mm, start, nr_pages, flags, pages, locked, { value: 1 });
  if (locked.value === 1) mmapReadUnlock(mm);
  return got;
}

/**
 * References without mmap_sem where the tables allow it, the rest as get_user_pages_unlocked; up to 3.19
 * (`fastKeepsLock`) as get_user_pages, for which it takes mmap_sem. How many; an error after the first page is a short
 * count. `nr_pages` is 1 or more.
 */
export function* get_user_pages_fast(
  mm: Mm,
  start: number,
  nr_pages: number,
  write: boolean,
  pages: Uint32Array,
): Task<number> {
  const fast = yield* __get_user_pages_fast(mm, start, nr_pages, write, pages);
  if (fast === nr_pages) return fast;
  const { pageSize } = mm.memory.phys;
  const from = start - (start % pageSize) + fast * pageSize;
  const rest = pages.subarray(fast);
  const slow = mm.memory.policy.fastKeepsLock
    ? yield* getUserPagesHeld(mm, from, nr_pages - fast, write, rest)
    : yield* get_user_pages_unlocked(null, mm, from, nr_pages - fast, write, false, rest);
  if (slow < 0) return fast > 0 ? fast : slow;
  return fast + slow;
}

/** Takes mmap_sem for get_user_pages, which keeps it. */
function* getUserPagesHeld(mm: Mm, start: number, nr: number, write: boolean, pages: Uint32Array): Task<number> {
  yield* mmapReadLock(mm);
  const got = yield* get_user_pages(null, mm, start, nr, write, false, pages, null);
  mmapReadUnlock(mm);
  return got;
}

/** Only what can be had without mmap_sem and without waiting: 0 to `nr_pages`, never an error. */
export function* __get_user_pages_fast(
  mm: Mm,
  start: number,
  nr_pages: number,
  write: boolean,
  pages: Uint32Array,
): Task<number> {
  checkAddress('start', start);
  checkInteger('nr_pages', nr_pages, 1, 0x7fff_ffff);
  checkPages('pages', pages, nr_pages);
  const { phys, format, stat } = mm.memory;
  const from = start - (start % phys.pageSize);
  if (from + nr_pages * phys.pageSize > format.taskSize) return 0;
  const got = yield* gupFast(mm, from, nr_pages, write ? FOLL_GET | FOLL_WRITE : FOLL_GET, pages);
  stat.gupFast += got;
  return got;
}

/**
 * The page at `addr` for a core dump, with a reference; -1 (Linux: NULL) for a hole: nothing there that is not zeros, or
 * any failure. Needs no mmap_sem in Linux, where the other threads are dead: here it is held.
 */
export function* get_dump_page(mm: Mm, addr: number): Task<number> {
  checkAddress('addr', addr);
  const pages = new Uint32Array(1);
  const request = new Request(FOLL_FORCE | FOLL_DUMP | FOLL_GET, pages, null, null, null, true);
  return (yield* getUserPagesRange(mm, addr, 1, request)) < 1 ? -1 : pages[0]!;
}

/**
 * __get_user_pages_locked of 4.8 (A.12): after a fault that dropped mmap_sem it is taken again, and the page that waited is
 * asked for alone, for the last time: that fault may wait but not drop the lock. `dropped.value` becomes 0 when it was.
 */
function* retryLoop(
  tsk: FaultCounters | null,
  mm: Mm,
  start: number,
  nr: number,
  flags: number,
  pages: Uint32Array | null,
  locked: LockState,
  dropped: LockState,
): Task<number> {
  const { phys } = mm.memory;
  const first = new Request(flags | FOLL_UNLOCKABLE, pages, locked, null, tsk, true);
  const again = new Request(flags | FOLL_TRIED, pages, null, null, tsk, true);
  let done = 0;
  for (;;) {
    first.at = done;
    const got = yield* getUserPagesRange(mm, start + done * phys.pageSize, nr - done, first);
    if (locked.value === 0) dropped.value = 0;
    if (pages === null) return got;
    if (got > 0) done += got;
    if (done === nr) return done;
    if (locked.value === 1) return done > 0 ? done : got;
    yield* mmapReadLock(mm);
    locked.value = 1;
    again.at = done;
    const one = yield* getUserPagesRange(mm, start + done * phys.pageSize, 1, again);
    if (one !== 1) return done > 0 ? done : one;
    done++;
    if (done === nr) return done;
  }
}

function check(start: number, nr: number, pages: Uint32Array | null): void {
  checkAddress('start', start);
  checkInteger('nr_pages', nr, 0, 0x7fff_ffff);
  if (pages !== null) checkPages('pages', pages, nr);
}

function classicFlags(write: boolean, force: boolean, pages: Uint32Array | null): number {
  return FOLL_TOUCH | wanted(write, force, pages);
}

function wanted(write: boolean, force: boolean, pages: Uint32Array | null): number {
  let flags = 0;
  if (pages !== null) flags |= FOLL_GET;
  if (write) flags |= FOLL_WRITE;
  if (force) flags |= FOLL_FORCE;
  return flags;
}
