/**
 * msync (Linux: mm/msync.c's system call). Only MS_SYNC does something: it writes the file pages of shared mappings back
 * and waits, with mmap_lock dropped meanwhile. MS_ASYNC leaves that to later; MS_INVALIDATE has nothing to do where
 * mappings and page cache are one, but refuses locked memory.
 */
import { alignUp, checkAddress, checkInteger, EBUSY, EINVAL, ENOMEM, isAligned } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { Mm, mmapReadUnlock, vmaInode } from '@mmkit/aspace';
import { filemapWriteAndWait } from '@mmkit/filemap/sched';
import { mmapReadLock } from '@mmkit/aspace/sched';
import { findVma, VM_LOCKED, VM_SHARED } from '@mmkit/vma';
import { MS_ASYNC, MS_INVALIDATE, MS_SYNC } from './flags.ts';

/**
 * Synchronises [address, address + length) with its files: 0; -EINVAL (flags, alignment); -EBUSY (MS_INVALIDATE of locked
 * memory); -ENOMEM when the range has holes or ends beyond 2^53 (what is there has been done); what writeback reports.
 */
export function* msync(mm: Mm, address: number, length: number, flags: number): Task<number> {
  checkAddress('address', address);
  checkAddress('length', length);
  checkInteger('flags', flags, 0, 0x7fffffff);
  const { phys } = mm.memory;
  if ((flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC)) !== 0) return -EINVAL;
  if (!isAligned(address, phys.pageSize)) return -EINVAL;
  if ((flags & (MS_ASYNC | MS_SYNC)) === (MS_ASYNC | MS_SYNC)) return -EINVAL;
  const end = address + alignUp(length, phys.pageSize);
  if (end > Number.MAX_SAFE_INTEGER) return -ENOMEM;
  let start = address;
  let hole = false;
  let error = 0;
  yield* mmapReadLock(mm);
  while (start < end && error === 0) {
    const vma = findVma(mm.vmas, start);
    if (vma === null || vma.start > start) hole = true;
    if (vma === null || vma.start >= end) break;
    if ((flags & MS_INVALIDATE) !== 0 && (vma.flags & VM_LOCKED) !== 0) {
      error = -EBUSY;
      break;
    }
    const from = Math.max(start, vma.start);
    start = Math.min(end, vma.end);
    const inode = vmaInode(vma);
    if ((flags & MS_SYNC) === 0 || (vma.flags & VM_SHARED) === 0 || inode === null) continue;
    const offset = vma.pgoff * phys.pageSize - vma.start;
    mmapReadUnlock(mm);
    error = yield* filemapWriteAndWait(inode, offset + from, offset + start);
    yield* mmapReadLock(mm);
  }
  mmapReadUnlock(mm);
  return error === 0 && hole ? -ENOMEM : error;
}
