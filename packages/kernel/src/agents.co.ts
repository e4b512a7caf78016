/**
 * What acts beside the processes, at points of its own: a device that moves bytes, and the flusher (Linux: wb_workfn). To be
 * given to `spawnAgent` of `@mmkit/task`, or to `spawn` where their end is waited for. A CPU's own walks: `speculate`.
 */
import { checkInteger, checkPages, InvariantError, P_DEVICE } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { WB_SYNC_NONE } from '@mmkit/filemap';
import { filemapFdatawrite } from '@mmkit/filemap/sched';
import { readBytes, writeBytes } from '@mmkit/phys';
import { scheduleTimeout } from '@mmkit/task/sched';
import type { Machine } from './machine.ts';

/** Virtual time between two rounds of the flusher, ns (dirty_writeback_centisecs, 500). */
export const DIRTY_WRITEBACK_INTERVAL = 5_000_000_000;

/**
 * A device stores `length` bytes of `from[at…]` in the frames of `pfns`, from byte `offset` of the first on; the frames are
 * the caller's by pin or reference. Each page is a step. InvariantError DMA_BOUNDS when they do not fit the frames.
 */
export function* deviceWrite(
  machine: Machine,
  pfns: Uint32Array,
  offset: number,
  from: Uint8Array,
  at: number,
  length: number,
): Task<void> {
  yield* transfer(machine, pfns, offset, from, at, length, writeBytes);
}

/** A device reads the frames into `into[at…]`; as deviceWrite. */
export function* deviceRead(
  machine: Machine,
  pfns: Uint32Array,
  offset: number,
  into: Uint8Array,
  at: number,
  length: number,
): Task<void> {
  yield* transfer(machine, pfns, offset, into, at, length, readBytes);
}

function* transfer(
  machine: Machine,
  pfns: Uint32Array,
  offset: number,
  bytes: Uint8Array,
  at: number,
  length: number,
  move: typeof writeBytes,
): Task<void> {
  const { phys } = machine.memory;
  const { pageSize } = phys;
  checkInteger('length', length, 0, bytes.length);
  checkInteger('at', at, 0, bytes.length - length);
  checkInteger('offset', offset, 0, Number.MAX_SAFE_INTEGER - length);
  checkPages('pfns', pfns, 0);
  if (offset + length > pfns.length * pageSize) {
    throw new InvariantError('DMA_BOUNDS', `${length} bytes from ${offset} on do not fit ${pfns.length} frames`);
  }
  for (let done = 0; done < length; ) {
    const inPage = (offset + done) % pageSize;
    const part = Math.min(pageSize - inPage, length - done);
    yield P_DEVICE;
    move(phys, pfns[(offset + done - inPage) / pageSize]!, inPage, bytes, at + done, part);
    done += part;
  }
}

/** Begins to write back what is dirty in any file (one round of the flusher, whatever its age). */
export function* writebackDirty(machine: Machine): Task<void> {
  // Files made meanwhile too; one that is freed leaves null.
  const { inodes } = machine.memory.files;
  for (let id = 1; id < inodes.length; id++) {
    const inode = inodes[id]!;
    if (inode !== null && inode.device !== null) yield* filemapFdatawrite(inode, 0, Infinity, WB_SYNC_NONE);
  }
}

/** The flusher: `writebackDirty` every `interval` ns of virtual time, `rounds` times: Infinity for an agent. */
export function* flusher(machine: Machine, interval: number, rounds: number): Task<void> {
  for (let round = 0; round < rounds; round++) {
    yield* scheduleTimeout(machine.sched, interval);
    yield* writebackDirty(machine);
  }
}
