/**
 * arm64's MMU for one half of the addresses, EL1&0, stage 1, in a mode of TCR_EL1: Arm ARM, "Translation process",
 * "VMSAv8-64 translation table format descriptors", "Data access permissions", "Hardware management of the Access flag and
 * dirty state". The descriptors' bits: arm64-descriptor.ts.
 *
 * Order at each level: translation fault (FAULT_NOT_PRESENT), address size fault (FAULT_RESERVED), of a leaf then the
 * Access flag fault and, with all levels together, the permission fault. An address the registers do not translate, and a
 * root beyond the physical addresses, fault before any table is read; the manual calls it level 0, here 3.
 *
 * The CPU has FEAT_LPA, FEAT_LPA2, FEAT_LVA, FEAT_TTST, FEAT_HAFDBS, FEAT_PAN, FEAT_E0PD; SCTLR_EL1.WXN and EPAN are 0,
 * TCR_EL1.TBID is 0. Memory types, the contiguous bit, GP, NS and permission overlays change no translation here.
 */
import { checkInteger } from '@mmkit/base';
import { ACCESS_EXEC, ACCESS_PAN, ACCESS_USER, accessRights, FAULT_NOT_PRESENT, FAULT_PROTECTION } from '../access.ts';
import {
  type Decoded,
  E_DIRTY,
  E_EXEC,
  E_GLOBAL,
  E_KERNEL_EXEC,
  E_RIGHTS,
  E_USER,
  E_WRITE,
  E_YOUNG,
  ENTRY_LEAF,
  ENTRY_NONE,
  ENTRY_RESERVED,
  ENTRY_TABLE,
  ENTRY_UNUSED,
  setDecoded,
} from '../flags.ts';
import { addressRange, type FormatLevels, formatLevels, type Mmu } from '../mmu.ts';
import {
  AF,
  type Arm64Layout,
  arm64Layout,
  DBM,
  isLeaf,
  isTable,
  pfnOf,
  PXN_TABLE,
  RDONLY,
  TABLE_RIGHTS,
  tableRights,
  TYPE,
} from './arm64-descriptor.ts';

/** A mode of TCR_EL1 for one half. What is not given is as Linux sets it. */
export interface Arm64Mode {
  /** TG0, TG1: bytes of a page, 4096 (unless given), 16384 or 65536. */
  readonly granule?: number;
  /**
   * T0SZ, T1SZ: address bits that are not translated; 16 unless given, i.e. 48-bit addresses. From 16 (12 with `ds` and
   * for 64K) to 48 (64K: 47).
   */
  readonly txsz?: number;
  /** The half of TTBR1_EL1, whose addresses begin with ones; that of TTBR0_EL1 unless given. */
  readonly upper?: boolean;
  /** HA: the hardware sets AF. True unless given. */
  readonly ha?: boolean;
  /** HD: the hardware lets writes to clean pages through and marks them; needs `ha`. True unless given. */
  readonly hd?: boolean;
  /**
   * IPS: size of physical addresses, 0 to 7: 32, 36, 40, 42, 44, 48, 52, 52 bits; 52 only count with `ds` and for 64K.
   * 5 unless given, with `ds` 6.
   */
  readonly ips?: number;
  /** TBI0, TBI1: the top byte of addresses is ignored. Unless given true for TTBR0, false for TTBR1. */
  readonly tbi?: boolean;
  /** HPD0, HPD1: tables take no rights away. False unless given. */
  readonly hpd?: boolean;
  /** E0PD0, E0PD1: a translation fault for every access of EL0. Unless given false for TTBR0, true for TTBR1. */
  readonly e0pd?: boolean;
  /** EPD0, EPD1: a translation fault instead of every walk. False unless given. */
  readonly epd?: boolean;
  /** DS: 52-bit addresses with 4K and 16K (LPA2). False unless given. */
  readonly ds?: boolean;
}

/** Bits of a physical address by IPS. */
const PHYSICAL_BITS: readonly number[] = Object.freeze([32, 36, 40, 42, 44, 48, 52, 52]);
/** PFN bits that the simulator's frames can have: see PFN_LIMIT. */
const PFN_BITS = 29;

/** The mode with everything in it. `RangeError` for values it cannot have. */
function fullMode(mode: Arm64Mode): Required<Arm64Mode> {
  const { granule = 4096, txsz = 16, upper = false, ha = true, hd = true } = mode;
  const { hpd = false, epd = false, ds = false, tbi = !upper, e0pd = upper, ips = ds ? 6 : 5 } = mode;
  if (granule !== 4096 && granule !== 16384 && granule !== 65536) {
    throw new RangeError(`granule: expected 4096, 16384 or 65536, got ${granule}`);
  }
  const is64K = granule === 65536;
  checkInteger('txsz', txsz, ds || is64K ? 12 : 16, is64K ? 47 : 48);
  checkInteger('ips', ips, 0, 7);
  return { granule, txsz, upper, ha, hd, ips, tbi, hpd, e0pd, epd, ds };
}

function physicalBits({ granule, ips, ds }: Required<Arm64Mode>): number {
  const bits = PHYSICAL_BITS[ips]!;
  return ds || granule === 65536 ? bits : Math.min(bits, 48);
}

/** The levels, the root's size among them. */
function modeLevels({ granule, txsz }: Required<Arm64Mode>): FormatLevels {
  const pageShift = Math.log2(granule);
  const indexBits = pageShift - 3;
  const bits = 64 - txsz - pageShift;
  const levels = Math.ceil(bits / indexBits);
  return formatLevels(pageShift, levels, indexBits, bits - (levels - 1) * indexBits);
}

