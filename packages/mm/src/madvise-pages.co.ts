/**
 * Advice about the pages of a range (Linux: madvise_dontneed_free, madvise_cold, madvise_pageout, madvise_remove,
 * madvise_willneed, madvise_populate, madvise_guard_install). mmap_lock held for reading.
 *
 * Without swap MADV_PAGEOUT of anonymous memory does no more than split large folios; file pages, which Linux would drop
 * from the page cache, stay.
 */
import { alignDown, alignUp, EACCES, EINVAL, ENOMEM } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import {
  anonVmaPrepare,
  hugeAllowed,
  hugePageSize,
  Mm,
  mmapReadUnlock,
  mmapWriteUnlock,
  vmaInode,
  ZAP_KEEP_MARKERS,
  ZAP_MLOCKED,
  ZAP_RECLAIM_TABLES,
} from '@mmkit/aspace';
import {
  coldRange,
  collapseHugePage,
  guardInstall,
  guardRemove,
  lazyfreeRange,
  mmapReadLock,
  mmapWriteLock,
  pageoutRange,
  zapPageRange,
} from '@mmkit/aspace/sched';
import { forcePageCacheReadahead, punchHole } from '@mmkit/filemap/sched';
import { faultinPageRange } from '@mmkit/gup/sched';
import {
  VM_HUGETLB,
  VM_LOCKED,
  VM_MAYBE_GUARD,
  VM_MAYWRITE,
  VM_PFNMAP,
  VM_SHARED,
  VM_SPECIAL,
  vmaIsAnonymous,
  vmaLookup,
} from '@mmkit/vma';
import type { Vma } from '@mmkit/vma';
import {
  MADV_COLD,
  MADV_COLLAPSE,
  MADV_DONTNEED,
  MADV_DONTNEED_LOCKED,
  MADV_FREE,
  MADV_GUARD_INSTALL,
  MADV_GUARD_REMOVE,
  MADV_PAGEOUT,
  MADV_REMOVE,
  MADV_WILLNEED,
} from './flags.ts';

/** Gives page advice to [start, end) of `vma`: 0 or a negative errno. MADV_REMOVE and MADV_WILLNEED drop mmap_lock on the way. */
export function* advisePages(mm: Mm, vma: Vma, start: number, end: number, advice: number): Task<number> {
  switch (advice) {
    case MADV_DONTNEED:
    case MADV_DONTNEED_LOCKED: {
      const refusing = advice === MADV_DONTNEED ? VM_LOCKED | VM_PFNMAP : VM_PFNMAP;
      if ((vma.flags & refusing) !== 0) return -EINVAL;
      const locked = (vma.flags & VM_LOCKED) !== 0 ? ZAP_MLOCKED : 0;
      const reclaim = mm.memory.policy.reclaimTables ? ZAP_RECLAIM_TABLES : 0;
      yield* zapPageRange(mm, start, end, ZAP_KEEP_MARKERS | locked | reclaim);
      return 0;
    }
    case MADV_FREE:
      if ((vma.flags & (VM_LOCKED | VM_PFNMAP)) !== 0 || !vmaIsAnonymous(vma)) return -EINVAL;
      yield* lazyfreeRange(mm, start, end);
      return 0;
    case MADV_COLD:
    case MADV_PAGEOUT:
      if ((vma.flags & (VM_LOCKED | VM_PFNMAP | VM_HUGETLB)) !== 0) return -EINVAL;
      if (advice === MADV_COLD) yield* coldRange(mm, start, end);
      else yield* pageoutRange(mm, start, end);
      return 0;
    case MADV_GUARD_INSTALL:
      if ((vma.flags & (VM_SPECIAL | VM_HUGETLB | VM_LOCKED)) !== 0) return -EINVAL;
      // For the whole VMA and for ever: nobody looks whether a guard is left. fork copies tables of such a VMA.
      vma.flags |= VM_MAYBE_GUARD;
      if (vmaIsAnonymous(vma)) anonVmaPrepare(mm.memory, vma);
      return yield* guardInstall(mm, start, end);
    case MADV_GUARD_REMOVE:
      if ((vma.flags & (VM_SPECIAL | VM_HUGETLB)) !== 0) return -EINVAL;
      yield* guardRemove(mm, start, end);
      return 0;
    case MADV_COLLAPSE:
      return yield* collapsePages(mm, vma, start, end);
    case MADV_REMOVE:
      return yield* removePages(mm, vma, start, end);
    case MADV_WILLNEED:
      return yield* willNeed(mm, vma, start, end);
    default:
      return -EINVAL;
  }
}

