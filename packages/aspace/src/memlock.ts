/**
 * RLIMIT_MEMLOCK for mlock and its kin, and for locked stacks that grow (Linux: mlock_future_ok); RLIMIT_AS and RLIMIT_DATA
 * for whatever adds memory (may_expand_vm).
 */
import { VM_GROWSDOWN, VM_SHARED, VM_WRITE, vmasIn } from '@mmkit/vma';
import { Mm } from './mm.ts';

/** True when `pages` more may be locked: CAP_IPC_LOCK, or within the limit. */
export function mayLock(mm: Mm, pages: number): boolean {
  return mm.capIpcLock || (mm.lockedVm + pages) * mm.memory.phys.pageSize <= mm.rlimitMemlock;
}

/**
 * True if `pages` more of memory with `flags` stay within RLIMIT_AS and, private writable memory, within RLIMIT_DATA, which
 * 0 does not bind; parts of a page do not count.
 */
export function mayExpandVm(mm: Mm, flags: number, pages: number): boolean {
  const { totalPages, pagesPerByte } = mm.vmas;
  if (totalPages + pages > Math.floor(mm.rlimitAs * pagesPerByte)) return false;
  // What counts is only looked for where there is a limit.
  if (mm.rlimitData === Infinity || mm.rlimitData === 0 || !isData(flags)) return true;
  return dataPages(mm) + pages <= Math.floor(mm.rlimitData * pagesPerByte);
}

/** Pages of private writable memory that is no stack (data_vm). Time O(VMAs). */
export function dataPages(mm: Mm): number {
  const { taskSize, pagesPerByte } = mm.vmas;
  let pages = 0;
  for (const { start, end, flags } of vmasIn(mm.vmas, 0, taskSize)) {
    if (isData(flags)) pages += (end - start) * pagesPerByte;
  }
  return pages;
}

/** True for VMAs that RLIMIT_DATA counts (is_data_mapping). */
function isData(flags: number): boolean {
  return (flags & (VM_WRITE | VM_SHARED | VM_GROWSDOWN)) === VM_WRITE;
}
