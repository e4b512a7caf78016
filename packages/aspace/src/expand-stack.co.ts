/**
 * Finding the VMA of an access that the process itself makes, or a debugger for it: here a stack grows (Linux:
 * lock_mm_and_find_vma, expand_stack; N.8). Since 6.5 under mmap_lock held for writing, which is then made a read hold.
 */
import { EFAULT, EINTR } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { findVma, VM_GROWSDOWN } from '@mmkit/vma';
import type { Vma } from '@mmkit/vma';
import { mmapReadLockKillable, mmapWriteLock, mmapWriteLockKillable } from './mmap-lock.co.ts';
import { mmapReadUnlock, mmapWriteDowngrade, mmapWriteUnlock } from './mmap-unlock.ts';
import { Mm } from './mm.ts';
import { expandDownwards } from './stack.ts';

/**
 * Takes mmap_lock for reading and finds the VMA of `address` (bytes); a stack above it grows down to it. Without one
 * mmap_lock is not held: -EFAULT (nothing there, or the stack may not grow), -EINTR (killed while waiting for
 * mmap_lock).
 */
export function* lockMmAndFindVma(mm: Mm, address: number): Task<Vma | number> {
  if ((yield* mmapReadLockKillable(mm)) !== 0) return -EINTR;
  const vma = findVma(mm.vmas, address);
  if (vma !== null && vma.start <= address) return vma;
  if (mm.memory.policy.stackGrowth === 'gupReadLock') {
    if (vma !== null && expandDownwards(mm, vma, address) === 0) return vma;
  } else if (vma !== null && (vma.flags & VM_GROWSDOWN) !== 0) {
    mmapReadUnlock(mm);
    if ((yield* mmapWriteLockKillable(mm)) !== 0) return -EINTR;
    return growAndDowngrade(mm, address) ?? -EFAULT;
  }
  mmapReadUnlock(mm);
  return -EFAULT;
}

/**
 * Gives up mmap_lock, held for reading, to make the stack above `address` grow down to it: its VMA, or whatever is
 * there by then, with mmap_lock held for reading again; null: nothing, and mmap_lock is not held.
 */
export function* expandStack(mm: Mm, address: number): Task<Vma | null> {
  mmapReadUnlock(mm);
  yield* mmapWriteLock(mm);
  return growAndDowngrade(mm, address);
}

/**
 * Under mmap_lock held for writing: the VMA of `address` and a read hold, or null and no hold. Others may have been
 * here.
 */
function growAndDowngrade(mm: Mm, address: number): Vma | null {
  const vma = findVma(mm.vmas, address);
  if (vma === null || (vma.start > address && expandDownwards(mm, vma, address) !== 0)) {
    mmapWriteUnlock(mm);
    return null;
  }
  mmapWriteDowngrade(mm);
  return vma;
}
