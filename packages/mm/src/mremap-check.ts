/**
 * What mremap refuses, in the order 6.18 looks (Linux: check_mremap_params, check_prep_vma; FACTS 31, 32, 36): first the
 * arguments alone, then, with mmap_lock held for writing, the VMA they name.
 */
import { EAGAIN, EFAULT, EINVAL, ENOMEM, EPERM, isAligned } from '@mmkit/base';
import { mayExpandVm, mayLock, Mm } from '@mmkit/aspace';
import { mapCountAllows, VM_DONTEXPAND, VM_LOCKED, VM_MAYSHARE, VM_PFNMAP, VM_SHARED, vmaIsSealed } from '@mmkit/vma';
import type { Vma } from '@mmkit/vma';
import { taskSize } from './area.ts';
import { MREMAP_DONTUNMAP, MREMAP_FIXED, MREMAP_MAYMOVE } from './flags.ts';

/** One call, or one VMA of a call that moves several. Addresses and lengths in bytes, whole pages. */
export interface Remap {
  readonly address: number;
  readonly oldLength: number;
  readonly newLength: number;
  /** MREMAP_*. */
  readonly flags: number;
  /** MREMAP_FIXED: where to; MREMAP_DONTUNMAP: a hint; else nothing. */
  readonly newAddress: number;
}

/** True when the caller says where the new mapping goes, or that there must be one. */
export function wantsNewAddress(flags: number): boolean {
  return (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) !== 0;
}

/** 0, or why the arguments cannot be right: -EINVAL; -ENOMEM when a move might exceed the map count. */
export function checkArguments(mm: Mm, call: Remap): number {
  const { address, oldLength, newLength, flags, newAddress } = call;
  const { pageSize } = mm.memory.phys;
  const end = taskSize(mm);
  if ((flags & ~(MREMAP_FIXED | MREMAP_MAYMOVE | MREMAP_DONTUNMAP)) !== 0) return -EINVAL;
  if (!isAligned(address, pageSize) || newLength === 0) return -EINVAL;
  if (newLength > end) return -EINVAL;
  if (!wantsNewAddress(flags)) return 0;
  if (newAddress > end - newLength || !isAligned(newAddress, pageSize)) return -EINVAL;
  if ((flags & MREMAP_MAYMOVE) === 0) return -EINVAL;
  if ((flags & MREMAP_DONTUNMAP) !== 0 && oldLength !== newLength) return -EINVAL;
  if (address + oldLength > newAddress && newAddress + newLength > address) return -EINVAL;
  // What is at the target is split twice and the source too; Linux keeps three more in reserve.
  return mapCountAllows(mm.vmas, 6) ? 0 : -ENOMEM;
}

/**
 * 0, or why `vma`, in which the range begins, cannot be remapped so: -EPERM (sealed), -EINVAL (nothing to duplicate; a
 * device's memory), -EFAULT (the range passes its end, or it may not grow), -EAGAIN (RLIMIT_MEMLOCK), -ENOMEM (RLIMIT_AS,
 * RLIMIT_DATA).
 */
export function checkVma(mm: Mm, vma: Vma, call: Remap): number {
  const { address, oldLength, newLength, flags } = call;
  if (vmaIsSealed(vma)) return -EPERM;
  if (newLength <= oldLength && !wantsNewAddress(flags)) return 0;
  // Old length 0 maps the same pages once more, which only shared memory allows.
  if (oldLength === 0 && (vma.flags & (VM_SHARED | VM_MAYSHARE)) === 0) return -EINVAL;
  if ((flags & MREMAP_DONTUNMAP) !== 0 && (vma.flags & (VM_DONTEXPAND | VM_PFNMAP)) !== 0) return -EINVAL;
  // What is cut off may lie beyond the VMA.
  if (Math.min(oldLength, newLength) > vma.end - address) return -EFAULT;
  if (newLength <= oldLength) return 0;
  if ((vma.flags & (VM_DONTEXPAND | VM_PFNMAP)) !== 0) return -EFAULT;
  const pages = (newLength - oldLength) * mm.vmas.pagesPerByte;
  if ((vma.flags & VM_LOCKED) !== 0 && !mayLock(mm, pages)) return -EAGAIN;
  return mayExpandVm(mm, vma.flags, pages) ? 0 : -ENOMEM;
}
