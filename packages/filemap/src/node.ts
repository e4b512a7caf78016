/**
 * Backends over a real host file: one that reads and writes at once (plain build, sched build) and one by callbacks
 * (async driver). The only file of the package that knows the host; bytes go through the host's page cache. No lock:
 * one file, one process.
 *
 * Opening, closing and truncating throw the host's error, with its `code` ('ENOENT', 'EACCES', …), for the program to
 * report. Reading and writing never throw: whatever the host says is -EIO, as from a disk. A read past the end is
 * short; a write past it makes the file longer.
 */
import { closeSync, constants, fstatSync, ftruncateSync, openSync, read, readSync, write, writeSync } from 'node:fs';
import { checkInteger, EIO, InvariantError } from '@mmkit/base';
import type { AsyncBackend, Backend } from './backend.ts';
import { BIO_READ } from './bio.ts';

/** What readSync and writeSync have in common. */
type Move = (fd: number, bytes: Uint8Array, at: number, length: number, position: number) => number;

export interface OpenOptions {
  /** True: for reading and writing; default for reading only. */
  readonly write?: boolean;
  /** True: made if absent (needs `write`). */
  readonly create?: boolean;
  /** True: emptied (needs `write`). */
  readonly truncate?: boolean;
}

/** An open host file. */
export class HostFile {
  /** As given to open. */
  readonly path: string;
  /** Descriptor, -1 when closed. This file only. */
  fd: number;
  /** Bytes: when opened, plus what was written or truncated here. This file only. */
  size: number;
  /** Asynchronous operations under way. This file only. */
  pending: number;

  constructor(path: string, fd: number, size: number) {
    this.path = path;
    this.fd = fd;
    this.size = size;
    this.pending = 0;
  }
}

/** A host file that answers at once. */
export class FileBackend extends HostFile implements Backend {
  read(offset: number, into: Uint8Array): number {
    return moveAll(readSync, this.fd, offset, into);
  }

  write(offset: number, from: Uint8Array): number {
    const count = moveAll(writeSync, this.fd, offset, from);
    grow(this, offset, count);
    return count;
  }
}

/** A host file whose operations end by callbacks of the host. */
export class AsyncFileBackend extends HostFile implements AsyncBackend {
  submit(op: number, offset: number, bytes: Uint8Array, done: (result: number) => void): void {
    if (this.fd < 0) return done(-EIO);
    let at = 0;
    const next = (): void => {
      if (op === BIO_READ) read(this.fd, bytes, at, bytes.length - at, offset + at, step);
      else write(this.fd, bytes, at, bytes.length - at, offset + at, step);
    };
    // The host may move fewer bytes than asked: go on until it moves none, which is the end of the file.
    const step = (error: Error | null, count: number): void => {
      if (error === null) at += count;
      if (error === null && count > 0 && at < bytes.length) return next();
      this.pending--;
      if (op !== BIO_READ) grow(this, offset, at);
      done(error === null ? at : -EIO);
    };
    this.pending++;
    next();
  }
}

/** Opens a regular file for synchronous use. RangeError for options that contradict each other. */
export function openFile(path: string, options: OpenOptions = {}): FileBackend {
  const { fd, size } = open(path, options);
  return new FileBackend(path, fd, size);
}

/** Opens a regular file for use under the async driver. */
export function openFileAsync(path: string, options: OpenOptions = {}): AsyncFileBackend {
  const { fd, size } = open(path, options);
  return new AsyncFileBackend(path, fd, size);
}

/** Makes the file `size` bytes long, cutting it or adding zeroes. InvariantError FILE_BUSY as for closeFile. */
export function truncateFile(file: HostFile, size: number): void {
  checkInteger('size', size, 0, Number.MAX_SAFE_INTEGER);
  checkQuiet(file);
  ftruncateSync(file.fd, size);
  file.size = size;
}

/** Closes the file. InvariantError FILE_CLOSED when it is closed, FILE_BUSY while operations are under way. */
export function closeFile(file: HostFile): void {
  checkQuiet(file);
  const { fd } = file;
  file.fd = -1;
  closeSync(fd);
}

function open(path: string, options: OpenOptions): { fd: number; size: number } {
  const { write: writable = false, create = false, truncate = false } = options;
  if (!writable && (create || truncate)) throw new RangeError('options: create and truncate need write');
  // Not blocking: opening a pipe that nobody writes to would hang.
  let flags = (writable ? constants.O_RDWR : constants.O_RDONLY) | (constants.O_NONBLOCK ?? 0);
  if (create) flags |= constants.O_CREAT;
  if (truncate) flags |= constants.O_TRUNC;
  const fd = openSync(path, flags, 0o666);
  const stat = fstatSync(fd);
  if (!stat.isFile()) {
    closeSync(fd);
    throw stat.isDirectory() ? hostError('EISDIR', 'is a directory', path) : hostError('EINVAL', 'not a file', path);
  }
  return { fd, size: stat.size };
}

/** An error shaped as the host's own, for what the host itself would open. */
function hostError(code: string, text: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${text}, open '${path}'`), { code, syscall: 'open', path });
}

/** Moves all of `bytes`, however few the host moves at a time; fewer at the end of the file, -EIO on an error. */
function moveAll(move: Move, fd: number, offset: number, bytes: Uint8Array): number {
  let at = 0;
  try {
    while (at < bytes.length) {
      const count = move(fd, bytes, at, bytes.length - at, offset + at);
      if (count === 0) break;
      at += count;
    }
  } catch {
    return -EIO;
  }
  return at;
}

function grow(file: HostFile, offset: number, written: number): void {
  if (written > 0) file.size = Math.max(file.size, offset + written);
}

function checkQuiet(file: HostFile): void {
  if (file.fd < 0) throw new InvariantError('FILE_CLOSED', `${file.path} is closed`);
  if (file.pending > 0) throw new InvariantError('FILE_BUSY', `${file.path}: ${file.pending} operations under way`);
}
