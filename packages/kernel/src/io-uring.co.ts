/**
 * Registering and giving back io_uring's buffers (Linux: io_sqe_buffers_register, io_pin_pages, io_sqe_buffers_unregister;
 * reference B.17, D.1): each buffer's pages are pinned for long and for writing, whatever will be done with them; of huge
 * pages one pin each is kept.
 *
 * Differs from Linux: the limit is compared with the address space's pinned_vm, where Linux counts locked_vm of the
 * ring's user. The ring's uring_lock is left to the caller: two calls for one ring must not overlap.
 */
import {
  checkAddress,
  checkInteger,
  EBUSY,
  EFAULT,
  EINVAL,
  ENOMEM,
  ENXIO,
  FOLL_LONGTERM,
  FOLL_WRITE,
  P_PINNED_VM,
} from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { unpinUserPages } from '@mmkit/gup';
import { pinUserPagesFast } from '@mmkit/gup/sched';
import { openPinScope } from '@mmkit/phys';
import { chargedPages, IoUring, keptPins, RegisteredBuffer } from './io-uring.ts';
import { checkAlive, Process } from './process.ts';

/** Most buffers of a ring (IORING_MAX_REG_BUFFERS). */
const MAX_BUFFERS = 0x4000;
/** Most bytes of a buffer: 1 GiB. */
const MAX_BUFFER_LENGTH = 0x4000_0000;

/** A piece of memory (struct iovec). */
export interface IoVec {
  /** First byte. */
  readonly address: number;
  /** Bytes. */
  readonly length: number;
}

/**
 * Registers memory of `process`, a buffer for each of `iovecs`: 0; or, with nothing registered or pinned, -EBUSY (the ring
 * has buffers), -EINVAL (no iovec, or more than 16384), -EFAULT (memory that may not be written; a length of 0 or above
 * 1 GiB), -ENOMEM (over RLIMIT_MEMLOCK without CAP_IPC_LOCK; out of memory), -EAGAIN or -EINTR (killed).
 */
export function* registerBuffers(ring: IoUring, process: Process, iovecs: readonly IoVec[]): Task<number> {
  checkAlive(process);
  for (const { address, length } of iovecs) {
    checkAddress('address', address);
    checkInteger('length', length, 0, Number.MAX_SAFE_INTEGER - address);
  }
  if (ring.buffers !== null) return -EBUSY;
  if (iovecs.length === 0 || iovecs.length > MAX_BUFFERS) return -EINVAL;
  const buffers: RegisteredBuffer[] = [];
  for (const { address, length } of iovecs) {
    const error = yield* registerOne(process, address, length, buffers);
    if (error === 0) continue;
    yield* release(ring, buffers);
    return error;
  }
  ring.buffers = buffers;
  return 0;
}

/** Unpins the ring's buffers: 0, or -ENXIO when there are none. */
export function* unregisterBuffers(ring: IoUring): Task<number> {
  const { buffers } = ring;
  if (buffers === null) return -ENXIO;
  ring.buffers = null;
  yield* release(ring, buffers);
  return 0;
}

function* registerOne(process: Process, address: number, length: number, buffers: RegisteredBuffer[]): Task<number> {
  if (length === 0 || length > MAX_BUFFER_LENGTH) return -EFAULT;
  const { mm } = process;
  const { memory } = mm;
  const { pageSize } = memory.phys;
  const offsetInPage = address % pageSize;
  const pfns = new Uint32Array(Math.ceil((offsetInPage + length) / pageSize));
  const scope = openPinScope(memory.phys, 'io_uring buffer', process.pid);
  const flags = FOLL_WRITE | FOLL_LONGTERM;
  const got = yield* pinUserPagesFast(mm, address - offsetInPage, pfns.length, flags, pfns, scope);
  if (got < 0) return got;
  if (got < pfns.length) {
    unpinUserPages(memory, pfns, got, scope);
    return -EFAULT;
  }
  const charged = chargedPages(memory.phys, pfns, buffers);
  yield P_PINNED_VM;
  if (!process.capIpcLock && mm.pinnedVm + charged > Math.floor(process.rlimitMemlock / pageSize)) {
    unpinUserPages(memory, pfns, got, scope);
    return -ENOMEM;
  }
  mm.pinnedVm += charged;
  const pins = keptPins(memory.phys, pfns);
  if (pins !== pfns) {
    const rest = pfns.filter((pfn) => !pins.includes(pfn));
    unpinUserPages(memory, rest, rest.length, scope);
  }
  buffers.push(new RegisteredBuffer(mm, offsetInPage, length, pfns, pins, charged, scope));
  return 0;
}

function* release(ring: IoUring, buffers: readonly RegisteredBuffer[]): Task<void> {
  for (const { mm, pins, charged, scope } of buffers) {
    unpinUserPages(ring.machine.memory, pins, pins.length, scope);
    yield P_PINNED_VM;
    mm.pinnedVm -= charged;
  }
}
