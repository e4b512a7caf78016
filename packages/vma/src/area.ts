/**
 * Where a new VMA can go (Linux: vm_unmapped_area, vm_start_gap): the lowest or highest hole that is long enough, clear of
 * stacks. Needs mmap_lock, for reading.
 */
import { ENOMEM, alignDown, alignUp, checkAddress } from '@mmkit/base';
import { VM_GROWSDOWN } from './flags.ts';
import { findGap, findGapFromTop } from './gap.ts';
import { findRange } from './tree.ts';
import type { VmaTree } from './vma-tree.ts';
import { checkPageAddress } from './vma-tree.ts';
import type { Vma } from './vma.ts';

/** Where `unmappedArea` may look, in bytes. */
export interface AreaLimits {
  /** Lowest address wanted. */
  readonly low: number;
  /** The area must end at or below it. */
  readonly high: number;
  /** The area's start is a multiple of it: a power of two, at least the page size, which is the default. */
  readonly align?: number;
  /** True: the highest area; false (default): the lowest. */
  readonly topDown?: boolean;
}

/** Where the room that belongs to a VMA begins: below its start for one that grows down (vm_start_gap). */
export function startGap(vma: Vma): number {
  if ((vma.flags & VM_GROWSDOWN) === 0 || vma.tree === null) return vma.start;
  return Math.max(0, vma.start - vma.tree.stackGuardGap * vma.tree.pageSize);
}

/**
 * The start of `length` free bytes, or -ENOMEM (vm_unmapped_area). As in Linux an alignment above the page is met by
 * looking for a hole larger by align − pageSize, so a hole that would just fit may be passed over; the limits are
 * rounded inwards to pages. Room is left below a stack (`startGap`). Throws `RangeError` for a length that is not one or
 * more pages, and for a bad alignment or limit.
 */
export function unmappedArea(tree: VmaTree, length: number, limits: AreaLimits): number {
  const { pageSize, pagesPerByte } = tree;
  const { low, high, align = pageSize, topDown = false } = limits;
  checkPageAddress('length', length, pageSize);
  checkAddress('low', low);
  checkAddress('high', high);
  checkPageAddress('align', align, pageSize);
  if (!Number.isInteger(Math.log2(align))) {
    throw new RangeError(`align: expected a power of two, got ${align}`);
  }
  const pages = (length + align - pageSize) * pagesPerByte;
  const floor = Math.ceil(low * pagesPerByte);
  const ceiling = Math.floor(high * pagesPerByte);
  return topDown
    ? gapFromTop(tree, length, align, pages, floor, ceiling)
    : gapFromBelow(tree, align, pages, floor, ceiling);
}

function gapFromTop(
  tree: VmaTree,
  length: number,
  align: number,
  pages: number,
  floor: number,
  ceiling: number,
): number {
  for (;;) {
    const to = findGapFromTop(tree.ranges, pages, floor, ceiling);
    if (to < 0) return -ENOMEM;
    const next = findRange(tree.ranges, to);
    const reach = next === null ? to : startGap(next) * tree.pagesPerByte;
    if (to <= reach) return alignDown(to * tree.pageSize - length, align);
    ceiling = reach;
  }
}

function gapFromBelow(tree: VmaTree, align: number, pages: number, floor: number, ceiling: number): number {
  for (;;) {
    const from = findGap(tree.ranges, pages, floor, ceiling);
    if (from < 0) return -ENOMEM;
    const next = findRange(tree.ranges, from);
    if (next === null || from + pages <= startGap(next) * tree.pagesPerByte)
      return alignUp(from * tree.pageSize, align);
    floor = next.end * tree.pagesPerByte;
  }
}
