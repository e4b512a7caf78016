/**
 * Rules that changed between kernels, and the historical bugs, as one frozen record read by the code that follows them.
 * Switch one rule and ask again: `{ ...linux6_18, writeProtectSeq: false }`.
 */
export interface Policy {
  /** Of which kernel the rules are. */
  readonly name: string;
  /** fork marks the time in which it write-protects, and gup-fast undoes pins taken in it (5.11; B.16). */
  readonly writeProtectSeq: boolean;
  /** fork copies pages that may be pinned at once, so that the parent keeps the pinned ones (5.9; B.15 #5, N.10). */
  readonly earlyCopy: boolean;
  /** gup-fast reads the entry again after it has grabbed the folio (B.11 #7); false: nor the one above it. */
  readonly fastRecheck: boolean;
  /** It reads the one above too, which khugepaged or munmap clears first (6.1; B.11 #7, C.8). */
  readonly fastRecheckAbove: boolean;
  /** A pinned anonymous page must be exclusive, so a shared one is unshared first (5.19; B.15 #3). */
  readonly unshare: boolean;
  /**
   * TLBs are flushed by interrupts, so a flush waits for CPUs with interrupts off, unless the format's hardware broadcasts
   * it (arm64); false: the hardware does (x86 with INVLPGB).
   */
  readonly flushByIpi: boolean;
  /**
   * Which anonymous page a write fault reuses instead of copying it: 'exclusive', one marked so, or one without any other
   * reference (5.19; N.4); 'mapcount', one mapped once, whatever references it has besides (up to 5.8; C.3).
   */
  readonly reuse: 'exclusive' | 'mapcount';
  /**
   * Pages of a large folio that only this process maps are reused as a small page is (as observed on 6.18); false: they
   * are copied (as observed on 6.12).
   */
  readonly reuseLarge: boolean;
  /** A store to the huge zero page gets a huge page (as observed on 6.18); false: a small one, as on 6.12. */
  readonly hugeZeroWrite: boolean;
  /** There are guard regions (MADV_GUARD_INSTALL; 6.13). */
  readonly guards: boolean;
  /** A leaf table that MADV_DONTNEED empties, all of it in its range, is freed (as observed on 6.18). */
  readonly reclaimTables: boolean;
  /**
   * Memory with an anon_vma goes over to a neighbour without one, where mprotect, mremap or munlock makes them alike (as
   * observed on 6.18); false: only the other way round (as observed on 6.12; N.16, FACTS 21).
   */
  readonly mergeUnfaulted: boolean;
  /** Buffered writes to a disk file make large folios (as observed on 6.18; ext4 since 6.16). */
  readonly largeFolios: boolean;
  /** mremap moves a range of several VMAs whose length stays (6.17; FACTS 31); false: -EFAULT. */
  readonly mremapSeveral: boolean;
  /**
   * How GUP gets at a page that FOLL_FORCE|FOLL_WRITE had copied in memory that may not be written (A.9): 'read', by a
   * lookup for reading (up to 4.8.2; C.1); 'cow', by a note that the copy was made, and a dirty entry (up to 5.19);
   * 'exclusive', by a page that is exclusive (6.0).
   */
  readonly forcedWrite: 'read' | 'cow' | 'exclusive';
  /** FOLL_FORCE|FOLL_WRITE puts a private copy into a shared mapping that may be written but is not (up to 3.14; A.5). */
  readonly forceShared: boolean;
  /** A wait that FOLL_NOWAIT avoids clears `*nonblocking` though mmap_sem is still held (up to 4.16; A.4). */
  readonly nowaitClears: boolean;
  /**
   * Where the guard of a stack lies (A.3): 'page', the lowest page inside it (up to 4.11): touching it makes the VMA
   * grow by one more, or is a SIGBUS; 'gap', `VmaTree.stackGuardGap` pages below it that stay free.
   */
  readonly stackGuard: 'page' | 'gap';
  /**
   * Under which hold of mmap_lock a stack grows (C.5): 'gupReadLock', for reading, so that GUP's look for the VMA grows
   * it too (up to 6.4; A.3 #4); 'faultWriteLock', for writing, and only where the process itself, or a debugger, gets
   * at it.
   */
  readonly stackGrowth: 'gupReadLock' | 'faultWriteLock';
  /**
   * Who mlocks the pages of locked memory (A.4 #1, A.14): 'gup', FOLL_MLOCK, which faults in too (up to 4.3);
   * 'gupPopulate', FOLL_MLOCK what is there, FOLL_POPULATE faults in (4.4 to 5.17); 'fault', whoever maps a page into
   * such a VMA.
   */
  readonly mlocks: 'gup' | 'gupPopulate' | 'fault';
  /**
   * How often fixup_user_fault tries again after a fault that had to wait without mmap_lock (A.11, B.14): 'never', it
   * keeps the lock (up to 4.5); 'once' (4.6); 'always', until it need not wait (today).
   */
  readonly fixupRetry: 'never' | 'once' | 'always';
  /** fixup_user_fault says -EHWPOISON of a poisoned page; today -EFAULT (A.11). */
  readonly fixupTellsPoison: boolean;
  /** GUP looks for a fatal signal: 'page', before each page (up to 3.15); 'try', before each look for one (A.3 #8). */
  readonly gupSignals: 'page' | 'try';
  /**
   * What an entry without a page of its own is to GUP (A.3 #12, A.7): 'refused', -EFAULT (up to 4.3); 'counted',
   * -EFAULT where references are wanted, else counted (4.4); 'exists', the same but -EEXIST (today; B.6).
   */
  readonly specialEntries: 'refused' | 'counted' | 'exists';
  /** What gup-fast of the era leaves over is got with mmap_sem held throughout, for waits too (up to 3.19; A.13). */
  readonly fastKeepsLock: boolean;
  /**
   * Who charges a task with a fault: 'caller', GUP its `tsk` and nobody else (up to 5.8; A.10); 'handler', the task.
   */
  readonly faultCounts: 'caller' | 'handler';
  /** RDMA holds the pages of a region by pins (FOLL_PIN, 5.6); false: by plain references (C.6). */
  readonly rdmaPins: boolean;
  /** munmap waits for gup-fast walks under way before it frees page-table pages (B.11, C.8). */
  readonly tableFreeWaits: boolean;
  /** An anonymous fault looks under the page-table lock whether the entry is still empty (N.3). For teaching: always so. */
  readonly faultRecheck: boolean;
}

