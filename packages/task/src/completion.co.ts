/** Waiting for a completion. Each begins with a point, as taking a lock does. */
import { P_LOCK } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { Completion, tryWaitForCompletion } from './completion.ts';
import { Sched } from './state.ts';
import { waitOn, waitOnKillable, waitOnTimeout } from './wait.sched.ts';

/** Waits until somebody says `complete`, as long as it takes (Linux: wait_for_completion). */
export function* waitForCompletion(sched: Sched, completion: Completion): Task<void> {
  yield P_LOCK;
  while (!tryWaitForCompletion(completion)) yield* waitOn(sched, completion.queue);
}

/** As waitForCompletion; -EINTR when a fatal signal came before it was done, else 0. */
export function* waitForCompletionKillable(sched: Sched, completion: Completion): Task<number> {
  yield P_LOCK;
  for (let error = 0; !tryWaitForCompletion(completion); ) {
    if (error !== 0) return error;
    error = yield* waitOnKillable(sched, completion.queue);
  }
  return 0;
}

/** As waitForCompletion, `delay` ns of virtual time at most: 0 when they are over, else what is left, at least 1. */
export function* waitForCompletionTimeout(sched: Sched, completion: Completion, delay: number): Task<number> {
  yield P_LOCK;
  let left = Math.max(1, delay);
  while (!tryWaitForCompletion(completion)) {
    if (left === 0) return 0;
    left = yield* waitOnTimeout(sched, completion.queue, left);
  }
  return Math.max(1, left);
}
