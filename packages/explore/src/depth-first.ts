/**
 * Depth first by stateless replay: each run follows the path of the last one up to the deepest point with an untried
 * choice. Without a bound that is every schedule. With a bound on preemptions, a task that may go on is left at most so
 * many times; the bounds 0, 1, … are gone through one after the other, so the first failure has the fewest.
 */
import { checkPrint, goOn } from './run.ts';
import type { Run, Strategy } from './run.ts';

export interface DepthFirstState {
  readonly kind: 'plain' | 'preemptions';
  /** The last bound to be tried; null: none, every schedule. */
  readonly bound: number | null;
  /** The bound being tried. */
  now: number;
  /** At each depth of the path: the choice taken, as an index, how many there were, and the run's print. */
  taken: number[];
  offered: number[];
  prints: number[];
  /** Choices above this depth are other people's work. */
  readonly floor: number;
  /** Nothing is left. */
  ended: boolean;
}

/** `bound`: preemptions, or null. */
export function depthFirstState(bound: number | null): DepthFirstState {
  const kind = bound === null ? 'plain' : 'preemptions';
  return { kind, bound, now: 0, taken: [], offered: [], prints: [], floor: 0, ended: false };
}

export class DepthFirst implements Strategy {
  readonly state: DepthFirstState;
  readonly goesOn: boolean;

  constructor(state: DepthFirstState) {
    this.state = state;
    this.goesOn = false;
  }

  begin(): boolean {
    return !this.state.ended;
  }

  pick(run: Run): number {
    const { bound, now, taken, offered, prints } = this.state;
    const depth = run.path.length;
    // With no preemption left, a task that may go on must.
    const forced = bound !== null && run.preemptions === now ? goOn(run) : -1;
    if (depth < taken.length) {
      checkPrint(run, prints[depth]!);
    } else {
      taken.push(0);
      offered.push(forced >= 0 ? 1 : run.choices.length);
      prints.push(run.print);
    }
    return forced >= 0 ? forced : taken[depth]!;
  }

  end(run: Run): boolean {
    const { state } = this;
    const { taken, offered, prints } = state;
    const counts = state.bound === null || run.preemptions === state.now;
    if (run.path.length < taken.length) checkPrint(run, prints[run.path.length]);
    while (taken.length > state.floor && taken[taken.length - 1]! + 1 === offered[offered.length - 1]!) {
      taken.pop();
      offered.pop();
      prints.pop();
    }
    if (taken.length > state.floor) taken[taken.length - 1] = taken[taken.length - 1]! + 1;
    else if (state.bound === null || state.now === state.bound) state.ended = true;
    else state.now++;
    return counts;
  }
}
