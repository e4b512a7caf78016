/**
 * process_vm_readv(2) and process_vm_writev(2), one buffer each (Linux: process_vm_rw_single_vec, process_vm_rw_pages;
 * reference B.18, D.3): the other process's pages are pinned for the copy, without force, and marked dirty after a write.
 * The caller's side is an array of bytes. May the caller do it at all (ptrace_may_access)? Here always.
 */
import { checkAddress, checkInteger, EFAULT, FOLL_WRITE } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { mmapReadUnlock } from '@mmkit/aspace';
import { mmapReadLock } from '@mmkit/aspace/sched';
import type { LockState } from '@mmkit/gup';
import { pinUserPagesRemote, unpinUserPagesDirtyLock } from '@mmkit/gup/sched';
import { openPinScope, readBytes, writeBytes } from '@mmkit/phys';
import { Machine } from './machine.ts';
import { checkAlive, Process } from './process.ts';

/** Pages pinned at a time: what two pages of pointers hold (PVM_MAX_KMALLOC_PAGES). */
const BATCH = 1024;

/** Reads `length` bytes of `process` at `address` into `into[at…]`: how many, or -EFAULT when the first page is bad. */
export function* processVmReadv(
  machine: Machine,
  process: Process,
  address: number,
  into: Uint8Array,
  at: number,
  length: number,
): Task<number> {
  return yield* processVmRw(machine, process, address, into, at, length, 0);
}

/** Writes `from[at…]`, `length` bytes, to `process` at `address`; results as of `processVmReadv`. */
export function* processVmWritev(
  machine: Machine,
  process: Process,
  address: number,
  from: Uint8Array,
  at: number,
  length: number,
): Task<number> {
  return yield* processVmRw(machine, process, address, from, at, length, FOLL_WRITE);
}

function* processVmRw(
  machine: Machine,
  process: Process,
  address: number,
  bytes: Uint8Array,
  at: number,
  length: number,
  flags: number,
): Task<number> {
  checkAlive(process);
  checkAddress('address', address);
  checkInteger('length', length, 0, bytes.length);
  checkInteger('at', at, 0, bytes.length - length);
  const { memory } = machine;
  const { phys } = memory;
  const move = flags === FOLL_WRITE ? writeBytes : readBytes;
  const name = flags === FOLL_WRITE ? 'process_vm_writev' : 'process_vm_readv';
  const scope = openPinScope(phys, name, process.pid);
  const pages = new Uint32Array(Math.min(BATCH, Math.ceil(((address % phys.pageSize) + length) / phys.pageSize)));
  let done = 0;
  while (done < length) {
    const here = address + done;
    let offset = here % phys.pageSize;
    const nr = Math.min(pages.length, Math.ceil((offset + length - done) / phys.pageSize));
    const locked: LockState = { value: 1 };
    yield* mmapReadLock(process.mm);
    const got = yield* pinUserPagesRemote(process.mm, here - offset, nr, flags, pages, locked, scope);
    if (locked.value === 1) mmapReadUnlock(process.mm);
    if (got <= 0) break;
    for (let i = 0; i < got; i++) {
      const part = Math.min(phys.pageSize - offset, length - done);
      move(phys, pages[i]!, offset, bytes, at + done, part);
      done += part;
      offset = 0;
    }
    yield* unpinUserPagesDirtyLock(memory, pages, got, flags === FOLL_WRITE, scope);
  }
  return done > 0 || length === 0 ? done : -EFAULT;
}
