/** What one call of the family asks for, handed through the engine: one object a call, none a page. */
import type { Vma } from '@mmkit/vma';

/** The engine's own note in a page's flags, a bit without a name today: a forced write has had its copy made (4.8.3 to 5.19; A.9). */
export const FOLL_COW = 0x2000;

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
  /** The documented call: a fatal signal gives -ERESTARTSYS, today -EINTR; FOLL_NOWAIT follows `policy.nowaitClears`. */
  readonly classic: boolean;
  /** Next slot of `pages` and `vmas`. */
  at: number;

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
  }
}
