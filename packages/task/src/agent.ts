/**
 * Agents: what acts beside the tasks for as long as the machine runs, with points of its own: a device, kswapd, the
 * flusher, the hardware that sets accessed bits. The machine does not wait for their end, and they may wait for ever.
 */
import type { Task } from '@mmkit/base';
import { Sched, SimTask } from './state.ts';
import { spawn } from './step.ts';

/** As `spawn`, a task that does not keep `runAll` from ending, and whose waiting is no deadlock. */
export function spawnAgent(sched: Sched, name: string, body: Task<unknown>, cpu?: number): SimTask {
  const task = spawn(sched, name, body, cpu);
  task.agent = true;
  sched.agents++;
  return task;
}
