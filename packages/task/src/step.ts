/** One step of a task: from its point to the next. Everything a driver or the explorer needs to move tasks. */
import { InvariantError, traceEvent } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { noteWrite } from './footprint.ts';
import { Sched, SimTask, TASK_DONE, TASK_READY } from './state.ts';

/** Adds a task to be stepped; `cpu` is the number of the CPU it runs on (default: its id − 1 modulo the CPUs). */
export function spawn(sched: Sched, name: string, body: Task<unknown>, cpu?: number): SimTask {
  const id = sched.tasks.length;
  const on = sched.cpus[cpu ?? (id - 1) % sched.cpus.length];
  if (on === undefined) throw new RangeError(`cpu: expected 0 to ${sched.cpus.length - 1}, got ${String(cpu)}`);
  noteWrite(sched, sched.tasks);
  const task = new SimTask(id, name, on, body);
  sched.tasks.push(task);
  return task;
}

/** True when the task may take a step: it is awake and its CPU is not in another task's IRQ-off region. */
export function isRunnable(task: SimTask): boolean {
  const owner = task.cpu.irqOwner;
  return task.state === TASK_READY && task.body !== null && (owner === null || owner === task);
}

/**
 * Runs `task` to its next point. Throws what the body throws (the task is done then), and InvariantError
 * 'NOT_RUNNABLE' when it may not run.
 */
export function stepTask(sched: Sched, task: SimTask): void {
  if (!isRunnable(task)) throw new InvariantError('NOT_RUNNABLE', `task ${task.name} may not take a step`);
  sched.current = task;
  let done = true;
  try {
    const result = task.body!.next();
    done = result.done === true;
    if (result.done === true) task.result = result.value;
    else task.point = result.value;
  } finally {
    sched.current = sched.tasks[0]!;
    if (done) task.state = TASK_DONE;
  }
  if (sched.trace !== null) traceEvent(sched.trace, task.point, task.id, done ? 1 : 0, 0);
}
