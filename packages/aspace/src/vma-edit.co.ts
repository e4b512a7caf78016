/**
 * Changing which VMAs there are (Linux: vma_modify_flags, vma_merge_new_range, vma_merge_extend, copy_vma, __split_vma; N.16). What a change
 * comes to is planned by the vma package; here huge pages across a cut get small entries, and the file's i_mmap changes with
 * the tree. Caller holds mmap_lock for writing.
 */
import type { Task } from '@mmkit/base';
import { upWrite } from '@mmkit/rwsem';
import { applyVmaPlan, planCopy, planExpand, planModify, planNew, planSplit } from '@mmkit/vma';
import type { Vma, VmaMarks, VmaPlan, VmaTraits } from '@mmkit/vma';
import { addToIMmap, removeFromIMmap, vmaInode } from './file-vma.ts';
import { lockIMmap } from './file-vma.co.ts';
import { Mm } from './mm.ts';
import { splitHugePmdAt } from './split-huge.co.ts';

/**
 * Gives [start, end) of `vma` (bytes, inside it) other flags, or another policy, userfaultfd or name: merged with neighbours that are like it then, else split off.
 * The VMA that covers it afterwards, or -ENOMEM (map count; a split made before stays).
 */
export function* vmaModify(
  mm: Mm,
  vma: Vma,
  start: number,
  end: number,
  flags: number,
  flagsHigh: number = vma.flagsHigh,
  marks: VmaMarks = vma,
): Task<Vma | number> {
  return yield* carryOut(mm, planModify(mm.vmas, vma, start, end, flags, flagsHigh, marks));
}

/**
 * Makes [start, end) part of the address space: merged with its neighbours or as a VMA of its own, which it gives. What is
 * there, `cleared`, maps nothing any more and is in no file's list, and leaves in the same step. Never fails: the caller has
 * asked for the map count.
 */
export function* vmaMergeNew(
  mm: Mm,
  start: number,
  end: number,
  traits: VmaTraits,
  cleared: readonly Vma[] = [],
): Task<Vma> {
  return (yield* carryOut(mm, planNew(mm.vmas, start, end, traits, cleared))) as Vma;
}

/**
 * Makes `vma` reach up to `end` and merges it with what begins there and goes on from it: 0; -ENOMEM (something is in the
 * way, or it is memory with which nothing merges).
 */
export function* vmaExpand(mm: Mm, vma: Vma, end: number): Task<number> {
  const plan = planExpand(mm.vmas, vma, vma.start, end);
  yield* carryOut(mm, plan);
  return plan.error;
}

/** A copy of what `vma` maps from `address` on: `length` bytes at `to`, where nothing is. As `vmaMergeNew`. */
export function* vmaCopy(mm: Mm, vma: Vma, address: number, to: number, length: number): Task<Vma> {
  return (yield* carryOut(mm, planCopy(mm.vmas, vma, address, to, length))) as Vma;
}

/**
 * Cuts a VMA in two at `address`, strictly inside: the upper one, or what its file refuses with; a huge page across it is
 * mapped by small entries then. Who must not exceed the map count asks before.
 */
export function* vmaSplit(mm: Mm, vma: Vma, address: number): Task<Vma | number> {
  return yield* carryOut(mm, planSplit(mm.vmas, vma, address, false));
}

/** The plan's target, or its error. All VMAs of a plan that change place map the same file, but those cleared. */
function* carryOut(mm: Mm, plan: VmaPlan): Task<Vma | number> {
  const { steps } = plan;
  let moved: Vma | null = null;
  for (const step of steps) {
    if (step.kind !== 'mark' && step.kind !== 'clear') moved ??= step.vma;
    if (step.kind !== 'resize') continue;
    if (step.start > step.vma.start) yield* splitHugePmdAt(mm, step.start);
    if (step.end < step.vma.end) yield* splitHugePmdAt(mm, step.end);
  }
  const inode = moved === null ? null : vmaInode(moved);
  if (inode === null) {
    applyVmaPlan(plan);
    return plan.target ?? plan.error;
  }
  yield* lockIMmap(inode);
  for (const { kind, vma } of steps) if (kind === 'remove') removeFromIMmap(inode, vma);
  applyVmaPlan(plan);
  for (const { kind, vma } of steps) if (kind === 'insert') addToIMmap(inode, vma);
  upWrite(mm.memory.sched, inode.iMmapLock);
  return plan.target ?? plan.error;
}
