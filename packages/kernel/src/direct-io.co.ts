/**
 * O_DIRECT (Linux: read(2) and write(2) of a file or block device opened so; open(2), section O_DIRECT; reference B.18,
 * D.3, G.24): the user's pages are pinned in batches, each batch is one bio, several are in flight. From its submission
 * on a bio knows frames, not addresses: what the process does to its mappings meanwhile does not matter to it.
 *
 * Differs from Linux: the buffer's address must be a multiple of the logical block, the rule of the manual page (6.18
 * asks the device's DMA alignment); when part of the buffer is bad the result is -EFAULT for reads and writes, as on
 * ext4 (a block device of 6.18 returns the bytes before as a short count); a write beyond the end is the backend's
 * affair.
 */
import { alignUp, checkAddress, checkInteger, EFAULT, EINVAL, FOLL_WRITE, InvariantError } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import type { Mm } from '@mmkit/aspace';
import { BIO_READ, BIO_WRITE, createBio, submitBio } from '@mmkit/filemap';
import type { BlockDevice } from '@mmkit/filemap';
import { unpinUserPages } from '@mmkit/gup';
import { pinUserPagesFast, setPageDirtyLock, unpinUserPagesDirtyLock } from '@mmkit/gup/sched';
import { waitOn } from '@mmkit/task/sched';
import { bioPageCount, DEFAULT_BIO_PAGES, DEFAULT_QUEUE_DEPTH, DirectIo, endDirectBio } from './direct-io.ts';
import type { DirectIoOptions, DirectIoResult } from './direct-io.ts';
import type { Machine } from './machine.ts';
import { checkAlive, Process } from './process.ts';

/**
 * Reads `length` bytes at byte `offset` of `device` into the process's memory at `address`, and waits for the end.
 * Result: bytes read, fewer at the end of the device, or a negative errno: -EINVAL (offset, length or address no
 * multiple of the logical block), -EFAULT (bad buffer), -EIO (or what the device said), -ENOMEM, -EAGAIN or -EINTR
 * (killed). After an error part of the buffer may hold data; no page stays pinned in any case. Length 0, or an offset
 * at the end: 0 without any check of alignment. RangeError for bad JavaScript values; InvariantError 'WRONG_MACHINE'
 * for a device with other memory.
 */
export function* directRead(
  machine: Machine,
  process: Process,
  device: BlockDevice,
  offset: number,
  address: number,
  length: number,
  options: DirectIoOptions = {},
): Task<DirectIoResult> {
  const io = yield* submitDirectRead(machine, process, device, offset, address, length, options);
  return yield* finishDirectIo(io);
}

/** Writes `length` bytes of the process at `address` to byte `offset` of `device`; as `directRead` otherwise. */
export function* directWrite(
  machine: Machine,
  process: Process,
  device: BlockDevice,
  offset: number,
  address: number,
  length: number,
  options: DirectIoOptions = {},
): Task<DirectIoResult> {
  const io = yield* submitDirectWrite(machine, process, device, offset, address, length, options);
  return yield* finishDirectIo(io);
}

/**
 * The first half of `directRead` (io_submit): returns when every bio is submitted, having waited only for room in the
 * queue. `finishDirectIo` must follow.
 */
export function* submitDirectRead(
  machine: Machine,
  process: Process,
  device: BlockDevice,
  offset: number,
  address: number,
  length: number,
  options: DirectIoOptions = {},
): Task<DirectIo> {
  const io = createDirectIo(machine, process, device, BIO_READ);
  const size = device.backend.size;
  const left = offset < size ? Math.min(length, alignUp(size - offset, device.logicalBlockSize)) : 0;
  yield* submitAll(io, process.mm, offset, address, length, left, options);
  return io;
}

/** The first half of `directWrite`, as `submitDirectRead`. */
export function* submitDirectWrite(
  machine: Machine,
  process: Process,
  device: BlockDevice,
  offset: number,
  address: number,
  length: number,
  options: DirectIoOptions = {},
): Task<DirectIo> {
  const io = createDirectIo(machine, process, device, BIO_WRITE);
  yield* submitAll(io, process.mm, offset, address, length, length, options);
  return io;
}

/** Waits until every bio of the request has ended, and gives its result. Not killable, as in Linux. */
export function* finishDirectIo(io: DirectIo): Task<DirectIoResult> {
  const { sched, memory } = io.machine;
  while (io.inFlight > 0) yield* waitOn(sched, io.queue);
  for (const bio of io.cleaned.splice(0)) {
    yield* unpinUserPagesDirtyLock(memory, bio.pfns, bioPageCount(bio, memory.phys.pageSize), true, io.scope);
  }
  const result = io.error !== 0 ? io.error : Math.min(io.submitted, io.end);
  return { result, pagesPinned: io.pagesPinned };
}

