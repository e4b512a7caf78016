/**
 * What Linux keeps in x86-64's entries, with four or five levels (reference N.19): software bits, PROT_NONE, non-present
 * entries. What the MMU makes of the bits is x86_64-mmu.ts. Leaves of 4 KiB, 2 MiB and 1 GiB: none at levels 3 and 4.
 *
 * | bits | table | leaf | non-present (bits 0, 8 and, at levels 1 and 2, 7 clear) |
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
 * `decode` gives E_DIRTY for either bit; where SAVED_DIRTY stands beside RW or Dirty, which Linux never makes, restHi keeps
 * it, and restLo's Dirty says that the hardware's bit is clear. Other bits without a meaning survive in the same way, the
 * protection key among them; PAT is bit 7 of restLo at every level, so that leaves can be split and joined.
 * E_SHADOW_STACK means nothing without E_DIRTY or beside E_WRITE: `encode` drops it.
 *
 * The formats' own mode is a CPU without SMEP, SMAP and protection keys, MAXPHYADDR 52 (`leafTest` refuses every key but
 * 0). For another, lay its MMU over the format: `{ ...x86_64, ...x86Mmu({ maxphyaddr: 46 }) }`.
 */
import { InvariantError, lowWord } from '@mmkit/base';
import { ACCESS_EXEC, ACCESS_WRITE, accessRights } from '../access.ts';
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
  ENTRY_TABLE,
  type Entry,
  setDecoded,
} from '../flags.ts';
import type { Format } from '../format.ts';
import type { EntryTest } from '../mmu.ts';
import {
  commonFlags,
  DIRTY,
  GLOBAL,
  leafPfnLo,
  NX,
  PAT_LARGE,
  PFN_HI,
  PFN_HI_BEYOND,
  PFN_LO,
  PFN_WORD,
  pfnOf,
  PKEY,
  PRESENT,
  PSE,
  RW,
  USER,
  x86Mmu,
} from './x86_64-mmu.ts';

// Low word.
const PAT = 0x80;
const PROTNONE = 0x100;
const SPECIAL = 0x200;
const UFFD_WP = 0x400;
const SOFT_DIRTY = 0x800;
const SWP_SOFT_DIRTY = 0x2;
const SWP_UFFD_WP = 0x4;
const SWP_EXCLUSIVE = 0x8;
// High word.
const SAVED_DIRTY = 0x0400_0000;

const TABLE_REST_LO = 0xf98;
const TABLE_REST_HI = 0x7ff0_0000;
const LEAF_REST_LO = 0x18;
/** From PAT_LARGE down to PAT. */
const PAT_SHIFT = 5;
const LEAF_REST_HI = 0x7bf0_0000;
const SWP_REST_LO = 0x1f0;

const PFN_END = 2 ** 40;
const TYPE_END = 32;
const OFFSET_END = 2 ** 50;
const OFFSET_LOW = 0x80_0000;
const OFFSET_HIGH_MASK = 0x07ff_ffff;

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

