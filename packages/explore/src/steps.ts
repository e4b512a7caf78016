/**
 * What a step touched, and whether two steps may change places. From what tasks declare and note (footprint.ts of
 * @mmkit/task), and from what a step is seen to do: who it wakes, and that every step of a task needs its CPU.
 */
import { Footprint, objectNumber, TASK_READY, WHOLE } from '@mmkit/task';
import type { Sched, SimTask, WaitQueue } from '@mmkit/task';
import { choiceId, isTaskChoice } from './schedule.ts';
import type { Run } from './run.ts';

/** JSON: a checkpoint keeps those of sleeping choices. */
export interface Step {
  readonly choice: number;
  /** It may have touched anything. */
  readonly any: boolean;
  /** It touched nothing that is shared. */
  readonly quiet: boolean;
  /** Objects below this were known before the step: in another run along the same path they have the same numbers. */
  readonly known: number;
  /** Pairs as in Footprint. */
  readonly accesses: readonly number[];
}

/** Declared by nobody: the next step may touch anything. */
const ANYTHING = null;

/** Watches one run and makes its steps. */
export class Watch {
  private readonly sched: Sched;
  private readonly footprint: Footprint;
  /** By task: what its next step was declared to touch; a task that has not started is absent. */
  private readonly declared: Map<number, readonly number[] | null>;
  /** Where each task slept before the step. */
  private readonly queues: (WaitQueue | null)[];
  private known: number;

  constructor(sched: Sched) {
    this.sched = sched;
    this.footprint = new Footprint();
    this.declared = new Map();
    this.queues = [];
    this.known = 0;
    // Who was moved before the explorer came is in the middle of something.
    for (const task of sched.tasks) {
      if (task.point !== 0 || task.state !== TASK_READY) this.declared.set(task.id, ANYTHING);
    }
  }

  /** Call before a step. */
  before(): void {
    const { sched, footprint, queues } = this;
    sched.footprint = footprint;
    footprint.noted.length = 0;
    footprint.declared.length = 0;
    this.known = footprint.objects.size;
    for (let i = 0; i < sched.tasks.length; i++) queues[i] = sched.tasks[i]!.queue;
  }

  /** Call after it. */
  after(run: Run): Step {
    const { sched, footprint, known } = this;
    const choice = run.path[run.path.length - 1]!;
    const accesses = footprint.noted.slice();
    for (let i = 0; i < sched.tasks.length; i++) {
      const was = this.queues[i] ?? null;
      const is = sched.tasks[i]!.queue;
      if (was === is) continue;
      if (was !== null) accesses.push(objectNumber(footprint, was) * 2 + 1, WHOLE);
      if (is !== null) accesses.push(objectNumber(footprint, is) * 2 + 1, WHOLE);
    }
    if (!isTaskChoice(choice)) return { choice, any: true, quiet: false, known, accesses };
    const task = sched.tasks[choiceId(choice)]!;
    const any = this.touchesAnything(task);
    accesses.push(...(this.declared.get(task.id) ?? []));
    const quiet = !any && accesses.length === 0;
    accesses.push(objectNumber(footprint, task.cpu) * 2, WHOLE);
    this.declareNext(task);
    return { choice, any, quiet, known, accesses };
  }

  /** A first step that ends the task or puts it to sleep has done what others do after a point. */
  private touchesAnything(task: SimTask): boolean {
    const declared = this.declared.get(task.id);
    return declared === undefined ? task.state !== TASK_READY : declared === ANYTHING;
  }

  private declareNext(task: SimTask): void {
    const { declared } = this.footprint;
    if (task.queue !== null) {
      // Woken, it tests the same again; and it must have been woken.
      const before = this.declared.get(task.id) ?? ANYTHING;
      const wake = objectNumber(this.footprint, task.queue) * 2 + 1;
      this.declared.set(task.id, before === ANYTHING ? ANYTHING : [...before, wake, WHOLE]);
    } else {
      this.declared.set(task.id, declared.length > 0 ? declared.slice() : ANYTHING);
    }
  }
}

/** True when the order of two steps may matter; both of one run. */
export function dependent(a: Step, b: Step): boolean {
  if (a.any || b.any) return !a.quiet && !b.quiet;
  const x = a.accesses;
  const y = b.accesses;
  for (let i = 0; i < x.length; i += 2) {
    for (let j = 0; j < y.length; j += 2) {
      if (clash(x[i]!, x[i + 1]!, y[j]!, y[j + 1]!)) return true;
    }
  }
  return false;
}

/** As `dependent`, where `sleeper` was seen in another run: an object new to its step may be any that is new in this one. */
export function wakes(step: Step, sleeper: Step): boolean {
  if (dependent(step, sleeper)) return true;
  return isNew(sleeper, sleeper.known) && isNew(step, sleeper.known);
}

function isNew(step: Step, known: number): boolean {
  for (let i = 0; i < step.accesses.length; i += 2) if (step.accesses[i]! >> 1 >= known) return true;
  return false;
}

function clash(a: number, wordA: number, b: number, wordB: number): boolean {
  if (a >> 1 !== b >> 1 || ((a | b) & 1) === 0) return false;
  return wordA === wordB || wordA === WHOLE || wordB === WHOLE;
}
