/**
 * One O_DIRECT request (Linux: struct blkdev_dio, bio_check_pages_dirty; reference B.18, D.3): the state, and what
 * happens when a bio of it ends, in interrupt context. Submitting and waiting: direct-io.co.ts.
 *
 * A bio's pages are unpinned as soon as it ends, whatever the others do. Those of a read were marked dirty before; if
 * one has been cleaned meanwhile, the whole bio is put aside for a task to dirty its pages again (Linux gives it to a
 * workqueue, here `finishDirectIo` does it). No lock: a step each.
 */
import { BIO_READ } from '@mmkit/filemap';
import type { Bio, BlockDevice } from '@mmkit/filemap';
import { unpinUserPages } from '@mmkit/gup';
import { compoundHead, openPinScope, PG_DIRTY, testFlag } from '@mmkit/phys';
import type { Phys, PinScope } from '@mmkit/phys';
import { wakeAll, WaitQueue } from '@mmkit/task';
import type { Machine } from './machine.ts';

/** Pages of one bio unless the caller says otherwise (Linux: BIO_MAX_VECS). */
export const DEFAULT_BIO_PAGES = 256;
/** Bios in flight unless the caller says otherwise. */
export const DEFAULT_QUEUE_DEPTH = 32;

export interface DirectIoOptions {
  /** Pages one bio has at most, 1 or more, and enough for one logical block; default DEFAULT_BIO_PAGES. */
  readonly bioPages?: number;
  /** Bios in flight at most, 1 or more; default DEFAULT_QUEUE_DEPTH. */
  readonly queueDepth?: number;
}

export interface DirectIoResult {
  /** Bytes moved, or a negative errno: then any part may have been moved. */
  readonly result: number;
  /** Pages that pinning returned; the zero page counts here, though its pins are not counted in the frame. */
  readonly pagesPinned: number;
}

export class DirectIo {
  readonly machine: Machine;
  readonly device: BlockDevice;
  /** BIO_READ or BIO_WRITE. */
  readonly op: number;
  /** Who holds its pins; null: no ledger is kept. */
  readonly scope: PinScope | null;
  /** Who waits for a bio of it to end. */
  readonly queue: WaitQueue;
  /** Bytes given to bios so far, or zeroed by the CPU for a hole. direct-io*.co.ts only. */
  submitted: number;
  /** See DirectIoResult. direct-io.co.ts only. */
  pagesPinned: number;
  /** Bios submitted and not ended. */
  inFlight: number;
  /** 0, or the first error, a negative errno. */
  error: number;
  /** Bytes up to the first one that a bio did not move; Infinity: all moved. This file only. */
  end: number;
  /** Ended reads with a page that somebody cleaned: still pinned. */
  readonly cleaned: Bio[];

  constructor(machine: Machine, pid: number, device: BlockDevice, op: number) {
    const name = op === BIO_READ ? 'direct read' : 'direct write';
    this.machine = machine;
    this.device = device;
    this.op = op;
    this.scope = openPinScope(machine.memory.phys, name, pid);
    this.queue = new WaitQueue(name);
    this.submitted = 0;
    this.pagesPinned = 0;
    this.inFlight = 0;
    this.error = 0;
    this.end = Infinity;
    this.cleaned = [];
  }
}

/** How many frames of its array a bio uses. */
export function bioPageCount(bio: Bio, pageSize: number): number {
  return Math.ceil((bio.offsetInPage + bio.length) / pageSize);
}

/** A bio of the request, whose first byte is its byte `at`, has ended (its bi_end_io). */
export function endDirectBio(io: DirectIo, bio: Bio, at: number): void {
  io.inFlight--;
  if (bio.status !== 0 && io.error === 0) io.error = bio.status;
  if (bio.bytesDone < bio.length) io.end = Math.min(io.end, at + bio.bytesDone);
  const { memory } = io.machine;
  const pages = bioPageCount(bio, memory.phys.pageSize);
  if (io.op === BIO_READ && !allDirty(memory.phys, bio.pfns, pages)) io.cleaned.push(bio);
  else unpinUserPages(memory, bio.pfns, pages, io.scope);
  wakeAll(io.queue);
}

function allDirty(phys: Phys, pfns: Uint32Array, count: number): boolean {
  for (let i = 0; i < count; i++) if (!testFlag(phys, compoundHead(phys, pfns[i]!), PG_DIRTY)) return false;
  return true;
}
