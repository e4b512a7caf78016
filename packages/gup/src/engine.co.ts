/**
 * The slow engine: one page after the other under mmap_lock (Linux: __get_user_pages, faultin_page,
 * __get_user_pages_locked; B.4, B.9). The documented classic call runs on `getUserPagesRange` too.
 */
import {
  EAGAIN,
  EBUSY,
  EEXIST,
  EFAULT,
  EHWPOISON,
  EINTR,
  EINVAL,
  EMLINK,
  ENOMEM,
  ERESTARTSYS,
  FOLL_GET,
  FOLL_HWPOISON,
  FOLL_INTERRUPTIBLE,
  FOLL_MADV_POPULATE,
  FOLL_NOFAULT,
  FOLL_NOWAIT,
  FOLL_PIN,
  FOLL_REMOTE,
  FOLL_TRIED,
  FOLL_UNLOCKABLE,
  FOLL_WRITE,
  InvariantError,
  P_GUP_AGAIN,
  P_HAS_PINNED,
} from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { Mm, MM_FLAGS, mmapAssertLocked, mmapReadUnlock, MMF_HAS_PINNED } from '@mmkit/aspace';
import { callFaultHandler, mmapReadLockKillable } from '@mmkit/aspace/sched';
import {
  FAULT_FLAG_ALLOW_RETRY,
  FAULT_FLAG_INTERRUPTIBLE,
  FAULT_FLAG_KILLABLE,
  FAULT_FLAG_REMOTE,
  FAULT_FLAG_RETRY_NOWAIT,
  FAULT_FLAG_TRIED,
  FAULT_FLAG_UNSHARE,
  FAULT_FLAG_WRITE,
  VM_FAULT_COMPLETED,
  VM_FAULT_ERROR,
  VM_FAULT_HWPOISON,
  VM_FAULT_HWPOISON_LARGE,
  VM_FAULT_MAJOR,
  VM_FAULT_OOM,
  VM_FAULT_RETRY,
  VM_FAULT_WRITE,
} from '@mmkit/fault';
import { gupPutFolio } from '@mmkit/phys';
import { VM_WRITE, vmaLookup } from '@mmkit/vma';
import type { Vma } from '@mmkit/vma';
import { followPage, NEEDS_FAULT } from './lookup.co.ts';
import type { LockState } from './request.ts';
import { FOLL_COW, Request } from './request.ts';
import { checkVmaFlags } from './vma-check.ts';

/** From faultinPage: done, and the page is now a private copy that the VMA may not write (A.9). */
const COW_BROKEN = 1;

/**
 * Takes up to `nr` pages from `start` on: how many, or a negative errno when the first failed. mmap_lock is held; when the
 * request has `locked`, it may be dropped on the way (`locked.value` is 0 then). `nr` may be Infinity (classic).
 */
export function* getUserPagesRange(mm: Mm, start: number, nr: number, request: Request): Task<number> {
  mmapAssertLocked(mm);
  const pageSize = mm.memory.phys.pageSize;
  const { sched, policy } = mm.memory;
  const { flags, pages, vmas } = request;
  const first = request.at;
  let vma: Vma | null = null;
  // Of the page at hand: what a forced write has been granted does not hold for the next one.
  let foll = flags;
  let done = 0;
  let result = 0;
  while (done < nr) {
    if (vma === null || start >= vma.end) {
      vma = vmaLookup(mm.vmas, start);
      result = vma === null ? -EFAULT : checkVmaFlags(policy, vma, flags);
      if (result !== 0) {
        if ((flags & FOLL_MADV_POPULATE) !== 0) result = vma === null ? -ENOMEM : -EINVAL;
        break;
      }
    }
    if (sched.current.killed) {
      result = request.classic ? -ERESTARTSYS : -EINTR;
      break;
    }
    const page = yield* followPage(mm, vma!, start, foll);
    if (page === NEEDS_FAULT || page === -EMLINK) {
      result = yield* faultinPage(mm, vma!, start, foll, page === -EMLINK, request);
      if (result >= 0) {
        if (result === COW_BROKEN) foll = policy.forcedWrite === 'read' ? foll & ~FOLL_WRITE : foll | FOLL_COW;
        yield P_GUP_AGAIN;
        continue;
      }
      if (result === -EBUSY || result === -EAGAIN) result = 0;
      break;
    }
    if (page < 0 && (page !== -EEXIST || pages !== null)) {
      result = page;
      break;
    }
    if (pages !== null) {
      if (request.at >= pages.length) overrun(mm, request, first, page);
      pages[request.at] = page;
    }
    if (vmas !== null) vmas[request.at] = vma;
    request.at++;
    done++;
    start += pageSize;
    foll = flags;
  }
  return done > 0 ? done : result;
}

/** A negative nr met more pages than `pages` has slots: C would write past the array. Everything is given back. */
function overrun(mm: Mm, request: Request, first: number, page: number): never {
  const pages = request.pages!;
  gupPutFolio(mm.memory.phys, page, 1, request.flags);
  for (let i = first; i < request.at; i++) gupPutFolio(mm.memory.phys, pages[i]!, 1, request.flags);
  throw new InvariantError('PAGES_OVERRUN', `more than ${pages.length} pages, and pages has no more slots`);
}

