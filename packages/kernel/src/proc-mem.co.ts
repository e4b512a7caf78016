/**
 * /proc/PID/mem, as a debugger uses it (proc(5); Linux: mem_rw, access_remote_vm; reference B.18): page by page by
 * get_user_pages_remote with FOLL_FORCE, so what the process may not read or write can be, where copy-on-write allows
 * it. The caller's side is an array of bytes. A stack grows down to where it is read or written.
 */
import { checkAddress, checkInteger, EIO, FOLL_FORCE, FOLL_GET, FOLL_WRITE } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { mmapReadUnlock } from '@mmkit/aspace';
import { expandStack, mmapReadLockKillable } from '@mmkit/aspace/sched';
import { getUserPagesRemote, setPageDirtyLock } from '@mmkit/gup/sched';
import { gupPutFolio, readBytes, writeBytes } from '@mmkit/phys';
import { vmaLookup } from '@mmkit/vma';
import { Machine } from './machine.ts';
import { checkAlive, Process } from './process.ts';

/** pread(2): reads `length` bytes at `address` into `into[at…]`: how many, or -EIO when not even one. */
export function* procMemRead(
  machine: Machine,
  process: Process,
  address: number,
  into: Uint8Array,
  at: number,
  length: number,
): Task<number> {
  return yield* accessRemote(machine, process, address, into, at, length, FOLL_FORCE);
}

/** pwrite(2): writes `from[at…]`, `length` bytes, at `address`; results as of `procMemRead`. */
export function* procMemWrite(
  machine: Machine,
  process: Process,
  address: number,
  from: Uint8Array,
  at: number,
  length: number,
): Task<number> {
  return yield* accessRemote(machine, process, address, from, at, length, FOLL_FORCE | FOLL_WRITE);
}

function* accessRemote(
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
  const write = (flags & FOLL_WRITE) !== 0;
  const page = new Uint32Array(1);
  let done = 0;
  while (done < length) {
    const offset = (address + done) % phys.pageSize;
    const part = Math.min(phys.pageSize - offset, length - done);
    if ((yield* mmapReadLockKillable(process.mm)) !== 0) break;
    const got = yield* getUserPagesRemote(process.mm, address + done, 1, flags, page);
    if (got === 1) {
      const pfn = page[0]!;
      if (write) {
        writeBytes(phys, pfn, offset, bytes, at + done, part);
        yield* setPageDirtyLock(memory, pfn);
      } else {
        readBytes(phys, pfn, offset, bytes, at + done, part);
      }
      gupPutFolio(phys, pfn, 1, FOLL_GET);
      done += part;
    }
    // Debuggers make stacks grow; GUP itself does not (B.4).
    const grows = got !== 1 && vmaLookup(process.mm.vmas, address + done) === null;
    if (grows && (yield* expandStack(process.mm, address + done)) === null) break;
    mmapReadUnlock(process.mm);
    if (got !== 1 && !grows) break;
  }
  return done > 0 || length === 0 ? done : -EIO;
}
