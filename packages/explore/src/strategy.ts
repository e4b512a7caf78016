/** The strategies by name, and what a checkpoint keeps of them. */
import { DepthFirst, depthFirstState } from './depth-first.ts';
import type { DepthFirstState } from './depth-first.ts';
import { Given } from './given.ts';
import type { GivenState } from './given.ts';
import { Pct, Random } from './random.ts';
import type { PctState, RandomState } from './random.ts';
import { Reduced, reducedState } from './reduced.ts';
import type { ReducedState } from './reduced.ts';
import type { Strategy } from './run.ts';

/** How to go through the schedules. `plain` is every schedule; see the README's table for the others. */
export type StrategySpec =
  | { readonly kind: 'plain' }
  | { readonly kind: 'reduced' }
  | { readonly kind: 'preemptions'; readonly bound: number }
  | { readonly kind: 'random'; readonly seed: number }
  | { readonly kind: 'pct'; readonly depth: number; readonly seed: number }
  | { readonly kind: 'schedule'; readonly schedule: string };

/** What a strategy remembers, as JSON. */
export type StrategyState = DepthFirstState | ReducedState | RandomState | PctState | GivenState;

/** The state in which a strategy begins. RangeError for a bound, depth or seed that is not an integer of its range. */
export function initialState(spec: StrategySpec): StrategyState {
  switch (spec.kind) {
    case 'plain':
      return depthFirstState(null);
    case 'reduced':
      return reducedState();
    case 'preemptions':
      return depthFirstState(integer('bound', spec.bound, 0));
    case 'random':
      return { kind: 'random', seed: integer('seed', spec.seed, 0) };
    case 'pct':
      return { kind: 'pct', depth: integer('depth', spec.depth, 1), seed: integer('seed', spec.seed, 0), longest: 1 };
    case 'schedule':
      return { kind: 'schedule', schedule: spec.schedule, ended: false };
  }
}

/** The strategy that goes on from `state`, which it changes. */
export function strategyOf(state: StrategyState): Strategy {
  switch (state.kind) {
    case 'plain':
    case 'preemptions':
      return new DepthFirst(state);
    case 'reduced':
      return new Reduced(state);
    case 'random':
      return new Random(state);
    case 'pct':
      return new Pct(state);
    case 'schedule':
      return new Given(state);
  }
}

/** True when the strategy has seen every schedule, or one of each kind that counts. */
export function isExhaustive(state: StrategyState): boolean {
  if (state.kind === 'plain') return state.ended;
  return state.kind === 'reduced' && state.ended && !state.cut;
}

/** True when nothing is left to be run. */
export function hasEnded(state: StrategyState): boolean {
  return 'ended' in state && state.ended;
}

function integer(name: string, value: number, least: number): number {
  if (Number.isSafeInteger(value) && value >= least && value <= 0x7fffffff) return value;
  throw new RangeError(`${name}: expected an integer from ${least} to 2147483647, got ${String(value)}`);
}
