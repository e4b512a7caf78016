/**
 * riscv64 with 3, 4 and 5 levels: the RISC-V privileged manual, "Sv39", "Sv48", "Sv57", "Virtual address translation
 * process", "Svpbmt"; Linux's use of bit 8, of PROT_NONE and of non-present entries. 4 KiB pages, and leaves at every
 * level above: 2 MiB, 1 GiB, 512 GiB, 256 TiB. Level 0 is the manual's level 0.
 *
 * | bits | table | leaf | non-present (bit 5 clear; above level 0 bits 3:1 too) |
 * |---|---|---|---|
 * | 0 | V | V | 0 |
 * | 1, 2, 3 | 0 | R, W, X; not all 0 | 0 |
 * | 4 | 0 | U | not used |
 * | 5 | G | G; PROT_NONE when V is clear | 0 |
 * | 6, 7 | 0 | A, D | 6 not used, 11:7 swap type |
 * | 8 | – | SPECIAL | |
 * | 9 | – | software, not used | |
 * | 53:10 | PFN | PFN; below the leaf's size 0 | 63:12 offset |
 * | 60:54 | 0 | 0 | |
 * | 62:61 | 0 | PBMT | |
 * | 63 | 0 | N | |
 *
 * A valid entry without R, W and X points to a table, at level 0 it is reserved; W without R is reserved. Tables give no
 * rights and take none away. Svnapot is not modelled: N is reserved for the hardware, and kept. Of the manual's two
 * ways with clear A and D bits `adue` chooses: the hardware sets them (Svadu), or the access faults (Svade). A clear A
 * then counts before the rights; the exception is the same.
 *
 * Linux's half stands on what is known of 64-bit RISC-V kernels, and no running one was asked: SPECIAL and PROT_NONE
 * (a leaf with V clear and bit 5 set), and where swap type and offset lie. E_SOFT_DIRTY, E_UFFD_WP and E_EXCLUSIVE are
 * not stored. A leaf above level 0 with R, W or X but neither V nor bit 5 is one that is being split. Bits without a
 * meaning here survive in restLo and restHi; R is kept inverted there, because all that Linux maps can be read.
 */
import { checkInteger, InvariantError, lowWord } from '@mmkit/base';
import {
  ACCESS_EXEC,
  ACCESS_USER,
  ACCESS_WRITE,
  accessRights,
  FAULT_ACCESS_FLAG,
  FAULT_NOT_PRESENT,
  FAULT_PROTECTION,
} from '../access.ts';
import {
  type Decoded,
  E_DIRTY,
  E_EXEC,
  E_GLOBAL,
  E_INVALID,
  E_KERNEL_EXEC,
  E_PROTNONE,
  E_READ,
  E_RIGHTS,
  E_SPECIAL,
  E_USER,
  E_WRITE,
  E_YOUNG,
  ENTRY_LEAF,
  ENTRY_NONE,
  ENTRY_NONPRESENT,
  ENTRY_RESERVED,
  ENTRY_TABLE,
  ENTRY_UNUSED,
  type Entry,
  setDecoded,
} from '../flags.ts';
import type { Format } from '../format.ts';
import { addressRange, type EntryTest, formatLevels, type Mmu } from '../mmu.ts';

// Low word.
const V = 0x1;
const R = 0x2;
const W = 0x4;
const X = 0x8;
const U = 0x10;
const G = 0x20;
const A = 0x40;
const D = 0x80;
const SPECIAL = 0x100;
const LEAF = R | W | X;
const PROT_NONE = 0x20;
const PFN_LO = 0xffff_fc00 | 0;
const SWP_TYPE_SHIFT = 7;
const SWP_TYPE_MASK = 0x1f;
// High word.
const PFN_HI = 0x003f_ffff;
const ATTRIBUTES = 0xffc0_0000 | 0;
const PBMT = 0x6000_0000;
/** PFN bits 29 and up: no simulated frame has them. */
const PFN_HI_BEYOND = 0x003f_ff80;

/** A leaf's PFN bits by level, in each word. */
const LEAF_PFN_LO: readonly number[] = Object.freeze([PFN_LO, PFN_LO << 9, PFN_LO << 18, 0, 0]);
const LEAF_PFN_HI: readonly number[] = Object.freeze([PFN_HI, PFN_HI, PFN_HI, PFN_HI & ~0x1f, PFN_HI & ~0x3fff]);

