/**
 * arm64 with the 4 KiB granule, 48-bit addresses, four levels: Arm ARM, "VMSAv8-64 translation table format descriptors";
 * Linux's use of the software bits, of PROT_NONE and of non-present entries (reference N.20). 4 KiB pages, 2 MiB and
 * 1 GiB blocks. Our level 0 is the manual's level 3.
 *
 * | bits | table | page, block | non-present (none of the others) |
 * |---|---|---|---|
 * | 0 | 1 | VALID | 0 |
 * | 1 | 1 | page 1, block 0 | 0 |
 * | 2, 3 | – | 4:2 AttrIndx | 2 exclusive, 3 uffd-wp |
 * | 6, 7 | – | AP[1] User, AP[2] RDONLY | 10:6 swap type |
 * | 9:8, 10 | – | SH (3), AF | |
 * | 11 | – | nG; PRESENT_INVALID when bit 0 is clear | 0 |
 * | 47:12 | PFN | PFN; in a block the bits below its size are not used | 61:12 offset |
 * | 50, 52 | – | GP, CONT | |
 * | 51 | – | DBM, Linux's PTE_WRITE | |
 * | 53, 54 | – | PXN, UXN | |
 * | 55, 56, 58 | – | software: DIRTY, SPECIAL, UFFD_WP | |
 * | 59 | PXNTable | – | |
 * | 60, 61, 62 | UXNTable, APTable: no EL0, no writes | 62:60 permission overlay | |
 *
 * | DBM | RDONLY | DIRTY | meaning |
 * |---|---|---|---|
 * | 1 | 1 | 0 | writable, clean: the first write clears RDONLY |
 * | 1 | 0 | 0 | writable, dirtied by hardware (`decode` keeps it apart in restHi) |
 * | 1 | 0 | 1 | writable, dirtied by software: what `encode` makes |
 * | 0 | 1 | 0, 1 | not writable; dirty by the software bit |
 *
 * Stage 1, EL1&0, TTBR0 half; hardware management of AF and dirty state is on (TCR_EL1.HA, HD), hierarchical attributes
 * count (HPD0 = 0), output addresses have 48 bits; no tags, no contiguous hint in the TLB. The overlay index is kept but
 * not enforced (`leafTest` refuses every one but 0). Linux has no soft-dirty here: E_SOFT_DIRTY is not stored.
 */
import { InvariantError, lowWord } from '@mmkit/base';
import { ACCESS_EXEC, ACCESS_WRITE, accessRights, FAULT_NOT_PRESENT, FAULT_PROTECTION } from '../access.ts';
import {
  type Decoded,
  E_DIRTY,
  E_EXCLUSIVE,
  E_EXEC,
  E_GLOBAL,
  E_INVALID,
  E_PROTNONE,
  E_SPECIAL,
  E_UFFD_WP,
  E_USER,
  E_WRITE,
  E_YOUNG,
  ENTRY_LEAF,
  ENTRY_NONE,
  ENTRY_NONPRESENT,
  ENTRY_TABLE,
  type Entry,
  setDecoded,
} from '../flags.ts';
import type { Format } from '../format.ts';
import { addressRange, type EntryTest, formatLevels, type Mmu } from '../mmu.ts';

// Low word.
const VALID = 0x1;
const TYPE = 0x3;
/** Bit 1: set in tables and pages, clear in blocks. */
const NOT_BLOCK = 0x2;
const USER = 0x40;
const RDONLY = 0x80;
const SHARED = 0x300;
const AF = 0x400;
const NOT_GLOBAL = 0x800;
const PRESENT_INVALID = 0x800;
const SWP_EXCLUSIVE = 0x4;
const SWP_UFFD_WP = 0x8;
const SWP_TYPE_SHIFT = 6;
const SWP_TYPE_MASK = 0x1f;
const PFN_LO = 0xffff_f000 | 0;
// High word.
const PFN_HI = 0xffff;
/** PFN bits 29 and up: no simulated frame has them. */
const PFN_HI_BEYOND = 0xfe00;
const DBM = 0x0008_0000;
const PXN = 0x0020_0000;
const UXN = 0x0040_0000;
const DIRTY = 0x0080_0000;
const SPECIAL = 0x0100_0000;
const UFFD_WP = 0x0400_0000;
const OVERLAY = 0x7000_0000;
const PXN_TABLE = 0x0800_0000;
const UXN_TABLE = 0x1000_0000;
const AP_TABLE_NO_USER = 0x2000_0000;
const AP_TABLE_NO_WRITE = 0x4000_0000;
const TABLE_RIGHTS = UXN_TABLE | AP_TABLE_NO_USER | AP_TABLE_NO_WRITE;

