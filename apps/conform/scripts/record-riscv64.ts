/**
 * Records what QEMU's riscv64 MMU does: `node --conditions=@mmkit/source apps/conform/scripts/record-riscv64.ts
 * [--seed N] [--cases N] [--probes N] [--out FILE]`. Needs qemu-system-riscv64 and riscv64-linux-gnu-gcc. The input and
 * output of the bare-metal program are described in native/mmu-riscv64.c.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';
import { FORMAT } from '../src/mmu/format.ts';
import type { Case, Change, Hex, Probe, Result, Riscv64Mode } from '../src/mmu/format.ts';
import { makeCase } from './riscv64-cases.ts';

const NATIVE = join(import.meta.dirname, '../native');
const CC = 'riscv64-linux-gnu-gcc';
const CFLAGS =
  '-march=rv64imac_zicsr_zifencei -mabi=lp64 -mcmodel=medany -O2 -Wall -Wextra -Werror -ffreestanding -nostdlib -static ' +
  '-fno-pic -no-pie -Wl,-N -Wl,--no-warn-rwx-segments -Wl,--build-id=none -Wl,-Ttext=0x100000000';
const QEMU = 'qemu-system-riscv64';
/** Without Svpbmt unless a case needs it: with it QEMU 7.2 looks at no reserved bit of a leaf. */
const CPUS = ['rv64', 'rv64,svpbmt=on'];
const MACHINE = '-machine virt -bios none -m 3G -display none -monitor none -no-reboot';
const INPUT_ADDRESS = '0x108000000';

const MAGIC = 0x3634_7663_7369_7221n;
const CASE = 0x6573_6163n;
const END = 0x64_6e65n;
const NONE = 0xffff_ffff_ffff_ffffn;

/** Exceptions by mcause. */
const FAULTS: Readonly<Record<number, string>> = { 1: 'IAF', 5: 'LAF', 7: 'SAF', 12: 'IPF', 13: 'LPF', 15: 'SPF' };
const ACCESSES = { r: 0n, w: 1n, x: 2n };

function hex(value: bigint): Hex {
  return `0x${value.toString(16)}`;
}

function satpOf({ mode, root }: Case): bigint {
  return (BigInt((mode as Riscv64Mode).levels + 5) << 60n) | (BigInt(root) >> 12n);
}

function encodeCase(one: Case): bigint[] {
  const { sum, mxr, pbmte } = one.mode as Riscv64Mode;
  const flags = (sum ? 1n : 0n) | (mxr ? 2n : 0n) | (pbmte ? 4n : 0n) | (one.cumulative === true ? 8n : 0n);
  const words = Object.entries(one.mem);
  return [
    satpOf(one),
    flags,
    BigInt(words.length),
    BigInt(one.probes.length),
    ...words.flatMap((pair) => pair.map(BigInt)),
    ...one.probes.flatMap(([va, access, who]: Probe) => [BigInt(va), ACCESSES[access] | (who === 'u' ? 4n : 0n)]),
  ];
}

/** Builds the program in `folder`, runs it over the cases on a CPU, and returns what it wrote. */
function run(folder: string, cpu: string, cases: readonly Case[]): BigUint64Array {
  const [program, input, output] = ['mmu.elf', 'input', 'output'].map((name) => join(folder, name));
  const sources = ['mmu-riscv64.S', 'mmu-riscv64.c'].map((name) => join(NATIVE, name));
  execFileSync(CC, [...CFLAGS.split(' '), '-o', program!, ...sources]);
  writeFileSync(input!, BigUint64Array.from([BigInt(cases.length), ...cases.flatMap(encodeCase)]));
  const devices = [
    ['-cpu', cpu],
    ['-serial', `file:${output}`],
    ['-device', `loader,file=${program},cpu-num=0`],
    ['-device', `loader,file=${input},addr=${INPUT_ADDRESS},force-raw=on`],
  ];
  execFileSync(QEMU, [...MACHINE.split(' '), ...devices.flat()], { stdio: 'inherit', timeout: 120_000 });
  const bytes = readFileSync(output!);
  return new BigUint64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + (bytes.length & ~7)));
}

/** Reads the program's output, word by word. */
function createReader(words: BigUint64Array): { next(): bigint; expect(name: string, value: bigint): void } {
  let at = 0;
  const next = (): bigint => {
    const word = words[at++];
    if (word === undefined) throw new Error(`the program stopped after ${words.length} words`);
    return word;
  };
  const expect = (name: string, value: bigint): void => {
    const word = next();
    if (word !== value) throw new Error(`word ${at - 1}: expected ${name} ${hex(value)}, got ${hex(word)}`);
  };
  return { next, expect };
}

function readResult(next: () => bigint): Result {
  const [cause, tval, pa] = [next(), next(), next()];
  const changes = Array.from({ length: Number(next()) }, (): Change => [hex(next()), hex(next()), hex(next())]);
  const chg = changes.length > 0 ? { chg: changes } : {};
  if (cause === NONE) return { ok: true, pa: pa === NONE ? null : hex(pa), ...chg };
  const fault = FAULTS[Number(cause)];
  if (fault === undefined) throw new Error(`exception ${hex(cause)}, which no MMU raises`);
  return { ok: false, fault, cause: Number(cause), tval: hex(tval), ...chg };
}

function record(cpu: string, cases: readonly Case[]): Case[] {
  const folder = mkdtempSync(join(tmpdir(), 'record-riscv64-'));
  try {
    const { next, expect } = createReader(run(folder, cpu, cases));
    expect('MAGIC', MAGIC);
    const recorded = cases.map((one) => {
      expect('CASE', CASE);
      expect('satp', satpOf(one));
      expect('menvcfg', (one.mode as Riscv64Mode).pbmte ? 1n << 62n : 0n);
      return { ...one, results: one.probes.map(() => readResult(next)) };
    });
    expect('END', END);
    return recorded;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '20261123' },
    cases: { type: 'string', default: '160' },
    probes: { type: 'string', default: '75' },
    out: { type: 'string', default: join(import.meta.dirname, '../data/mmu/riscv64.jsonl.gz') },
  },
});
const cases = Array.from({ length: Number(values.cases) }, (_, i) =>
  makeCase(Number(values.seed), i, Number(values.probes)),
);
const results = CPUS.flatMap((cpu, i) =>
  record(
    cpu,
    cases.filter(({ mode }) => (mode as Riscv64Mode).pbmte === (i === 1)),
  ),
);
const byId = new Map(results.map((one) => [one.id, one]));
const recorded = cases.map(({ id }) => byId.get(id)!);
const probes = recorded.reduce((sum, one) => sum + one.probes.length, 0);
const header = { format: FORMAT, arch: 'riscv64', backend: 'qemu', cases: recorded.length, probes };
const lines = [header, ...recorded].map((line) => `${JSON.stringify(line)}\n`);
const packed = gzipSync(lines.join(''), { level: 9 });
writeFileSync(values.out, packed);
console.log(`${values.out}: ${recorded.length} cases, ${probes} probes, ${packed.length} bytes`);
