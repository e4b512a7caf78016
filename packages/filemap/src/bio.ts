/**
 * One block I/O request (Linux: struct bio). It names memory by PFN only, so the device that serves it never sees an
 * address space: what the submitter maps, unmaps or forks meanwhile changes nothing for it.
 *
 * Differs from Linux: one run of bytes over whole frames in order (only the first may start inside) instead of a vector
 * of any pieces; not split, merged or reused.
 */
import { checkInteger, checkPages } from '@mmkit/base';
import { WaitQueue } from '@mmkit/task';
import type { BlockDevice } from './blockdev.ts';

/** From the device to memory (REQ_OP_READ). */
export const BIO_READ = 0;
/** From memory to the device (REQ_OP_WRITE). */
export const BIO_WRITE = 1;

export class Bio {
  /** BIO_READ or BIO_WRITE. */
  readonly op: number;
  /** Where on the device, bytes. */
  readonly offset: number;
  /** The frames, in order; not copied: the submitter leaves the array alone until the bio is done. */
  readonly pfns: Uint32Array;
  /** Where in the first frame, bytes. */
  readonly offsetInPage: number;
  /** Bytes asked for. */
  readonly length: number;
  /** 0 or a negative errno; valid once done (bi_status). blockdev.ts only. */
  status: number;
  /** Bytes moved; on a read fewer than `length` at the device's end. Valid once done. blockdev.ts only. */
  bytesDone: number;
  /** True once the device has let go of the frames. blockdev.ts only. */
  done: boolean;
  /** Called once at the end, in interrupt context: it must not wait, but may submit (bi_end_io). Null: nobody. */
  readonly onEnd: ((bio: Bio) => void) | null;
  /** The device it was submitted to, null before (bi_bdev). blockdev.ts only. */
  device: BlockDevice | null;
  /** Who waits for the end. */
  readonly queue: WaitQueue;

  constructor(
    op: number,
    offset: number,
    pfns: Uint32Array,
    offsetInPage: number,
    length: number,
    onEnd: ((bio: Bio) => void) | null,
  ) {
    this.op = op;
    this.offset = offset;
    this.pfns = pfns;
    this.offsetInPage = offsetInPage;
    this.length = length;
    this.status = 0;
    this.bytesDone = 0;
    this.done = false;
    this.onEnd = onEnd;
    this.device = null;
    this.queue = new WaitQueue(op === BIO_READ ? 'block read' : 'block write');
  }
}

/**
 * Makes a request for `length` bytes (1 or more) between byte `offset` of a device and the frames `pfns`, beginning at
 * byte `offsetInPage` of the first. What a device demands of it is checked by `submitBio`. RangeError for bad values.
 */
export function createBio(
  op: number,
  offset: number,
  pfns: Uint32Array,
  offsetInPage: number,
  length: number,
  onEnd: ((bio: Bio) => void) | null = null,
): Bio {
  checkInteger('op', op, BIO_READ, BIO_WRITE);
  checkInteger('length', length, 1, Number.MAX_SAFE_INTEGER);
  checkInteger('offset', offset, 0, Number.MAX_SAFE_INTEGER - length);
  checkInteger('offsetInPage', offsetInPage, 0, Number.MAX_SAFE_INTEGER - length);
  checkPages('pfns', pfns, 1);
  return new Bio(op, offset, pfns, offsetInPage, length, onEnd);
}