/**
 * MADV_COLLAPSE: the whole huge pages of [start, end) become such: 0, or why the last one that did not could not. Holds
 * mmap_lock for writing meanwhile, for reading again afterwards.
 */
function* collapsePages(mm: Mm, vma: Vma, start: number, end: number): Task<number> {
  const { memory } = mm;
  const size = hugePageSize(memory);
  const first = alignUp(start, size);
  if (!hugeAllowed(mm, vma) || vma.anonVma === null) return -EINVAL;
  if (alignUp(vma.start, size) + size > vma.end) return -EINVAL;
  // Less than a huge page across no edge of one: an error, as measured; across an edge: nothing to do.
  if (first > alignDown(end, size)) return -EINVAL;
  let error = 0;
  mmapReadUnlock(mm);
  yield* mmapWriteLock(mm);
  for (let at = first; at + size <= end; at += size) {
    // Others may have changed it since.
    const now = vmaLookup(mm.vmas, at);
    const fits = now !== null && hugeAllowed(mm, now) && now.anonVma !== null && now.end >= at + size;
    const result = fits ? yield* collapseHugePage(mm, now, at) : -EINVAL;
    if (result !== 0) error = result;
    if (!fits || result === -ENOMEM) break;
  }
  mmapWriteUnlock(mm);
  yield* mmapReadLock(mm);
  return error;
}

/** MADV_REMOVE: punches a hole into the file of a shared mapping, which goes from every mapping too (N.13). */
function* removePages(mm: Mm, vma: Vma, start: number, end: number): Task<number> {
  const inode = vmaInode(vma);
  if ((vma.flags & VM_LOCKED) !== 0 || inode === null) return -EINVAL;
  if ((vma.flags & (VM_SHARED | VM_MAYWRITE)) !== (VM_SHARED | VM_MAYWRITE)) return -EACCES;
  const { phys } = mm.memory;
  const offset = start - vma.start + vma.pgoff * phys.pageSize;
  // i_rwsem is outside mmap_lock.
  mmapReadUnlock(mm);
  const error = yield* punchHole(inode, offset, end - start);
  yield* mmapReadLock(mm);
  return error;
}

/** MADV_WILLNEED: reads of a disk file's pages begin (madvise_willneed); other memory is here already. Always 0. */
function* willNeed(mm: Mm, vma: Vma, start: number, end: number): Task<number> {
  const inode = vmaInode(vma);
  if (inode === null) return 0;
  const { pageSize } = mm.memory.phys;
  const first = (start - vma.start) / pageSize + vma.pgoff;
  mmapReadUnlock(mm);
  yield* forcePageCacheReadahead(inode, first, first + (end - start) / pageSize);
  yield* mmapReadLock(mm);
  return 0;
}

/** MADV_POPULATE_READ, or with `write` MADV_POPULATE_WRITE, of [start, end). Takes mmap_lock itself (B.13). */
export function* madvisePopulate(mm: Mm, start: number, end: number, write: boolean): Task<number> {
  const { phys } = mm.memory;
  const locked: { value: 0 | 1 } = { value: 0 };
  let error = 0;
  for (let at = start; at < end && error === 0; ) {
    if (locked.value === 0) {
      yield* mmapReadLock(mm);
      locked.value = 1;
    }
    const pages = yield* faultinPageRange(mm, at, end, write, locked);
    if (pages < 0) error = pages;
    else at += pages * phys.pageSize;
  }
  if (locked.value === 1) mmapReadUnlock(mm);
  return error;
}
