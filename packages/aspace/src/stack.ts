/**
 * Making a stack grow (Linux: expand_downwards, acct_stack_growth; N.16, FACTS-2 39 to 43). One step without waiting,
 * so it is safe under mmap_lock held for reading too, as kernels up to 6.4 did it; there it could free a node of the
 * tree that another reader stood on (C.5), which our tree cannot show. Limits in the order 6.18 looks, which shows in
 * the anon_vma.
 */
import { alignDown, ENOMEM } from '@mmkit/base';
import { applyVmaPlan, planStackGrowth, VM_LOCKED } from '@mmkit/vma';
import type { Vma } from '@mmkit/vma';
import { anonVmaPrepare } from './anon.ts';
import { mayExpandVm, mayLock } from './memlock.ts';
import { Mm, MMAP_MIN_ADDR } from './mm.ts';

/**
 * Makes `vma`, which lies above `address`, reach down to its page: 0; -EFAULT (does not grow down), -EPERM (below
 * MMAP_MIN_ADDR), -ENOMEM (a neighbour, RLIMIT_AS, RLIMIT_STACK, RLIMIT_MEMLOCK of a locked one, page numbers that would
 * fall below 0). New pages come in as they are touched.
 */
export function expandDownwards(mm: Mm, vma: Vma, address: number): number {
  const plan = planStackGrowth(mm.vmas, vma, address, MMAP_MIN_ADDR);
  if (plan.steps.length === 0) return plan.error;
  anonVmaPrepare(mm.memory, vma);
  const start = alignDown(address, mm.vmas.pageSize);
  const pages = (vma.start - start) * mm.vmas.pagesPerByte;
  if (!mayExpandVm(mm, vma.flags, pages) || vma.end - start > mm.rlimitStack) return -ENOMEM;
  if ((vma.flags & VM_LOCKED) !== 0) {
    if (!mayLock(mm, pages)) return -ENOMEM;
    mm.lockedVm += pages;
  }
  applyVmaPlan(plan);
  return 0;
}
