/** Waiting for a completion (ibv_req_notify_cq and ibv_get_cq_event in one). */
import type { Task } from '@mmkit/base';
import { waitOn } from '@mmkit/task/sched';
import type { CompletionQueue } from './cq.ts';

/** Returns when `pollCq` has something to say: a completion, or that the queue overran. */
export function* waitCq(cq: CompletionQueue): Task<void> {
  while (cq.entries.length === 0 && !cq.overrun) yield* waitOn(cq.device.machine.sched, cq.queue);
}
