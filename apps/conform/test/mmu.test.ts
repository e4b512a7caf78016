import { readdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readText } from '../src/records.ts';
import { answerCase } from '../src/mmu/answer.ts';
import type { Ram } from '../src/mmu/answer.ts';
import { compareCase } from '../src/mmu/compare.ts';
import type { Arch, Arm64Mode, Case, Part, Result, X86Mode } from '../src/mmu/format.ts';
import { parseProbes } from '../src/mmu/read.ts';

const DATA = resolve(import.meta.dirname, '../data/mmu');

/** How many recorded probes each file has. */
const PROBES: Readonly<Record<string, number>> = {
  'aarch64.jsonl.gz': 14136,
  'riscv64.jsonl.gz': 12000,
  'x86_64.jsonl.gz': 15594,
};

/** The files, read. */
const PARTS = new Map<string, Part[]>(
  Object.keys(PROBES).map((name) => [name, parseProbes(name, readText(resolve(DATA, name)))]),
);

describe('recorded probes', () => {
  it('every file of probes is replayed here', () => {
    const files = readdirSync(DATA).filter((name) => name.endsWith('.gz'));
    expect(files.sort()).toEqual(Object.keys(PROBES));
  });

  it.each(Object.keys(PROBES))('%s: our walker does with every probe what the MMU did', (name) => {
    let compared = 0;
    const ram: Ram = new Map();
    for (const { header, cases } of PARTS.get(name)!) {
      for (const one of cases) {
        expect(compareCase(header.arch, one, answerCase(header.arch, one, ram))).toEqual([]);
        compared += one.results!.length;
      }
    }
    expect(compared).toBe(PROBES[name]);
  });
});

/** The first recorded case with a result that `wanted` accepts, and the index of that result. */
function find(arch: Arch, wanted: (result: Result) => boolean): [one: Case, index: number] {
  for (const { cases } of PARTS.get(`${arch}.jsonl.gz`)!) {
    for (const one of cases) {
      const index = one.results!.findIndex(wanted);
      if (index >= 0) return [one, index];
    }
  }
  throw new Error('no such result');
}

const X86_MODE: X86Mode = {
  la57: false,
  maxphyaddr: 40,
  gbpages: true,
  nxe: true,
  wp: true,
  smep: false,
  smap: false,
  pke: false,
};
const ARM64_MODE: Arm64Mode = {
  granule: 4096,
  t0sz: 34,
  ha: false,
  hd: false,
  ips: 5,
  tbi: 0,
  hpd: false,
  e0pd: false,
  epd0: false,
  ds: false,
};

/** The case with one recorded result changed. */
function changed(one: Case, index: number, patch: object): Case {
  return { ...one, results: one.results!.map((result, i) => (i === index ? { ...result, ...patch } : result)) };
}

/** The case as one who asks would write it. */
function withoutResults({ id, mode, root, mem, probes }: Case): Case {
  return { id, mode, root, mem, probes };
}

/** The hex text with bit 3 flipped. */
function flip(text: string): string {
  return `0x${(BigInt(text) ^ 8n).toString(16)}`;
}

const success = ({ ok, pa, chg }: Result): boolean => ok && typeof pa === 'string' && chg !== undefined;
const abort = ({ ok, chg }: Result): boolean => !ok && chg !== undefined;
const pageFault = ({ fault, chg }: Result): boolean => fault === 'PF' && chg !== undefined;

