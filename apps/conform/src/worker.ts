/** What a thread of the pool does: replays some recordings. */
import { BadInput } from './exit.ts';
import type { Recording } from './records.ts';
import { replay } from './replay.ts';
import type { Report, Until } from './replay.ts';

/** What is to be replayed. */
export interface Job {
  readonly recordings: readonly Recording[];
  readonly until: Until;
}

/** The reports, or the message of a BadInput: an error's class does not survive the way between threads. */
export type JobResult = readonly Report[] | string;

/** One job. */
export function work({ recordings, until }: Job): JobResult {
  try {
    return recordings.map((recording) => replay(recording, until));
  } catch (error) {
    if (error instanceof BadInput) return error.message;
    throw error;
  }
}
