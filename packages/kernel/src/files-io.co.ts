/**
 * Buffered pread(2) and pwrite(2) of files with a process's memory as buffer (Linux: filemap_read, generic_perform_write;
 * FACTS of the recorded traces 25). The user's pages are touched by ordinary faults; a bad page ends the call with what was
 * moved before it, and with -EFAULT when that was nothing.
 *
 * A write copies with the folio of the file locked, so it may not fault there: what is not mapped is faulted in between two
 * attempts. An attempt that copies nothing leaves its mark: a folio of zeros, and a file that reaches up to `offset`.
 */
import { checkAddress, checkInteger, EBADF, EFAULT } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { filemapWriteEnd, lengthInFolio, mappingMaxFolioSize, OpenFile } from '@mmkit/filemap';
import { filemapRead, filemapWriteBegin, filemapWriteChecks } from '@mmkit/filemap/sched';
import { upWrite } from '@mmkit/rwsem';
import { downWrite } from '@mmkit/rwsem/sched';
import type { Machine } from './machine.ts';
import { peekBytes } from './peek.ts';
import { checkAlive, Process } from './process.ts';
import { copyToUser, faultInReadable } from './user-copy.co.ts';

/**
 * Reads up to `length` bytes of the file at byte `offset` into the process at `address`: how many, fewer at the end of the
 * file or where the buffer ends; or, when there was none, -EBADF (not open for reading), -EFAULT, -EIO, -ENOMEM, -EINTR.
 */
export function* readFile(
  machine: Machine,
  process: Process,
  file: OpenFile,
  offset: number,
  address: number,
  length: number,
): Task<number> {
  const refused = checkCall(machine, process, file.readable, offset, address, length);
  if (refused !== 0) return refused;
  const { pageSize } = machine.memory.phys;
  const page = new Uint8Array(Math.min(length, pageSize));
  let done = 0;
  while (done < length) {
    const part = Math.min(pageSize - ((offset + done) % pageSize), length - done);
    const got = yield* filemapRead(file.inode, offset + done, page, 0, part);
    if (got < 0) return done > 0 ? done : got;
    const copied = yield* copyToUser(machine, process, address + done, page, 0, got);
    done += copied;
    if (copied < got) return done > 0 ? done : -EFAULT;
    if (got < part) break;
  }
  return done;
}

/**
 * Writes `length` bytes of the process at `address` to the file at byte `offset`: how many; or, when there was none, -EBADF
 * (not open for writing), -EPERM (sealed), -EFAULT, -EIO, -ENOMEM.
 */
export function* writeFile(
  machine: Machine,
  process: Process,
  file: OpenFile,
  offset: number,
  address: number,
  length: number,
): Task<number> {
  const refused = checkCall(machine, process, file.writable, offset, address, length);
  if (refused !== 0) return refused;
  const { inode } = file;
  if (length === 0) return 0;
  yield* downWrite(machine.sched, inode.iRwsem);
  const error = yield* filemapWriteChecks(inode, offset);
  const result = error !== 0 ? error : yield* performWrite(machine, process, file, offset, address, length);
  upWrite(machine.sched, inode.iRwsem);
  return result;
}

/** generic_perform_write; i_rwsem is held. */
function* performWrite(
  machine: Machine,
  process: Process,
  file: OpenFile,
  offset: number,
  address: number,
  length: number,
): Task<number> {
  const { pageSize } = machine.memory.phys;
  const { inode } = file;
  let chunk = mappingMaxFolioSize(inode);
  const bytes = new Uint8Array(Math.min(length, chunk));
  let done = 0;
  // Less than there is room for, after a copy that ended early.
  let most = chunk;
  while (done < length) {
    const pos = offset + done;
    const announced = Math.min(chunk - (pos % chunk), length - done, most);
    const pfn = yield* filemapWriteBegin(inode, pos, announced);
    if (pfn < 0) return done > 0 ? done : pfn;
    const part = lengthInFolio(inode, pfn, pos, announced);
    const copied = peekBytes(machine, process, address + done, bytes, 0, part);
    const taken = filemapWriteEnd(inode, pfn, pos, part, copied, bytes, 0);
    done += taken;
    most = chunk;
    if (taken > 0) continue;
    // What was not taken was too much: less from now on.
    chunk = Math.max(chunk / 2, pageSize);
    if (copied > 0) most = copied;
    else if ((yield* faultInReadable(machine, process, address + done, part)) === part)
      return done > 0 ? done : -EFAULT;
  }
  return done;
}

/** What is refused before anything is done: 0, -EBADF (`allowed` is false), -EFAULT (no user memory). */
function checkCall(
  machine: Machine,
  process: Process,
  allowed: boolean,
  offset: number,
  address: number,
  length: number,
): number {
  checkAlive(process);
  checkAddress('address', address);
  checkInteger('length', length, 0, Number.MAX_SAFE_INTEGER - address);
  checkInteger('offset', offset, 0, Number.MAX_SAFE_INTEGER - length);
  if (!allowed) return -EBADF;
  return address + length > machine.memory.format.taskSize ? -EFAULT : 0;
}
