/**
 * A page-table format as data, in one file each (`formats/`): an MMU (mmu.ts) and what Linux keeps in its entries. Level 0 is the leaf table (Linux: PTE), 1 the PMD, 2 the
 * PUD, `levels - 1` the root; an entry is two 32-bit words; a zero entry is none in every format.
 *
 * Hot loops belong to their owners. They copy the numbers they need into locals, test entries with an `EntryTest`
 * and compute the page frame from the words:
 *
 *     lo = words[at + lowAt]; hi = words[at + highAt];
 *     if ((lo & maskLo) === wantLo && (hi & maskHi) === wantHi)
 *       pfn = (lo >>> pfnLowShift) | ((hi & pfnHighMask) << pfnHighShift);
 *
 * A test may refuse too much, never accept too much: a PFN of 2^29 or more never passes. What it refuses goes to
 * `decode`. The words of two leaves of one level that differ in the PFN alone differ by
 * `pfn << pfnLowShift` and `pfn >>> pfnHighShift`, exclusive-or (so also where the PFN is stored inverted).
 */
import type { Decoded, Entry } from './flags.ts';
import type { EntryTest, Mmu } from './mmu.ts';

/** Page frames the simulator can number: 2^29. */
export const PFN_LIMIT = 0x2000_0000;

export interface Format extends Mmu {
  /** First address above what the user's tables translate, at most 2^53. */
  readonly userEnd: number;
  /** End of what a process may map: `userEnd`, or where Linux keeps room below it. Linux: TASK_SIZE_MAX. */
  readonly taskSize: number;
  /** The hardware carries TLB invalidations to every CPU by itself, so that no CPU is interrupted and none waited for. */
  readonly flushBroadcasts: boolean;

  /** What the entry means to Linux. Cold. Loses nothing: `encode` gives the same words back. */
  decode(lo: number, hi: number, level: number, out: Decoded): void;
  /** The entry's words. Cold. `InvariantError('BAD_ENTRY')` where the level has no such entry. */
  encode(d: Decoded, level: number, out: Entry): void;
  /**
   * The test of a level-0 entry that user mode may use for `access` (ACCESS_*; ACCESS_USER is implied), when the tables
   * above pass on the rights `inherited` (E_RIGHTS: all): present to the hardware, user, rights given, not special. One
   * of a few frozen objects. Linux: `pte_access_permitted`, `pte_special`.
   */
  leafTest(access: number, inherited: number): EntryTest;
}
