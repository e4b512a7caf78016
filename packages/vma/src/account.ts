/**
 * Which private memory counts against the commit limit, VM_ACCOUNT (Linux: accountable_mapping, mprotect_fixup; FACTS 20):
 * it keeps VMAs apart like any other flag, so these rules decide who merges with whom.
 */
import { VM_ACCOUNT, VM_HUGETLB, VM_NORESERVE, VM_SHARED, VM_WRITE } from './flags.ts';
import type { Vma } from './vma.ts';
import { vmaIsAnonymous } from './vma.ts';

/** The flags of newly mapped memory: what can become private memory, being private and writable, counts. */
export function newAccountFlags(flags: number): number {
  return (flags & (VM_NORESERVE | VM_SHARED | VM_WRITE)) === VM_WRITE ? flags | VM_ACCOUNT : flags;
}

/**
 * The flags mprotect gives `vma` so that it has the access rights of `wanted`: what becomes writable counts from now on;
 * anonymous memory that becomes read-only does not any more, unless it was ever written to.
 */
export function mprotectFlags(vma: Vma, wanted: number): number {
  if ((wanted & VM_WRITE) !== 0) {
    const free = VM_ACCOUNT | VM_WRITE | VM_HUGETLB | VM_SHARED | VM_NORESERVE;
    return (vma.flags & free) === 0 ? wanted | VM_ACCOUNT : wanted;
  }
  const untouched = (vma.flags & VM_ACCOUNT) !== 0 && vmaIsAnonymous(vma) && vma.anonVma === null;
  return untouched ? wanted & ~VM_ACCOUNT : wanted;
}
