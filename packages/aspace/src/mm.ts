/**
 * One address space (Linux: struct mm_struct).
 *
 * What lock-free code reads lies in `words`, one int32 each:
 *
 * | word | name | meaning | written under |
 * |------|------|---------|---------------|
 * | 0 | MM_ROOT | PFN of the top page-table page | creation only |
 * | 1 | MM_FLAGS | MMF_* bits | nothing: bits are only ever set |
 * | 2 | MM_WRITE_PROTECT_SEQ | odd while fork write-protects (B.16) | mmap_lock for writing |
 * | 3 | MM_CPUMASK | CPUs whose TLB may hold translations of it | the CPU itself |
 *
 * The VMA tree is changed under mmap_lock held for writing and read under it held for reading.
 */
import { InvariantError } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import type { Sched } from '@mmkit/task';
import type { Vma, VmaTree } from '@mmkit/vma';
import { RwSem } from '@mmkit/rwsem';
import type { Memory } from './memory.ts';
import type { MlockBatch } from './mlock.ts';

/** Word: PFN of the top page-table page. */
export const MM_ROOT = 0;
/** Word: MMF_* bits. */
export const MM_FLAGS = 1;
/** Word: the write-protect sequence. */
export const MM_WRITE_PROTECT_SEQ = 2;
/** Word: bit n is set when CPU n may hold translations. */
export const MM_CPUMASK = 3;

/** RLIMIT_MEMLOCK that Linux gives since 5.16, bytes. */
export const DEFAULT_MEMLOCK = 0x80_0000;
/** RLIMIT_STACK that a process starts with, bytes. */
export const DEFAULT_STACK = 0x80_0000;
/** Lowest address that is given out or grown to (vm.mmap_min_addr). */
export const MMAP_MIN_ADDR = 0x10000;

/** MM_FLAGS bit: a page of this mm was pinned at some time; never cleared (Linux's bit 27). */
export const MMF_HAS_PINNED = 0x8000000;

/**
 * The page-fault handler port: handles one fault at `address` in `vma` (mmap_lock held for reading) and returns VM_FAULT_*
 * bits. `fault` provides it; in the sched build it returns a task.
 */
export type FaultHandler = (mm: Mm, vma: Vma, address: number, flags: number) => number | Task<number>;

/**
 * A lock that stands in for our reader-writer semaphore as mmap_lock: many readers or one writer. In the sched build the
 * first four return tasks. The killable ones return 0, or -EINTR when a fatal signal is pending or ends the wait.
 */
export interface MmapLock {
  readLock(sched: Sched): void | Task<void>;
  readLockKillable(sched: Sched): number | Task<number>;
  writeLock(sched: Sched): void | Task<void>;
  writeLockKillable(sched: Sched): number | Task<number>;
  /** Take it if that needs no wait: whether they did. */
  readTrylock(sched: Sched): boolean;
  writeTrylock(sched: Sched): boolean;
  readUnlock(sched: Sched): void;
  writeUnlock(sched: Sched): void;
  /** Makes the write hold a read hold, with no writer in between. */
  writeDowngrade(sched: Sched): void;
  /** Whether anybody holds it. */
  isLocked(): boolean;
}

