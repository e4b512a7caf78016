/** One test explored: here, in another thread, or in pieces with a checkpoint in between. */
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import {
  type Checkpoint,
  explore,
  type ExploreOptions,
  type ExploreResult,
  mergeResults,
  splitWork,
} from '@mmkit/explore';
import { Piscina } from 'piscina';
import { BadInput } from '../exit.ts';
import type { Selected } from './select.ts';
import type { Search } from './strategy.ts';
import { type Done, timed } from './timed.ts';
import type { Job, JobResult } from './worker.ts';

/** Schedules between two checkpoints. */
const PIECE = 20_000;

/** The threads of `--jobs`. */
export function createPool(jobs: number): Piscina {
  // The worker lies beside this file, built or not.
  const source = import.meta.url.endsWith('.ts');
  const filename = new URL(source ? './worker.ts' : './litmus-worker.js', import.meta.url).href;
  return new Piscina({ filename, name: 'work', minThreads: jobs, maxThreads: jobs });
}

/**
 * Explores `selected`; BadInput when its scenario cannot be run, or the schedule is none of it. With threads in `parts` pieces
 * or a few more, where the strategy can be split.
 */
export async function runTest(
  selected: Selected,
  search: Search,
  pool: Piscina | null,
  checkpoint: string | null,
  parts: number = 1,
): Promise<Done> {
  const { test } = selected;
  const { strategy, schedules } = search;
  const options = schedules === null ? { strategy } : { strategy, maxSchedules: schedules };
  try {
    if (checkpoint !== null) return timed(() => runInPieces(selected, search, checkpoint));
    if (pool === null) return timed(() => explore(test.scenario, options));
    const { kind } = strategy;
    if (parts === 1 || (kind !== 'plain' && kind !== 'reduced')) return await runInThread(selected, pool, options);
    const start = performance.now();
    const pieces = splitWork(test.scenario, parts, { strategy: kind });
    const all = await Promise.all(pieces.map((resume) => runInThread(selected, pool, { resume })));
    return { result: mergeResults(all.map(({ result }) => result)), seconds: (performance.now() - start) / 1000 };
  } catch (error) {
    if (error instanceof BadInput) throw error;
    throw new BadInput(`${test.name}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

async function runInThread({ source, test }: Selected, pool: Piscina, options: ExploreOptions): Promise<Done> {
  const answer = (await pool.run({ source, options } satisfies Job)) as JobResult;
  if (typeof answer === 'string') throw new BadInput(answer);
  for (const outcome of answer.outcomes) test.outcomes?.add(outcome);
  return answer.done;
}

/** What the checkpoint file holds. */
interface Saved {
  readonly test: string;
  readonly arch: string;
  readonly strategy: string;
  readonly outcomes: readonly string[];
  readonly checkpoint: Checkpoint;
}

/** Goes on where the file says, writes it after every piece, and removes it at the end. */
function runInPieces({ source, test }: Selected, search: Search, path: string): ExploreResult {
  const same = { test: source.name, arch: source.arch, strategy: JSON.stringify(search.strategy) };
  let resume = existsSync(path) ? readSaved(path, same, test.outcomes) : null;
  for (;;) {
    const left = (search.schedules ?? Number.MAX_SAFE_INTEGER) - (resume?.schedules ?? 0);
    const options = resume === null ? { strategy: search.strategy } : { resume };
    const result = explore(test.scenario, { ...options, maxSchedules: Math.min(PIECE, left) });
    resume = result.checkpoint;
    if (resume === null || left <= PIECE) {
      rmSync(path, { force: true });
      return result;
    }
    const saved: Saved = { ...same, outcomes: [...(test.outcomes ?? [])], checkpoint: resume };
    // Whole or not at all, whenever this process is killed.
    writeFileSync(`${path}.new`, JSON.stringify(saved), { flush: true });
    renameSync(`${path}.new`, path);
  }
}

function readSaved(path: string, same: Omit<Saved, 'outcomes' | 'checkpoint'>, outcomes?: Set<string>): Checkpoint {
  let saved: Partial<Saved>;
  try {
    saved = JSON.parse(readFileSync(path, 'utf8')) as Partial<Saved>;
  } catch {
    throw new BadInput(`${path}: no checkpoint`);
  }
  const { test, arch, strategy, checkpoint } = saved;
  if (checkpoint === undefined) throw new BadInput(`${path}: no checkpoint`);
  if (test !== same.test || arch !== same.arch || strategy !== same.strategy) {
    throw new BadInput(`${path}: the checkpoint of another search: ${test}, ${arch}, ${strategy}`);
  }
  for (const outcome of saved.outcomes ?? []) outcomes?.add(outcome);
  return checkpoint;
}
