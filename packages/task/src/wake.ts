/**
 * Waking sleepers (Linux: wake_up, wake_up_all, signal_wake_up). Never waits, so both builds share it. In the plain
 * build nobody sleeps and the queues are empty.
 */
import { InvariantError } from '@mmkit/base';
import { Sched, SimTask, TASK_READY, WaitQueue } from './state.ts';

/** Wakes the first sleeper; false when there is none. */
export function wakeOne(queue: WaitQueue): boolean {
  const task = queue.waiters.shift();
  if (task === undefined) return false;
  wakeUp(task);
  return true;
}

/** Wakes every sleeper. */
export function wakeAll(queue: WaitQueue): void {
  while (queue.waiters.length > 0) wakeOne(queue);
}

/** Takes `task` out of its queue and makes it runnable; nothing when it does not sleep. */
export function wakeTask(task: SimTask): void {
  const queue = task.queue;
  if (queue === null) return;
  queue.waiters.splice(queue.waiters.indexOf(task), 1);
  wakeUp(task);
}

/** SIGKILL: marks the task, and ends its sleep if that is killable. */
export function killTask(task: SimTask): void {
  task.killed = true;
  if (task.killable) wakeTask(task);
}

/** The queue for `key` in the wait table, made if absent. */
export function waitTableQueue(sched: Sched, key: number): WaitQueue {
  let queue = sched.waitTable.get(key);
  if (queue === undefined) {
    queue = new WaitQueue(`bit of word ${key}`);
    sched.waitTable.set(key, queue);
  }
  return queue;
}

/** Wakes every sleeper on `key` and drops its queue. */
export function wakeTable(sched: Sched, key: number): void {
  if (sched.waitTable.size === 0) return;
  const queue = sched.waitTable.get(key);
  if (queue === undefined) return;
  sched.waitTable.delete(key);
  wakeAll(queue);
}

/** InvariantError 'SLEEP_IN_ATOMIC' when the task holds a spinlock (Linux: might_sleep). */
export function checkMaySleep(task: SimTask, queue: WaitQueue): void {
  if (task.spinDepth > 0) {
    throw new InvariantError('SLEEP_IN_ATOMIC', `${task.name} waits for ${queue.name} with a spinlock held`);
  }
}

function wakeUp(task: SimTask): void {
  task.queue = null;
  task.killable = false;
  task.state = TASK_READY;
}
