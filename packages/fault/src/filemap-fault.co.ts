/**
 * Getting the page of a disk file for a fault (Linux: filemap_fault, lock_folio_maybe_drop_mmap; N.5). Whoever would have to
 * wait for the page, because it is read in or locked, does by its flags (DESIGN "Waiting"):
 *
 * | flags | wait | mmap_lock | result |
 * |-------|------|-----------|--------|
 * | ALLOW_RETRY, first try | killable with KILLABLE | given back before | RETRY |
 * | ALLOW_RETRY and RETRY_NOWAIT | none; the read goes on | kept | RETRY |
 * | else | killable with KILLABLE | kept | the page; killed: given back, RETRY |
 *
 * invalidate_lock is held for reading while a page is added and read in, so that none comes back that truncation has just
 * removed. Differs from Linux: no read-ahead beyond the page asked for; without mmap_lock nothing keeps the file open,
 * as files are not freed here; NOWAIT never waits for the device, where Linux does if an earlier read had failed.
 */
import { EIO, ENOMEM, P_CACHE_LOOKUP } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import {
  filemapAddFolio,
  filemapGetFolio,
  folioInFile,
  folioTestUptodate,
  folioTrylock,
  folioUnlock,
  readFolio,
} from '@mmkit/filemap';
import { folioLock, folioLockKillable, folioWaitLockedKillable } from '@mmkit/filemap/sched';
import { putPage } from '@mmkit/phys';
import { mmapReadUnlock } from '@mmkit/aspace';
import { upRead } from '@mmkit/rwsem';
import { downRead } from '@mmkit/rwsem/sched';
import { noted } from '@mmkit/task';
import { beyondEnd, FileFault } from './file-fault.ts';
import {
  FAULT_FLAG_ALLOW_RETRY,
  FAULT_FLAG_KILLABLE,
  FAULT_FLAG_RETRY_NOWAIT,
  FAULT_FLAG_TRIED,
  VM_FAULT_MAJOR,
  VM_FAULT_OOM,
  VM_FAULT_RETRY,
  VM_FAULT_SIGBUS,
} from './flags.ts';

/** What a fault holds while it looks for its page. */
interface Search {
  /** The page with a reference, or -1. */
  pfn: number;
  /** invalidate_lock is held for reading. */
  invalidateHeld: boolean;
  /** mmap_lock was given back: the result must be RETRY. */
  mmapDropped: boolean;
}

/**
 * Finds or reads in the page of `fault`: 0 or VM_FAULT_MAJOR, the page in `fault.page`, locked; VM_FAULT_SIGBUS (beyond the
 * end, I/O error), VM_FAULT_OOM; VM_FAULT_RETRY, possibly with MAJOR.
 */
export function* filemapFault(fault: FileFault): Task<number> {
  const { inode, index, mm } = fault;
  const { sched, phys } = mm.memory;
  yield noted(sched, P_CACHE_LOOKUP);
  if (beyondEnd(inode, index)) return VM_FAULT_SIGBUS;
  const search: Search = { pfn: -1, invalidateHeld: false, mmapDropped: false };
  const major = inode.pages.has(index) ? 0 : VM_FAULT_MAJOR;
  const result = yield* findLocked(fault, search);
  if (search.invalidateHeld) upRead(sched, inode.invalidateLock);
  if (result === 0 && !search.mmapDropped) {
    if (!beyondEnd(inode, index)) {
      fault.page = search.pfn;
      return major;
    }
    // Truncated while we waited for its lock.
    folioUnlock(mm.memory, search.pfn);
    putPage(phys, search.pfn);
    return VM_FAULT_SIGBUS;
  }
  if (result === 0) folioUnlock(mm.memory, search.pfn);
  if (search.pfn >= 0) putPage(phys, search.pfn);
  return search.mmapDropped || result === VM_FAULT_RETRY ? major | VM_FAULT_RETRY : result;
}

