/**
 * ELF cores of whole machines, as QEMU's dump-guest-memory, kdump and /proc/kcore lay them out: each PT_LOAD segment is
 * `p_filesz` bytes of physical memory from `p_paddr` on. Tool Interface Standard, "ELF-64 Object File Format".
 *
 * Only 64-bit, little-endian files of type ET_CORE. What a segment has in memory beyond `p_filesz` was not dumped, so it is
 * unknown. A segment whose physical address is all ones has none (/proc/kcore).
 */
import { InvariantError } from '@mmkit/base';
import type { DumpRange } from './dump.ts';
import { type ByteSource, readHeader } from './source.ts';

/** `Dump.machine`: x86-64. */
export const EM_X86_64 = 62;
/** `Dump.machine`: arm64. */
export const EM_AARCH64 = 183;
/** `Dump.machine`: riscv. */
export const EM_RISCV = 243;

const HEADER_SIZE = 64;
const CLASS_64 = 2;
const LITTLE_ENDIAN = 1;
const ET_CORE = 4;
const PT_LOAD = 1;
const SEGMENT_SIZE = 56;
const SECTION_SIZE = 64;
/** e_phnum: the number is in section header 0. */
const PN_XNUM = 0xffff;
const NO_ADDRESS = 0xffff_ffff_ffff_ffffn;

export function isElf(head: Uint8Array): boolean {
  return head.length >= 4 && head[0] === 0x7f && head[1] === 0x45 && head[2] === 0x4c && head[3] === 0x46;
}

/** Segments and machine of a core. `InvariantError('BAD_DUMP')` for everything else. */
export function readElf(source: ByteSource): { ranges: DumpRange[]; machine: number } {
  const header = readHeader(source, 0, HEADER_SIZE, 'the ELF header');
  if (!isElf(new Uint8Array(header.buffer))) throw new InvariantError('BAD_DUMP', 'no ELF file');
  if (header.getUint8(4) !== CLASS_64 || header.getUint8(5) !== LITTLE_ENDIAN) {
    throw new InvariantError('BAD_DUMP', 'an ELF file that is not 64-bit and little-endian');
  }
  const type = header.getUint16(16, true);
  if (type !== ET_CORE) throw new InvariantError('BAD_DUMP', `an ELF file, but no core: type ${type}, not ${ET_CORE}`);
  const entrySize = header.getUint16(54, true);
  if (entrySize !== SEGMENT_SIZE) {
    throw new InvariantError('BAD_DUMP', `ELF program headers of ${entrySize} bytes, not ${SEGMENT_SIZE}`);
  }
  const count = segmentCount(source, header);
  const at = number(header, 32, 'e_phoff');
  const table = readHeader(source, at, count * SEGMENT_SIZE, `the table of ${count} ELF segments`);
  const ranges: DumpRange[] = [];
  let physical = false;
  for (let i = 0; i < count; i++) {
    const range = segment(source, new DataView(table.buffer, i * SEGMENT_SIZE, SEGMENT_SIZE), i);
    if (range === null) continue;
    physical ||= range.start !== 0;
    ranges.push(range);
  }
  if (ranges.length === 0) throw new InvariantError('BAD_DUMP', 'an ELF core that holds no memory');
  if (!physical && ranges.length > 1) {
    throw new InvariantError('BAD_DUMP', 'an ELF core without physical addresses: of a process, not of a machine');
  }
  return { ranges, machine: header.getUint16(18, true) };
}

function segmentCount(source: ByteSource, header: DataView): number {
  const count = header.getUint16(56, true);
  if (count !== PN_XNUM) return count;
  const section = readHeader(source, number(header, 40, 'e_shoff'), SECTION_SIZE, 'ELF section header 0');
  const real = section.getUint32(44, true);
  if (real * SEGMENT_SIZE > source.size) throw new InvariantError('BAD_DUMP', `truncated: ${real} ELF segments`);
  return real;
}

/** The memory of a segment, or null where it has none. */
function segment(source: ByteSource, entry: DataView, index: number): DumpRange | null {
  if (entry.getUint32(0, true) !== PT_LOAD || entry.getBigUint64(24, true) === NO_ADDRESS) return null;
  const what = `ELF segment ${index}`;
  const position = number(entry, 8, what);
  const start = number(entry, 24, what);
  const size = number(entry, 32, what);
  if (size === 0) return null;
  if (!Number.isSafeInteger(start + size)) throw new InvariantError('BAD_DUMP', `${what} goes beyond address 2^53`);
  if (position + size > source.size) {
    const end = `${what} ends at byte ${position + size}, the dump at ${source.size}`;
    throw new InvariantError('BAD_DUMP', `truncated: ${end}`);
  }
  return { start, size, position };
}

function number(view: DataView, at: number, what: string): number {
  const value = view.getBigUint64(at, true);
  if (value >= 2n ** 53n) {
    throw new InvariantError('BAD_DUMP', `${what}: 0x${value.toString(16)} is no offset or address`);
  }
  return Number(value);
}
