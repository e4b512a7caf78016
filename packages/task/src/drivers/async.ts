/**
 * The driver for real I/O: steps the machine while it can move, and when every task waits for the outside world, waits
 * for its callbacks (`interrupt`). The one place in the package where promises exist. What the outside does decides the
 * order of its callbacks, so runs under this driver are not deterministic.
 */
import { InvariantError } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { describeWaiters } from '../deadlock.ts';
import { advance, forget } from '../run.ts';
import { Sched, SimTask, TASK_DONE } from '../state.ts';
import { spawn } from '../step.ts';

/** Runs `body` as a task of `sched` to its end; real operations complete through `interrupt(sched, …)`. */
export async function runTaskAsync<T>(sched: Sched, body: Task<T>): Promise<T> {
  const task = spawn(sched, 'main', body);
  let last: SimTask | null = task;
  try {
    while (task.state !== TASK_DONE) {
      last = advance(sched, last ?? task);
      if (last !== null) continue;
      if (sched.outside === 0) throw new InvariantError('DEADLOCK', describeWaiters(sched));
      await new Promise<void>((resolve) => {
        sched.onInbox = resolve;
      });
      sched.onInbox = null;
    }
  } finally {
    forget(sched, task);
  }
  return task.result as T;
}