/** The MMU in a mode. `RangeError` for a value TCR_EL1 cannot have. */
export function arm64Mmu(mode: Arm64Mode = {}): Mmu {
  const full = fullMode(mode);
  const { granule, txsz, upper, ha, hd, tbi, hpd, e0pd, epd, ds } = full;
  const layout = arm64Layout(granule, ds);
  const { pageShift, topLo } = layout;
  const bits = physicalBits(full);
  const known = Math.min(bits, PFN_BITS + pageShift) - 32;
  return Object.freeze({
    ...modeLevels(full),
    ...addressRange(64 - txsz, tbi ? 56 : 64),
    startLevel: 3,
    refused: e0pd ? ACCESS_USER : 0,
    rootEnd: 2 ** (bits - pageShift),
    name: `arm64 ${granule / 1024}K ${64 - txsz}-bit${upper ? ' TTBR1' : ''}`,
    lowHalf: !upper && !epd,
    highHalf: upper && !epd,
    addressFault: FAULT_NOT_PRESENT,
    entryWords: 2,
    lowAt: 0,
    highAt: 1,
    pfnLowShift: pageShift,
    pfnHighMask: 2 ** (PFN_BITS + pageShift - 32) - 1,
    pfnHighShift: 32 - pageShift,
    tableTest: Object.freeze({
      maskLo: TYPE | topLo,
      wantLo: TYPE,
      maskHi: (layout.pfnHi[0]! & ~(2 ** known - 1)) | (hpd ? 0 : TABLE_RIGHTS | PXN_TABLE),
      wantHi: hpd ? 0 : PXN_TABLE,
    }),
    tableRights: hpd ? E_RIGHTS | E_KERNEL_EXEC : E_RIGHTS,
    accessedLo: ha ? AF : 0,
    accessedTableLo: 0,
    dirtySetLo: 0,
    dirtyClearLo: ha && hd ? RDONLY : 0,
    hardware: makeHardware(layout, bits, full),
    permits,
  });
}

function makeHardware(layout: Arm64Layout, bits: number, mode: Required<Arm64Mode>): Mmu['hardware'] {
  const { pfnHi, topLo } = layout;
  const { ha, hpd } = mode;
  // What DBM gives where the hardware keeps dirty state.
  const dbm = ha && mode.hd ? DBM : 0;
  // Address bits that must be clear: those above `bits`.
  const overHi = -1 << (bits - 32);
  const overLo = bits < 52 ? topLo : 0;
  return (lo: number, hi: number, level: number, out: Decoded): void => {
    const table = isTable(lo, level);
    const pfnLevel = table ? 0 : level;
    if (!table && !isLeaf(layout, lo, level)) setDecoded(out, ENTRY_NONE, 0, 0);
    else if ((hi & pfnHi[pfnLevel]! & overHi) !== 0 || (lo & overLo) !== 0) setDecoded(out, ENTRY_RESERVED, 0, 0);
    else if (table) {
      const kernel = hpd || (hi & PXN_TABLE) === 0 ? E_KERNEL_EXEC : 0;
      setDecoded(out, ENTRY_TABLE, pfnOf(layout, lo, hi, 0), (hpd ? E_RIGHTS : tableRights(hi)) | kernel);
    } else {
      const kind = ha || (lo & AF) !== 0 ? ENTRY_LEAF : ENTRY_UNUSED;
      setDecoded(out, kind, pfnOf(layout, lo, hi, level), leafFlags(lo, hi, dbm));
    }
  };
}

/** Shifted: bits 54 and 53 inverted (E_EXEC, E_KERNEL_EXEC), 6 (E_USER), 10 (E_YOUNG), 11 inverted (E_GLOBAL). */
function leafFlags(lo: number, hi: number, dbm: number): number {
  let flags = ((~hi >>> 20) & E_EXEC) | ((~hi >>> 8) & E_KERNEL_EXEC) | ((lo >>> 5) & E_USER) | ((lo >>> 7) & E_YOUNG);
  if ((lo & RDONLY) === 0) flags |= E_WRITE | E_DIRTY;
  else if ((hi & dbm) !== 0) flags |= E_WRITE;
  return flags | ((~lo >>> 6) & E_GLOBAL);
}

/** See the table of permissions in the README. */
function permits(_mmu: Mmu, flags: number, access: number): number {
  return isPermitted(flags, access) ? 0 : FAULT_PROTECTION;
}

function isPermitted(flags: number, access: number): boolean {
  if ((access & ACCESS_EXEC) !== 0) {
    // User mode may fetch where it may not read.
    if ((access & ACCESS_USER) !== 0) return (flags & E_EXEC) !== 0;
    return (flags & E_KERNEL_EXEC) !== 0 && (flags & (E_USER | E_WRITE)) !== (E_USER | E_WRITE);
  }
  if ((access & (ACCESS_PAN | ACCESS_USER)) === ACCESS_PAN && (flags & E_USER) !== 0) return false;
  const need = accessRights(access);
  return (flags & need) === need;
}

/**
 * Physical address of the root table that a value of TTBR0_EL1 or TTBR1_EL1 names: without ASID and CnP, with the
 * address bits 51:48 that 52-bit modes keep in bits 5:2, aligned to the size of the table (52 bits: 64 bytes at least).
 */
export function arm64Root(mode: Arm64Mode, ttbr: bigint): bigint {
  const full = fullMode(mode);
  const { granule, ds, ips } = full;
  const { rootBits } = modeLevels(full);
  const wide = ds || (granule === 65536 && PHYSICAL_BITS[ips] === 52);
  const low = BigInt.asUintN(48, ttbr);
  const bits = BigInt(wide ? Math.max(rootBits + 3, 6) : rootBits + 3);
  const base = (low >> bits) << bits;
  return wide ? base | (BigInt.asUintN(4, ttbr >> 2n) << 48n) : base;
}
