/**
 * The hardware page walker: what an MMU does with an address, from the root to a frame or a fault. Intel SDM volume 3,
 * "Hierarchical paging structures", "Access rights", "Accessed and dirty flags"; Arm ARM, "The AArch64 Virtual Memory
 * System Architecture"; RISC-V privileged manual, "Virtual address translation process". The `Mmu` reads the single
 * entries and knows who may do what.
 *
 * Order: at each level not present comes first, then reserved bits; rights count only when every entry was there, and
 * are what all of them give together. Accessed bits at all levels, and Dirty on a write, are set when the translation
 * succeeds, and nothing is written when it does not (x86 leaves that open).
 *
 * Differs: an update of two bits in one entry is one write. Reads need no lock. Page tables of a shared machine are
 * updated by one thread at a time.
 */
import { bigintHigh, bigintLow, checkAddress, highWord, lowWord } from '@mmkit/base';
import { frameWordIndex, type Phys } from '@mmkit/phys';
import { ACCESS_WRITE, FAULT_ACCESS_FLAG, FAULT_BUS, FAULT_NOT_PRESENT, FAULT_RESERVED } from './access.ts';
import {
  createDecoded,
  type Decoded,
  E_DIRTY,
  E_KERNEL_EXEC,
  E_RIGHTS,
  E_YOUNG,
  ENTRY_LEAF,
  ENTRY_NONE,
  ENTRY_RESERVED,
  ENTRY_UNUSED,
} from './flags.ts';
import type { TableMemory } from './memory.ts';
import type { Mmu } from './mmu.ts';
import type { Tables } from './tables.ts';

/** Levels of the deepest format. */
const MAX_LEVELS = 6;
/** What a table passes on. */
const ALL_RIGHTS = E_RIGHTS | E_KERNEL_EXEC;

/** The result of a walk. A scratch object. */
export class Translation {
  /** Frame of the page that holds the address; may lie outside RAM. Only after success. */
  pfn: number;
  /** Level of the leaf; after a fault, of the entry the walk ended at, or `Mmu.startLevel`. */
  level: number;
  /** log2 of the bytes the leaf maps. Only after success. */
  shift: number;
  /**
   * The leaf's flags as `Mmu.hardware` gives them, without E_YOUNG: rights as all levels give them together, E_DIRTY if
   * it is dirty now. Only after success.
   */
  flags: number;
  /** The path, only of `translate`. By level, from the root down to where the walk ended: PFN of the table. */
  readonly tables: Float64Array;
  /** The same: index of the entry's first word in the table's page. */
  readonly at: Int32Array;
  /** The same: the entry's low word as the walk found it. After a FAULT_BUS not that of `level`. */
  readonly lo: Int32Array;
  /** The same: its high word. */
  readonly hi: Int32Array;
  /** Scratch of the walker: the entry it is at. */
  readonly decoded: Decoded;

  constructor() {
    this.pfn = 0;
    this.level = 0;
    this.shift = 0;
    this.flags = 0;
    this.tables = new Float64Array(MAX_LEVELS);
    this.at = new Int32Array(MAX_LEVELS);
    this.lo = new Int32Array(MAX_LEVELS);
    this.hi = new Int32Array(MAX_LEVELS);
    this.decoded = createDecoded();
  }
}

/** Makes a scratch translation. */
export function createTranslation(): Translation {
  return new Translation();
}

/**
 * Translates `address` (any integer from 0 to 2^53 − 1) for `access` (ACCESS_* bits) under `root`, a table of a machine.
 * Returns 0 and fills `out` but for the path, or a fault kind (FAULT_*) and sets `out.level`.
 */
export function hwWalk(tables: Tables, root: number, address: number, access: number, out: Translation): number {
  checkAddress('address', address);
  const { format, memory, phys } = tables;
  return walk(format, memory, phys, root, 0, lowWord(address), highWord(address), access, false, out);
}

