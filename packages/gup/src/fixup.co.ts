/**
 * A fault as the process would make it, without taking the page (Linux: fixup_user_fault; A.11, B.14): for who has
 * found a user page not writable, or not there, and looks again himself. Unlike GUP it marks the entry accessed and
 * dirty (G.9).
 */
import { checkAddress, checkInteger, EFAULT, EINTR, FOLL_HWPOISON, InvariantError } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { Mm, mmapAssertLocked, mmapReadUnlock } from '@mmkit/aspace';
import { callFaultHandler, mmapReadLock } from '@mmkit/aspace/sched';
import {
  FAULT_FLAG_ALLOW_RETRY,
  FAULT_FLAG_KILLABLE,
  FAULT_FLAG_RETRY_NOWAIT,
  FAULT_FLAG_TRIED,
  FAULT_FLAG_WRITE,
  VM_FAULT_COMPLETED,
  VM_FAULT_ERROR,
  VM_FAULT_MAJOR,
  VM_FAULT_RETRY,
} from '@mmkit/fault';
import { VM_READ, VM_WRITE } from '@mmkit/vma';
import { faultErrno } from './engine.co.ts';
import { findExtendVma } from './find-vma.co.ts';
import type { FaultCounters } from './request.ts';

/**
 * Faults in the page at `address` (bytes) by `faultFlags` (FAULT_FLAG_WRITE, or 0): 0; -EFAULT (no VMA, one that does
 * not allow it, no page to be had), -ENOMEM, -EINTR (a fatal signal, where a fault could wait for it); -EHWPOISON up to
 * Linux 5.x. mmap_lock is held for reading, and held on return. With `unlocked` a fault that waits may drop it in
 * between: `unlocked.value` is true then, and VMAs found before are void. `tsk`, of older kernels: whose fault counters
 * are raised, once a call. InvariantError 'FLAGS' for ALLOW_RETRY and RETRY_NOWAIT in `faultFlags`.
 */
export function* fixupUserFault(
  mm: Mm,
  address: number,
  faultFlags: number,
  unlocked: { value: boolean } | null,
  tsk: FaultCounters | null = null,
): Task<number> {
  checkAddress('address', address);
  checkInteger('faultFlags', faultFlags, 0, 0xffff_ffff);
  if ((faultFlags & (FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_RETRY_NOWAIT)) !== 0)
    throw new InvariantError('FLAGS', 'whether the fault may drop mmap_lock, unlocked says');
  mmapAssertLocked(mm);
  const { policy, sched } = mm.memory;
  const { fixupRetry } = policy;
  let flags = faultFlags;
  if (unlocked !== null && fixupRetry !== 'never') flags |= FAULT_FLAG_ALLOW_RETRY;
  if (unlocked !== null && fixupRetry === 'always') flags |= FAULT_FLAG_KILLABLE;
  const needed = (flags & FAULT_FLAG_WRITE) !== 0 ? VM_WRITE : VM_READ;
  let major = 0;
  for (;;) {
    const vma = yield* findExtendVma(mm, address);
    if (vma === null || (vma.flags & needed) === 0) return -EFAULT;
    if ((flags & FAULT_FLAG_KILLABLE) !== 0 && sched.current.killed) return -EINTR;
    const result = yield* callFaultHandler(mm, vma, address, flags);
    if ((result & VM_FAULT_ERROR) !== 0) return faultErrno(result, policy.fixupTellsPoison ? FOLL_HWPOISON : 0);
    major |= result & VM_FAULT_MAJOR;
    if ((result & (VM_FAULT_RETRY | VM_FAULT_COMPLETED)) === 0) break;
    if (unlocked === null || (flags & FAULT_FLAG_ALLOW_RETRY) === 0)
      throw new InvariantError('LOCK_DROPPED', 'a fault handler dropped mmap_lock without leave');
    yield* mmapReadLock(mm);
    unlocked.value = true;
    if ((result & VM_FAULT_COMPLETED) !== 0) break;
    flags |= FAULT_FLAG_TRIED;
    // The last try: that fault may wait, but keeps the lock.
    if (fixupRetry === 'once') flags &= ~FAULT_FLAG_ALLOW_RETRY;
  }
  if (tsk !== null) {
    if (major !== 0) tsk.maj_flt++;
    else tsk.min_flt++;
  }
  return 0;
}

/**
 * Has the pages of `length` bytes from `address` on made writable, nothing stored: how many bytes were not, 0 and up to
 * `length` (Linux: fault_in_safe_writeable; B.14). Takes mmap_lock for reading, and drops it.
 */
export function* faultInSafeWriteable(mm: Mm, address: number, length: number): Task<number> {
  checkAddress('address', address);
  checkInteger('length', length, 0, Number.MAX_SAFE_INTEGER - address);
  const { pageSize } = mm.memory.phys;
  const end = address + length;
  let here = address;
  yield* mmapReadLock(mm);
  while (here < end) {
    if ((yield* fixupUserFault(mm, here, FAULT_FLAG_WRITE, { value: false })) !== 0) break;
    here += pageSize - (here % pageSize);
  }
  mmapReadUnlock(mm);
  return Math.max(0, end - here);
}
