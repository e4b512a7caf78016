/** Random modes and entries of x86-64: Intel SDM 3A, 5.4 and 5.5. */
import type { X86Mode } from '../format.ts';
import { hexText } from '../image.ts';
import type { Random } from './random.ts';
import type { Machine } from './tree.ts';

const P = 1n << 0n;
const RW = 1n << 1n;
const US = 1n << 2n;
const A = 1n << 5n;
const D = 1n << 6n;
/** PD and PDPT entries: a leaf. */
const PS = 1n << 7n;
const NX = 1n << 63n;
/** Number of the first bit above every physical address. */
const ADDRESS_END = 52;
/** The root slot of the guest's monitor: all below are probed, with 4 and with 5 levels. */
const ROOT_END_4 = 508;
const ROOT_END_5 = 511;

/** One QEMU process runs all cases that share these. */
const WIDTHS = [36, 40, 46, 52];

export function randomX86Mode(random: Random): X86Mode {
  const pke = random.chance(40);
  return {
    la57: random.chance(30),
    maxphyaddr: random.pick(WIDTHS),
    gbpages: true,
    nxe: random.chance(85),
    wp: random.chance(75),
    smep: random.chance(50),
    smap: random.chance(50),
    pke,
    ...(pke ? { pkru: hexText(random.bits(32)) } : {}),
  };
}

export function x86Machine(random: Random, { la57, maxphyaddr }: X86Mode): Machine {
  const shifts = la57 ? [48, 39, 30, 21, 12] : [39, 30, 21, 12];
  const leafLevel = (level: number): boolean => shifts[level]! <= 30;
  /** Bits an entry of any kind may have: rights, accessed, caching, ignored bits; rarely absent or reserved. */
  const common = (): bigint => {
    const rights = bit(random, 80, RW) | bit(random, 75, US) | bit(random, 12, NX) | bit(random, 50, A);
    const ignored = random.chance(30) ? random.noise(9, 11, 50) | random.noise(52, 58, 30) : 0n;
    const reserved = random.chance(4) && maxphyaddr < ADDRESS_END ? random.noise(maxphyaddr, ADDRESS_END - 1, 20) : 0n;
    return bit(random, 97, P) | rights | random.noise(3, 4, 10) | ignored | reserved;
  };
  return {
    ramBase: 0n,
    levels: shifts.map((shift, level) => ({ shift, bits: 9, leaf: leafLevel(level) })),
    tableShift: 12,
    rootShift: 12,
    // PWT and PCD.
    rootFlags: random.noise(3, 4, 10),
    rootEnd: la57 ? ROOT_END_5 : ROOT_END_4,
    beyond: Array.from({ length: maxphyaddr - 32 }, (_, i) => 32 + i),
    executesBeyond: false,
    table: (address, level) => {
      // PS is reserved where no leaf can be, and ignored bits are D and G.
      const ps = leafLevel(level) ? 0n : bit(random, 3, PS);
      const far = random.chance(2) ? 1n << BigInt(random.between(32, maxphyaddr - 1)) : 0n;
      return address | far | common() | ps | bit(random, 20, D) | random.noise(8, 8, 20) | keys(random, 10);
    },
    leaf: (address, level) => {
      const shift = shifts[level]!;
      const size = shift > 12 ? PS : random.noise(7, 7, 20);
      const reserved = shift > 12 && random.chance(5) ? random.noise(13, shift - 1, 15) : 0n;
      const pat = shift > 12 ? random.noise(12, 12, 20) : 0n;
      return (
        address | common() | size | pat | reserved | bit(random, 50, D) | random.noise(8, 8, 20) | keys(random, 60)
      );
    },
    hole: () => random.bits(64) & ~P,
    address: (va) => {
      const bits = shifts[0]! + 9;
      const canonical = BigInt.asUintN(64, BigInt.asIntN(bits, va));
      return random.chance(4) ? canonical ^ (1n << BigInt(random.between(bits, 63))) : canonical;
    },
    flags: { ac: 1 },
  };
}

function keys(random: Random, percent: number): bigint {
  return random.chance(percent) ? random.bits(4) << 59n : 0n;
}

function bit(random: Random, percent: number, value: bigint): bigint {
  return random.chance(percent) ? value : 0n;
}
