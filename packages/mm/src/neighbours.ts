/** The space between the VMAs around a range: page tables wholly inside it serve nobody else (free_pgtables). */
import { Mm } from '@mmkit/aspace';
import { findVma, rangeBefore } from '@mmkit/vma';

/** End of the VMA before `start` (0: none) and start of the one after `end` (the end of user memory: none). */
export function neighbours(mm: Mm, start: number, end: number): { floor: number; ceiling: number } {
  const before = rangeBefore(mm.vmas.ranges, start / mm.memory.phys.pageSize);
  const after = findVma(mm.vmas, end);
  return { floor: before?.end ?? 0, ceiling: after?.start ?? mm.memory.format.userEnd };
}
