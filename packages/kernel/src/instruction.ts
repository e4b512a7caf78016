/**
 * A CPU answers interrupts between instructions, never inside one. So a TLB shootdown (an IPI) cannot finish while an
 * access has its translation and has not yet moved its bytes: without this a store could hit a page already freed,
 * which no hardware does. It is `local_irq_save` without a point of its own; `localIrqRestore` of @mmkit/task ends it.
 */
import type { Sched } from '@mmkit/task';

/** The current task begins an instruction. */
export function beginInstruction(sched: Sched): void {
  const task = sched.current;
  task.cpu.irqOwner = task;
  task.cpu.irqDepth++;
  task.rcuDepth++;
}
