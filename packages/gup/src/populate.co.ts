/** Faulting ranges in ahead of use (Linux: __mm_populate, populate_vma_page_range, faultin_page_range; A.14, B.13). */
import {
  EFAULT,
  FOLL_FORCE,
  FOLL_HWPOISON,
  FOLL_MADV_POPULATE,
  FOLL_TOUCH,
  FOLL_UNLOCKABLE,
  FOLL_WRITE,
} from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { Mm, mmapReadUnlock } from '@mmkit/aspace';
import { mmapReadLock } from '@mmkit/aspace/sched';
import {
  findVmaIntersection,
  VM_IO,
  VM_LOCKONFAULT,
  VM_PFNMAP,
  VM_SHARED,
  VM_WRITE,
  vmaIsAccessible,
} from '@mmkit/vma';
import type { Vma } from '@mmkit/vma';
import { getUserPagesRange } from './engine.co.ts';
import { getUserPagesLocked } from './locked.co.ts';
import { FOLL_MLOCK, FOLL_POPULATE, Request } from './request.ts';
import type { LockState } from './request.ts';

/**
 * Faults in [start, start + length), takes mmap_lock itself: 0. Errors are ignored VMA by VMA, as mmap(MAP_POPULATE) does;
 * without `ignoreErrors` the first ends the call and is returned, as for mlock.
 */
export function* mmPopulate(mm: Mm, start: number, length: number, ignoreErrors: boolean = true): Task<number> {
  const { phys } = mm.memory;
  const end = start + length;
  const locked: LockState = { value: 0 };
  let error = 0;
  while (start < end) {
    if (locked.value === 0) {
      yield* mmapReadLock(mm);
      locked.value = 1;
    }
    const vma = findVmaIntersection(mm.vmas, start, end);
    if (vma === null) break;
    const from = Math.max(start, vma.start);
    const to = Math.min(end, vma.end);
    if ((vma.flags & (VM_IO | VM_PFNMAP)) !== 0) {
      start = to;
      continue;
    }
    const got = yield* populateVmaPageRange(mm, vma, from, to, locked);
    if (got < 0 && !ignoreErrors) {
      error = got;
      break;
    }
    start = got < 0 ? to : from + got * phys.pageSize;
  }
  if (locked.value === 1) mmapReadUnlock(mm);
  return error;
}

/** Faults in [start, end) of a locked VMA that has become writable; mmap_lock, held for writing, is kept. Errors are ignored. */
export function* populateLocked(mm: Mm, vma: Vma, start: number, end: number): Task<void> {
  yield* populateVmaPageRange(mm, vma, start, end, null);
}

/**
 * Pages of [start, end) of one VMA faulted in, or a negative errno; one pass, short, even 0, after a retry. mmap_lock
 * is held; `locked` null: and kept.
 */
export function* populateVmaPageRange(
  mm: Mm,
  vma: Vma,
  start: number,
  end: number,
  locked: LockState | null,
): Task<number> {
  const { policy, phys } = mm.memory;
  const nr = (end - start) / phys.pageSize;
  const today = policy.mlocks === 'fault';
  const onFault = (vma.flags & VM_LOCKONFAULT) !== 0;
  if (today && onFault) return nr;
  if (!vmaIsAccessible(vma)) return -EFAULT;
  // Copy-on-write is broken now; a shared mapping is not dirtied before its time.
  const write = (vma.flags & (VM_WRITE | VM_SHARED)) === VM_WRITE;
  let flags = FOLL_TOUCH | (write ? FOLL_WRITE : FOLL_FORCE);
  // Up to 5.17 (A.14) every lookup mlocks, also of memory locked on fault, of which nothing is faulted in.
  if (!today) flags |= onFault ? FOLL_MLOCK : FOLL_MLOCK | FOLL_POPULATE;
  if (locked !== null) flags |= FOLL_UNLOCKABLE;
  return yield* getUserPagesRange(mm, start, nr, new Request(flags, null, locked, null, null, !today));
}

/**
 * Faults in pages of [start, end) for MADV_POPULATE_READ, or with `write` for MADV_POPULATE_WRITE, without looking at
 * VM_LOCKONFAULT and without force. mmap_lock is held; it may be dropped (`locked.value` is 0 then). How many pages, or
 * a negative errno when the first failed: -ENOMEM (hole, out of memory), -EINVAL (the VMA refuses), -EFAULT,
 * -EHWPOISON, -EINTR.
 */
export function* faultinPageRange(mm: Mm, start: number, end: number, write: boolean, locked: LockState): Task<number> {
  const flags = FOLL_TOUCH | FOLL_HWPOISON | FOLL_UNLOCKABLE | FOLL_MADV_POPULATE | (write ? FOLL_WRITE : 0);
  return yield* getUserPagesLocked(mm, start, (end - start) / mm.memory.phys.pageSize, null, 0, locked, flags);
}
