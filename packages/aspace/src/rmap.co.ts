/**
 * From a page of a file to the entries that map it (Linux: unmap_mapping_range, folio_mkclean, i_mmap): `filemap`'s port
 * to the page tables. Neither holds mmap_lock: i_mmap's lock, for reading, keeps the VMAs as they are and their page tables
 * from being freed; entries change under the page-table lock.
 */
import type { Task } from '@mmkit/base';
import { Inode } from '@mmkit/filemap';
import type { Rmap } from '@mmkit/filemap';
import {
  clearEntry,
  createDecoded,
  createEntry,
  E_DIRTY,
  E_WRITE,
  ENTRY_LEAF,
  leafIndex,
  leafTable,
  readEntry,
  writeEntry,
} from '@mmkit/pgtable';
import { pageMapCount } from '@mmkit/phys';
import { upRead } from '@mmkit/rwsem';
import { downRead } from '@mmkit/rwsem/sched';
import { VM_LOCKED, VM_SHARED } from '@mmkit/vma';
import type { Vma } from '@mmkit/vma';
import { flushTlbRange } from './flush.co.ts';
import { ptlUnlock } from './folio.ts';
import { ptlLockLeaf } from './lock.co.ts';
import { Memory } from './memory.ts';
import { MM_ROOT, Mm } from './mm.ts';
import { ZAP_KEEP_COWS, ZAP_KEEP_MARKERS, ZAP_MLOCKED } from './zap-flags.ts';
import { zapPageRange } from './zap.co.ts';

/** The port for files of a machine; see `Rmap`. */
export function fileRmap(memory: Memory): Rmap {
  function* unmapRange(inode: Inode, first: number, end: number, evenCows: boolean): Task<void> {
    yield* unmapMappingRange(memory, inode, first, end, evenCows);
  }
  function* clean(inode: Inode, pfn: number, index: number): Task<boolean> {
    return yield* pageMkclean(memory, inode, pfn, index);
  }
  return { unmapRange, clean };
}

/**
 * Unmaps pages [first, end) of the file in every address space (unmap_mapping_pages); `end` may be Infinity. `evenCows`:
 * private copies go too, else only pages of the file. Guard markers stay.
 */
export function* unmapMappingRange(
  memory: Memory,
  inode: Inode,
  first: number,
  end: number,
  evenCows: boolean,
): Task<void> {
  const { sched, phys } = memory;
  const details = evenCows ? ZAP_KEEP_MARKERS : ZAP_KEEP_MARKERS | ZAP_KEEP_COWS;
  yield* downRead(sched, inode.iMmapLock);
  for (const vma of inode.iMmap) {
    const from = Math.max(first - vma.pgoff, 0);
    const to = Math.min(end - vma.pgoff, (vma.end - vma.start) / phys.pageSize);
    if (from >= to) continue;
    const what = (vma.flags & VM_LOCKED) !== 0 ? details | ZAP_MLOCKED : details;
    yield* zapPageRange(mmOf(vma), vma.start + from * phys.pageSize, vma.start + to * phys.pageSize, what);
  }
  upRead(sched, inode.iMmapLock);
}

/**
 * Write-protects and cleans every shared mapping of page `pfn`, which lies at `index` of the file: true when one was dirty
 * (folio_mkclean). Caller holds the folio lock, so that nobody maps it anew. A store through a mapping faults from
 * now on, and page_mkwrite hears of it; a pin's device writes on unseen (N.13).
 */
export function* pageMkclean(memory: Memory, inode: Inode, pfn: number, index: number): Task<boolean> {
  const { sched, phys } = memory;
  if (pageMapCount(phys, pfn) === 0) return false;
  let dirty = false;
  yield* downRead(sched, inode.iMmapLock);
  for (const vma of inode.iMmap) {
    const address = vma.start + (index - vma.pgoff) * phys.pageSize;
    if ((vma.flags & VM_SHARED) === 0 || address < vma.start || address >= vma.end) continue;
    if (yield* mkcleanOne(mmOf(vma), address, pfn)) dirty = true;
  }
  upRead(sched, inode.iMmapLock);
  return dirty;
}

/** Cleans the entry at `address` if it maps `pfn`: true when it was dirty (page_mkclean_one). */
function* mkcleanOne(mm: Mm, address: number, pfn: number): Task<boolean> {
  const { memory } = mm;
  const { tables, format, phys } = memory;
  const table = leafTable(tables, mm.words[MM_ROOT]!, address);
  if (table < 0) return false;
  const entry = createEntry();
  const decoded = createDecoded();
  const index = leafIndex(format, address);
  let dirty = false;
  if (!(yield* ptlLockLeaf(mm, table, address))) return false;
  readEntry(tables, table, index, entry);
  format.decode(entry.lo, entry.hi, 0, decoded);
  const here = decoded.kind === ENTRY_LEAF && decoded.pfn === pfn;
  if (here && (decoded.flags & (E_DIRTY | E_WRITE)) !== 0) {
    // Cleared first: a store on its way either was in time and left its dirty bit, or faults.
    clearEntry(tables, table, index, entry);
    format.decode(entry.lo, entry.hi, 0, decoded);
    yield* flushTlbRange(mm, address, address + phys.pageSize);
    dirty = (decoded.flags & E_DIRTY) !== 0;
    decoded.flags &= ~(E_DIRTY | E_WRITE);
    format.encode(decoded, 0, entry);
    writeEntry(tables, table, index, entry);
  }
  ptlUnlock(memory, table);
  return dirty;
}

/** Whose address space a linked VMA belongs to. */
function mmOf(vma: Vma): Mm {
  return vma.tree!.owner as Mm;
}
