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
 * The VMA tree is changed under `mmapLock` held for writing and read under it held for reading.
 */
import type { Task } from '@mmkit/base';
import type { Vma, VmaTree } from '@mmkit/vma';
import type { RwSem } from '@mmkit/rwsem';
import type { Memory } from './memory.ts';

/** Word: PFN of the top page-table page. */
export const MM_ROOT = 0;
/** Word: MMF_* bits. */
export const MM_FLAGS = 1;
/** Word: the write-protect sequence. */
export const MM_WRITE_PROTECT_SEQ = 2;
/** Word: bit n is set when CPU n may hold translations. */
export const MM_CPUMASK = 3;

/** MM_FLAGS bit: a page of this mm was pinned at some time; never cleared (Linux's bit 27). */
export const MMF_HAS_PINNED = 0x8000000;

/**
 * The page-fault handler port: handles one fault at `address` in `vma` (mmap_lock held for reading) and returns VM_FAULT_*
 * bits. `fault` provides it; in the sched build it returns a task.
 */
export type FaultHandler = (mm: Mm, vma: Vma, address: number, flags: number) => number | Task<number>;

export class Mm {
  readonly memory: Memory;
  readonly words: Int32Array;
  /** mmap_lock. */
  readonly mmapLock: RwSem;
  readonly vmas: VmaTree;
  readonly faultHandler: FaultHandler;
  /** Anonymous pages mapped (rss). Under the page-table lock. */
  anonPages: number;

  constructor(memory: Memory, root: number, mmapLock: RwSem, vmas: VmaTree, faultHandler: FaultHandler) {
    this.memory = memory;
    this.words = new Int32Array(4);
    this.words[MM_ROOT] = root;
    this.mmapLock = mmapLock;
    this.vmas = vmas;
    this.faultHandler = faultHandler;
    this.anonPages = 0;
  }
}
