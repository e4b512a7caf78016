/** What one call of the family asks for, handed through the engine: one object a call, none a page. */
import type { Vma } from '@mmkit/vma';

// Bits without a name today.
/** The engine's own note in a page's flags: a forced write has had its copy made (4.8.3 to 5.19; A.9). */
export const FOLL_COW = 0x2000;
/** mlock pages that are found in locked VMAs (up to 5.17; A.7); without FOLL_POPULATE none is faulted in. */
export const FOLL_MLOCK = 0x4000;
/** Fault pages in, but for the guard of a stack (up to 5.17; A.4 #1). */
export const FOLL_POPULATE = 0x8000;

/** `int *locked` of the kernel functions: 1 while mmap_lock is held, 0 after it was dropped. */
export interface LockState {
  value: 0 | 1;
}

/** The fault counters of a task (the classic call's `tsk`; A.10). */
export interface FaultCounters {
  min_flt: number;
  maj_flt: number;
}

export class Request {
  /** FOLL_*, today's values. */
  flags: number;
  /** Where PFNs go, or null: only fault in. */
  readonly pages: Uint32Array | null;
  /** Where the VMA of each page goes, or null (classic only). */
  readonly vmas: (Vma | null)[] | null;
  /** Whose fault counters are raised, or null (classic only). */
  readonly tsk: FaultCounters | null;
  /** Given when mmap_lock may be dropped; null: it is kept throughout. */
  readonly locked: LockState | null;
  /**
   * The documented call and its era: a fatal signal gives -ERESTARTSYS, today -EINTR, and ends no wait of a fault;
   * FOLL_NOWAIT follows `policy.nowaitClears`.
   */
  readonly classic: boolean;
  /** Next slot of `pages` and `vmas`. */
  at: number;
  /** Pages that the last lookup took. */
  taken: number;

  constructor(
    flags: number,
    pages: Uint32Array | null,
    locked: LockState | null,
    vmas: (Vma | null)[] | null,
    tsk: FaultCounters | null,
    classic: boolean,
  ) {
    this.flags = flags;
    this.pages = pages;
    this.vmas = vmas;
    this.tsk = tsk;
    this.locked = locked;
    this.classic = classic;
    this.at = 0;
    this.taken = 0;
  }
}
