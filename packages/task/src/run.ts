/**
 * Drivers of the sched build that need no outside world: round-robin over the runnable tasks, events when nothing else
 * can move. Deterministic.
 */
import { InvariantError } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { describeWaiters } from './deadlock.ts';
import { drainInbox, runPending } from './event.ts';
import { Sched, SimTask, TASK_DONE } from './state.ts';
import { isRunnable, spawn, stepTask } from './step.ts';

/** Steps a driver takes before it calls a run a livelock. */
export const STEP_LIMIT = 1_000_000_000;

/**
 * Moves the machine on by one step: the next runnable task after `last` in order of id (wrapping), else pending work.
 * Returns the task stepped, `last` when an event ran, or null when nothing can move.
 */
export function advance(sched: Sched, last: SimTask): SimTask | null {
  drainInbox(sched);
  const tasks = sched.tasks;
  for (let i = 1; i <= tasks.length; i++) {
    const task = tasks[(last.id + i) % tasks.length]!;
    if (isRunnable(task)) {
      stepTask(sched, task);
      return task;
    }
  }
  return runPending(sched) ? last : null;
}

/**
 * Runs until every task is done and nothing is pending; where there are agents, until every other task is done.
 * InvariantError 'DEADLOCK' names who waits for what, held by whom; 'LIVELOCK' after `limit` steps.
 */
export function runAll(sched: Sched, limit: number = STEP_LIMIT): void {
  let last: SimTask | null = sched.tasks[0]!;
  for (let steps = 0; sched.agents === 0 || !othersDone(sched); steps++) {
    if (steps >= limit) throw new InvariantError('LIVELOCK', `no end after ${limit} steps`);
    last = advance(sched, last);
    if (last === null) break;
  }
  const waiters = describeWaiters(sched);
  if (waiters !== '') throw new InvariantError('DEADLOCK', waiters);
}

/** Spawns `body`, runs the machine until it returns, and gives its result: a coloured function called from outside. */
export function runTask<T>(sched: Sched, body: Task<T>): T {
  const task = spawn(sched, 'main', body);
  let last: SimTask | null = task;
  try {
    while (task.state !== TASK_DONE) {
      last = isRunnable(task) ? (stepTask(sched, task), task) : advance(sched, last);
      if (last === null) throw new InvariantError('DEADLOCK', describeWaiters(sched));
    }
  } finally {
    forget(sched, task);
  }
  return task.result as T;
}

/** Drops a finished task that is the newest, so that calling runTask many times keeps nothing. */
export function forget(sched: Sched, task: SimTask): void {
  if (task.state === TASK_DONE && sched.tasks[sched.tasks.length - 1] === task) sched.tasks.pop();
}

/** True when all tasks but agents are done. */
function othersDone(sched: Sched): boolean {
  return sched.tasks.every((task) => task.agent || task.body === null || task.state === TASK_DONE);
}
