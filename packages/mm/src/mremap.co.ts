/**
 * mremap (Linux: do_mremap, mremap_at, mremap_to, remap_move; N.14, FACTS 9, 31, 32). In place a mapping shrinks, or grows
 * into what is free behind it and merges with what lies there; else it moves (mremap-move.co.ts). mmap_lock is held for
 * writing throughout; what a locked mapping has grown by is faulted in afterwards.
 */
import { alignUp, checkAddress, checkInteger, EFAULT, EINTR, EINVAL, ENOMEM } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { mayExpandVm, MlockBatch, Mm, mmapWriteUnlock } from '@mmkit/aspace';
import { mmapWriteLockKillable, vmaExpand } from '@mmkit/aspace/sched';
import type { OpenFile } from '@mmkit/filemap';
import { mmPopulate } from '@mmkit/gup/sched';
import { findVmaIntersection, VM_LOCKED, VM_MAYSHARE, vmaLookup, vmasIn } from '@mmkit/vma';
import type { Vma } from '@mmkit/vma';
import { chooseArea, fixedArea, taskSize } from './area.ts';
import { MAP_SHARED, MREMAP_DONTUNMAP, MREMAP_FIXED, MREMAP_MAYMOVE } from './flags.ts';
import { checkArguments, checkVma, wantsNewAddress } from './mremap-check.ts';
import type { Remap } from './mremap-check.ts';
import { moveVma } from './mremap-move.co.ts';
import { unmapRegion } from './unmap.co.ts';

/**
 * Changes the mapping of [address, address + oldLength) to `newLength` bytes (both rounded up to pages) and returns where it
 * is: at `address`, with MREMAP_MAYMOVE perhaps elsewhere, with MREMAP_FIXED at `newAddress`; MREMAP_DONTUNMAP leaves the
 * old mapping, empty. With MREMAP_FIXED and equal lengths the range may have several VMAs and holes, under the policy `mremapSeveral`.
 *
 * -EINVAL (flags, alignment, lengths, overlap); -EFAULT (no mapping at `address`, one that ends too early or may not grow);
 * -ENOMEM (no room, map count, RLIMIT_AS, RLIMIT_DATA, no page table); -EPERM (sealed); -EAGAIN (limit of locked memory); -EINTR. Of several VMAs
 * those before the one that failed have moved; a target that had to be unmapped stays so.
 */
export function* mremap(
  mm: Mm,
  address: number,
  oldLength: number,
  newLength: number,
  flags: number,
  newAddress: number = 0,
): Task<number> {
  checkAddress('address', address);
  checkAddress('oldLength', oldLength);
  checkAddress('newLength', newLength);
  checkInteger('flags', flags, 0, 0x7fffffff);
  checkAddress('newAddress', newAddress);
  const { phys } = mm.memory;
  const call: Remap = {
    address,
    oldLength: alignUp(oldLength, phys.pageSize),
    newLength: alignUp(newLength, phys.pageSize),
    flags,
    newAddress,
  };
  const problem = checkArguments(mm, call);
  if (problem !== 0) return problem;
  if ((yield* mmapWriteLockKillable(mm)) !== 0) return -EINTR;
  mm.mlockBatch = new MlockBatch();
  const vma = vmaLookup(mm.vmas, address);
  const grown = call.newLength - call.oldLength;
  const locked = vma !== null && (vma.flags & VM_LOCKED) !== 0;
  const result = vma === null ? -EFAULT : yield* remap(mm, vma, call);
  mmapWriteUnlock(mm);
  if (result >= 0 && locked && grown > 0) yield* mmPopulate(mm, result + call.oldLength, grown);
  mm.mlockBatch = null;
  return result;
}

function* remap(mm: Mm, vma: Vma, call: Remap): Task<number> {
  const { address, oldLength, newLength, flags } = call;
  const several = (flags & MREMAP_FIXED) !== 0 && oldLength === newLength && oldLength > vma.end - address;
  if (several && mm.memory.policy.mremapSeveral) return yield* remapSeveral(mm, call);
  const problem = checkVma(mm, vma, call);
  if (problem !== 0) return problem;
  if (wantsNewAddress(flags)) return yield* remapTo(mm, call);
  if (newLength > oldLength) return yield* remapGrow(mm, vma, call);
  const error = yield* cutTail(mm, call);
  return error === 0 ? address : error;
}

