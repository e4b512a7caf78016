/**
 * Memory dumps: which physical addresses a dump holds, and where. Raw memory, ELF cores (elf.ts) and LiME (lime.ts).
 * Everything a dump does not hold is unknown, which is not the same as zero. A dump is only ever read.
 */
import { checkInteger, InvariantError } from '@mmkit/base';
import { isElf, readElf } from './elf.ts';
import { isLime, readLime } from './lime.ts';
import { type ByteSource, readSource } from './source.ts';

export type DumpFormat = 'raw' | 'elf' | 'lime';

/** Physical memory that lies in one piece in the dump. */
export interface DumpRange {
  /** First physical address. */
  readonly start: number;
  /** Bytes. */
  readonly size: number;
  /** Where it begins in the dump. */
  readonly position: number;
}

export interface Dump {
  readonly source: ByteSource;
  readonly format: DumpFormat;
  /** In the dump's order. Where two hold an address the first one counts. */
  readonly ranges: readonly DumpRange[];
  /** ELF: e_machine, one of the EM_* constants as a rule; else null. */
  readonly machine: number | null;
}

export interface DumpOptions {
  /** Told from the first bytes unless given; what is neither ELF nor LiME is raw then. */
  readonly format?: DumpFormat;
  /** Raw: physical address of the first byte; 0 unless given. The other formats carry their own. */
  readonly base?: number;
}

/** What programs may take for a dump, by its first bytes: better refused than walked as raw memory. */
const FOREIGN: readonly (readonly [bytes: readonly number[], name: string])[] = [
  [[0x1f, 0x8b], 'gzip: unpack it first'],
  [[0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], 'xz: unpack it first'],
  [[0x28, 0xb5, 0x2f, 0xfd], 'zstd: unpack it first'],
  [[0x4b, 0x44, 0x55, 0x4d, 0x50, 0x20, 0x20, 0x20], "kdump's compressed format: make an ELF core of it first"],
  [[0x6d, 0x61, 0x6b, 0x65, 0x64, 0x75, 0x6d, 0x70], "makedumpfile's flattened format: make an ELF core of it first"],
  [[0x50, 0x41, 0x47, 0x45, 0x44, 0x55], 'a Windows crash dump'],
  [[0x51, 0x46, 0x49, 0xfb], 'a qcow2 image'],
] as const;

/**
 * Reads the headers of a dump. `InvariantError`: 'BAD_DUMP' when it is truncated, damaged, of another format than the one
 * given or than any known, or has addresses of its own beside a base; 'DUMP_IO' when the source fails. `RangeError` for a
 * base that is no integer from 0 to 2^52.
 */
export function openDump(source: ByteSource, options: DumpOptions = {}): Dump {
  const { base = 0 } = options;
  checkInteger('base', base, 0, 2 ** 52);
  const head = new Uint8Array(8);
  const found = head.subarray(0, readSource(source, 0, head));
  const format = options.format ?? detect(found);
  if (format === 'raw') {
    if (source.size === 0) throw new InvariantError('BAD_DUMP', 'truncated: the dump is empty');
    return { source, format, ranges: [{ start: base, size: source.size, position: 0 }], machine: null };
  }
  if (base !== 0) throw new InvariantError('BAD_DUMP', `only raw memory has a base, this is ${format}`);
  if (format === 'elf') return { source, format, ...readElf(source) };
  return { source, format, ranges: readLime(source), machine: null };
}

function detect(head: Uint8Array): DumpFormat {
  if (isElf(head)) return 'elf';
  if (isLime(head)) return 'lime';
  const foreign = FOREIGN.find(([bytes]) => bytes.every((byte, i) => head[i] === byte));
  if (foreign !== undefined) throw new InvariantError('BAD_DUMP', `not a memory dump but ${foreign[1]}`);
  return 'raw';
}

/**
 * Fills `into` with physical memory from `address` on. Returns how many bytes there are before the first one that the
 * dump does not hold; the rest of `into` stays as it was. `InvariantError('DUMP_IO')` when the source fails.
 */
export function readPhysical(dump: Dump, address: number, into: Uint8Array): number {
  checkInteger('address', address, 0, Number.MAX_SAFE_INTEGER);
  let done = 0;
  while (done < into.length) {
    const at = address + done;
    const index = dump.ranges.findIndex(({ start, size }) => at >= start && at - start < size);
    if (index < 0) break;
    const range = dump.ranges[index]!;
    const offset = at - range.start;
    let length = Math.min(into.length - done, range.size - offset);
    for (let i = 0; i < index; i++) {
      const { start } = dump.ranges[i]!;
      if (start > at) length = Math.min(length, start - at);
    }
    const count = readSource(dump.source, range.position + offset, into.subarray(done, done + length));
    done += count;
    if (count < length) break;
  }
  return done;
}

/** True when the dump holds any of the `bytes` from `address` on, an integer of 0 or more. Reads nothing. */
export function holdsPhysical(dump: Dump, address: number, bytes: number): boolean {
  return dump.ranges.some(({ start, size }) => address + bytes > start && address - start < size);
}
