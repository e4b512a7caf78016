/**
 * Carrying out what plan.ts has worked out (Linux: commit_merge, vma_complete), and the hooks of files that follow. Needs
 * mmap_lock, for writing.
 */
import { InvariantError } from '@mmkit/base';
import type { RangeEntry } from './cursor.ts';
import type { VmaTraits } from './merge.ts';
import type { VmaPlan, VmaStep } from './plan.ts';
import { planSplit } from './plan.ts';
import type { VmaTree } from './vma-tree.ts';
import { eraseVma, insertVma, replaceVmas, resizeVma } from './vma-tree.ts';
import type { Vma } from './vma.ts';

/**
 * Carries a plan out, up to where its `error` stopped it: the tree changes in one step, so that a view (`openRangeView` of
 * `tree.ranges`), whenever it was opened, has all of the plan or nothing; then `ops.open` of VMAs that were split off or copied
 * is called. Of two cuts both are done by then, where Linux calls it between them. Throws `InvariantError('PLAN_STALE')`, with nothing changed, if the tree has changed since it was made.
 */
export function applyVmaPlan(plan: VmaPlan): void {
  const { tree, version, steps } = plan;
  if (tree.ranges.version !== version) throw new InvariantError('PLAN_STALE', 'the tree has changed since');
  for (const step of steps) if (step.kind === 'mark') mark(step.vma, step.marks);
  const moves = steps.filter((step) => step.kind !== 'mark');
  if (moves.length === 1) moveOne(tree, moves[0]!);
  else if (moves.length > 1) moveSeveral(tree, moves);
  for (const step of steps) if (step.kind === 'insert' && step.from !== null) openVma(step.vma);
}

function mark(vma: Vma, marks: VmaTraits): void {
  vma.flags = marks.flags;
  vma.flagsHigh = marks.flagsHigh;
  vma.anonVma = marks.anonVma;
  vma.anonChain = marks.anonChain;
  vma.policy = marks.policy;
  vma.uffdCtx = marks.uffdCtx;
  vma.anonName = marks.anonName;
}

type VmaMove = Exclude<VmaStep, { readonly kind: 'mark' }>;

function moveOne(tree: VmaTree, move: VmaMove): void {
  if (move.kind === 'insert') insertVma(tree, move.vma);
  else if (move.kind !== 'resize') eraseVma(tree, move.vma);
  else resizeVma(tree, move.vma, move.start, move.end);
}

/** What the moves come to: in the span they touch, VMAs with the bounds that each has in the end. */
function moveSeveral(tree: VmaTree, moves: readonly VmaMove[]): void {
  const last = new Map<Vma, RangeEntry<Vma>>();
  let low = Infinity;
  let high = 0;
  for (const move of moves) {
    const { kind, vma } = move;
    const { start, end } = kind === 'resize' ? move : vma;
    low = Math.min(low, start, vma.start);
    high = Math.max(high, end, vma.end);
    if (kind === 'remove' || kind === 'clear') last.delete(vma);
    else last.set(vma, { start, end, value: vma });
  }
  const list = [...last.values()].sort((a, b) => a.start - b.start);
  replaceVmas(tree, low, high, list);
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
