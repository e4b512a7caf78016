/**
 * Pages that mlocked VMAs map (Linux: mlock_folio, munlock_folio): PG_mlocked and PG_unevictable are set while at least one
 * does. How many do lies in the frame's COLD_PREV word, which a page off the evictable lists has no other use for (Linux:
 * mlock_count). Changed under the page-table lock; Linux's per-CPU batches do not exist.
 */
import {
  clearFlag,
  COLD_PREV,
  COLD_WORDS,
  compoundHead,
  PG_LOCKED,
  PG_MLOCKED,
  PG_UNEVICTABLE,
  Phys,
  setFlag,
  testFlag,
} from '@mmkit/phys';
import { VM_LOCKED, VM_SPECIAL } from '@mmkit/vma';
import type { Vma } from '@mmkit/vma';

/** Page `pfn` has been mapped in `vma` (mlock_vma_folio): counted when the VMA is mlocked. */
export function mlockVmaFolio(phys: Phys, vma: Vma, pfn: number): void {
  if ((vma.flags & (VM_LOCKED | VM_SPECIAL)) === VM_LOCKED) mlockFolio(phys, pfn);
}

/** Page `pfn` is mapped in `vma` no more (munlock_vma_folio). */
export function munlockVmaFolio(phys: Phys, vma: Vma, pfn: number): void {
  if ((vma.flags & (VM_LOCKED | VM_SPECIAL)) === VM_LOCKED) munlockFolio(phys, pfn);
}

/**
 * A lookup of GUP with FOLL_MLOCK has found page `pfn` in a locked VMA (mlock_vma_page up to 5.17; A.7): mlocked unless
 * its lock is taken, which is not waited for. Counted once, however many locked VMAs map it.
 */
export function mlockFound(phys: Phys, pfn: number): void {
  const folio = compoundHead(phys, pfn);
  if (!testFlag(phys, folio, PG_LOCKED) && !testFlag(phys, folio, PG_MLOCKED)) mlockFolio(phys, folio);
}

/** One mlocked mapping more of the folio that holds `page`. */
export function mlockFolio(phys: Phys, page: number): void {
  const pfn = compoundHead(phys, page);
  const at = pfn * COLD_WORDS + COLD_PREV;
  phys.cold[at] = testFlag(phys, pfn, PG_MLOCKED) ? phys.cold[at]! + 1 : 1;
  setFlag(phys, pfn, PG_MLOCKED | PG_UNEVICTABLE);
}

/** One mlocked mapping less; nothing for a folio that has none. */
export function munlockFolio(phys: Phys, page: number): void {
  const pfn = compoundHead(phys, page);
  if (!testFlag(phys, pfn, PG_MLOCKED)) return;
  const at = pfn * COLD_WORDS + COLD_PREV;
  phys.cold[at] = phys.cold[at]! - 1;
  if (phys.cold[at] === 0) clearFlag(phys, pfn, PG_MLOCKED | PG_UNEVICTABLE);
}
