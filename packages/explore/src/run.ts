/** One run of a scenario: a fresh world, moved on choice by choice as a strategy says. */
import { InvariantError, isRunnable } from '@mmkit/task';
import type { Sched, SimTask } from '@mmkit/task';
import { choiceId, formatSchedule, isTaskChoice, taskChoice } from './schedule.ts';
import { choicesOf, takeChoice, verdictOf } from './world.ts';
import type { Scenario, World } from './world.ts';

/** What was wrong, and after how many steps. */
export interface Wrong {
  readonly steps: number;
  readonly message: string;
  /** The choices that lead there. */
  readonly path: readonly number[];
}

/**
 * How to go through the schedules. `begin`: a new run; false when there is none left. `pick`: which of `run.choices` is
 * next, as an index, or −1 to give the run up as redundant. `end`: the run is over; false when it does not count.
 */
export interface Strategy {
  /** Everything it remembers from run to run, as JSON: what a checkpoint keeps. */
  readonly state: object;
  /** Go on with the other tasks after a failure: what they do later must be seen. */
  readonly goesOn: boolean;
  begin(): boolean;
  pick(run: Run): number;
  end(run: Run): boolean;
}

/** The state of one run. */
export class Run {
  readonly world: World;
  readonly sched: Sched;
  /** What is possible now: tasks by id, then events in order. */
  readonly choices: number[];
  /** The choices taken so far. */
  readonly path: number[];
  /** The task that moved last, or null. */
  last: SimTask | null;
  /** How many times a task that could have gone on was left. */
  preemptions: number;
  /** A number made from all that was possible and done so far: the same schedule gives the same. */
  print: number;
  /** What went wrong, in order. */
  wrong: Wrong[];
  /** The run was cut off after too many steps. */
  livelock: boolean;
  /** The strategy gave the run up. */
  givenUp: boolean;

  constructor(world: World) {
    this.world = world;
    this.sched = world.sched;
    this.choices = [];
    this.path = [];
    this.last = null;
    this.preemptions = 0;
    this.print = 0;
    this.wrong = [];
    this.livelock = false;
    this.givenUp = false;
  }
}

/** True when leaving the task that moved last would be a preemption. */
export function mayGoOn(run: Run): boolean {
  return run.last !== null && isRunnable(run.last);
}

/** The index of the choice "the task that moved last goes on", or −1. */
export function goOn(run: Run): number {
  return mayGoOn(run) ? run.choices.indexOf(taskChoice(run.last!.id)) : -1;
}

/** InvariantError 'NONDETERMINISM' unless the run has come here as an earlier one did. */
export function checkPrint(run: Run, print: number | undefined): void {
  if (run.print !== print) {
    const path = formatSchedule(run.path);
    throw new InvariantError('NONDETERMINISM', `after '${path}' other tasks, points or events than the time before`);
  }
}

/** Runs the scenario once, to its end or to where the strategy gives it up. */
export function runOnce(scenario: Scenario, strategy: Strategy, maxSteps: number): Run {
  const run = new Run(scenario());
  const { choices, path } = run;
  for (;;) {
    if (offer(run) === 0) {
      if (run.wrong.length === 0) fail(run, verdictOf(run.world));
      return run;
    }
    if (path.length === maxSteps) {
      run.livelock = true;
      if (run.wrong.length === 0) fail(run, `livelock: no end after ${maxSteps} steps`);
      return run;
    }
    const index = strategy.pick(run);
    if (index < 0) {
      run.givenUp = true;
      return run;
    }
    take(run, choices[index]!);
    if (run.wrong.length > 0 && !strategy.goesOn) return run;
  }
}

/** Lists what is possible now and puts it into the print. */
export function offer(run: Run): number {
  const n = choicesOf(run.sched, run.choices);
  let print = run.print;
  for (let i = 0; i < n; i++) {
    const choice = run.choices[i]!;
    print = Math.imul(print ^ choice, 0x01000193);
    if (isTaskChoice(choice)) print = Math.imul(print ^ run.sched.tasks[choiceId(choice)]!.point, 0x01000193);
  }
  run.print = print;
  return n;
}

/** Takes one of the choices. */
export function take(run: Run, choice: number): void {
  const { sched } = run;
  const id = choiceId(choice);
  const task = isTaskChoice(choice) ? sched.tasks[id]! : null;
  const name = task === null ? sched.events.find((event) => event.id === id)!.name : task.name;
  if (task !== run.last && mayGoOn(run)) run.preemptions++;
  if (task !== null) run.last = task;
  let print = Math.imul(run.print ^ choice, 0x01000193) ^ name.length;
  for (let i = 0; i < name.length; i++) print = Math.imul(print ^ name.charCodeAt(i), 0x01000193);
  run.print = print;
  run.path.push(choice);
  fail(run, takeChoice(sched, choice));
}

function fail(run: Run, message: string | null): void {
  if (message !== null) run.wrong.push({ steps: run.path.length, message, path: run.path.slice() });
}
