/** madvise for private anonymous memory (Linux: do_madvise, madvise_dontneed_single_vma). */
import { alignUp, checkAddress, checkInteger, EAGAIN, EINTR, EINVAL, ENOMEM, isAligned } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { Mm } from '@mmkit/aspace';
import { zapPageRange } from '@mmkit/aspace/sched';
import { upRead, upWrite } from '@mmkit/rwsem';
import { downRead, downWriteKillable } from '@mmkit/rwsem/sched';
import { mapCountAllows, splitVma, VM_DONTCOPY, VM_IO, VM_LOCKED, VM_PFNMAP, vmasIn } from '@mmkit/vma';
import { MADV_DOFORK, MADV_DONTFORK, MADV_DONTNEED } from './flags.ts';

/**
 * Advice for [address, address + length): 0; -EINVAL (alignment, unknown advice, a range that ends beyond 2^53, a VMA
 * that refuses it: those before it have got it); -ENOMEM when the range has holes (what is there has got it); -EAGAIN
 * when a split would exceed the map count; -EINTR.
 */
export function* madvise(mm: Mm, address: number, length: number, advice: number): Task<number> {
  checkAddress('address', address);
  checkAddress('length', length);
  checkInteger('advice', advice, 0, 0x7fffffff);
  const pageSize = mm.memory.phys.pageSize;
  if (advice !== MADV_DONTNEED && advice !== MADV_DONTFORK && advice !== MADV_DOFORK) return -EINVAL;
  if (!isAligned(address, pageSize)) return -EINVAL;
  const end = address + alignUp(length, pageSize);
  if (end > Number.MAX_SAFE_INTEGER) return -EINVAL;
  if (end === address) return 0;
  const { sched } = mm.memory;
  if (advice === MADV_DONTNEED) {
    yield* downRead(sched, mm.mmapLock);
    const error = yield* dontneed(mm, address, end);
    upRead(sched, mm.mmapLock);
    return error;
  }
  if ((yield* downWriteKillable(sched, mm.mmapLock)) !== 0) return -EINTR;
  const error = setDontcopy(mm, address, end, advice === MADV_DONTFORK);
  upWrite(sched, mm.mmapLock);
  return error;
}

function* dontneed(mm: Mm, start: number, end: number): Task<number> {
  let reached = start;
  let hole = false;
  for (const vma of vmasIn(mm.vmas, start, end)) {
    if (vma.start > reached) hole = true;
    reached = vma.end;
    if ((vma.flags & (VM_LOCKED | VM_PFNMAP)) !== 0) return -EINVAL;
    yield* zapPageRange(mm, Math.max(start, vma.start), Math.min(end, vma.end));
  }
  return hole || reached < end ? -ENOMEM : 0;
}

function setDontcopy(mm: Mm, start: number, end: number, dontcopy: boolean): number {
  let reached = start;
  let hole = false;
  for (let vma of vmasIn(mm.vmas, start, end)) {
    if (vma.start > reached) hole = true;
    reached = vma.end;
    if (!dontcopy && (vma.flags & VM_IO) !== 0) return -EINVAL;
    if (((vma.flags & VM_DONTCOPY) !== 0) === dontcopy) continue;
    if (vma.start < start) {
      if (!mapCountAllows(mm.vmas, 1)) return -EAGAIN;
      vma = splitVma(mm.vmas, vma, start);
    }
    if (vma.end > end) {
      if (!mapCountAllows(mm.vmas, 1)) return -EAGAIN;
      splitVma(mm.vmas, vma, end);
    }
    vma.flags ^= VM_DONTCOPY;
  }
  return hole || reached < end ? -ENOMEM : 0;
}
