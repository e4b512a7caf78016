/**
 * fork and exit of an address space (Linux: dup_mmap, exit_mmap; N.10, N.11). fork holds mmap_lock of the parent for
 * writing throughout; the parent's TLBs are flushed after the last copy, before it is given back.
 */
import { EINTR, ENOMEM } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { anonVmaFork, Mm, MM_ROOT, mmapWriteTrylock, mmapWriteUnlock } from '@mmkit/aspace';
import {
  copyPageRange,
  flushTlbRange,
  linkFileVma,
  mlockRange,
  mmapWriteLock,
  mmapWriteLockKillable,
  unlinkFileVma,
  zapPageRange,
} from '@mmkit/aspace/sched';
import { createMm } from '@mmkit/gup/sched';
import { freeAllTables } from '@mmkit/pgtable';
import {
  closeVma,
  eraseVmas,
  insertVma,
  openVma,
  Vma,
  VM_DONTCOPY,
  VM_LOCKED,
  VM_LOCKED_MASK,
  VM_WIPEONFORK,
  vmasIn,
} from '@mmkit/vma';
import { dropUserfault } from './userfault.ts';

/** What a fork gives: the child's address space, or the negative errno why there is none. */
export interface ForkResult {
  /** 0, -ENOMEM, or -EINTR (killed while waiting for mmap_lock). */
  readonly error: number;
  /** The child's, null with an error. */
  readonly mm: Mm | null;
}

/** Copies the address space for a child process. */
export function* dupMm(mm: Mm): Task<ForkResult> {
  const child = createMm({ memory: mm.memory, faults: mm.faultHandler });
  if (child === null) return { error: -ENOMEM, mm: null };
  if ((yield* mmapWriteLockKillable(mm)) !== 0) {
    yield* exitMm(child);
    return { error: -EINTR, mm: null };
  }
  // Nobody else knows the child yet: its lock is free.
  mmapWriteTrylock(child);
  child.rlimitMemlock = mm.rlimitMemlock;
  child.rlimitStack = mm.rlimitStack;
  child.rlimitAs = mm.rlimitAs;
  child.rlimitData = mm.rlimitData;
  child.capIpcLock = mm.capIpcLock;
  child.startStack = mm.startStack;
  child.startBrk = mm.startBrk;
  child.brk = mm.brk;
  child.thpDisabled = mm.thpDisabled;
  let error = 0;
  for (const vma of vmasIn(mm.vmas, 0, mm.memory.format.userEnd)) {
    if ((vma.flags & VM_DONTCOPY) !== 0) continue;
    const wiped = (vma.flags & VM_WIPEONFORK) !== 0;
    const copy = new Vma(vma.start, vma.end, vma.flags & ~VM_LOCKED_MASK, vma.pgoff, vma.file);
    copy.flagsHigh = vma.flagsHigh;
    copy.ops = vma.ops;
    copy.policy = vma.policy;
    copy.anonName = vma.anonName;
    copy.uffdCtx = vma.uffdCtx;
    dropUserfault(copy);
    if (!wiped) anonVmaFork(mm.memory, copy, vma);
    insertVma(child.vmas, copy);
    openVma(copy);
    yield* linkFileVma(copy);
    if (!wiped) error = yield* copyPageRange(child, mm, vma, copy);
    if (error !== 0) break;
  }
  yield* flushTlbRange(mm, 0, mm.memory.format.userEnd);
  mmapWriteUnlock(child);
  mmapWriteUnlock(mm);
  if (error === 0) return { error: 0, mm: child };
  yield* exitMm(child);
  return { error, mm: null };
}

/** Ends an address space: everything is unmapped and its tables are freed. Pinned pages live on until unpinned. */
export function* exitMm(mm: Mm): Task<void> {
  const { tables, format } = mm.memory;
  yield* mmapWriteLock(mm);
  const vmas = vmasIn(mm.vmas, 0, format.userEnd);
  for (const vma of vmas) if ((vma.flags & VM_LOCKED) !== 0) yield* mlockRange(mm, vma.start, vma.end, false);
  mm.lockedVm = 0;
  yield* zapPageRange(mm, 0, format.userEnd);
  for (const vma of vmas) yield* unlinkFileVma(vma);
  if (vmas.length > 0) eraseVmas(mm.vmas, vmas[0]!.start, vmas[vmas.length - 1]!.end);
  for (const vma of vmas) closeVma(vma);
  freeAllTables(tables, mm.words[MM_ROOT]!);
  mmapWriteUnlock(mm);
}
