/**
 * Litmus tests: a scenario of a few lines with one question about how it may end. Sequential consistency, and only the
 * points the tasks yield: the answer says so.
 */
import { spawn } from '@mmkit/task';
import type { Sched, Task } from '@mmkit/task';
import type { ExploreResult } from './explore.ts';
import { MAX_NAMES } from './schedule.ts';
import type { Scenario } from './world.ts';

/** An outcome, looked for when every task is done: in words when it is there, else null. */
type Outcome<S> = (state: S) => string | null;

interface Parts<S> {
  /** What is asked, in one line (default: the name). */
  readonly question?: string;
  /** Makes the state all tasks share, afresh for every schedule, with the machine they run on: `createSched()`'s. */
  readonly setup: () => S;
  /** The tasks by name, 1 to 26; each gets the state. CPUs are given in turn. */
  readonly tasks: Readonly<Record<string, (state: S) => Task<unknown>>>;
}

/** A litmus test as it is written: what no schedule may end in (`forbid`), or what some schedule must (`reach`). */
export type LitmusSpec<S extends { readonly sched: Sched }> = Parts<S> &
  ({ readonly forbid: Outcome<S>; readonly reach?: never } | { readonly reach: Outcome<S>; readonly forbid?: never });

/** A litmus test as it is run. */
export interface LitmusTest {
  /** Letters, digits, `-`, `_` and `.`. */
  readonly name: string;
  /** What is asked, in one line. */
  readonly question: string;
  /** "never": no schedule may fail; "reachable": some schedule must. */
  readonly expect: 'never' | 'reachable';
  readonly scenario: Scenario;
  /**
   * The outcomes seen so far, in words: what else goes wrong (a deadlock, a throw) is no answer to the question. Absent in
   * a test that was not made by `litmus`: whatever goes wrong is the answer.
   */
  readonly outcomes?: Set<string>;
}

/** "broken": the scenario itself fails in some schedule, whatever the question; "unknown": not every schedule was run. */
export type LitmusVerdict = 'never' | 'reachable' | 'unknown' | 'broken';

/**
 * Makes a litmus test. RangeError for a bad name, no task or more than a schedule can name, and unless exactly one of
 * `forbid` and `reach` is there.
 */
export function litmus<S extends { readonly sched: Sched }>(name: string, spec: LitmusSpec<S>): LitmusTest {
  if (!/^[\w.-]+$/.test(name)) throw new RangeError(`name: expected letters, digits, - _ and ., got '${name}'`);
  const tasks = Object.entries(spec.tasks);
  if (tasks.length < 1 || tasks.length > MAX_NAMES) {
    throw new RangeError(`tasks: expected 1 to ${MAX_NAMES}, got ${tasks.length}`);
  }
  const outcome = spec.forbid ?? spec.reach;
  if (outcome === undefined || (spec.forbid !== undefined && spec.reach !== undefined)) {
    throw new RangeError(`${name}: expected either forbid or reach`);
  }
  const outcomes = new Set<string>();
  const scenario: Scenario = () => {
    const state = spec.setup();
    for (const [task, body] of tasks) spawn(state.sched, task, body(state));
    const check = (): string | null => {
      const found = outcome(state);
      if (found !== null) outcomes.add(found);
      return found;
    };
    return { sched: state.sched, check };
  };
  const expect = spec.forbid === undefined ? 'reachable' : 'never';
  return { name, question: spec.question ?? name, expect, scenario, outcomes };
}

/** True for what `litmus` makes, whichever copy of this package made it. */
export function isLitmusTest(value: unknown): value is LitmusTest {
  const test = value as Partial<LitmusTest> | null;
  return (
    typeof test === 'object' && test !== null && typeof test.name === 'string' && typeof test.scenario === 'function'
  );
}

/** The answer that `result` gives. */
export function judgeLitmus(test: LitmusTest, result: ExploreResult): LitmusVerdict {
  if (result.failures === 0) return result.exhaustive ? 'never' : 'unknown';
  const answers = test.outcomes === undefined || result.messages.every((message) => test.outcomes!.has(message));
  return answers ? 'reachable' : 'broken';
}

/**
 * The answer in words; `schedule` is the one to show of those that failed (default: the first). "no" is said of every
 * schedule only: of a bounded search it says so, and how it was bounded (`strategy`, in words).
 */
export function formatVerdict(test: LitmusTest, result: ExploreResult, strategy: string, schedule?: string): string {
  const { schedules, failures, first } = result;
  const verdict = judgeLitmus(test, result);
  if (verdict === 'never') {
    const reduced = result.strategy === 'reduced' ? ' that differ in more than the order of independent steps' : '';
    return `no, in all ${schedules} schedules${reduced} (sequential consistency, these points)`;
  }
  if (verdict === 'unknown') return `not found in ${schedules} schedules (bounded: ${strategy})`;
  const which = `schedule ${schedule ?? first!.schedule} (${failures} of ${schedules} schedules)`;
  return verdict === 'reachable' ? `reachable: ${which}` : `broken: ${first!.message}: ${which}`;
}
