/**
 * Sleeping, sched build: the current task goes into the queue and yields BLOCKED until somebody wakes it. There is no
 * point between the caller's test of its condition and the sleep, so no wake-up is lost.
 */
import { BLOCKED, EINTR, InvariantError } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { Sched, TASK_WAITING, WaitQueue } from './state.ts';
import { checkMaySleep } from './wake.ts';

/** Sleeps in `queue` until woken. Call in a loop that tests the condition. 'SLEEP_IN_ATOMIC' with a spinlock held. */
export function* waitOn(sched: Sched, queue: WaitQueue): Task<void> {
  sleep(sched, queue, false);
  yield BLOCKED;
}

/** As waitOn, for what Linux busy-waits for (a spinlock, an IPI): allowed while holding a spinlock. */
export function* spinOn(sched: Sched, queue: WaitQueue): Task<void> {
  enqueue(sched, queue, false);
  yield BLOCKED;
}

/** As waitOn; -EINTR when a fatal signal is pending before or after the sleep. */
export function* waitOnKillable(sched: Sched, queue: WaitQueue): Task<number> {
  const task = sched.current;
  if (task.killed) return -EINTR;
  sleep(sched, queue, true);
  yield BLOCKED;
  return task.killed ? -EINTR : 0;
}

function sleep(sched: Sched, queue: WaitQueue, killable: boolean): void {
  checkMaySleep(sched.current, queue);
  enqueue(sched, queue, killable);
}

function enqueue(sched: Sched, queue: WaitQueue, killable: boolean): void {
  const task = sched.current;
  if (task.body === null) {
    throw new InvariantError('NO_TASK', `waiting for ${queue.name} outside a task: spawn one, or use the plain build`);
  }
  if (task.cpu.irqOwner === task) {
    throw new InvariantError('SLEEP_IN_ATOMIC', `${task.name} waits for ${queue.name} with interrupts off`);
  }
  task.state = TASK_WAITING;
  task.queue = queue;
  task.killable = killable;
  queue.waiters.push(task);
}
