/**
 * x86-64 with four levels: Intel SDM volume 3, "4-level paging"; Linux's use of the software bits, of PROT_NONE and of
 * non-present entries (reference N.19). 4 KiB, 2 MiB and 1 GiB leaves.
 *
 * | bits | table | leaf | non-present (bits 0, 8 and, above level 0, 7 clear) |
 * |---|---|---|---|
 * | 0 | Present | Present | 0 |
 * | 1 | RW | RW | soft-dirty |
 * | 2 | User | User | uffd-wp |
 * | 3, 4 | PWT, PCD | PWT, PCD | 3 exclusive |
 * | 5, 6 | Accessed, – | Accessed, Dirty | not used |
 * | 7 | 0 | level 0 PAT, else 1 (PSE) | 0 |
 * | 8 | – | Global; PROTNONE when bit 0 is clear | 0 |
 * | 9, 10, 11 | – | SPECIAL, UFFD_WP, SOFT_DIRTY | 57:9 and 58: ~offset |
 * | 12 | PFN | PFN; above level 0 PAT | |
 * | 51:12 | PFN | PFN; inverted when bit 0 is clear; below the leaf's size 0 | |
 * | 58 | – | SAVED_DIRTY | |
 * | 62:59 | – | protection key | 63:59 swap type |
 * | 63 | NX | NX | |
 *
 * Not writable and Dirty means shadow stack, so a dirty leaf that is write-protected keeps SAVED_DIRTY instead.
 * `decode` gives E_DIRTY for either; the only values `encode` does not give back are those with two dirty bits, or
 * SAVED_DIRTY in a writable leaf, which Linux never makes: they come back with the one bit that belongs there.
 * MAXPHYADDR is 52, NX is on, protection keys are kept but not enforced (`leafTest` refuses every key but 0).
 */
import { InvariantError, lowWord } from '@mmkit/base';
import { ACCESS_EXEC, ACCESS_WRITE, accessRights, FAULT_NON_CANONICAL } from '../access.ts';
import {
  type Decoded,
  E_DIRTY,
  E_EXCLUSIVE,
  E_EXEC,
  E_GLOBAL,
  E_INVALID,
  E_PROTNONE,
  E_SHADOW_STACK,
  E_SOFT_DIRTY,
  E_SPECIAL,
  E_UFFD_WP,
  E_USER,
  E_WRITE,
  E_YOUNG,
  ENTRY_LEAF,
  ENTRY_NONE,
  ENTRY_NONPRESENT,
  ENTRY_RESERVED,
  ENTRY_TABLE,
  type Entry,
  setDecoded,
} from '../flags.ts';
import type { Format } from '../format.ts';
import { addressRange, type EntryTest, formatLevels, permitsByRights } from '../mmu.ts';

// Low word.
const PRESENT = 0x1;
const RW = 0x2;
const USER = 0x4;
const ACCESSED = 0x20;
const DIRTY = 0x40;
const PSE = 0x80;
const GLOBAL = 0x100;
const PROTNONE = 0x100;
const SPECIAL = 0x200;
const UFFD_WP = 0x400;
const SOFT_DIRTY = 0x800;
const PAT_LARGE = 0x1000;
const SWP_SOFT_DIRTY = 0x2;
const SWP_UFFD_WP = 0x4;
const SWP_EXCLUSIVE = 0x8;
const PFN_LO = 0xffff_f000 | 0;
// High word.
const PFN_HI = 0x000f_ffff;
const SAVED_DIRTY = 0x0400_0000;
const PKEY = 0x7800_0000;
const NX = 0x8000_0000 | 0;
/** PFN bits 29 and up: no simulated frame has them. */
const PFN_HI_BEYOND = 0x000f_fe00;

const TABLE_REST_LO = 0xf98;
const TABLE_REST_HI = 0x7ff0_0000;
const LEAF_REST_LO = 0x18;
const LEAF_REST_HI = 0x7bf0_0000;
const SWP_REST_LO = 0x1f0;

const PFN_WORD = 0x10_0000;
const OFFSET_LOW = 0x80_0000;
const OFFSET_HIGH_MASK = 0x07ff_ffff;

const TABLE_TEST: EntryTest = Object.freeze({
  maskLo: PRESENT | RW | USER | PSE,
  wantLo: PRESENT | RW | USER,
  maskHi: PFN_HI_BEYOND | NX,
  wantHi: 0,
});

function makeLeafTest(access: number): EntryTest {
  const rights = PRESENT | USER | ((access & ACCESS_WRITE) !== 0 ? RW : 0);
  const nx = (access & ACCESS_EXEC) !== 0 ? NX : 0;
  return Object.freeze({ maskLo: rights | SPECIAL, wantLo: rights, maskHi: PFN_HI_BEYOND | PKEY | nx, wantHi: 0 });
}

/** By ACCESS_WRITE and ACCESS_EXEC. */
const LEAF_TESTS: readonly EntryTest[] = Object.freeze([0, 1, 2, 3].map(makeLeafTest));
/** Accepts nothing. */
const NEVER: EntryTest = Object.freeze({ maskLo: 0, wantLo: 1, maskHi: 0, wantHi: 0 });

