/**
 * The slow engine: pages looked up under mmap_lock, one by one faulted in (Linux: __get_user_pages, faultin_page; B.4).
 * The documented classic call runs on it too.
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
  FOLL_HWPOISON,
  FOLL_INTERRUPTIBLE,
  FOLL_MADV_POPULATE,
  FOLL_NOFAULT,
  FOLL_NOWAIT,
  FOLL_REMOTE,
  FOLL_TRIED,
  FOLL_UNLOCKABLE,
  FOLL_WRITE,
  InvariantError,
  P_GUP_AGAIN,
} from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { Mm, mmapAssertLocked } from '@mmkit/aspace';
import type { Policy } from '@mmkit/aspace';
import { callFaultHandler } from '@mmkit/aspace/sched';
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
import { noted } from '@mmkit/task';
import { isStackGuardPage, VM_WRITE, vmaLookup } from '@mmkit/vma';
import type { Vma } from '@mmkit/vma';
import { findExtendVma } from './find-vma.co.ts';
import { FOLLOWED, followPages, NEEDS_FAULT } from './lookup.co.ts';
import { FOLL_COW, FOLL_MLOCK, FOLL_POPULATE, Request } from './request.ts';
import { checkVmaFlags } from './vma-check.ts';

/** From faultinPage: done, and the page is now a private copy that the VMA may not write (A.9). */
const COW_BROKEN = 1;
/** From faultinPage: the page is passed over, counted but not there (A.4 #1). */
const SKIPPED = 2;

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
  let fresh = true;
  let done = 0;
  let result = 0;
  while (done < nr) {
    if (vma === null || start >= vma.end) {
      const populate = (flags & FOLL_MADV_POPULATE) !== 0;
      vma = populate ? vmaLookup(mm.vmas, start) : yield* findExtendVma(mm, start);
      result = vma === null ? -EFAULT : checkVmaFlags(policy, vma, flags);
      if (result !== 0) {
        if (populate) result = vma === null ? -ENOMEM : -EINVAL;
        break;
      }
    }
    if (sched.current.killed && (fresh || policy.gupSignals === 'try')) {
      result = request.classic ? -ERESTARTSYS : -EINTR;
      break;
    }
    const left = nr - done;
    const most = left > 1 && foll === flags ? Math.min(left, Math.ceil((vma!.end - start) / pageSize)) : 1;
    const page = yield* followPages(mm, vma!, start, most, foll, request);
    let taken = 1;
    if (page === FOLLOWED) {
      taken = request.taken;
    } else if (page === NEEDS_FAULT || page === -EMLINK) {
      result = yield* faultinPage(mm, vma!, start, foll, page === -EMLINK, request);
      if (result === 0 || result === COW_BROKEN) {
        if (result === COW_BROKEN) foll = policy.forcedWrite === 'read' ? foll & ~FOLL_WRITE : foll | FOLL_COW;
        fresh = false;
        yield noted(sched, P_GUP_AGAIN);
        continue;
      }
      if (result !== SKIPPED) {
        if (result === -EBUSY || result === -EAGAIN) result = 0;
        break;
      }
    } else if (page < 0 && (page !== -EEXIST || pages !== null)) {
      result = page;
      break;
    }
    if (pages !== null && page >= 0) {
      if (request.at >= pages.length) overrun(mm, request, first, page);
      pages[request.at] = page;
    }
    if (vmas !== null) for (let i = 0; i < taken; i++) vmas[request.at + i] = vma;
    request.at += taken;
    done += taken;
    start += taken * pageSize;
    foll = flags;
    fresh = true;
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

/**
 * Is the page passed over instead of faulted in (A.4 #1)? Its flags ask for mlock alone, or it is the guard of a stack.
 */
function skips(policy: Policy, vma: Vma, address: number, flags: number): boolean {
  if ((flags & FOLL_POPULATE) === 0) return (flags & FOLL_MLOCK) !== 0;
  return policy.stackGuard === 'page' && isStackGuardPage(vma, address);
}

/**
 * One fault on behalf of GUP (faultin_page): 0, COW_BROKEN, SKIPPED, or a negative errno; -EBUSY, -EAGAIN: the lock may
 * be gone.
 */
function* faultinPage(
  mm: Mm,
  vma: Vma,
  address: number,
  flags: number,
  unshare: boolean,
  request: Request,
): Task<number> {
  const { locked, tsk } = request;
  if (skips(mm.memory.policy, vma, address, flags)) return SKIPPED;
  if ((flags & FOLL_NOFAULT) !== 0) return -EFAULT;
  let fault = 0;
  if ((flags & FOLL_WRITE) !== 0) fault |= FAULT_FLAG_WRITE;
  if ((flags & FOLL_REMOTE) !== 0) fault |= FAULT_FLAG_REMOTE;
  if ((flags & FOLL_UNLOCKABLE) !== 0) {
    fault |= request.classic ? FAULT_FLAG_ALLOW_RETRY : FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_KILLABLE;
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

/** vm_fault_to_errno; -EHWPOISON only with FOLL_HWPOISON. */
export function faultErrno(result: number, flags: number): number {
  if ((result & VM_FAULT_OOM) !== 0) return -ENOMEM;
  if ((result & (VM_FAULT_HWPOISON | VM_FAULT_HWPOISON_LARGE)) !== 0 && (flags & FOLL_HWPOISON) !== 0)
    return -EHWPOISON;
  return -EFAULT;
}
