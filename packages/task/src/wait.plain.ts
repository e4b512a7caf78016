/**
 * Waiting, plain build: the machine's own pending work (events, I/O completions) runs in virtual time, one piece a
 * call, so that the caller can test its condition again. Throws 'DEADLOCK' when nothing pending could help.
 */
import { EINTR, InvariantError } from '@mmkit/base';
import { runPending } from './event.ts';
import { Sched, WaitQueue } from './state.ts';
import { checkMaySleep } from './wake.ts';

/** Runs one piece of pending work. Call in a loop that tests the condition. 'SLEEP_IN_ATOMIC' with a spinlock held. */
export function waitOn(sched: Sched, queue: WaitQueue): void {
  checkMaySleep(sched.current, queue);
  spinOn(sched, queue);
}

/** As waitOn, for what Linux busy-waits for (a spinlock, an IPI): allowed while holding a spinlock. */
export function spinOn(sched: Sched, queue: WaitQueue): void {
  if (!runPending(sched)) {
    throw new InvariantError('DEADLOCK', `waiting for ${queue.name}, and nothing pending could end it`);
  }
}

/** As waitOn; -EINTR when a fatal signal is pending before or after. */
export function waitOnKillable(sched: Sched, queue: WaitQueue): number {
  if (sched.current.killed) return -EINTR;
  waitOn(sched, queue);
  return sched.current.killed ? -EINTR : 0;
}
