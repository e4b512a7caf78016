/** One fault in a mapping of a file on its way (Linux: struct vm_fault). */
import { linearPageIndex, Mm, vmaInode } from '@mmkit/aspace';
import { Inode } from '@mmkit/filemap';
import type { Vma } from '@mmkit/vma';

export class FileFault {
  readonly mm: Mm;
  /** Not to be touched once mmap_lock is gone. */
  readonly vma: Vma;
  readonly inode: Inode;
  /** First byte of the page. */
  readonly address: number;
  /** The page's index in the file. */
  readonly index: number;
  /** FAULT_FLAG_*. */
  readonly flags: number;
  /** The page of the file, from the file's fault function: locked, uptodate, with a reference; -1 before. */
  page: number;

  constructor(mm: Mm, vma: Vma, address: number, flags: number) {
    this.mm = mm;
    this.vma = vma;
    this.inode = vmaInode(vma)!;
    this.address = address;
    this.index = linearPageIndex(vma, address, mm.memory.phys.pageSize);
    this.flags = flags;
    this.page = -1;
  }
}

/** True when the page at `index` begins at or beyond the end of the file: nothing may be mapped there. */
export function beyondEnd(inode: Inode, index: number): boolean {
  return index * inode.files.phys.pageSize >= inode.size;
}
