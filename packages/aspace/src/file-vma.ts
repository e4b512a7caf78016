/**
 * What a VMA that maps a file is (Linux: vma->vm_file, vma_wants_writenotify, vma_needs_dirty_tracking; B.5, N.22), and its
 * place among those of its file (i_mmap).
 */
import { InvariantError } from '@mmkit/base';
import { mappingCanWriteback, OpenFile } from '@mmkit/filemap';
import type { Inode } from '@mmkit/filemap';
import { assertHeldWrite } from '@mmkit/rwsem';
import { VM_MAYWRITE, VM_SHARED, VM_WRITE } from '@mmkit/vma';
import type { Vma } from '@mmkit/vma';
import { vmPageProt } from './prot.ts';

/** The file a VMA maps; null for private anonymous memory. */
export function vmaInode(vma: Vma): Inode | null {
  return vma.file === null ? null : (vma.file as OpenFile).inode;
}

/** True when a store through the VMA must be known, for what it stores into is written back (vma_needs_dirty_tracking). */
export function vmaNeedsDirtyTracking(vma: Vma): boolean {
  const shared = VM_WRITE | VM_SHARED;
  return (vma.flags & shared) === shared && vma.file !== null && mappingCanWriteback(vmaInode(vma)!);
}

/** Flags of a new entry in this VMA (vm_page_prot): as vmPageProt, but a store into a disk file faults first. */
export function vmaPageProt(vma: Vma): number {
  return vmPageProt(vmaNeedsDirtyTracking(vma) ? vma.flags & ~VM_SHARED : vma.flags);
}

/** True for a VMA that counts in `mmapWritable` (is_shared_maywrite). */
function isSharedMaywrite(vma: Vma): boolean {
  return (vma.flags & (VM_SHARED | VM_MAYWRITE)) === (VM_SHARED | VM_MAYWRITE);
}

/**
 * Puts a VMA among those that map its file; i_mmap's lock is held for writing, as it is while a linked VMA gets other
 * bounds. InvariantError VMA_LINKED: it is there already.
 */
export function addToIMmap(inode: Inode, vma: Vma): void {
  assertHeldWrite(inode.iMmapLock);
  if (inode.iMmap.has(vma)) throw new InvariantError('VMA_LINKED', 'the VMA is in i_mmap already');
  inode.iMmap.add(vma);
  if (isSharedMaywrite(vma)) inode.mmapWritable++;
}

/** Takes it out again. InvariantError VMA_NOT_LINKED: it is not there. */
export function removeFromIMmap(inode: Inode, vma: Vma): void {
  assertHeldWrite(inode.iMmapLock);
  if (!inode.iMmap.delete(vma)) throw new InvariantError('VMA_NOT_LINKED', 'the VMA is not in i_mmap');
  if (isSharedMaywrite(vma)) inode.mmapWritable--;
}
