/**
 * mlock, mlock2, munlock, mlockall, munlockall (Linux: do_mlock, apply_vma_lock_flags, mlock_fixup; A.14, FACTS 19): flags
 * of VMAs under mmap_lock for writing, then the pages are faulted in without it.
 */
import {
  alignDown,
  alignUp,
  checkAddress,
  checkInteger,
  EAGAIN,
  EFAULT,
  EINTR,
  EINVAL,
  ENOMEM,
  EPERM,
} from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { mayLock, Mm, mmapWriteUnlock } from '@mmkit/aspace';
import { mlockRange, mmapWriteLockKillable, vmaModify } from '@mmkit/aspace/sched';
import { mmPopulate } from '@mmkit/gup/sched';
import {
  findVma,
  VM_HUGETLB,
  VM_LOCKED,
  VM_LOCKED_MASK,
  VM_LOCKONFAULT,
  VM_SPECIAL,
  vmaIsDroppable,
  vmasIn,
} from '@mmkit/vma';
import type { Vma } from '@mmkit/vma';
import { MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT, MLOCK_ONFAULT } from './flags.ts';

/**
 * Locks the pages of [address, address + length), rounded outwards: 0; -ENOMEM (a hole, RLIMIT_MEMLOCK, map count, or a page
 * that cannot be had: the flag stays then), -EAGAIN (out of memory), -EPERM (nothing may be locked), -EINVAL, -EINTR.
 */
export function* mlock(mm: Mm, address: number, length: number): Task<number> {
  return yield* doMlock(mm, address, length, VM_LOCKED);
}

/** As mlock; with MLOCK_ONFAULT pages are locked when they come in, and none is faulted in. Other `flags`: -EINVAL. */
export function* mlock2(mm: Mm, address: number, length: number, flags: number): Task<number> {
  checkInteger('flags', flags, 0, 0x7fffffff);
  if ((flags & ~MLOCK_ONFAULT) !== 0) return -EINVAL;
  return yield* doMlock(mm, address, length, flags === 0 ? VM_LOCKED : VM_LOCKED | VM_LOCKONFAULT);
}

/** Unlocks the pages of [address, address + length), rounded outwards: 0, -ENOMEM (a hole, map count), -EINVAL, -EINTR. */
export function* munlock(mm: Mm, address: number, length: number): Task<number> {
  checkAddress('address', address);
  checkAddress('length', length);
  const { phys } = mm.memory;
  const start = alignDown(address, phys.pageSize);
  const end = alignUp(address + length, phys.pageSize);
  if ((yield* mmapWriteLockKillable(mm)) !== 0) return -EINTR;
  const error = yield* applyFlags(mm, start, end, 0);
  mmapWriteUnlock(mm);
  return error;
}

/** Locks what is mapped (MCL_CURRENT), what will be (MCL_FUTURE), or both; MCL_ONFAULT as in mlock2. */
export function* mlockall(mm: Mm, flags: number): Task<number> {
  checkInteger('flags', flags, 0, 0x7fffffff);
  const known = MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT;
  if (flags === 0 || flags === MCL_ONFAULT || (flags & ~known) !== 0) return -EINVAL;
  if (!mm.capIpcLock && mm.rlimitMemlock === 0) return -EPERM;
  const { format } = mm.memory;
  if ((yield* mmapWriteLockKillable(mm)) !== 0) return -EINTR;
  const all = vmasIn(mm.vmas, 0, format.userEnd).reduce((sum, vma) => sum + vma.end - vma.start, 0);
  if ((flags & MCL_CURRENT) !== 0 && !mm.capIpcLock && all > mm.rlimitMemlock) {
    mmapWriteUnlock(mm);
    return -ENOMEM;
  }
  const locked = (flags & MCL_ONFAULT) !== 0 ? VM_LOCKED | VM_LOCKONFAULT : VM_LOCKED;
  mm.defFlags = (flags & MCL_FUTURE) !== 0 ? locked : 0;
  if ((flags & MCL_CURRENT) !== 0) yield* lockAll(mm, locked);
  mmapWriteUnlock(mm);
  if ((flags & MCL_CURRENT) !== 0) yield* mmPopulate(mm, 0, format.taskSize);
  return 0;
}

