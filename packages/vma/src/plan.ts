/**
 * Changes of VMAs as plans: which VMAs get other bounds, go, come or get other flags, worked out before anything changes
 * (Linux: vma_merge_new_range, vma_merge_existing_range, vma_modify_flags, split_vma, copy_vma, vma_merge_extend,
 * vma_expand; reference N.16, D.6); growth of stacks is in stack.ts. Who asked does what follows elsewhere, as in a file's list of VMAs, and applies the plan. Needs mmap_lock for writing from
 * planning to applying. Unlike Linux nothing can fail for want of memory.
 */
import { ENOMEM, InvariantError, checkInteger } from '@mmkit/base';
import { createRangeCursor, nextRange, seekRange } from './cursor.ts';
import { VM_SPECIAL } from './flags.ts';
import type { VmaMarks, VmaTraits } from './merge.ts';
import { VM_STICKY, mergeWith, planMerge, vmaTraits } from './merge.ts';
import type { VmaTree } from './vma-tree.ts';
import { checkPageAddress, checkPresent, findVmaIntersection, mapCountAllows, nextVma, prevVma } from './vma-tree.ts';
import { Vma } from './vma.ts';

/** One change of one VMA. In the order given no two VMAs ever overlap. Bounds in bytes. */
export type VmaStep =
  /** It gets these flags, this anon_vma, policy, userfaultfd and name. */
  | { readonly kind: 'mark'; readonly vma: Vma; readonly marks: VmaTraits }
  /** It gets these bounds; `pgoff` moves with its start. */
  | { readonly kind: 'resize'; readonly vma: Vma; readonly start: number; readonly end: number }
  /** It leaves the tree, as another has taken it in. */
  | { readonly kind: 'remove'; readonly vma: Vma }
  /** It leaves the tree, as something else is mapped in its place. */
  | { readonly kind: 'clear'; readonly vma: Vma }
  /** It comes into the tree; `from` is the VMA it was copied or split from, null: newly mapped. */
  | { readonly kind: 'insert'; readonly vma: Vma; readonly from: Vma | null };

/**
 * What a plan comes to: a VMA of its own ('new'); the range goes over to the VMA before ('left'), the one after ('right'),
 * or all become one ('both'); 'partial': the VMA it was a part of shrinks; 'split': what is not in the range is split off;
 * 'flags': the VMA is the range already; 'expand': the VMA's bounds move.
 */
export type VmaCase =
  | 'new'
  | 'left'
  | 'right'
  | 'both'
  | 'partial left'
  | 'partial right'
  | 'split'
  | 'flags'
  | 'expand';

/** What is to be done, as data. */
export interface VmaPlan {
  readonly tree: VmaTree;
  /** `tree.ranges.version` when it was made: a plan does not outlive a change of the tree. */
  readonly version: number;
  readonly kind: VmaCase;
  readonly steps: readonly VmaStep[];
  /** The VMA that has the range afterwards; of a split the upper one; null when there is an error. */
  readonly target: Vma | null;
  /** 0, or the negative errno the call ends with once the steps are done: as in Linux a first split stays. */
  readonly error: number;
}

/**
 * Makes [start, end) part of the address space (vma_merge_new_range, mmap_region): merged with its neighbours, or a VMA of
 * its own, in place of `cleared`, all the VMAs that are there, in order. Never refused: mmap asks `mapCountAllows` before
 * it clears the place. Throws `RangeError` for bad bounds, `InvariantError('VMA_OVERLAP')` if anything else is there, or one
 * of them lies partly outside.
 */
export function planNew(
  tree: VmaTree,
  start: number,
  end: number,
  traits: VmaTraits,
  cleared: readonly Vma[] = [],
): VmaPlan {
  return planAt(tree, start, end, traits, null, cleared);
}

/**
 * A copy of what `vma` maps from `address` on, `length` bytes at `to`, where nothing is (copy_vma, for mremap).
 * Anonymous memory that was never written to gets page offsets as if mapped there, since no page has to be found by its
 * old number; all else keeps them, and merges there only with what goes on from them. Errors as of `planNew`.
 */