/**
 * Translates `address`, any 64-bit value, for `access` (ACCESS_* bits) as `mmu` does when its root table lies at physical
 * address `root`, which need not begin a page. Returns 0 and fills `out`, or a fault kind (FAULT_*). `RangeError` for
 * values below 0 or of more than 64 bits.
 */
export function translate(
  mmu: Mmu,
  memory: TableMemory,
  root: bigint,
  address: bigint,
  access: number,
  out: Translation,
): number {
  checkWord('root', root);
  checkWord('address', address);
  const pageBits = BigInt(mmu.pageShift);
  const inPage = Number(BigInt.asUintN(mmu.pageShift, root));
  const table = Number(root >> pageBits);
  return walk(mmu, memory, null, table, inPage >> 2, bigintLow(address), bigintHigh(address), access, true, out);
}

function checkWord(name: string, value: bigint): void {
  if (typeof value !== 'bigint' || value !== BigInt.asUintN(64, value)) {
    throw new RangeError(`${name}: expected a bigint of 64 bits, got ${String(value)}`);
  }
}

/** The physical address that `translate` found for `address`. */
export function physicalAddress(mmu: Mmu, out: Translation, address: bigint): bigint {
  return (BigInt(out.pfn) << BigInt(mmu.pageShift)) | BigInt.asUintN(mmu.pageShift, address);
}

/**
 * The walk itself. `phys`: the RAM that `memory` is, for a shorter way to it, or null; `rootAt`: word in page `root` at
 * which the root table begins; `lo`, `hi`: the address; `keepPath`: fill in the path. A walk that has to mark entries and
 * kept no path goes twice.
 */
function walk(
  mmu: Mmu,
  memory: TableMemory,
  phys: Phys | null,
  root: number,
  rootAt: number,
  lo: number,
  hi: number,
  access: number,
  keepPath: boolean,
  out: Translation,
): number {
  const { lowAt, highAt, indexBits, accessedTableLo, pfnLowShift, pfnHighMask, pfnHighShift } = mmu;
  const { tableRights = ALL_RIGHTS } = mmu;
  const { maskLo, wantLo, maskHi, wantHi } = mmu.tableTest;
  const { decoded } = out;
  let level = mmu.levels - 1;
  let shift = mmu.pageShift + level * indexBits;
  let table = root;
  let inPage = rootAt;
  let mask = (1 << mmu.rootBits) - 1;
  let rights = ALL_RIGHTS;
  let unmarked = 0;
  if (!isTranslated(mmu, lo, hi) || (access & mmu.refused) !== 0) {
    out.level = mmu.startLevel;
    return mmu.addressFault;
  }
  if (phys === null && root >= mmu.rootEnd) {
    out.level = mmu.startLevel;
    return FAULT_RESERVED;
  }
  for (;;) {
    inPage = (inPage + addressBits(lo, hi, shift, mask) * 2) | 0;
    let words: Int32Array | undefined;
    let at = 0;
    if (phys !== null && table < phys.frames) {
      words = phys.chunks[table >> phys.chunkShift];
      at = (inPage + frameWordIndex(phys, table)) | 0;
    }
    if (words === undefined) {
      out.level = level;
      const found = memory.words(table);
      if (found === null) return FAULT_BUS;
      words = found;
      at = (inPage + memory.wordIndex(table)) | 0;
    }
    let entryLo: number;
    let entryHi: number;
    do {
      entryLo = words[(at + lowAt) | 0]!;
      entryHi = words[(at + highAt) | 0]!;
    } while (words[(at + lowAt) | 0] !== entryLo);
    if (keepPath) keepEntry(out, level, table, inPage, entryLo, entryHi);
    if (level > 0 && (entryLo & maskLo) === wantLo && (entryHi & maskHi) === wantHi) {
      table = (entryLo >>> pfnLowShift) | ((entryHi & pfnHighMask) << pfnHighShift);
      rights &= tableRights;
    } else {
      out.level = level;
      mmu.hardware(entryLo, entryHi, level, decoded);
      if (decoded.kind === ENTRY_NONE) return FAULT_NOT_PRESENT;
      if (decoded.kind === ENTRY_RESERVED) return FAULT_RESERVED;
      if (decoded.kind === ENTRY_UNUSED) return FAULT_ACCESS_FLAG;
      rights &= decoded.flags;
      if (decoded.kind === ENTRY_LEAF) break;
      table = decoded.pfn;
    }
    if ((entryLo & accessedTableLo) !== accessedTableLo) unmarked |= 1 << level;
    inPage = 0;
    mask = (1 << indexBits) - 1;
    shift = (shift - indexBits) | 0;
    level = (level - 1) | 0;
  }
  const { pfn, flags } = decoded;
  const given = (flags & ~ALL_RIGHTS) | rights;
  const fault = mmu.permits(mmu, given, access);
  if (fault !== 0) return fault;
  const write = (access & ACCESS_WRITE) !== 0;
  const markLeaf = (flags & E_YOUNG) === 0 || (write && (flags & E_DIRTY) === 0);
  if (unmarked !== 0 || markLeaf) {
    if (!keepPath) return walk(mmu, memory, phys, root, rootAt, lo, hi, access, true, out);
    mark(mmu, memory, out, markLeaf ? unmarked | (1 << level) : unmarked, write);
  }
  out.shift = shift;
  out.pfn = level === 0 ? pfn : pfn + pageInLeaf(lo, hi, mmu.pageShift, shift);
  out.flags = (given & ~E_YOUNG) | (write ? E_DIRTY : 0);
  return 0;
}