/** Linux 6.18. */
export const linux6_18: Policy = Object.freeze({
  name: 'linux6_18',
  writeProtectSeq: true,
  earlyCopy: true,
  fastRecheck: true,
  fastRecheckAbove: true,
  unshare: true,
  flushByIpi: true,
  rdmaPins: true,
  tableFreeWaits: true,
  faultRecheck: true,
  reuse: 'exclusive',
  reuseLarge: true,
  hugeZeroWrite: true,
  guards: true,
  reclaimTables: true,
  mergeUnfaulted: true,
  largeFolios: true,
  mremapSeveral: true,
  forcedWrite: 'exclusive',
  forceShared: false,
  nowaitClears: false,
  stackGuard: 'gap',
  stackGrowth: 'faultWriteLock',
  mlocks: 'fault',
  fixupRetry: 'always',
  gupSignals: 'try',
  specialEntries: 'exists',
  fastKeepsLock: false,
  faultCounts: 'handler',
  fixupTellsPoison: false,
});

/** Linux 6.12. */
export const linux6_12: Policy = Object.freeze({
  ...linux6_18,
  name: 'linux6_12',
  reuseLarge: false,
  hugeZeroWrite: false,
  guards: false,
  reclaimTables: false,
  mergeUnfaulted: false,
  largeFolios: false,
  mremapSeveral: false,
});

/**
 * Linux 4.8.3: the last shape of the documented call, with the repair of Dirty COW. gup-fast reads the entry again as on
 * arm64; on x86 it did not, and with TLBs flushed by interrupts need not (A.13).
 */
export const linux4_8: Policy = Object.freeze({
  name: 'linux4_8',
  writeProtectSeq: false,
  earlyCopy: false,
  fastRecheck: true,
  fastRecheckAbove: false,
  unshare: false,
  flushByIpi: true,
  rdmaPins: false,
  tableFreeWaits: true,
  faultRecheck: true,
  reuse: 'mapcount',
  reuseLarge: false,
  hugeZeroWrite: false,
  guards: false,
  reclaimTables: false,
  mergeUnfaulted: false,
  largeFolios: false,
  mremapSeveral: false,
  forcedWrite: 'cow',
  forceShared: false,
  nowaitClears: true,
  stackGuard: 'page',
  stackGrowth: 'gupReadLock',
  mlocks: 'gupPopulate',
  fixupRetry: 'once',
  gupSignals: 'try',
  specialEntries: 'counted',
  fastKeepsLock: false,
  faultCounts: 'caller',
  fixupTellsPoison: true,
});

/** Linux 3.14: the documented call. Dirty COW (C.1) is in it. */
export const linux3_14: Policy = Object.freeze({
  ...linux4_8,
  name: 'linux3_14',
  forcedWrite: 'read',
  forceShared: true,
  mlocks: 'gup',
  fixupRetry: 'never',
  gupSignals: 'page',
  specialEntries: 'refused',
  fastKeepsLock: true,
});
