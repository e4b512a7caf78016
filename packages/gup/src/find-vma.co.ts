/** Which VMA a lookup is about (Linux: gup_vma_lookup; find_extend_vma up to 6.4). Caller holds mmap_lock. */
import { alignDown } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { expandDownwards, Mm } from '@mmkit/aspace';
import { findVma, VM_LOCKED } from '@mmkit/vma';
import type { Vma } from '@mmkit/vma';
import { populateVmaPageRange } from './populate.co.ts';

/**
 * The VMA that contains `address` (bytes), or null. Up to 6.4 a stack above it grows down to it, under whatever hold of
 * mmap_lock there is, and of a locked stack the new pages are faulted in (A.3 #4); since then GUP never grows one
 * (B.4).
 */
export function* findExtendVma(mm: Mm, address: number): Task<Vma | null> {
  const vma = findVma(mm.vmas, address);
  if (vma === null || vma.start <= address) return vma;
  if (mm.memory.policy.stackGrowth !== 'gupReadLock') return null;
  const end = vma.start;
  if (expandDownwards(mm, vma, address) !== 0) return null;
  if ((vma.flags & VM_LOCKED) !== 0) {
    yield* populateVmaPageRange(mm, vma, alignDown(address, mm.vmas.pageSize), end, null);
  }
  return vma;
}
