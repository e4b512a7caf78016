/**
 * O_DIRECT on a file (Linux: ext4's iomap_dio_rw; reference D.3, N.13; FACTS of the recorded traces 23 to 26). The page
 * cache of the range is written back first, and dropped for a write, so that both ways see the same bytes; then blocks
 * move as on a bare device, into and out of pinned pages. Holes are read by zeroing the user's memory through ordinary
 * page faults: nothing is pinned for them. shmem has no device: its O_DIRECT is buffered I/O.
 *
 * A read, and a write that replaces what is there, hold i_rwsem for reading to the end of the I/O; other writes hold it for
 * writing.
 *
 * Differs from Linux: the alignment rule of direct-io.co.ts; a request never returns before its bios have ended.
 */
import { EBADF, EFAULT, EINVAL } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import {
  allocateBlock,
  BIO_READ,
  BIO_WRITE,
  createBio,
  mapBlock,
  mapExtent,
  markWritten,
  OpenFile,
  submitBio,
} from '@mmkit/filemap';
import type { Inode } from '@mmkit/filemap';
import {
  filemapWriteAndWait,
  invalidateInodePages2Range,
  invalidateMappingPages,
  truncateFailedWrite,
  waitBio,
} from '@mmkit/filemap/sched';
import { upRead, upWrite } from '@mmkit/rwsem';
import { downRead, downWrite } from '@mmkit/rwsem/sched';
import { checkRequest, createDirectIo, finishDirectIo, isMisaligned, submitBlocks } from './direct-io.co.ts';
import type { DirectIo, DirectIoOptions, DirectIoResult } from './direct-io.ts';
import { readFile, writeFile } from './files-io.co.ts';
import type { Machine } from './machine.ts';
import { Process } from './process.ts';
import { clearUser } from './user-copy.co.ts';

/**
 * Reads `length` bytes at byte `offset` of the file into the process's memory at `address`. Result: bytes read, fewer at
 * the end of the file (the rest of the buffer is zeroed all the same), 0 at or beyond it; or -EBADF (not open for reading),
 * -EFAULT (any part of the buffer is bad; what lies before it may hold data), and as of `directRead`.
 */
export function* directReadFile(
  machine: Machine,
  process: Process,
  file: OpenFile,
  offset: number,
  address: number,
  length: number,
  options: DirectIoOptions = {},
): Task<DirectIoResult> {
  const { inode } = file;
  const { device } = inode;
  if (device === null) return noPins(yield* readFile(machine, process, file, offset, address, length));
  const io = createDirectIo(machine, process, device, BIO_READ);
  checkRequest(offset, address, length);
  if (!file.readable) return noPins(-EBADF);
  if (address + length > machine.memory.format.taskSize) return noPins(-EFAULT);
  yield* downRead(machine.sched, inode.iRwsem);
  const left = offset < inode.size ? length : 0;
  if (left > 0) io.error = yield* filemapWriteAndWait(inode, offset, offset + left);
  if (io.error === 0 && left > 0 && isMisaligned(device, offset, address, length)) io.error = -EINVAL;
  while (io.error === 0 && io.submitted < left) {
    const at = io.submitted;
    const run = mapExtent(inode, offset + at, left - at, mapBlock);
    if (run.offset >= 0) yield* submitBlocks(io, process.mm, run.offset, address + at, run.length, options);
    else {
      const zeroed = yield* clearUser(machine, process, address + at, run.length);
      io.submitted += zeroed;
      if (zeroed < run.length) io.error = -EFAULT;
    }
  }
  const { result, pagesPinned } = yield* finishDirectIo(io);
  upRead(machine.sched, inode.iRwsem);
  return { result: left > 0 ? Math.min(result, inode.size - offset) : result, pagesPinned };
}

/**
 * Writes `length` bytes of the process at `address` to byte `offset` of the file, which gets blocks where it has holes and
 * grows. Result: `length`, or -EBADF (not open for writing), -ENOSPC, and as of `directWrite`; after an error blocks that
 * held data may have been written in part, holes still read as zeros, and the size is what it was. But a bad page of the
 * buffer inside a new block: what lies before it has been written, the file has grown to there, and what is left goes
 * through the page cache, whose result, most often -EFAULT, is the call's.
 */
export function* directWriteFile(
  machine: Machine,
  process: Process,
  file: OpenFile,
  offset: number,
  address: number,
  length: number,
  options: DirectIoOptions = {},
): Task<DirectIoResult> {
  const { inode } = file;
  const { device } = inode;
  const { sched } = machine;
  if (device === null) return noPins(yield* writeFile(machine, process, file, offset, address, length));
  const io = createDirectIo(machine, process, device, BIO_WRITE);
  checkRequest(offset, address, length);
  if (!file.writable) return noPins(-EBADF);
  if (address + length > machine.memory.format.taskSize) return noPins(-EFAULT);
  if (length === 0) return noPins(0);
  yield* downRead(sched, inode.iRwsem);
  let outcome: number;
  if (isOverwrite(inode, offset, length)) {
    outcome = yield* writeBlocks(io, process, inode, offset, address, length, options);
    upRead(sched, inode.iRwsem);
  } else {
    upRead(sched, inode.iRwsem);
    yield* downWrite(sched, inode.iRwsem);
    outcome = yield* writeBlocks(io, process, inode, offset, address, length, options);
    upWrite(sched, inode.iRwsem);
  }
  const { pagesPinned } = io;
  if (outcome < 0 || outcome === length) return { result: outcome, pagesPinned };
  const left = length - outcome;
  const written = yield* writeThroughCache(machine, process, file, offset + outcome, address + outcome, left);
  return { result: written < 0 ? written : outcome + written, pagesPinned };
}