const TABLE_REST_LO = 0xffc;
const TABLE_REST_HI = ~(PFN_HI | TABLE_RIGHTS);
/** AttrIndx, NS. */
const LEAF_REST_LO = 0x3c;
const LEAF_REST_HI = ~(PFN_HI | DBM | UXN | DIRTY | SPECIAL | UFFD_WP);
/** Kept inverted, because Linux's entries of user memory have them set. */
const LEAF_USUAL_HI = PXN;
const SWP_REST_LO = 0x833;
const SWP_REST_HI = 0xc000_0000 | 0;

const PFN_WORD = 0x10_0000;
const OFFSET_HIGH_MASK = 0x3fff_ffff;

const TABLE_TEST: EntryTest = Object.freeze({
  maskLo: TYPE,
  wantLo: TYPE,
  maskHi: PFN_HI_BEYOND | TABLE_RIGHTS,
  wantHi: 0,
});

function makeLeafTest(access: number): EntryTest {
  const lo = TYPE | USER;
  const dbm = (access & ACCESS_WRITE) !== 0 ? DBM : 0;
  const uxn = (access & ACCESS_EXEC) !== 0 ? UXN : 0;
  return Object.freeze({
    maskLo: lo,
    wantLo: lo,
    maskHi: PFN_HI_BEYOND | SPECIAL | OVERLAY | dbm | uxn,
    wantHi: dbm,
  });
}

/** By ACCESS_WRITE and ACCESS_EXEC. */
const LEAF_TESTS: readonly EntryTest[] = Object.freeze([0, 1, 2, 3].map(makeLeafTest));
/** Accepts nothing. */
const NEVER: EntryTest = Object.freeze({ maskLo: 0, wantLo: 1, maskHi: 0, wantHi: 0 });

function leafTest(access: number, inherited: number): EntryTest {
  const need = accessRights(access) | E_USER;
  return (inherited & need) === need ? LEAF_TESTS[access & (ACCESS_WRITE | ACCESS_EXEC)]! : NEVER;
}

/** The low word's PFN bits in a leaf of `level` (0 to 2). */
function leafPfnLo(level: number): number {
  return PFN_LO << (level * 9);
}

function pfnOf(lo: number, hi: number): number {
  const high = hi & PFN_HI;
  // Without the test every PFN would be a double: decode takes 20 ns instead of 10.
  return high < 0x800 ? (high << 20) | (lo >>> 12) : high * PFN_WORD + (lo >>> 12);
}

function pfnHi(pfn: number): number {
  return pfn < PFN_WORD ? 0 : lowWord(pfn / PFN_WORD) & PFN_HI;
}

/** Bit 1 of a leaf of `level`. */
function notBlock(level: number): number {
  return level === 0 ? NOT_BLOCK : 0;
}

function isTable(lo: number, level: number): boolean {
  return level > 0 && (lo & TYPE) === TYPE;
}

/** A page or block to the hardware. */
function isLeaf(lo: number, level: number): boolean {
  return level < 3 && (lo & TYPE) === (VALID | notBlock(level));
}

function decode(lo: number, hi: number, level: number, out: Decoded): void {
  setDecoded(out, ENTRY_NONE, 0, 0);
  if ((lo | hi) === 0) return;
  if (isTable(lo, level)) decodeTable(lo, hi, out);
  else if (isLeaf(lo, level) || (level < 3 && (lo & (VALID | PRESENT_INVALID)) === PRESENT_INVALID)) {
    decodeLeaf(lo, hi, level, out);
  } else decodeNonPresent(lo, hi, out);
}

/** What a table passes on. */
function tableRights(hi: number): number {
  let flags = 0;
  if ((hi & AP_TABLE_NO_WRITE) === 0) flags |= E_WRITE;
  if ((hi & AP_TABLE_NO_USER) === 0) flags |= E_USER;
  if ((hi & UXN_TABLE) === 0) flags |= E_EXEC;
  return flags;
}

function decodeTable(lo: number, hi: number, out: Decoded): void {
  out.kind = ENTRY_TABLE;
  out.pfn = pfnOf(lo, hi);
  out.flags = tableRights(hi);
  out.restLo = lo & TABLE_REST_LO;
  out.restHi = (hi ^ PXN_TABLE) & TABLE_REST_HI;
}