export function planCopy(tree: VmaTree, vma: Vma, address: number, to: number, length: number): VmaPlan {
  const fresh = vma.file === null && vma.anonVma === null;
  const pgoff = fresh ? to * tree.pagesPerByte : pgoffAt(tree, vma, address);
  return planAt(tree, to, to + length, { ...vmaTraits(vma), pgoff }, vma, []);
}

function planAt(
  tree: VmaTree,
  start: number,
  end: number,
  traits: VmaTraits,
  from: Vma | null,
  cleared: readonly Vma[],
): VmaPlan {
  checkPageAddress('start', start, tree.pageSize);
  checkPageAddress('end', end, tree.pageSize);
  checkInteger('end', end, start + tree.pageSize, tree.taskSize);
  checkInteger('traits.pgoff', traits.pgoff, 0, Number.MAX_SAFE_INTEGER);
  const steps: VmaStep[] = [];
  const cursor = createRangeCursor(tree.ranges);
  seekRange(cursor, start * tree.pagesPerByte - 1);
  const before = cursor.value !== null && cursor.value.end === start ? cursor.value : null;
  if (before !== null) nextRange(cursor);
  for (const vma of cleared) {
    if (vma !== cursor.value || vma.start < start || vma.end > end) throw occupied(start, end);
    steps.push({ kind: 'clear', vma });
    nextRange(cursor);
  }
  const after = cursor.value;
  if (after !== null && after.start < end) throw occupied(start, end);
  const { prev, next } = mergeWith(tree, before, after, start, end, traits);
  const to = prev ?? next;
  if (to === null) {
    const vma = vmaOf(start, end, traits, traits.pgoff);
    steps.push({ kind: 'insert', vma, from });
    return planOf(tree, 'new', steps, vma);
  }
  join(steps, to, prev, next, start, end, traits);
  return planOf(tree, caseOf(prev, next), steps, to);
}

function occupied(start: number, end: number): InvariantError {
  return new InvariantError('VMA_OVERLAP', `something is mapped from ${start} to ${end} already`);
}

/**
 * Gives [start, end) of `vma` other flags, or another policy, userfaultfd or name (vma_modify_flags and its kin): it goes over to neighbours that are like it then, else it is
 * split off. Something must differ, of flags more than the sticky ones; who sets those alone sets them on the whole VMA.
 * -ENOMEM: a split would exceed vm.max_map_count; or what `ops.maySplit` says; in both cases a split at `start` that went
 * well stays. Throws `InvariantError('VMA_ABSENT')`, `RangeError` for bounds that are not pages of the VMA.
 */
export function planModify(
  tree: VmaTree,
  vma: Vma,
  start: number,
  end: number,
  flags: number,
  flagsHigh: number = vma.flagsHigh,
  { policy, uffdCtx, anonName }: VmaMarks = vma,
): VmaPlan {
  checkPresent(tree, vma);
  checkPageAddress('start', start, tree.pageSize);
  checkPageAddress('end', end, tree.pageSize);
  checkInteger('start', start, vma.start, vma.end - tree.pageSize);
  checkInteger('end', end, start + tree.pageSize, vma.end);
  const { file, ops, anonVma, anonChain } = vma;
  const traits: VmaTraits = {
    flags: flags | 0,
    flagsHigh: flagsHigh | 0,
    pgoff: pgoffAt(tree, vma, start),
    file,
    ops,
    anonVma,
    anonChain,
    policy,
    uffdCtx,
    anonName,
  };
  const whole = vma.start === start && vma.end === end;
  // A VMA whose file must be told of its end does not silently vanish into another.
  const stays = whole && vma.ops?.close !== undefined;
  const before = stays || start > vma.start ? null : prevVma(tree, vma);
  const after = stays || end < vma.end ? null : nextVma(tree, vma);
  const { prev, next } = mergeWith(tree, before, after, start, end, traits);
  const to = prev ?? next;
  if (to === null) return planApart(tree, vma, start, end, traits);
  // The range leaves its VMA before another takes it in.
  const leaves: VmaStep = whole
    ? { kind: 'remove', vma }
    : vma.start === start
      ? { kind: 'resize', vma, start: end, end: vma.end }
      : { kind: 'resize', vma, start: vma.start, end: start };
  const kind = whole ? caseOf(prev, next) : prev !== null ? 'partial left' : 'partial right';
  const steps = [leaves];
  join(steps, to, prev, next, start, end, traits);
  return planOf(tree, kind, steps, to);
}

