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
import { eraseVma, linkVma, replaceVmas, resizeVma } from './vma-tree.ts';
import type { Vma } from './vma.ts';

/**
 * Carries a plan out, up to where its `error` stopped it: the tree changes in one step, so that a view (`openRangeView` of
 * `tree.ranges`), whenever it was opened, has all of the plan or nothing; then `ops.open` of VMAs that were split off or copied
 * is called. Of two cuts both are done by then, where Linux calls it between them. Throws `InvariantError('PLAN_STALE')`, with nothing changed, if the tree has changed since it was made.
 */
export function applyVmaPlan(plan: VmaPlan): void {
  const { tree, version, steps } = plan;
  if (tree.ranges.version !== version) throw new InvariantError('PLAN_STALE', 'the tree has changed since');
  let moves = 0;
  let last: VmaMove | null = null;
  for (const step of steps) {
    if (step.kind === 'mark') mark(step.vma, step.marks);
    else {
      last = step;
      moves++;
    }
  }
  if (moves > 1) moveSeveral(tree, steps);
  else if (last !== null) moveOne(tree, last);
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
  if (move.kind === 'insert') linkVma(tree, move.vma);
  else if (move.kind !== 'resize') eraseVma(tree, move.vma);
  else resizeVma(tree, move.vma, move.start, move.end);
}

/** What the moves come to: in the span they touch, VMAs with the bounds that each has in the end: four or fewer. */
function moveSeveral(tree: VmaTree, steps: readonly VmaStep[]): void {
  const scale = tree.pagesPerByte;
  const list: RangeEntry<Vma>[] = [];
  let low = Infinity;
  let high = 0;
  for (const step of steps) {
    if (step.kind === 'mark') continue;
    const { kind, vma } = step;
    const { start, end } = kind === 'resize' ? step : vma;
    low = Math.min(low, start, vma.start);
    high = Math.max(high, end, vma.end);
    const known = list.findIndex(({ value }) => value === vma);
    const gone = kind === 'remove' || kind === 'clear';
    const entry = { start: start * scale, end: end * scale, value: vma };
    // No VMA moves over another, so what is in the list has its place there.
    if (known >= 0 && gone) list.splice(known, 1);
    else if (known >= 0) list[known] = entry;
    else if (!gone) enter(list, entry);
  }
  replaceVmas(tree, low, high, list);
}

/** Puts an entry into a list in the order of their starts. */
function enter(list: RangeEntry<Vma>[], entry: RangeEntry<Vma>): void {
  let i = list.push(entry) - 1;
  for (; i > 0 && list[i - 1]!.start > entry.start; i--) list[i] = list[i - 1]!;
  list[i] = entry;
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
