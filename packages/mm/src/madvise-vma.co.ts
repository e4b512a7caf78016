/**
 * Advice that becomes flags of the VMA (Linux: madvise_vma_behavior's flag cases, ksm_madvise, hugepage_madvise). VMAs are
 * split where it begins and ends and merged where they become alike. mmap_lock held for writing.
 */
import { EAGAIN, EINVAL, ENOMEM, InvariantError } from '@mmkit/base';
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
  vmaIsDroppable,
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

/** Changes the flags of [start, end) of `vma` as the advice says: 0, -EINVAL, or -EAGAIN (map count). */
export function* adviseFlags(mm: Mm, vma: Vma, start: number, end: number, advice: number): Task<number> {
  if (refused(vma, advice)) return -EINVAL;
  // KSM passes over what can have no private pages.
  const shared = (vma.flags & (VM_SHARED | VM_MAYSHARE | VM_SPECIAL | VM_HUGETLB)) !== 0;
  if (advice === MADV_MERGEABLE && (shared || vmaIsDroppable(vma))) return 0;
  const flags = advisedFlags(vma.flags, advice);
  if (flags === vma.flags) return 0;
  const result = yield* vmaModify(mm, vma, start, end, flags);
  if (typeof result !== 'number') return 0;
  return result === -ENOMEM ? -EAGAIN : result;
}

function refused(vma: Vma, advice: number): boolean {
  if (advice === MADV_DOFORK) return (vma.flags & VM_IO) !== 0;
  if (advice === MADV_WIPEONFORK) return !vmaIsAnonymous(vma) || (vma.flags & VM_SHARED) !== 0;
  if (advice === MADV_KEEPONFORK) return vmaIsDroppable(vma);
  if (advice === MADV_DODUMP)
    return ((vma.flags & VM_HUGETLB) === 0 && (vma.flags & VM_SPECIAL) !== 0) || vmaIsDroppable(vma);
  return false;
}

/** The flags after the advice. */
function advisedFlags(flags: number, advice: number): number {
  switch (advice) {
    case MADV_NORMAL:
      return flags & ~(VM_RAND_READ | VM_SEQ_READ);
    case MADV_RANDOM:
      return (flags & ~VM_SEQ_READ) | VM_RAND_READ;
    case MADV_SEQUENTIAL:
      return (flags & ~VM_RAND_READ) | VM_SEQ_READ;
    case MADV_DONTFORK:
      return flags | VM_DONTCOPY;
    case MADV_DOFORK:
      return flags & ~VM_DONTCOPY;
    case MADV_WIPEONFORK:
      return flags | VM_WIPEONFORK;
    case MADV_KEEPONFORK:
      return flags & ~VM_WIPEONFORK;
    case MADV_DONTDUMP:
      return flags | VM_DONTDUMP;
    case MADV_DODUMP:
      return flags & ~VM_DONTDUMP;
    case MADV_MERGEABLE:
      return flags | VM_MERGEABLE;
    case MADV_UNMERGEABLE:
      return flags & ~VM_MERGEABLE;
    case MADV_HUGEPAGE:
      return (flags & ~VM_NOHUGEPAGE) | VM_HUGEPAGE;
    case MADV_NOHUGEPAGE:
      return (flags & ~VM_HUGEPAGE) | VM_NOHUGEPAGE;
    default:
      throw new InvariantError('ADVICE', `advice ${advice} changes no flags`);
  }
}