/** The low word's bits of E_WRITE, E_USER and E_YOUNG. */
function commonLo(flags: number): number {
  return ((flags & (E_WRITE | E_USER)) << 1) | ((flags & E_YOUNG) << 2);
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
  out.restLo = restOf(lo, level);
  out.restHi = hi & LEAF_REST_HI;
  if ((hi & SAVED_DIRTY) !== 0 && (lo & (RW | DIRTY)) !== 0) {
    out.restHi |= SAVED_DIRTY;
    out.restLo |= ~lo & DIRTY;
  }
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

/** A huge leaf's bits of the low word that restLo keeps where they are: PWT, PCD and what lies under the PFN. */
function hugeRestLo(level: number): number {
  return LEAF_REST_LO | (PFN_LO & ~leafPfnLo(level) & ~PAT_LARGE);
}

/** What restLo keeps of a leaf's low word. */
function restOf(lo: number, level: number): number {
  return level === 0 ? lo & (LEAF_REST_LO | PAT) : (lo & hugeRestLo(level)) | ((lo & PAT_LARGE) >>> PAT_SHIFT);
}

/** The low word's bits that restLo stands for. */
function restBits(restLo: number, level: number): number {
  return level === 0 ? restLo & (LEAF_REST_LO | PAT) : (restLo & hugeRestLo(level)) | ((restLo & PAT) << PAT_SHIFT);
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

function checkField(name: string, value: number, end: number): void {
  if (!(value >= 0 && value < end)) throw new InvariantError('BAD_ENTRY', `${name} ${value} does not fit in an entry`);
}

function pfnHi(pfn: number): number {
  return pfn < PFN_WORD ? 0 : lowWord(pfn / PFN_WORD) & PFN_HI;
}

function encodeTable(d: Decoded, out: Entry): void {
  const { flags, pfn } = d;
  checkField('PFN', pfn, PFN_END);
  const dirty = (flags & E_DIRTY) !== 0 ? DIRTY : 0;
  out.lo = PRESENT | commonLo(flags) | dirty | (lowWord(pfn) << 12) | (d.restLo & TABLE_REST_LO);
  out.hi = pfnHi(pfn) | ((flags & E_EXEC) === 0 ? NX : 0) | (d.restHi & TABLE_REST_HI);
}

function encodeLeaf(d: Decoded, level: number, out: Entry): void {
  const { flags, pfn } = d;
  const pfnLoMask = leafPfnLo(level);
  const absent = (flags & (E_PROTNONE | E_INVALID)) !== 0;
  checkField('PFN', pfn, PFN_END);
  if (((lowWord(pfn) << 12) & ~pfnLoMask) !== 0) {
    throw new InvariantError('BAD_ENTRY', `PFN ${pfn} is not aligned to a leaf of level ${level}`);
  }
  if (level === 0 && (flags & (E_PROTNONE | E_INVALID)) === E_INVALID) {
    throw new InvariantError('BAD_ENTRY', 'only a huge leaf can be invalid and still mapped');
  }
  let lo = commonLo(flags) | (level > 0 ? PSE : 0) | restBits(d.restLo, level);
  let hi = d.restHi & LEAF_REST_HI;
  if ((flags & E_DIRTY) !== 0) {
    if ((flags & (E_WRITE | E_SHADOW_STACK)) === 0) hi |= SAVED_DIRTY;
    else {
      lo |= DIRTY & ~d.restLo;
      hi |= d.restHi & SAVED_DIRTY;
    }
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
  checkField('swap type', d.type, TYPE_END);
  checkField('swap offset', d.offset, OFFSET_END);
  let lo = (~lowWord(d.offset) << 9) | (d.restLo & SWP_REST_LO);
  if ((d.flags & E_SOFT_DIRTY) !== 0) lo |= SWP_SOFT_DIRTY;
  if ((d.flags & E_UFFD_WP) !== 0) lo |= SWP_UFFD_WP;
  if ((d.flags & E_EXCLUSIVE) !== 0) lo |= SWP_EXCLUSIVE;
  const hi = (d.type << 27) | (~lowWord(Math.floor(d.offset / OFFSET_LOW)) & OFFSET_HIGH_MASK);
  if ((lo | hi) === 0) throw new InvariantError('BAD_ENTRY', 'swap type 0 with the last offset would be none');
  out.lo = lo;
  out.hi = hi;
}

function x86Format(la57: boolean, userEnd: number, taskSize: number): Format {
  const mmu = x86Mmu({ la57, smep: false, smap: false, pke: false });
  return { ...mmu, userEnd, taskSize, flushBroadcasts: false, decode, encode, leafTest };
}

/** The last page stays empty. */
const LAST_PAGE = 4096;

/** 4 levels. SYSRET to an address of 2^47, the end of the last page, would fault in the kernel. */
export const x86_64: Format = Object.freeze(x86Format(false, 2 ** 47, 2 ** 47 - LAST_PAGE));
/**
 * 5 levels. User memory could go up to 2^56 − 4096; here it ends with the exact numbers, and a page before, because the
 * end of a range is one of them too.
 */
export const x86_64La57: Format = Object.freeze(x86Format(true, 2 ** 53 - LAST_PAGE, 2 ** 53 - LAST_PAGE));