function leafTest(access: number, inherited: number): EntryTest {
  const need = accessRights(access) | E_USER;
  return (inherited & need) === need ? LEAF_TESTS[access & (ACCESS_WRITE | ACCESS_EXEC)]! : NEVER;
}

/** Flags of bits 1 (E_WRITE), 2 (E_USER), 5 (E_YOUNG), 6 (E_DIRTY) and 63 (no E_EXEC); the bits lie in that order. */
function commonFlags(lo: number, hi: number): number {
  return ((lo >>> 1) & (E_WRITE | E_USER)) | ((lo >>> 2) & (E_YOUNG | E_DIRTY)) | ((~hi >>> 29) & E_EXEC);
}

/** The low word's bits of E_WRITE, E_USER and E_YOUNG. */
function commonLo(flags: number): number {
  return ((flags & (E_WRITE | E_USER)) << 1) | ((flags & E_YOUNG) << 2);
}

/** The low word's PFN bits in a leaf of `level` (0 to 2). */
function leafPfnLo(level: number): number {
  return PFN_LO << (level * 9);
}

function pfnOf(lo: number, hi: number): number {
  const high = hi & PFN_HI;
  // Without the test every PFN would be a double: decode takes 20 ns instead of 10.
  return high === 0 ? lo >>> 12 : high * PFN_WORD + (lo >>> 12);
}

function decode(lo: number, hi: number, level: number, out: Decoded): void {
  setDecoded(out, ENTRY_NONE, 0, 0);
  if ((lo | hi) === 0) return;
  const huge = (level === 1 || level === 2) && (lo & PSE) !== 0;
  if ((lo & PRESENT) !== 0 && level !== 0 && !huge) decodeTable(lo, hi, out);
  else if (huge || (level === 0 && (lo & (PRESENT | PROTNONE)) !== 0)) decodeLeaf(lo, hi, level, out);
  else decodeNonPresent(lo, hi, out);
}

function decodeTable(lo: number, hi: number, out: Decoded): void {
  out.kind = ENTRY_TABLE;
  out.pfn = pfnOf(lo, hi);
  out.flags = commonFlags(lo, hi);
  out.restLo = lo & TABLE_REST_LO;
  out.restHi = hi & TABLE_REST_HI;
}

function decodeLeaf(lo: number, hi: number, level: number, out: Decoded): void {
  const present = (lo & PRESENT) !== 0;
  const invert = present ? 0 : -1;
  let flags = commonFlags(lo, hi);
  if ((hi & SAVED_DIRTY) !== 0) flags |= E_DIRTY;
  if ((lo & (DIRTY | RW)) === DIRTY) flags |= E_SHADOW_STACK;
  if ((lo & SPECIAL) !== 0) flags |= E_SPECIAL;
  if ((lo & UFFD_WP) !== 0) flags |= E_UFFD_WP;
  if ((lo & SOFT_DIRTY) !== 0) flags |= E_SOFT_DIRTY;
  if (present) flags |= (lo & GLOBAL) !== 0 ? E_GLOBAL : 0;
  else flags |= (lo & PROTNONE) !== 0 ? E_PROTNONE : E_INVALID;
  out.kind = ENTRY_LEAF;
  out.pfn = pfnOf((lo ^ invert) & leafPfnLo(level), hi ^ invert);
  out.restLo = lo & restLoMask(level);
  out.restHi = hi & LEAF_REST_HI;
  if ((flags & E_PROTNONE) !== 0) {
    flags &= ~E_EXEC;
    out.restHi |= hi & NX;
  }
  out.flags = flags;
}

function decodeNonPresent(lo: number, hi: number, out: Decoded): void {
  out.kind = ENTRY_NONPRESENT;
  out.type = hi >>> 27;
  out.offset = (~hi & OFFSET_HIGH_MASK) * OFFSET_LOW + (~lo >>> 9);
  if ((lo & SWP_SOFT_DIRTY) !== 0) out.flags |= E_SOFT_DIRTY;
  if ((lo & SWP_UFFD_WP) !== 0) out.flags |= E_UFFD_WP;
  if ((lo & SWP_EXCLUSIVE) !== 0) out.flags |= E_EXCLUSIVE;
  out.restLo = lo & SWP_REST_LO;
}

/** Bits of a leaf's low word kept raw: PWT, PCD, PAT and what lies under the PFN of a huge leaf. */
function restLoMask(level: number): number {
  return level === 0 ? LEAF_REST_LO | PSE : LEAF_REST_LO | (PFN_LO & ~leafPfnLo(level));
}

function encode(d: Decoded, level: number, out: Entry): void {
  if (d.kind === ENTRY_TABLE && level > 0) encodeTable(d, out);
  else if (d.kind === ENTRY_LEAF && level < 3) encodeLeaf(d, level, out);
  else if (d.kind === ENTRY_NONPRESENT) encodeNonPresent(d, out);
  else if (d.kind === ENTRY_NONE) {
    out.lo = 0;
    out.hi = 0;
  } else throw new InvariantError('BAD_ENTRY', `x86-64 has no entry of kind ${d.kind} at level ${level}`);
}

