/**
 * A CPU answers interrupts between instructions, never inside one, and a barrier after a broadcast TLB invalidation waits
 * for accesses under way. So a TLB shootdown cannot finish while an access has its translation and has not yet moved its
 * bytes: without this a store could hit a page already freed, which no hardware does. It is `local_irq_save` without a
 * point of its own, and a mark in `memory.accessing`.
 */
import type { Memory } from '@mmkit/aspace';
import { localIrqRestore, noteRead, noteWrite } from '@mmkit/task';

/** The current task begins an instruction. */
export function beginInstruction(memory: Memory): void {
  const { sched } = memory;
  const task = sched.current;
  if (sched.footprint !== null) {
    noteWrite(sched, task.cpu);
    noteRead(sched, sched.rcuWait);
  }
  task.cpu.irqOwner = task;
  task.cpu.irqDepth++;
  task.rcuDepth++;
  memory.accessing |= 1 << task.cpu.id;
}

/** It ends it; whoever waits for this CPU goes on. */
export function endInstruction(memory: Memory): void {
  memory.accessing &= ~(1 << memory.sched.current.cpu.id);
  localIrqRestore(memory.sched);
}
