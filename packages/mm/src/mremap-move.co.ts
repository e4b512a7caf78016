/**
 * Moving one mapping (Linux: move_vma, copy_vma): a VMA like the old one at the new place, merged with its neighbours
 * there; the entries (N.14: pages, pins and guards follow); then the old range is unmapped, or with MREMAP_DONTUNMAP
 * left without its pages. mmap_lock is held for writing.
 */
import { ENOMEM } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { Mm, vmaInode } from '@mmkit/aspace';
import { moveTables, vmaCopy } from '@mmkit/aspace/sched';
import { mapCountAllows, VM_LOCKED, VM_LOCKED_MASK, vmaLookup } from '@mmkit/vma';
import type { Vma } from '@mmkit/vma';
import { MREMAP_DONTUNMAP } from './flags.ts';
import type { Remap } from './mremap-check.ts';
import { unmapRegion } from './unmap.co.ts';
import { dropUserfault } from './userfault.ts';

/** Moves [address, address + oldLength) of `vma` to `newAddress`, where nothing is mapped: `newAddress`, or -ENOMEM. */
export function* moveVma(mm: Mm, vma: Vma, call: Remap): Task<number> {
  const { address, oldLength, newLength, flags, newAddress } = call;
  // The source may be split twice, and one VMA more is made.
  if (!mapCountAllows(mm.vmas, 4)) return -ENOMEM;
  const pageSize = mm.memory.phys.pageSize;
  const copy = yield* vmaCopy(mm, vma, address, newAddress, newLength);
  const iMmapLock = vmaInode(vma)?.iMmapLock ?? null;
  const moved = yield* moveTables(mm, address, newAddress, oldLength, iMmapLock);
  if (moved < oldLength) {
    // The tables it came from are still there: going back cannot fail.
    yield* moveTables(mm, newAddress, address, moved, iMmapLock);
    yield* unmapRegion(mm, newAddress, newAddress + newLength);
    return -ENOMEM;
  }
  // All of what it became part of, as 6.18 does.
  dropUserfault(copy);
  if ((copy.flags & VM_LOCKED) !== 0) mm.lockedVm += newLength / pageSize;
  if ((flags & MREMAP_DONTUNMAP) !== 0) leaveEmpty(mm, copy, address, address + oldLength);
  else if (oldLength > 0) {
    // Measured: both places together are no peak.
    const { hiwaterVm } = mm;
    yield* unmapRegion(mm, address, address + oldLength);
    mm.hiwaterVm = hiwaterVm;
  }
  return newAddress;
}

/** MREMAP_DONTUNMAP: what [start, end) was moved out of is not locked any more, all of it, without being split. */
function leaveEmpty(mm: Mm, copy: Vma, start: number, end: number): void {
  // Memory that was never written may have merged with its own copy.
  const source = vmaLookup(mm.vmas, start)!;
  source.flags &= ~VM_LOCKED_MASK;
  if (source === copy || source.start !== start || source.end !== end) return;
  source.anonVma = null;
  source.anonChain = 0;
}