const TABLE_REST_LO = 0x3f0;
/** Bit 9, and R inverted. */
const LEAF_REST_LO = 0x202;
const SWP_REST_LO = 0x5e;

const PFN_WORD = 0x40_0000;
const OFFSET_WORD = 0x10_0000;

const TABLE_TEST: EntryTest = Object.freeze({
  maskLo: V | LEAF | U | A | D,
  wantLo: V,
  maskHi: PFN_HI_BEYOND | ATTRIBUTES,
  wantHi: 0,
});

/** R even for fetches: it keeps out W without R, which is reserved. */
function makeLeafTest(access: number): EntryTest {
  const write = (access & ACCESS_WRITE) !== 0 ? W : 0;
  const exec = (access & ACCESS_EXEC) !== 0 ? X : 0;
  const want = V | U | R | write | exec;
  return Object.freeze({ maskLo: want | SPECIAL, wantLo: want, maskHi: PFN_HI_BEYOND | ATTRIBUTES, wantHi: 0 });
}

/** By ACCESS_WRITE and ACCESS_EXEC. */
const LEAF_TESTS: readonly EntryTest[] = Object.freeze([0, 1, 2, 3].map(makeLeafTest));
/** Accepts nothing. */
const NEVER: EntryTest = Object.freeze({ maskLo: 0, wantLo: 1, maskHi: 0, wantHi: 0 });

function leafTest(access: number, inherited: number): EntryTest {
  const need = accessRights(access) | E_USER;
  return (inherited & need) === need ? LEAF_TESTS[access & (ACCESS_WRITE | ACCESS_EXEC)]! : NEVER;
}

function pfnOf(lo: number, hi: number): number {
  const high = hi & PFN_HI;
  // Without the test every PFN would be a double.
  return high < 0x200 ? (high << 22) | (lo >>> 10) : high * PFN_WORD + (lo >>> 10);
}

function pfnHi(pfn: number): number {
  return pfn < PFN_WORD ? 0 : lowWord(pfn / PFN_WORD) & PFN_HI;
}

/** Flags of bits 2 (E_WRITE), 4 (E_USER), 6 (E_YOUNG), 7 (E_DIRTY); bit 3 is E_EXEC's. */
function commonFlags(lo: number): number {
  let flags = 0;
  if ((lo & W) !== 0) flags |= E_WRITE;
  if ((lo & U) !== 0) flags |= E_USER;
  if ((lo & A) !== 0) flags |= E_YOUNG;
  if ((lo & D) !== 0) flags |= E_DIRTY;
  return flags;
}

function decode(lo: number, hi: number, level: number, out: Decoded): void {
  setDecoded(out, ENTRY_NONE, 0, 0);
  if ((lo | hi) === 0) return;
  const valid = (lo & V) !== 0;
  if (valid && level > 0 && (lo & LEAF) === 0) decodeTable(lo, hi, out);
  else if (valid || (lo & PROT_NONE) !== 0 || (level > 0 && (lo & LEAF) !== 0)) decodeLeaf(lo, hi, level, out);
  else decodeNonPresent(lo, hi, out);
}

function decodeTable(lo: number, hi: number, out: Decoded): void {
  out.kind = ENTRY_TABLE;
  out.pfn = pfnOf(lo, hi);
  out.flags = E_RIGHTS;
  out.restLo = lo & TABLE_REST_LO;
  out.restHi = hi & ATTRIBUTES;
}

function decodeLeaf(lo: number, hi: number, level: number, out: Decoded): void {
  let flags = commonFlags(lo);
  let restLo = (lo ^ R) & restLoMask(level);
  if ((lo & SPECIAL) !== 0) flags |= E_SPECIAL;
  if ((lo & V) === 0 && (lo & PROT_NONE) !== 0) {
    flags |= E_PROTNONE;
    restLo |= lo & X;
  } else {
    if ((lo & X) !== 0) flags |= E_EXEC;
    if ((lo & V) === 0) flags |= E_INVALID;
    else if ((lo & G) !== 0) flags |= E_GLOBAL;
  }
  out.kind = ENTRY_LEAF;
  out.pfn = pfnOf(lo & LEAF_PFN_LO[level]!, hi & LEAF_PFN_HI[level]!);
  out.flags = flags;
  out.restLo = restLo;
  out.restHi = hi & restHiMask(level);
}

