/** RLIMIT_MEMLOCK for mlock and its kin, and for locked stacks that grow (Linux: mlock_future_ok). */
import { Mm } from './mm.ts';

/** True when `pages` more may be locked: CAP_IPC_LOCK, or within the limit. */
export function mayLock(mm: Mm, pages: number): boolean {
  return mm.capIpcLock || (mm.lockedVm + pages) * mm.memory.phys.pageSize <= mm.rlimitMemlock;
}
