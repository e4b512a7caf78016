/** From the text of a probe file to its parts. Everything is checked, also what nothing here looks at. */
import { BadInput } from '../exit.ts';
import { fields, flag, hex, integer, list, object, oneOf, refuse, text } from './check.ts';
import type { Check } from './check.ts';
import { ARENA, ARENA_END, FORMAT, RAM_BASE } from './format.ts';
import type { Arch, Arm64Mode, Case, Header, Hex, Part, Probe, Result } from './format.ts';

const hex32: Check = (where, value) => {
  hex(where, value);
  if (BigInt(value as Hex) >> 32n !== 0n) refuse(where, '32 bits', value);
};

const COUNT = integer(0, Number.MAX_SAFE_INTEGER);

const MODES: Readonly<Record<Arch, readonly [required: Record<string, Check>, optional: Record<string, Check>]>> = {
  x86_64: [
    {
      la57: flag,
      maxphyaddr: integer(32, 52),
      gbpages: flag,
      nxe: flag,
      wp: flag,
      smep: flag,
      smap: flag,
      pke: flag,
    },
    { pkru: hex32 },
  ],
  aarch64: [
    {
      granule: oneOf(4096, 16384, 65536),
      t0sz: integer(12, 48),
      ha: flag,
      hd: flag,
      ips: integer(0, 7),
      tbi: oneOf(0, 1),
      hpd: flag,
      e0pd: flag,
      epd0: flag,
      ds: flag,
    },
    {},
  ],
  riscv64: [{ levels: integer(3, 5), sum: flag, mxr: flag, adue: flag, pbmte: flag }, {}],
};

const FAULTS: Readonly<Record<Arch, readonly string[]>> = {
  x86_64: ['PF', 'GP'],
  aarch64: ['DA', 'IA'],
  riscv64: ['IPF', 'LPF', 'SPF', 'IAF', 'LAF', 'SAF'],
};

const FAULT_KEYS: Readonly<Record<Arch, readonly [Record<string, Check>, Record<string, Check>]>> = {
  x86_64: [{ err: integer(0, 0xffff_ffff) }, { cr2: hex, err_raw: integer(0, 0xffff_ffff) }],
  aarch64: [
    { esr: hex, far: hex },
    { type: text, par: hex, at_wrote: flag },
  ],
  riscv64: [{ cause: COUNT, tval: hex }, {}],
};

const SUCCESS_KEYS: Readonly<Record<Arch, Record<string, Check>>> = {
  x86_64: {},
  aarch64: { par: hex, at_wrote: flag },
  riscv64: {},
};

/** The parts of a file. BadInput: `PATH: line N: KEY: expected …, got …`. */
export function parseProbes(path: string, content: string): Part[] {
  const parts: { header: Header; cases: Case[] }[] = [];
  content.split('\n').forEach((line, index) => {
    if (line === '') return;
    const where = `${path}: line ${index + 1}`;
    const value = parseLine(where, line);
    if (Object.hasOwn(value, 'format')) parts.push({ header: header(where, value), cases: [] });
    else {
      const part = parts.at(-1) ?? refuse(where, `a header {"format": "${FORMAT}", …}`, value);
      part.cases.push(parseCase(where, part.header.arch, value));
    }
  });
  if (parts.length === 0)
    throw new BadInput(`${path}: line 1: expected a header {"format": "${FORMAT}", …}, got the end`);
  return parts;
}

function parseLine(where: string, line: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    refuse(where, 'a line of JSON', line);
  }
  return object(where, value) as Record<string, unknown>;
}

function header(where: string, value: object): Header {
  fields(
    where,
    value,
    { format: oneOf(FORMAT), arch: oneOf('x86_64', 'aarch64', 'riscv64') },
    { backend: text, cases: COUNT, probes: COUNT },
  );
  return value as Header;
}

/** Checks a case of `arch`; BadInput with the key. */
export function parseCase(where: string, arch: Arch, value: unknown): Case {
  fields(
    where,
    value,
    {
      id: text,
      mode: (at, mode) => checkMode(at, arch, mode),
      root: hex,
      mem: (at, mem) => checkMem(at, arch, mem),
      probes: (at, probes) => list(at, probes).forEach((probe, i) => checkProbe(`${at}[${i}]`, arch, probe)),
    },
    {
      cumulative: flag,
      results: (at, results) => list(at, results).forEach((result, i) => checkResult(`${at}[${i}]`, arch, result)),
    },
  );
  const one = value as Case;
  if (one.results !== undefined && one.results.length !== one.probes.length) {
    throw new BadInput(`${where}: results: expected ${one.probes.length}, one a probe, got ${one.results.length}`);
  }
  return one;
}

function checkMode(where: string, arch: Arch, value: unknown): void {
  fields(where, value, ...MODES[arch]);
  if (arch !== 'aarch64') return;
  const { granule, ds, t0sz } = value as Arm64Mode;
  const is64K = granule === 65536;
  integer(ds || is64K ? 12 : 16, is64K ? 47 : 48)(`${where}: t0sz`, t0sz);
}

function checkMem(where: string, arch: Arch, value: unknown): void {
  const words = object(where, value);
  const seen = new Set<bigint>();
  for (const [address, word] of Object.entries(words)) {
    hex(where, address);
    hex(`${where}: ${address}`, word);
    const at = BigInt(address);
    const offset = at - RAM_BASE[arch];
    if (offset < ARENA || offset >= ARENA_END || offset % 8n !== 0n) {
      const [from, to] = [ARENA, ARENA_END - 8n].map((end) => `0x${(RAM_BASE[arch] + end).toString(16)}`);
      refuse(where, `multiples of 8 from ${from} to ${to}`, address);
    }
    if (seen.has(at)) refuse(where, 'every word once', address);
    seen.add(at);
  }
}

function checkProbe(where: string, arch: Arch, value: unknown): void {
  const probe = list(where, value);
  if (probe.length < 3 || probe.length > 4) refuse(where, '[address, access, who] or one more', value);
  const [va, access, who, flags] = probe as unknown as Probe;
  hex(`${where}[0]`, va);
  oneOf('r', 'w', 'x')(`${where}[1]`, access);
  oneOf('u', 's')(`${where}[2]`, who);
  const bit = oneOf(0, 1);
  if (flags === undefined) return;
  fields(`${where}[3]`, flags, {}, arch === 'x86_64' ? { ac: bit } : arch === 'aarch64' ? { pan: bit } : {});
}

function checkResult(where: string, arch: Arch, value: unknown): void {
  const { ok } = object(where, value) as Partial<Result>;
  flag(`${where}: ok`, ok);
  const chg: Check = (at, changes) => list(at, changes).forEach((change, i) => checkChange(`${at}[${i}]`, change));
  if (ok === true) {
    const pa: Check = (at, address) => address === null || hex(at, address);
    fields(where, value, { ok: flag, pa }, { chg, ...SUCCESS_KEYS[arch] });
  } else {
    const [required, optional] = FAULT_KEYS[arch];
    const fault = oneOf(...FAULTS[arch]);
    fields(where, value, { ok: flag, fault, ...required }, { chg, secondary: flag, ...optional });
  }
}

function checkChange(where: string, value: unknown): void {
  const change = list(where, value);
  if (change.length !== 3) refuse(where, '[address, before, after]', value);
  change.forEach((word, i) => hex(`${where}[${i}]`, word));
}
