/**
 * arm64's entries as Linux keeps them, for each granule and size of addresses (reference N.20): software bits, PROT_NONE,
 * non-present entries. What the hardware reads in them: arm64-descriptor.ts, arm64-mmu.ts.
 *
 * | bits | page, block | non-present (neither VALID nor PRESENT_INVALID) |
 * |---|---|---|
 * | 0, 1 | see arm64-descriptor.ts | 0 |
 * | 2, 3 | AttrIndx | exclusive, uffd-wp |
 * | 10:6 | User, RDONLY, SH, AF | swap type |
 * | 9:8 | SH: 3 (with LPA2 address) | |
 * | 11 | nG; PRESENT_INVALID when bit 0 is clear | 0 |
 * | 51 | DBM: Linux's PTE_WRITE | 61:12 offset, with every granule |
 * | 53, 54 | PXN, UXN | |
 * | 55, 56, 58 | software: DIRTY, SPECIAL, UFFD_WP | |
 *
 * | DBM | RDONLY | DIRTY | meaning |
 * |---|---|---|---|
 * | 1 | 1 | 0 | writable, clean: the first write clears RDONLY |
 * | 1 | 0 | 0 | writable, dirtied by hardware (`decode` keeps it apart in restHi) |
 * | 1 | 0 | 1 | writable, dirtied by software: what `encode` makes |
 * | 0 | 1 | 0, 1 | not writable; dirty by the software bit |
 *
 * Tables of user memory have PXNTable set. The MMU is in the mode of `arm64Mmu`'s defaults, with 48-bit or 52-bit
 * physical addresses like the virtual ones. The overlay index is kept but not enforced (`leafTest` refuses every one but
 * 0), the contiguous bit is kept (arm64-contiguous.ts). Linux has no soft-dirty here: E_SOFT_DIRTY is not stored.
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
  AF,
  AP_TABLE_NO_USER,
  AP_TABLE_NO_WRITE,
  type Arm64Layout,
  arm64Layout,
  DBM,
  isLeaf,
  isTable,
  NOT_BLOCK,
  NOT_GLOBAL,
  notBlock,
  pfnHigh,
  pfnLow,
  pfnOf,
  PXN,
  PXN_TABLE,
  RDONLY,
  TABLE_RIGHTS,
  tableRights,
  TYPE,
  USER,
  UXN,
  UXN_TABLE,
  VALID,
} from './arm64-descriptor.ts';
import { arm64Mmu } from './arm64-mmu.ts';

// Low word.
const SHARED = 0x300;
const PRESENT_INVALID = 0x800;
const SWP_EXCLUSIVE = 0x4;
const SWP_UFFD_WP = 0x8;
const SWP_TYPE_SHIFT = 6;
const SWP_TYPE_MASK = 0x1f;
// High word.
const DIRTY = 0x0080_0000;
const SPECIAL = 0x0100_0000;
const UFFD_WP = 0x0400_0000;
const OVERLAY = 0x7000_0000;

/** Kept inverted, because Linux's entries of user memory have them set. */
const LEAF_USUAL_HI = PXN;
const SWP_REST_LO = 0x833;
const SWP_REST_HI = 0xc000_0000 | 0;
const OFFSET_UNIT = 0x10_0000;
const OFFSET_HIGH_MASK = 0x3fff_ffff;

/** A format of arm64; see `arm64Format`. */
export interface Arm64Format extends Format {
  /** Entries that share a TLB entry when they have the contiguous bit, by level; 1 where it means nothing. */
  readonly contiguous: ArrayLike<number>;
}

/** A layout with the bits that Linux's half keeps as they are. */
interface LinuxLayout extends Arm64Layout {
  readonly name: string;
  /** SH, where the address does not take its place. */
  readonly shared: number;
  readonly tableRestLo: number;
  readonly tableRestHi: number;
  /** AttrIndx, NS, and what lies between bit 11 and the address. */
  readonly leafRestLo: number;
  readonly leafRestHi: number;
}

function linuxLayout(granule: number, ds: boolean, name: string): LinuxLayout {
  const layout = arm64Layout(granule, ds);
  const { pageShift, topLo } = layout;
  const unused = ((1 << pageShift) - 1) & ~0xfff;
  const pfnHi = layout.pfnHi[0]!;
  return {
    ...layout,
    name,
    shared: SHARED & ~topLo,
    tableRestLo: (0xffc | unused) & ~topLo,
    tableRestHi: ~(pfnHi | TABLE_RIGHTS),
    leafRestLo: (0x3c | unused) & ~topLo,
    leafRestHi: ~(pfnHi | DBM | UXN | DIRTY | SPECIAL | UFFD_WP),
  };
}

/** By ACCESS_WRITE and ACCESS_EXEC. */
function makeLeafTests({ topLo, pfnHi, pageShift }: LinuxLayout): readonly EntryTest[] {
  const want = TYPE | USER;
  const beyond = pfnHi[0]! & (-1 << (pageShift - 3));
  const tests = [0, 1, 2, 3].map((access) => {
    const dbm = (access & ACCESS_WRITE) !== 0 ? DBM : 0;
    const uxn = (access & ACCESS_EXEC) !== 0 ? UXN : 0;
    const maskHi = beyond | SPECIAL | OVERLAY | dbm | uxn;
    return Object.freeze({ maskLo: want | topLo, wantLo: want, maskHi, wantHi: dbm });
  });
  return Object.freeze(tests);
}

