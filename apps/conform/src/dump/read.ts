/** NAME.json.gz and NAME.tables.bin.xz, from files to what they say. Everything that is used is checked. */
import { readFileSync } from 'node:fs';
import { bufferSource } from '@mmkit/pgtable/dump';
import type { Dump, DumpRange } from '@mmkit/pgtable/dump';
import xz from 'xz-decompress';
import { BadInput } from '../exit.ts';
import { hex, integer, list, object, oneOf, refuse } from '../mmu/check.ts';
import type { Check } from '../mmu/check.ts';
import { readText } from '../records.ts';
import type { Arch, Process, Recorded } from './format.ts';

/** Bytes of a record in the tables file: its address and the page. */
const PAGE = 4096;
const RECORD = 8 + PAGE;
/** Base of RAM, number of records. */
const HEAD = 16;

const REGISTERS: Readonly<Record<Arch, readonly string[]>> = {
  x86_64: ['cr3', 'cr4'],
  aarch64: ['TTBR0_EL1', 'TTBR1_EL1', 'TCR_EL1'],
};

/** Reads both files of a dump. BadInput: `FILE: KEY: expected …, got …`. */
export async function readDump(path: string): Promise<Recorded> {
  const name = /^(.*)\.json(\.gz)?$/s.exec(path)?.[1];
  if (name === undefined) throw new BadInput(`${path}: expected a name that ends in .json.gz`);
  const { arch, processes } = parseMachine(path, readText(path));
  const tables = `${name}.tables.bin.xz`;
  return { arch, processes, tables: parseTables(tables, await readXz(tables)) };
}

function parseMachine(path: string, text: string): Pick<Recorded, 'arch' | 'processes'> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    refuse(path, 'a JSON document', text);
  }
  const { arch, processes } = object(path, value);
  oneOf('x86_64', 'aarch64')(`${path}: arch`, arch);
  list(`${path}: processes`, processes).forEach((one, i) =>
    checkProcess(`${path}: processes[${i}]`, arch as Arch, one),
  );
  return { arch: arch as Arch, processes: processes as Process[] };
}

function checkProcess(where: string, arch: Arch, value: unknown): void {
  const process = object(where, value);
  integer(0, Number.MAX_SAFE_INTEGER)(`${where}: pid`, process['pid']);
  for (const key of REGISTERS[arch]) register(`${where}: ${key}`, process[key]);
  const address: Check = (at, pa) => pa === null || hex(at, pa);
  checkPairs(`${where}: gva2gpa`, process['gva2gpa'], address);
  checkPairs(`${where}: pagemap`, process['pagemap'], hex);
}

const register: Check = (where, value) => {
  if (typeof value !== 'string' || !/^(0x)?[0-9a-f]{1,16}$/i.test(value)) refuse(where, 'up to 16 hex digits', value);
};

function checkPairs(where: string, value: unknown, second: Check): void {
  list(where, value).forEach((pair, i) => {
    const found = list(`${where}[${i}]`, pair);
    if (found.length < 1 || found.length > 2) refuse(`${where}[${i}]`, 'an address, and what it leads to', pair);
    hex(`${where}[${i}]`, found[0]);
    if (found.length === 2) second(`${where}[${i}]`, found[1]);
  });
}

async function readXz(path: string): Promise<Uint8Array> {
  let packed: Uint8Array<ArrayBuffer>;
  try {
    packed = readFileSync(path);
  } catch (error) {
    throw new BadInput(`${path}: cannot be read: ${(error as NodeJS.ErrnoException).code ?? String(error)}`);
  }
  try {
    const stream = new xz.XzReadableStream(new Blob([packed]).stream());
    return new Uint8Array(await new Response(stream).arrayBuffer());
  } catch {
    throw new BadInput(`${path}: expected a whole xz file`);
  }
}

/** The unpacked tables as a dump: each page of them is a range. BadInput naming `path`. */
export function parseTables(path: string, bytes: Uint8Array): Dump {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const count = bytes.length < HEAD ? 0 : Number(view.getBigUint64(8, true));
  if (bytes.length !== HEAD + count * RECORD) {
    throw new BadInput(`${path}: expected ${HEAD} bytes and ${RECORD} for each of ${count} pages, got ${bytes.length}`);
  }
  const ranges: DumpRange[] = [];
  for (let at = HEAD; at < bytes.length; at += RECORD) {
    const start = Number(view.getBigUint64(at, true));
    if (start % PAGE !== 0 || !Number.isSafeInteger(start)) {
      throw new BadInput(`${path}: page ${ranges.length}: expected an address of a page, got 0x${start.toString(16)}`);
    }
    ranges.push({ start, size: PAGE, position: at + 8 });
  }
  return { source: bufferSource(bytes), format: 'raw', ranges, machine: null };
}
