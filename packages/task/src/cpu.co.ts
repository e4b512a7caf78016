/**
 * Per-CPU exclusion: interrupts off, IPIs that wait for them, RCU grace periods. An IRQ-off region is also an RCU-sched
 * read section, which is what keeps page tables alive under gup-fast (reference B.11, "Why IRQs off suffices").
 */
import { P_IPI, P_IRQ, P_RCU } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { reads, writes } from './footprint.ts';
import { Cpu, Sched } from './state.ts';
import { spinOn, waitOn } from './wait.sched.ts';

/** Interrupts off on this CPU (Linux: local_irq_save); nests. */
export function* localIrqSave(sched: Sched): Task<void> {
  yield reads(sched, writes(sched, P_IRQ, sched.current.cpu), sched.rcuWait);
  const task = sched.current;
  task.cpu.irqOwner = task;
  task.cpu.irqDepth++;
  task.rcuDepth++;
}

/** Begins an RCU read section (Linux: rcu_read_lock); nests. */
export function* rcuReadLock(sched: Sched): Task<void> {
  yield reads(sched, P_RCU, sched.rcuWait);
  sched.current.rcuDepth++;
}

/**
 * Runs `handler` on every CPU but this one whose bit in `mask` is set, each as soon as it has interrupts on, and returns
 * when all have (Linux: smp_call_function_many with wait). The handler runs in interrupt context: it must not wait. Of
 * what is shared it touches only what belongs to its CPU, or notes the rest (footprint.ts).
 */
export function* sendIpi(sched: Sched, mask: number, handler: (cpu: Cpu) => void): Task<void> {
  for (const cpu of sched.cpus) {
    if (cpu === sched.current.cpu || ((mask >>> cpu.id) & 1) === 0) continue;
    yield writes(sched, P_IPI, cpu);
    while (cpu.irqDepth > 0) yield* spinOn(sched, cpu.irqOn);
    handler(cpu);
  }
}

/** Returns when every read section that was open at the call has ended (Linux: synchronize_rcu). */
export function* synchronizeRcu(sched: Sched): Task<void> {
  yield writes(sched, P_RCU, sched.rcuWait);
  // Looked at in one step: a section begun later must not be waited for.
  const open = sched.tasks.filter((task) => task.rcuDepth > 0).map((task) => ({ task, left: task.rcuLeft }));
  for (const { task, left } of open) {
    while (task.rcuLeft === left) yield* waitOn(sched, sched.rcuWait);
  }
}
