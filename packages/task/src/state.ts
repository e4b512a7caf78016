/**
 * The state of a simulated machine's execution: tasks, CPUs, virtual time, wait queues. Both builds share it.
 *
 * Plain build: one caller, `sched.current` is the boot task; nothing ever really waits (wait.plain.ts). Sched build:
 * each task is a generator, stepped by a driver (run.ts, drivers/async.ts) or by the explorer; between two points a
 * task runs alone, so a step is atomic. A machine runs in one of the two modes at a time.
 */
import type { Task, TraceRing } from '@mmkit/base';
import type { Footprint } from './footprint.ts';
import type { Lockdep } from './lockdep.ts';
import type { Tracepoints } from './tracepoint.ts';

/** The task may be stepped. */
export const TASK_READY = 0;
/** The task sleeps in a wait queue. */
export const TASK_WAITING = 1;
/** The task has returned or thrown. */
export const TASK_DONE = 2;

/** Who sleeps, in the order they came. */
export class WaitQueue {
  /** What is waited for, in words (deadlock reports). */
  readonly name: string;
  /** Sleepers, first come first. */
  readonly waiters: SimTask[];
  /** Who holds what is waited for, where its kind can tell, or null (deadlock reports). */
  readonly holders: (() => readonly SimTask[]) | null;

  constructor(name: string, holders: (() => readonly SimTask[]) | null = null) {
    this.name = name;
    this.waiters = [];
    this.holders = holders;
  }
}

/** One thread of execution. */
export class SimTask {
  /** 0 is the boot task (plain callers); spawned tasks count from 1. */
  readonly id: number;
  /** For timelines and reports. */
  readonly name: string;
  /** The CPU it runs on; tasks do not move. */
  readonly cpu: Cpu;
  /** The generator; null for the boot task. */
  readonly body: Task<unknown> | null;
  /** The machine does not wait for its end (agent.ts). */
  agent: boolean;
  /** TASK_READY, TASK_WAITING or TASK_DONE. */
  state: number;
  /** The last point it yielded. */
  point: number;
  /** The queue it sleeps in, null when awake. */
  queue: WaitQueue | null;
  /** True while its sleep may be ended by a fatal signal. */
  killable: boolean;
  /** True while its sleep may be ended by any signal. */
  interruptible: boolean;
  /** True while it sleeps as an exclusive waiter: `wakeUp` wakes one of these (Linux: WQ_FLAG_EXCLUSIVE). */
  exclusive: boolean;
  /** A fatal signal (SIGKILL) is pending: Linux's fatal_signal_pending(). */
  killed: boolean;
  /** A signal that is not fatal is pending, until `flushSignals`. */
  signalled: boolean;
  /** Nesting of RCU read sections and IRQ-off regions. */
  rcuDepth: number;
  /** Spinlocks held: while there is one the task may not sleep. */
  spinDepth: number;
  /** Nesting of preempt_disable: above 0 the task may not sleep. */
  preemptDepth: number;
  /** How many outermost sections it has left: a grace period waits for a change. */
  rcuLeft: number;
  /** Faults it has taken, by an access or by GUP, that needed no storage, and those that did (getrusage; A.10). */
  min_flt: number;
  maj_flt: number;
  /** What the body returned, once done. */
  result: unknown;

  constructor(id: number, name: string, cpu: Cpu, body: Task<unknown> | null) {
    this.id = id;
    this.name = name;
    this.cpu = cpu;
    this.body = body;
    this.agent = false;
    this.state = TASK_READY;
    this.point = 0;
    this.queue = null;
    this.killable = false;
    this.interruptible = false;
    this.exclusive = false;
    this.killed = false;
    this.signalled = false;
    this.rcuDepth = 0;
    this.spinDepth = 0;
    this.preemptDepth = 0;
    this.rcuLeft = 0;
    this.min_flt = 0;
    this.maj_flt = 0;
    this.result = undefined;
  }
}

/** One processor. */
export class Cpu {
  /** 0, 1, … */
  readonly id: number;
  /** The task that turned interrupts or preemption off here, or null: while set, nobody else runs on this CPU. */
  irqOwner: SimTask | null;
  /** Nesting of local_irq_save: above 0, IPIs wait. */
  irqDepth: number;
  /** Senders of an IPI that wait for interrupts to be on again. */
  readonly irqOn: WaitQueue;

