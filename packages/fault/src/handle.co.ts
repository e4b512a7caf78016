/**
 * The page-fault handler (Linux: handle_mm_fault, handle_pte_fault; N.2) for anonymous memory and files. Returning 0 without
 * having changed anything is normal: the access, or GUP, looks again. Caller holds mmap_lock for reading.
 */
import { highWord, lowWord, P_FAULT_READ } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { isGuardMarker, ptlUnlock, Mm } from '@mmkit/aspace';
import type { Policy } from '@mmkit/aspace';
import { ptlLockLeaf } from '@mmkit/aspace/sched';
import {
  createDecoded,
  createPte,
  E_DIRTY,
  E_WRITE,
  E_YOUNG,
  ENTRY_LEAF,
  type Pte,
  pteOffset,
  pteRead,
  pteSame,
  pteWrite,
} from '@mmkit/pgtable';
import { noted, TP_FAULT, traceBegin, traceEnd } from '@mmkit/task';
import { isCowMapping, VM_MAYWRITE, VM_WRITE, vmaIsAnonymous, vmaIsDroppable } from '@mmkit/vma';
import type { Vma } from '@mmkit/vma';
import { doAnonymousPage } from './anon.co.ts';
import { mmRoot } from './entry.ts';
import { doFault } from './file.co.ts';
import {
  FAULT_FLAG_TRIED,
  FAULT_FLAG_UNSHARE,
  FAULT_FLAG_WRITE,
  VM_FAULT_ERROR,
  VM_FAULT_FALLBACK,
  VM_FAULT_MAJOR,
  VM_FAULT_OOM,
  VM_FAULT_RETRY,
  VM_FAULT_SIGBUS,
  VM_FAULT_SIGSEGV,
} from './flags.ts';
import { handleHugeFault } from './huge.co.ts';
import { doWpPage } from './wp.co.ts';

/**
 * Handles one fault at `address` (bytes, inside `vma`): VM_FAULT_* bits. The VMA must not be touched after a result
 * with VM_FAULT_RETRY: mmap_lock was given back then, unless with FAULT_FLAG_RETRY_NOWAIT. Counts PGFAULT for every
 * result but RETRY, and, without an error, the fault of the current task, major also when it was tried before (A.10;
 * `faultCounts`). In droppable memory the first lack of a page is no error (N.2 #4): the fault is made and counted again, and
 * VM_FAULT_OOM says that there is none then either, where Linux's OOM killer has ended a process (as observed on 6.18).
 */
export function* handleMmFault(mm: Mm, vma: Vma, address: number, flags: number): Task<number> {
  const result = yield* handleOnce(mm, vma, address, flags);
  // So far nobody has dropped mmap_lock: only files do, and those are not droppable.
  if ((result & VM_FAULT_OOM) === 0 || !vmaIsDroppable(vma)) return countFault(mm, flags, result);
  countFault(mm, flags, result & ~VM_FAULT_OOM);
  return countFault(mm, flags, yield* handleOnce(mm, vma, address, flags));
}

function* handleOnce(mm: Mm, vma: Vma, address: number, flags: number): Task<number> {
  const { sched, phys } = mm.memory;
  if (sched.tracepoints !== null) traceBegin(sched, TP_FAULT, lowWord(address), highWord(address), flags);
  const result = yield* handleFault(mm, vma, address - (lowWord(address) & (phys.pageSize - 1)), flags);
  if (sched.tracepoints !== null) traceEnd(sched, TP_FAULT, result);
  return result;
}

function countFault(mm: Mm, flags: number, result: number): number {
  const { stat, sched, policy } = mm.memory;
  if ((result & VM_FAULT_MAJOR) !== 0) stat.pgmajfault++;
  if ((result & VM_FAULT_RETRY) !== 0) return result;
  stat.pgfault++;
  if ((result & VM_FAULT_ERROR) !== 0 || policy.faultCounts === 'caller') return result;
  if ((result & VM_FAULT_MAJOR) !== 0 || (flags & FAULT_FLAG_TRIED) !== 0) sched.current.maj_flt++;
  else sched.current.min_flt++;
  return result;
}

function* handleFault(mm: Mm, vma: Vma, address: number, flags: number): Task<number> {
  const problem = faultFlagsProblem(mm.memory.policy, vma, flags);
  if (problem !== null) {
    mm.memory.warn(problem);
    return VM_FAULT_SIGSEGV;
  }
  if (!isCowMapping(vma.flags)) flags &= ~FAULT_FLAG_UNSHARE;
  yield noted(mm.memory.sched, P_FAULT_READ);
  const { memory } = mm;
  const { tables, format } = memory;
  const pte = createPte(tables);
  if (!pteOffset(tables, mmRoot(mm), address, pte)) {
    const huge = yield* handleHugeFault(mm, vma, address, flags);
    if (huge !== VM_FAULT_FALLBACK) return huge;
    pteOffset(tables, mmRoot(mm), address, pte);
  }
  if (pte.table < 0 || pteRead(pte)) return yield* doPteMissing(mm, vma, address, flags, pte);
  const decoded = createDecoded();
  format.decode(pte.lo, pte.hi, 0, decoded);
  if (isGuardMarker(decoded)) return VM_FAULT_SIGSEGV;
  // Nothing in this machine swaps or migrates: a non-present entry is not ours.
  if (decoded.kind !== ENTRY_LEAF) return VM_FAULT_SIGBUS;
  if (!(yield* ptlLockLeaf(mm, pte.table, address))) return 0;
  if (!pteSame(pte)) {
    ptlUnlock(memory, pte.table);
    return 0;
  }
  if ((flags & (FAULT_FLAG_WRITE | FAULT_FLAG_UNSHARE)) !== 0) {
    if ((decoded.flags & E_WRITE) === 0) return yield* doWpPage(mm, vma, address, flags, pte, decoded);
    if ((flags & FAULT_FLAG_WRITE) !== 0) decoded.flags |= E_DIRTY;
  }
  decoded.flags |= E_YOUNG;
  format.encode(decoded, 0, tables.entry);
  pteWrite(pte, tables.entry);
  ptlUnlock(memory, pte.table);
  return 0;
}

/** Nothing is mapped at `address`, whose entry is `pte` (do_pte_missing). */
function* doPteMissing(mm: Mm, vma: Vma, address: number, flags: number, pte: Pte): Task<number> {
  return vmaIsAnonymous(vma)
    ? yield* doAnonymousPage(mm, vma, address, flags, pte)
    : yield* doFault(mm, vma, address, flags);
}

/** What no caller may ask for (sanitize_fault_flags); null when all is well. */
function faultFlagsProblem(policy: Policy, vma: Vma, flags: number): string | null {
  if ((flags & FAULT_FLAG_WRITE) === 0) return null;
  if ((flags & FAULT_FLAG_UNSHARE) !== 0) return 'a fault that both writes and unshares';
  if ((vma.flags & VM_MAYWRITE) === 0) return 'a write fault where nothing may be written';
  // A forced write reaches copy-on-write VMAs only (today).
  const forced = (vma.flags & VM_WRITE) === 0 && !isCowMapping(vma.flags) && !policy.forceShared;
  return forced ? 'a forced write fault in a shared mapping' : null;
}
