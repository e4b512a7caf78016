/**
 * The x86-64 MMU with four and five levels: Intel SDM volume 3, "4-level paging and 5-level paging", "Determination of
 * access rights", "Protection keys". What Linux keeps in the entries is x86_64.ts.
 *
 * | bits | table | leaf |
 * |---|---|---|
 * | 0 | P: present; else no other bit counts | P |
 * | 1 | R/W: writes | R/W |
 * | 2 | U/S: user mode | U/S |
 * | 5 | A: set by the hardware | A |
 * | 6 | ignored | D: set by the hardware on a write |
 * | 7 | PS, 0; reserved at levels 3 and 4 | level 0 PAT, else PS, 1; at level 2 only with 1 GiB pages |
 * | 8 | ignored | G |
 * | 51:12 | PFN; from MAXPHYADDR up reserved | the same; below the leaf's size reserved, but for bit 12, PAT |
 * | 62:59 | ignored | protection key |
 * | 63 | XD: no fetches; reserved with EFER.NXE = 0 | XD |
 *
 * What a data access or fetch needs, beside that every entry is there. User page: U/S is set in all entries; writable:
 * R/W is; executable: XD is clear in all.
 *
 * | | user mode | supervisor, user page | supervisor, other page |
 * |---|---|---|---|
 * | read | user page, key | key; CR4.SMAP = 0 or EFLAGS.AC = 1 | – |
 * | write | user page, writable, key | key; SMAP or AC as read; writable or CR0.WP = 0 | writable or CR0.WP = 0 |
 * | fetch | user page, executable | CR4.SMEP = 0, executable | executable |
 * | key | AD and, for writes, WD clear | AD clear; for writes WD clear or CR0.WP = 0 | not asked |
 *
 * A key that refuses gives FAULT_KEY whatever else refuses too. Not modelled: PKS, shadow stacks, SGX, implicit
 * supervisor accesses (which AC does not excuse: leave ACCESS_OVERRIDE away). Memory types play no part.
 */
import { checkInteger } from '@mmkit/base';
import {
  ACCESS_EXEC,
  ACCESS_OVERRIDE,
  ACCESS_USER,
  ACCESS_WRITE,
  accessRights,
  FAULT_KEY,
  FAULT_NON_CANONICAL,
  FAULT_PROTECTION,
} from '../access.ts';
import {
  type Decoded,
  E_DIRTY,
  E_EXEC,
  E_GLOBAL,
  E_KEY_SHIFT,
  E_USER,
  E_WRITE,
  E_YOUNG,
  ENTRY_LEAF,
  ENTRY_NONE,
  ENTRY_RESERVED,
  ENTRY_TABLE,
  setDecoded,
} from '../flags.ts';
import { addressRange, formatLevels, type Mmu } from '../mmu.ts';

// Low word.
export const PRESENT = 0x1;
export const RW = 0x2;
export const USER = 0x4;
export const ACCESSED = 0x20;
export const DIRTY = 0x40;
export const PSE = 0x80;
export const GLOBAL = 0x100;
export const PAT_LARGE = 0x1000;
export const PFN_LO: number = 0xffff_f000 | 0;
// High word.
export const PFN_HI = 0x000f_ffff;
export const PKEY = 0x7800_0000;
export const NX: number = 0x8000_0000 | 0;
/** PFN bits 29 and up: no simulated frame has them. */
export const PFN_HI_BEYOND = 0x000f_fe00;
/** PFNs that one value of the high word numbers. */
export const PFN_WORD = 0x10_0000;
const PKEY_SHIFT = 27;

/** PKRU: data accesses with key 0 are refused; key n: shifted left by 2n. Linux: PKRU_AD_BIT. */
const PKRU_AD = 0x1;
/** PKRU: writes with key 0 are refused. Linux: PKRU_WD_BIT. */
const PKRU_WD = 0x2;
/** Key 0 is open, all others closed. Linux: `init_pkru_value`. */
const PKRU_INIT = 0x5555_5554;

/** CR3: the root table. */
const CR3_PFN = 0x000f_ffff_ffff_f000n;

/** An MMU's mode: CR0, CR4, EFER and CPUID. */
export interface X86Mode {
  /** CR4.LA57: five levels, 57-bit addresses. False unless given. */
  readonly la57: boolean;
  /** CPUID.80000008H:EAX[7:0]: bits of a physical address, 32 to 52; entries with bits above are reserved. 52 unless given. */
  readonly maxphyaddr: number;
  /** CPUID.80000001H:EDX.Page1GB: leaves at level 2. True unless given. */
  readonly gbpages: boolean;
  /** EFER.NXE: bit 63 forbids fetches; else it is reserved. True unless given. */
  readonly nxe: boolean;
  /** CR0.WP: R/W binds the supervisor too. True unless given. */
  readonly wp: boolean;
  /** CR4.SMEP: the supervisor fetches nothing from user pages. True unless given. */
  readonly smep: boolean;
  /** CR4.SMAP: the supervisor needs ACCESS_OVERRIDE for data in user pages. True unless given. */
  readonly smap: boolean;
  /** CR4.PKE: protection keys. True unless given. */
  readonly pke: boolean;
}

