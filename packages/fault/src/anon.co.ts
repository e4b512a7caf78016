/**
 * The first touch of anonymous memory (Linux: do_anonymous_page; N.3): a read maps the shared zero page read-only, a
 * write maps an own zeroed page. Caller holds mmap_lock for reading; the entry is decided under the page-table lock.
 */
import { P_FAULT_LOCK } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import {
  anonVmaId,
  anonVmaPrepare,
  expandDownwards,
  folioAddNewAnonRmap,
  ptlUnlock,
  linearPageIndex,
  maybeMkwrite,
  mlockVmaFolio,
  Mm,
  vmPageProt,
} from '@mmkit/aspace';
import { ptlLockLeaf } from '@mmkit/aspace/sched';
import { E_DIRTY, E_SPECIAL, type Pte, pteAlloc, pteRead, pteWriteLeaf } from '@mmkit/pgtable';
import { freePages, GFP_HIGHUSER_MOVABLE, GFP_ZERO } from '@mmkit/phys';
import { allocPages } from '@mmkit/phys/sched';
import { noted } from '@mmkit/task';
import { isStackGuardPage, VM_SHARED, vmaIsDroppable } from '@mmkit/vma';
import type { Vma } from '@mmkit/vma';
import { FAULT_FLAG_WRITE, VM_FAULT_OOM, VM_FAULT_SIGBUS } from './flags.ts';
import { mmRoot } from './entry.ts';

/**
 * Handles a fault on an empty entry of anonymous memory, `pte` (which may want its table): 0, VM_FAULT_OOM, or VM_FAULT_SIGBUS for shared without a file,
 * and for the guard page inside a stack (up to 4.11) when the stack cannot grow by one more page.
 */
export function* doAnonymousPage(mm: Mm, vma: Vma, address: number, flags: number, pte: Pte): Task<number> {
  const { memory } = mm;
  const { tables, phys, policy } = memory;
  if ((vma.flags & VM_SHARED) !== 0) return VM_FAULT_SIGBUS;
  if (policy.stackGuard === 'page' && isStackGuardPage(vma, address)) {
    if (expandDownwards(mm, vma, address - phys.pageSize) !== 0) return VM_FAULT_SIGBUS;
  }
  if (pte.table < 0 && !pteAlloc(tables, mmRoot(mm), address, pte)) return VM_FAULT_OOM;
  let page = -1;
  if ((flags & FAULT_FLAG_WRITE) !== 0) {
    anonVmaPrepare(memory, vma);
    page = yield* allocPages(phys, GFP_HIGHUSER_MOVABLE | GFP_ZERO, 0);
    if (page < 0) return VM_FAULT_OOM;
  }
  yield noted(memory.sched, P_FAULT_LOCK);
  if (!(yield* ptlLockLeaf(mm, pte.table, address))) {
    if (page >= 0) freePages(phys, page, 0);
    return 0;
  }
  if (policy.faultRecheck && !pteRead(pte)) {
    // Somebody else was faster: the access looks again.
    if (page >= 0) freePages(phys, page, 0);
  } else if (page >= 0) {
    folioAddNewAnonRmap(mm, page, anonVmaId(vma), linearPageIndex(vma, address, phys.pageSize), vmaIsDroppable(vma));
    mlockVmaFolio(mm, vma, page);
    mm.anonPages++;
    pteWriteLeaf(tables, pte, page, vmPageProt(vma.flags) | E_DIRTY | maybeMkwrite(vma.flags));
  } else pteWriteLeaf(tables, pte, phys.zeroPfn, vmPageProt(vma.flags) | E_SPECIAL);
  ptlUnlock(memory, pte.table);
  return 0;
}
