/**
 * VMAs of files enter and leave i_mmap (Linux: vma_link_file, unlink_file_vma). Truncation and writeback find a page's
 * mappings there, without mmap_lock, so a VMA is
 * - in its tree before it is linked, and unlinked before it leaves the tree: `vma.tree.owner` is its address space;
 * - unlinked after what it maps was zapped, and before page tables are freed, which somebody may be walking until then;
 * - linked, for fork, before the first entry is copied;
 * - given other bounds, or split, only under iMmapLock held for writing (lockIMmap): else a page could be missed. vma-edit
 *   does so: lockIMmap, removeFromIMmap of what goes, the plan, addToIMmap of what comes, upWrite.
 */
import type { Task } from '@mmkit/base';
import type { Inode } from '@mmkit/filemap';
import { evictInode } from '@mmkit/filemap/sched';
import { upWrite } from '@mmkit/rwsem';
import { downWrite } from '@mmkit/rwsem/sched';
import type { Vma } from '@mmkit/vma';
import { addToIMmap, removeFromIMmap, vmaInode } from './file-vma.ts';

/** Takes i_mmap's lock of the file for writing, inside mmap_lock; `upWrite(sched, inode.iMmapLock)` gives it back. */
export function* lockIMmap(inode: Inode): Task<void> {
  yield* downWrite(inode.files.sched, inode.iMmapLock);
}

/** Makes the VMA, which is in its tree, known to its file; nothing for private anonymous memory. */
export function* linkFileVma(vma: Vma): Task<void> {
  const inode = vmaInode(vma);
  if (inode === null) return;
  yield* lockIMmap(inode);
  addToIMmap(inode, vma);
  upWrite(inode.files.sched, inode.iMmapLock);
}

/**
 * Makes its file forget the VMA, which is still in its tree; nothing for private anonymous memory. Shared anonymous memory
 * that no VMA maps any more is freed.
 */
export function* unlinkFileVma(vma: Vma): Task<void> {
  const inode = vmaInode(vma);
  if (inode === null) return;
  yield* lockIMmap(inode);
  removeFromIMmap(inode, vma);
  upWrite(inode.files.sched, inode.iMmapLock);
  if (inode.unnamed && inode.iMmap.size === 0) yield* evictInode(inode);
}
