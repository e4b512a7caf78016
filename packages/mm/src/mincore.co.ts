/**
 * mincore: which pages are in memory (Linux: do_mincore). A page mapped is; of a file's page that is not, the page cache
 * tells; an anonymous page that is not, nor a guard in its place, is not. Linux shows page-cache residency only of files
 * the caller may write or owns; here every file is the caller's.
 */
import { alignUp, checkAddress, EINVAL, ENOMEM, isAligned } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { Mm, MM_ROOT, mmapReadUnlock, ptlUnlock, vmaInode } from '@mmkit/aspace';
import { folioTestUptodate, Inode } from '@mmkit/filemap';
import { mmapReadLock, ptlLock, ptlLockLeaf } from '@mmkit/aspace/sched';
import { createCursor, createDecoded, createEntry, ENTRY_LEAF, nextRun, readEntry } from '@mmkit/pgtable';
import { Phys } from '@mmkit/phys';
import { vmasIn } from '@mmkit/vma';
import type { Vma } from '@mmkit/vma';

/**
 * Writes 1 (in memory) or 0 for each page of [address, address + length) into `vec`, which has a byte for each. 0;
 * -EINVAL (alignment); -ENOMEM (a page is not mapped: `vec` holds those before it). `RangeError` when `vec` is too short.
 */
export function* mincore(mm: Mm, address: number, length: number, vec: Uint8Array): Task<number> {
  checkAddress('address', address);
  checkAddress('length', length);
  const { phys, format } = mm.memory;
  if (!isAligned(address, phys.pageSize)) return -EINVAL;
  const end = address + alignUp(length, phys.pageSize);
  if (end > format.userEnd) return -ENOMEM;
  const pages = (end - address) / phys.pageSize;
  if (vec.length < pages) throw new RangeError(`vec: expected at least ${pages} bytes, got ${vec.length}`);
  yield* mmapReadLock(mm);
  let reached = address;
  for (const vma of vmasIn(mm.vmas, address, end)) {
    if (vma.start > reached) break;
    const to = Math.min(end, vma.end);
    const first = (reached - address) / phys.pageSize;
    yield* mincoreVma(mm, vma, reached, to, vec.subarray(first, first + (to - reached) / phys.pageSize));
    reached = to;
  }
  mmapReadUnlock(mm);
  return reached < end ? -ENOMEM : 0;
}

/** Pages [start, end) of one VMA. */
function* mincoreVma(mm: Mm, vma: Vma, start: number, end: number, vec: Uint8Array): Task<void> {
  const { memory } = mm;
  const { tables, format, phys } = memory;
  vec.fill(0);
  const inode = vmaInode(vma);
  if (inode !== null) fillCached(phys, inode, vma.pgoff + (start - vma.start) / phys.pageSize, vec);
  const entry = createEntry();
  const decoded = createDecoded();
  const cursor = createCursor(start, end);
  while (nextRun(tables, mm.words[MM_ROOT]!, cursor)) {
    if (cursor.level > 0) yield* ptlLock(memory, cursor.table);
    else if (!(yield* ptlLockLeaf(mm, cursor.table, cursor.address))) {
      cursor.next = cursor.address;
      continue;
    }
    for (let i = 0; i < cursor.count; i++) {
      readEntry(tables, cursor.table, cursor.index + i, entry);
      format.decode(entry.lo, entry.hi, cursor.level, decoded);
      if (decoded.kind !== ENTRY_LEAF) continue;
      const first = (cursor.address - start) / phys.pageSize + i;
      vec.fill(1, Math.max(first, 0), first + format.spans[cursor.level]! / phys.pageSize);
    }
    ptlUnlock(memory, cursor.table);
  }
}

/** One byte for each page of the file from `index` on: 1 when it is cached and read in. */
function fillCached(phys: Phys, inode: Inode, index: number, vec: Uint8Array): void {
  for (let i = 0; i < vec.length; i++) {
    const pfn = inode.pages.get(index + i);
    if (pfn !== undefined && folioTestUptodate(phys, pfn)) vec[i] = 1;
  }
}
