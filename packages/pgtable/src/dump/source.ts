/** Where the bytes of a dump come from: a buffer, a file (`@mmkit/pgtable/node`), or a source of yours. */
import { InvariantError } from '@mmkit/base';

export interface ByteSource {
  /** Bytes there are. */
  readonly size: number;
  /**
   * Fills `into` with the bytes from `position` on. Returns how many there were (fewer at the end), or a negative errno
   * when they cannot be had. Never throws.
   */
  read(position: number, into: Uint8Array): number;
}

class BufferSource implements ByteSource {
  readonly bytes: Uint8Array;
  readonly size: number;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.size = bytes.length;
  }

  read(position: number, into: Uint8Array): number {
    const found = this.bytes.subarray(position, position + into.length);
    into.set(found);
    return found.length;
  }
}

/** The bytes of a buffer, which is not copied and never written. */
export function bufferSource(bytes: ArrayBuffer | Uint8Array): ByteSource {
  return new BufferSource(bytes instanceof Uint8Array ? bytes : new Uint8Array(bytes));
}

/** Reads what there is of `into.length` bytes; `InvariantError('DUMP_IO')` when the source fails. */
export function readSource(source: ByteSource, position: number, into: Uint8Array): number {
  const count = source.read(position, into);
  if (count < 0) throw new InvariantError('DUMP_IO', `${into.length} bytes at ${position} cannot be read: ${count}`);
  return count;
}

/** Reads a header of `size` bytes; `InvariantError('BAD_DUMP')` naming `what` when the source ends before. */
export function readHeader(source: ByteSource, position: number, size: number, what: string): DataView {
  const bytes = new Uint8Array(size);
  const count = readSource(source, position, bytes);
  if (count < size) {
    throw new InvariantError(
      'BAD_DUMP',
      `truncated: ${what} ends at byte ${position + size}, the dump at ${source.size}`,
    );
  }
  return new DataView(bytes.buffer);
}