function decodeLeaf(lo: number, hi: number, level: number, out: Decoded): void {
  const valid = (lo & VALID) !== 0;
  let flags = (hi & UXN) === 0 ? E_EXEC : 0;
  if ((lo & USER) !== 0) flags |= E_USER;
  if ((lo & AF) !== 0) flags |= E_YOUNG;
  if ((hi & SPECIAL) !== 0) flags |= E_SPECIAL;
  if ((hi & UFFD_WP) !== 0) flags |= E_UFFD_WP;
  if (valid) flags |= (lo & NOT_GLOBAL) === 0 ? E_GLOBAL : 0;
  else flags |= (flags & (E_USER | E_EXEC)) === 0 ? E_PROTNONE : E_INVALID;
  let restLo = (lo & LEAF_REST_LO) | (~lo & SHARED) | ((lo ^ notBlock(level)) & NOT_BLOCK);
  let restHi = (hi ^ LEAF_USUAL_HI) & LEAF_REST_HI;
  if ((hi & DBM) !== 0) {
    flags |= E_WRITE;
    if ((hi & DIRTY) !== 0 || (lo & RDONLY) === 0) flags |= E_DIRTY;
    // Beside E_WRITE and E_DIRTY: RDONLY in spite of DIRTY; dirtied by hardware alone.
    if ((hi & DIRTY) !== 0) restLo |= lo & RDONLY;
    else if ((lo & RDONLY) === 0) restHi |= DIRTY;
  } else {
    if ((hi & DIRTY) !== 0) flags |= E_DIRTY;
    // Beside no E_WRITE: the hardware lets writes through, Linux does not know.
    if ((lo & RDONLY) === 0) restHi |= DBM;
  }
  out.kind = ENTRY_LEAF;
  out.pfn = pfnOf(lo & leafPfnLo(level), hi);
  out.flags = flags;
  out.restLo = restLo | (lo & PFN_LO & ~leafPfnLo(level));
  out.restHi = restHi;
}

function decodeNonPresent(lo: number, hi: number, out: Decoded): void {
  out.kind = ENTRY_NONPRESENT;
  out.type = (lo >>> SWP_TYPE_SHIFT) & SWP_TYPE_MASK;
  out.offset = (hi & OFFSET_HIGH_MASK) * PFN_WORD + (lo >>> 12);
  if ((lo & SWP_EXCLUSIVE) !== 0) out.flags |= E_EXCLUSIVE;
  if ((lo & SWP_UFFD_WP) !== 0) out.flags |= E_UFFD_WP;
  out.restLo = lo & SWP_REST_LO;
  out.restHi = hi & SWP_REST_HI;
}

function encode(d: Decoded, level: number, out: Entry): void {
  if (d.kind === ENTRY_TABLE && level > 0) encodeTable(d, out);
  else if (d.kind === ENTRY_LEAF && level < 3) encodeLeaf(d, level, out);
  else if (d.kind === ENTRY_NONPRESENT) encodeNonPresent(d, out);
  else if (d.kind === ENTRY_NONE) {
    out.lo = 0;
    out.hi = 0;
  } else throw new InvariantError('BAD_ENTRY', `arm64 has no entry of kind ${d.kind} at level ${level}`);
}

function encodeTable(d: Decoded, out: Entry): void {
  const { flags, pfn } = d;
  let hi = pfnHi(pfn) | ((d.restHi ^ PXN_TABLE) & TABLE_REST_HI);
  if ((flags & E_WRITE) === 0) hi |= AP_TABLE_NO_WRITE;
  if ((flags & E_USER) === 0) hi |= AP_TABLE_NO_USER;
  if ((flags & E_EXEC) === 0) hi |= UXN_TABLE;
  out.lo = TYPE | (lowWord(pfn) << 12) | (d.restLo & TABLE_REST_LO);
  out.hi = hi;
}

