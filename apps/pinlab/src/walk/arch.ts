/** The MMUs that `pinlab walk` knows, by the names `--arch` takes. */
import {
  arm64,
  arm64_16k_48,
  arm64_16k_52,
  arm64_4k_52,
  arm64_64k_48,
  arm64Mmu,
  arm64Root,
  E_EXEC,
  E_KERNEL_EXEC,
  E_READ,
  sv39,
  sv48,
  sv57,
  x86_64,
  x86_64La57,
  x86Root,
} from '@mmkit/pgtable';
import type { Arm64Mode } from '@mmkit/pgtable';
import {
  ARM64_FIELDS,
  ARM64_LPA2_FIELDS,
  debuggerMmu,
  EM_AARCH64,
  EM_RISCV,
  EM_X86_64,
  type EntryField,
  type ListedFormat,
  RISCV_FIELDS,
  X86_FIELDS,
} from '@mmkit/pgtable/dump';
import { BadInput } from '../exit.ts';

/** An MMU as a debugger uses it, and how to show its entries. */
export interface WalkArch {
  readonly format: ListedFormat;
  readonly fields: readonly EntryField[];
  /** What ELF cores call it. */
  readonly machine: number;
  /** Right to read: E_READ, or 0 where every page can be read. */
  readonly readRight: number;
  /** Right of the kernel to execute pages of its own. */
  readonly kernelExec: number;
  /** Physical address of the root table that a value of the root register names. */
  rootOf(register: bigint): bigint;
}

/** For help texts. */
export const WALK_ARCH_HELP = 'x86_64, x86_64-la57, arm64[-16k|-64k][-BITS], sv39, sv48, sv57';

const ARM64_NAME = /^arm64(?:-(4k|16k|64k))?(?:-([1-9]\d))?$/;
const GRANULES: Readonly<Record<string, number>> = { '4k': 4096, '16k': 16384, '64k': 65536 };

/** The MMU of `--arch`; of arm64 for the addresses of TTBR0_EL1, or `upper`: TTBR1_EL1. BadInput for an unknown name. */
export function walkArch(name: string, upper: boolean): WalkArch {
  const arm = ARM64_NAME.exec(name);
  if (arm !== null) return arm64Arch(name, GRANULES[arm[1] ?? '4k']!, Number(arm[2] ?? 48), upper);
  if (name === 'x86_64' || name === 'x86-64') return x86Arch(x86_64);
  if (name === 'x86_64-la57' || name === 'x86-64-la57') return x86Arch(x86_64La57);
  if (name === 'sv39') return riscvArch(sv39);
  if (name === 'sv48') return riscvArch(sv48);
  if (name === 'sv57') return riscvArch(sv57);
  throw new BadInput(`unknown architecture '${name}'; there are: ${WALK_ARCH_HELP}`);
}

function x86Arch(format: ListedFormat): WalkArch {
  const shown = { fields: X86_FIELDS, machine: EM_X86_64, readRight: 0, kernelExec: E_EXEC };
  return { format: debuggerMmu(format), ...shown, rootOf: x86Root };
}

function riscvArch(format: ListedFormat): WalkArch {
  const shown = { fields: RISCV_FIELDS, machine: EM_RISCV, readRight: E_READ, kernelExec: E_EXEC };
  return { format: debuggerMmu(format), ...shown, rootOf: (root) => root };
}

function arm64Arch(name: string, granule: number, bits: number, upper: boolean): WalkArch {
  // 52 bits: with LPA2, but for 64K, which needs none.
  const ds = bits === 52 && granule !== 65536;
  const mode: Arm64Mode = { granule, txsz: 64 - bits, upper, ds, ips: bits === 52 ? 6 : 5 };
  let mmu;
  try {
    mmu = arm64Mmu(mode);
  } catch {
    throw new BadInput(`unknown architecture '${name}': no arm64 has addresses of ${bits} bits with this granule`);
  }
  const format = debuggerMmu({ ...arm64Half(granule, ds), ...mmu });
  const fields = ds ? ARM64_LPA2_FIELDS : ARM64_FIELDS;
  const shown = { fields, machine: EM_AARCH64, readRight: 0, kernelExec: E_KERNEL_EXEC };
  return { format, ...shown, rootOf: (ttbr) => arm64Root(mode, ttbr) };
}

/** The format that has Linux's half of the mode. */
function arm64Half(granule: number, ds: boolean): ListedFormat {
  if (granule === 65536) return arm64_64k_48;
  if (granule === 16384) return ds ? arm64_16k_52 : arm64_16k_48;
  return ds ? arm64_4k_52 : arm64;
}
