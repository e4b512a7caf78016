/**
 * Where the bytes of a block device lie: the port through which the device (blockdev.ts) reaches memory, a real file
 * (node.ts) or anything of yours. Neither kind may throw: an error is a value.
 */
import { EIO } from '@mmkit/base';

/** A backend that answers at once. */
export interface Backend {
  /** Capacity now, bytes. */
  readonly size: number;
  /**
   * Fills `into` from byte `offset` on. Returns the bytes read, fewer only at the end of the backend, or a negative
   * errno.
   */
  read(offset: number, into: Uint8Array): number;
  /** Stores `from` at byte `offset`. Returns the bytes written (fewer becomes -EIO), or a negative errno. */
  write(offset: number, from: Uint8Array): number;
}

/** A backend whose operations end later, by a callback from outside the simulation. */
export interface AsyncBackend {
  /** Capacity now, bytes. */
  readonly size: number;
  /**
   * Starts BIO_READ (fills `bytes`) or BIO_WRITE (stores `bytes`) at byte `offset`. `bytes` is the backend's until it
   * calls `done`, once, with what `Backend.read` or `Backend.write` would return.
   */
  submit(op: number, offset: number, bytes: Uint8Array, done: (result: number) => void): void;
}

/**
 * A backend of fixed size over `bytes`, which it reads and writes in place. A write that does not fit whole is -EIO and
 * stores nothing.
 */
export function createMemoryBackend(bytes: Uint8Array): Backend {
  return {
    size: bytes.length,
    read(offset: number, into: Uint8Array): number {
      const found = bytes.subarray(offset, offset + into.length);
      into.set(found);
      return found.length;
    },
    write(offset: number, from: Uint8Array): number {
      if (offset + from.length > bytes.length) return -EIO;
      bytes.set(from, offset);
      return from.length;
    },
  };
}
