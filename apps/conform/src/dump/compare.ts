/** Our walk against what QEMU's MMU and the guest's kernel said. */
import type { Hex, Process } from './format.ts';
import type { Walked } from './walk.ts';

/** One address that differs. */
export interface Difference {
  readonly pid: number;
  readonly va: Hex;
  /** Whose word it is: the MMU's or the kernel's. */
  readonly source: 'gva2gpa' | 'pagemap';
  /** A physical address, or the number of a frame. */
  readonly expected: Hex | null;
  readonly got: Hex | null;
}

export interface ProcessFigures {
  readonly pid: number;
  /** Addresses with a recorded answer. */
  readonly compared: number;
  readonly agree: number;
  readonly differences: readonly Difference[];
}

/** The word of pagemap: present. */
const PRESENT = 1n << 63n;
/** Bits of the frame's number in it. */
const FRAME_BITS = 55;

export function compareProcess(process: Process, walk: readonly Walked[]): ProcessFigures {
  const { pid } = process;
  const ours = new Map(walk.map(([va, pa, frame]) => [BigInt(va), { pa, frame }]));
  const differences: Difference[] = [];
  let compared = 0;
  for (const [va, expected] of process.gva2gpa) {
    if (expected === undefined) continue;
    compared++;
    const got = ours.get(BigInt(va))!.pa;
    if (!isSame(expected, got)) differences.push({ pid, va, source: 'gva2gpa', expected, got });
  }
  for (const [va, word] of process.pagemap) {
    if (word === undefined) continue;
    compared++;
    const expected = frameOf(BigInt(word));
    const got = ours.get(BigInt(va))!.frame;
    if (!isSame(expected, got)) differences.push({ pid, va, source: 'pagemap', expected, got });
  }
  return { pid, compared, agree: compared - differences.length, differences };
}

function frameOf(word: bigint): Hex | null {
  return (word & PRESENT) === 0n ? null : `0x${BigInt.asUintN(FRAME_BITS, word).toString(16)}`;
}

/** The same number, however it is written. */
function isSame(a: Hex | null, b: Hex | null): boolean {
  return a === null || b === null ? a === b : BigInt(a) === BigInt(b);
}
