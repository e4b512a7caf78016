/**
 * The page-fault exception (Linux: do_user_addr_fault, lock_mm_and_find_vma, access_error; N.19, N.23): from the
 * hardware's fault to a page, or a signal; a stack below which it lies grows. Takes mmap_lock for reading, the VMA lock
 * of newer kernels not first.
 */
import { EFAULT, EINTR, ENOMEM, InvariantError } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { callFaultHandler, lockMmAndFindVma } from '@mmkit/aspace/sched';
import {
  FAULT_FLAG_DEFAULT,
  FAULT_FLAG_TRIED,
  FAULT_FLAG_USER,
  FAULT_FLAG_WRITE,
  VM_FAULT_COMPLETED,
  VM_FAULT_ERROR,
  VM_FAULT_MAJOR,
  VM_FAULT_OOM,
  VM_FAULT_RETRY,
  VM_FAULT_SIGSEGV,
} from '@mmkit/fault';
import {
  ACCESS_USER,
  ACCESS_WRITE,
  FAULT_BUS,
  FAULT_NON_CANONICAL,
  FAULT_PROTECTION,
  FAULT_RESERVED,
} from '@mmkit/pgtable';
import { mmapReadUnlock } from '@mmkit/aspace';
import { VM_WRITE, vmaIsAccessible } from '@mmkit/vma';
import type { SimTask } from '@mmkit/task';
import type { Vma } from '@mmkit/vma';
import type { Machine } from './machine.ts';
import { BUS_ADRERR, Process, SEGV_ACCERR, SEGV_MAPERR, SI_KERNEL, SIGBUS, SignalInfo, SIGSEGV } from './process.ts';

/**
 * Handles fault kind `fault` (FAULT_*) that `hwWalk` gave for `access` (ACCESS_*) at `address`. 0: try the access
 * again; -EFAULT: the process got a signal; -ENOMEM (Linux would call the OOM killer); -EINTR: the task is being
 * killed.
 */
export function* handlePageFault(
  machine: Machine,
  process: Process,
  address: number,
  access: number,
  fault: number,
): Task<number> {
  if (fault === FAULT_NON_CANONICAL) return sendSignal(process, SIGSEGV, SI_KERNEL, 0);
  if (fault === FAULT_RESERVED || fault === FAULT_BUS) {
    throw new InvariantError('BAD_PAGE_TABLE', `fault kind ${fault} at ${address}: corrupted page table`);
  }
  const { mm } = process;
  const { sched } = machine;
  const user = (access & ACCESS_USER) !== 0;
  let flags = user ? FAULT_FLAG_DEFAULT | FAULT_FLAG_USER : FAULT_FLAG_DEFAULT;
  if ((access & ACCESS_WRITE) !== 0) flags |= FAULT_FLAG_WRITE;
  let major = 0;
  for (let first = true; ; first = false) {
    const vma = yield* lockMmAndFindVma(mm, address);
    if (typeof vma === 'number') return vma === -EINTR ? vma : sendSignal(process, SIGSEGV, SEGV_MAPERR, address);
    if (accessError(vma, access, fault)) {
      mmapReadUnlock(mm);
      return sendSignal(process, SIGSEGV, SEGV_ACCERR, address);
    }
    const result = yield* callFaultHandler(mm, vma, address, flags);
    // Done, or to be tried again: in both cases the handler has dropped mmap_lock.
    if ((result & VM_FAULT_COMPLETED) !== 0) return 0;
    if ((result & VM_FAULT_RETRY) !== 0) {
      major |= result & VM_FAULT_MAJOR;
      if (sched.current.killed) return -EINTR;
      // Linux makes a user's first try under the VMA's lock; one that read nothing in does not count (N.8).
      if (!user || !first || (result & VM_FAULT_MAJOR) !== 0) flags |= FAULT_FLAG_TRIED;
      continue;
    }
    mmapReadUnlock(mm);
    if ((result & VM_FAULT_ERROR) === 0) {
      if (machine.memory.policy.faultCounts === 'caller') charge(sched.current, major | result);
      return 0;
    }
    if ((result & VM_FAULT_OOM) !== 0) return -ENOMEM;
    if ((result & VM_FAULT_SIGSEGV) !== 0) return sendSignal(process, SIGSEGV, SEGV_MAPERR, address);
    return sendSignal(process, SIGBUS, BUS_ADRERR, address);
  }
}

/** Up to 5.8 the exception counted the fault, once, whatever tries it took (A.10). */
function charge(task: SimTask, result: number): void {
  if ((result & VM_FAULT_MAJOR) !== 0) task.maj_flt++;
  else task.min_flt++;
}

/** access_error: a write needs VM_WRITE, a read some right; a read refused by an entry that is there is wrong. */
function accessError(vma: Vma, access: number, fault: number): boolean {
  if ((access & ACCESS_WRITE) !== 0) return (vma.flags & VM_WRITE) === 0;
  return fault === FAULT_PROTECTION || !vmaIsAccessible(vma);
}

function sendSignal(process: Process, signal: number, code: number, address: number): number {
  process.exitSignal = new SignalInfo(signal, code, address);
  return -EFAULT;
}