/** One fault on behalf of GUP (faultin_page): 0, COW_BROKEN, or a negative errno; -EBUSY, -EAGAIN: the lock may be gone. */
function* faultinPage(
  mm: Mm,
  vma: Vma,
  address: number,
  flags: number,
  unshare: boolean,
  request: Request,
): Task<number> {
  const { locked, tsk } = request;
  if ((flags & FOLL_NOFAULT) !== 0) return -EFAULT;
  let fault = 0;
  if ((flags & FOLL_WRITE) !== 0) fault |= FAULT_FLAG_WRITE;
  if ((flags & FOLL_REMOTE) !== 0) fault |= FAULT_FLAG_REMOTE;
  if ((flags & FOLL_UNLOCKABLE) !== 0) {
    fault |= FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_KILLABLE;
    if ((flags & FOLL_INTERRUPTIBLE) !== 0) fault |= FAULT_FLAG_INTERRUPTIBLE;
  }
  if ((flags & FOLL_NOWAIT) !== 0) fault |= FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_RETRY_NOWAIT;
  if ((flags & FOLL_TRIED) !== 0) fault |= FAULT_FLAG_TRIED;
  if (unshare) fault |= FAULT_FLAG_UNSHARE;
  const result = yield* callFaultHandler(mm, vma, address, fault);
  if ((result & VM_FAULT_COMPLETED) !== 0) {
    if (locked !== null) locked.value = 0;
    return -EAGAIN;
  }
  if ((result & VM_FAULT_ERROR) !== 0) return faultErrno(result, flags);
  if (tsk !== null) {
    if ((result & VM_FAULT_MAJOR) !== 0) tsk.maj_flt++;
    else tsk.min_flt++;
  }
  if ((result & VM_FAULT_RETRY) !== 0) {
    const kept = (fault & FAULT_FLAG_RETRY_NOWAIT) !== 0 && !(request.classic && mm.memory.policy.nowaitClears);
    if (locked !== null && !kept) locked.value = 0;
    return -EBUSY;
  }
  return (result & VM_FAULT_WRITE) !== 0 && (vma.flags & VM_WRITE) === 0 ? COW_BROKEN : 0;
}

/** vm_fault_to_errno. */
function faultErrno(result: number, flags: number): number {
  if ((result & VM_FAULT_OOM) !== 0) return -ENOMEM;
  if ((result & (VM_FAULT_HWPOISON | VM_FAULT_HWPOISON_LARGE)) !== 0 && (flags & FOLL_HWPOISON) !== 0)
    return -EHWPOISON;
  return -EFAULT;
}

/**
 * The lock loop (__get_user_pages_locked): takes mmap_lock where `locked.value` is 0, goes on after a fault that dropped
 * it. 0 only for `nr` 0 or FOLL_NOWAIT. On return `locked.value` says whether mmap_lock is held.
 */
export function* getUserPagesLocked(
  mm: Mm,
  start: number,
  nr: number,
  pages: Uint32Array | null,
  at: number,
  locked: LockState,
  flags: number,
): Task<number> {
  if (nr === 0) return 0;
  const { sched, phys, stat } = mm.memory;
  let mustUnlock = false;
  if (locked.value === 0) {
    if ((yield* mmapReadLockKillable(mm)) !== 0) return -EAGAIN;
    mustUnlock = true;
    locked.value = 1;
  } else {
    mmapAssertLocked(mm);
  }
  if ((flags & FOLL_PIN) !== 0) yield* setHasPinned(mm);
  else if (pages !== null) flags |= FOLL_GET;
  const unlockable = (flags & FOLL_UNLOCKABLE) !== 0;
  const request = new Request(flags, pages, locked, null, null, false);
  request.at = at;
  let done = 0;
  let result = 0;
  let single = false;
  while (done < nr) {
    request.flags = single ? flags | FOLL_TRIED : flags;
    const got = yield* getUserPagesRange(mm, start + done * phys.pageSize, single ? 1 : nr - done, request);
    if (got > 0) done += got;
    else result = got;
    if (locked.value === 1) {
      // The page that was retried is there: back to whole ranges. Anything else ends the call.
      if (single && got === 1) {
        single = false;
        continue;
      }
      break;
    }
    if (!unlockable) throw new InvariantError('LOCK_DROPPED', 'a fault handler dropped mmap_lock without leave');
    mustUnlock = true;
    if (sched.current.killed || (yield* mmapReadLockKillable(mm)) !== 0) {
      result = -EINTR;
      break;
    }
    locked.value = 1;
    single = true;
  }
  if (mustUnlock && locked.value === 1) {
    mmapReadUnlock(mm);
    locked.value = 0;
  }
  stat.gupSlow += done;
  if (done > 0) return done;
  if (result === 0 && (flags & FOLL_NOWAIT) === 0) {
    mm.memory.warn('get_user_pages got no page and no error');
    return -EFAULT;
  }
  return result;
}

/** Sets MMF_HAS_PINNED: from now on fork looks at the pins of this mm. */
export function* setHasPinned(mm: Mm): Task<void> {
  yield P_HAS_PINNED;
  mm.words[MM_FLAGS] = mm.words[MM_FLAGS]! | MMF_HAS_PINNED;
}
