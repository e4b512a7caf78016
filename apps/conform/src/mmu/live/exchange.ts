/**
 * What the guest reads and writes, as 64-bit words in its RAM; native/mmu-monitor.c is the other side.
 *
 * Input, at 0x800_0000 from the start of RAM: magic, number of cases, flags (bit 0: boot with 5 levels); per case four
 * registers, the root, number of words, number of probes; words (address, value); probes (address, kind).
 *
 * Output, at 0x2000_0000: magic, cases finished, words that follow; per probe outcome, code, address, physical address or 0, number of
 * changed words; (address, before, after) of each.
 */
import { BadInput } from '../../exit.ts';
import type { Arch, Case, Change, Result, X86Mode } from '../format.ts';
import { hexText } from '../image.ts';
import { kindOf, registersOf } from './registers.ts';

/** Where the input is, from the start of RAM. */
export const INPUT_OFFSET = 0x800_0000;
/** Bytes there are for it. */
export const INPUT_SIZE = 0x1800_0000;
/** Where the output is. */
export const OUTPUT_OFFSET = 0x2000_0000;

/** "MMU_IN1" and "MMU_OUT". */
const INPUT_MAGIC = 0x31_4e49_5f55_4d4dn;
const OUTPUT_MAGIC = 0x54_554f_5f55_4d4dn;
const FLAG_LA57 = 1n;

const OUTCOME_OK = 0n;
const OUTCOME_FAULT = 1n;

const VECTOR_SHIFT = 32n;
const VECTOR_GP = 13n;
const VECTOR_PF = 14n;
const ERROR_CODE = 0xffff_ffffn;
const ERROR_PRESENT = 1;
const ERROR_RESERVED = 8;

/** ESR_EL1.EC, and the classes of instruction aborts without their lowest bit. */
const EC_SHIFT = 26n;
const EC_INSTRUCTION_ABORT = 0x20n;

/** The input for cases that share a CPU. BadInput for a case the guest cannot run. */
export function encodeInput(arch: Arch, cases: readonly Case[]): BigUint64Array<ArrayBuffer> {
  const la57 = arch === 'x86_64' && cases.some(({ mode }) => (mode as X86Mode).la57);
  const words = [INPUT_MAGIC, BigInt(cases.length), la57 ? FLAG_LA57 : 0n];
  for (const { id, mode, root, mem, probes, cumulative } of cases) {
    if (cumulative === true) throw new BadInput(`${id}: a cumulative case cannot run live`);
    const image = Object.entries(mem);
    words.push(...registersOf(arch, mode), BigInt(root), BigInt(image.length), BigInt(probes.length));
    for (const [address, value] of image) words.push(BigInt(address), BigInt(value));
    for (const probe of probes) words.push(BigInt(probe[0]), kindOf(probe));
  }
  return BigUint64Array.from(words);
}

/** Words before the records. */
export const OUTPUT_HEAD = 3;

/** From the head: how many cases the guest finished, or -1 when it never wrote; and how many words follow. */
export function decodeHead(head: BigUint64Array): { readonly finished: number; readonly words: number } {
  return { finished: head[0] === OUTPUT_MAGIC ? Number(head[1]) : -1, words: Number(head[2]) };
}

/** The results of each case, from the words after the head. */
export function decodeOutput(arch: Arch, cases: readonly Case[], output: BigUint64Array): Result[][] {
  const decode = arch === 'x86_64' ? x86Fault : arm64Fault;
  let at = 0;
  return cases.map(({ probes }) =>
    probes.map(() => {
      const [outcome, code, address, pa, changes] = [0, 1, 2, 3, 4].map((i) => output[at + i]!);
      at += 5;
      const chg: Change[] = [];
      for (let i = 0; i < Number(changes); i++, at += 3) {
        chg.push([hexText(output[at]!), hexText(output[at + 1]!), hexText(output[at + 2]!)]);
      }
      const rest = chg.length === 0 ? {} : { chg };
      if (outcome === OUTCOME_OK) return { ok: true, pa: pa === 0n ? null : hexText(pa!), ...rest };
      if (outcome === OUTCOME_FAULT) return { ...decode(code!, address!), ...rest };
      // Nothing an MMU does: shown as it is, and never equal to what a walker says.
      return { ok: false, fault: `exception ${hexText(code!)} at ${hexText(address!)}` };
    }),
  );
}

/** QEMU 7.2 leaves P clear when a reserved bit is set; the manual sets both, and so do the recorded results. */
function x86Fault(code: bigint, address: bigint): Result {
  const err = Number(code & ERROR_CODE);
  if (code >> VECTOR_SHIFT === VECTOR_GP) return { ok: false, fault: 'GP', err };
  if (code >> VECTOR_SHIFT !== VECTOR_PF) return { ok: false, fault: `exception ${hexText(code)}` };
  return { ok: false, fault: 'PF', err: err & ERROR_RESERVED ? err | ERROR_PRESENT : err, cr2: hexText(address) };
}

function arm64Fault(code: bigint, address: bigint): Result {
  const instruction = (code >> EC_SHIFT) & ~1n;
  const fault = instruction === EC_INSTRUCTION_ABORT ? 'IA' : 'DA';
  return { ok: false, fault, esr: hexText(code), far: hexText(address) };
}
