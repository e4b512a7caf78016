/**
 * A machine whose tables lie in SharedArrayBuffers, seen from several threads. One thread, the owner, has the `Phys`:
 * it alone allocates and frees. `sharePhys` makes what another is sent, `attachPhys` the view that the functions of
 * shared-refs.ts take, in the owner's thread too.
 *
 * Who drops the last reference puts the block on a list in shared memory, linked through COLD_PRIVATE, its count 0, all
 * else as it was: a stack that many push on and only the owner empties, whole, with `reapShared`.
 */
import { COLD_PRIVATE, SHARED_ACQUIRED, SHARED_FREED, SHARED_RELEASED } from './frame.ts';
import type { Phys } from './frame.ts';
import { freeLastReference } from './page-alloc.ts';

/** What another thread is sent (`postMessage`, `workerData`): nothing in it is to be looked into. */
export interface PhysHandle {
  readonly hot: Int32Array;
  readonly cold: Int32Array;
  readonly sharing: Int32Array;
  readonly pageblocks: Uint8Array;
  readonly pageblockOrder: number;
  readonly zoneKinds: readonly number[];
  readonly frames: number;
  readonly zeroPfn: number;
}

/** A thread's view of a machine's frames. */
export class SharedPhys {
  /** Of the machine (`Phys.hot`). */
  readonly hot: Int32Array;
  /** Of the machine (`Phys.cold`). */
  readonly cold: Int32Array;
  /** Of the machine (`Phys.sharing`). */
  readonly sharing: Int32Array;
  /** Of the machine (`Phys.pageblocks`). */
  readonly pageblocks: Uint8Array;
  /** log2 of the frames of a pageblock. */
  readonly pageblockOrder: number;
  /** ZONE_* of each zone, by index. */
  readonly zoneKinds: readonly number[];
  /** How many frames there are. */
  readonly frames: number;
  /** The zero page. */
  readonly zeroPfn: number;

  constructor(handle: PhysHandle) {
    this.hot = handle.hot;
    this.cold = handle.cold;
    this.sharing = handle.sharing;
    this.pageblocks = handle.pageblocks;
    this.pageblockOrder = handle.pageblockOrder;
    this.zoneKinds = handle.zoneKinds;
    this.frames = handle.frames;
    this.zeroPfn = handle.zeroPfn;
  }
}

/** What a thread must be sent to `attachPhys`. Throws RangeError unless the machine was made with `shared: true`. */
export function sharePhys(phys: Phys): PhysHandle {
  if (!phys.shared) throw new RangeError('phys: expected a machine made with shared: true');
  const { hot, cold, sharing, pageblocks, pageblockOrder, frames, zeroPfn } = phys;
  return {
    hot,
    cold,
    sharing,
    pageblocks,
    pageblockOrder,
    zoneKinds: phys.zones.map((zone) => zone.kind),
    frames,
    zeroPfn,
  };
}

/** The view of the machine that `handle` tells of: one for each thread, the owner's too. */
export function attachPhys(handle: PhysHandle): SharedPhys {
  return new SharedPhys(handle);
}

/**
 * The owner's: frees the blocks whose last reference was dropped since it was last called, the last one first, and adds
 * the pins taken and dropped to the machine's counters. How many blocks. Throws what `freeLastReference` throws (a
 * frame inside a block is in use); that block and those not yet looked at stay on the list.
 */
export function reapShared(phys: Phys): number {
  const { sharing, cold } = phys;
  phys.nrFollPinAcquired += Atomics.exchange(sharing, SHARED_ACQUIRED, 0) >>> 0;
  phys.nrFollPinReleased += Atomics.exchange(sharing, SHARED_RELEASED, 0) >>> 0;
  let pfn = Atomics.exchange(sharing, SHARED_FREED, 0);
  let blocks = 0;
  try {
    while (pfn !== 0) {
      const next = cold[(pfn << 2) + COLD_PRIVATE]!;
      freeLastReference(phys, pfn);
      pfn = next;
      blocks++;
    }
  } finally {
    while (pfn !== 0) {
      const next = cold[(pfn << 2) + COLD_PRIVATE]!;
      pushFreed(phys, pfn);
      pfn = next;
    }
  }
  return blocks;
}

/** Puts a block with count 0 on the list of those to be freed. */
export function pushFreed(view: SharedPhys | Phys, pfn: number): void {
  const { sharing, cold } = view;
  let first = Atomics.load(sharing, SHARED_FREED);
  for (;;) {
    cold[(pfn << 2) + COLD_PRIVATE] = first;
    const seen = Atomics.compareExchange(sharing, SHARED_FREED, first, pfn);
    if (seen === first) return;
    first = seen;
  }
}
