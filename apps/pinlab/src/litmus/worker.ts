/** What a thread of the pool does: explores one test. */
import { explore, type ExploreOptions } from '@mmkit/explore';
import { BadInput } from '../exit.ts';
import { findTest, type Source } from './select.ts';
import { type Done, timed } from './timed.ts';

/** One test, and how to go through its schedules. */
export interface Job {
  readonly source: Source;
  readonly options: ExploreOptions;
}

/** What came out; `outcomes` as in LitmusTest. A string is the message of a BadInput. */
export type JobResult = { readonly done: Done; readonly outcomes: readonly string[] } | string;

/** One job. */
export async function work({ source, options }: Job): Promise<JobResult> {
  try {
    const test = await findTest(source);
    const done = timed(() => explore(test.scenario, options));
    return { done, outcomes: [...(test.outcomes ?? [])] };
  } catch (error) {
    // An error's class does not survive the way between threads.
    if (error instanceof BadInput) return error.message;
    throw error;
  }
}
