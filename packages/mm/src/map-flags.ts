/** From PROT_* and MAP_* to the VM_* flags of a mapping (Linux: calc_vm_prot_bits, calc_vm_flag_bits, do_mmap; G.29). */
import { EACCES, EINVAL, EOPNOTSUPP, EPERM } from '@mmkit/base';
import { Mm } from '@mmkit/aspace';
import { F_SEAL_FUTURE_WRITE, F_SEAL_WRITE } from '@mmkit/filemap';
import type { OpenFile } from '@mmkit/filemap';
import {
  VM_DONTDUMP,
  VM_DROPPABLE,
  VM_EXEC,
  VM_GROWSDOWN,
  VM_LOCKED,
  VM_MAYEXEC,
  VM_MAYREAD,
  VM_MAYSHARE,
  VM_MAYWRITE,
  VM_NOHUGEPAGE,
  VM_NORESERVE,
  VM_READ,
  VM_SHARED,
  VM_SYNC,
  VM_WIPEONFORK,
  VM_WRITE,
} from '@mmkit/vma';
import {
  MAP_32BIT,
  MAP_ANONYMOUS,
  MAP_DENYWRITE,
  MAP_DROPPABLE,
  MAP_EXECUTABLE,
  MAP_FIXED,
  MAP_GROWSDOWN,
  MAP_HUGETLB,
  MAP_LOCKED,
  MAP_NONBLOCK,
  MAP_NORESERVE,
  MAP_POPULATE,
  MAP_PRIVATE,
  MAP_SHARED,
  MAP_SHARED_VALIDATE,
  MAP_STACK,
  MAP_SYNC,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
} from './flags.ts';

/** The bits of `flags` that say private or shared. */
const MAP_TYPE = 0xf;
/** MAP_SHARED_VALIDATE knows these, and the sizes of huge pages; not MAP_FIXED_NOREPLACE (as measured). */
const VALIDATED =
  MAP_TYPE |
  MAP_FIXED |
  MAP_ANONYMOUS |
  MAP_32BIT |
  MAP_GROWSDOWN |
  MAP_DENYWRITE |
  MAP_EXECUTABLE |
  MAP_LOCKED |
  MAP_NORESERVE |
  MAP_POPULATE |
  MAP_NONBLOCK |
  MAP_STACK |
  MAP_HUGETLB |
  MAP_SYNC |
  (0x3f << 26);

/** VM_READ, VM_WRITE and VM_EXEC of PROT_*. */
export function protFlags(prot: number): number {
  let vm = 0;
  if ((prot & PROT_READ) !== 0) vm |= VM_READ;
  if ((prot & PROT_WRITE) !== 0) vm |= VM_WRITE;
  if ((prot & PROT_EXEC) !== 0) vm |= VM_EXEC;
  return vm;
}

/** Flags that come from MAP_* and from mlockall. */
export function commonFlags(mm: Mm, flags: number): number {
  let vm = mm.defFlags;
  if ((flags & MAP_GROWSDOWN) !== 0) vm |= VM_GROWSDOWN;
  if ((flags & MAP_LOCKED) !== 0) vm |= VM_LOCKED;
  if ((flags & MAP_NORESERVE) !== 0) vm |= VM_NORESERVE;
  if ((flags & MAP_STACK) !== 0) vm |= VM_NOHUGEPAGE;
  if ((flags & MAP_SYNC) !== 0) vm |= VM_SYNC;
  return vm;
}

/** Flags above bit 31 that come from MAP_*. */
export function highFlags(flags: number): number {
  return (flags & MAP_TYPE) === MAP_DROPPABLE ? VM_DROPPABLE : 0;
}

/** VM_MAY* and sharing of memory without a file, and what droppable memory is besides; or -EINVAL. */
export function anonFlags(flags: number): number {
  const may = VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC;
  const type = flags & MAP_TYPE;
  if (type === MAP_PRIVATE) return may;
  if (type === MAP_DROPPABLE) {
    if ((flags & (MAP_LOCKED | MAP_GROWSDOWN)) !== 0) return -EINVAL;
    return may | VM_NORESERVE | VM_WIPEONFORK | VM_DONTDUMP;
  }
  if (type !== MAP_SHARED || (flags & MAP_GROWSDOWN) !== 0) return -EINVAL;
  return may | VM_SHARED | VM_MAYSHARE;
}

/** VM_MAY* and sharing of a file's mapping, or why there can be none. */
export function fileFlags(file: OpenFile, prot: number, flags: number): number {
  const type = flags & MAP_TYPE;
  let vm = VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC;
  if (type === MAP_SHARED || type === MAP_SHARED_VALIDATE) {
    // A file system on a disk knows MAP_SYNC, though none of its files can have it.
    const known = file.inode.device === null ? VALIDATED & ~MAP_SYNC : VALIDATED;
    if (type === MAP_SHARED_VALIDATE && (flags & ~known) !== 0) return -EOPNOTSUPP;
    if ((prot & PROT_WRITE) !== 0 && !file.writable) return -EACCES;
    vm |= VM_SHARED | VM_MAYSHARE;
    if (!file.writable) vm &= ~(VM_MAYWRITE | VM_SHARED);
  } else if (type !== MAP_PRIVATE) return -EINVAL;
  if (!file.readable) return -EACCES;
  if ((flags & MAP_GROWSDOWN) !== 0) return -EINVAL;
  if ((vm & VM_SHARED) !== 0 && (file.inode.seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) !== 0) {
    if ((prot & PROT_WRITE) !== 0) return -EPERM;
    vm &= ~VM_MAYWRITE;
  }
  return vm;
}