function decodeNonPresent(lo: number, hi: number, out: Decoded): void {
  out.kind = ENTRY_NONPRESENT;
  out.type = (lo >>> SWP_TYPE_SHIFT) & SWP_TYPE_MASK;
  out.offset = (hi >>> 0) * OFFSET_WORD + (lo >>> 12);
  out.restLo = lo & SWP_REST_LO;
}

/** Bits of a leaf's low word kept raw (R inverted), with what lies under the PFN of a huge leaf. */
function restLoMask(level: number): number {
  return LEAF_REST_LO | (PFN_LO & ~LEAF_PFN_LO[level]!);
}

function restHiMask(level: number): number {
  return ATTRIBUTES | (PFN_HI & ~LEAF_PFN_HI[level]!);
}

function encode(d: Decoded, level: number, out: Entry): void {
  if (d.kind === ENTRY_TABLE && level > 0) encodeTable(d, out);
  else if (d.kind === ENTRY_LEAF) encodeLeaf(d, level, out);
  else if (d.kind === ENTRY_NONPRESENT) encodeNonPresent(d, out);
  else if (d.kind === ENTRY_NONE) {
    out.lo = 0;
    out.hi = 0;
  } else throw new InvariantError('BAD_ENTRY', `riscv64 has no entry of kind ${d.kind} at level ${level}`);
}

function encodeTable(d: Decoded, out: Entry): void {
  out.lo = V | (lowWord(d.pfn) << 10) | (d.restLo & TABLE_REST_LO);
  out.hi = pfnHi(d.pfn) | (d.restHi & ATTRIBUTES);
}

function encodeLeaf(d: Decoded, level: number, out: Entry): void {
  const { flags, pfn } = d;
  const pfnLo = lowWord(pfn) << 10;
  if ((pfnLo & PFN_LO & ~LEAF_PFN_LO[level]!) !== 0 || (pfnHi(pfn) & ~LEAF_PFN_HI[level]!) !== 0) {
    throw new InvariantError('BAD_ENTRY', `PFN ${pfn} is not aligned to a leaf of level ${level}`);
  }
  let lo = (d.restLo ^ R) & restLoMask(level);
  if ((flags & E_WRITE) !== 0) lo |= W;
  if ((flags & E_USER) !== 0) lo |= U;
  if ((flags & E_YOUNG) !== 0) lo |= A;
  if ((flags & E_DIRTY) !== 0) lo |= D;
  if ((flags & E_SPECIAL) !== 0) lo |= SPECIAL;
  if ((flags & E_PROTNONE) !== 0) lo |= PROT_NONE | (d.restLo & X);
  else {
    if ((flags & E_EXEC) !== 0) lo |= X;
    if ((flags & E_INVALID) === 0) lo |= V | ((flags & E_GLOBAL) !== 0 ? G : 0);
    if (level > 0 && (lo & LEAF) === 0) {
      throw new InvariantError('BAD_ENTRY', 'a huge leaf without R, W and X would point to a table');
    }
    if (level === 0 && (lo & V) === 0) {
      throw new InvariantError('BAD_ENTRY', 'only a huge leaf can be invalid and still mapped');
    }
  }
  out.lo = lo | pfnLo;
  out.hi = pfnHi(pfn) | (d.restHi & restHiMask(level));
}

function encodeNonPresent(d: Decoded, out: Entry): void {
  out.lo = (d.type << SWP_TYPE_SHIFT) | (lowWord(d.offset) << 12) | (d.restLo & SWP_REST_LO);
  out.hi = lowWord(Math.floor(d.offset / OFFSET_WORD));
}

/** An MMU's mode: satp.MODE, sstatus and menvcfg. */
export interface RiscvMmuOptions {
  /** Levels of tables: 3 Sv39, 4 Sv48, 5 Sv57. */
  readonly levels: 3 | 4 | 5;
  /** sstatus.SUM: the supervisor may read and write pages with U. False unless given. */
  readonly sum?: boolean;
  /** sstatus.MXR: what can be executed can be read. False unless given. */
  readonly mxr?: boolean;
  /** menvcfg.ADUE: the hardware sets A and D; false: clear ones fault. True unless given. */
  readonly adue?: boolean;
  /** menvcfg.PBMTE: bits 62:61 of leaves are PBMT, 3 is reserved; else both are reserved. False unless given. */
  readonly pbmte?: boolean;
}

