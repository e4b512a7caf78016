/**
 * Waiting, plain build: the machine's own pending work (events, I/O completions) runs in virtual time, one piece a
 * call, so that the caller can test its condition again. Throws 'DEADLOCK' when nothing pending could help.
 */
import { EINTR, InvariantError } from '@mmkit/base';
import { addEvent, cancelEvent, checkDelay, runPending } from './event.ts';
import { Sched, WaitQueue } from './state.ts';
import { checkMaySleep, signalPending } from './wake.ts';

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

/** As waitOn; -EINTR when any signal is pending before or after (Linux: wait_event_interruptible). */
export function waitOnInterruptible(sched: Sched, queue: WaitQueue): number {
  if (signalPending(sched.current)) return -EINTR;
  waitOn(sched, queue);
  return signalPending(sched.current) ? -EINTR : 0;
}

/** As waitOn; here, where nobody else waits, the same. */
export function waitOnExclusive(sched: Sched, queue: WaitQueue): void {
  waitOn(sched, queue);
}

/**
 * As waitOn, for `delay` ns of virtual time at most: 0 when they are over, else what is left, at least 1 (Linux:
 * wait_event_timeout).
 */
export function waitOnTimeout(sched: Sched, queue: WaitQueue, delay: number): number {
  checkDelay(delay);
  checkMaySleep(sched.current, queue);
  const timer = addEvent(sched, delay, `time-out: ${queue.name}`, () => {});
  runPending(sched);
  return cancelEvent(sched, timer) ? Math.max(1, timer.time - sched.now) : 0;
}

/** Lets `delay` ns of virtual time pass; 0, as nobody can end the sleep earlier (Linux: schedule_timeout). */
export function scheduleTimeout(sched: Sched, delay: number): number {
  checkDelay(delay);
  checkMaySleep(sched.current, new WaitQueue('a time-out'));
  const timer = addEvent(sched, delay, 'a time-out', () => {});
  while (sched.events.includes(timer)) runPending(sched);
  return 0;
}
