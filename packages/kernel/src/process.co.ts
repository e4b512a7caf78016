/** Making and ending processes (Linux: fork, exit and wait of single-threaded processes, their memory only). */
import type { Task } from '@mmkit/base';
import { createMm } from '@mmkit/gup/sched';
import { dupMm, exitMm } from '@mmkit/mm/sched';
import type { Mm } from '@mmkit/aspace';
import { noteWrite } from '@mmkit/task';
import type { Machine } from './machine.ts';
import { checkAlive, Process } from './process.ts';

/** What `forkProcess` gives. */
export interface ForkedProcess {
  /** 0, -ENOMEM, or -EINTR (killed while waiting for mmap_lock). */
  readonly error: number;
  /** The child; null with an error. */
  readonly process: Process | null;
}

/** A process with an empty address space; null when there is no page for its top page table. */
export function createProcess(machine: Machine): Process | null {
  const mm = createMm({ memory: machine.memory });
  return mm === null ? null : addProcess(machine, mm, null);
}

/** Copies a process (fork). With an error nothing is left of the child. */
export function* forkProcess(machine: Machine, parent: Process): Task<ForkedProcess> {
  checkAlive(parent);
  const { error, mm } = yield* dupMm(parent.mm);
  return { error, process: mm === null ? null : addProcess(machine, mm, parent) };
}

/**
 * Ends a process and reaps it: nothing of it stays but pages that are pinned. No other task may use it meanwhile, which
 * Linux makes sure of by counting the users of an mm.
 */
export function* exitProcess(machine: Machine, process: Process): Task<void> {
  checkAlive(process);
  process.exited = true;
  noteWrite(machine.sched, machine.processes);
  machine.processes.delete(process.pid);
  yield* exitMm(process.mm);
}

function addProcess(machine: Machine, mm: Mm, parent: Process | null): Process {
  noteWrite(machine.sched, machine.processes);
  const process = new Process(machine.nextPid++, mm, parent);
  machine.processes.set(process.pid, process);
  return process;
}
