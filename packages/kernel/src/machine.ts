/**
 * One simulated computer: processors, memory, processes. No global state: a machine is dropped by forgetting it.
 */
import { checkInteger } from '@mmkit/base';
import type { TraceRing } from '@mmkit/base';
import { createMemory, linux6_18, Memory } from '@mmkit/aspace';
import type { Policy } from '@mmkit/aspace';
import { x86_64 } from '@mmkit/pgtable';
import type { Format } from '@mmkit/pgtable';
import { MAX_FRAMES, MIN_FRAMES } from '@mmkit/phys';
import { createSched, Lockdep, MMAP_LOCK, registerLockOrder, Sched } from '@mmkit/task';
import { PIPE_LOCK } from './lock-order.ts';
import { Process } from './process.ts';

export class Machine {
  /** CPUs, tasks, virtual time. */
  readonly sched: Sched;
  /** Frames, page tables, TLBs, rules, statistics. */
  readonly memory: Memory;
  /** The living processes by pid. Written by process.co.ts only. */
  readonly processes: Map<number, Process>;
  /** Pid of the next process; they are not used again. process.co.ts only. */
  nextPid: number;

  constructor(sched: Sched, memory: Memory) {
    this.sched = sched;
    this.memory = memory;
    this.processes = new Map();
    this.nextPid = 1;
  }
}

export interface MachineOptions {
  /** Bytes of RAM: a multiple of the page size, 16 pages to 2^29 − 1 pages. */
  readonly ramBytes: number;
  /** Processors, 1 (default) to 32. */
  readonly cpus?: number;
  /** Page-table format (default x86-64, 4 levels). */
  readonly format?: Format;
  /** Kernel rules (default Linux 6.18). */
  readonly policy?: Policy;
  /** Where every step of every task is recorded (default: nowhere). */
  readonly trace?: TraceRing;
  /** Checks the order in which locks are taken, and is told that of E.4 (default: nobody checks). */
  readonly lockdep?: Lockdep;
  /** Told where Linux would warn and go on (default: nobody). */
  readonly warn?: (what: string) => void;
}

/** Makes a machine without processes. RangeError for bad options. */
export function createMachine(options: MachineOptions): Machine {
  const { ramBytes, cpus = 1, format = x86_64, policy = linux6_18, trace, lockdep, warn = () => {} } = options;
  const pageSize = 1 << format.pageShift;
  checkInteger('ramBytes', ramBytes, MIN_FRAMES * pageSize, MAX_FRAMES * pageSize);
  if (ramBytes % pageSize !== 0) throw new RangeError(`ramBytes: expected a multiple of ${pageSize}, got ${ramBytes}`);
  const sched = createSched({ cpus, ...(trace !== undefined && { trace }), ...(lockdep !== undefined && { lockdep }) });
  const memory = createMemory({ sched, frames: ramBytes / pageSize, format, policy, warn });
  if (lockdep !== undefined) registerLockOrder(lockdep, [PIPE_LOCK, MMAP_LOCK]);
  return new Machine(sched, memory);
}
