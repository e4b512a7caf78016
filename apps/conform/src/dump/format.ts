/** A recorded dump: the page tables of a stopped kernel, and what its MMU and the kernel itself said of addresses. */
import type { Dump } from '@mmkit/pgtable/dump';

/** "0x" and up to 16 digits; registers also without "0x". */
export type Hex = string;

export type Arch = 'x86_64' | 'aarch64';

/** A process as the file has it. Other keys play no part. */
export interface Process {
  readonly pid: number;
  /** x86_64. */
  readonly cr3?: Hex;
  /** x86_64. */
  readonly cr4?: Hex;
  /** aarch64. */
  readonly TTBR0_EL1?: Hex;
  /** aarch64. */
  readonly TTBR1_EL1?: Hex;
  /** aarch64. */
  readonly TCR_EL1?: Hex;
  /** What QEMU's MMU made of an address: physical address, or null. Without the second: nobody asked. */
  readonly gva2gpa: readonly (readonly [va: Hex, pa?: Hex | null])[];
  /** What the kernel said of it: the word of /proc/PID/pagemap. Without the second: nobody asked. */
  readonly pagemap: readonly (readonly [va: Hex, word?: Hex])[];
}

export interface Recorded {
  readonly arch: Arch;
  readonly processes: readonly Process[];
  /** The page tables; everything else is unknown. */
  readonly tables: Dump;
}
