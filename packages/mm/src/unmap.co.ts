/**
 * Taking a range of VMAs away (Linux: do_vmi_align_munmap, unmap_region): split at the ends, out of the files' lists, out
 * of the tree, entries zapped, tables freed. mmap_lock held for writing.
 */
import { ENOMEM, EPERM } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { Mm } from '@mmkit/aspace';
import { freePageTables, mlockRange, unlinkFileVma, vmaSplit, zapPageRange } from '@mmkit/aspace/sched';
import { closeVma, eraseVma, eraseVmas, mapCountAllows, VM_LOCKED, vmasIn, vmaIsSealed } from '@mmkit/vma';
import type { Vma } from '@mmkit/vma';
import { neighbours } from './neighbours.ts';

/**
 * Unmaps [start, end): 0; -ENOMEM (a split would exceed the map count); -EPERM (something in it is sealed); or what the
 * file of a VMA that had to be split says (`ops.maySplit`).
 */
export function* unmapRegion(mm: Mm, start: number, end: number): Task<number> {
  const gone = yield* clearRegion(mm, start, end);
  if (typeof gone === 'number') return gone;
  forgetVmas(mm, gone);
  return 0;
}

/** Takes the VMAs that `clearRegion` gave out of the tree. */
export function forgetVmas(mm: Mm, gone: readonly Vma[]): void {
  if (gone.length === 1) eraseVma(mm.vmas, gone[0]!);
  else if (gone.length > 1) eraseVmas(mm.vmas, gone[0]!.start, gone[gone.length - 1]!.end);
}

/**
 * Clears [start, end) for something else (vms_gather_munmap_vmas, vms_clean_up_area): its VMAs, split at the ends, which
 * map nothing any more but are in the tree still, where who looks without a lock finds them until another takes their
 * place; or an error of `unmapRegion`.
 */
export function* clearRegion(mm: Mm, start: number, end: number): Task<Vma[] | number> {
  const gone = vmasIn(mm.vmas, start, end);
  if (gone.length === 0) return gone;
  const first = gone[0]!;
  if (first.start < start) {
    // Only a hole in the middle of one VMA makes more of them than there were.
    if (first.end > end && !mapCountAllows(mm.vmas, 1)) return -ENOMEM;
    if (vmaIsSealed(first)) return -EPERM;
    const upper = yield* vmaSplit(mm, first, start);
    if (typeof upper === 'number') return upper;
    gone[0] = upper;
  }
  // As Linux: a sealed VMA further on is seen after the split, which stays.
  for (const vma of gone) {
    if (vmaIsSealed(vma)) return -EPERM;
    if (vma.end <= end) continue;
    const upper = yield* vmaSplit(mm, vma, end);
    if (typeof upper === 'number') return upper;
  }
  mm.hiwaterVm = Math.max(mm.hiwaterVm, mm.vmas.totalPages);
  const from = gone[0]!.start;
  const to = gone[gone.length - 1]!.end;
  for (const vma of gone) {
    if ((vma.flags & VM_LOCKED) === 0) continue;
    mm.lockedVm -= (vma.end - vma.start) * mm.vmas.pagesPerByte;
    yield* mlockRange(mm, vma.start, vma.end, false);
  }
  yield* zapPageRange(mm, from, to);
  for (const vma of gone) yield* unlinkFileVma(vma);
  for (const vma of gone) closeVma(vma);
  const { floor, ceiling } = neighbours(mm, from, to);
  yield* freePageTables(mm, from, to, floor, ceiling);
  return gone;
}
