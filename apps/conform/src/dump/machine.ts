/** The MMU of a recorded process, from its registers: Intel SDM volume 3, CR3 and CR4; Arm ARM, TCR_EL1. */
import {
  arm64,
  arm64_16k_48,
  arm64_16k_52,
  arm64_4k_52,
  arm64_64k_48,
  arm64Mmu,
  arm64Root,
  x86_64,
  x86_64La57,
  x86Root,
} from '@mmkit/pgtable';
import type { Arm64Mode } from '@mmkit/pgtable';
import { debuggerMmu } from '@mmkit/pgtable/dump';
import type { ListedFormat } from '@mmkit/pgtable/dump';
import { BadInput } from '../exit.ts';
import type { Hex, Process } from './format.ts';

/** The tables that half of the addresses go through. */
export interface Root {
  readonly format: ListedFormat;
  /** Physical address of the root table. */
  readonly root: bigint;
}

const CR4_LA57 = 0x1000n;

/**
 * The tables of a process for the addresses whose bit 55 is clear, or `upper`: set. The registers are there: read.ts has
 * checked that. BadInput for a mode no CPU can have.
 */
export function rootOf(process: Process, upper: boolean): Root {
  const { pid, cr3, cr4, TTBR0_EL1, TTBR1_EL1, TCR_EL1 } = process;
  if (cr3 !== undefined) {
    const format = (word(cr4) & CR4_LA57) === 0n ? x86_64 : x86_64La57;
    return { format: debuggerMmu(format), root: x86Root(word(cr3)) };
  }
  try {
    return arm64Half(word(TCR_EL1), word(upper ? TTBR1_EL1 : TTBR0_EL1), upper);
  } catch (error) {
    throw error instanceof RangeError ? new BadInput(`pid ${pid}: TCR_EL1: ${error.message}`) : error;
  }
}

function word(register: Hex | undefined): bigint {
  return BigInt(`0x${register?.replace(/^0x/i, '')}`);
}

/** TG0's values, and TG1's. */
const GRANULES: readonly (readonly number[])[] = [
  [4096, 65536, 16384],
  [0, 16384, 4096, 65536],
];

function arm64Half(tcr: bigint, ttbr: bigint, upper: boolean): Root {
  const bits = (low: number, width = 1): number => Number(BigInt.asUintN(width, tcr >> BigInt(low)));
  const half = upper ? 1 : 0;
  const mode: Arm64Mode = {
    upper,
    granule: GRANULES[half]![bits(upper ? 30 : 14, 2)] ?? 0,
    txsz: bits(upper ? 16 : 0, 6),
    epd: bits(upper ? 23 : 7) === 1,
    ips: bits(32, 3),
    tbi: bits(37 + half) === 1,
    ha: bits(39) === 1,
    hd: bits(40) === 1,
    hpd: bits(41 + half) === 1,
    e0pd: bits(55 + half) === 1,
    ds: bits(59) === 1,
  };
  return { format: debuggerMmu({ ...linuxHalf(mode), ...arm64Mmu(mode) }), root: arm64Root(mode, ttbr) };
}

/** The format that has Linux's half of a mode: it depends on where addresses lie in a descriptor, no more. */
function linuxHalf({ granule, ds }: Arm64Mode): ListedFormat {
  if (granule === 65536) return arm64_64k_48;
  if (granule === 16384) return ds === true ? arm64_16k_52 : arm64_16k_48;
  return ds === true ? arm64_4k_52 : arm64;
}
