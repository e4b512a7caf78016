/**
 * Every schedule of a scenario, depth first, by stateless replay: each schedule runs from a fresh world, along the path
 * of the last one up to the deepest point with an untried choice. Sequential consistency: a step sees all earlier steps.
 */
import { InvariantError } from '@mmkit/task';
import { formatSchedule } from './schedule.ts';
import { choicesOf, takeChoice, verdictOf } from './world.ts';
import type { Scenario } from './world.ts';

export interface ExploreOptions {
  /** Stop after this many schedules; the result is then not exhaustive (default 10,000,000). */
  readonly maxSchedules?: number;
  /** A schedule longer than this fails as a livelock (default 10,000). */
  readonly maxSteps?: number;
  /** Stop at the first failing schedule (default false: count them all). */
  readonly stopAtFirst?: boolean;
}

export interface Failure {
  /** The schedule, as a string for `replay`. */
  readonly schedule: string;
  /** What was wrong. */
  readonly message: string;
}

export interface ExploreResult {
  /** Schedules run. */
  readonly schedules: number;
  /** How many of them failed. */
  readonly failures: number;
  /** The first that failed, or null. */
  readonly first: Failure | null;
  /** True when every schedule there is was run; false: bounded, nothing is proved beyond those run. */
  readonly exhaustive: boolean;
}

/** Runs the scenario under every schedule. InvariantError 'NONDETERMINISM' when a world did not repeat itself. */
export function explore(scenario: Scenario, options: ExploreOptions = {}): ExploreResult {
  const maxSchedules = options.maxSchedules ?? 10_000_000;
  const maxSteps = options.maxSteps ?? 10_000;
  /** The current path: at each depth the choice taken (an index), how many there were, and its code. */
  const taken: number[] = [];
  const offered: number[] = [];
  const path: number[] = [];
  const choices: number[] = [];
  let schedules = 0;
  let failures = 0;
  let first: Failure | null = null;
  for (;;) {
    if (schedules === maxSchedules) return { schedules, failures, first, exhaustive: false };
    const world = scenario();
    let wrong: string | null = null;
    let depth = 0;
    while (wrong === null) {
      const n = choicesOf(world.sched, choices);
      if (depth < taken.length) {
        if (n !== offered[depth])
          throw new InvariantError('NONDETERMINISM', `step ${depth} offered ${offered[depth]} choices, then ${n}`);
      } else if (n > 0) {
        taken.push(0);
        offered.push(n);
      }
      if (n === 0) {
        wrong = verdictOf(world);
        break;
      }
      if (depth === maxSteps) {
        wrong = `livelock: no end after ${maxSteps} steps`;
        break;
      }
      const choice = choices[taken[depth]!]!;
      path[depth++] = choice;
      wrong = takeChoice(world.sched, choice);
    }
    path.length = depth;
    schedules++;
    if (wrong !== null) {
      failures++;
      first ??= { schedule: formatSchedule(path), message: wrong };
      if (options.stopAtFirst === true) return { schedules, failures, first, exhaustive: false };
    }
    taken.length = depth;
    offered.length = depth;
    while (taken.length > 0 && taken[taken.length - 1]! + 1 === offered[offered.length - 1]!) {
      taken.pop();
      offered.pop();
    }
    if (taken.length === 0) return { schedules, failures, first, exhaustive: true };
    taken[taken.length - 1] = taken[taken.length - 1]! + 1;
  }
}
