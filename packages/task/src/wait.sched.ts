/**
 * Sleeping, sched build: the current task goes into the queue and yields BLOCKED until somebody wakes it. There is no
 * point between the caller's test of its condition and the sleep, so no wake-up is lost.
 */
import { BLOCKED, EINTR, InvariantError } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { addEvent, cancelEvent, checkDelay } from './event.ts';
import { Sched, TASK_WAITING, WaitQueue } from './state.ts';
import { TP_SLEEP } from './trace-events.ts';
import { tracepoint } from './tracepoint.ts';
import { checkMaySleep, signalPending, wakeTask } from './wake.ts';

/** Sleeps in `queue` until woken. Call in a loop that tests the condition. 'SLEEP_IN_ATOMIC' with a spinlock held. */
export function* waitOn(sched: Sched, queue: WaitQueue): Task<void> {
  sleep(sched, queue);
  yield BLOCKED;
}

/** As waitOn, for what Linux busy-waits for (a spinlock, an IPI): allowed while holding a spinlock. */
export function* spinOn(sched: Sched, queue: WaitQueue): Task<void> {
  enqueue(sched, queue);
  yield BLOCKED;
}

/** As waitOn; -EINTR when a fatal signal is pending before or after the sleep. */
export function* waitOnKillable(sched: Sched, queue: WaitQueue): Task<number> {
  const task = sched.current;
  if (task.killed) return -EINTR;
  sleep(sched, queue);
  task.killable = true;
  yield BLOCKED;
  return task.killed ? -EINTR : 0;
}

/** As waitOn; -EINTR when any signal is pending before or after the sleep (Linux: wait_event_interruptible). */
export function* waitOnInterruptible(sched: Sched, queue: WaitQueue): Task<number> {
  const task = sched.current;
  if (signalPending(task)) return -EINTR;
  sleep(sched, queue);
  task.interruptible = true;
  yield BLOCKED;
  return signalPending(task) ? -EINTR : 0;
}

/** As waitOn, in turn: one `wakeUp` ends the sleep of one exclusive waiter only, the first (Linux: prepare_to_wait_exclusive). */
export function* waitOnExclusive(sched: Sched, queue: WaitQueue): Task<void> {
  sleep(sched, queue);
  sched.current.exclusive = true;
  yield BLOCKED;
}

/**
 * As waitOn, for `delay` ns of virtual time at most: 0 when they are over, else what is left, at least 1 (Linux:
 * wait_event_timeout). The time-out is an event: to the explorer a choice.
 */
export function* waitOnTimeout(sched: Sched, queue: WaitQueue, delay: number): Task<number> {
  checkDelay(delay);
  const task = sched.current;
  sleep(sched, queue);
  const timer = addEvent(sched, delay, `time-out: ${queue.name}`, () => wakeTask(task));
  yield BLOCKED;
  return cancelEvent(sched, timer) ? Math.max(1, timer.time - sched.now) : 0;
}

/** Sleeps `delay` ns of virtual time, less if `wakeTask` ends it: what is left, 0 when nothing (Linux: schedule_timeout). */
export function* scheduleTimeout(sched: Sched, delay: number): Task<number> {
  return yield* waitOnTimeout(sched, new WaitQueue('a time-out'), delay);
}

function sleep(sched: Sched, queue: WaitQueue): void {
  checkMaySleep(sched.current, queue);
  enqueue(sched, queue);
}

function enqueue(sched: Sched, queue: WaitQueue): void {
  const task = sched.current;
  if (task.body === null) {
    throw new InvariantError('NO_TASK', `waiting for ${queue.name} outside a task: spawn one, or use the plain build`);
  }
  if (task.cpu.irqOwner === task && task.cpu.irqDepth > 0) {
    throw new InvariantError('SLEEP_IN_ATOMIC', `${task.name} waits for ${queue.name} with interrupts off`);
  }
  if (sched.tracepoints !== null) tracepoint(sched, TP_SLEEP);
  task.state = TASK_WAITING;
  task.queue = queue;
  queue.waiters.push(task);
}
