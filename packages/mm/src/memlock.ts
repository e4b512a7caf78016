/** RLIMIT_MEMLOCK for mlock and its kin (Linux: can_do_mlock, mlock_future_ok). */
import { Mm } from '@mmkit/aspace';

/** True when `pages` more may be locked: CAP_IPC_LOCK, or within the limit. */
export function mayLock(mm: Mm, pages: number): boolean {
  return mm.capIpcLock || (mm.lockedVm + pages) * mm.memory.phys.pageSize <= mm.rlimitMemlock;
}
