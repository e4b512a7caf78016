/**
 * Schedules by chance, the same for the same seed: every choice uniformly, or by priorities that change at a few random
 * steps (PCT: Burckhardt, Kothari, Musuvathi, Nagarakatte, "A Randomized Scheduler with Probabilistic Guarantees of
 * Finding Bugs", 2010): a bug that needs d orderings is found in n tasks and k steps with probability 1 / (n k^(d−1)).
 */
import type { Run, Strategy } from './run.ts';

export interface RandomState {
  readonly kind: 'random';
  /** The generator's state. */
  seed: number;
}

/** Uniform choices. */
export class Random implements Strategy {
  readonly state: RandomState;
  readonly goesOn: boolean;

  constructor(state: RandomState) {
    this.state = state;
    this.goesOn = false;
  }

  begin(): boolean {
    return true;
  }

  pick(run: Run): number {
    return below(this.state, run.choices.length);
  }

  end(): boolean {
    return true;
  }
}

export interface PctState {
  readonly kind: 'pct';
  /** The d of PCT: how many orderings a bug may need; priorities change d − 1 times. */
  readonly depth: number;
  seed: number;
  /** Steps of the longest run so far: among these the changes are placed. */
  longest: number;
}

/** Priority change points. */
export class Pct implements Strategy {
  readonly state: PctState;
  readonly goesOn: boolean;
  /** Priority by choice, made at first sight; higher runs first. */
  private readonly priorities: Map<number, number>;
  /** Steps before which the task that would move falls below all others. */
  private readonly changes: Set<number>;

  constructor(state: PctState) {
    this.state = state;
    this.goesOn = false;
    this.priorities = new Map();
    this.changes = new Set();
  }

  begin(): boolean {
    this.priorities.clear();
    this.changes.clear();
    for (let i = 1; i < this.state.depth; i++) this.changes.add(below(this.state, this.state.longest));
    return true;
  }

  pick(run: Run): number {
    let best = this.highest(run);
    if (this.changes.has(run.path.length)) {
      this.priorities.set(run.choices[best]!, -run.path.length);
      best = this.highest(run);
    }
    return best;
  }

  end(run: Run): boolean {
    this.state.longest = Math.max(this.state.longest, run.path.length);
    return true;
  }

  private highest(run: Run): number {
    let best = 0;
    for (let i = 0; i < run.choices.length; i++) {
      const choice = run.choices[i]!;
      if (!this.priorities.has(choice)) this.priorities.set(choice, 1 + below(this.state, 0x40000000));
      if (this.priorities.get(choice)! > this.priorities.get(run.choices[best]!)!) best = i;
    }
    return best;
  }
}

/** A number from 0 to n − 1 (mulberry32). */
function below(state: { seed: number }, n: number): number {
  state.seed = (state.seed + 0x6d2b79f5) | 0;
  let t = Math.imul(state.seed ^ (state.seed >>> 15), 1 | state.seed);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return Math.floor((((t ^ (t >>> 14)) >>> 0) / 0x100000000) * n);
}
