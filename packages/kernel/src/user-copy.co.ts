/**
 * Copying between the kernel and a process (Linux: copy_to_user, clear_user, fault_in_readable, fault_in_writeable): as the process itself
 * would do it, with ordinary page faults and no reference to the page (this is not GUP), but a bad address ends the copy
 * instead of raising a signal. May sleep for mmap_lock: not with a folio lock held.
 */
import { checkAddress, checkInteger } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { ACCESS_READ, ACCESS_WRITE } from '@mmkit/pgtable';
import { moveBytes } from './access.co.ts';
import type { Machine } from './machine.ts';
import { Process } from './process.ts';

/** Copies `from[at…]`, `length` bytes, to the process at `address`: how many bytes, up to the first bad page. */
export function* copyToUser(
  machine: Machine,
  process: Process,
  address: number,
  from: Uint8Array,
  at: number,
  length: number,
): Task<number> {
  const { pageSize } = machine.memory.phys;
  const { exitSignal } = process;
  let done = 0;
  while (done < length) {
    const here = address + done;
    const part = Math.min(pageSize - (here % pageSize), length - done);
    if ((yield* moveBytes(machine, process, here, from, at + done, part, ACCESS_WRITE)) !== 0) break;
    done += part;
  }
  process.exitSignal = exitSignal;
  return done;
}

/** Zeroes `length` bytes of the process at `address`: how many, up to the first bad page. */
export function* clearUser(machine: Machine, process: Process, address: number, length: number): Task<number> {
  const { pageSize } = machine.memory.phys;
  const zeros = new Uint8Array(Math.min(length, pageSize));
  let done = 0;
  while (done < length) {
    const part = Math.min(zeros.length, length - done);
    const copied = yield* copyToUser(machine, process, address + done, zeros, 0, part);
    done += copied;
    if (copied < part) break;
  }
  return done;
}

/**
 * Reads one byte at `address` and at the start of each further page of `length` bytes, so that the pages are there: how many
 * bytes were not faulted in, 0 and up to `length` (Linux: fault_in_readable; B.14).
 */
export function* faultInReadable(machine: Machine, process: Process, address: number, length: number): Task<number> {
  return yield* faultIn(machine, process, address, length, ACCESS_READ);
}

/**
 * As faultInReadable, but stores a zero byte at each place (Linux: fault_in_writeable): for memory that is about to be
 * overwritten.
 */
export function* faultInWriteable(machine: Machine, process: Process, address: number, length: number): Task<number> {
  return yield* faultIn(machine, process, address, length, ACCESS_WRITE);
}

function* faultIn(machine: Machine, process: Process, address: number, length: number, access: number): Task<number> {
  checkAddress('address', address);
  checkInteger('length', length, 0, Number.MAX_SAFE_INTEGER - address);
  const { phys, format } = machine.memory;
  const { exitSignal } = process;
  const byte = new Uint8Array(1);
  const end = address + length;
  let here = address;
  if (end > format.taskSize) return length;
  while (here < end) {
    if ((yield* moveBytes(machine, process, here, byte, 0, 1, access)) !== 0) break;
    here += phys.pageSize - (here % phys.pageSize);
  }
  process.exitSignal = exitSignal;
  return Math.max(0, end - here);
}
