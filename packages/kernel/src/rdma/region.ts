/**
 * A memory region (Linux: struct ib_mr over struct ib_umem): the frames behind a range of user addresses as they were
 * when it was registered, and the key by which the adapter finds them. What the process maps there afterwards is not
 * asked: from registration to deregistration the region means these frames.
 *
 * A key (iWARP: STag), 32 bits; lkey and rkey are the same number:
 *
 * | bits | meaning |
 * |---|---|
 * | 31–8 | slot in `device.regions`, 1 and up |
 * | 7–0 | changes each time the slot is used again, so that an old key does not open a new region for 255 uses |
 *
 * Keys are the same in every run; who wants to keep others out uses a protection domain.
 */
import type { Mm } from '@mmkit/aspace';
import { readBytes, writeBytes } from '@mmkit/phys';
import type { ProtectionDomain, RdmaDevice } from './device.ts';
import { frameAt } from './scatter-list.ts';
import type { ScatterList } from './scatter-list.ts';
import { IBV_ACCESS_LOCAL_WRITE, IBV_ACCESS_REMOTE_ATOMIC, IBV_ACCESS_REMOTE_WRITE } from './verbs.ts';

/** An access to a region: allowed, done. */
export const MR_OK = 0;
/** An access to a region: there is none with this key. */
export const MR_INVALID_KEY = 1;
/** An access to a region: it is of another protection domain. */
export const MR_WRONG_PD = 2;
/** An access to a region: it was not registered for this kind. */
export const MR_NO_ACCESS = 3;
/** An access to a region: not all bytes lie in it. */
export const MR_OUT_OF_BOUNDS = 4;

/** Slots there are: 24 bits of a key. */
const MAX_SLOTS = 2 ** 24;
/** From one key byte of a slot to the next: odd, so that all 256 come before one comes again. */
const KEY_STEP = 0x35;

export class MemoryRegion {
  readonly pd: ProtectionDomain;
  /** The owner: its `pinnedVm` was charged and is credited, whether or not the process still lives. */
  readonly mm: Mm;
  /** First byte, a user address of the owner. */
  readonly address: number;
  /** Bytes. */
  readonly length: number;
  /** IBV_ACCESS_*. */
  readonly access: number;
  /** lkey and rkey. */
  readonly key: number;
  /** The frames, pinned. */
  readonly frames: ScatterList;

  constructor(
    pd: ProtectionDomain,
    mm: Mm,
    address: number,
    length: number,
    access: number,
    key: number,
    frames: ScatterList,
  ) {
    this.pd = pd;
    this.mm = mm;
    this.address = address;
    this.length = length;
    this.access = access;
    this.key = key;
    this.frames = frames;
  }
}

/** May the adapter write such a region (ib_access_writable)? */
export function isWritable(access: number): boolean {
  return (access & (IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_ATOMIC)) !== 0;
}

/** A key for a new region, its slot reserved; 0 when all slots are in use. */
export function takeKey(device: RdmaDevice): number {
  const { regions, keyBytes, freeSlots } = device;
  let slot = freeSlots.shift();
  if (slot === undefined) {
    if (regions.length === MAX_SLOTS) return 0;
    slot = regions.length;
    regions.push(null);
    // Another first byte for each slot, so that the key of one says little about the key of the next.
    keyBytes.push((slot * 0x9d + 0x5b) & 0xff);
  }
  const byte = keyBytes[slot]!;
  keyBytes[slot] = (byte + KEY_STEP) & 0xff;
  return ((slot << 8) | byte) >>> 0;
}

/** Gives the slot of a key back. */
export function freeKey(device: RdmaDevice, key: number): void {
  device.freeSlots.push(key >>> 8);
}

/** The region of a key, or null. */
export function regionOf(device: RdmaDevice, key: number): MemoryRegion | null {
  const region = device.regions[key >>> 8] ?? null;
  return region !== null && region.key === key ? region : null;
}

/**
 * The adapter stores all of `bytes` at `address` of the region with key `stag`, which must be of `pd` and registered for
 * `needAccess` (IBV_ACCESS_*, 0: reading by the owner): MR_OK, or why not, and then nothing is stored. No bytes: MR_OK,
 * the key is not looked at. Never waits.
 */
export function rdmaScatter(
  device: RdmaDevice,
  pd: ProtectionDomain,
  stag: number,
  address: number,
  bytes: Uint8Array,
  needAccess: number,
): number {
  return moveBytes(device, pd, stag, address, bytes, needAccess, writeBytes);
}

/** The adapter fills `into` from `address` of the region on; otherwise as `rdmaScatter`. */
export function rdmaGather(
  device: RdmaDevice,
  pd: ProtectionDomain,
  stag: number,
  address: number,
  into: Uint8Array,
  needAccess: number,
): number {
  return moveBytes(device, pd, stag, address, into, needAccess, readBytes);
}

function moveBytes(
  device: RdmaDevice,
  pd: ProtectionDomain,
  stag: number,
  address: number,
  bytes: Uint8Array,
  needAccess: number,
  move: typeof readBytes,
): number {
  const { length } = bytes;
  if (length === 0) return MR_OK;
  const region = regionOf(device, stag);
  if (region === null) return MR_INVALID_KEY;
  if (region.pd !== pd) return MR_WRONG_PD;
  if ((region.access & needAccess) !== needAccess) return MR_NO_ACCESS;
  // Written so that an address beyond all numbers, as a peer may send, is refused too.
  if (!(address >= region.address && address + length <= region.address + region.length)) return MR_OUT_OF_BOUNDS;
  const { phys } = device.machine.memory;
  const { pageSize } = phys;
  const from = (region.address % pageSize) + (address - region.address);
  for (let done = 0; done < length; ) {
    const inPage = (from + done) % pageSize;
    const part = Math.min(pageSize - inPage, length - done);
    move(phys, frameAt(region.frames, Math.floor((from + done) / pageSize)), inPage, bytes, done, part);
    done += part;
  }
  return MR_OK;
}