export interface X86Mmu extends Mmu, X86Mode {
  /** The PKRU register, 32 bits: two for each key. The machine's to write; then call `tlbRightsChanged`. */
  pkru: number;
}

/** Any field of the mode, and PKRU: key 0 open and all others closed (Linux's start value) unless given. */
export interface X86MmuOptions extends Partial<X86Mode> {
  readonly pkru?: number;
}

/** The MMU in a mode, as Linux sets it unless told otherwise. `RangeError` for other widths of an address or of PKRU. */
export function x86Mmu(options: X86MmuOptions = {}): X86Mmu {
  const { la57 = false, maxphyaddr = 52, gbpages = true, nxe = true } = options;
  const { wp = true, smep = true, smap = true, pke = true, pkru = PKRU_INIT } = options;
  checkInteger('maxphyaddr', maxphyaddr, 32, 52);
  checkInteger('pkru', pkru, 0, 0xffff_ffff);
  const levels = la57 ? 5 : 4;
  const topLeaf = gbpages ? 2 : 1;
  const reservedHi = (PFN_HI & (-1 << (maxphyaddr - 32))) | (nxe ? 0 : NX);
  return {
    ...formatLevels(12, levels, 9),
    ...addressRange(la57 ? 56 : 47),
    name: `x86-64 ${levels}-level`,
    lowHalf: true,
    highHalf: true,
    addressFault: FAULT_NON_CANONICAL,
    entryWords: 2,
    lowAt: 0,
    highAt: 1,
    pfnLowShift: 12,
    pfnHighMask: 0x1ff,
    pfnHighShift: 20,
    tableTest: Object.freeze({
      maskLo: PRESENT | RW | USER | PSE,
      wantLo: PRESENT | RW | USER,
      maskHi: PFN_HI_BEYOND | reservedHi | NX,
      wantHi: 0,
    }),
    accessedLo: ACCESSED,
    accessedTableLo: ACCESSED,
    dirtySetLo: DIRTY,
    dirtyClearLo: 0,
    hardware(lo: number, hi: number, level: number, out: Decoded): void {
      setDecoded(out, ENTRY_NONE, 0, 0);
      if ((lo & PRESENT) === 0) return;
      const leaf = level === 0 || (lo & PSE) !== 0;
      const bad = leaf && (level > topLeaf || (lo & PFN_LO & ~leafPfnLo(level) & ~PAT_LARGE) !== 0);
      if (bad || (hi & reservedHi) !== 0) {
        out.kind = ENTRY_RESERVED;
        return;
      }
      out.kind = leaf ? ENTRY_LEAF : ENTRY_TABLE;
      out.pfn = pfnOf(leaf ? lo & leafPfnLo(level) : lo, hi);
      out.flags = commonFlags(lo, hi) | (leaf ? leafFlags(lo, hi) : 0);
    },
    permits,
    la57,
    maxphyaddr,
    gbpages,
    nxe,
    wp,
    smep,
    smap,
    pke,
    pkru,
  };
}

/** Flags of bits 1 (E_WRITE), 2 (E_USER), 5 (E_YOUNG), 6 (E_DIRTY) and 63 (no E_EXEC); the bits lie in that order. */
export function commonFlags(lo: number, hi: number): number {
  return ((lo >>> 1) & (E_WRITE | E_USER)) | ((lo >>> 2) & (E_YOUNG | E_DIRTY)) | ((~hi >>> 29) & E_EXEC);
}

function leafFlags(lo: number, hi: number): number {
  return ((lo & GLOBAL) !== 0 ? E_GLOBAL : 0) | (((hi & PKEY) >>> PKEY_SHIFT) << E_KEY_SHIFT);
}

/** The low word's PFN bits in a leaf of `level` (0 to 2). */
export function leafPfnLo(level: number): number {
  return PFN_LO << (level * 9);
}

export function pfnOf(lo: number, hi: number): number {
  const high = hi & PFN_HI;
  // Without the test every PFN would be a double: decode takes 20 ns instead of 10.
  return high < 0x800 ? (high << 20) | (lo >>> 12) : high * PFN_WORD + (lo >>> 12);
}

function permits(mmu: Mmu, flags: number, access: number): number {
  const mode = mmu as X86Mmu;
  const user = (access & ACCESS_USER) !== 0;
  const fetch = (access & ACCESS_EXEC) !== 0;
  const write = (access & ACCESS_WRITE) !== 0;
  let need = accessRights(access);
  if ((flags & E_USER) !== 0) {
    if (mode.pke && !fetch) {
      const rights = mode.pkru >>> ((flags >>> (E_KEY_SHIFT - 1)) & 0x1e);
      if ((rights & PKRU_AD) !== 0) return FAULT_KEY;
      if ((rights & PKRU_WD) !== 0 && write && (user || mode.wp)) return FAULT_KEY;
    }
    if (!user && (fetch ? mode.smep : mode.smap && (access & ACCESS_OVERRIDE) === 0)) return FAULT_PROTECTION;
  }
  if (!user && !mode.wp) need &= ~E_WRITE;
  return (flags & need) === need ? 0 : FAULT_PROTECTION;
}

/** The physical address of the root table that `cr3` names, for `translate`: without PCID and flags. */
export function x86Root(cr3: bigint): bigint {
  return cr3 & CR3_PFN;
}
