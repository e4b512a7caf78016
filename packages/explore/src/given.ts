/** One schedule, given. */
import { goOn } from './run.ts';
import type { Run, Strategy } from './run.ts';
import { parseSchedule } from './schedule.ts';

export interface GivenState {
  readonly kind: 'schedule';
  readonly schedule: string;
  ended: boolean;
}

/** Where the schedule ends before the scenario does, the task that moved last goes on, else the first choice is taken. */
export class Given implements Strategy {
  readonly state: GivenState;
  readonly goesOn: boolean;
  private readonly wanted: readonly number[];

  constructor(state: GivenState) {
    this.state = state;
    this.goesOn = false;
    this.wanted = parseSchedule(state.schedule);
  }

  begin(): boolean {
    return !this.state.ended;
  }

  pick(run: Run): number {
    const wanted = this.wanted[run.path.length];
    if (wanted === undefined) return Math.max(0, goOn(run));
    const index = run.choices.indexOf(wanted);
    if (index >= 0) return index;
    throw new RangeError(`schedule: '${String.fromCharCode(wanted)}' is not possible at step ${run.path.length + 1}`);
  }

  end(): boolean {
    this.state.ended = true;
    return true;
  }
}
