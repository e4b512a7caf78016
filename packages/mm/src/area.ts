/** Where a mapping goes (Linux: __get_unmapped_area, arch_get_unmapped_area_topdown, thp_get_unmapped_area). */
import { alignDown, alignUp, EINVAL, ENOMEM, EPERM, isAligned } from '@mmkit/base';
import { Mm, MMAP_MIN_ADDR } from '@mmkit/aspace';
import type { OpenFile } from '@mmkit/filemap';
import { findVma, startGap, unmappedArea } from '@mmkit/vma';
import { MAP_32BIT, MAP_SHARED, STACK_GAP } from './flags.ts';

/** MAP_32BIT: from here … */
const LOW_START = 0x4000_0000;
/** … to here. */
const LOW_END = 0x8000_0000;

/** End of what may be mapped: TASK_SIZE_MAX. */
export function taskSize(mm: Mm): number {
  return mm.memory.format.taskSize;
}

/** A fixed address, or why it cannot be: -ENOMEM, -EINVAL, -EPERM. */
export function fixedArea(mm: Mm, address: number, size: number): number {
  if (address + size > taskSize(mm)) return -ENOMEM;
  if (!isAligned(address, mm.memory.phys.pageSize)) return -EINVAL;
  return address < MMAP_MIN_ADDR ? -EPERM : address;
}

/**
 * The hint's page if the range is free there (a hint below MMAP_MIN_ADDR means that), else the highest free range, at an
 * address that huge pages could map where there is room for that. -ENOMEM.
 */
export function chooseArea(
  mm: Mm,
  hint: number,
  size: number,
  flags: number,
  file: OpenFile | null,
  offset: number,
): number {
  const page = alignDown(hint, mm.memory.phys.pageSize);
  const wanted = page === 0 ? 0 : Math.max(page, MMAP_MIN_ADDR);
  if (wantsHugeAlignment(mm, wanted, size, flags, file, offset)) {
    const aligned = hugeAligned(mm, wanted, size, flags, offset);
    if (aligned >= 0) return aligned;
  }
  return freeArea(mm, wanted, size, flags);
}

/** `size` free bytes at the hint (0: none) or where the search finds them (generic_get_unmapped_area_topdown). */
function freeArea(mm: Mm, hint: number, size: number, flags: number): number {
  const { vmas } = mm;
  const low = (flags & MAP_32BIT) !== 0;
  if (hint !== 0 && hint + size <= (low ? LOW_END : taskSize(mm))) {
    const next = findVma(vmas, hint);
    if (next === null || hint + size <= startGap(next)) return hint;
  }
  if (low) return unmappedArea(vmas, size, { low: LOW_START, high: LOW_END });
  return unmappedArea(vmas, size, { low: MMAP_MIN_ADDR, high: taskSize(mm) - STACK_GAP, topDown: true });
}

/**
 * Private anonymous memory of whole huge pages, without a hint; a file on disk with a whole huge page in what is mapped
 * (its file system offers thp_get_unmapped_area). FACTS 22 and the recorded searches.
 */
function wantsHugeAlignment(
  mm: Mm,
  hint: number,
  size: number,
  flags: number,
  file: OpenFile | null,
  offset: number,
): boolean {
  const huge = mm.memory.format.spans[1]!;
  if (file !== null) return file.inode.device !== null && offset + size - alignUp(offset, huge) >= huge;
  return (flags & MAP_SHARED) === 0 && hint === 0 && size % huge === 0;
}

/**
 * An area whose place in a huge page is that of `offset` in the file, out of one that is a huge page longer; a hint must
 * have room for that much too, and is then taken as it is. As measured: FACTS 22 says a page less.
 */
function hugeAligned(mm: Mm, hint: number, size: number, flags: number, offset: number): number {
  const huge = mm.memory.format.spans[1]!;
  const start = freeArea(mm, hint, size + huge, flags);
  if (start < 0 || start === hint) return start;
  const shift = (((offset - start) % huge) + huge) % huge;
  return start + (shift === 0 && (flags & MAP_32BIT) === 0 ? huge : shift);
}
