/**
 * Stores to shared mappings of files (Linux: do_shared_fault, wp_page_shared, page_mkwrite, fault_dirty_shared_page; N.4 #3,
 * N.5). Pages of a disk file are mapped read-only until the file has heard of the store, and again after each
 * writeback (pageMkclean); pages of shmem are writable at once.
 *
 * Differs from Linux: no block is set aside for what becomes dirty, so a full device is noticed by writeback, not by a
 * SIGBUS; stores are not throttled (balance_dirty_pages).
 */
import type { Task } from '@mmkit/base';
import { maybeMkwrite, ptlUnlock } from '@mmkit/aspace';
import { ptlLockLeaf } from '@mmkit/aspace/sched';
import { folioInFile, folioMarkDirty, folioUnlock, mappingCanWriteback } from '@mmkit/filemap';
import { folioLock } from '@mmkit/filemap/sched';
import { createDecoded, E_DIRTY, E_YOUNG, pteSame, pteWrite } from '@mmkit/pgtable';
import type { Pte } from '@mmkit/pgtable';
import { getPage, putPage } from '@mmkit/phys';
import { upRead } from '@mmkit/rwsem';
import { downRead } from '@mmkit/rwsem/sched';
import { beyondEnd, FileFault } from './file-fault.ts';
import { callFault } from './file.co.ts';
import { finishFault } from './finish.co.ts';
import { VM_FAULT_NOPAGE } from './flags.ts';

/** A store to a page of a shared mapping that is not mapped: the bits of callFault and finishFault, or NOPAGE: look again. */
export function* doSharedFault(fault: FileFault): Task<number> {
  const { inode } = fault;
  const { files } = inode;
  let result = yield* callFault(fault);
  const pfn = fault.page;
  if (pfn < 0) return result;
  if (mappingCanWriteback(inode)) {
    folioUnlock(files, pfn);
    if (!(yield* pageMkwrite(fault, pfn))) {
      putPage(files.phys, pfn);
      return result | VM_FAULT_NOPAGE;
    }
  }
  const finished = yield* finishFault(fault, pfn);
  result |= finished;
  if (finished === 0) folioMarkDirty(files, pfn);
  folioUnlock(files, pfn);
  if (finished !== 0) putPage(files.phys, pfn);
  return result;
}

/**
 * A store to page `pfn` of a shared mapping, mapped read-only by `pte`, whose lock is held and given
 * back: 0, also when something has changed and the access must look again.
 */
export function* wpPageShared(fault: FileFault, pte: Pte, pfn: number): Task<number> {
  const { mm, inode } = fault;
  const { memory } = mm;
  const { phys } = memory;
  getPage(phys, pfn);
  if (mappingCanWriteback(inode)) {
    ptlUnlock(memory, pte.table);
    if (!(yield* pageMkwrite(fault, pfn))) {
      putPage(phys, pfn);
      return 0;
    }
    if (yield* ptlLockLeaf(mm, pte.table, fault.address)) {
      makeWritable(fault, pte);
      ptlUnlock(memory, pte.table);
    }
  } else {
    makeWritable(fault, pte);
    ptlUnlock(memory, pte.table);
    yield* folioLock(memory, pfn);
    folioMarkDirty(memory.files, pfn);
  }
  folioUnlock(memory, pfn);
  putPage(phys, pfn);
  return 0;
}

/** Makes the entry writable if it is still what was read (wp_page_reuse); the page-table lock is held. */
function makeWritable(fault: FileFault, pte: Pte): void {
  const { mm, vma } = fault;
  const { tables, format } = mm.memory;
  if (!pteSame(pte)) return;
  const decoded = createDecoded();
  format.decode(pte.lo, pte.hi, 0, decoded);
  decoded.flags |= E_YOUNG | E_DIRTY | maybeMkwrite(vma.flags);
  format.encode(decoded, 0, tables.entry);
  pteWrite(pte, tables.entry);
}

/**
 * A disk file hears that page `pfn` is about to be written to (page_mkwrite): the page is dirty from now on. True: it is
 * locked; false: it left the file meanwhile, and is not locked.
 */
function* pageMkwrite(fault: FileFault, pfn: number): Task<boolean> {
  const { inode, index } = fault;
  const { files, invalidateLock } = inode;
  yield* downRead(files.sched, invalidateLock);
  yield* folioLock(files, pfn);
  const here = folioInFile(inode, pfn, index) && !beyondEnd(inode, index);
  if (here) folioMarkDirty(files, pfn);
  else folioUnlock(files, pfn);
  upRead(files.sched, invalidateLock);
  return here;
}
