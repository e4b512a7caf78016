/**
 * mprotect (Linux: do_mprotect_pkey, mprotect_fixup; N.14, FACTS 10, 19, 20). mmap_lock held for writing. Pins know
 * nothing of it: a device goes on writing to a page that the process may only read.
 */
import { alignUp, checkAddress, checkInteger, EACCES, EINTR, EINVAL, ENOMEM, EPERM, isAligned } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { mayExpandVm, Mm, mmapWriteUnlock } from '@mmkit/aspace';
import { changeProtection, mmapWriteLockKillable, vmaModify } from '@mmkit/aspace/sched';
import { populateLocked } from '@mmkit/gup/sched';
import {
  findVma,
  VM_ACCESS_FLAGS,
  VM_GROWSDOWN,
  VM_LOCKED,
  VM_SHARED,
  VM_WRITE,
  vmaIsSealed,
  mprotectFlags,
} from '@mmkit/vma';
import type { Vma } from '@mmkit/vma';
import { PROT_EXEC, PROT_GROWSDOWN, PROT_GROWSUP, PROT_READ, PROT_SEM, PROT_WRITE } from './flags.ts';

/** How far the VM_MAY* flags are from the rights they allow. */
const MAY_SHIFT = 4;

/**
 * Gives [address, address + length) the rights `prot`: 0; -EINVAL (alignment, `prot`), -ENOMEM (a hole: what lies before it
 * has the rights; map count, RLIMIT_DATA), -EACCES (a file not open for it), -EPERM (sealed), -EINTR.
 */
export function* mprotect(mm: Mm, address: number, length: number, prot: number): Task<number> {
  checkAddress('address', address);
  checkAddress('length', length);
  checkInteger('prot', prot, 0, 0x7fffffff);
  const { phys } = mm.memory;
  const rights = prot & ~(PROT_GROWSDOWN | PROT_GROWSUP);
  const grows = prot & (PROT_GROWSDOWN | PROT_GROWSUP);
  if (grows === (PROT_GROWSDOWN | PROT_GROWSUP)) return -EINVAL;
  if (!isAligned(address, phys.pageSize)) return -EINVAL;
  if (length === 0) return 0;
  const end = address + alignUp(length, phys.pageSize);
  if ((rights & ~(PROT_READ | PROT_WRITE | PROT_EXEC | PROT_SEM)) !== 0) return -EINVAL;
  if ((yield* mmapWriteLockKillable(mm)) !== 0) return -EINTR;
  const error = yield* protectRange(mm, address, end, rights, grows);
  mmapWriteUnlock(mm);
  return error;
}

function* protectRange(mm: Mm, start: number, end: number, rights: number, grows: number): Task<number> {
  const first = findVma(mm.vmas, start);
  if (first === null) return -ENOMEM;
  let at = start;
  if (grows === PROT_GROWSDOWN) {
    if (first.start >= end) return -ENOMEM;
    if ((first.flags & VM_GROWSDOWN) === 0) return -EINVAL;
    at = first.start;
  } else {
    if (first.start > start) return -ENOMEM;
    if (grows === PROT_GROWSUP) return -EINVAL;
  }
  for (let vma: Vma | null = first; ; vma = findVma(mm.vmas, at)) {
    if (vma === null || vma.start > at) return -ENOMEM;
    const to = Math.min(end, vma.end);
    const flags = (vma.flags & ~VM_ACCESS_FLAGS) | (rights & VM_ACCESS_FLAGS);
    if ((flags & ~(flags >> MAY_SHIFT) & VM_ACCESS_FLAGS) !== 0) return -EACCES;
    const error = yield* protectVma(mm, vma, at, to, flags);
    if (error !== 0 || to === end) return error;
    at = to;
  }
}

/** One VMA's part (mprotect_fixup). */
function* protectVma(mm: Mm, vma: Vma, start: number, end: number, wanted: number): Task<number> {
  if (vmaIsSealed(vma)) return -EPERM;
  const old = vma.flags;
  if (wanted === old) return 0;
  const pages = (end - start) * mm.vmas.pagesPerByte;
  // What becomes data must have room as data.
  if ((wanted & VM_WRITE) !== 0 && !mayExpandVm(mm, wanted, pages) && mayExpandVm(mm, old, pages)) return -ENOMEM;
  const flags = mprotectFlags(vma, wanted);
  const part = yield* vmaModify(mm, vma, start, end, flags);
  if (typeof part === 'number') return part;
  yield* changeProtection(mm, part, start, end);
  // Copy-on-write is broken now in locked memory that has become writable.
  if ((old & (VM_WRITE | VM_SHARED | VM_LOCKED)) === VM_LOCKED && (flags & VM_WRITE) !== 0) {
    yield* populateLocked(mm, part, start, end);
  }
  return 0;
}
