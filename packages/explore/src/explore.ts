/**
 * Runs a scenario under many schedules: which, says the strategy. Stateless: each run is a fresh world. Sequential
 * consistency: a step sees all earlier steps.
 */
import { checkPrint, runOnce } from './run.ts';
import type { Run } from './run.ts';
import { formatSchedule } from './schedule.ts';
import { hasEnded, initialState, isExhaustive, strategyOf } from './strategy.ts';
import type { StrategySpec, StrategyState } from './strategy.ts';
import type { Scenario } from './world.ts';

export interface ExploreOptions {
  /** Default: `{ kind: 'plain' }`. */
  readonly strategy?: StrategySpec;
  /** Stop after this many runs in this call (default 10,000,000; by chance, 1,000). */
  readonly maxSchedules?: number;
  /** A schedule longer than this fails as a livelock (default 10,000). */
  readonly maxSteps?: number;
  /** Stop at the first failing schedule (default false: count them all). */
  readonly stopAtFirst?: boolean;
  /** Go on from here; the strategy is the checkpoint's, and the result counts from its beginning. */
  readonly resume?: Checkpoint;
}

export interface Failure {
  /** The schedule, as a string for `replay`. */
  readonly schedule: string;
  /** What was wrong. */
  readonly message: string;
}

interface Counts {
  /** Schedules run to their end. */
  readonly schedules: number;
  /** How many of them failed. */
  readonly failures: number;
  /** The first that failed, or null. */
  readonly first: Failure | null;
  /** What was wrong in any of them: each message once, sorted. */
  readonly messages: readonly string[];
  /** Runs given up because they would have repeated another (`reduced`), or counted elsewhere (`preemptions`). */
  readonly redundant: number;
  /** Steps taken in all runs. */
  readonly steps: number;
}

/** Where an exploration stands. JSON: may be kept in a file and resumed in another process, by the same scenario. */
export interface Checkpoint extends Counts {
  readonly state: StrategyState;
}

export interface ExploreResult extends Counts {
  /** Which strategy these are the schedules of. */
  readonly strategy: StrategySpec['kind'];
  /**
   * True when every schedule there is was run (`plain`), or one of each set that differs in the order of independent
   * steps (`reduced`); false: bounded, nothing is proved beyond those run.
   */
  readonly exhaustive: boolean;
  /** For `resume`; null when nothing is left. */
  readonly checkpoint: Checkpoint | null;
}

/**
 * Runs the scenario as the strategy says. InvariantError 'NONDETERMINISM' when a world did not repeat itself; RangeError
 * for options out of range and for a given schedule that is not possible.
 */
export function explore(scenario: Scenario, options: ExploreOptions = {}): ExploreResult {
  const from = options.resume ?? startOf(initialState(options.strategy ?? { kind: 'plain' }));
  const state = structuredCopy(from.state);
  const byChance = state.kind === 'random' || state.kind === 'pct';
  const maxRuns = options.maxSchedules ?? (byChance ? 1000 : 10_000_000);
  const maxSteps = options.maxSteps ?? 10_000;
  const strategy = strategyOf(state);
  const messages = new Set(from.messages);
  let { schedules, failures, first, redundant, steps } = from;
  for (let runs = 0; runs < maxRuns && strategy.begin(); ) {
    const run = runOnce(scenario, strategy, maxSteps);
    steps += run.path.length;
    if (run.givenUp || !strategy.end(run)) {
      redundant++;
      continue;
    }
    schedules++;
    runs++;
    const repeatable = state.kind !== 'plain' && state.kind !== 'preemptions' && state.kind !== 'reduced';
    if (repeatable && (runs === 1 || run.wrong.length > 0)) repeat(scenario, run, maxSteps);
    if (run.wrong.length === 0) continue;
    failures++;
    for (const wrong of run.wrong) messages.add(wrong.message);
    first ??= { schedule: formatSchedule(run.wrong[0]!.path), message: run.wrong[0]!.message };
    if (options.stopAtFirst === true) break;
  }
  const counts: Counts = { schedules, failures, first, messages: [...messages].sort(), redundant, steps };
  return {
    ...counts,
    strategy: state.kind,
    exhaustive: isExhaustive(state),
    checkpoint: hasEnded(state) ? null : { ...counts, state },
  };
}

/** A checkpoint before the first run. */
export function startOf(state: StrategyState): Checkpoint {
  return { schedules: 0, failures: 0, first: null, messages: [], redundant: 0, steps: 0, state };
}

/** Depth first compares a run with the one before it; a schedule drawn by chance is run twice instead. */
function repeat(scenario: Scenario, run: Run, maxSteps: number): void {
  const schedule = formatSchedule(run.path);
  const again = runOnce(scenario, strategyOf({ kind: 'schedule', schedule, ended: false }), maxSteps);
  checkPrint(again, run.print);
}

function structuredCopy(state: StrategyState): StrategyState {
  return JSON.parse(JSON.stringify(state)) as StrategyState;
}
