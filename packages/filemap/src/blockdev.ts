/**
 * A block device (Linux: struct block_device, submit_bio, bio_endio) over a backend. Every bio takes `latency` ns of
 * virtual time; then its transfer starts: the bytes of a write leave the frames at that moment. Over a synchronous
 * backend the transfer also ends then. Over an asynchronous one it ends when the backend calls back: the bytes of a
 * read enter the frames at that moment. Frames are touched at no other time, and found by the bio's PFNs alone. Over a
 * synchronous backend frames that follow each other are its buffer, as with DMA: a failed read may leave bytes there.
 *
 * Like hardware, the device does not ask whether a frame is still the submitter's: who gives it frames holds references
 * or pins on them until the bio is done.
 *
 * Differs from Linux: bios do not queue behind each other (equal latencies end in order of submission, asynchronous
 * ones as the backend likes); a read across the end is short instead of -EIO. No lock: submission and completion are
 * one step each.
 */
import { checkInteger, EIO, InvariantError } from '@mmkit/base';
import { addEvent, interrupt, WaitQueue, wakeAll } from '@mmkit/task';
import type { Sched } from '@mmkit/task';
import { checkFrame, frameBytes, readBytes, writeBytes } from '@mmkit/phys';
import type { Phys } from '@mmkit/phys';
import type { AsyncBackend, Backend } from './backend.ts';
import { BIO_READ, BIO_WRITE } from './bio.ts';
import type { Bio } from './bio.ts';

/** Linux's SECTOR_SIZE: the smallest logical block. */
const SECTOR_SIZE = 512;
/** Largest logical block taken here. */
const MAX_BLOCK_SIZE = 65536;
/** Linux's MAX_ERRNO. */
const MAX_ERRNO = 4095;
/** Default number: the first virtio disk. */
const MAJOR = 0xfe;
/** Default latency: what a fast disk takes. */
const LATENCY = 100_000;

export interface BlockDeviceOptions {
  /** Offsets and lengths are multiples of it; bytes, a power of two from 512 (default) to 65536. */
  readonly logicalBlockSize?: number;
  /** Virtual time from submission to the start of the transfer, ns; default 100 000. */
  readonly latency?: number;
  /** Its number, of which /proc/PID/maps tells: 0 to 4095 (default 254), and 0 (default) to 2^20 − 1. */
  readonly major?: number;
  readonly minor?: number;
  /** Fault injection: a negative errno ends the bio with that status before a byte moves; 0 lets it pass. */
  readonly fail?: (op: number, offset: number, length: number) => number;
}

export class BlockDevice {
  readonly sched: Sched;
  readonly phys: Phys;
  /** Where the bytes lie. */
  readonly backend: Backend | AsyncBackend;
  /** Bytes. */
  readonly logicalBlockSize: number;
  /** ns. */
  readonly latency: number;
  /** Its number (bd_dev). */
  readonly major: number;
  readonly minor: number;
  /** Fault injection, or null. */
  readonly fail: ((op: number, offset: number, length: number) => number) | null;
  /** Bios submitted and not done. This file only. */
  inFlight: number;
  /** Who waits for inFlight to become 0. */
  readonly idle: WaitQueue;
  /** Bounce buffers not in use, between frames and backend. This file only. */
  readonly buffers: ArrayBuffer[];
  /** Byte from which on no block was ever given to a file. blocks.ts only. */
  nextBlock: number;
  /** Blocks before it that files have given back, byte offsets. blocks.ts only. */
  readonly freeBlocks: number[];

  constructor(
    sched: Sched,
    phys: Phys,
    backend: Backend | AsyncBackend,
    logicalBlockSize: number,
    latency: number,
    major: number,
    minor: number,
    fail: ((op: number, offset: number, length: number) => number) | null,
  ) {
    this.sched = sched;
    this.phys = phys;
    this.backend = backend;
    this.logicalBlockSize = logicalBlockSize;
    this.latency = latency;
    this.major = major;
    this.minor = minor;
    this.fail = fail;
    this.inFlight = 0;
    this.idle = new WaitQueue('idle block device');
    this.buffers = [];
    this.nextBlock = 0;
    this.freeBlocks = [];
  }
}

/** Makes a device over `backend`: its memory is `phys`, its time that of `sched`. RangeError for bad options. */
export function createBlockDevice(
  sched: Sched,
  phys: Phys,
  backend: Backend | AsyncBackend,
  options: BlockDeviceOptions = {},
): BlockDevice {
  const { logicalBlockSize = SECTOR_SIZE, latency = LATENCY, major = MAJOR, minor = 0, fail = null } = options;
  checkInteger('logicalBlockSize', logicalBlockSize, SECTOR_SIZE, MAX_BLOCK_SIZE);
  if ((logicalBlockSize & (logicalBlockSize - 1)) !== 0) {
    throw new RangeError(`logicalBlockSize: expected a power of two, got ${logicalBlockSize}`);
  }
  checkInteger('latency', latency, 0, Number.MAX_SAFE_INTEGER);
  checkInteger('major', major, 0, 0xfff);
  checkInteger('minor', minor, 0, 0xf_ffff);
  return new BlockDevice(sched, phys, backend, logicalBlockSize, latency, major, minor, fail);
}

/**
 * Starts a bio and returns at once (submit_bio). When it ends its status is: 0; -EIO or what the backend said; a write
 * that the backend stored in part is -EIO with `bytesDone` set. A read past the end is 0 with fewer `bytesDone`, the
 * rest of the frames untouched. With nothing changed throws InvariantError BIO_SUBMITTED (a second time),
 * BIO_MISALIGNED (offset or length), BIO_PAGES (fewer frames than bytes, or the first byte not in the first frame), and
 * RangeError for a PFN that is no frame.
 */