/** Looks until `search.pfn` is locked, in the file and uptodate (0); else VM_FAULT_RETRY, SIGBUS or OOM. */
function* findLocked(fault: FileFault, search: Search): Task<number> {
  const { inode, index, mm } = fault;
  const { files, invalidateLock } = inode;
  const { sched, phys } = mm.memory;
  for (;;) {
    search.pfn = filemapGetFolio(inode, index);
    if ((search.pfn < 0 || !folioTestUptodate(phys, search.pfn)) && !search.invalidateHeld) {
      yield* downRead(sched, invalidateLock);
      search.invalidateHeld = true;
    }
    if (search.pfn < 0) {
      const added = addAndRead(fault, search);
      if (added === -ENOMEM) return VM_FAULT_OOM;
      search.pfn = added < 0 ? filemapGetFolio(inode, index) : added;
    }
    if (!(yield* lockFolioMaybeDropMmap(fault, search))) return VM_FAULT_RETRY;
    const here = folioInFile(inode, search.pfn, index);
    if (here && folioTestUptodate(phys, search.pfn)) return 0;
    if (here && search.invalidateHeld) {
      const error = yield* readAgain(fault, search);
      if (error !== 0) return error;
    } else folioUnlock(files, search.pfn);
    // Removed, invalidated, or read in and unlocked: from the start.
    putPage(phys, search.pfn);
    search.pfn = -1;
    yield noted(sched, P_CACHE_LOOKUP);
  }
}

/** Adds the page to the cache and starts its read (page_cache_sync_ra): it, locked until that ends; -EEXIST, -ENOMEM. */
function addAndRead(fault: FileFault, search: Search): number {
  const { inode, index } = fault;
  const pfn = filemapAddFolio(inode, index);
  if (pfn < 0) return pfn;
  // Before it is known whether the read has to wait: a hole has not, and the fault is retried all the same.
  dropMmapLock(fault, search);
  readFolio(inode, pfn, index);
  return pfn;
}

/** Reads a locked page whose read had failed: 0, and it is unlocked; VM_FAULT_RETRY or SIGBUS (filemap_read_folio). */
function* readAgain(fault: FileFault, search: Search): Task<number> {
  const { inode, index, mm, flags } = fault;
  dropMmapLock(fault, search);
  readFolio(inode, search.pfn, index);
  if ((flags & FAULT_FLAG_RETRY_NOWAIT) !== 0) return VM_FAULT_RETRY;
  let error = yield* folioWaitLockedKillable(mm.memory, search.pfn);
  if (error === 0 && !folioTestUptodate(mm.memory.phys, search.pfn)) error = -EIO;
  if (search.mmapDropped) return VM_FAULT_RETRY;
  return error === 0 ? 0 : VM_FAULT_SIGBUS;
}

/** Takes the folio lock as the flags allow; false: RETRY is due, and mmap_lock is dropped unless with NOWAIT. */
function* lockFolioMaybeDropMmap(fault: FileFault, search: Search): Task<boolean> {
  const { mm, flags } = fault;
  if (folioTrylock(mm.memory, search.pfn)) return true;
  if ((flags & FAULT_FLAG_RETRY_NOWAIT) !== 0) return false;
  dropMmapLock(fault, search);
  if ((flags & FAULT_FLAG_KILLABLE) === 0) {
    yield* folioLock(mm.memory, search.pfn);
    return true;
  }
  if ((yield* folioLockKillable(mm.memory, search.pfn)) === 0) return true;
  if (!search.mmapDropped) mmapReadUnlock(mm);
  return false;
}

/** Gives mmap_lock back for a wait if this is the first try of a fault that may be retried (maybe_unlock_mmap_for_io). */
function dropMmapLock(fault: FileFault, search: Search): void {
  const { mm, flags } = fault;
  const first = (flags & (FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_TRIED)) === FAULT_FLAG_ALLOW_RETRY;
  if (search.mmapDropped || !first || (flags & FAULT_FLAG_RETRY_NOWAIT) !== 0) return;
  search.mmapDropped = true;
  mmapReadUnlock(mm);
}
