/**
 * What a step touched, and whether two steps may change places. From what tasks declare and note (footprint.ts of
 * @mmkit/task), and from what a step is seen to do: who it wakes, and that every step of a task needs its CPU.
 */
import { objectNumber, startFootprint, TASK_READY, WHOLE } from '@mmkit/task';
import type { Footprint, Sched, SimTask, WaitQueue } from '@mmkit/task';
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
  /** Pairs as in Footprint, ascending by object and word, each word once. */
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
  /** The signals each task had pending before the step. */
  private readonly signals: number[];
  private known: number;

  constructor(sched: Sched) {
    this.sched = sched;
    this.footprint = startFootprint(sched);
    this.declared = new Map();
    this.queues = [];
    this.signals = [];
    this.known = 0;
    // Who was moved before the explorer came is in the middle of something.
    for (const task of sched.tasks) {
      if (task.point !== 0 || task.state !== TASK_READY) this.declared.set(task.id, ANYTHING);
    }
  }

  /** Call before a step. */
  before(): void {
    const { sched, footprint, queues, signals } = this;
    footprint.noted.length = 0;
    footprint.declared.length = 0;
    footprint.complete = false;
    this.known = footprint.objects.size;
    for (let i = 0; i < sched.tasks.length; i++) {
      queues[i] = sched.tasks[i]!.queue;
      signals[i] = signalsOf(sched.tasks[i]!);
    }
  }

  /** Call after it. */
  after(run: Run): Step {
    const { sched, footprint, known } = this;
    const choice = run.path[run.path.length - 1]!;
    const accesses = footprint.noted.slice();
    for (let i = 0; i < sched.tasks.length; i++) {
      const task = sched.tasks[i]!;
      if (signalsOf(task) !== (this.signals[i] ?? 0)) accesses.push(objectNumber(footprint, task) * 2 + 1, WHOLE);
      const was = this.queues[i] ?? null;
      const is = task.queue;
      if (was === is) continue;
      accesses.push(objectNumber(footprint, task) * 2 + 1, WHOLE);
      if (was !== null) accesses.push(objectNumber(footprint, was) * 2 + 1, WHOLE);
      if (is !== null) accesses.push(objectNumber(footprint, is) * 2 + 1, WHOLE);
    }
    if (!isTaskChoice(choice)) return { choice, any: true, quiet: false, known, accesses: ordered(accesses) };
    const task = sched.tasks[choiceId(choice)]!;
    const any = this.touchesAnything(task);
    accesses.push(...(this.declared.get(task.id) ?? []));
    const quiet = !any && accesses.length === 0;
    // A step needs its CPU, and may look at the signals of its task.
    accesses.push(objectNumber(footprint, task.cpu) * 2, WHOLE, objectNumber(footprint, task) * 2, WHOLE);
    this.declareNext(task);
    return { choice, any, quiet, known, accesses: ordered(accesses) };
  }

  /** A first step that ends the task or puts it to sleep has done what others do after a point. */
  private touchesAnything(task: SimTask): boolean {
    const declared = this.declared.get(task.id);
    return declared === undefined ? task.state !== TASK_READY : declared === ANYTHING;
  }

  private declareNext(task: SimTask): void {
    const { declared, complete } = this.footprint;
    if (task.queue !== null) {
      // Woken, it tests the same again; and it must have been woken.
      const before = this.declared.get(task.id) ?? ANYTHING;
      const wake = objectNumber(this.footprint, task.queue) * 2 + 1;
      this.declared.set(task.id, before === ANYTHING ? ANYTHING : [...before, wake, WHOLE]);
    } else {
      this.declared.set(task.id, complete ? declared.slice() : ANYTHING);
    }
  }
}

/** A fatal signal pending, another pending, as bits. */
function signalsOf(task: SimTask): number {
  return (task.killed ? 1 : 0) | (task.signalled ? 2 : 0);
}

/** The accesses in the order of `Step.accesses`; of a word both read and written only the write. */
function ordered(accesses: readonly number[]): number[] {
  const keys = new Float64Array(accesses.length / 2);
  // By object, then word (WHOLE, −1, first), then writes first.
  for (let i = 0; i < keys.length; i++) {
    const access = accesses[i * 2]!;
    keys[i] = ((access >> 1) * 2 ** 32 + accesses[i * 2 + 1]! + 1) * 2 + (access & 1 ? 0 : 1);
  }
  keys.sort();
  const pairs: number[] = [];
  let last = -1;
  for (const key of keys) {
    const word = Math.floor(key / 2);
    if (word === last) continue;
    last = word;
    pairs.push(Math.floor(word / 2 ** 32) * 2 + (key % 2 === 0 ? 1 : 0), (word % 2 ** 32) - 1);
  }
  return pairs;
}

/** True when the order of two steps may matter; both of one run. */
export function dependent(a: Step, b: Step): boolean {
  if (a.any || b.any) return !a.quiet && !b.quiet;
  const x = a.accesses;
  const y = b.accesses;
  let i = 0;
  let j = 0;
  while (i < x.length && j < y.length) {
    const object = x[i]! >> 1;
    const other = y[j]! >> 1;
    if (object !== other) {
      if (object < other) i += 2;
      else j += 2;
      continue;
    }
    const word = x[i + 1]!;
    const otherWord = y[j + 1]!;
    if (word === WHOLE) {
      if (clashesWhole(x[i]!, y, j)) return true;
      i += 2;
    } else if (otherWord === WHOLE) {
      if (clashesWhole(y[j]!, x, i)) return true;
      j += 2;
    } else if (word === otherWord) {
      if (((x[i]! | y[j]!) & 1) !== 0) return true;
      i += 2;
      j += 2;
    } else if (word < otherWord) i += 2;
    else j += 2;
  }
  return false;
}

/** True when an access to a whole object clashes with one of those to it that begin at `from`. */
function clashesWhole(access: number, accesses: readonly number[], from: number): boolean {
  for (let i = from; i < accesses.length && accesses[i]! >> 1 === access >> 1; i += 2) {
    if (((access | accesses[i]!) & 1) !== 0) return true;
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
