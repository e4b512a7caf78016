/** Who waits for what, held by whom: the text of deadlock reports (Linux: the hung-task report and debug_show_held_locks). */
import { lockHolders } from './lockdep.ts';
import { Sched, SimTask, TASK_READY, TASK_WAITING, WaitQueue } from './state.ts';
import { isRunnable } from './step.ts';

/**
 * Who waits for what, and who holds it where that is known (a mutex; a CPU; an RCU read section; with `sched.lockdep`
 * every lock with a class), then the tasks that wait for each other in a cycle, if some do. Empty when nobody waits;
 * agents may wait.
 */
export function describeWaiters(sched: Sched): string {
  const lines: string[] = [];
  const waitsFor = new Map<SimTask, readonly SimTask[]>();
  for (const task of sched.tasks) {
    const blocked = task.state === TASK_READY && task.body !== null && !isRunnable(task);
    if ((task.state !== TASK_WAITING && !blocked) || task.agent) continue;
    const owner = task.cpu.irqOwner;
    const holders = blocked ? [owner!] : holdersOf(sched, task.queue);
    waitsFor.set(task, holders);
    if (blocked) {
      const what = task.cpu.irqDepth > 0 ? 'interrupts' : 'preemption';
      lines.push(`${task.name} waits for cpu ${task.cpu.id}, ${what} off by ${owner!.name}`);
    } else {
      const by = holders.length > 0 ? `, held by ${holders.map((holder) => holder.name).join(' and ')}` : '';
      lines.push(`${task.name} waits for ${task.queue?.name ?? 'nothing known'}${by}`);
    }
  }
  for (const task of waitsFor.keys()) {
    const cycle = findCycle(waitsFor, task, task, new Set());
    if (cycle === null) continue;
    lines.push(`in a cycle: ${[task, ...cycle].map((one) => one.name).join(' → ')}`);
    break;
  }
  return lines.join('; ');
}

function holdersOf(sched: Sched, queue: WaitQueue | null): readonly SimTask[] {
  if (queue === null) return [];
  if (queue.holders !== null) return queue.holders();
  if (queue === sched.rcuWait) return sched.tasks.filter((task) => task.rcuDepth > 0);
  for (const cpu of sched.cpus) if (queue === cpu.irqOn) return cpu.irqOwner === null ? [] : [cpu.irqOwner];
  for (const [index, waiting] of sched.waitTable) {
    // Any bit of the word: who waits in the table does not say which.
    if (queue === waiting) return Array.from({ length: 32 }, (_, bit) => lockHolders(sched, index * 32 + bit)).flat();
  }
  return [];
}

/** The way from `task` along "waits for" back to `start`, `task` left out; null when there is none. */
function findCycle(
  waitsFor: ReadonlyMap<SimTask, readonly SimTask[]>,
  start: SimTask,
  task: SimTask,
  been: Set<SimTask>,
): SimTask[] | null {
  been.add(task);
  for (const holder of waitsFor.get(task) ?? []) {
    if (holder === start) return [holder];
    if (been.has(holder)) continue;
    const rest = findCycle(waitsFor, start, holder, been);
    if (rest !== null) return [holder, ...rest];
  }
  return null;
}
