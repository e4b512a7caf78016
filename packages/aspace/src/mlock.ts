/**
 * Pages that mlocked VMAs map (Linux: mlock_folio, munlock_folio): PG_mlocked and PG_unevictable are set while at least one
 * does. How many do lies in the frame's COLD_PREV word, which a page off the evictable lists has no other use for (Linux:
 * mlock_count). Changed under the page-table lock. Of Linux's per-CPU batches there is what can be told: MlockBatch.
 */
import {
  clearFlag,
  COLD_PREV,
  COLD_WORDS,
  compoundHead,
  folioTestLarge,
  HOT_OWNER,
  HOT_WORDS,
  PAGEVEC_SIZE,
  PG_LOCKED,
  PG_MLOCKED,
  PG_UNEVICTABLE,
  Phys,
  setFlag,
  testFlag,
} from '@mmkit/phys';
import { VM_LOCKED, VM_SPECIAL } from '@mmkit/vma';
import type { Vma } from '@mmkit/vma';
import { folioTestAnon } from './folio.ts';
import type { Mm } from './mm.ts';

/**
 * The folios a call has mlocked and munlocked and that still wait in the CPU's batch (Linux: mlock_fbatch). All is counted at
 * once here but for what the order of a batch loses: Linux sets PG_mlocked when a folio is queued, and the munlock that waits
 * before it clears it again, after which the mlock finds a folio that nobody locked and leaves it so. `Mm.mlockBatch` is one
 * during mmap and mremap, which unmap and populate; it is drained when it is full, for a large folio, and, here, at the end.
 */
export class MlockBatch {
  /** How many folios wait. This file only. */
  waiting: number;
  /** The folios of files that one of them unlocks for good, each with its owner word of then; null: none. This file only. */
  unlocked: Map<number, number> | null;

  constructor() {
    this.waiting = 0;
    this.unlocked = null;
  }
}

/** Page `pfn` has been mapped in `vma` of `mm` (mlock_vma_folio): counted when the VMA is mlocked. */
export function mlockVmaFolio(mm: Mm, vma: Vma, pfn: number): void {
  if ((vma.flags & (VM_LOCKED | VM_SPECIAL)) !== VM_LOCKED) return;
  const { phys } = mm.memory;
  const folio = compoundHead(phys, pfn);
  const lost = mm.mlockBatch?.unlocked?.get(folio) === ownerOf(phys, folio);
  if (!lost) mlockFolio(phys, folio);
  wait(mm, folio);
}

/** Page `pfn` is mapped in `vma` of `mm` no more (munlock_vma_folio). */
export function munlockVmaFolio(mm: Mm, vma: Vma, pfn: number): void {
  if ((vma.flags & (VM_LOCKED | VM_SPECIAL)) === VM_LOCKED) munlockMapped(mm, pfn);
}

/** Page `pfn` is mapped in an mlocked VMA of `mm` no more. */
export function munlockMapped(mm: Mm, pfn: number): void {
  const { phys } = mm.memory;
  const folio = compoundHead(phys, pfn);
  const was = testFlag(phys, folio, PG_MLOCKED);
  munlockFolio(phys, folio);
  // An anonymous page that comes back is a new one.
  if (was && !testFlag(phys, folio, PG_MLOCKED) && !folioTestAnon(phys, folio)) {
    const batch = mm.mlockBatch;
    if (batch !== null) (batch.unlocked ??= new Map()).set(folio, ownerOf(phys, folio));
  }
  wait(mm, folio);
}

/** A folio comes into the batch, which may drain it. */
function wait({ memory, mlockBatch }: Mm, folio: number): void {
  if (mlockBatch === null || (++mlockBatch.waiting < PAGEVEC_SIZE && !folioTestLarge(memory.phys, folio))) return;
  mlockBatch.waiting = 0;
  mlockBatch.unlocked = null;
}

function ownerOf(phys: Phys, folio: number): number {
  return phys.hot[folio * HOT_WORDS + HOT_OWNER]!;
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