function encodeLeaf(d: Decoded, level: number, out: Entry): void {
  const { flags, pfn, restLo, restHi } = d;
  const pfnLoMask = leafPfnLo(level);
  const protnone = (flags & E_PROTNONE) !== 0;
  const valid = (flags & (E_PROTNONE | E_INVALID)) === 0;
  if (((lowWord(pfn) << 12) & ~pfnLoMask) !== 0) {
    throw new InvariantError('BAD_ENTRY', `PFN ${pfn} is not aligned to a leaf of level ${level}`);
  }
  if ((flags & (E_PROTNONE | E_INVALID | E_USER | E_EXEC)) === E_INVALID) {
    throw new InvariantError('BAD_ENTRY', 'an invalid leaf without User and Exec would be PROT_NONE');
  }
  const write = (flags & E_WRITE) !== 0;
  const dirty = (flags & E_DIRTY) !== 0;
  let lo = (restLo & (LEAF_REST_LO | (PFN_LO & ~pfnLoMask))) | (~restLo & SHARED) | notBlock(level);
  let hi = (restHi ^ LEAF_USUAL_HI) & LEAF_REST_HI;
  if (valid) lo |= VALID | ((flags & E_GLOBAL) === 0 ? NOT_GLOBAL : 0);
  else lo = (lo | PRESENT_INVALID) ^ (restLo & NOT_BLOCK);
  if (write) {
    hi |= DBM;
    if (!dirty) lo |= RDONLY;
    else if ((restHi & DIRTY) === 0) {
      hi |= DIRTY;
      lo |= restLo & RDONLY;
    }
  } else {
    if (dirty) hi |= DIRTY;
    if ((restHi & DBM) === 0) lo |= RDONLY;
  }
  if ((flags & E_USER) !== 0 && !protnone) lo |= USER;
  if ((flags & E_EXEC) === 0 || protnone) hi |= UXN;
  if ((flags & E_YOUNG) !== 0) lo |= AF;
  if ((flags & E_SPECIAL) !== 0) hi |= SPECIAL;
  if ((flags & E_UFFD_WP) !== 0) hi |= UFFD_WP;
  out.lo = lo | (lowWord(pfn) << 12);
  out.hi = hi | pfnHi(pfn);
}

function encodeNonPresent(d: Decoded, out: Entry): void {
  let lo = (d.type << SWP_TYPE_SHIFT) | (lowWord(d.offset) << 12) | (d.restLo & SWP_REST_LO);
  if ((d.flags & E_EXCLUSIVE) !== 0) lo |= SWP_EXCLUSIVE;
  if ((d.flags & E_UFFD_WP) !== 0) lo |= SWP_UFFD_WP;
  out.lo = lo;
  out.hi = (lowWord(Math.floor(d.offset / PFN_WORD)) & OFFSET_HIGH_MASK) | (d.restHi & SWP_REST_HI);
}

function hardware(lo: number, hi: number, level: number, out: Decoded): void {
  setDecoded(out, ENTRY_NONE, 0, 0);
  if (isTable(lo, level)) {
    out.kind = ENTRY_TABLE;
    out.pfn = pfnOf(lo, hi);
    out.flags = tableRights(hi);
  } else if (isLeaf(lo, level)) {
    let flags = (hi & UXN) === 0 ? E_EXEC : 0;
    if ((lo & USER) !== 0) flags |= E_USER;
    if ((lo & RDONLY) === 0) flags |= E_WRITE | E_DIRTY;
    else if ((hi & DBM) !== 0) flags |= E_WRITE;
    if ((lo & AF) !== 0) flags |= E_YOUNG;
    if ((lo & NOT_GLOBAL) === 0) flags |= E_GLOBAL;
    out.kind = ENTRY_LEAF;
    out.pfn = pfnOf(lo & leafPfnLo(level), hi);
    out.flags = flags;
  }
}

/** User mode may fetch where it may not read: E_USER counts for data only. */
function permits(_mmu: Mmu, flags: number, access: number): number {
  const fetch = (access & ACCESS_EXEC) !== 0;
  const need = accessRights(access) & (fetch ? ~E_USER : -1);
  return (flags & need) === need ? 0 : FAULT_PROTECTION;
}

export const arm64: Format = Object.freeze({
  ...formatLevels(12, 4, 9),
  ...addressRange(48),
  name: 'arm64 4K 48-bit',
  lowHalf: true,
  highHalf: false,
  userEnd: 0x1_0000_0000_0000,
  taskSize: 0x1_0000_0000_0000,
  entryWords: 2,
  lowAt: 0,
  highAt: 1,
  pfnLowShift: 12,
  pfnHighMask: 0x1ff,
  pfnHighShift: 20,
  tableTest: TABLE_TEST,
  accessedLo: AF,
  accessedTableLo: 0,
  dirtySetLo: 0,
  dirtyClearLo: RDONLY,
  addressFault: FAULT_NOT_PRESENT,
  flushBroadcasts: true,
  decode,
  encode,
  hardware,
  permits,
  leafTest,
});