/** Accepts nothing. */
const NEVER: EntryTest = Object.freeze({ maskLo: 0, wantLo: 1, maskHi: 0, wantHi: 0 });

function decodeEntry(layout: LinuxLayout, lo: number, hi: number, level: number, out: Decoded): void {
  setDecoded(out, ENTRY_NONE, 0, 0);
  if ((lo | hi) === 0) return;
  const hidden = level <= layout.topBlock && (lo & (VALID | PRESENT_INVALID)) === PRESENT_INVALID;
  if (isTable(lo, level)) decodeTable(layout, lo, hi, out);
  else if (hidden || isLeaf(layout, lo, level)) decodeLeaf(layout, lo, hi, level, out);
  else decodeNonPresent(lo, hi, out);
}

function decodeTable(layout: LinuxLayout, lo: number, hi: number, out: Decoded): void {
  out.kind = ENTRY_TABLE;
  out.pfn = pfnOf(layout, lo, hi, 0);
  out.flags = tableRights(hi);
  out.restLo = lo & layout.tableRestLo;
  out.restHi = (hi ^ PXN_TABLE) & layout.tableRestHi;
}

function decodeLeaf(layout: LinuxLayout, lo: number, hi: number, level: number, out: Decoded): void {
  const valid = (lo & VALID) !== 0;
  let flags = (hi & UXN) === 0 ? E_EXEC : 0;
  if ((lo & USER) !== 0) flags |= E_USER;
  if ((lo & AF) !== 0) flags |= E_YOUNG;
  if ((hi & SPECIAL) !== 0) flags |= E_SPECIAL;
  if ((hi & UFFD_WP) !== 0) flags |= E_UFFD_WP;
  if (valid) flags |= (lo & NOT_GLOBAL) === 0 ? E_GLOBAL : 0;
  else flags |= (flags & (E_USER | E_EXEC)) === 0 ? E_PROTNONE : E_INVALID;
  let restLo = (lo & leafRestLo(layout, level)) | (~lo & layout.shared) | ((lo ^ notBlock(level)) & NOT_BLOCK);
  let restHi = (hi ^ LEAF_USUAL_HI) & leafRestHi(layout, level);
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
  out.pfn = pfnOf(layout, lo, hi, level);
  out.flags = flags;
  out.restLo = restLo;
  out.restHi = restHi;
}

/** Bits of a leaf's low word kept raw: also the address bits below a block's size. */
function leafRestLo({ leafRestLo, pfnLo }: LinuxLayout, level: number): number {
  return leafRestLo | (pfnLo[0]! & ~pfnLo[level]!);
}

/** The same of its high word. */
function leafRestHi({ leafRestHi, pfnHi }: LinuxLayout, level: number): number {
  return leafRestHi | (pfnHi[0]! & ~pfnHi[level]!);
}

function decodeNonPresent(lo: number, hi: number, out: Decoded): void {
  out.kind = ENTRY_NONPRESENT;
  out.type = (lo >>> SWP_TYPE_SHIFT) & SWP_TYPE_MASK;
  out.offset = (hi & OFFSET_HIGH_MASK) * OFFSET_UNIT + (lo >>> 12);
  if ((lo & SWP_EXCLUSIVE) !== 0) out.flags |= E_EXCLUSIVE;
  if ((lo & SWP_UFFD_WP) !== 0) out.flags |= E_UFFD_WP;
  out.restLo = lo & SWP_REST_LO;
  out.restHi = hi & SWP_REST_HI;
}

function encodeEntry(layout: LinuxLayout, d: Decoded, level: number, out: Entry): void {
  if (d.pfn >= layout.frames) throw new InvariantError('BAD_ENTRY', `${layout.name} has no PFN ${d.pfn}`);
  if (d.kind === ENTRY_TABLE && level > 0) encodeTable(layout, d, out);
  else if (d.kind === ENTRY_LEAF && level <= layout.topBlock) encodeLeaf(layout, d, level, out);
  else if (d.kind === ENTRY_NONPRESENT) encodeNonPresent(d, out);
  else if (d.kind === ENTRY_NONE) {
    out.lo = 0;
    out.hi = 0;
  } else throw new InvariantError('BAD_ENTRY', `${layout.name} has no entry of kind ${d.kind} at level ${level}`);
}

function encodeTable(layout: LinuxLayout, d: Decoded, out: Entry): void {
  const { flags, pfn } = d;
  let hi = pfnHigh(layout, pfn) | ((d.restHi ^ PXN_TABLE) & layout.tableRestHi);
  if ((flags & E_WRITE) === 0) hi |= AP_TABLE_NO_WRITE;
  if ((flags & E_USER) === 0) hi |= AP_TABLE_NO_USER;
  if ((flags & E_EXEC) === 0) hi |= UXN_TABLE;
  out.lo = TYPE | pfnLow(layout, pfn) | (d.restLo & layout.tableRestLo);
  out.hi = hi;
}

