/**
 * Dumps in files of the host, read as far as a walk needs them. The only file of the package that knows the host.
 *
 * Opening throws the host's error, with its `code` ('ENOENT', 'EACCES', …), for the program to report; reading never
 * throws: whatever the host says is -EIO.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { EIO, InvariantError } from '@mmkit/base';
import type { ByteSource } from './dump/source.ts';

/** An open file, for reading only. */
export class FileSource implements ByteSource {
  /** As given to `openSource`. */
  readonly path: string;
  /** Bytes when it was opened. */
  readonly size: number;
  /** Descriptor, -1 when closed. This file only. */
  fd: number;

  constructor(path: string, fd: number, size: number) {
    this.path = path;
    this.size = size;
    this.fd = fd;
  }

  read(position: number, into: Uint8Array): number {
    let at = 0;
    try {
      while (at < into.length) {
        const count = readSync(this.fd, into, at, into.length - at, position + at);
        if (count === 0) break;
        at += count;
      }
    } catch {
      return -EIO;
    }
    return at;
  }
}

/** Opens a regular file. */
export function openSource(path: string): FileSource {
  // Not blocking: opening a pipe that nobody writes to would hang.
  const fd = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  const stat = fstatSync(fd);
  if (!stat.isFile()) {
    closeSync(fd);
    const [code, text] = stat.isDirectory() ? ['EISDIR', 'is a directory'] : ['EINVAL', 'not a file'];
    throw Object.assign(new Error(`${code}: ${text}, open '${path}'`), { code, syscall: 'open', path });
  }
  return new FileSource(path, fd, stat.size);
}

/** Closes the file. `InvariantError('FILE_CLOSED')` when it is closed. */
export function closeSource(source: FileSource): void {
  if (source.fd < 0) throw new InvariantError('FILE_CLOSED', `${source.path} is closed`);
  closeSync(source.fd);
  source.fd = -1;
}