/** MREMAP_FIXED of a range with several VMAs: each on its own, at the same distance (remap_move). */
function* remapSeveral(mm: Mm, call: Remap): Task<number> {
  const { address, oldLength, flags, newAddress } = call;
  const end = address + oldLength;
  for (const vma of vmasIn(mm.vmas, address, end)) {
    const start = Math.max(address, vma.start);
    const length = Math.min(end, vma.end) - start;
    const part: Remap = {
      address: start,
      oldLength: length,
      newLength: length,
      flags,
      newAddress: newAddress + start - address,
    };
    const problem = checkVma(mm, vma, part);
    if (problem !== 0) return problem;
    const result = yield* remapTo(mm, part);
    if (result < 0) return result;
  }
  return newAddress;
}

/** MREMAP_FIXED and MREMAP_DONTUNMAP (mremap_to): clears the target, cuts off what is too much, moves the rest. */
function* remapTo(mm: Mm, call: Remap): Task<number> {
  const { address, oldLength, newLength, flags, newAddress } = call;
  if ((flags & MREMAP_FIXED) !== 0) {
    const error = yield* unmapRegion(mm, newAddress, newAddress + newLength);
    if (error !== 0) return error;
  }
  const error = yield* cutTail(mm, call);
  if (error !== 0) return error;
  // Both may have split the VMA; with old length 0 it may be gone, as the target may have been the source.
  const rest = vmaLookup(mm.vmas, address);
  if (rest === null) return -EFAULT;
  if ((flags & MREMAP_DONTUNMAP) !== 0 && !mayExpandVm(mm, rest.flags, oldLength * mm.vmas.pagesPerByte))
    return -ENOMEM;
  const at =
    (flags & MREMAP_FIXED) !== 0
      ? fixedArea(mm, newAddress, newLength)
      : chooseFor(mm, rest, address, newAddress, newLength);
  if (at < 0) return at;
  return yield* moveVma(mm, rest, { ...call, oldLength: Math.min(oldLength, newLength), newAddress: at });
}

/** Where what `vma` maps from `address` on can go, `hint` permitting. */
function chooseFor(mm: Mm, vma: Vma, address: number, hint: number, length: number): number {
  const flags = (vma.flags & VM_MAYSHARE) !== 0 ? MAP_SHARED : 0;
  const offset = vma.pgoff * mm.memory.phys.pageSize + address - vma.start;
  return chooseArea(mm, hint, length, flags, vma.file as OpenFile | null, offset);
}

/** Grows in place, else moves if it may (mremap_at). */
function* remapGrow(mm: Mm, vma: Vma, call: Remap): Task<number> {
  const { address, oldLength, newLength, flags } = call;
  const grown = newLength - oldLength;
  if (address + oldLength === vma.end && roomBehind(mm, vma, grown)) {
    const error = yield* vmaExpand(mm, vma, vma.end + grown);
    if (error !== 0) return error;
    if ((vma.flags & VM_LOCKED) !== 0) mm.lockedVm += grown / mm.memory.phys.pageSize;
    return address;
  }
  if ((flags & MREMAP_MAYMOVE) === 0) return -ENOMEM;
  const at = chooseFor(mm, vma, address, 0, newLength);
  return at < 0 ? at : yield* moveVma(mm, vma, { ...call, newAddress: at });
}

/** True when `length` bytes behind the VMA are free and may be mapped (vma_expandable). */
function roomBehind(mm: Mm, vma: Vma, length: number): boolean {
  const end = vma.end + length;
  return end <= taskSize(mm) && findVmaIntersection(mm.vmas, vma.end, end) === null;
}

/** Unmaps what the new length is too short for (shrink_vma). */
function* cutTail(mm: Mm, call: Remap): Task<number> {
  const { address, oldLength, newLength } = call;
  if (newLength >= oldLength) return 0;
  if (address + oldLength > taskSize(mm)) return -EINVAL;
  return yield* unmapRegion(mm, address + newLength, address + oldLength);
}
