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
  /** gup-fast reads the entry, and the one above it, again after it has grabbed the folio (B.11 #7). */
  readonly fastRecheck: boolean;
  /** A pinned anonymous page must be exclusive, so a shared one is unshared first (5.19; B.15 #3). */
  readonly unshare: boolean;
  /**
   * TLBs are flushed by interrupts, so a flush waits for CPUs with interrupts off (x86); false: the hardware broadcasts it
   * and waits for nobody (arm64, x86 with INVLPGB).
   */
  readonly flushByIpi: boolean;
  /** munmap waits for gup-fast walks under way before it frees page-table pages (B.11, C.8). */
  readonly tableFreeWaits: boolean;
}

/** Linux 6.18. */
export const linux6_18: Policy = Object.freeze({
  name: 'linux6_18',
  writeProtectSeq: true,
  earlyCopy: true,
  fastRecheck: true,
  unshare: true,
  flushByIpi: true,
  tableFreeWaits: true,
});