export function submitBio(dev: BlockDevice, bio: Bio): void {
  checkBio(dev, bio);
  const event = bio.queue.name;
  bio.device = dev;
  dev.inFlight++;
  addEvent(dev.sched, dev.latency, event, () => startTransfer(dev, bio));
}

function checkBio(dev: BlockDevice, bio: Bio): void {
  const { offset, length, offsetInPage, pfns } = bio;
  const { pageSize } = dev.phys;
  if (bio.device !== null) throw new InvariantError('BIO_SUBMITTED', 'the bio was submitted before');
  if (offset % dev.logicalBlockSize !== 0 || length % dev.logicalBlockSize !== 0) {
    const text = `offset ${offset} or length ${length} is no multiple of ${dev.logicalBlockSize}`;
    throw new InvariantError('BIO_MISALIGNED', text);
  }
  const pages = Math.ceil((offsetInPage + length) / pageSize);
  if (offsetInPage >= pageSize || pages > pfns.length) {
    const text = `${length} bytes from byte ${offsetInPage} on do not fit ${pfns.length} frames of ${pageSize}`;
    throw new InvariantError('BIO_PAGES', text);
  }
  for (let i = 0; i < pages; i++) checkFrame(dev.phys, pfns[i]!);
}

/** The device has got to the bio: moves its bytes, or has the backend move them. */
function startTransfer(dev: BlockDevice, bio: Bio): void {
  const { op, offset, length } = bio;
  const error = dev.fail === null ? 0 : dev.fail(op, offset, length);
  checkInteger('fail', error, -MAX_ERRNO, 0);
  if (error !== 0) return endBio(dev, bio, error, 0);
  const backend = dev.backend;
  const whole = 'submit' in backend ? null : contiguous(dev.phys, bio);
  if (whole !== null && !('submit' in backend)) {
    return endBackend(dev, bio, op === BIO_READ ? backend.read(offset, whole) : backend.write(offset, whole));
  }
  const store = dev.buffers.pop();
  const buffer = new Uint8Array(store !== undefined && store.byteLength >= length ? store : new ArrayBuffer(length));
  const bytes = buffer.subarray(0, length);
  if (op === BIO_WRITE) moveBytes(dev.phys, bio, bytes, length, readBytes);
  if ('submit' in backend) submitOutside(dev, backend, bio, bytes);
  else endTransfer(dev, bio, bytes, op === BIO_READ ? backend.read(offset, bytes) : backend.write(offset, bytes));
}

/** Hands a transfer to an asynchronous backend; its callback ends it as an interrupt. */
function submitOutside(dev: BlockDevice, backend: AsyncBackend, bio: Bio, bytes: Uint8Array<ArrayBuffer>): void {
  const { sched } = dev;
  let called = false;
  backend.submit(bio.op, bio.offset, bytes, (result) => {
    if (called) throw new InvariantError('BIO_ENDED', 'the backend called done a second time');
    called = true;
    interrupt(sched, () => {
      sched.outside--;
      endTransfer(dev, bio, bytes, result);
    });
  });
  sched.outside++;
}

/** The bio's bytes in place, when its frames follow each other: a backend then needs no bounce buffer. Else null. */
function contiguous(phys: Phys, { pfns, offsetInPage, length }: Bio): Uint8Array | null {
  const count = Math.ceil((offsetInPage + length) / phys.pageSize);
  for (let i = 1; i < count; i++) if (pfns[i] !== pfns[0]! + i) return null;
  const bytes = frameBytes(phys, pfns[0]!, count);
  return bytes === null ? null : bytes.subarray(offsetInPage, offsetInPage + length);
}

/** The backend is finished with a bounce buffer: `result` is what it said. */
function endTransfer(dev: BlockDevice, bio: Bio, bytes: Uint8Array<ArrayBuffer>, result: number): void {
  checkInteger('result', result, -MAX_ERRNO, bio.length);
  if (bio.op === BIO_READ) moveBytes(dev.phys, bio, bytes, Math.max(result, 0), writeBytes);
  dev.buffers.push(bytes.buffer);
  endBackend(dev, bio, result);
}

/** The bytes are where they belong: `result` is what the backend said. */
function endBackend(dev: BlockDevice, bio: Bio, result: number): void {
  checkInteger('result', result, -MAX_ERRNO, bio.length);
  const moved = Math.max(result, 0);
  const lost = bio.op === BIO_WRITE && moved < bio.length ? -EIO : 0;
  endBio(dev, bio, result < 0 ? result : lost, moved);
}

/** Ends the bio and tells everybody (bio_endio). */
function endBio(dev: BlockDevice, bio: Bio, status: number, bytesDone: number): void {
  bio.status = status;
  bio.bytesDone = bytesDone;
  bio.done = true;
  dev.inFlight--;
  wakeAll(bio.queue);
  if (dev.inFlight === 0) wakeAll(dev.idle);
  if (bio.onEnd !== null) bio.onEnd(bio);
}

/** Moves the first `length` bytes of a bio between its frames and `bytes`: readBytes gathers, writeBytes scatters. */
function moveBytes(phys: Phys, bio: Bio, bytes: Uint8Array, length: number, move: typeof readBytes): void {
  const { pageSize } = phys;
  let inPage = bio.offsetInPage;
  for (let at = 0, i = 0; at < length; i++) {
    const part = Math.min(pageSize - inPage, length - at);
    move(phys, bio.pfns[i]!, inPage, bytes, at, part);
    at += part;
    inPage = 0;
  }
}
