/** Faulting ranges in ahead of use (Linux: __mm_populate, populate_vma_page_range; B.13). */
import { EFAULT, EINTR, FOLL_FORCE, FOLL_TOUCH, FOLL_UNLOCKABLE, FOLL_WRITE } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { Mm } from '@mmkit/aspace';
import { upRead } from '@mmkit/rwsem';
import { downRead } from '@mmkit/rwsem/sched';
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
import { Request } from './request.ts';
import type { LockState } from './request.ts';

/** Faults in [start, start + length); errors are ignored VMA by VMA, as mmap(MAP_POPULATE) does. Takes mmap_lock itself. */
export function* mmPopulate(mm: Mm, start: number, length: number): Task<void> {
  const { sched, phys } = mm.memory;
  const end = start + length;
  const locked: LockState = { value: 0 };
  while (start < end) {
    if (locked.value === 0) {
      yield* downRead(sched, mm.mmapLock);
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
    start = got < 0 ? to : from + got * phys.pageSize;
  }
  if (locked.value === 1) upRead(sched, mm.mmapLock);
}

/** Pages of [start, end) of one VMA faulted in, or a negative errno; one pass, short after a retry. mmap_lock held. */
function* populateVmaPageRange(mm: Mm, vma: Vma, start: number, end: number, locked: LockState): Task<number> {
  const nr = (end - start) / mm.memory.phys.pageSize;
  if ((vma.flags & VM_LOCKONFAULT) !== 0) return nr;
  if (!vmaIsAccessible(vma)) return -EFAULT;
  let flags = FOLL_TOUCH | FOLL_UNLOCKABLE;
  // Copy-on-write is broken now; a shared mapping is not dirtied before its time.
  if ((vma.flags & (VM_WRITE | VM_SHARED)) === VM_WRITE) flags |= FOLL_WRITE;
  else flags |= FOLL_FORCE;
  return yield* getUserPagesRange(mm, start, nr, new Request(flags, null, locked, null, null, EINTR));
}
