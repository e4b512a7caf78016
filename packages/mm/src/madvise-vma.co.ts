/**
 * Advice that becomes flags of the VMA (Linux: madvise_vma_behavior's flag cases, ksm_madvise, hugepage_madvise). VMAs are
 * split where it begins and ends and merged where they become alike. mmap_lock held for writing.
 */
import { EAGAIN, EINVAL } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { Mm } from '@mmkit/aspace';
import { vmaModify } from '@mmkit/aspace/sched';
import {
  VM_DONTCOPY,
  VM_DONTDUMP,
  VM_HUGEPAGE,
  VM_HUGETLB,
  VM_IO,
  VM_MAYSHARE,
  VM_MERGEABLE,
  VM_NOHUGEPAGE,
  VM_RAND_READ,
  VM_SEQ_READ,
  VM_SHARED,
  VM_SPECIAL,
  VM_WIPEONFORK,
  vmaIsAnonymous,
} from '@mmkit/vma';
import type { Vma } from '@mmkit/vma';
import {
  MADV_DODUMP,
  MADV_DOFORK,
  MADV_DONTDUMP,
  MADV_DONTFORK,
  MADV_HUGEPAGE,
  MADV_KEEPONFORK,
  MADV_MERGEABLE,
  MADV_NOHUGEPAGE,
  MADV_NORMAL,
  MADV_RANDOM,
  MADV_SEQUENTIAL,
  MADV_UNMERGEABLE,
  MADV_WIPEONFORK,
} from './flags.ts';

/** Flags each advice sets, and clears. */
const CHANGES: ReadonlyMap<number, readonly [set: number, clear: number]> = new Map([
  [MADV_NORMAL, [0, VM_RAND_READ | VM_SEQ_READ]],
  [MADV_RANDOM, [VM_RAND_READ, VM_SEQ_READ]],
  [MADV_SEQUENTIAL, [VM_SEQ_READ, VM_RAND_READ]],
  [MADV_DONTFORK, [VM_DONTCOPY, 0]],
  [MADV_DOFORK, [0, VM_DONTCOPY]],
  [MADV_WIPEONFORK, [VM_WIPEONFORK, 0]],
  [MADV_KEEPONFORK, [0, VM_WIPEONFORK]],
  [MADV_DONTDUMP, [VM_DONTDUMP, 0]],
  [MADV_DODUMP, [0, VM_DONTDUMP]],
  [MADV_MERGEABLE, [VM_MERGEABLE, 0]],
  [MADV_UNMERGEABLE, [0, VM_MERGEABLE]],
  [MADV_HUGEPAGE, [VM_HUGEPAGE, VM_NOHUGEPAGE]],
  [MADV_NOHUGEPAGE, [VM_NOHUGEPAGE, VM_HUGEPAGE]],
] as const);

/** Changes the flags of [start, end) of `vma` as the advice says: 0, -EINVAL, or -EAGAIN (map count). */
export function* adviseFlags(mm: Mm, vma: Vma, start: number, end: number, advice: number): Task<number> {
  if (refused(vma, advice)) return -EINVAL;
  // KSM passes over what can have no private pages.
  const shared = (vma.flags & (VM_SHARED | VM_MAYSHARE | VM_SPECIAL | VM_HUGETLB)) !== 0;
  if (advice === MADV_MERGEABLE && shared) return 0;
  const [set, clear] = CHANGES.get(advice)!;
  const flags = (vma.flags & ~clear) | set;
  if (flags === vma.flags) return 0;
  const result = yield* vmaModify(mm, vma, start, end, flags);
  // The only failure is that of a split.
  return typeof result === 'number' ? -EAGAIN : 0;
}

function refused(vma: Vma, advice: number): boolean {
  if (advice === MADV_DOFORK) return (vma.flags & VM_IO) !== 0;
  if (advice === MADV_WIPEONFORK) return !vmaIsAnonymous(vma) || (vma.flags & VM_SHARED) !== 0;
  if (advice === MADV_DODUMP) return (vma.flags & VM_HUGETLB) === 0 && (vma.flags & VM_SPECIAL) !== 0;
  return false;
}
