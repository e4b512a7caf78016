/**
 * What a TLB remembers of walks beside translations, so that most misses cost one read of a leaf table: where leaf tables
 * lie (Intel SDM volume 3, "Paging-structure caches"; Arm ARM: intermediate TLB entries), and what the bits of leaves
 * outside the PFN mean. Only leaf tables whose upper entries pass on every right and are marked used are kept; any
 * flush drops all of them, as INVLPG does for its tag.
 *
 * A leaf table has the slot (page number / entries of a table ^ tag) mod TABLES, a kind of leaf one by a hash of its bits.
 */
import { highWord, lowWord } from '@mmkit/base';
import { frameWordIndex } from '@mmkit/phys';
import { createDecoded, type Decoded } from './flags.ts';
import type { Mmu } from './mmu.ts';
import type { Tables } from './tables.ts';
import { KINDS, TABLES } from './tlb-sizes.ts';
import { createTranslation, type Translation } from './walker.ts';

/** Where a leaf table lies. */
export class LeafTable {
  /** Number of its first page; NaN, which no number equals: none. */
  first: number;
  /** Tag it is known under. */
  tag: number;
  /** The RAM it lies in. */
  words: Int32Array;
  /** Index of the low word of its first entry. */
  low: number;
  /** The kind of leaf met there last. tlb-translate.ts only. */
  kind: LeafKind;

  constructor(words: Int32Array, kind: LeafKind) {
    this.first = NaN;
    this.tag = 0;
    this.words = words;
    this.low = 0;
    this.kind = kind;
  }
}

/** A kind of leaf. */
export class LeafKind {
  /** The low word's bits below the PFN. */
  lo: number;
  /** The high word's bits that no PFN below 2^29 sets. */
  hi: number;
  /** Bit n: access n (ACCESS_* bits together) goes through and marks nothing; 0: none. */
  allowed: number;
  /** E_* flags. */
  flags: number;

  constructor() {
    this.lo = 0;
    this.hi = 0;
    this.allowed = 0;
    this.flags = 0;
  }
}

export class WalkCache {
  // The MMU's numbers, here because looking into any of many MMUs costs 3 ns each.
  readonly levels: number;
  /** Entries of a table less one. */
  readonly indexMask: number;
  /** log2 of the entries of a table. */
  readonly indexBits: number;
  /** `1 / bytes one entry covers`, by level. */
  readonly inverses: ArrayLike<number>;
  readonly lowHalf: boolean;
  readonly addressMaskLo: number;
  readonly addressMaskHi: number;
  readonly lowAt: number;
  readonly pfnLowShift: number;
  readonly pfnHighMask: number;
  readonly pfnHighShift: number;
  /** The low word's bits below the PFN. */
  readonly belowPfn: number;
  /** The test of an upper entry that passes on every right and is marked used. */
  readonly maskLo: number;
  readonly wantLo: number;
  readonly maskHi: number;
  readonly wantHi: number;
  /** By slot. This file only. */
  readonly tables: readonly LeafTable[];
  /** By slot. This file only. */
  readonly kinds: readonly LeafKind[];
  /** Scratch of a walk. */
  readonly decoded: Decoded;
  /** Scratch of a walk. */
  readonly found: Translation;

  constructor(mmu: Mmu) {
    const { maskLo, wantLo, maskHi, wantHi } = mmu.tableTest;
    const nowhere = new Int32Array(0);
    // `| 0`: some formats compute masks as doubles.
    this.levels = mmu.levels;
    this.indexMask = (1 << mmu.indexBits) - 1;
    this.indexBits = mmu.indexBits;
    this.inverses = mmu.inverses;
    this.lowHalf = mmu.lowHalf;
    this.addressMaskLo = mmu.addressMaskLo | 0;
    this.addressMaskHi = mmu.addressMaskHi | 0;
    this.lowAt = mmu.lowAt;
    this.pfnLowShift = mmu.pfnLowShift;
    this.pfnHighMask = mmu.pfnHighMask | 0;
    this.pfnHighShift = mmu.pfnHighShift;
    this.belowPfn = (1 << mmu.pfnLowShift) - 1;
    this.maskLo = maskLo | mmu.accessedTableLo;
    this.wantLo = wantLo | mmu.accessedTableLo;
    this.maskHi = maskHi;
    this.wantHi = wantHi;
    this.kinds = Array.from({ length: KINDS }, () => new LeafKind());
    const kind = this.kinds[0]!;
    this.tables = Array.from({ length: TABLES }, () => new LeafTable(nowhere, kind));
    this.decoded = createDecoded();
    this.found = createTranslation();
  }
}

/** The leaf table of `page`, which lies at `address`, under a tag whose root is `root`; or null where it is not plain. */
export function leafTableOf(
  walks: WalkCache,
  tables: Tables,
  tag: number,
  root: number,
  page: number,
  address: number,
): LeafTable | null {
  const low = page | 0;
  const table = walks.tables[((low >>> walks.indexBits) ^ tag) & (TABLES - 1)]!;
  const index = page - table.first;
  if (index >= 0 && index <= walks.indexMask && table.tag === tag) return table;
  const first = page - (low & walks.indexMask);
  return findTable(walks, tables, root, address, table) ? keep(table, first, tag) : null;
}

function keep(table: LeafTable, first: number, tag: number): LeafTable {
  table.first = first;
  table.tag = tag;
  return table;
}

/** Walks to the leaf table of `address` and sets where `out` lies; false, with `out` as it was, at an entry not plain. */
function findTable(walks: WalkCache, tables: Tables, root: number, address: number, out: LeafTable): boolean {
  const { indexMask, inverses, lowAt, maskLo, wantLo, maskHi, wantHi, pfnLowShift, pfnHighMask, pfnHighShift } = walks;
  const { phys } = tables;
  const outside = (lowWord(address) & walks.addressMaskLo) | (highWord(address) & walks.addressMaskHi);
  if (outside !== 0 || !walks.lowHalf) return false;
  let table = root;
  for (let level = walks.levels - 1; ; level--) {
    const words = table < phys.frames ? phys.chunks[table >> phys.chunkShift] : undefined;
    if (words === undefined) return false;
    const first = (frameWordIndex(phys, table) + lowAt) | 0;
    if (level === 0) {
      out.words = words;
      out.low = first;
      return true;
    }
    const low = (first + ((lowWord(address * inverses[level]!) & indexMask) << 1)) | 0;
    let lo: number;
    let hi: number;
    do {
      lo = words[low]!;
      hi = words[low ^ 1]!;
    } while (words[low] !== lo);
    if ((lo & maskLo) !== wantLo || (hi & maskHi) !== wantHi) return false;
    table = (lo >>> pfnLowShift) | ((hi & pfnHighMask) << pfnHighShift);
  }
}

/** Where the kind of a leaf with these bits is kept; it may be another. */
export function kindAt(walks: WalkCache, lo: number, hi: number): LeafKind {
  return walks.kinds[(lo ^ (lo >>> 5) ^ hi ^ (hi >>> 26)) & (KINDS - 1)]!;
}

/** Forgets where tables lie. */
export function forgetTables(walks: WalkCache): void {
  for (const table of walks.tables) table.first = NaN;
}

/** Forgets what leaves mean. */
export function forgetKinds(walks: WalkCache): void {
  for (const kind of walks.kinds) kind.allowed = 0;
}
