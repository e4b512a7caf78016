/**
 * Growth of a VMA that grows down, and the page of it that is its guard (Linux: expand_downwards, stack_guard_page;
 * reference A.3, N.16). Plans only: who applies one knows the limits of the process (RLIMIT_STACK, RLIMIT_AS, RLIMIT_MEMLOCK).
 * Needs mmap_lock, for reading; up to Linux 6.4 that was enough to apply one.
 */
import { EFAULT, ENOMEM, EPERM, alignDown } from '@mmkit/base';
import { VM_GROWSDOWN } from './flags.ts';
import type { VmaPlan } from './plan.ts';
import { planExpand, planOf } from './plan.ts';
import { rangeBefore } from './tree.ts';
import type { VmaTree } from './vma-tree.ts';
import type { Vma } from './vma.ts';
import { vmaIsAccessible } from './vma.ts';

/**
 * Makes `vma`, which lies above `address` (bytes), reach down to its page; a plan without steps where it does already.
 * -EFAULT: it does not grow down; -EPERM: the page is below `lowest`; -ENOMEM: another VMA is there, or fewer than
 * `tree.stackGuardGap` pages away, unless nobody may touch that one or it grows down itself; or page offsets would fall
 * below 0. Throws `InvariantError('VMA_ABSENT')`.
 */
export function planStackGrowth(tree: VmaTree, vma: Vma, address: number, lowest: number): VmaPlan {
  const page = Math.min(alignDown(address, tree.pageSize), vma.start);
  const error = growthError(tree, vma, page, lowest);
  return error === 0 ? planExpand(tree, vma, page, vma.end) : planOf(tree, 'expand', [], null, error);
}

function growthError(tree: VmaTree, vma: Vma, page: number, lowest: number): number {
  if ((vma.flags & VM_GROWSDOWN) === 0) return -EFAULT;
  if (page === vma.start) return 0;
  if (page < lowest) return -EPERM;
  const before = rangeBefore(tree.ranges, vma.start * tree.pagesPerByte);
  const guarded = before !== null && (before.flags & VM_GROWSDOWN) === 0 && vmaIsAccessible(before);
  return guarded && page - before.end < tree.stackGuardGap * tree.pageSize ? -ENOMEM : 0;
}

/**
 * True when `address` is in the lowest page of a VMA that grows down, and no other such VMA ends there: the guard page
 * that stacks had inside them up to Linux 4.11 (stack_guard_page_start).
 */
export function isStackGuardPage(vma: Vma, address: number): boolean {
  const { tree } = vma;
  if (tree === null || (vma.flags & VM_GROWSDOWN) === 0 || address >= vma.start + tree.pageSize) return false;
  const before = rangeBefore(tree.ranges, vma.start * tree.pagesPerByte);
  return before === null || before.end !== vma.start || (before.flags & VM_GROWSDOWN) === 0;
}
