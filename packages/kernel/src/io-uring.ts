/**
 * io_uring's registered buffers (io_uring_register(2), IORING_REGISTER_BUFFERS): user memory pinned for as long as it
 * stays registered. The pins belong to the ring: they outlive the mapping and the process. This file: the state, and the
 * device's way to the bytes, which knows frames and no addresses. Registering: io-uring.co.ts.
 */
import { checkInteger, EFAULT } from '@mmkit/base';
import { Mm } from '@mmkit/aspace';
import { compoundHead, folioNrPages, folioTestLarge, Phys, readBytes, writeBytes } from '@mmkit/phys';
import type { PinScope } from '@mmkit/phys';
import { Machine } from './machine.ts';

export class RegisteredBuffer {
  /** Whose memory it was when it was registered; its pinned_vm is charged. */
  readonly mm: Mm;
  /** Where it begins in the first frame, bytes. */
  readonly offsetInPage: number;
  /** Bytes. */
  readonly length: number;
  /** The frames. */
  readonly pfns: Uint32Array;
  /** The frames that hold a pin each: all; of a buffer of large folios only, one of each folio. */
  readonly pins: Uint32Array;
  /** Pages charged for it. */
  readonly charged: number;
  /** Who holds the pins; null: no ledger is kept. */
  readonly scope: PinScope | null;

  constructor(
    mm: Mm,
    offsetInPage: number,
    length: number,
    pfns: Uint32Array,
    pins: Uint32Array,
    charged: number,
    scope: PinScope | null,
  ) {
    this.mm = mm;
    this.offsetInPage = offsetInPage;
    this.length = length;
    this.pfns = pfns;
    this.pins = pins;
    this.charged = charged;
    this.scope = scope;
  }
}

/**
 * The frames of a pinned buffer whose pin is kept: all, or when it is pages of large folios of one size alone, one after
 * the other, the first of each folio, whose pin is enough for them all (io_check_coalesce_buffer; D.1).
 */
export function keptPins(phys: Phys, pfns: Uint32Array): Uint32Array {
  if (pfns.length < 2 || !folioTestLarge(phys, pfns[0]!)) return pfns;
  const nr = folioNrPages(phys, pfns[0]!);
  const kept = [pfns[0]!];
  for (let i = 1; i < pfns.length; i++) {
    const pfn = pfns[i]!;
    const folio = compoundHead(phys, pfn);
    const before = pfns[i - 1]!;
    if (folio === compoundHead(phys, before)) {
      if (pfn !== before + 1) return pfns;
      continue;
    }
    const whole = before === compoundHead(phys, before) + nr - 1 && pfn === folio;
    if (!whole || folioNrPages(phys, pfn) !== nr) return pfns;
    kept.push(pfn);
  }
  return Uint32Array.from(kept);
}

/**
 * Pages a buffer is charged for: those of small folios, and of each large folio all, once for the whole ring
 * (io_buffer_account_pin). `before`: what the ring has already.
 */
export function chargedPages(phys: Phys, pfns: Uint32Array, before: readonly RegisteredBuffer[]): number {
  const known = new Set<number>();
  for (const buffer of before) for (const pfn of buffer.pfns) known.add(compoundHead(phys, pfn));
  let pages = 0;
  for (const pfn of pfns) {
    const folio = compoundHead(phys, pfn);
    if (!folioTestLarge(phys, pfn)) pages++;
    else if (!known.has(folio)) pages += folioNrPages(phys, pfn);
    known.add(folio);
  }
  return pages;
}

/** One io_uring instance, as far as it holds memory. */
export class IoUring {
  readonly machine: Machine;
  /** The registered buffers; null: none are registered. io-uring.co.ts only. */
  buffers: readonly RegisteredBuffer[] | null;

  constructor(machine: Machine) {
    this.machine = machine;
    this.buffers = null;
  }
}

/** Makes a ring without buffers. */
export function createIoUring(machine: Machine): IoUring {
  return new IoUring(machine);
}

/**
 * The device stores `from[at…]`, `length` bytes, at byte `offset` of buffer `index` (IORING_OP_READ_FIXED). 0, or -EFAULT
 * when there is no such buffer or it ends before (io_import_fixed). Does not mark the pages dirty, nor does Linux.
 */
export function fixedBufferWrite(
  ring: IoUring,
  index: number,
  offset: number,
  from: Uint8Array,
  at: number,
  length: number,
): number {
  return moveFixed(ring, index, offset, from, at, length, writeBytes);
}

/** The device loads the bytes (IORING_OP_WRITE_FIXED) into `into[at…]`; else as `fixedBufferWrite`. */
export function fixedBufferRead(
  ring: IoUring,
  index: number,
  offset: number,
  into: Uint8Array,
  at: number,
  length: number,
): number {
  return moveFixed(ring, index, offset, into, at, length, readBytes);
}

function moveFixed(
  ring: IoUring,
  index: number,
  offset: number,
  bytes: Uint8Array,
  at: number,
  length: number,
  move: typeof readBytes,
): number {
  checkInteger('index', index, 0, 0xffff);
  checkInteger('offset', offset, 0, Number.MAX_SAFE_INTEGER);
  checkInteger('length', length, 0, bytes.length);
  checkInteger('at', at, 0, bytes.length - length);
  const buffer = ring.buffers?.[index];
  if (buffer === undefined || offset + length > buffer.length) return -EFAULT;
  const { phys } = ring.machine.memory;
  for (let done = 0; done < length; ) {
    const here = buffer.offsetInPage + offset + done;
    const inPage = here % phys.pageSize;
    const part = Math.min(phys.pageSize - inPage, length - done);
    move(phys, buffer.pfns[Math.floor(here / phys.pageSize)]!, inPage, bytes, at + done, part);
    done += part;
  }
  return 0;
}
