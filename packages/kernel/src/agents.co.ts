/**
 * What acts beside the processes, at points of its own: a device that moves bytes, the flusher (Linux: wb_workfn), kswapd.
 * To be given to `spawnAgent` of `@mmkit/task`, or to `spawn` where their end is waited for. What a CPU does by itself:
 * `speculate`, `evictTranslation`.
 */
import { checkInteger, checkPages, InvariantError, P_DEVICE } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { WB_SYNC_NONE } from '@mmkit/filemap';
import type { Inode } from '@mmkit/filemap';
import { filemapFdatawrite, invalidateMappingPages } from '@mmkit/filemap/sched';
import {
  ALLOC_WMARK_HIGH,
  ALLOC_WMARK_LOW,
  drainPages,
  folioNrPages,
  readBytes,
  setBoost,
  wmarkPages,
  writeBytes,
} from '@mmkit/phys';
import { noted } from '@mmkit/task';
import { scheduleTimeout } from '@mmkit/task/sched';
import type { Machine } from './machine.ts';

/** Virtual time between two rounds of the flusher, ns (dirty_writeback_centisecs, 500). */
export const DIRTY_WRITEBACK_INTERVAL = 5_000_000_000;
/** Virtual time between two looks of kswapd, ns (HZ/10, its first nap). */
export const KSWAPD_INTERVAL = 100_000_000;

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
    yield noted(machine.sched, P_DEVICE);
    move(phys, pfns[(offset + done - inPage) / pageSize]!, inPage, bytes, at + done, part);
    done += part;
  }
}

/** Begins to write back what is dirty in any file (one round of the flusher, whatever its age). */
export function* writebackDirty(machine: Machine): Task<void> {
  for (const inode of diskInodes(machine)) yield* filemapFdatawrite(inode, 0, Infinity, WB_SYNC_NONE);
}

/** The flusher: `writebackDirty` every `interval` ns of virtual time, `rounds` times: Infinity for an agent. */
export function* flusher(machine: Machine, interval: number, rounds: number): Task<void> {
  for (let round = 0; round < rounds; round++) {
    yield* scheduleTimeout(machine.sched, interval);
    yield* writebackDirty(machine);
  }
}

/**
 * One round of kswapd (Linux: balance_pgdat). For each zone with fewer free frames than its low watermark, pages of files on
 * disks that nobody uses (`invalidateMappingPages`: clean, not mapped, not pinned or otherwise referenced) leave the cache,
 * file after file, until the zone has its high watermark; then boosts of watermarks end. Differs from Linux: mapped and
 * anonymous pages are left alone, and no LRU list says which page goes first.
 */
export function* balanceZones(machine: Machine): Task<void> {
  const { phys } = machine.memory;
  for (const zone of phys.zones) {
    if (zone.free >= wmarkPages(zone, ALLOC_WMARK_LOW)) continue;
    for (const inode of diskInodes(machine)) {
      // Others add pages meanwhile: those wait for the next round.
      const indexes = Array.from(inode.pages.keys());
      for (const index of indexes) {
        if (zone.free >= wmarkPages(zone, ALLOC_WMARK_HIGH)) break;
        // A large folio goes with the first of its indexes.
        const pfn = inode.pages.get(index);
        if (pfn !== undefined) yield* invalidateMappingPages(inode, index, index + folioNrPages(phys, pfn));
        drainPages(phys, machine.sched.current.cpu.id);
      }
    }
    setBoost(zone, 0);
  }
}

/**
 * kswapd: `balanceZones` every `interval` ns of virtual time, `rounds` times: Infinity for an agent. Differs from Linux:
 * it looks by itself, nobody wakes it.
 */
export function* kswapd(machine: Machine, interval: number, rounds: number): Task<void> {
  for (let round = 0; round < rounds; round++) {
    yield* scheduleTimeout(machine.sched, interval);
    yield* balanceZones(machine);
  }
}

function diskInodes({ memory }: Machine): Inode[] {
  return memory.files.inodes.filter((inode): inode is Inode => inode !== null && inode.device !== null);
}
