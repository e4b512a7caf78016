/**
 * vmsplice(2) of user memory into a pipe, and read(2) of it (Linux: vmsplice_to_pipe, iter_to_pipe, pipe_read; reference
 * B.18, C.3): the pipe holds plain references (FOLL_GET), so it sees what the process stores afterwards, until
 * copy-on-write gives the process another page. Both as with O_NONBLOCK and SPLICE_F_NONBLOCK: nobody waits for room or
 * data.
 */
import { checkAddress, checkInteger, EAGAIN, EFAULT, FOLL_GET } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { getUserPagesFast } from '@mmkit/gup/sched';
import { gupPutFolio, readBytes } from '@mmkit/phys';
import { mutexUnlock } from '@mmkit/task';
import { mutexLock } from '@mmkit/task/sched';
import { Pipe, PipeBuffer } from './pipe.ts';
import { checkAlive, Process } from './process.ts';

/** Pages taken at a time, before room is looked for (PIPE_DEF_BUFFERS). */
const BATCH = 16;

/**
 * Puts references to `length` bytes at `address` into the pipe: how many bytes went in, or, when none did, -EAGAIN (the
 * pipe is full: no page is touched) or what GUP says (-EFAULT, …).
 */
export function* vmsplice(pipe: Pipe, process: Process, address: number, length: number): Task<number> {
  checkAlive(process);
  checkAddress('address', address);
  checkInteger('length', length, 0, Number.MAX_SAFE_INTEGER - address);
  const { sched, memory } = pipe.machine;
  if (length === 0) return 0;
  if (address + length > memory.format.taskSize) return -EFAULT;
  yield* mutexLock(sched, pipe.lock);
  let done = 0;
  let error = pipe.buffers.length < pipe.slots ? 0 : -EAGAIN;
  while (error === 0 && done < length) {
    const moved = yield* spliceBatch(pipe, process, address + done, length - done);
    if (moved.error !== 0) error = moved.error;
    done += moved.bytes;
  }
  mutexUnlock(sched, pipe.lock);
  return done > 0 ? done : error;
}

/** What a batch has put into the pipe, and why no further one will follow; 0: it may. */
interface Batch {
  readonly bytes: number;
  readonly error: number;
}

function* spliceBatch(pipe: Pipe, process: Process, address: number, length: number): Task<Batch> {
  const { phys } = pipe.machine.memory;
  let offset = address % phys.pageSize;
  const pages = new Uint32Array(Math.min(BATCH, Math.ceil((offset + length) / phys.pageSize)));
  const got = yield* getUserPagesFast(process.mm, address - offset, pages.length, 0, pages);
  if (got < 0) return { bytes: 0, error: got };
  let bytes = 0;
  for (let i = 0; i < got; i++) {
    if (pipe.buffers.length === pipe.slots) {
      for (; i < got; i++) gupPutFolio(phys, pages[i]!, 1, FOLL_GET);
      return { bytes, error: -EAGAIN };
    }
    const part = Math.min(phys.pageSize - offset, length - bytes);
    pipe.buffers.push(new PipeBuffer(pages[i]!, offset, part));
    bytes += part;
    offset = 0;
  }
  return { bytes, error: 0 };
}

/** Reads up to `length` bytes into `into[at…]`: how many, or -EAGAIN when the pipe is empty. */
export function* pipeRead(pipe: Pipe, into: Uint8Array, at: number, length: number): Task<number> {
  checkInteger('length', length, 0, into.length);
  checkInteger('at', at, 0, into.length - length);
  if (length === 0) return 0;
  const { sched, memory } = pipe.machine;
  yield* mutexLock(sched, pipe.lock);
  const empty = pipe.buffers.length === 0;
  let done = 0;
  while (done < length && pipe.buffers.length > 0) {
    const buffer = pipe.buffers[0]!;
    const part = Math.min(buffer.length, length - done);
    readBytes(memory.phys, buffer.pfn, buffer.offset, into, at + done, part);
    buffer.offset += part;
    buffer.length -= part;
    done += part;
    if (buffer.length > 0) break;
    pipe.buffers.shift();
    gupPutFolio(memory.phys, buffer.pfn, 1, FOLL_GET);
  }
  mutexUnlock(sched, pipe.lock);
  return empty ? -EAGAIN : done;
}
