/**
 * Probe files, `mmu-oracle/1`: images of page tables, single accesses, and what an MMU did with each. JSON Lines: a header,
 * then a case a line; another header begins another part. Numbers of the machine are hex strings, as in the file.
 *
 * Guest-physical layout, from the start of RAM (x86-64: 0, else see `RAM_BASE`); RAM is 2 GiB:
 *
 * | offset | what |
 * |---|---|
 * | 0x200_0000 to 0x2ff_ffff | arena: the tables |
 * | 0x400_0000 to 0x5ff_ffff, 0x4400_0000 to 0x44ff_ffff | islands: the memory that says which address was reached |
 */

export const FORMAT = 'mmu-oracle/1';

export type Arch = 'x86_64' | 'aarch64' | 'riscv64';

/** Where RAM starts. */
export const RAM_BASE: Readonly<Record<Arch, bigint>> = { x86_64: 0n, aarch64: 0x4000_0000n, riscv64: 0x8000_0000n };
/** Bytes of RAM. */
export const RAM_SIZE = 0x8000_0000n;
/** First byte of the arena, from the start of RAM. */
export const ARENA = 0x200_0000n;
/** End of the arena. */
export const ARENA_END = 0x300_0000n;

/** `0x` and hex digits, 64 bits at most. */
export type Hex = string;

export interface Header {
  readonly format: typeof FORMAT;
  readonly arch: Arch;
  /** Who answered. */
  readonly backend?: string;
  readonly cases?: number;
  readonly probes?: number;
}

/** CR0, CR4 and EFER bits, and the CPU's physical address width. */
export interface X86Mode {
  readonly la57: boolean;
  readonly maxphyaddr: number;
  readonly gbpages: boolean;
  readonly nxe: boolean;
  readonly wp: boolean;
  readonly smep: boolean;
  readonly smap: boolean;
  readonly pke: boolean;
  readonly pkru?: Hex;
}

/** Fields of TCR_EL1. */
export interface Arm64Mode {
  readonly granule: 4096 | 16384 | 65536;
  readonly t0sz: number;
  readonly ha: boolean;
  readonly hd: boolean;
  readonly ips: number;
  readonly tbi: 0 | 1;
  readonly hpd: boolean;
  readonly e0pd: boolean;
  readonly epd0: boolean;
  readonly ds: boolean;
}

/** Levels of satp's mode; bits of sstatus and of menvcfg. */
export interface Riscv64Mode {
  readonly levels: 3 | 4 | 5;
  readonly sum: boolean;
  readonly mxr: boolean;
  readonly adue: boolean;
  readonly pbmte: boolean;
}

export type Mode = X86Mode | Arm64Mode | Riscv64Mode;

/** EFLAGS.AC (x86-64) or PSTATE.PAN (arm64). */
export interface ProbeFlags {
  readonly ac?: 0 | 1;
  readonly pan?: 0 | 1;
}

/** Address, access, user or supervisor. */
export type Probe = readonly [va: Hex, access: 'r' | 'w' | 'x', who: 'u' | 's', flags?: ProbeFlags];

/** A word of the tables: its physical address, before, after. */
export type Change = readonly [pa: Hex, before: Hex, after: Hex];

/** What became of a probe; further keys of recorded results are not compared. */
export interface Result {
  readonly ok: boolean;
  /** Success: the physical address; null where the recording machine could not tell. */
  readonly pa?: Hex | null;
  /** x86-64: PF or GP; arm64: DA or IA; riscv64: IPF, LPF or SPF, and IAF, LAF or SAF (access faults). */
  readonly fault?: string;
  /** x86-64: the error code. */
  readonly err?: number;
  /** x86-64, page faults. */
  readonly cr2?: Hex;
  /** arm64. */
  readonly esr?: Hex;
  /** arm64. */
  readonly far?: Hex;
  /** riscv64: mcause. */
  readonly cause?: number;
  /** riscv64: mtval. */
  readonly tval?: Hex;
  /** By ascending address; absent: none. */
  readonly chg?: readonly Change[];
}

export interface Case {
  readonly id: string;
  readonly mode: Mode;
  /** CR3, TTBR0_EL1, or the physical address of the root. */
  readonly root: Hex;
  /** Words of 8 bytes by physical address; the others are zero. */
  readonly mem: Readonly<Record<Hex, Hex>>;
  readonly probes: readonly Probe[];
  /** True: probes keep what they change; else each starts from the image. */
  readonly cumulative?: boolean;
  /** What the machine did, one for each probe. */
  readonly results?: readonly Result[];
}

/** A header and its cases. */
export interface Part {
  readonly header: Header;
  readonly cases: readonly Case[];
}
