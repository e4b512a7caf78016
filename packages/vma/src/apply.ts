/**
 * Carrying out what plan.ts has worked out (Linux: commit_merge, vma_complete), and the hooks of files that follow. Needs
 * mmap_lock, for writing.
 */
import { InvariantError } from '@mmkit/base';
import type { VmaPlan, VmaStep } from './plan.ts';
import { planSplit } from './plan.ts';
import type { VmaTree } from './vma-tree.ts';
import { eraseVma, insertVma, resizeVma } from './vma-tree.ts';
import type { Vma } from './vma.ts';

/**
 * Carries a plan out, up to where its `error` stopped it, and calls `ops.open` of VMAs that were split off or copied.
 * Throws `InvariantError('PLAN_STALE')`, with nothing changed, if the tree has changed since it was made.
 */
export function applyVmaPlan(plan: VmaPlan): void {
  const { tree, version, steps } = plan;
  if (tree.ranges.version !== version) throw new InvariantError('PLAN_STALE', 'the tree has changed since');
  for (const step of steps) applyStep(tree, step);
}

function applyStep(tree: VmaTree, step: VmaStep): void {
  const { vma } = step;
  switch (step.kind) {
    case 'mark':
      vma.flags = step.marks.flags;
      vma.flagsHigh = step.marks.flagsHigh;
      vma.anonVma = step.marks.anonVma;
      vma.anonChain = step.marks.anonChain;
      return;
    case 'resize':
      return resizeVma(tree, vma, step.start, step.end);
    case 'remove':
      return eraseVma(tree, vma);
    case 'insert':
      insertVma(tree, vma);
      if (step.from !== null) openVma(vma);
  }
}

/**
 * Cuts a VMA in two at `address` and returns the new, upper one; `vma` keeps the lower part (__split_vma). Errors as of
 * `planSplit`, of which vm.max_map_count is not asked; and `InvariantError('SPLIT_REFUSED')` if `ops.maySplit` refuses.
 */
export function splitVma(tree: VmaTree, vma: Vma, address: number): Vma {
  const plan = planSplit(tree, vma, address, false);
  if (plan.target === null) throw new InvariantError('SPLIT_REFUSED', `the file's maySplit says ${plan.error}`);
  applyVmaPlan(plan);
  return plan.target;
}

/** Tells the file that one more VMA maps it: a copy, as of fork, or a part (vm_ops->open). */
export function openVma(vma: Vma): void {
  vma.ops?.open?.(vma);
}

/** Tells the file that a VMA is gone, after it was unmapped (vm_ops->close). Merging never takes away one that must be told. */
export function closeVma(vma: Vma): void {
  vma.ops?.close?.(vma);
}
