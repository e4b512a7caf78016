/** From the words of probe files to pgtable's: modes, root registers, and how each architecture reports a fault. */
import {
  abortSyndrome,
  ACCESS_EXEC,
  ACCESS_OVERRIDE,
  ACCESS_PAN,
  ACCESS_READ,
  ACCESS_USER,
  ACCESS_WRITE,
  arm64Mmu,
  arm64Root,
  FAULT_NON_CANONICAL,
  pageFaultCause,
  pageFaultErrorCode,
  riscvMmu,
  x86Mmu,
  x86Root,
} from '@mmkit/pgtable';
import type { Mmu } from '@mmkit/pgtable';
import type { Arch, Arm64Mode, Case, Hex, Probe, Result, Riscv64Mode, X86Mode } from './format.ts';
import type { PageSize } from './image.ts';

/** Physical addresses outside RAM at which the recording machine answers. */
export interface Region {
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
  /** What every 32-bit word of it reads as. */
  readonly word: 0 | -1;
}

/** Not a level of the tables: the access itself. */
export const NO_LEVEL = -1;

/** An MMU in the mode of a case, with its root register. */
export interface Machine {
  readonly mmu: Mmu;
  readonly pageSize: PageSize;
  /** Physical address of the root table. */
  readonly root: bigint;
  /** What answers outside RAM: the first region that holds an address. */
  readonly regions: readonly Region[];
  /**
   * What a walk for `access` (ACCESS_*) of `va` that ended with `fault` (FAULT_*) at `level` becomes. FAULT_BUS at
   * NO_LEVEL: there is nothing at the physical address.
   */
  fault(fault: number, access: number, level: number, va: Hex): Result;
}

/** The machine of a case. */
export function machineOf(arch: Arch, { mode, root }: Case): Machine {
  if (arch === 'x86_64') return x86Machine(mode as X86Mode, BigInt(root));
  if (arch === 'aarch64') return arm64Machine(mode as Arm64Mode, BigInt(root));
  return riscv64Machine(mode as Riscv64Mode, BigInt(root));
}

/** ACCESS_* of a probe. */
export function accessOf([, access, who, flags]: Probe): number {
  const kind = access === 'r' ? ACCESS_READ : access === 'w' ? ACCESS_WRITE : ACCESS_EXEC;
  const state = (flags?.ac === 1 ? ACCESS_OVERRIDE : 0) | (flags?.pan === 1 ? ACCESS_PAN : 0);
  return kind | (who === 'u' ? ACCESS_USER : 0) | state;
}

/** QEMU's `pc`: what is no RAM reads as zeros. */
const PC: readonly Region[] = [{ start: 0, end: 2 ** 52, word: 0 }];

function x86Machine(mode: X86Mode, cr3: bigint): Machine {
  const mmu = x86Mmu({ ...mode, pkru: Number(mode.pkru ?? 0) });
  return {
    mmu,
    pageSize: 4096,
    root: x86Root(cr3),
    regions: PC,
    fault: (fault, access, _level, va) => {
      if (fault === FAULT_NON_CANONICAL) return { ok: false, fault: 'GP', err: 0 };
      return { ok: false, fault: 'PF', err: pageFaultErrorCode(fault, access, mmu), cr2: va };
    },
  };
}

/** QEMU's `virt` for arm64: flash, and the windows of the PCI bus. */
const VIRT: readonly Region[] = [
  { start: 0, end: 0x800_0000, word: 0 },
  { start: 0x1000_0000, end: 0x3f00_0000, word: -1 },
  { start: 0x40_1000_0000, end: 0x40_2000_0000, word: -1 },
  { start: 0x80_0000_0000, end: 0x100_0000_0000, word: -1 },
];

function arm64Machine(mode: Arm64Mode, ttbr: bigint): Machine {
  const { t0sz, tbi, epd0, ...rest } = mode;
  const tcr = { ...rest, txsz: t0sz, tbi: tbi === 1, epd: epd0, upper: false };
  return {
    mmu: arm64Mmu(tcr),
    pageSize: mode.granule,
    root: arm64Root(tcr, ttbr),
    regions: VIRT,
    fault: (fault, access, level, far) => {
      const esr = abortSyndrome(fault, access, level);
      return { ok: false, fault: (access & ACCESS_EXEC) !== 0 ? 'IA' : 'DA', esr: `0x${esr.toString(16)}`, far };
    },
  };
}

/** Exceptions by mcause. */
const EXCEPTIONS: Readonly<Record<number, string>> = { 1: 'IAF', 5: 'LAF', 7: 'SAF', 12: 'IPF', 13: 'LPF', 15: 'SPF' };

function riscv64Machine(mode: Riscv64Mode, root: bigint): Machine {
  return {
    mmu: riscvMmu(mode),
    pageSize: 4096,
    root,
    regions: [],
    fault: (fault, access, _level, tval) => {
      const cause = pageFaultCause(fault, access);
      return { ok: false, fault: EXCEPTIONS[cause]!, cause, tval };
    },
  };
}
