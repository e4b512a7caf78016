/**
 * The hardware's half of a page-table format, as data: what the walker has to know of an MMU in one mode of its control
 * registers. Level 0 is the leaf table, `levels - 1` the root; an entry is two 32-bit words; a zero entry is none.
 */
import { bigintHigh, bigintLow, checkInteger } from '@mmkit/base';
import { accessRights, FAULT_PROTECTION } from './access.ts';
import type { Decoded } from './flags.ts';

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
  /** Number of levels, 1 or more; a `Format` has 2 or more. */
  readonly levels: number;
  /** log2 of the number of entries a table has; a table must fit in a page. */
  readonly indexBits: number;
  /** log2 of the bytes one entry covers, by level; `shifts[0]` is `pageShift`, each further one `indexBits` more. */
  readonly shifts: ArrayLike<number>;
  /** Bytes one entry covers, by level: `2 ** shifts[level]`. */
  readonly spans: ArrayLike<number>;
  /** `1 / spans[level]`, exact: multiplying is cheaper than dividing. */
  readonly inverses: ArrayLike<number>;
  /** log2 of the number of entries of the root table: `indexBits`, or fewer. */
  readonly rootBits: number;
  /** `Translation.level` of a walk that did not come to read an entry. */
  readonly startLevel: number;
}

/**
 * Which walks begin at all. The bits of the two masks must be all clear, or all set; `refused` and `rootEnd` are 0 and
 * Infinity in most MMUs.
 */
export interface AddressRange {
  /** Bits 31:0 that must agree, int32. */
  readonly addressMaskLo: number;
  /** Bits 63:32 that must agree, int32. */
  readonly addressMaskHi: number;
  /** ACCESS_* bits that no access may have, at any address (arm64 E0PD: ACCESS_USER). */
  readonly refused: number;
  /** A root table in this page or above is reserved (arm64: beyond the physical addresses of the mode). */
  readonly rootEnd: number;
}

export interface Mmu extends FormatLevels, AddressRange {
  /** For messages. */
  readonly name: string;
  /** Translates addresses whose masked bits are all clear. */
  readonly lowHalf: boolean;
  /** Translates addresses whose masked bits are all set. */
  readonly highHalf: boolean;
  /** Fault kind of a walk at any other address. */
  readonly addressFault: number;
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
  /** What those tables pass on, if not every right: E_RIGHTS, where they keep E_KERNEL_EXEC back (arm64). */
  readonly tableRights?: number;
  /** Bits of the low word the hardware sets in a leaf it has used, if `hardware` did not report E_YOUNG. */
  readonly accessedLo: number;
  /** The same for a table entry; 0 where the hardware does not mark tables. */
  readonly accessedTableLo: number;
  /** Bits of the low word the hardware sets in a leaf on a write, if `hardware` did not report E_DIRTY. */
  readonly dirtySetLo: number;
  /** Bits of the low word the hardware clears then (formats with a read-only bit). */
  readonly dirtyClearLo: number;

  /**
   * What the entry means to the MMU: ENTRY_NONE (not present), ENTRY_RESERVED, ENTRY_UNUSED, ENTRY_TABLE or ENTRY_LEAF;
   * rights as this entry gives them; of a leaf E_GLOBAL, the key, and E_YOUNG and E_DIRTY where the hardware has nothing
   * left to set. Cold.
   */
  hardware(lo: number, hi: number, level: number, out: Decoded): void;
  /**
   * 0 when `access` (ACCESS_*) may go through, else a fault kind. `flags`: the leaf's, its rights cut down to what all
   * levels together give. `mmu` is the object itself.
   */
  permits(mmu: Mmu, flags: number, access: number): number;
}

/** `Mmu.permits` where every right is a bit of its own: E_WRITE, E_EXEC and, in user mode, E_USER. */
export function permitsByRights(_mmu: Mmu, flags: number, access: number): number {
  const need = accessRights(access);
  return (flags & need) === need ? 0 : FAULT_PROTECTION;
}

/** The masks of an MMU that looks at bits `from` (12 to 63) to `to - 1` (64 unless given) to tell its halves. */
export function addressRange(from: number, to = 64): AddressRange {
  checkInteger('from', from, 12, 63);
  checkInteger('to', to, from + 1, 64);
  const mask = (1n << BigInt(to)) - (1n << BigInt(from));
  return { addressMaskLo: bigintLow(mask), addressMaskHi: bigintHigh(mask), refused: 0, rootEnd: Infinity };
}

/**
 * The sizes of a format with pages of `2 ** pageShift` bytes and `levels` (1 to 6) tables of `2 ** indexBits` entries of
 * 8 bytes on every path, the root of `2 ** rootBits` (`indexBits` unless given). `RangeError` when a table would not fit in a page.
 */
export function formatLevels(
  pageShift: number,
  levels: number,
  indexBits: number,
  rootBits: number = indexBits,
): FormatLevels {
  checkInteger('pageShift', pageShift, 12, 16);
  checkInteger('levels', levels, 1, 6);
  checkInteger('indexBits', indexBits, 1, pageShift - 3);
  checkInteger('rootBits', rootBits, 1, indexBits);
  const shifts = Int32Array.from({ length: levels }, (_, level) => pageShift + level * indexBits);
  return {
    pageShift,
    levels,
    indexBits,
    shifts,
    spans: Float64Array.from(shifts, (shift) => 2 ** shift),
    inverses: Float64Array.from(shifts, (shift) => 2 ** -shift),
    rootBits,
    startLevel: levels - 1,
  };
}
