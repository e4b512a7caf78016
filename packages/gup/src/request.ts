/** What one call of the family asks for, handed through the engine: one object a call, none a page. */
import type { Vma } from '@mmkit/vma';

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
  /** What a pending fatal signal returns: EINTR today, ERESTARTSYS in the classic call. */
  readonly signalErrno: number;
  /** Next slot of `pages` and `vmas`. */
  at: number;

  constructor(
    flags: number,
    pages: Uint32Array | null,
    locked: LockState | null,
    vmas: (Vma | null)[] | null,
    tsk: FaultCounters | null,
    signalErrno: number,
  ) {
    this.flags = flags;
    this.pages = pages;
    this.vmas = vmas;
    this.tsk = tsk;
    this.locked = locked;
    this.signalErrno = signalErrno;
    this.at = 0;
  }
}
