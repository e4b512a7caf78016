/**
 * An RDMA network adapter (Linux: struct ib_device) and its protection domains (ibv_alloc_pd(3)). The adapter reaches
 * memory only through the frames of its regions (region.ts): never by page tables, never by a process.
 *
 * No lock: the adapter's own work is done in interrupt context, a step each; so is each verb but those that pin.
 */
import { EBUSY, InvariantError } from '@mmkit/base';
import type { Machine } from '../machine.ts';
import { checkAlive } from '../process.ts';
import type { Process } from '../process.ts';
import type { QueuePair } from './queue-pair.ts';
import type { MemoryRegion } from './region.ts';

export class RdmaDevice {
  readonly machine: Machine;
  /** Regions by slot, the upper 24 bits of their keys; slot 0 stays empty, so that 0 is no key. region.ts only. */
  readonly regions: (MemoryRegion | null)[];
  /** The low byte that the next key of each slot gets. region.ts only. */
  readonly keyBytes: number[];
  /** Slots given back, longest ago first. region.ts only. */
  readonly freeSlots: number[];
  /** Living queue pairs by number. qp.ts only. */
  readonly queuePairs: Map<number, QueuePair>;
  /** Number of the next queue pair; they are not used again. qp.ts only. */
  nextQpNum: number;

  constructor(machine: Machine) {
    this.machine = machine;
    this.regions = [null];
    this.keyBytes = [0];
    this.freeSlots = [];
    this.queuePairs = new Map();
    this.nextQpNum = 1;
  }
}

/** What regions and queue pairs that may meet have in common (struct ib_pd). */
export class ProtectionDomain {
  readonly device: RdmaDevice;
  /** Whose memory is registered, and who is charged for it. */
  readonly process: Process;
  /** Regions and queue pairs of it. region.co.ts and qp.ts only. */
  users: number;
  /** True once `deallocPd` was called. This file only. */
  gone: boolean;

  constructor(device: RdmaDevice, process: Process) {
    this.device = device;
    this.process = process;
    this.users = 0;
    this.gone = false;
  }
}

/** Puts an adapter into the machine. */
export function createRdmaDevice(machine: Machine): RdmaDevice {
  return new RdmaDevice(machine);
}

/** A protection domain for memory of `process` (ibv_alloc_pd). InvariantError 'PROCESS_GONE' when it has exited. */
export function allocPd(device: RdmaDevice, process: Process): ProtectionDomain {
  checkAlive(process);
  if (process.mm.memory !== device.machine.memory) {
    throw new InvariantError('WRONG_MACHINE', `process ${process.pid} is of another machine`);
  }
  return new ProtectionDomain(device, process);
}

/** Ends a domain (ibv_dealloc_pd): 0, or -EBUSY while regions or queue pairs use it. */
export function deallocPd(pd: ProtectionDomain): number {
  checkPd(pd);
  if (pd.users > 0) return -EBUSY;
  pd.gone = true;
  return 0;
}

/** InvariantError 'PD_GONE' after `deallocPd`. */
export function checkPd(pd: ProtectionDomain): void {
  if (pd.gone) throw new InvariantError('PD_GONE', 'the protection domain was given back');
}