function pfnHi(pfn: number): number {
  return pfn < PFN_WORD ? 0 : lowWord(pfn / PFN_WORD) & PFN_HI;
}

function encodeTable(d: Decoded, out: Entry): void {
  const { flags, pfn } = d;
  const dirty = (flags & E_DIRTY) !== 0 ? DIRTY : 0;
  out.lo = PRESENT | commonLo(flags) | dirty | (lowWord(pfn) << 12) | (d.restLo & TABLE_REST_LO);
  out.hi = pfnHi(pfn) | ((flags & E_EXEC) === 0 ? NX : 0) | (d.restHi & TABLE_REST_HI);
}

function encodeLeaf(d: Decoded, level: number, out: Entry): void {
  const { flags, pfn } = d;
  const pfnLoMask = leafPfnLo(level);
  const absent = (flags & (E_PROTNONE | E_INVALID)) !== 0;
  if (((lowWord(pfn) << 12) & ~pfnLoMask) !== 0) {
    throw new InvariantError('BAD_ENTRY', `PFN ${pfn} is not aligned to a leaf of level ${level}`);
  }
  if (level === 0 && (flags & (E_PROTNONE | E_INVALID)) === E_INVALID) {
    throw new InvariantError('BAD_ENTRY', 'only a huge leaf can be invalid and still mapped');
  }
  let lo = commonLo(flags) | (level > 0 ? PSE : 0) | (d.restLo & restLoMask(level));
  let hi = d.restHi & LEAF_REST_HI;
  if ((flags & E_DIRTY) !== 0) {
    if ((flags & (E_WRITE | E_SHADOW_STACK)) !== 0) lo |= DIRTY;
    else hi |= SAVED_DIRTY;
  }
  if ((flags & E_SPECIAL) !== 0) lo |= SPECIAL;
  if ((flags & E_UFFD_WP) !== 0) lo |= UFFD_WP;
  if ((flags & E_SOFT_DIRTY) !== 0) lo |= SOFT_DIRTY;
  if (!absent) lo |= PRESENT | ((flags & E_GLOBAL) !== 0 ? GLOBAL : 0);
  if ((flags & E_PROTNONE) !== 0) {
    lo |= PROTNONE;
    hi |= d.restHi & NX;
  } else if ((flags & E_EXEC) === 0) hi |= NX;
  const invert = absent ? -1 : 0;
  out.lo = lo | (((lowWord(pfn) << 12) ^ invert) & pfnLoMask);
  out.hi = hi | ((pfnHi(pfn) ^ invert) & PFN_HI);
}

function encodeNonPresent(d: Decoded, out: Entry): void {
  let lo = (~lowWord(d.offset) << 9) | (d.restLo & SWP_REST_LO);
  if ((d.flags & E_SOFT_DIRTY) !== 0) lo |= SWP_SOFT_DIRTY;
  if ((d.flags & E_UFFD_WP) !== 0) lo |= SWP_UFFD_WP;
  if ((d.flags & E_EXCLUSIVE) !== 0) lo |= SWP_EXCLUSIVE;
  out.lo = lo;
  out.hi = (d.type << 27) | (~lowWord(Math.floor(d.offset / OFFSET_LOW)) & OFFSET_HIGH_MASK);
}

function hardware(lo: number, hi: number, level: number, out: Decoded): void {
  setDecoded(out, ENTRY_NONE, 0, 0);
  if ((lo & PRESENT) === 0) return;
  const leaf = level === 0 || (lo & PSE) !== 0;
  if (leaf && (level === 3 || (lo & PFN_LO & ~leafPfnLo(level) & ~PAT_LARGE) !== 0)) {
    out.kind = ENTRY_RESERVED;
    return;
  }
  out.kind = leaf ? ENTRY_LEAF : ENTRY_TABLE;
  out.pfn = pfnOf(leaf ? lo & leafPfnLo(level) : lo, hi);
  out.flags = commonFlags(lo, hi) | (leaf && (lo & GLOBAL) !== 0 ? E_GLOBAL : 0);
}

export const x86_64: Format = Object.freeze({
  ...formatLevels(12, 4, 9),
  ...addressRange(47),
  name: 'x86-64 4-level',
  lowHalf: true,
  highHalf: true,
  userEnd: 0x8000_0000_0000,
  // The last page stays empty: SYSRET to an address of 2^47 would fault in the kernel.
  taskSize: 0x7fff_ffff_f000,
  entryWords: 2,
  lowAt: 0,
  highAt: 1,
  pfnLowShift: 12,
  pfnHighMask: 0x1ff,
  pfnHighShift: 20,
  tableTest: TABLE_TEST,
  accessedLo: ACCESSED,
  accessedTableLo: ACCESSED,
  dirtySetLo: DIRTY,
  dirtyClearLo: 0,
  addressFault: FAULT_NON_CANONICAL,
  flushBroadcasts: false,
  decode,
  encode,
  hardware,
  permits: permitsByRights,
  leafTest,
});
