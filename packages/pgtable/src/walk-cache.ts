/**
 * What a TLB remembers of walks beside translations, so that a miss costs one read of a leaf table: where leaf tables lie
 * (Intel SDM volume 3, "Paging-structure caches"; Arm ARM: intermediate TLB entries), and what the bits of leaves outside
 * the PFN mean. Only leaf tables whose upper entries pass on every right and are marked used are kept; any flush drops all
 * of them, as INVLPG does for its tag.
 *
 * Layout: the number of a leaf table is the page number divided by the entries of a table. Its path has slot (number ^ tag)
 * mod PATHS: `numbers[slot]`, and two words in `paths`; a kind of leaf has four words in `leaves`, by a hash of the first
 * two.
 *
 * | word | `paths` | `leaves` |
 * |---|---|---|
 * | 0 | tag + 1; 0: empty | the low word's bits below the PFN |
 * | 1 | PFN of the table | the high word's bits that no PFN below 2^29 sets |
 * | 2 | | bit n: access n goes through and marks nothing; 0: empty |
 * | 3 | | E_* flags |
 */
import { createDecoded, createEntry, type Decoded, type Entry } from './flags.ts';
import { createTranslation, type Translation } from './walker.ts';

/** Leaf tables remembered, a power of two. */
const PATHS = 16;
/** Kinds of leaves remembered, a power of two. */
const LEAVES = 16;

export class WalkCache {
  /** `1 / entries of a table`, exact. */
  readonly inverse: number;
  /** See the layout. */
  readonly numbers: Float64Array;
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

  constructor(indexBits: number) {
    this.inverse = 2 ** -indexBits;
    this.numbers = new Float64Array(PATHS);
    this.paths = new Int32Array(PATHS * 2);
    this.leaves = new Int32Array(LEAVES * 4);
    this.entry = createEntry();
    this.decoded = createDecoded();
    this.found = createTranslation();
  }
}

/** PFN of the leaf table of a page under a tag, or -1 when it is not known. */
export function knownTable(walks: WalkCache, tag: number, page: number): number {
  const number = Math.floor(page * walks.inverse);
  const slot = pathSlot(number, tag);
  if (walks.paths[slot * 2] !== tag + 1 || walks.numbers[slot] !== number) return -1;
  return walks.paths[slot * 2 + 1]!;
}

/** Remembers it. */
export function keepTable(walks: WalkCache, tag: number, page: number, table: number): void {
  const number = Math.floor(page * walks.inverse);
  const slot = pathSlot(number, tag);
  walks.numbers[slot] = number;
  walks.paths[slot * 2] = tag + 1;
  walks.paths[slot * 2 + 1] = table;
}

function pathSlot(number: number, tag: number): number {
  return ((number | 0) ^ tag) & (PATHS - 1);
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