function encodeLeaf(layout: LinuxLayout, d: Decoded, level: number, out: Entry): void {
  const { flags, pfn, restLo, restHi } = d;
  const protnone = (flags & E_PROTNONE) !== 0;
  const valid = (flags & (E_PROTNONE | E_INVALID)) === 0;
  const pfnBitsLo = pfnLow(layout, pfn);
  const pfnBitsHi = pfnHigh(layout, pfn);
  if (((pfnBitsLo & ~(layout.pfnLo[level]! | layout.topLo)) | (pfnBitsHi & ~layout.pfnHi[level]!)) !== 0) {
    throw new InvariantError('BAD_ENTRY', `PFN ${pfn} is not aligned to a leaf of level ${level}`);
  }
  if ((flags & (E_PROTNONE | E_INVALID | E_USER | E_EXEC)) === E_INVALID) {
    throw new InvariantError('BAD_ENTRY', 'an invalid leaf without User and Exec would be PROT_NONE');
  }
  const write = (flags & E_WRITE) !== 0;
  const dirty = (flags & E_DIRTY) !== 0;
  let lo = (restLo & leafRestLo(layout, level)) | (~restLo & layout.shared) | notBlock(level);
  let hi = (restHi ^ LEAF_USUAL_HI) & leafRestHi(layout, level);
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
  out.lo = lo | pfnBitsLo;
  out.hi = hi | pfnBitsHi;
}

function encodeNonPresent(d: Decoded, out: Entry): void {
  let lo = (d.type << SWP_TYPE_SHIFT) | (lowWord(d.offset) << 12) | (d.restLo & SWP_REST_LO);
  if ((d.flags & E_EXCLUSIVE) !== 0) lo |= SWP_EXCLUSIVE;
  if ((d.flags & E_UFFD_WP) !== 0) lo |= SWP_UFFD_WP;
  out.lo = lo;
  out.hi = (lowWord(Math.floor(d.offset / OFFSET_UNIT)) & OFFSET_HIGH_MASK) | (d.restHi & SWP_REST_HI);
}

/**
 * The format of user memory with pages of `granule` bytes and addresses of 48 or 52 `bits`. `contiguous`: see
 * `Arm64Format`, levels 0 and 1.
 */
function arm64Format(granule: number, bits: 48 | 52, contiguous: readonly [number, number]): Arm64Format {
  const wide = bits === 52;
  const ds = wide && granule !== 65536;
  const mmu = arm64Mmu({ granule, txsz: 64 - bits, ips: wide ? 6 : 5, ds });
  const layout = linuxLayout(granule, ds, mmu.name);
  const tests = makeLeafTests(layout);
  return {
    ...mmu,
    userEnd: 2 ** bits,
    taskSize: 2 ** bits,
    flushBroadcasts: true,
    decode: (lo: number, hi: number, level: number, out: Decoded): void => decodeEntry(layout, lo, hi, level, out),
    encode: (d: Decoded, level: number, out: Entry): void => encodeEntry(layout, d, level, out),
    leafTest: (access: number, inherited: number): EntryTest => {
      const need = accessRights(access) | E_USER;
      return (inherited & need) === need ? tests[access & (ACCESS_WRITE | ACCESS_EXEC)]! : NEVER;
    },
    contiguous: Int32Array.from({ length: mmu.levels }, (_, level) => contiguous[level] ?? 1),
  };
}

/** 4 KiB pages, 48-bit addresses, 4 levels; blocks of 2 MiB and 1 GiB. */
export const arm64: Arm64Format = Object.freeze(arm64Format(4096, 48, [16, 16]));
/** 4 KiB pages, 52-bit addresses (LPA2), 5 levels; blocks of 2 MiB, 1 GiB and 512 GiB. */
export const arm64_4k_52: Arm64Format = Object.freeze(arm64Format(4096, 52, [16, 16]));
/** 16 KiB pages, 48-bit addresses, 4 levels, the root of 2 entries; blocks of 32 MiB. */
export const arm64_16k_48: Arm64Format = Object.freeze(arm64Format(16384, 48, [128, 32]));
/** 16 KiB pages, 52-bit addresses (LPA2), 4 levels, the root of 32 entries; blocks of 32 MiB and 64 GiB. */
export const arm64_16k_52: Arm64Format = Object.freeze(arm64Format(16384, 52, [128, 32]));
/** 64 KiB pages, 48-bit addresses, 3 levels, the root of 64 entries; blocks of 512 MiB and 4 TiB. */
export const arm64_64k_48: Arm64Format = Object.freeze(arm64Format(65536, 48, [32, 32]));
/** 64 KiB pages, 52-bit addresses (LVA, LPA), 3 levels, the root of 1024 entries; blocks of 512 MiB and 4 TiB. */
export const arm64_64k_52: Arm64Format = Object.freeze(arm64Format(65536, 52, [32, 32]));
