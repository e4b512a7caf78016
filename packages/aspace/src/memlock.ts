/**
 * RLIMIT_MEMLOCK for mlock and its kin, and for locked stacks that grow (Linux: mlock_future_ok); RLIMIT_AS for whatever
 * adds memory (may_expand_vm).
 */
import { Mm } from './mm.ts';

/** True when `pages` more may be locked: CAP_IPC_LOCK, or within the limit. */
export function mayLock(mm: Mm, pages: number): boolean {
  return mm.capIpcLock || (mm.lockedVm + pages) * mm.memory.phys.pageSize <= mm.rlimitMemlock;
}

/** True if `pages` more stay within RLIMIT_AS, of which a part of a page does not count. */
export function mayExpandVm(mm: Mm, pages: number): boolean {
  return mm.vmas.totalPages + pages <= Math.floor(mm.rlimitAs * mm.vmas.pagesPerByte);
}
