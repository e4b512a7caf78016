/**
 * The end of the heap (Linux: sys_brk, do_brk_flags, check_brk_limits; brk(2)), as programs asked 6.18. The heap is what lies
 * from `Mm.startBrk` to `Mm.brk`: private memory that the process may also unmap, protect or map over like any other.
 */
import { alignUp, checkAddress, EINTR } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { mayExpandVm, mayLock, Mm, mmapWriteUnlock } from '@mmkit/aspace';
import { mmapWriteLockKillable, vmaMergeNew } from '@mmkit/aspace/sched';
import { mmPopulate } from '@mmkit/gup/sched';
import {
  findVma,
  findVmaIntersection,
  insertVma,
  mapCountAllows,
  newTraits,
  openVma,
  startGap,
  Vma,
  VM_ACCOUNT,
  VM_LOCKED,
  VM_MAYEXEC,
  VM_MAYREAD,
  VM_MAYWRITE,
  VM_READ,
  VM_WRITE,
} from '@mmkit/vma';
import { fixedArea } from './area.ts';
import { unmapRegion } from './unmap.co.ts';

/** VM_DATA_DEFAULT_FLAGS, and the heap counts against the commit limit. */
const HEAP_FLAGS = VM_READ | VM_WRITE | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC | VM_ACCOUNT;

/**
 * Moves the end of the heap to `address`, any byte, and returns where it is then: `address`, or where it was when that cannot
 * be: below `startBrk`, RLIMIT_DATA, RLIMIT_AS, RLIMIT_MEMLOCK under MCL_FUTURE, map count, no page free between it and what
 * lies above or its guard gap, something sealed or nothing at all in what is given up. -EINTR when killed. Pages in between
 * are unmapped, or come in as they are touched, at once under MCL_FUTURE.
 */
export function* brk(mm: Mm, address: number): Task<number> {
  checkAddress('address', address);
  const { pageSize } = mm.memory.phys;
  if ((yield* mmapWriteLockKillable(mm)) !== 0) return -EINTR;
  const from = alignUp(mm.brk, pageSize);
  const to = alignUp(address, pageSize);
  let moved = address >= mm.startBrk && address - mm.startBrk <= mm.rlimitData;
  if (moved && to < from) moved = yield* shrinkHeap(mm, to, from);
  else if (moved && to > from) moved = yield* growHeap(mm, from, to);
  if (moved) mm.brk = address;
  const end = mm.brk;
  const populate = moved && to > from && (mm.defFlags & VM_LOCKED) !== 0;
  mmapWriteUnlock(mm);
  if (populate) yield* mmPopulate(mm, from, to - from);
  return end;
}

/** Unmaps [start, end) if anything is there and may go: whether it did. */
function* shrinkHeap(mm: Mm, start: number, end: number): Task<boolean> {
  return findVmaIntersection(mm.vmas, start, end) !== null && (yield* unmapRegion(mm, start, end)) === 0;
}

/** Maps [start, end) if it may be: whether it did. What lies below is made longer only if it is heap. */
function* growHeap(mm: Mm, start: number, end: number): Task<boolean> {
  const { vmas, defFlags } = mm;
  const { pageSize } = mm.memory.phys;
  const pages = (end - start) * vmas.pagesPerByte;
  const flags = HEAP_FLAGS | defFlags;
  if (fixedArea(mm, start, end - start) < 0) return false;
  if ((defFlags & VM_LOCKED) !== 0 && !mayLock(mm, pages)) return false;
  const next = findVma(vmas, start);
  if (next !== null && end + pageSize > startGap(next)) return false;
  if (!mayExpandVm(mm, flags, pages) || !mapCountAllows(vmas, 0)) return false;
  const pgoff = start * vmas.pagesPerByte;
  if (start > mm.startBrk) yield* vmaMergeNew(mm, start, end, newTraits(flags, pgoff, null));
  else {
    const vma = new Vma(start, end, flags, pgoff, null);
    insertVma(vmas, vma);
    openVma(vma);
  }
  if ((flags & VM_LOCKED) !== 0) mm.lockedVm += pages;
  return true;
}
