/** Dumps for tests: those recorded of QEMU, and ones laid out by hand. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { bufferSource, type Dump, openDump } from '@mmkit/pgtable/dump';

const DATA = join(import.meta.dirname, 'dump-data');

/** What QEMU's monitor said; see dump-data/record.ts. */
export interface Said {
  readonly cr3: string;
  readonly gva2gpa: readonly (readonly [va: string, pa: string | null])[];
  readonly tlb: readonly (readonly [va: string, pa: string, flags: string])[];
  readonly mem: readonly (readonly [from: string, to: string, rights: string])[];
}

export function recorded(name: 'core' | 'lime'): Uint8Array {
  return gunzipSync(readFileSync(join(DATA, `x86_64.${name}.gz`)));
}

export function said(): Said {
  return JSON.parse(readFileSync(join(DATA, 'x86_64.json'), 'utf8')) as Said;
}

export function openBytes(bytes: Uint8Array): Dump {
  return openDump(bufferSource(bytes));
}

export interface Segment {
  readonly paddr: bigint;
  readonly bytes: Uint8Array;
  /** PT_LOAD unless given. */
  readonly type?: number;
  /** The length of `bytes` unless given. */
  readonly fileSize?: bigint;
}

/** An ELF core of x86-64: header, program headers, segments. With `sections` their number is in section header 0. */
export function elfCore(segments: readonly Segment[], sections = false): Uint8Array {
  const HEADER = 64;
  const SEGMENT = 56;
  const SECTION = 64;
  const table = HEADER + (sections ? SECTION : 0);
  let position = table + segments.length * SEGMENT;
  const size = position + segments.reduce((sum, { bytes }) => sum + bytes.length, 0);
  const file = new Uint8Array(size);
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 4, true);
  view.setUint16(18, 62, true);
  view.setBigUint64(32, BigInt(table), true);
  view.setBigUint64(40, sections ? BigInt(HEADER) : 0n, true);
  view.setUint16(54, SEGMENT, true);
  view.setUint16(56, sections ? 0xffff : segments.length, true);
  if (sections) view.setUint32(HEADER + 44, segments.length, true);
  segments.forEach(({ paddr, bytes, type = 1, fileSize = BigInt(bytes.length) }, i) => {
    const at = table + i * SEGMENT;
    view.setUint32(at, type, true);
    view.setBigUint64(at + 8, BigInt(position), true);
    view.setBigUint64(at + 24, paddr, true);
    view.setBigUint64(at + 32, fileSize, true);
    view.setBigUint64(at + 40, 0x10_0000n, true);
    file.set(bytes, position);
    position += bytes.length;
  });
  return file;
}

/** A LiME dump of ranges. */
export function limeDump(ranges: readonly (readonly [start: bigint, bytes: Uint8Array])[]): Uint8Array {
  const parts = ranges.flatMap(([start, bytes]) => {
    const header = new Uint8Array(32);
    const view = new DataView(header.buffer);
    view.setUint32(0, 0x4c69_4d45, true);
    view.setUint32(4, 1, true);
    view.setBigUint64(8, start, true);
    view.setBigUint64(16, start + BigInt(bytes.length) - 1n, true);
    return [header, bytes];
  });
  return new Uint8Array(Buffer.concat(parts));
}

/** `size` bytes, all `value`. */
export function filled(size: number, value: number): Uint8Array {
  return new Uint8Array(size).fill(value);
}

/** Tables of 4 KiB by physical address, each with some entries by index, as raw memory of `size` bytes. */
export function rawTables(
  size: number,
  tables: Readonly<Record<number, Readonly<Record<number, bigint>>>>,
): Uint8Array {
  const memory = new BigUint64Array(size / 8);
  for (const [address, entries] of Object.entries(tables)) {
    for (const [index, entry] of Object.entries(entries)) memory[Number(address) / 8 + Number(index)] = entry;
  }
  return new Uint8Array(memory.buffer);
}
