/**
 * mseal (Linux: do_mseal; FACTS 36): from now on the range cannot be unmapped, moved, resized, mapped over or given other
 * rights, and read-only anonymous memory in it cannot be thrown away. For ever; fork's child has it too.
 */
import { alignUp, checkAddress, checkInteger, EINTR, EINVAL, ENOMEM, isAligned } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { Mm, mmapWriteUnlock } from '@mmkit/aspace';
import { mmapWriteLockKillable, vmaModify } from '@mmkit/aspace/sched';
import { findVma, vmasIn, VM_SEALED, vmaIsSealed } from '@mmkit/vma';

/**
 * Seals [address, address + length): 0; -EINVAL (flags must be 0; alignment; a range that ends beyond 2^53); -ENOMEM when
 * the range has a hole, with nothing sealed, or when a split would exceed the map count, with those before sealed; -EINTR.
 */
export function* mseal(mm: Mm, address: number, length: number, flags: number = 0): Task<number> {
  checkAddress('address', address);
  checkAddress('length', length);
  checkInteger('flags', flags, 0, Number.MAX_SAFE_INTEGER);
  const { phys } = mm.memory;
  if (flags !== 0 || !isAligned(address, phys.pageSize)) return -EINVAL;
  const end = address + alignUp(length, phys.pageSize);
  if (end > Number.MAX_SAFE_INTEGER) return -EINVAL;
  if (end === address) return 0;
  if ((yield* mmapWriteLockKillable(mm)) !== 0) return -EINTR;
  const error = hasHole(mm, address, end) ? -ENOMEM : yield* sealRange(mm, address, end);
  mmapWriteUnlock(mm);
  return error;
}

function hasHole(mm: Mm, start: number, end: number): boolean {
  let reached = start;
  for (const vma of vmasIn(mm.vmas, start, end)) {
    if (vma.start > reached) return true;
    reached = vma.end;
  }
  return reached < end;
}

function* sealRange(mm: Mm, start: number, end: number): Task<number> {
  for (let at = start; at < end; ) {
    const vma = findVma(mm.vmas, at)!;
    const from = at;
    at = Math.min(end, vma.end);
    if (vmaIsSealed(vma)) continue;
    const result = yield* vmaModify(mm, vma, from, at, vma.flags, vma.flagsHigh | VM_SEALED);
    if (typeof result === 'number') return result;
  }
  return 0;
}
