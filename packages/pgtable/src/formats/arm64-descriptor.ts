/**
 * Descriptors of arm64's stage 1 as the hardware's half (arm64-mmu.ts) and Linux's half (arm64.ts) both read them: Arm ARM,
 * "VMSAv8-64 translation table format descriptors"; reference N.20. Our level is 3 less the manual's.
 *
 * | bits | table | page, block |
 * |---|---|---|
 * | 0 | 1 | 1, VALID |
 * | 1 | 1 | page 1, block 0 |
 * | 4:2, 5 | – | AttrIndx, NS |
 * | 6, 7 | – | AP[1] user, AP[2] read-only |
 * | 9:8 | – | SH; with LPA2 address bits 51:50, in tables too |
 * | 10, 11 | – | AF, nG |
 * | 15:12 | 64K granule: address bits 51:48 | the same |
 * | 47:12, 47:14, 47:16 | address, by granule; with LPA2 up to bit 49 | the same; below a block's size not used |
 * | 50, 51, 52 | – | GP, DBM, contiguous |
 * | 53, 54 | – | PXN, UXN |
 * | 59 | PXNTable | – |
 * | 60, 62:61 | UXNTable, APTable: no EL0, no writes | 62:60 permission overlay |
 */
import { lowWord } from '@mmkit/base';
import { E_EXEC, E_USER, E_WRITE } from '../flags.ts';

// Low word.
export const VALID = 0x1;
export const TYPE = 0x3;
/** Bit 1: set in tables and pages, clear in blocks. */
export const NOT_BLOCK = 0x2;
export const USER = 0x40;
export const RDONLY = 0x80;
export const AF = 0x400;
export const NOT_GLOBAL = 0x800;
// High word.
export const DBM = 0x0008_0000;
export const CONTIGUOUS = 0x0010_0000;
export const PXN = 0x0020_0000;
export const UXN = 0x0040_0000;
export const PXN_TABLE = 0x0800_0000;
export const UXN_TABLE = 0x1000_0000;
export const AP_TABLE_NO_USER = 0x2000_0000;
export const AP_TABLE_NO_WRITE = 0x4000_0000;
/** Bits of a table that take away a right of E_RIGHTS. */
export const TABLE_RIGHTS: number = UXN_TABLE | AP_TABLE_NO_USER | AP_TABLE_NO_WRITE;

/** Where a granule keeps addresses in its descriptors. The lists go by level. */
export interface Arm64Layout {
  /** log2 of the granule. */
  readonly pageShift: number;
  /** Highest level that has blocks. */
  readonly topBlock: number;
  /** The low word's PFN bits in a leaf; [0]: in a page or table. Those from bit `pageShift` up. */
  readonly pfnLo: Int32Array;
  /** The same in the high word. */
  readonly pfnHi: Int32Array;
  /** The low word's bits that hold the topmost PFN bits; 0 where there are none. */
  readonly topLo: number;
  /** Their lowest bit. */
  readonly topShift: number;
  /** The PFN that this bit stands for. */
  readonly topUnit: number;
  /** The PFN that bit 0 of the high word stands for. */
  readonly highUnit: number;
  /** PFNs it can name. */
  readonly frames: number;
}

/** The layout of a granule (4096, 16384 or 65536), without or with LPA2 (`ds`). */
export function arm64Layout(granule: number, ds: boolean): Arm64Layout {
  const pageShift = Math.log2(granule);
  const is64K = granule === 65536;
  const topBlock = (granule === 4096 ? 2 : 1) + (ds || is64K ? 1 : 0);
  const shifts = Array.from({ length: 5 }, (_, level) => pageShift + level * (pageShift - 3));
  const wide = ds && !is64K;
  return {
    pageShift,
    topBlock,
    pfnLo: Int32Array.from(shifts, (shift) => (shift < 32 ? -1 << shift : 0)),
    pfnHi: Int32Array.from(shifts, (shift) => (wide ? 0x3_ffff : 0xffff) & (shift < 32 ? -1 : -1 << (shift - 32))),
    topLo: is64K ? 0xf000 : wide ? 0x300 : 0,
    topShift: is64K ? 12 : 8,
    topUnit: 2 ** ((is64K ? 48 : 50) - pageShift),
    highUnit: 2 ** (32 - pageShift),
    frames: 2 ** ((wide || is64K ? 52 : 48) - pageShift),
  };
}

/** PFN of a leaf of `level`; of a table with `level` 0. */
export function pfnOf(layout: Arm64Layout, lo: number, hi: number, level: number): number {
  const { pageShift, topLo } = layout;
  const high = hi & layout.pfnHi[level]!;
  const low = (lo & layout.pfnLo[level]!) >>> pageShift;
  const top = lo & topLo;
  // Without the test every PFN would be a double: decode takes 20 ns instead of 10.
  if (top === 0 && high < 1 << (pageShift - 1)) return low | (high << (32 - pageShift));
  return low + high * layout.highUnit + (top >>> layout.topShift) * layout.topUnit;
}

/** The low word's bits of a PFN. */
export function pfnLow(layout: Arm64Layout, pfn: number): number {
  const low = lowWord(pfn) << layout.pageShift;
  return pfn < layout.topUnit ? low : low | ((Math.floor(pfn / layout.topUnit) << layout.topShift) & layout.topLo);
}

/** The high word's bits of a PFN. */
export function pfnHigh(layout: Arm64Layout, pfn: number): number {
  return pfn < layout.highUnit ? 0 : lowWord(Math.floor(pfn / layout.highUnit)) & layout.pfnHi[0]!;
}

export function isTable(lo: number, level: number): boolean {
  return level > 0 && (lo & TYPE) === TYPE;
}

/** A page or block to the hardware. */
export function isLeaf(layout: Arm64Layout, lo: number, level: number): boolean {
  return level <= layout.topBlock && (lo & TYPE) === (VALID | notBlock(level));
}

/** Bit 1 of a leaf of `level`. */
export function notBlock(level: number): number {
  return level === 0 ? NOT_BLOCK : 0;
}

/** What a table passes on, of E_RIGHTS. */
export function tableRights(hi: number): number {
  let flags = 0;
  if ((hi & AP_TABLE_NO_WRITE) === 0) flags |= E_WRITE;
  if ((hi & AP_TABLE_NO_USER) === 0) flags |= E_USER;
  if ((hi & UXN_TABLE) === 0) flags |= E_EXEC;
  return flags;
}