/** [start, end) of `vma` gets the traits as a VMA of its own. */
function planApart(tree: VmaTree, vma: Vma, start: number, end: number, traits: VmaTraits): VmaPlan {
  const steps: VmaStep[] = [];
  let part = vma;
  if (vma.start < start) {
    const error = splitError(tree, vma, start, 1);
    if (error !== 0) return planOf(tree, 'split', steps, null, error);
    part = cut(tree, steps, vma, vma, start);
  }
  if (end < vma.end) {
    // The first split counts already.
    const error = splitError(tree, vma, end, part === vma ? 1 : 2);
    if (error !== 0) return planOf(tree, 'split', steps, null, error);
    cut(tree, steps, part, vma, end);
  }
  const kind = steps.length === 0 ? 'flags' : 'split';
  steps.push({ kind: 'mark', vma: part, marks: traits });
  return planOf(tree, kind, steps, part);
}

/**
 * Cuts a VMA in two at `address`; it keeps the lower part, the target is the upper one (split_vma). -ENOMEM at
 * vm.max_map_count, unless `limited` is false (__split_vma: munmap, which has asked); else what `ops.maySplit` says. Throws
 * `InvariantError('VMA_ABSENT')`, `RangeError` if `address` is not page-aligned, `InvariantError('VMA_SPLIT')` if it is not
 * strictly inside.
 */
export function planSplit(tree: VmaTree, vma: Vma, address: number, limited: boolean = true): VmaPlan {
  checkPresent(tree, vma);
  checkPageAddress('address', address, tree.pageSize);
  if (address <= vma.start || address >= vma.end) {
    throw new InvariantError('VMA_SPLIT', `${address} is not inside the VMA [${vma.start}, ${vma.end})`);
  }
  const error = splitError(tree, vma, address, limited ? 1 : 0);
  if (error !== 0) return planOf(tree, 'split', [], null, error);
  const steps: VmaStep[] = [];
  const upper = cut(tree, steps, vma, vma, address);
  return planOf(tree, 'split', steps, upper);
}

/**
 * Makes `vma` reach from `start` to `end`, around what it has (vma_expand, vma_merge_extend): 'expand', or 'both' when a VMA
 * that begins at `end` goes on from it and so becomes part of it. What lies right below `start` is not merged with.
 * -ENOMEM: something is in the way, page offsets would fall below 0, or memory with which nothing merges (VM_SPECIAL) was
 * to grow upwards. Without growth a plan without steps. Throws `InvariantError('VMA_ABSENT')`, `RangeError` for bounds that
 * are no pages, leave something out or reach over `taskSize`.
 */
