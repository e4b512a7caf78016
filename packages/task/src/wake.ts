/**
 * Waking sleepers (Linux: wake_up, wake_up_all, signal_wake_up), and signals. Never waits, so both builds share it. In
 * the plain build nobody sleeps and the queues are empty.
 */
import { InvariantError } from '@mmkit/base';
import { Sched, SimTask, TASK_READY, WaitQueue } from './state.ts';

/** Wakes the first sleeper, exclusive or not, as a lock wakes its next holder; false when there is none. */
export function wakeOne(queue: WaitQueue): boolean {
  // A shift of nothing would cost more than the rest of giving a lock back.
  if (queue.waiters.length === 0) return false;
  awaken(queue.waiters.shift()!);
  return true;
}

/** Wakes every sleeper that is not exclusive and the first `exclusive` (1 or more) of the others (Linux: wake_up_nr). */
export function wakeUpNr(queue: WaitQueue, exclusive: number): void {
  let left = exclusive;
  for (const task of queue.waiters.slice()) if (!task.exclusive || left-- > 0) wakeTask(task);
}

/** Wakes every sleeper that is not exclusive and one that is, the first (Linux: wake_up). */
export function wakeUp(queue: WaitQueue): void {
  wakeUpNr(queue, 1);
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
  awaken(task);
}

/** SIGKILL: marks the task, and ends its sleep if that is killable or interruptible. */
export function killTask(task: SimTask): void {
  task.killed = true;
  if (task.killable || task.interruptible) wakeTask(task);
}

/** A signal that is not fatal: pending until `flushSignals`; ends the task's sleep if that is interruptible. */
export function signalTask(task: SimTask): void {
  task.signalled = true;
  if (task.interruptible) wakeTask(task);
}

/** Takes the pending signals that are not fatal, as a return to user mode would (Linux: flush_signals). */
export function flushSignals(task: SimTask): void {
  task.signalled = false;
}

/** A signal is pending, fatal or not (Linux: signal_pending). */
export function signalPending(task: SimTask): boolean {
  return task.killed || task.signalled;
}

/** The queue for `key` in the wait table, made if absent. */
export function waitTableQueue(sched: Sched, key: number): WaitQueue {
  let queue = sched.waitTable.get(key);
  if (queue === undefined) {
    queue = new WaitQueue(`bit of word ${key}`);
    sched.waitTable.set(key, queue);
    sched.waitTableSize++;
  }
  return queue;
}

/** Wakes every sleeper on `key` and drops its queue. */
export function wakeTable(sched: Sched, key: number): void {
  if (sched.waitTableSize === 0) return;
  const queue = sched.waitTable.get(key);
  if (queue === undefined) return;
  sched.waitTable.delete(key);
  sched.waitTableSize--;
  wakeAll(queue);
}

/** InvariantError 'SLEEP_IN_ATOMIC' when the task holds a spinlock or has preemption off (Linux: might_sleep). */
export function checkMaySleep(task: SimTask, queue: WaitQueue): void {
  if (task.spinDepth > 0) {
    throw new InvariantError('SLEEP_IN_ATOMIC', `${task.name} waits for ${queue.name} with a spinlock held`);
  }
  if (task.preemptDepth > 0) {
    throw new InvariantError('SLEEP_IN_ATOMIC', `${task.name} waits for ${queue.name} with preemption off`);
  }
}

function awaken(task: SimTask): void {
  task.queue = null;
  task.killable = false;
  task.interruptible = false;
  task.exclusive = false;
  task.state = TASK_READY;
}
