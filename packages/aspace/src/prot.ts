/** From VMA flags to page-table flags (Linux: vm_get_page_prot, maybe_mkwrite, vm_normal_page; N.19, N.22). */
import { E_EXEC, E_PROTNONE, E_SPECIAL, E_USER, E_WRITE, E_YOUNG } from '@mmkit/pgtable';
import type { Decoded } from '@mmkit/pgtable';
import { VM_EXEC, VM_READ, VM_SHARED, VM_WRITE } from '@mmkit/vma';

/** Flags of a new entry in a VMA with these VM_* flags: private memory is never writable here (copy-on-write). */
export function vmPageProt(vmFlags: number): number {
  if ((vmFlags & (VM_READ | VM_WRITE | VM_EXEC)) === 0) return E_PROTNONE | E_YOUNG;
  let flags = E_USER | E_YOUNG;
  if ((vmFlags & VM_EXEC) !== 0) flags |= E_EXEC;
  if ((vmFlags & (VM_SHARED | VM_WRITE)) === (VM_SHARED | VM_WRITE)) flags |= E_WRITE;
  return flags;
}

/** E_WRITE if the VMA may be written, else 0. */
export function maybeMkwrite(vmFlags: number): number {
  return (vmFlags & VM_WRITE) !== 0 ? E_WRITE : 0;
}

/** PFN of the page with a reference count behind a present entry; -1 for special ones (the zero page). */
export function vmNormalPage(entry: Decoded): number {
  return (entry.flags & E_SPECIAL) !== 0 ? -1 : entry.pfn;
}
