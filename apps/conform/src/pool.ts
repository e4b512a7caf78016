/** Replaying many recordings, on several threads if asked for; the reports come in the order of the recordings. */
import { Tinypool } from 'tinypool';
import { BadInput } from './exit.ts';
import type { Recording } from './records.ts';
import { replay } from './replay.ts';
import type { Report, Until } from './replay.ts';
import type { Job, JobResult } from './worker.ts';

/** Recordings of one job. */
const BATCH = 8;

/** Replays all; BadInput for a malformed trace. */
export async function replayAll(
  recordings: readonly Recording[],
  until: Until,
  jobs: number,
): Promise<readonly Report[]> {
  if (jobs === 1) return recordings.map((recording) => replay(recording, until));
  // The worker lies beside this file, built or not.
  const filename = new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url).href;
  const pool = new Tinypool({ filename, name: 'work', minThreads: jobs, maxThreads: jobs });
  try {
    const batches: Recording[][] = [];
    for (let i = 0; i < recordings.length; i += BATCH) batches.push(recordings.slice(i, i + BATCH));
    const results = await Promise.all(
      batches.map((batch) => pool.run({ recordings: batch, until } satisfies Job) as Promise<JobResult>),
    );
    return results.flatMap((result) => {
      if (typeof result === 'string') throw new BadInput(result);
      return result;
    });
  } finally {
    await pool.destroy();
  }
}
