/**
 * The driver for a thread that may block (a worker; Node's main thread): steps the machine while it can move, and when
 * every task waits for the outside world, has the caller block. How a thread blocks is the caller's: nothing here does.
 */
import { InvariantError } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { describeWaiters } from '../deadlock.ts';
import { advance, forget } from '../run.ts';
import { Sched, SimTask, TASK_DONE } from '../state.ts';
import { spawn } from '../step.ts';

/**
 * Runs `body` as a task of `sched` to its end. While real operations are under way (`sched.outside`) and every task waits,
 * `block` is called: it sleeps until one has finished (`Atomics.wait` on a word that the other thread counts up), and
 * calls `interrupt` for it. 'DEADLOCK' when all wait and nothing is under way outside.
 */
export function runTaskBlocking<T>(sched: Sched, body: Task<T>, block: () => void): T {
  const task = spawn(sched, 'main', body);
  let last: SimTask | null = task;
  try {
    while (task.state !== TASK_DONE) {
      last = advance(sched, last ?? task);
      if (last !== null) continue;
      if (sched.outside === 0) throw new InvariantError('DEADLOCK', describeWaiters(sched));
      block();
    }
  } finally {
    forget(sched, task);
  }
  return task.result as T;
}
