/**
 * mmap and munmap (Linux: do_mmap, mmap_region, do_vmi_munmap; N.16). The VMA tree changes under mmap_lock for writing.
 * Huge pages of hugetlbfs do not exist: there is no pool to take them from.
 */
import {
  checkAddress,
  checkInteger,
  EAGAIN,
  EBADF,
  EEXIST,
  EINTR,
  EINVAL,
  ENOMEM,
  EOPNOTSUPP,
  EPERM,
  alignUp,
  isAligned,
} from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { mayExpandVm, mayLock, MlockBatch, Mm, mmapWriteUnlock } from '@mmkit/aspace';
import { fileRmap, mmapWriteLockKillable, vmaMergeNew } from '@mmkit/aspace/sched';
import { createInode, OpenFile } from '@mmkit/filemap';
import { mmPopulate } from '@mmkit/gup/sched';
import {
  findVmaIntersection,
  mapCountAllows,
  VM_DROPPABLE,
  VM_LOCKED,
  VM_LOCKED_MASK,
  VM_SHARED,
  VM_SYNC,
  vmasIn,
  newAccountFlags,
  newTraits,
} from '@mmkit/vma';
import { chooseArea, fixedArea, taskSize } from './area.ts';
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_HUGETLB,
  MAP_LOCKED,
  MAP_NONBLOCK,
  MAP_POPULATE,
} from './flags.ts';
import { anonFlags, commonFlags, fileFlags, highFlags, protFlags } from './map-flags.ts';
import { clearRegion, forgetVmas, unmapRegion } from './unmap.co.ts';

/**
 * Maps `length` bytes (rounded up to pages) of private or shared memory, or of `file` from byte `offset` on: the address,
 * or a negative errno: -EBADF (no file, and not MAP_ANONYMOUS), -EINVAL (length 0, flags, alignment), -ENOMEM (no room,
 * map count, RLIMIT_AS, RLIMIT_DATA, huge pages), -EEXIST (MAP_FIXED_NOREPLACE), -EPERM (a fixed address below MMAP_MIN_ADDR, something sealed in
 * the way, a seal against writing, MAP_LOCKED without any allowance), -EACCES (the file is not open for it), -EAGAIN
 * (RLIMIT_MEMLOCK), -EOPNOTSUPP (MAP_SYNC; a flag MAP_SHARED_VALIDATE does not know), -EINTR. `address` is a hint without
 * MAP_FIXED; 0: none. Bits of `prot` other than PROT_READ, PROT_WRITE and PROT_EXEC are ignored.
 */
export function* mmap(
  mm: Mm,
  address: number,
  length: number,
  prot: number,
  flags: number,
  file: OpenFile | null = null,
  offset: number = 0,
): Task<number> {
  checkAddress('address', address);
  checkAddress('length', length);
  checkAddress('offset', offset);
  checkInteger('prot', prot, 0, 0x7fffffff);
  checkInteger('flags', flags, 0, 0x7fffffff);
  const { phys } = mm.memory;
  if (!isAligned(offset, phys.pageSize)) return -EINVAL;
  const mapped = (flags & MAP_ANONYMOUS) !== 0 ? null : file;
  if ((flags & MAP_ANONYMOUS) === 0 && file === null) return -EBADF;
  if (length === 0) return -EINVAL;
  if ((flags & MAP_HUGETLB) !== 0) return mapped === null ? -ENOMEM : -EINVAL;
  const size = alignUp(length, phys.pageSize);
  if (size > taskSize(mm)) return -ENOMEM;
  if ((yield* mmapWriteLockKillable(mm)) !== 0) return -EINTR;
  mm.mlockBatch = new MlockBatch();
  const at = yield* mapLocked(mm, address, size, prot, flags, mapped, offset);
  mmapWriteUnlock(mm);
  const populate = (flags & (MAP_POPULATE | MAP_NONBLOCK)) === MAP_POPULATE;
  if (at >= 0 && (populate || (flags & MAP_LOCKED) !== 0 || (mm.defFlags & VM_LOCKED) !== 0)) {
    yield* mmPopulate(mm, at, size);
  }
  mm.mlockBatch = null;
  return at;
}

