/** A failing schedule made easy to read: the fewest preemptions, then the fewest steps. */
import { explore } from './explore.ts';
import { DepthFirst, depthFirstState } from './depth-first.ts';
import { runOnce } from './run.ts';
import { formatSchedule } from './schedule.ts';
import { strategyOf } from './strategy.ts';
import type { Scenario } from './world.ts';

export interface Shrunk {
  /** Fails with `message`. */
  readonly schedule: string;
  readonly message: string;
  /** How often a task that could have gone on is left. */
  readonly preemptions: number;
  /** True when every schedule with fewer preemptions, and every one as short, was tried. */
  readonly fewest: boolean;
  /** Schedules run. */
  readonly tried: number;
}

/**
 * Looks for a schedule that fails with the same message: with no preemption, then one, … up to those of `schedule`; of the
 * first number that has any, the shortest. Runs at most `maxSchedules` (default 100,000). RangeError when `schedule` is not
 * possible or does not fail.
 */
export function shrinkSchedule(scenario: Scenario, schedule: string, options: { maxSchedules?: number } = {}): Shrunk {
  const maxSchedules = options.maxSchedules ?? 100_000;
  const { first } = explore(scenario, { strategy: { kind: 'schedule', schedule } });
  if (first === null) throw new RangeError(`schedule: '${schedule}' does not fail`);
  const given = runOnce(scenario, strategyOf({ kind: 'schedule', schedule, ended: false }), 100_000);
  const { message } = first;
  let best = { path: given.wrong[0]!.path, preemptions: given.preemptions };
  let tried = 1;
  const strategy = new DepthFirst(depthFirstState(given.preemptions));
  while (strategy.begin() && strategy.state.now <= best.preemptions) {
    if (tried === maxSchedules) return { ...result(), fewest: false };
    tried++;
    const run = runOnce(scenario, strategy, 10_000);
    const { preemptions } = run;
    const counts = strategy.end(run);
    const wrong = run.wrong[0];
    if (!counts || wrong?.message !== message) continue;
    const better = preemptions < best.preemptions || wrong.path.length < best.path.length;
    if (better) best = { path: wrong.path, preemptions };
  }
  return { ...result(), fewest: true };

  function result(): Omit<Shrunk, 'fewest'> {
    return { schedule: formatSchedule(best.path), message, preemptions: best.preemptions, tried };
  }
}