export function planExpand(tree: VmaTree, vma: Vma, start: number, end: number): VmaPlan {
  checkPresent(tree, vma);
  checkPageAddress('start', start, tree.pageSize);
  checkPageAddress('end', end, tree.pageSize);
  checkInteger('start', start, 0, vma.start);
  checkInteger('end', end, vma.end, tree.taskSize);
  const up = end > vma.end;
  const low = pgoffAt(tree, vma, start) < 0 || findVmaIntersection(tree, start, vma.start) !== null;
  const high = up && ((vma.flags & VM_SPECIAL) !== 0 || findVmaIntersection(tree, vma.end, end) !== null);
  if (low || high) return planOf(tree, 'expand', [], null, -ENOMEM);
  if (!up && start === vma.start) return planOf(tree, 'expand', [], vma);
  if (!up) return planOf(tree, 'expand', [{ kind: 'resize', vma, start, end }], vma);
  // What is added has no chain of its own, however long the VMA's is: it joins a next one that was never written to.
  const traits = { ...vmaTraits(vma), pgoff: pgoffAt(tree, vma, vma.end), anonChain: 0 };
  const { prev, next } = planMerge(tree, vma.end, end, traits);
  const also = prev === vma ? next : null;
  const steps: VmaStep[] = [];
  join(steps, vma, vma, also, start, end, traits);
  return planOf(tree, also === null ? 'expand' : 'both', steps, vma);
}

/** Puts the steps of a cut of `vma` at `address` down; `from` is what it was before earlier ones. The upper part. */
function cut(tree: VmaTree, steps: VmaStep[], vma: Vma, from: Vma, address: number): Vma {
  const upper = vmaOf(address, vma.end, vma, pgoffAt(tree, vma, address));
  steps.push({ kind: 'resize', vma, start: vma.start, end: address }, { kind: 'insert', vma: upper, from });
  return upper;
}

/** Why a VMA may not be cut at `address` if `more` VMAs come of it: the count is asked before the file. */
function splitError(tree: VmaTree, vma: Vma, address: number, more: number): number {
  if (more > 0 && !mapCountAllows(tree, more)) return -ENOMEM;
  return vma.ops?.maySplit?.(vma, address) ?? 0;
}

/** Puts down how `to` takes [start, end) in; when both neighbours do, the one after goes. */
function join(
  steps: VmaStep[],
  to: Vma,
  prev: Vma | null,
  next: Vma | null,
  start: number,
  end: number,
  traits: VmaTraits,
): void {
  const gone = prev === null ? null : next;
  // What is merged has the anon_vma that one side had, and the sticky flags of all.
  const other = traits.anonVma !== null ? traits : gone;
  const rooted = to.anonVma === null && other !== null && other.anonVma !== null ? other : to;
  const marks: VmaTraits = {
    flags: to.flags | ((traits.flags | (gone?.flags ?? 0)) & VM_STICKY),
    flagsHigh: to.flagsHigh,
    pgoff: to.pgoff,
    file: to.file,
    ops: to.ops,
    anonVma: rooted.anonVma,
    anonChain: rooted.anonChain,
    policy: to.policy,
    uffdCtx: to.uffdCtx,
    anonName: to.anonName,
  };
  steps.push({ kind: 'mark', vma: to, marks });
  if (gone !== null) steps.push({ kind: 'remove', vma: gone });
  steps.push({ kind: 'resize', vma: to, start: Math.min(to.start, start), end: next === null ? end : next.end });
}

function caseOf(prev: Vma | null, next: Vma | null): VmaCase {
  return prev === null ? 'right' : next === null ? 'left' : 'both';
}

/** A VMA that is in no tree yet; all but its `pgoff` is as `traits` say. */
function vmaOf(start: number, end: number, traits: VmaTraits, pgoff: number): Vma {
  const vma = new Vma(start, end, traits.flags, pgoff, traits.file, traits.anonVma);
  vma.flagsHigh = traits.flagsHigh;
  vma.anonChain = traits.anonChain;
  vma.ops = traits.ops;
  vma.policy = traits.policy;
  vma.uffdCtx = traits.uffdCtx;
  vma.anonName = traits.anonName;
  return vma;
}

/** Page of what `vma` maps that lies at `address`. */
function pgoffAt(tree: VmaTree, vma: Vma, address: number): number {
  return vma.pgoff + (address - vma.start) * tree.pagesPerByte;
}

/** A plan of what the tree is now. */
export function planOf(tree: VmaTree, kind: VmaCase, steps: VmaStep[], target: Vma | null, error: number = 0): VmaPlan {
  return { tree, version: tree.ranges.version, kind, steps, target, error };
}
