/** Random modes and descriptors of arm64: Arm ARM D8.2 and D8.3. */
import type { Arm64Mode } from '../format.ts';
import type { Random } from './random.ts';
import type { Machine } from './tree.ts';

const RAM_BASE = 0x4000_0000n;

const TYPE_BLOCK = 1n;
const TYPE_TABLE = 3n;
const AF = 1n << 10n;
/** AP[2:1]: read-only, and EL0 too. */
const AP = 3n << 6n;
const DBM = 1n << 51n;
const PXN = 1n << 53n;
const UXN = 1n << 54n;

const BITS: Readonly<Record<number, number>> = { 4096: 9, 16384: 11, 65536: 13 };
/** Log2 of a page by granule. */
const PAGE_SHIFT: Readonly<Record<number, number>> = { 4096: 12, 16384: 14, 65536: 16 };
/** Largest T0SZ: FEAT_TTST. */
const T0SZ_MAX: Readonly<Record<number, number>> = { 4096: 48, 16384: 48, 65536: 47 };
const T0SZ_MIN = 16;
/** With 52-bit addresses. */
const T0SZ_MIN_52 = 12;
/** The bit that chooses between TTBR0 and TTBR1, clear in every probe. */
const SELECT = 55;
/** Physical address bits with neither RAM nor a device of QEMU's virt machine: 256 GiB to 1 TiB has devices. */
const BEYOND = [32, 33, 34, 35, 36, 37, 40, 41, 42, 43, 44, 45, 46, 47];

export function randomArm64Mode(random: Random): Arm64Mode {
  const granule = random.pick([4096, 4096, 16384, 65536] as const);
  const ds = granule !== 65536 && random.chance(20);
  const wide = ds || granule === 65536;
  const t0sz = random.chance(50)
    ? random.pick(wide ? [12, 16, 25] : [16, 25, 28])
    : random.between(wide ? T0SZ_MIN_52 : T0SZ_MIN, T0SZ_MAX[granule]!);
  const ha = random.chance(65);
  return {
    granule,
    t0sz,
    ha,
    hd: random.chance(ha ? 70 : 10),
    ips: random.pick(wide ? [0, 1, 2, 3, 4, 5, 5, 6, 6, 7] : [0, 1, 2, 3, 4, 5, 5, 6, 7]),
    tbi: random.chance(20) ? 1 : 0,
    hpd: random.chance(15),
    e0pd: random.chance(6),
    epd0: random.chance(3),
    ds,
  };
}

export function arm64Machine(random: Random, { granule, t0sz, hd, ips, tbi, ds }: Arm64Mode): Machine {
  const pageShift = PAGE_SHIFT[granule]!;
  const bits = BITS[granule]!;
  const vaBits = 64 - t0sz;
  const count = Math.ceil((vaBits - pageShift) / bits);
  const rootBits = vaBits - pageShift - bits * (count - 1);
  const wide = ds || granule === 65536;
  /** The architecture's number of a level: the last is 3. */
  const number = (level: number): number => level + 4 - count;
  // QEMU's CPU has 52-bit physical addresses: 4 TiB blocks with 64 KiB pages.
  const firstBlock = granule === 4096 ? (ds ? 0 : 1) : granule === 65536 || ds ? 1 : 2;
  const levels = Array.from({ length: count }, (_, level) => ({
    shift: pageShift + bits * (count - 1 - level),
    bits: level === 0 ? rootBits : bits,
    leaf: number(level) >= firstBlock,
  }));
  const rootSize = Math.max(rootBits + 3, wide ? 6 : 3);
  return {
    ramBase: RAM_BASE,
    levels,
    tableShift: pageShift,
    rootShift: random.chance(60) ? pageShift : Math.min(pageShift, rootSize),
    // ASID and CnP; rarely a root where nothing is, or beyond the physical address size.
    rootFlags:
      (random.chance(20) ? random.bits(8) << 48n : 0n) | random.noise(0, 0, 10) | farRoot(random, wide && ips === 6),
    rootEnd: 1 << rootBits,
    beyond: BEYOND,
    executesBeyond: true,
    table: (address) => {
      const far = random.chance(3) ? 1n << BigInt(random.pick(BEYOND)) : 0n;
      // PXNTable, UXNTable, APTable; NSTable; ignored bits.
      const rights = random.chance(35) ? random.noise(59, 62, 40) : 0n;
      const ignored = random.noise(63, 63, 10) | random.noise(52, 58, 10) | random.noise(2, 7, 10);
      return address | far | odd(random, TYPE_TABLE) | rights | ignored | high(random, granule, ds, ips);
    },
    leaf: (address, level) => {
      const type = number(level) === 3 ? TYPE_TABLE : TYPE_BLOCK;
      const attributes = random.chance(20) ? random.bits(3) << 2n : 0n;
      const rights = random.noise(6, 7, 50) | bit(random, 25, PXN) | bit(random, 25, UXN);
      // NS, nG, GP, contiguous; software's; SH where it is no address.
      const others = random.noise(5, 5, 10) | random.noise(11, 11, 50) | random.noise(50, 50, 10);
      const software = random.noise(52, 52, 10) | random.noise(55, 63, 10) | (ds ? 0n : random.noise(8, 9, 50));
      const dirty = bit(random, 80, AF) | bit(random, 50, DBM);
      const flags = odd(random, type) | attributes | rights | others | software | dirty;
      // Writable by EL0, and clean: EL1 may not execute it. QEMU 7.2 takes it as read-only until the write.
      const clean = AP | DBM;
      const pxn = hd && (flags & clean) === clean ? PXN : 0n;
      return address | flags | pxn | high(random, granule, ds, ips);
    },
    // Invalid, or on the last level a block. QEMU 7.2 takes blocks above the first level that can have them.
    hole: (level) => (random.bits(64) & ~3n) | random.pick([0n, 2n, number(level) === 3 ? TYPE_BLOCK : 0n]),
    address: (va, execute) => {
      // The tag of an instruction's address is gone before the fetch: the fault would not name it.
      if (tbi === 1 && random.chance(30)) return execute ? va : va | (random.bits(8) << 56n);
      if (!random.chance(4)) return va;
      return va | (1n << BigInt(random.between(vaBits, SELECT - 1)));
    },
    flags: { pan: 1 },
  };
}

/** Rarely an address bit nothing is at; 51:48 are in bits 5:2 of the register, which QEMU 7.2 takes with IPS 6 only. */
function farRoot(random: Random, wide: boolean): bigint {
  return random.chance(3) ? 1n << BigInt(random.pick(wide ? [...BEYOND, 2, 3, 4, 5] : BEYOND)) : 0n;
}

/** The type, or rarely none. */
function odd(random: Random, type: bigint): bigint {
  return random.chance(97) ? type : random.pick([0n, 2n]);
}

/**
 * Rarely one of the address bits 51:48, where the mode has them: 64 KiB in 15:12, LPA2 in 9:8 (51:50) and 49:48. QEMU 7.2
 * looks at 15:12 and 9:8 only with IPS 6; the manual makes an address-size fault of them else, so that they stay clear.
 */
function high(random: Random, granule: number, ds: boolean, ips: number): bigint {
  const places =
    granule === 65536 ? (ips === 6 ? [12, 13, 14, 15] : []) : ds ? (ips === 6 ? [8, 9, 48, 49] : [48, 49]) : [];
  return places.length > 0 && random.chance(2) ? 1n << BigInt(random.pick(places)) : 0n;
}

function bit(random: Random, percent: number, value: bigint): bigint {
  return random.chance(percent) ? value : 0n;
}
