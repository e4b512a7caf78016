/**
 * A page-table format as data, in one file each (`formats/`). Level 0 is the leaf table (Linux: PTE), 1 the PMD, 2 the
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
import { checkInteger } from '@mmkit/base';
import type { Decoded, Entry } from './flags.ts';

/** Page frames the simulator can number: 2^29. */
export const PFN_LIMIT = 0x2000_0000;

/** Accepts an entry when `(lo & maskLo) === wantLo && (hi & maskHi) === wantHi`; all int32. */
export interface EntryTest {
  readonly maskLo: number;
  readonly wantLo: number;
  readonly maskHi: number;
  readonly wantHi: number;
}

/**
 * The sizes of a format; `formatLevels` makes them. The lists are typed arrays that nobody writes: reading a frozen
 * array of doubles took 15 ns, these take 2.
 */
export interface FormatLevels {
  /** log2 of the size of a page and of a table page, in bytes. */
  readonly pageShift: number;
  /** Number of levels, 2 or more. */
  readonly levels: number;
  /** log2 of the number of entries a table has; a table must fit in a page. */
  readonly indexBits: number;
  /** log2 of the bytes one entry covers, by level; `shifts[0]` is `pageShift`, each further one `indexBits` more. */
  readonly shifts: ArrayLike<number>;
  /** Bytes one entry covers, by level: `2 ** shifts[level]`. */
  readonly spans: ArrayLike<number>;
  /** `1 / spans[level]`, exact: multiplying is cheaper than dividing. */
  readonly inverses: ArrayLike<number>;
}

export interface Format extends FormatLevels {
  /** For messages. */
  readonly name: string;
  /** First address above what the user's tables translate, at most 2^53. */
  readonly userEnd: number;
  /** End of what a process may map: `userEnd`, or where Linux keeps room below it. Linux: TASK_SIZE_MAX. */
  readonly taskSize: number;
  /** Words an entry takes. */
  readonly entryWords: 2;
  /** Where an entry's low word is, 0 or 1 words from its start. */
  readonly lowAt: number;
  /** Where its high word is: `1 - lowAt`. */
  readonly highAt: number;
  /** Lowest bit of the PFN in the low word; the PFN fills that word from there up. */
  readonly pfnLowShift: number;
  /** The high word's PFN bits that a PFN below 2^29 can set. */
  readonly pfnHighMask: number;
  /** PFN bit that bit 0 of the high word stands for: `32 - pfnLowShift`. */
  readonly pfnHighShift: number;
  /** Accepts, at every level but 0, only what `decode` and `hardware` call a table that passes on every right. */
  readonly tableTest: EntryTest;
  /** Bits of the low word the hardware sets in a leaf it has used, if `hardware` did not report E_YOUNG. */
  readonly accessedLo: number;
  /** The same for a table entry; 0 where the hardware does not mark tables. */
  readonly accessedTableLo: number;
  /** Bits of the low word the hardware sets in a leaf on a write, if `hardware` did not report E_DIRTY. */
  readonly dirtySetLo: number;
  /** Bits of the low word the hardware clears then (formats with a read-only bit). */
  readonly dirtyClearLo: number;
  /** Fault kind of a walk at an address of `userEnd` or more. */
  readonly addressFault: number;
  /** User mode needs E_USER besides E_EXEC to fetch instructions; false where pages may be for execution only. */
  readonly fetchNeedsUser: boolean;
  /** The hardware carries TLB invalidations to every CPU by itself, so that no CPU is interrupted and none waited for. */
  readonly flushBroadcasts: boolean;

  /** What the entry means to Linux. Cold. Loses nothing: `encode` gives the same words back. */
  decode(lo: number, hi: number, level: number, out: Decoded): void;
  /** The entry's words. Cold. `InvariantError('BAD_ENTRY')` where the level has no such entry. */
  encode(d: Decoded, level: number, out: Entry): void;
  /**
   * What the entry means to the MMU: ENTRY_NONE (not present), ENTRY_RESERVED, ENTRY_TABLE or ENTRY_LEAF; rights as
   * this entry gives them; E_YOUNG and E_DIRTY where the hardware has nothing left to set. Cold.
   */
  hardware(lo: number, hi: number, level: number, out: Decoded): void;
  /**
   * The test of a level-0 entry that user mode may use for `access` (ACCESS_*; ACCESS_USER is implied), when the tables
   * above pass on the rights `inherited` (E_RIGHTS: all): present to the hardware, user, rights given, not special. One
   * of a few frozen objects. Linux: `pte_access_permitted`, `pte_special`.
   */
  leafTest(access: number, inherited: number): EntryTest;
}

/**
 * The sizes of a format with pages of `2 ** pageShift` bytes and `levels` (2 to 6) tables of `2 ** indexBits` entries of
 * 8 bytes on every path. `RangeError` when a table would not fit in a page.
 */
export function formatLevels(pageShift: number, levels: number, indexBits: number): FormatLevels {
  checkInteger('pageShift', pageShift, 12, 16);
  checkInteger('levels', levels, 2, 6);
  checkInteger('indexBits', indexBits, 1, pageShift - 3);
  const shifts = Int32Array.from({ length: levels }, (_, level) => pageShift + level * indexBits);
  return {
    pageShift,
    levels,
    indexBits,
    shifts,
    spans: Float64Array.from(shifts, (shift) => 2 ** shift),
    inverses: Float64Array.from(shifts, (shift) => 2 ** -shift),
  };
}
