/**
 * The first touch of a page of a file (Linux: do_fault, do_read_fault, do_cow_fault; N.5). Caller holds mmap_lock for
 * reading. The page is locked from where it was found until it is mapped, and truncation takes the same lock for every
 * page it removes, so no removed page stays mapped. Lock order: mmap_lock, invalidate_lock, folio lock, page-table lock.
 */
import type { Task } from '@mmkit/base';
import { anonVmaPrepare, Mm } from '@mmkit/aspace';
import { folioUnlock, OpenFile } from '@mmkit/filemap';
import { copyFrame, freePages, GFP_HIGHUSER_MOVABLE, putPage } from '@mmkit/phys';
import { allocPages } from '@mmkit/phys/sched';
import { VM_SHARED } from '@mmkit/vma';
import type { Vma } from '@mmkit/vma';
import { doFaultAround } from './fault-around.co.ts';
import { FileFault } from './file-fault.ts';
import { filemapFault } from './filemap-fault.co.ts';
import { finishFault } from './finish.co.ts';
import { FAULT_FLAG_WRITE, VM_FAULT_OOM, VM_FAULT_SIGBUS } from './flags.ts';
import { doSharedFault } from './shared.co.ts';
import { shmemFault } from './shmem-fault.co.ts';

/**
 * Handles a fault on an empty entry of a VMA with a file: VM_FAULT_* bits. RETRY: mmap_lock was given back, but with
 * FAULT_FLAG_RETRY_NOWAIT. SIGBUS: beyond the end of the file, I/O error, or a file of a kind not known here.
 */
export function* doFault(mm: Mm, vma: Vma, address: number, flags: number): Task<number> {
  if (!(vma.file instanceof OpenFile)) return VM_FAULT_SIGBUS;
  const fault = new FileFault(mm, vma, address, flags);
  if ((flags & FAULT_FLAG_WRITE) === 0) return yield* doReadFault(fault);
  return (vma.flags & VM_SHARED) === 0 ? yield* doCowFault(fault) : yield* doSharedFault(fault);
}

/** The file's own fault function (vm_ops->fault): `fault.page` is the page, locked, or stays -1 with a result that says why. */
export function* callFault(fault: FileFault): Task<number> {
  return fault.inode.device === null ? yield* shmemFault(fault) : yield* filemapFault(fault);
}

function* doReadFault(fault: FileFault): Task<number> {
  const { memory } = fault.mm;
  const around = yield* doFaultAround(fault);
  if (around !== 0) return around;
  const result = yield* callFault(fault);
  if (fault.page < 0) return result;
  const finished = yield* finishFault(fault, fault.page);
  folioUnlock(memory, fault.page);
  if (finished !== 0) putPage(memory.phys, fault.page);
  return result | finished;
}

/** A store to private memory: the copy is made at once, the page of the file is not mapped. */
function* doCowFault(fault: FileFault): Task<number> {
  const { mm, vma } = fault;
  const { memory } = mm;
  const { phys } = memory;
  anonVmaPrepare(memory, vma);
  const copy = yield* allocPages(phys, GFP_HIGHUSER_MOVABLE, 0);
  if (copy < 0) return VM_FAULT_OOM;
  const result = yield* callFault(fault);
  if (fault.page < 0) {
    freePages(phys, copy, 0);
    return result;
  }
  copyFrame(phys, copy, fault.page);
  const finished = yield* finishFault(fault, copy);
  folioUnlock(memory, fault.page);
  putPage(phys, fault.page);
  if (finished !== 0) freePages(phys, copy, 0);
  return result | finished;
}