export class Mm {
  readonly memory: Memory;
  /** 1 and up, not used again: how a large folio tells who maps it (mm_id). */
  readonly id: number;
  readonly words: Int32Array;
  /** mmap_lock. Taken and given back by `mmapReadLock` and its family alone. */
  readonly lock: RwSem | MmapLock;
  readonly vmas: VmaTree;
  readonly faultHandler: FaultHandler;
  /** Anonymous pages mapped (rss: MM_ANONPAGES). Under the page-table lock, as the two below. */
  anonPages: number;
  /** Pages of disk files mapped (MM_FILEPAGES). */
  filePages: number;
  /** Pages of shmem mapped (MM_SHMEMPAGES). */
  shmemPages: number;
  /** Pages pinned for long on its account (pinned_vm, B.17); whoever pins for long counts here, in one step. */
  pinnedVm: number;
  /** Pages of VMAs that are mlocked (locked_vm). Under mmap_lock for writing. */
  lockedVm: number;
  /** RLIMIT_MEMLOCK of its process, bytes; Infinity: none. */
  rlimitMemlock: number;
  /** RLIMIT_STACK of its process, bytes: how large a VMA that grows down may become by growing; Infinity: none. */
  rlimitStack: number;
  /** RLIMIT_AS of its process, bytes: what all its VMAs may come to; Infinity: none. */
  rlimitAs: number;
  /**
   * RLIMIT_DATA of its process, bytes: what its private writable memory may come to, stacks aside, and the heap from end to
   * end; Infinity: none; 0: for the heap alone, as where the hard limit is infinite.
   */
  rlimitData: number;
  /** CAP_IPC_LOCK: RLIMIT_MEMLOCK is not for it. */
  capIpcLock: boolean;
  /**
   * Where the program's stack began (start_stack): the VMA with it is `[stack]` in /proc; 0: no program was started. Set by
   * whoever starts one; children inherit it.
   */
  startStack: number;
  /**
   * Where the heap begins, and where it ends (start_brk, brk), any byte: both 0 when no program was started, and then there is
   * no heap. Whoever starts one sets both; brk(2) moves the end. Under mmap_lock for writing.
   */
  startBrk: number;
  brk: number;
  /** It gets no huge pages (prctl PR_SET_THP_DISABLE); children inherit it. */
  thpDisabled: boolean;
  /** VM_LOCKED and VM_LOCKONFAULT for every new VMA (def_flags, mlockall). Under mmap_lock for writing. */
  defFlags: number;
  /** What waits to be mlocked and munlocked in mmap and mremap, who make and end it; null outside. mlock.ts. */
  mlockBatch: MlockBatch | null;
  /** Most pages mapped before one was unmapped (hiwater_rss). Approximate: in one step, but under no lock. */
  hiwaterRss: number;
  /** Most pages of VMAs before one was unmapped (hiwater_vm). Under mmap_lock for writing. */
  hiwaterVm: number;

  constructor(memory: Memory, root: number, lock: RwSem | MmapLock, vmas: VmaTree, faultHandler: FaultHandler) {
    this.memory = memory;
    this.id = memory.nextMmId++;
    this.words = new Int32Array(4);
    this.words[MM_ROOT] = root;
    this.lock = lock;
    this.vmas = vmas;
    vmas.owner = this;
    if (memory.policy.stackGuard === 'page') vmas.stackGuardGap = 0;
    vmas.mergeUnfaulted = memory.policy.mergeUnfaulted;
    this.faultHandler = faultHandler;
    this.anonPages = 0;
    this.filePages = 0;
    this.shmemPages = 0;
    this.pinnedVm = 0;
    this.lockedVm = 0;
    this.rlimitMemlock = DEFAULT_MEMLOCK;
    this.rlimitStack = DEFAULT_STACK;
    this.rlimitAs = Infinity;
    this.rlimitData = Infinity;
    this.capIpcLock = false;
    this.startStack = 0;
    this.startBrk = 0;
    this.brk = 0;
    this.thpDisabled = false;
    this.defFlags = 0;
    this.mlockBatch = null;
    this.hiwaterRss = 0;
    this.hiwaterVm = 0;
  }

  /** Pages mapped (get_mm_rss). */
  get rss(): number {
    return this.anonPages + this.filePages + this.shmemPages;
  }

  /** The lock where it is our semaphore, for those who made it; InvariantError 'FOREIGN_LOCK' where it is another. */
  get mmapLock(): RwSem {
    const { lock } = this;
    if (!(lock instanceof RwSem))
      throw new InvariantError('FOREIGN_LOCK', 'mmap_lock is not the reader-writer semaphore');
    return lock;
  }
}
