/**
 * Completion queues (ibv_create_cq(3), ibv_poll_cq(3)): where the adapter says what became of work. No lock: a step
 * each. Waiting for one: cq.co.ts.
 *
 * A queue that overruns is lost with what lay in it, and so are the queue pairs that report to it; Linux tells the
 * program by asynchronous events, which do not exist here.
 */
import { checkInteger, EBUSY, EIO } from '@mmkit/base';
import { WaitQueue } from '@mmkit/task';
import type { RdmaDevice } from './device.ts';
import type { WorkCompletion } from './verbs.ts';

export class CompletionQueue {
  readonly device: RdmaDevice;
  /** Completions it holds at most. */
  readonly capacity: number;
  /** Completions not yet polled, oldest first. This file and complete.ts. */
  readonly entries: WorkCompletion[];
  /** True once a completion found no room: it works no more. complete.ts only. */
  overrun: boolean;
  /** Queue pairs that report here, twice for one that does for both of its queues. qp.ts only. */
  users: number;
  /** Who waits for a completion. */
  readonly queue: WaitQueue;

  constructor(device: RdmaDevice, capacity: number) {
    this.device = device;
    this.capacity = capacity;
    this.entries = [];
    this.overrun = false;
    this.users = 0;
    this.queue = new WaitQueue('rdma completion');
  }
}

/** A completion queue for `capacity` completions, 1 or more. */
export function createCq(device: RdmaDevice, capacity: number): CompletionQueue {
  checkInteger('capacity', capacity, 1, 0x7fff_ffff);
  return new CompletionQueue(device, capacity);
}

/** Ends a queue (ibv_destroy_cq): 0, or -EBUSY while queue pairs report to it. */
export function destroyCq(cq: CompletionQueue): number {
  return cq.users > 0 ? -EBUSY : 0;
}

/** Appends up to `max` completions to `into`, oldest first, and returns how many; -EIO after an overrun. */
export function pollCq(cq: CompletionQueue, max: number, into: WorkCompletion[]): number {
  checkInteger('max', max, 1, 0x7fff_ffff);
  if (cq.overrun) return -EIO;
  const taken = cq.entries.splice(0, max);
  into.push(...taken);
  return taken.length;
}