/** Makes a request; InvariantError 'WRONG_MACHINE' for a device with other memory, 'PROCESS_GONE'. */
export function createDirectIo(machine: Machine, process: Process, device: BlockDevice, op: number): DirectIo {
  checkAlive(process);
  if (device.phys !== machine.memory.phys) {
    throw new InvariantError('WRONG_MACHINE', 'the device reaches the memory of another machine');
  }
  return new DirectIo(machine, process.pid, device, op);
}

/** RangeError for values no C program could pass. */
export function checkRequest(offset: number, address: number, length: number): void {
  checkInteger('offset', offset, 0, Number.MAX_SAFE_INTEGER);
  checkAddress('address', address);
  checkInteger('length', length, 0, Number.MAX_SAFE_INTEGER - Math.max(offset, address));
}

/** True unless offset, length and address are multiples of the logical block. */
export function isMisaligned(device: BlockDevice, offset: number, address: number, length: number): boolean {
  const block = device.logicalBlockSize;
  return offset % block !== 0 || length % block !== 0 || address % block !== 0;
}

/** Submits the first `left` of `length` bytes at byte `offset` of the device. */
function* submitAll(
  io: DirectIo,
  mm: Mm,
  offset: number,
  address: number,
  length: number,
  left: number,
  options: DirectIoOptions,
): Task<void> {
  checkRequest(offset, address, length);
  // The order is measured: range (access_ok), nothing to do, alignment.
  if (address + length > mm.memory.format.taskSize) io.error = -EFAULT;
  else if (left !== 0 && isMisaligned(io.device, offset, address, length)) io.error = -EINVAL;
  yield* submitBlocks(io, mm, offset, address, left, options);
}

/**
 * Submits `length` bytes of the process at `address` to or from byte `offset` of the device, bio after bio, until one
 * cannot be made or an ended one has failed.
 */
export function* submitBlocks(
  io: DirectIo,
  mm: Mm,
  offset: number,
  address: number,
  length: number,
  options: DirectIoOptions,
): Task<void> {
  const { bioPages = DEFAULT_BIO_PAGES, queueDepth = DEFAULT_QUEUE_DEPTH } = options;
  const { pageSize } = mm.memory.phys;
  checkInteger('bioPages', bioPages, Math.ceil(io.device.logicalBlockSize / pageSize), 0x10_0000);
  checkInteger('queueDepth', queueDepth, 1, Number.MAX_SAFE_INTEGER);
  const start = io.submitted;
  while (io.error === 0 && io.submitted < start + length) {
    if (io.inFlight < queueDepth) {
      const done = io.submitted - start;
      const error = yield* submitNext(io, mm, offset + done, address + done, length - done, bioPages);
      if (error !== 0) io.error = error;
    } else {
      yield* waitOn(io.machine.sched, io.queue);
    }
  }
}

/** Pins the next pages and submits a bio (bio_iov_iter_get_pages, bio_set_pages_dirty): 0 or a negative errno. */
function* submitNext(
  io: DirectIo,
  mm: Mm,
  offset: number,
  address: number,
  left: number,
  bioPages: number,
): Task<number> {
  const { memory } = mm;
  const { pageSize } = memory.phys;
  const inPage = address % pageSize;
  const pages = new Uint32Array(Math.min(Math.ceil((inPage + left) / pageSize), bioPages));
  const flags = io.op === BIO_READ ? FOLL_WRITE : 0;
  const got = yield* pinUserPagesFast(mm, address, pages.length, flags, pages, io.scope);
  if (got < 0) return got;
  // Whole blocks only: what a short pin, or the end of the array, leaves of a block goes back.
  const most = Math.min(left, got * pageSize - inPage);
  const bytes = most - (most % io.device.logicalBlockSize);
  const used = bytes === 0 ? 0 : Math.ceil((inPage + bytes) / pageSize);
  unpinUserPages(memory, pages.subarray(used, got), got - used, io.scope);
  if (used === 0) return -EFAULT;
  io.pagesPinned += used;
  if (io.op === BIO_READ) for (let i = 0; i < used; i++) yield* setPageDirtyLock(memory, pages[i]!);
  const at = io.submitted;
  const bio = createBio(io.op, offset, pages, inPage, bytes, (ended) => endDirectBio(io, ended, at));
  io.inFlight++;
  io.submitted += bytes;
  submitBio(io.device, bio);
  return 0;
}