  constructor(id: number) {
    this.id = id;
    this.irqOwner = null;
    this.irqDepth = 0;
    this.irqOn = new WaitQueue(`cpu ${id}: interrupts on`);
  }
}

/** Something that happens by itself at a moment of virtual time: a timer, a device's completion. */
export class PendingEvent {
  /** Counts from 0 in the order of creation: the same in every run. */
  readonly id: number;
  /** Virtual time in ns at which it is due. */
  readonly time: number;
  /** For timelines. */
  readonly name: string;
  /** Runs in interrupt context: it must not wait. */
  readonly fire: () => void;

  constructor(id: number, time: number, name: string, fire: () => void) {
    this.id = id;
    this.time = time;
    this.name = name;
    this.fire = fire;
  }
}

/** A function to be called when a grace period is over (Linux: struct rcu_head). */
export class RcuCallback {
  /** The tasks whose read section was open when it was asked for, and still is. */
  readonly readers: Set<SimTask>;
  /** Runs as an event, in interrupt context: it must not wait. */
  readonly fn: () => void;

  constructor(readers: Set<SimTask>, fn: () => void) {
    this.readers = readers;
    this.fn = fn;
  }
}

export class Sched {
  readonly cpus: readonly Cpu[];
  /** Tasks by id; [0] is the boot task. */
  readonly tasks: SimTask[];
  /** How many of them are agents. */
  agents: number;
  /** Linux's `current`. */
  current: SimTask;
  /** Virtual time, ns. */
  now: number;
  /** Events not yet fired, earliest first; equal times in order of creation. */
  readonly events: PendingEvent[];
  /** Id of the next event. */
  nextEvent: number;
  /** The wait table: sleepers on a numbered bit (folio lock, page-table lock), by key. Made and dropped as needed. */
  readonly waitTable: Map<number, WaitQueue>;
  /** How many queues it has: asking the map costs 6 ns an unlock. wake.ts only. */
  waitTableSize: number;
  /** Sleepers for the end of an RCU grace period. */
  readonly rcuWait: WaitQueue;
  /** Callbacks whose grace period is not over (call_rcu), in the order they were asked for. */
  readonly rcuCallbacks: RcuCallback[];
  /** Callbacks from outside the simulation (real I/O), run before the next step. */
  readonly inbox: (() => void)[];
  /** Real operations under way. */
  outside: number;
  /** Told when the inbox gets an entry; set by the async driver. */
  onInbox: (() => void) | null;
  /** What the step under way touches; null unless an explorer asks (footprint.ts). */
  footprint: Footprint | null;
  /** Called when an explorer begins to ask: each makes some state of the machine note its accesses (footprint.ts). */
  readonly recorders: (() => void)[];
  /** Checks the order in which locks are taken, or null (lockdep.ts). */
  lockdep: Lockdep | null;
  /** Where tracepoints are recorded, or null (tracepoint.ts). */
  tracepoints: Tracepoints | null;
  /** Where steps are recorded, or null. */
  readonly trace: TraceRing | null;

  constructor(cpus: number, trace: TraceRing | null, lockdep: Lockdep | null) {
    this.cpus = Array.from({ length: cpus }, (_, id) => new Cpu(id));
    const boot = new SimTask(0, 'boot', this.cpus[0]!, null);
    this.tasks = [boot];
    this.agents = 0;
    this.current = boot;
    this.now = 0;
    this.events = [];
    this.nextEvent = 0;
    this.waitTable = new Map();
    this.waitTableSize = 0;
    this.rcuWait = new WaitQueue('RCU grace period');
    this.rcuCallbacks = [];
    this.inbox = [];
    this.outside = 0;
    this.onInbox = null;
    this.footprint = null;
    this.recorders = [];
    this.lockdep = lockdep;
    this.tracepoints = null;
    this.trace = trace;
  }
}

/**
 * Makes the execution state of a machine with `cpus` processors (1 to 32); `trace` records every step, `lockdep` checks the
 * order in which locks are taken.
 */
export function createSched(options: { cpus?: number; trace?: TraceRing; lockdep?: Lockdep } = {}): Sched {
  const cpus = options.cpus ?? 1;
  if (!Number.isSafeInteger(cpus) || cpus < 1 || cpus > 32) {
    throw new RangeError(`cpus: expected an integer from 1 to 32, got ${String(cpus)}`);
  }
  return new Sched(cpus, options.trace ?? null, options.lockdep ?? null);
}