/** True when all of [offset, offset + length) holds data already, so that neither blocks nor size change. */
function isOverwrite(inode: Inode, offset: number, length: number): boolean {
  if (offset + length > inode.size) return false;
  const { pageSize } = inode.files.phys;
  for (let at = offset - (offset % pageSize); at < offset + length; at += pageSize) {
    if (mapBlock(inode, at / pageSize) < 0) return false;
  }
  return true;
}

/** The write itself, i_rwsem held: bytes written, a negative errno; fewer than `length`: the rest goes through the cache. */
function* writeBlocks(
  io: DirectIo,
  process: Process,
  inode: Inode,
  offset: number,
  address: number,
  length: number,
  options: DirectIoOptions,
): Task<number> {
  const { pageSize } = inode.files.phys;
  const first = Math.floor(offset / pageSize);
  const end = Math.ceil((offset + length) / pageSize);
  const error = yield* filemapWriteAndWait(inode, offset, offset + length);
  if (error !== 0) return error;
  const busy = yield* invalidateInodePages2Range(inode, first, end);
  if (isMisaligned(io.device, offset, address, length)) return -EINVAL;
  if (busy !== 0) return 0;
  const made = new Set<number>();
  for (let index = first; index < end && io.error === 0; index++) {
    if (!inode.blocks.has(index)) made.add(index);
    io.error = Math.min(allocateBlock(inode, index), 0);
  }
  if (io.error === 0) io.error = yield* zeroEdges(inode, offset, offset + length);
  while (io.error === 0 && io.submitted < length) {
    const at = io.submitted;
    const run = mapExtent(inode, offset + at, length - at, allocateBlock);
    yield* submitBlocks(io, process.mm, run.offset, address + at, run.length, options);
  }
  if (io.error === -EFAULT && endsInNewBlock(inode, offset, offset + io.submitted)) {
    const at = offset + io.submitted;
    const inBlock = at % pageSize;
    const kept = isUnwritten(inode, Math.floor(at / pageSize), made) ? 0 : inBlock;
    io.error = yield* zeroOnDevice(inode, at - inBlock + kept, pageSize - kept);
  }
  const { result } = yield* finishDirectIo(io);
  if (result < 0) {
    if (offset + length > inode.size) yield* truncateFailedWrite(inode);
    return result;
  }
  // What was cached meanwhile is old.
  yield* invalidateInodePages2Range(inode, first, end);
  const written = offset + result;
  for (let index = first; index * pageSize < written; index++) markWritten(inode, index);
  inode.size = Math.max(inode.size, written);
  return result;
}

/**
 * A bad page of the buffer ended the write at `at`, within a block whose rest is zeroed. Zeroing it makes Linux forget the
 * error, and what is left goes through the cache (measured on 6.18, ext4); a write that ends with a block, or in one that
 * held data before the end of the file, is -EFAULT.
 */
function endsInNewBlock(inode: Inode, from: number, at: number): boolean {
  const { pageSize } = inode.files.phys;
  if (at === from || at % pageSize === 0) return false;
  return at >= inode.size || mapBlock(inode, Math.floor(at / pageSize)) < 0;
}

/**
 * True when Linux looks at the block at `index` once more and takes it for unwritten, so that it zeroes what was just
 * written there too. `made`: the blocks of this write; those that begin at or behind the end of the file are no unwritten ones.
 */
function isUnwritten(inode: Inode, index: number, made: ReadonlySet<number>): boolean {
  if (mapBlock(inode, index) >= 0) return false;
  if (!made.has(index)) return true;
  let start = index;
  while (made.has(start - 1)) start--;
  return start * inode.files.phys.pageSize < inode.size;
}

/** Zeroes what [from, to) leaves of a new block at either end (iomap_dio_zero): 0, or a negative errno. */
function* zeroEdges(inode: Inode, from: number, to: number): Task<number> {
  const { pageSize } = inode.files.phys;
  const head = from % pageSize;
  const tail = to % pageSize;
  let error = 0;
  if (head > 0) error = yield* zeroOnDevice(inode, from - head, head);
  if (error === 0 && tail > 0) error = yield* zeroOnDevice(inode, to, pageSize - tail);
  return error;
}

/** Writes zeros to [pos, pos + length), part of one block, if nothing was written to that yet. */
function* zeroOnDevice(inode: Inode, pos: number, length: number): Task<number> {
  const { pageSize, zeroPfn } = inode.files.phys;
  const device = inode.device!;
  const index = Math.floor(pos / pageSize);
  if (mapBlock(inode, index) >= 0) return 0;
  const bio = createBio(BIO_WRITE, allocateBlock(inode, index) + (pos % pageSize), Uint32Array.of(zeroPfn), 0, length);
  submitBio(device, bio);
  return yield* waitBio(device, bio);
}

/** The write by the page cache, then written back and dropped: what ext4 does after ENOTBLK, or a short write. */
function* writeThroughCache(
  machine: Machine,
  process: Process,
  file: OpenFile,
  offset: number,
  address: number,
  length: number,
): Task<number> {
  const { inode } = file;
  const { pageSize } = machine.memory.phys;
  const written = yield* writeFile(machine, process, file, offset, address, length);
  if (written <= 0) return written;
  const error = yield* filemapWriteAndWait(inode, offset, offset + written);
  if (error !== 0) return error;
  yield* invalidateMappingPages(inode, Math.floor(offset / pageSize), Math.ceil((offset + written) / pageSize));
  return written;
}

function noPins(result: number): DirectIoResult {
  return { result, pagesPinned: 0 };
}
