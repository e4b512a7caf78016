/**
 * Growth of a VMA that grows down, and the page of it that is its guard (Linux: expand_downwards, stack_guard_page;
 * reference A.3, N.16). Plans only: who applies one knows the limits of the process (RLIMIT_STACK, RLIMIT_MEMLOCK).
 * Needs mmap_lock, for reading.
 */
import { EFAULT, ENOMEM, EPERM, alignDown } from '@mmkit/base';
import { VM_GROWSDOWN } from './flags.ts';
import { rangeBefore } from './tree.ts';
import type { VmaTree } from './vma-tree.ts';
import type { Vma } from './vma.ts';
import { vmaIsAccessible } from './vma.ts';

/**
 * Pages by which `vma`, which lies above `address` (bytes), must grow to take it in; 0: it reaches there. -EFAULT: it
 * does not grow down; -EPERM: the page is below `lowest`; -ENOMEM: another VMA is there, or fewer than
 * `tree.stackGuardGap` pages away, unless nobody may touch that one or it grows down itself.
 */
export function planStackGrowth(tree: VmaTree, vma: Vma, address: number, lowest: number): number {
  if ((vma.flags & VM_GROWSDOWN) === 0) return -EFAULT;
  const page = alignDown(address, tree.pageSize);
  if (page >= vma.start) return 0;
  if (page < lowest) return -EPERM;
  const before = rangeBefore(tree.ranges, vma.start * tree.pagesPerByte);
  if (before !== null) {
    if (page < before.end) return -ENOMEM;
    const guarded = (before.flags & VM_GROWSDOWN) === 0 && vmaIsAccessible(before);
    if (guarded && page - before.end < tree.stackGuardGap * tree.pageSize) return -ENOMEM;
  }
  return (vma.start - page) * tree.pagesPerByte;
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
