/** One exploration as several that need nothing of each other: for a pool of workers. */
import { initialState } from './strategy.ts';
import { startOf } from './explore.ts';
import type { Checkpoint, ExploreResult } from './explore.ts';
import { Run, offer, take } from './run.ts';
import { Watch } from './steps.ts';
import type { Step } from './steps.ts';
import type { Scenario } from './world.ts';

/** A path whose continuations are one piece of work. */
interface Piece {
  /** The choices taken, as indices. */
  readonly taken: readonly number[];
  /** At each of them: the choices there were, the print, and the steps tried before. */
  readonly moments: readonly { choices: number[]; print: number; done: Step[] }[];
}

/**
 * Splits the exploration of `scenario` into at least `n` checkpoints for `explore(scenario, { resume })`, in any process,
 * or fewer when there are fewer schedules. `plain`: their schedules, failures and messages add up to those of one
 * exploration (`mergeResults`). `reduced`: their messages do; schedules that are equivalent may be run by two pieces.
 */
export function splitWork(
  scenario: Scenario,
  n: number,
  options: { strategy?: 'plain' | 'reduced' } = {},
): Checkpoint[] {
  const kind = options.strategy ?? 'plain';
  let pieces: Piece[] = [{ taken: [], moments: [] }];
  for (;;) {
    const next = pieces.flatMap((piece) => split(scenario, piece));
    if (pieces.length >= n || next.length === pieces.length) break;
    pieces = next;
  }
  return pieces.map((piece) => checkpointOf(piece, kind));
}

/** The results of all pieces as one. */
export function mergeResults(results: readonly ExploreResult[]): ExploreResult {
  if (results.length === 0) throw new RangeError('results: expected at least one');
  const sum = (of: (result: ExploreResult) => number): number => results.reduce((total, each) => total + of(each), 0);
  return {
    strategy: results[0]!.strategy,
    schedules: sum((result) => result.schedules),
    failures: sum((result) => result.failures),
    first: results.find((result) => result.first !== null)?.first ?? null,
    messages: [...new Set(results.flatMap((result) => result.messages))].sort(),
    redundant: sum((result) => result.redundant),
    steps: sum((result) => result.steps),
    exhaustive: results.every((result) => result.exhaustive),
    checkpoint: null,
  };
}

/** The piece's continuations by one choice; the piece itself when it is a whole schedule. */
function split(scenario: Scenario, piece: Piece): Piece[] {
  const done: Step[] = [];
  const pieces: Piece[] = [];
  for (let index = 0; ; index++) {
    const run = new Run(scenario());
    const watch = new Watch(run.sched);
    for (const taken of piece.taken) {
      offer(run);
      watch.before();
      take(run, run.choices[taken]!);
      watch.after(run);
      if (run.wrong.length > 0) return [piece];
    }
    if (offer(run) === 0) return [piece];
    if (index === run.choices.length) return pieces;
    const moment = { choices: run.choices.slice(), print: run.print, done: done.slice() };
    pieces.push({ taken: [...piece.taken, index], moments: [...piece.moments, moment] });
    watch.before();
    take(run, run.choices[index]!);
    offer(run);
    done.push(watch.after(run));
  }
}

function checkpointOf(piece: Piece, kind: 'plain' | 'reduced'): Checkpoint {
  const { taken, moments } = piece;
  const floor = taken.length;
  const state = initialState({ kind });
  if (state.kind === 'plain') {
    const offered = moments.map((moment) => moment.choices.length);
    return startOf({ ...state, taken: [...taken], offered, prints: moments.map((moment) => moment.print), floor });
  }
  if (state.kind !== 'reduced') throw new RangeError(`strategy: expected plain or reduced, got ${state.kind}`);
  const nodes = moments.map(({ choices, print, done }, i) => {
    return { choices, print, sleep: [] as Step[], wanted: choices, done, taken: choices[taken[i]!]! };
  });
  return startOf({ ...state, nodes, floor });
}
