/**
 * mmap and munmap of private anonymous memory (Linux: do_mmap, mmap_region, do_vmi_munmap). The VMA tree changes under
 * mmap_lock for writing. Differs from Linux: neighbours are not merged, and shared or file memory is refused.
 */
import {
  alignDown,
  alignUp,
  checkAddress,
  checkInteger,
  EEXIST,
  EINTR,
  EINVAL,
  ENOMEM,
  EPERM,
  isAligned,
} from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { Mm } from '@mmkit/aspace';
import { freePageTables, zapPageRange } from '@mmkit/aspace/sched';
import { mmPopulate } from '@mmkit/gup/sched';
import { upWrite } from '@mmkit/rwsem';
import { downWriteKillable } from '@mmkit/rwsem/sched';
import {
  eraseVma,
  findVmaIntersection,
  insertVma,
  mapCountAllows,
  splitVma,
  unmappedArea,
  Vma,
  vmaLookup,
  vmasIn,
  VM_EXEC,
  VM_MAYEXEC,
  VM_MAYREAD,
  VM_MAYWRITE,
  VM_READ,
  VM_WRITE,
} from '@mmkit/vma';
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_POPULATE,
  MAP_PRIVATE,
  MMAP_MIN_ADDR,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
  STACK_GAP,
} from './flags.ts';
import { neighbours } from './neighbours.ts';

const KNOWN_FLAGS = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_POPULATE;

/**
 * Maps `length` bytes (rounded up to pages): the address, or a negative errno: -EINVAL (length 0, flags, alignment),
 * -ENOMEM (no room, map count), -EEXIST (MAP_FIXED_NOREPLACE), -EPERM (a fixed address below MMAP_MIN_ADDR), -EINTR.
 * `address` is a hint without MAP_FIXED; 0: none.
 */
export function* mmap(mm: Mm, address: number, length: number, prot: number, flags: number): Task<number> {
  checkAddress('address', address);
  checkAddress('length', length);
  checkInteger('prot', prot, 0, PROT_READ | PROT_WRITE | PROT_EXEC);
  checkInteger('flags', flags, 0, 0x7fffffff);
  const pageSize = mm.memory.phys.pageSize;
  if (length === 0 || (flags & MAP_PRIVATE) === 0 || (flags & MAP_ANONYMOUS) === 0) return -EINVAL;
  if ((flags & ~KNOWN_FLAGS) !== 0) return -EINVAL;
  const size = alignUp(length, pageSize);
  if (size > mm.memory.format.userEnd) return -ENOMEM;
  if ((yield* downWriteKillable(mm.memory.sched, mm.mmapLock)) !== 0) return -EINTR;
  const at = yield* mapRegion(mm, address, size, prot, flags);
  upWrite(mm.memory.sched, mm.mmapLock);
  if (at >= 0 && (flags & MAP_POPULATE) !== 0) yield* mmPopulate(mm, at, size);
  return at;
}

function* mapRegion(mm: Mm, address: number, size: number, prot: number, flags: number): Task<number> {
  // Asked before anything is unmapped or added, so there may be one VMA more than the limit.
  if (!mapCountAllows(mm.vmas, 0)) return -ENOMEM;
  const fixed = (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) !== 0;
  const at = fixed ? fixedArea(mm, address, size) : chooseArea(mm, address, size);
  if (at < 0) return at;
  if (fixed && findVmaIntersection(mm.vmas, at, at + size) !== null) {
    if ((flags & MAP_FIXED_NOREPLACE) !== 0) return -EEXIST;
    const error = yield* unmapRegion(mm, at, at + size);
    if (error !== 0) return error;
  }
  let vm = VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC;
  if ((prot & PROT_READ) !== 0) vm |= VM_READ;
  if ((prot & PROT_WRITE) !== 0) vm |= VM_WRITE;
  if ((prot & PROT_EXEC) !== 0) vm |= VM_EXEC;
  insertVma(mm.vmas, new Vma(at, at + size, vm, at / mm.memory.phys.pageSize));
  return at;
}

function fixedArea(mm: Mm, address: number, size: number): number {
  if (address + size > taskSize(mm)) return -ENOMEM;
  if (!isAligned(address, mm.memory.phys.pageSize)) return -EINVAL;
  return address < MMAP_MIN_ADDR ? -EPERM : address;
}

/** The hint's page if the range is free there (a hint below MMAP_MIN_ADDR means that), else the highest free range. */
function chooseArea(mm: Mm, hint: number, size: number): number {
  const end = taskSize(mm);
  const page = alignDown(hint, mm.memory.phys.pageSize);
  const at = Math.max(page, MMAP_MIN_ADDR);
  if (page !== 0 && at + size <= end && findVmaIntersection(mm.vmas, at, at + size) === null) return at;
  return unmappedArea(mm.vmas, size, { low: MMAP_MIN_ADDR, high: end - STACK_GAP, topDown: true });
}

/** End of what may be mapped: the last page of user memory stays empty (TASK_SIZE_MAX, N.19). */
function taskSize(mm: Mm): number {
  return mm.memory.format.userEnd - mm.memory.phys.pageSize;
}

/**
 * Unmaps [address, address + length): 0, -EINVAL (alignment, length 0, beyond user memory), -ENOMEM (a split would
 * exceed the map count), -EINTR. Pages that are pinned survive without a mapping.
 */
export function* munmap(mm: Mm, address: number, length: number): Task<number> {
  checkAddress('address', address);
  checkAddress('length', length);
  const pageSize = mm.memory.phys.pageSize;
  const size = alignUp(length, pageSize);
  if (!isAligned(address, pageSize) || size === 0 || address + size > taskSize(mm)) return -EINVAL;
  if ((yield* downWriteKillable(mm.memory.sched, mm.mmapLock)) !== 0) return -EINTR;
  const error = yield* unmapRegion(mm, address, address + size);
  upWrite(mm.memory.sched, mm.mmapLock);
  return error;
}

/** Splits the VMAs at the ends, takes those inside out of the tree, zaps, frees tables. mmap_lock held for writing. */
function* unmapRegion(mm: Mm, start: number, end: number): Task<number> {
  const first = vmaLookup(mm.vmas, start);
  const last = vmaLookup(mm.vmas, end - 1);
  // Only a hole in the middle of one VMA makes more of them than there were.
  if (first !== null && first === last && first.start < start && first.end > end && !mapCountAllows(mm.vmas, 1))
    return -ENOMEM;
  if (first !== null && first.start < start) splitVma(mm.vmas, first, start);
  const tail = vmaLookup(mm.vmas, end - 1);
  if (tail !== null && tail.end > end) splitVma(mm.vmas, tail, end);
  const gone = vmasIn(mm.vmas, start, end);
  for (const vma of gone) eraseVma(mm.vmas, vma);
  if (gone.length === 0) return 0;
  const from = gone[0]!.start;
  const to = gone[gone.length - 1]!.end;
  yield* zapPageRange(mm, from, to);
  const { floor, ceiling } = neighbours(mm, from, to);
  yield* freePageTables(mm, from, to, floor, ceiling);
  return 0;
}