/** The MMU in a mode; both halves of the addresses, under one root. `RangeError` for other numbers of levels. */
export function riscvMmu(options: RiscvMmuOptions): Mmu {
  const { levels, sum = false, mxr = false, adue = true, pbmte = false } = options;
  checkInteger('levels', levels, 3, 5);
  const reservedHi = pbmte ? ATTRIBUTES & ~PBMT : ATTRIBUTES;
  return Object.freeze({
    ...formatLevels(12, levels, 9),
    ...addressRange(11 + 9 * levels),
    name: `riscv64 Sv${12 + 9 * levels}`,
    lowHalf: true,
    highHalf: true,
    addressFault: FAULT_NOT_PRESENT,
    entryWords: 2,
    lowAt: 0,
    highAt: 1,
    pfnLowShift: 10,
    pfnHighMask: 0x7f,
    pfnHighShift: 22,
    tableTest: TABLE_TEST,
    accessedLo: adue ? A : 0,
    accessedTableLo: 0,
    dirtySetLo: adue ? D : 0,
    dirtyClearLo: 0,
    hardware(lo: number, hi: number, level: number, out: Decoded): void {
      setDecoded(out, ENTRY_NONE, 0, 0);
      if ((lo & V) === 0) return;
      const leaf = (lo & LEAF) !== 0;
      const bad = leaf ? isBadLeaf(lo, hi, level, reservedHi) : level === 0 || !isGoodTable(lo, hi);
      if (bad) {
        out.kind = ENTRY_RESERVED;
        return;
      }
      if (leaf && !adue && (lo & A) === 0) {
        out.kind = ENTRY_UNUSED;
        return;
      }
      out.kind = leaf ? ENTRY_LEAF : ENTRY_TABLE;
      out.pfn = pfnOf(lo, hi);
      out.flags = leaf ? leafFlags(lo) : E_RIGHTS | E_KERNEL_EXEC;
    },
    permits(_mmu: Mmu, flags: number, access: number): number {
      if (!mayAccess(flags, access, sum, mxr)) return FAULT_PROTECTION;
      const clean = (flags & E_DIRTY) === 0 && (access & ACCESS_WRITE) !== 0;
      return clean && !adue ? FAULT_ACCESS_FLAG : 0;
    },
  });
}

function isBadLeaf(lo: number, hi: number, level: number, reservedHi: number): boolean {
  if ((lo & (R | W)) === W || (hi & reservedHi) !== 0 || (hi & PBMT) === PBMT) return true;
  return (lo & PFN_LO & ~LEAF_PFN_LO[level]!) !== 0 || (hi & PFN_HI & ~LEAF_PFN_HI[level]!) !== 0;
}

function isGoodTable(lo: number, hi: number): boolean {
  return (lo & (U | A | D)) === 0 && (hi & ATTRIBUTES) === 0;
}

function leafFlags(lo: number): number {
  let flags = commonFlags(lo);
  if ((lo & R) !== 0) flags |= E_READ;
  if ((lo & X) !== 0) flags |= E_EXEC;
  if ((lo & G) !== 0) flags |= E_GLOBAL;
  return flags;
}

/** By R, W, X and U: the supervisor never fetches from a page with U, whatever SUM says. */
function mayAccess(flags: number, access: number, sum: boolean, mxr: boolean): boolean {
  const fetch = (access & ACCESS_EXEC) !== 0;
  const userPage = (flags & E_USER) !== 0;
  if ((access & ACCESS_USER) !== 0 ? !userPage : userPage && (fetch || !sum)) return false;
  if (fetch) return (flags & E_EXEC) !== 0;
  if ((access & ACCESS_WRITE) !== 0) return (flags & E_WRITE) !== 0;
  return (flags & (mxr ? E_READ | E_EXEC : E_READ)) !== 0;
}

function riscvFormat(levels: 3 | 4 | 5, userEnd: number): Format {
  const linux = { userEnd, taskSize: userEnd, flushBroadcasts: false, decode, encode, leafTest };
  return { ...riscvMmu({ levels }), ...linux };
}

/** 3 levels, user memory below 2^38. */
export const sv39: Format = Object.freeze(riscvFormat(3, 2 ** 38));
/** 4 levels, user memory below 2^47. */
export const sv48: Format = Object.freeze(riscvFormat(4, 2 ** 47));
/**
 * 5 levels. User memory could go up to 2^56; here it ends with the exact numbers, and a page before, because the end of a
 * range is one of them too.
 */
export const sv57: Format = Object.freeze(riscvFormat(5, 2 ** 53 - 4096));