function* mapLocked(
  mm: Mm,
  address: number,
  size: number,
  prot: number,
  flags: number,
  file: OpenFile | null,
  offset: number,
): Task<number> {
  // Asked before anything is unmapped or added, so there may be one VMA more than the limit.
  if (!mapCountAllows(mm.vmas, 0)) return -ENOMEM;
  const fixed = (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) !== 0;
  const at = fixed ? fixedArea(mm, address, size) : chooseArea(mm, address, size, flags, file, offset);
  if (at < 0) return at;
  if ((flags & MAP_FIXED_NOREPLACE) !== 0 && findVmaIntersection(mm.vmas, at, at + size) !== null) return -EEXIST;
  if ((flags & MAP_LOCKED) !== 0 && !mm.capIpcLock && mm.rlimitMemlock === 0) return -EPERM;
  const locks = (flags & MAP_LOCKED) !== 0 || (mm.defFlags & VM_LOCKED) !== 0;
  if (locks && !mayLock(mm, size / mm.memory.phys.pageSize)) return -EAGAIN;
  const vm = file === null ? anonFlags(flags) : fileFlags(file, prot, flags);
  if (vm < 0) return vm;
  const high = highFlags(flags);
  let common = commonFlags(mm, flags);
  // What may be dropped is not locked, whatever mlockall said.
  if ((high & VM_DROPPABLE) !== 0) common &= ~VM_LOCKED_MASK;
  return yield* mapRegion(mm, at, size, vm | protFlags(prot) | common, high, file, offset);
}

/**
 * Makes room at `at`, and the VMA in place of those there in one step (mmap_region). What a disk file's mapping refuses
 * leaves the hole.
 */
function* mapRegion(
  mm: Mm,
  at: number,
  size: number,
  flags: number,
  flagsHigh: number,
  file: OpenFile | null,
  offset: number,
): Task<number> {
  const { memory, vmas } = mm;
  // What is replaced does not count twice.
  let replaced = 0;
  const there = vmasIn(vmas, at, at + size);
  for (const vma of there) replaced += Math.min(vma.end, at + size) - Math.max(vma.start, at);
  if (!mayExpandVm(mm, flags, (size - replaced) * vmas.pagesPerByte)) return -ENOMEM;
  const cleared = there.length === 0 ? there : yield* clearRegion(mm, at, at + size);
  if (typeof cleared === 'number') return cleared;
  if (file !== null && file.inode.device !== null && (flags & VM_SYNC) !== 0) {
    forgetVmas(mm, cleared);
    return -EOPNOTSUPP;
  }
  let mapped = file;
  let pgoff = offset * vmas.pagesPerByte;
  if (file === null && (flags & VM_SHARED) !== 0) mapped = sharedMemory(mm, size);
  else if (file === null) pgoff = at * vmas.pagesPerByte;
  yield* vmaMergeNew(mm, at, at + size, newTraits(newAccountFlags(flags), pgoff, mapped, flagsHigh), cleared);
  if ((flags & VM_LOCKED) !== 0) mm.lockedVm += size / memory.phys.pageSize;
  return at;
}

/** Shared memory without a file is a shmem file without a name (shmem_zero_setup). */
function sharedMemory(mm: Mm, size: number): OpenFile {
  const inode = createInode(mm.memory.files, null, fileRmap(mm.memory));
  inode.size = size;
  inode.unnamed = true;
  return new OpenFile(inode, true, true, '/dev/zero (deleted)');
}

/**
 * Unmaps [address, address + length): 0, -EINVAL (alignment, length 0, beyond user memory), -ENOMEM (a split would
 * exceed the map count), -EPERM (something sealed in it), -EINTR. Pages that are pinned survive without a mapping.
 */
export function* munmap(mm: Mm, address: number, length: number): Task<number> {
  checkAddress('address', address);
  checkAddress('length', length);
  const { phys } = mm.memory;
  const size = alignUp(length, phys.pageSize);
  if (!isAligned(address, phys.pageSize) || size === 0 || address + size > taskSize(mm)) return -EINVAL;
  if ((yield* mmapWriteLockKillable(mm)) !== 0) return -EINTR;
  const error = yield* unmapRegion(mm, address, address + size);
  mmapWriteUnlock(mm);
  return error;
}