/** Unlocks everything, and what will be mapped: 0 or -EINTR. */
export function* munlockall(mm: Mm): Task<number> {
  if ((yield* mmapWriteLockKillable(mm)) !== 0) return -EINTR;
  mm.defFlags = 0;
  yield* lockAll(mm, 0);
  mmapWriteUnlock(mm);
  return 0;
}

/** Every VMA gets the flags; errors are ignored, as Linux does. */
function* lockAll(mm: Mm, locked: number): Task<void> {
  for (let vma = findVma(mm.vmas, 0); vma !== null; ) {
    const { end } = vma;
    yield* fixup(mm, vma, vma.start, end, locked);
    vma = findVma(mm.vmas, end);
  }
}

function* doMlock(mm: Mm, address: number, length: number, locked: number): Task<number> {
  checkAddress('address', address);
  checkAddress('length', length);
  const { phys } = mm.memory;
  if (!mm.capIpcLock && mm.rlimitMemlock === 0) return -EPERM;
  const start = alignDown(address, phys.pageSize);
  const end = alignUp(address + length, phys.pageSize);
  if ((yield* mmapWriteLockKillable(mm)) !== 0) return -EINTR;
  // What is locked already is not counted twice.
  const fresh = (end - start) / phys.pageSize - lockedIn(mm, start, end);
  const error = mayLock(mm, fresh) ? yield* applyFlags(mm, start, end, locked) : -ENOMEM;
  mmapWriteUnlock(mm);
  if (error !== 0) return error;
  const populated = yield* mmPopulate(mm, start, end - start, false);
  if (populated === -EFAULT) return -ENOMEM;
  return populated === -ENOMEM ? -EAGAIN : populated;
}

/** Pages of [start, end) that are locked. */
function lockedIn(mm: Mm, start: number, end: number): number {
  let pages = 0;
  for (const vma of vmasIn(mm.vmas, start, end)) {
    if ((vma.flags & VM_LOCKED) === 0) continue;
    pages += (Math.min(end, vma.end) - Math.max(start, vma.start)) * mm.vmas.pagesPerByte;
  }
  return pages;
}

/** The VMAs of [start, end) get the flags, up to the first hole: -ENOMEM. */
function* applyFlags(mm: Mm, start: number, end: number, locked: number): Task<number> {
  for (let at = start; at < end; ) {
    const vma = findVma(mm.vmas, at);
    if (vma === null || vma.start > at) return -ENOMEM;
    const to = Math.min(end, vma.end);
    const error = yield* fixup(mm, vma, at, to, locked);
    if (error !== 0) return error;
    at = to;
  }
  return 0;
}

/** One VMA's part (mlock_fixup); what cannot be locked is passed over. */
function* fixup(mm: Mm, vma: Vma, start: number, end: number, locked: number): Task<number> {
  const old = vma.flags;
  const flags = (old & ~VM_LOCKED_MASK) | locked;
  if (flags === old || (old & (VM_SPECIAL | VM_HUGETLB)) !== 0 || vmaIsDroppable(vma)) return 0;
  const part = yield* vmaModify(mm, vma, start, end, flags);
  if (typeof part === 'number') return part;
  const pages = (end - start) * mm.vmas.pagesPerByte;
  if ((old & VM_LOCKED) === 0) mm.lockedVm += pages;
  else if (locked === 0) mm.lockedVm -= pages;
  // Up to 5.17 what is mapped already is mlocked by the lookups of populating.
  const marks = locked === 0 || mm.memory.policy.mlocks === 'fault';
  if (((old ^ flags) & VM_LOCKED) !== 0 && marks) yield* mlockRange(mm, start, end, locked !== 0);
  return 0;
}
