/**
 * LiME dumps, format version 1: ranges of physical memory one behind the other, each behind a header of 32 bytes.
 *
 * | bytes | field |
 * |---|---|
 * | 3:0 | magic 0x4c694d45 |
 * | 7:4 | version 1 |
 * | 15:8 | first physical address |
 * | 23:16 | last physical address, inclusive |
 * | 31:24 | reserved |
 *
 * All little-endian.
 */
import { InvariantError } from '@mmkit/base';
import type { DumpRange } from './dump.ts';
import { type ByteSource, readHeader } from './source.ts';

const MAGIC = 0x4c69_4d45;
const VERSION = 1;
const HEADER_SIZE = 32;

export function isLime(head: Uint8Array): boolean {
  return head.length >= 4 && new DataView(head.buffer, head.byteOffset).getUint32(0, true) === MAGIC;
}

/** Ranges of a dump. `InvariantError('BAD_DUMP')` naming the range where it is damaged or truncated. */
export function readLime(source: ByteSource): DumpRange[] {
  const ranges: DumpRange[] = [];
  let at = 0;
  do {
    const what = `LiME range ${ranges.length}`;
    const header = readHeader(source, at, HEADER_SIZE, `the header of ${what}`);
    const magic = header.getUint32(0, true);
    const version = header.getUint32(4, true);
    if (magic !== MAGIC) {
      throw new InvariantError('BAD_DUMP', `${what}: magic 0x${magic.toString(16)} at byte ${at}, not 0x4c694d45`);
    }
    if (version !== VERSION) throw new InvariantError('BAD_DUMP', `${what}: version ${version}, not ${VERSION}`);
    const start = Number(header.getBigUint64(8, true));
    const last = Number(header.getBigUint64(16, true));
    if (!Number.isSafeInteger(last) || last < start) {
      throw new InvariantError('BAD_DUMP', `${what}: from 0x${start.toString(16)} to 0x${last.toString(16)}`);
    }
    const position = at + HEADER_SIZE;
    const size = last - start + 1;
    at = position + size;
    if (at > source.size) {
      throw new InvariantError('BAD_DUMP', `truncated: ${what} ends at byte ${at}, the dump at ${source.size}`);
    }
    ranges.push({ start, size, position });
  } while (at < source.size);
  return ranges;
}
