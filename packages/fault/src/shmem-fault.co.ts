/**
 * Getting the page of a shmem file for a fault (Linux: shmem_fault, shmem_get_folio): what is not there is a new zeroed page,
 * clean until somebody writes (measured); nothing is read, so no fault is major, and mmap_lock is never given back.
 */
import { P_CACHE_LOOKUP } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { filemapAddFolio, filemapGetFolio, folioInFile, folioTestUptodate, folioUnlock } from '@mmkit/filemap';
import { folioLock } from '@mmkit/filemap/sched';
import { PG_UPTODATE, putPage, setFlag, zeroFrame } from '@mmkit/phys';
import { noted } from '@mmkit/task';
import { beyondEnd, FileFault } from './file-fault.ts';
import { VM_FAULT_OOM, VM_FAULT_SIGBUS } from './flags.ts';

/** Finds or makes the page of `fault`: 0, the page in `fault.page`, locked; VM_FAULT_SIGBUS (beyond the end), VM_FAULT_OOM. */
export function* shmemFault(fault: FileFault): Task<number> {
  const { inode, index } = fault;
  const { files } = inode;
  const { phys } = files;
  for (;;) {
    yield noted(files.sched, P_CACHE_LOOKUP);
    if (beyondEnd(inode, index)) return VM_FAULT_SIGBUS;
    let pfn = filemapGetFolio(inode, index);
    if (pfn < 0) {
      pfn = filemapAddFolio(inode, index);
      if (pfn < 0) return VM_FAULT_OOM;
    } else {
      yield* folioLock(files, pfn);
      if (!folioInFile(inode, pfn, index) || beyondEnd(inode, index)) {
        // Truncated while we waited.
        folioUnlock(files, pfn);
        putPage(phys, pfn);
        continue;
      }
    }
    if (!folioTestUptodate(phys, pfn)) {
      zeroFrame(phys, pfn);
      setFlag(phys, pfn, PG_UPTODATE);
    }
    fault.page = pfn;
    return 0;
  }
}