describe('what is compared', () => {
  it.each<[Arch, string, (result: Result) => boolean, (result: Result) => object]>([
    ['x86_64', 'pa', success, ({ pa }) => ({ pa: flip(pa!) })],
    ['x86_64', 'chg', success, ({ chg }) => ({ chg: chg!.map(([pa, before, after]) => [flip(pa), before, after]) })],
    ['x86_64', 'chg', success, ({ chg }) => ({ chg: chg!.map(([pa, before, after]) => [pa, flip(before), after]) })],
    ['x86_64', 'chg', success, ({ chg }) => ({ chg: chg!.map(([pa, before, after]) => [pa, before, flip(after)]) })],
    ['x86_64', 'chg', success, ({ chg }) => ({ chg: chg!.slice(1) })],
    ['x86_64', 'chg', success, () => ({ chg: undefined })],
    ['x86_64', 'fault', pageFault, () => ({ fault: 'GP' })],
    ['x86_64', 'err', pageFault, ({ err }) => ({ err: err! ^ 8 })],
    ['x86_64', 'cr2', pageFault, ({ cr2 }) => ({ cr2: flip(cr2!) })],
    ['x86_64', 'cr2', pageFault, () => ({ cr2: undefined })],
    ['aarch64', 'pa', success, ({ pa }) => ({ pa: flip(pa!) })],
    ['aarch64', 'chg', success, () => ({ chg: undefined })],
    ['aarch64', 'fault', abort, () => ({ fault: 'IA' })],
    ['aarch64', 'esr', abort, ({ esr }) => ({ esr: flip(esr!) })],
    ['aarch64', 'far', abort, ({ far }) => ({ far: flip(far!) })],
    ['aarch64', 'chg', abort, ({ chg }) => ({ chg: chg!.map(([pa, before, after]) => [pa, before, flip(after)]) })],
    ['riscv64', 'pa', success, ({ pa }) => ({ pa: flip(pa!) })],
    ['riscv64', 'chg', success, () => ({ chg: undefined })],
    ['riscv64', 'fault', abort, () => ({ fault: 'IPF' })],
    ['riscv64', 'cause', abort, ({ cause }) => ({ cause: cause! ^ 8 })],
    ['riscv64', 'tval', abort, ({ tval }) => ({ tval: flip(tval!) })],
    ['riscv64', 'chg', abort, ({ chg }) => ({ chg: chg!.map(([pa, before, after]) => [pa, before, flip(after)]) })],
  ])('%s %s: one bit of it, or its absence, is exactly one difference', (arch, key, wanted, patch) => {
    const [one, index] = find(arch, wanted);
    const recorded = one.results![index]!;
    const other = patch(recorded);
    const [difference, ...more] = compareCase(arch, changed(one, index, other), one.results!);
    expect(more).toEqual([]);
    expect(difference).toEqual({
      id: one.id,
      index,
      probe: one.probes[index],
      expected: JSON.parse(JSON.stringify(other)) as unknown,
      got: { [key]: recorded[key as keyof Result] },
    });
  });

  it.each<[Arch, (result: Result) => boolean, object]>([
    ['x86_64', success, { ok: false, fault: 'PF', err: 0, cr2: '0x0' }],
    ['x86_64', pageFault, { ok: true, pa: null }],
    ['aarch64', success, { ok: false, fault: 'DA', esr: '0x0', far: '0x0' }],
    ['aarch64', abort, { ok: true, pa: null }],
    ['riscv64', success, { ok: false, fault: 'LPF', cause: 13, tval: '0x0' }],
    ['riscv64', abort, { ok: true, pa: null }],
  ])('%s: another outcome is a difference, with all there is to know of both', (arch, wanted, other) => {
    const [one, index] = find(arch, wanted);
    const results = one.results!.map((result, i) => (i === index ? (other as Result) : result));
    const found = compareCase(arch, { ...one, results }, one.results!);
    expect(found).toHaveLength(1);
    expect(found[0]!.expected).toEqual(other);
    expect(found[0]!.got.ok).toBe(one.results![index]!.ok);
  });

  it.each<[Arch, string, (result: Result) => boolean, object]>([
    ['x86_64', 'the words a page fault changed', pageFault, { chg: undefined }],
    ['x86_64', 'err_raw', pageFault, { err_raw: 99 }],
    ['x86_64', 'an address nobody could tell', success, { pa: null }],
    ['aarch64', 'par', success, { par: '0x1' }],
    ['aarch64', 'at_wrote', success, { at_wrote: false }],
    ['aarch64', 'type', abort, { type: 'translation L9' }],
    ['aarch64', 'an address nobody could tell', success, { pa: null }],
  ])('%s: %s is not', (arch, _name, wanted, patch) => {
    const [one, index] = find(arch, wanted);
    expect(compareCase(arch, changed(one, index, patch), one.results!)).toEqual([]);
  });

  it('upper case and leading zeros are the same number', () => {
    const [one, index] = find('x86_64', success);
    const { pa } = one.results![index]!;
    const patch = { pa: pa!.replace('0x', '0x00').toUpperCase().replace('X', 'x') };
    expect(compareCase('x86_64', changed(one, index, patch), one.results!)).toEqual([]);
  });
});