function keepEntry(out: Translation, level: number, table: number, at: number, lo: number, hi: number): void {
  out.tables[level] = table;
  out.at[level] = at;
  out.lo[level] = lo;
  out.hi[level] = hi;
}

/** True when the address lies in a half that the tables map. */
function isTranslated(mmu: Mmu, lo: number, hi: number): boolean {
  const { addressMaskLo, addressMaskHi } = mmu;
  if (((lo & addressMaskLo) | (hi & addressMaskHi)) === 0) return mmu.lowHalf;
  return mmu.highHalf && (lo & addressMaskLo) === addressMaskLo && (hi & addressMaskHi) === addressMaskHi;
}

/** Bits `shift` (12 or more) and up of an address, those of `mask`. */
function addressBits(lo: number, hi: number, shift: number, mask: number): number {
  return (shift < 32 ? (lo >>> shift) | (hi << (32 - shift)) : (hi >>> (shift - 32)) | 0) & mask;
}

/** Which page of a leaf of `2 ** shift` bytes the address lies in. */
function pageInLeaf(lo: number, hi: number, pageShift: number, shift: number): number {
  if (shift < 32) return (lo & ((1 << shift) - 1)) >>> pageShift;
  const high = shift === 32 ? 0 : hi & ((1 << (shift - 32)) - 1);
  return high * 2 ** (32 - pageShift) + (lo >>> pageShift);
}

/**
 * Sets the accessed bit of the entries of the path whose levels are the bits of `levels`, and of the leaf, which `out` is
 * at, with `write` marks it dirty too.
 */
function mark(mmu: Mmu, memory: TableMemory, out: Translation, levels: number, write: boolean): void {
  for (let level = out.level; level < mmu.levels; level++) {
    if ((levels & (1 << level)) === 0) continue;
    const table = out.tables[level]!;
    const words = memory.words(table)!;
    const low = memory.wordIndex(table) + out.at[level]! + mmu.lowAt;
    const leaf = level === out.level;
    const lo = words[low]! | (leaf ? mmu.accessedLo : mmu.accessedTableLo);
    words[low] = leaf && write ? (lo & ~mmu.dirtyClearLo) | mmu.dirtySetLo : lo;
  }
}
