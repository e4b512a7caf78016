/**
 * What a TLB remembers of walks beside translations, so that a miss costs one read of a leaf table: where leaf tables
 * lie (Intel SDM volume 3, "Paging-structure caches"; Arm ARM: intermediate TLB entries), and what the bits of leaves
 * outside the PFN mean. Only leaf tables whose upper entries pass on every right and are marked used are kept; any
 * flush drops all of them, as INVLPG does for its tag.
 *
 * Layout: a leaf table has the slot (page number / entries of a table ^ tag) mod PATHS: the number of its first page in
 * `firsts`, and two words in `paths`. A kind of leaf has four words in `leaves`, by a hash of the first two.
 *
 * | word | `paths` | `leaves` |
 * |---|---|---|
 * | 0 | tag + 1; 0: empty | the low word's bits below the PFN |
 * | 1 | PFN of the table | the high word's bits that no PFN below 2^29 sets |
 * | 2 | | bit n: access n goes through and marks nothing; 0: empty |
 * | 3 | | E_* flags |
 */
import { createDecoded, createEntry, type Decoded, type Entry } from './flags.ts';
import type { Mmu } from './mmu.ts';
import { createTranslation, type Translation } from './walker.ts';

/** Leaf tables remembered, a power of two. */
const PATHS = 16;
/** Kinds of leaves remembered, a power of two. */
const LEAVES = 16;

export class WalkCache {
  /** log2 of the entries of a table. */
  readonly indexBits: number;
  /** Entries of a table less one. */
  readonly indexMask: number;
  /** The MMU's, here because looking into any of many MMUs costs 3 ns each. */
  readonly lowAt: number;
  readonly highAt: number;
  readonly pfnLowShift: number;
  readonly pfnHighMask: number;
  readonly pfnHighShift: number;
  /** The low word's bits below the PFN. */
  readonly belowPfn: number;
  /** See the layout. */
  readonly firsts: Float64Array;
  /** See the layout. */
  readonly paths: Int32Array;
  /** See the layout. */
  readonly leaves: Int32Array;
  /** Scratch of a walk. */
  readonly entry: Entry;
  /** Scratch of a walk. */
  readonly decoded: Decoded;
  /** Scratch of a walk. */
  readonly found: Translation;

  constructor(mmu: Mmu) {
    this.indexBits = mmu.indexBits;
    this.indexMask = 2 ** mmu.indexBits - 1;
    this.lowAt = mmu.lowAt;
    this.highAt = mmu.highAt;
    this.pfnLowShift = mmu.pfnLowShift;
    this.pfnHighMask = mmu.pfnHighMask;
    this.pfnHighShift = mmu.pfnHighShift;
    this.belowPfn = 2 ** mmu.pfnLowShift - 1;
    this.firsts = new Float64Array(PATHS);
    this.paths = new Int32Array(PATHS * 2);
    this.leaves = new Int32Array(LEAVES * 4);
    this.entry = createEntry();
    this.decoded = createDecoded();
    this.found = createTranslation();
  }
}

/** PFN of the leaf table of a page under a tag, or -1 when it is not known. */
export function knownTable(walks: WalkCache, tag: number, page: number): number {
  const { paths, indexMask } = walks;
  const slot = (((page | 0) >>> walks.indexBits) ^ tag) & (PATHS - 1);
  if (paths[slot * 2] !== tag + 1 || walks.firsts[slot] !== page - ((page | 0) & indexMask)) return -1;
  return paths[slot * 2 + 1]!;
}

/** Remembers it. */
export function keepTable(walks: WalkCache, tag: number, page: number, table: number): void {
  const slot = (((page | 0) >>> walks.indexBits) ^ tag) & (PATHS - 1);
  walks.firsts[slot] = page - ((page | 0) & walks.indexMask);
  walks.paths[slot * 2] = tag + 1;
  walks.paths[slot * 2 + 1] = table;
}

/** Index in `leaves` of the words of a kind of leaf; they may be those of another. */
export function leafAt(bitsLo: number, bitsHi: number): number {
  return ((bitsLo ^ (bitsLo >>> 5) ^ bitsHi ^ (bitsHi >>> 26)) & (LEAVES - 1)) * 4;
}

/** Forgets where tables lie. */
export function forgetTables(walks: WalkCache): void {
  walks.paths.fill(0);
}

/** Forgets what leaves mean. */
export function forgetLeaves(walks: WalkCache): void {
  walks.leaves.fill(0);
}