describe('answers', () => {
  it('a case without results is answered the same, and has no differences', () => {
    const [one] = find('aarch64', success);
    const bare = withoutResults(one);
    const ours = answerCase('aarch64', bare);
    expect(ours).toHaveLength(one.results!.length);
    expect(ours).toEqual(answerCase('aarch64', one));
    expect(compareCase('aarch64', bare, ours)).toEqual([]);
  });

  it('each probe starts from the image, unless cumulative: then what one marked is marked for the next', () => {
    const [one, index] = find('x86_64', success);
    const probes = [one.probes[index]!, one.probes[index]!];
    const { chg, pa } = one.results![index]!;
    const twice = { ...withoutResults(one), probes };
    expect(answerCase('x86_64', twice)).toEqual([
      { ok: true, pa, chg },
      { ok: true, pa, chg },
    ]);
    expect(answerCase('x86_64', { ...twice, cumulative: true })).toEqual([
      { ok: true, pa, chg },
      { ok: true, pa },
    ]);
  });

  /** Level 3 of 4K tables maps page 1 to `pa` for user mode; level 2 has a table there for addresses from 2 MiB on. */
  function outside(arch: Arch, pa: bigint): Result[] {
    const [base, mode, rights] = arch === 'aarch64' ? [0x4200_0000n, ARM64_MODE, 0x443n] : [0x200_0000n, X86_MODE, 7n];
    const hex = (value: bigint): string => `0x${value.toString(16)}`;
    const words: [bigint, bigint][] =
      arch === 'aarch64'
        ? [
            [0n, base + 0x3003n],
            [0x3008n, pa | rights],
            [8n, pa | 3n],
          ]
        : [
            [0n, base + 0x1007n],
            [0x1000n, base + 0x2007n],
            [0x2000n, base + 0x3007n],
            [0x3008n, pa | rights],
            [0x2008n, pa | rights],
          ];
    return answerCase(arch, {
      id: 'outside',
      mode,
      root: hex(base),
      mem: Object.fromEntries(words.map(([at, word]) => [hex(base + at), hex(word)])),
      probes: [
        ['0x1000', 'r', 'u'],
        ['0x200000', 'r', 'u'],
      ],
    });
  }

  const abort = (esr: string, far: string): Result => ({ ok: false, fault: 'DA', esr, far });

  it.each([0x8001000n, 0x3f000000n, 0xc0000000n, 0x4020000000n, 0x7ffffff000n, 0x10000000000n])(
    'arm64, as QEMU 7.2 has it: nothing at %x, an external abort on the access and on the walk',
    (pa) => {
      expect(outside('aarch64', pa)).toEqual([abort('0x92000010', '0x1000'), abort('0x92000017', '0x200000')]);
    },
  );

  it.each([0n, 0x4000000n, 0x7fff000n])('arm64, as QEMU 7.2 has it: flash at %x, where no entry is valid', (pa) => {
    expect(outside('aarch64', pa)).toEqual([{ ok: true, pa: `0x${pa.toString(16)}` }, abort('0x92000007', '0x200000')]);
  });

  it.each([0x10000000n, 0x3efff000n, 0x8000000000n, 0xfffffff000n])(
    'arm64, as QEMU 7.2 has it: the PCI bus at %x, where an entry is all ones, and maps what is not there',
    (pa) => {
      expect(outside('aarch64', pa)).toEqual([
        { ok: true, pa: `0x${pa.toString(16)}` },
        abort('0x92000010', '0x200000'),
      ]);
    },
  );

  it.each([0x80000000n, 0x100000000n, 0xfffffff000n])('x86-64, as QEMU 7.2 has it: zeros at %x', (pa) => {
    expect(outside('x86_64', pa)).toMatchObject([
      { ok: true, pa: `0x${pa.toString(16)}` },
      { ok: false, fault: 'PF', err: 4, cr2: '0x200000' },
    ]);
  });
});
