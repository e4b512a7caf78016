/**
 * Which neighbours a range may become one VMA with (Linux: can_vma_merge_before, can_vma_merge_after,
 * is_mergeable_anon_vma; reference N.16, D.6). A plan only: who applies it also knows the files' and anon_vmas' side.
 * Needs mmap_lock, for reading.
 */
import { VM_ACCESS_FLAGS, VM_SPECIAL } from './flags.ts';
import { findVma, type VmaTree } from './vma-tree.ts';
import type { Vma, VmaOps } from './vma.ts';

/** VM_SOFTDIRTY and VM_MAYBE_GUARD: they keep nobody apart, and what is merged has those that either had. */
export const VM_STICKY = 0x800_0800;

/** What a range is, or is to be; a VMA is one. */
export interface VmaTraits {
  /** VM_* flags, both words. */
  readonly flags: number;
  readonly flagsHigh: number;
  /** Page offset of its start. */
  readonly pgoff: number;
  readonly file: object | null;
  readonly ops: VmaOps | null;
  readonly anonVma: object | null;
  /** Length of the anon_vma chain. */
  readonly anonChain: number;
  /** Identities that neighbours must share (see `Vma`); null: none. */
  readonly policy: object | null;
  readonly uffdCtx: object | null;
  readonly anonName: string | null;
}

/** What a call may give a range besides flags (vma_modify_policy, vma_modify_flags_uffd, vma_modify_name). */
export type VmaMarks = Pick<VmaTraits, 'policy' | 'uffdCtx' | 'anonName'>;

/** What a VMA is: so a range that goes on from it, or is a copy of it, is to be; but for where in the file it starts. */
export function vmaTraits(of: VmaTraits): VmaTraits {
  const { flags, flagsHigh, pgoff, file, ops, anonVma, anonChain, policy, uffdCtx, anonName } = of;
  return { flags, flagsHigh, pgoff, file, ops, anonVma, anonChain, policy, uffdCtx, anonName };
}

/**
 * What newly mapped memory is: never written to. `flags` are VM_* up to bit 31, `flagsHigh` those above; `file` null: private
 * anonymous memory.
 */
export function newTraits(flags: number, pgoff: number, file: object | null = null, flagsHigh: number = 0): VmaTraits {
  return {
    flags,
    flagsHigh,
    pgoff,
    file,
    ops: null,
    anonVma: null,
    anonChain: 0,
    policy: null,
    uffdCtx: null,
    anonName: null,
  };
}

/** The neighbours that can take a range in; both: the three become one. */
export interface MergePlan {
  /** Ends where the range starts; null: it cannot. */
  readonly prev: Vma | null;
  /** Starts where the range ends; null: it cannot. */
  readonly next: Vma | null;
}

/**
 * With whom [start, end) of these traits can merge. When both neighbours can but not with each other, it is the one
 * before, as it is when the one after has `ops.close`. Whatever the tree holds inside the range does not matter.
 */
export function planMerge(tree: VmaTree, start: number, end: number, traits: VmaTraits): MergePlan {
  return mergeWith(tree, start === 0 ? null : findVma(tree, start - 1), findVma(tree, end), start, end, traits);
}

/** The same when `before` is the only VMA that can end at `start`, and `after` the only one that can start at `end`. */
export function mergeWith(
  tree: VmaTree,
  before: Vma | null,
  after: Vma | null,
  start: number,
  end: number,
  traits: VmaTraits,
): MergePlan {
  const pages = (end - start) * tree.pagesPerByte;
  const prev = before !== null && before.end === start && endsAt(tree, before, traits.pgoff) ? before : null;
  const next = after !== null && after.start === end && traits.pgoff + pages === after.pgoff ? after : null;
  const left = prev !== null && canMerge(tree, prev, traits) ? prev : null;
  const right = next !== null && canMerge(tree, next, traits) ? next : null;
  if (left !== null && right !== null && !canJoin(left, right)) return { prev: left, next: null };
  return { prev: left, next: right };
}

/**
 * The neighbour whose anon_vma the first write to `vma` joins, so that the two can merge later: alike but for their rights,
 * with an anon_vma of its own only; the next VMA is asked first (Linux: find_mergeable_anon_vma). Null: none.
 */
export function reusableAnonVma(tree: VmaTree, vma: Vma): Vma | null {
  const after = findVma(tree, vma.end);
  if (after !== null && after.start === vma.end && endsAt(tree, vma, after.pgoff) && isReusable(after, vma))
    return after;
  const before = vma.start === 0 ? null : findVma(tree, vma.start - 1);
  if (before !== null && before.end === vma.start && endsAt(tree, before, vma.pgoff) && isReusable(before, vma))
    return before;
  return null;
}

function isReusable(from: Vma, vma: Vma): boolean {
  const ignored = VM_ACCESS_FLAGS | VM_STICKY;
  return (
    from.anonVma !== null &&
    from.anonChain === 1 &&
    from.file === vma.file &&
    from.ops === vma.ops &&
    from.policy === vma.policy &&
    from.flagsHigh === vma.flagsHigh &&
    ((from.flags ^ vma.flags) & ~ignored) === 0
  );
}

/** True when what `vma` maps goes on at page `pgoff`. */
function endsAt(tree: VmaTree, vma: Vma, pgoff: number): boolean {
  return vma.pgoff + (vma.end - vma.start) * tree.pagesPerByte === pgoff;
}

function canMerge(tree: VmaTree, vma: Vma, traits: VmaTraits): boolean {
  if (((vma.flags | traits.flags) & VM_SPECIAL) !== 0) return false;
  if (((vma.flags ^ traits.flags) & ~VM_STICKY) !== 0 || vma.flagsHigh !== traits.flagsHigh) return false;
  if (vma.policy !== traits.policy || vma.uffdCtx !== traits.uffdCtx || vma.anonName !== traits.anonName) return false;
  return vma.file === traits.file && vma.ops === traits.ops && related(tree, vma, traits);
}

/**
 * True unless the two keep the third from joining both: by their anon_vmas, or as the one after must be told of its end. Chains
 * do not matter here: the range's own is what each was held against.
 */
function canJoin(left: Vma, right: Vma): boolean {
  const apart = left.anonVma !== null && right.anonVma !== null && left.anonVma !== right.anonVma;
  return (left.ops?.anonCompatible?.(left, right) ?? !apart) && right.ops?.close === undefined;
}

function related(tree: VmaTree, vma: Vma, traits: VmaTraits): boolean {
  if (vma.ops?.anonCompatible !== undefined) return vma.ops.anonCompatible(vma, traits);
  return anonCompatible(vma, traits) && (tree.mergeUnfaulted || vma.anonVma !== null || traits.anonVma === null);
}

/** The same anon_vma, or one side has none and the other's pages can belong to one only (is_mergeable_anon_vma). */
export function anonCompatible(a: VmaTraits, b: VmaTraits): boolean {
  if (a.anonVma === b.anonVma) return true;
  if (a.anonVma !== null && b.anonVma !== null) return false;
  return a.anonChain <= 1 && b.anonChain <= 1;
}
