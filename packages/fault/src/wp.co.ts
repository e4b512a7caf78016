/**
 * Write-protect faults (Linux: do_wp_page, wp_page_copy; N.4): a store to, or an unshare of, a present read-only page.
 * In private memory a page that is exclusive, or has no reference but this mapping, is reused; any other, pages of a file
 * too, is copied. In shared memory the page itself becomes writable. Called with the
 * page-table lock held; returns with it dropped.
 */
import { P_FAULT_LOCK } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import {
  anonVmaId,
  anonVmaPrepare,
  countRss,
  folioAddNewAnonRmap,
  folioMoveAnonRmap,
  folioRemoveRmap,
  folioTestAnon,
  linearPageIndex,
  maybeMkwrite,
  mlockVmaFolio,
  munlockVmaFolio,
  Mm,
  pageAnonExclusive,
  ptlUnlock,
  vmNormalPage,
  vmPageProt,
} from '@mmkit/aspace';
import { flushTlbRange, ptlLockLeaf } from '@mmkit/aspace/sched';
import { folioTrylock, folioUnlock } from '@mmkit/filemap';
import {
  E_DIRTY,
  E_SOFT_DIRTY,
  E_UFFD_WP,
  E_YOUNG,
  type Pte,
  pteClear,
  pteSame,
  pteWrite,
  pteWriteLeaf,
} from '@mmkit/pgtable';
import type { Decoded } from '@mmkit/pgtable';
import {
  compoundHead,
  copyFrame,
  folioMapcount,
  folioMaybeMappedShared,
  folioTestLarge,
  freePages,
  getPage,
  GFP_HIGHUSER_MOVABLE,
  GFP_ZERO,
  pageMapCount,
  pageRefCount,
  putPage,
} from '@mmkit/phys';
import { allocPages } from '@mmkit/phys/sched';
import { noted } from '@mmkit/task';
import { VM_MAYSHARE, VM_SHARED, VM_WRITE, vmaIsDroppable } from '@mmkit/vma';
import type { Vma } from '@mmkit/vma';
import { FileFault } from './file-fault.ts';
import { FAULT_FLAG_UNSHARE, VM_FAULT_OOM, VM_FAULT_WRITE } from './flags.ts';
import { wpPageShared } from './shared.co.ts';

/**
 * Handles a write (or FAULT_FLAG_UNSHARE) to the read-only entry `pte`, which means `decoded` and whose lock is held.
 * 0, or VM_FAULT_OOM; 0 also when the entry changed meanwhile and the access must look again.
 */
export function* doWpPage(mm: Mm, vma: Vma, address: number, flags: number, pte: Pte, decoded: Decoded): Task<number> {
  const { memory } = mm;
  const { phys, format, tables } = memory;
  const pfn = vmNormalPage(decoded);
  if (pfn >= 0 && isShared(mm, vma)) {
    return yield* wpPageShared(new FileFault(mm, vma, address, flags), pte, pfn);
  }
  if (pfn >= 0 && folioTestAnon(phys, pfn) && (pageAnonExclusive(phys, pfn) || canReuseAnonFolio(mm, vma, pfn))) {
    if ((flags & FAULT_FLAG_UNSHARE) === 0) {
      decoded.flags |= E_YOUNG | E_DIRTY | maybeMkwrite(vma.flags);
      format.encode(decoded, 0, tables.entry);
      pteWrite(pte, tables.entry);
    }
    ptlUnlock(memory, pte.table);
    return cowBroken(mm);
  }
  if (pfn >= 0) getPage(phys, pfn);
  ptlUnlock(memory, pte.table);
  const result = yield* wpPageCopy(mm, vma, address, flags, pte, decoded);
  if (pfn >= 0) putPage(phys, pfn);
  return result;
}

/** True when a store changes the page itself; what a forced write puts into shared memory is private (`forceShared`). */
function isShared(mm: Mm, vma: Vma): boolean {
  if (mm.memory.policy.forceShared && (vma.flags & VM_WRITE) === 0) return false;
  return (vma.flags & (VM_SHARED | VM_MAYSHARE)) !== 0;
}

/** What a done write returns: nothing today; earlier kernels told GUP so (A.9). */
function cowBroken(mm: Mm): number {
  return mm.memory.policy.forcedWrite === 'exclusive' ? 0 : VM_FAULT_WRITE;
}

/**
 * wp_can_reuse_anon_folio: nobody but this mapping, of a large folio nobody but this process, holds the page, so this
 * process may have it for itself; reuse_swap_page of earlier kernels: nobody else maps it.
 */
function canReuseAnonFolio(mm: Mm, vma: Vma, pfn: number): boolean {
  const { memory } = mm;
  const { phys, policy } = memory;
  if (folioTestLarge(phys, pfn)) {
    if (!policy.reuseLarge) return false;
    // A single page left is copied, so that the rest of the folio can be freed.
    if (folioMapcount(phys, pfn) < 2 || folioMaybeMappedShared(phys, pfn)) return false;
    if (pageRefCount(phys, pfn) !== folioMapcount(phys, pfn)) return false;
  } else {
    const holders = policy.reuse === 'mapcount' ? pageMapCount : pageRefCount;
    if (holders(phys, pfn) !== 1) return false;
  }
  const folio = compoundHead(phys, pfn);
  if (!folioTrylock(memory, folio)) return false;
  folioMoveAnonRmap(phys, pfn, anonVmaId(vma));
  folioUnlock(memory, folio);
  return true;
}

/** Copies the page and maps the copy if the entry is still what was read, `decoded`. Page-table lock not held. */
function* wpPageCopy(mm: Mm, vma: Vma, address: number, flags: number, pte: Pte, decoded: Decoded): Task<number> {
  const { memory } = mm;
  const { phys, tables } = memory;
  const old = vmNormalPage(decoded);
  anonVmaPrepare(memory, vma);
  const copy = yield* allocPages(phys, old < 0 ? GFP_HIGHUSER_MOVABLE | GFP_ZERO : GFP_HIGHUSER_MOVABLE, 0);
  if (copy < 0) return VM_FAULT_OOM;
  if (old >= 0) copyFrame(phys, copy, old);
  yield noted(memory.sched, P_FAULT_LOCK);
  const locked = yield* ptlLockLeaf(mm, pte.table, address);
  if (!locked || !pteSame(pte)) {
    if (locked) ptlUnlock(memory, pte.table);
    freePages(phys, copy, 0);
    return 0;
  }
  const kept =
    (flags & FAULT_FLAG_UNSHARE) !== 0 ? decoded.flags & (E_SOFT_DIRTY | E_UFFD_WP) : E_DIRTY | maybeMkwrite(vma.flags);
  // The old translation must be gone everywhere before the new one can be seen.
  pteClear(pte);
  yield* flushTlbRange(mm, address, address + phys.pageSize);
  folioAddNewAnonRmap(mm, copy, anonVmaId(vma), linearPageIndex(vma, address, phys.pageSize), vmaIsDroppable(vma));
  pteWriteLeaf(tables, pte, copy, vmPageProt(vma.flags) | kept);
  mlockVmaFolio(mm, vma, copy);
  mm.anonPages++;
  if (old >= 0) {
    munlockVmaFolio(mm, vma, old);
    countRss(mm, old, -1);
    folioRemoveRmap(mm, old);
  }
  ptlUnlock(memory, pte.table);
  if (old >= 0) putPage(phys, old);
  return cowBroken(mm);
}
