/**
 * io_uring's registered buffers (io_uring_register(2), IORING_REGISTER_BUFFERS): user memory pinned for as long as it
 * stays registered. The pins belong to the ring: they outlive the mapping and the process. This file: the state, and the
 * device's way to the bytes, which knows frames and no addresses. Registering: io-uring.co.ts.
 */
import { checkInteger, EFAULT } from '@mmkit/base';
import { Mm } from '@mmkit/aspace';
import { readBytes, writeBytes } from '@mmkit/phys';
import { Machine } from './machine.ts';

export class RegisteredBuffer {
  /** Whose memory it was when it was registered; its pinned_vm is charged. */
  readonly mm: Mm;
  /** Where it begins in the first frame, bytes. */
  readonly offsetInPage: number;
  /** Bytes. */
  readonly length: number;
  /** The frames, each pinned once. */
  readonly pfns: Uint32Array;

  constructor(mm: Mm, offsetInPage: number, length: number, pfns: Uint32Array) {
    this.mm = mm;
    this.offsetInPage = offsetInPage;
    this.length = length;
    this.pfns = pfns;
  }
}

/** One io_uring instance, as far as it holds memory. */
export class IoUring {
  readonly machine: Machine;
  /** The registered buffers; null: none are registered. io-uring.co.ts only. */
  buffers: readonly RegisteredBuffer[] | null;

  constructor(machine: Machine) {
    this.machine = machine;
    this.buffers = null;
  }
}

/** Makes a ring without buffers. */
export function createIoUring(machine: Machine): IoUring {
  return new IoUring(machine);
}

/**
 * The device stores `from[at…]`, `length` bytes, at byte `offset` of buffer `index` (IORING_OP_READ_FIXED). 0, or -EFAULT
 * when there is no such buffer or it ends before (io_import_fixed). Does not mark the pages dirty, nor does Linux.
 */
export function fixedBufferWrite(
  ring: IoUring,
  index: number,
  offset: number,
  from: Uint8Array,
  at: number,
  length: number,
): number {
  return moveFixed(ring, index, offset, from, at, length, writeBytes);
}

/** The device loads the bytes (IORING_OP_WRITE_FIXED) into `into[at…]`; else as `fixedBufferWrite`. */
export function fixedBufferRead(
  ring: IoUring,
  index: number,
  offset: number,
  into: Uint8Array,
  at: number,
  length: number,
): number {
  return moveFixed(ring, index, offset, into, at, length, readBytes);
}

function moveFixed(
  ring: IoUring,
  index: number,
  offset: number,
  bytes: Uint8Array,
  at: number,
  length: number,
  move: typeof readBytes,
): number {
  checkInteger('index', index, 0, 0xffff);
  checkInteger('offset', offset, 0, Number.MAX_SAFE_INTEGER);
  checkInteger('length', length, 0, bytes.length);
  checkInteger('at', at, 0, bytes.length - length);
  const buffer = ring.buffers?.[index];
  if (buffer === undefined || offset + length > buffer.length) return -EFAULT;
  const { phys } = ring.machine.memory;
  for (let done = 0; done < length; ) {
    const here = buffer.offsetInPage + offset + done;
    const inPage = here % phys.pageSize;
    const part = Math.min(phys.pageSize - inPage, length - done);
    move(phys, buffer.pfns[Math.floor(here / phys.pageSize)]!, inPage, bytes, at + done, part);
    done += part;
  }
  return 0;
}
