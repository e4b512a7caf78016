/**
 * madvise (Linux: do_madvise, madvise_walk_vmas; FACTS 17, 33, 36). Each VMA of the range gets the advice, in order of
 * addresses; a hole is told at the end, after everything else is done, an error at once. Advice that changes flags of
 * VMAs is in madvise-vma.co.ts, advice about pages in madvise-pages.co.ts.
 *
 * Advice about pages holds mmap_lock for reading, all other for writing. Linux takes just the lock of the VMA for some.
 */
import { alignUp, checkAddress, checkInteger, EINTR, EINVAL, ENOMEM, EPERM, isAligned } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { Mm, mmapReadUnlock, mmapWriteUnlock } from '@mmkit/aspace';
import type { Policy } from '@mmkit/aspace';
import { mmapReadLock, mmapWriteLockKillable } from '@mmkit/aspace/sched';
import { findVma, VM_WRITE, vmaIsAnonymous, vmaIsSealed } from '@mmkit/vma';
import type { Vma } from '@mmkit/vma';
import { adviseFlags } from './madvise-vma.co.ts';
import { advisePages, madvisePopulate } from './madvise-pages.co.ts';
import {
  MADV_COLD,
  MADV_COLLAPSE,
  MADV_DONTFORK,
  MADV_DONTNEED,
  MADV_DONTNEED_LOCKED,
  MADV_FREE,
  MADV_GUARD_INSTALL,
  MADV_GUARD_REMOVE,
  MADV_NORMAL,
  MADV_PAGEOUT,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_REMOVE,
  MADV_WILLNEED,
  MADV_WIPEONFORK,
} from './flags.ts';

/** What holds mmap_lock for reading only. */
const PAGE_ADVICE: readonly number[] = Object.freeze([
  MADV_WILLNEED,
  MADV_DONTNEED,
  MADV_DONTNEED_LOCKED,
  MADV_FREE,
  MADV_REMOVE,
  MADV_COLD,
  MADV_PAGEOUT,
  MADV_COLLAPSE,
  MADV_GUARD_INSTALL,
  MADV_GUARD_REMOVE,
]);

/** What throws data away, now or at fork: not with sealed memory the caller could not clear by writing. */
const DISCARDS: readonly number[] = Object.freeze([
  MADV_FREE,
  MADV_DONTNEED,
  MADV_DONTNEED_LOCKED,
  MADV_REMOVE,
  MADV_DONTFORK,
  MADV_WIPEONFORK,
  MADV_GUARD_INSTALL,
]);

/**
 * Advice (MADV_*) for [address, address + length): 0; -EINVAL (alignment, unknown advice, a range that ends beyond 2^53, a
 * VMA that refuses it: those before it have got it); -ENOMEM when the range has holes (what is there has got it);
 * -EAGAIN when a split would exceed the map count; -EINTR; -EPERM (sealed memory); -EACCES (MADV_REMOVE where the file
 * may not be written through the mapping); MADV_POPULATE_*: -EFAULT, -EHWPOISON, -ENOMEM also for no memory; and
 * what the file reports.
 */
export function* madvise(mm: Mm, address: number, length: number, advice: number): Task<number> {
  checkAddress('address', address);
  checkAddress('length', length);
  checkInteger('advice', advice, 0, 0x7fffffff);
  const { phys } = mm.memory;
  if (!knownAdvice(mm.memory.policy, advice)) return -EINVAL;
  if (!isAligned(address, phys.pageSize)) return -EINVAL;
  const end = address + alignUp(length, phys.pageSize);
  if (end > Number.MAX_SAFE_INTEGER) return -EINVAL;
  if (end === address) return 0;
  if (advice === MADV_POPULATE_READ || advice === MADV_POPULATE_WRITE) {
    return yield* madvisePopulate(mm, address, end, advice === MADV_POPULATE_WRITE);
  }
  if (PAGE_ADVICE.includes(advice)) {
    yield* mmapReadLock(mm);
    const error = yield* walkVmas(mm, address, end, advice, advisePages);
    mmapReadUnlock(mm);
    return error;
  }
  if ((yield* mmapWriteLockKillable(mm)) !== 0) return -EINTR;
  const error = yield* walkVmas(mm, address, end, advice, adviseFlags);
  mmapWriteUnlock(mm);
  return error;
}

/** MADV_HWPOISON and MADV_SOFT_OFFLINE are unknown to a kernel without CONFIG_MEMORY_FAILURE, as ours is. */
function knownAdvice(policy: Policy, advice: number): boolean {
  if (advice >= MADV_NORMAL && advice <= MADV_DONTNEED) return true;
  if (advice >= MADV_FREE && advice <= MADV_COLLAPSE) return true;
  return policy.guards && (advice === MADV_GUARD_INSTALL || advice === MADV_GUARD_REMOVE);
}

/** Gives the advice to one VMA, [start, end) of which is in the range: 0 or a negative errno. */
type Visit = (mm: Mm, vma: Vma, start: number, end: number, advice: number) => Task<number>;

function* walkVmas(mm: Mm, start: number, end: number, advice: number, visit: Visit): Task<number> {
  let hole = false;
  // Looked up anew each time: the visit may merge VMAs, or drop the lock.
  for (let at = start; at < end; ) {
    const vma = findVma(mm.vmas, at);
    if (vma === null || vma.start > at) hole = true;
    if (vma === null || vma.start >= end) break;
    const from = Math.max(at, vma.start);
    at = Math.min(end, vma.end);
    if (!mayModify(vma, advice)) return -EPERM;
    const error = yield* visit(mm, vma, from, at, advice);
    if (error !== 0) return error;
  }
  return hole ? -ENOMEM : 0;
}

/** False: the VMA is sealed, anonymous and read-only, and the advice would discard what is in it (can_madvise_modify). */
function mayModify(vma: Vma, advice: number): boolean {
  return !vmaIsSealed(vma) || !DISCARDS.includes(advice) || !vmaIsAnonymous(vma) || (vma.flags & VM_WRITE) !== 0;
}
