/** `pinlab litmus`: explore tests, the repository's or the user's, or replay one schedule of one of them. */
import { availableParallelism } from 'node:os';
import {
  type ExploreResult,
  formatTimeline,
  formatVerdict,
  judgeLitmus,
  type LitmusTest,
  type LitmusVerdict,
  replay,
  shrinkSchedule,
  type Shrunk,
} from '@mmkit/explore';
import { BadInput, EXIT_FAILED, EXIT_OK } from '../exit.ts';
import { createPool, runTest } from './run.ts';
import { type Selected, selectTests } from './select.ts';
import { parseStrategy, type Search } from './strategy.ts';
import { printTable } from './table.ts';

export interface LitmusOptions {
  readonly json?: boolean;
  readonly schedule?: string;
  readonly arch: string;
  /** Default: reduced. */
  readonly strategy?: string;
  /** Threads (default 1). */
  readonly jobs?: string;
  readonly checkpoint?: string;
  /** Schedules tried to find the easiest one to show (default: as many as the search took, at least SHRINK). */
  readonly shrink?: string;
  readonly table?: boolean;
}

interface Verdict {
  name: string;
  expect: 'never' | 'reachable';
  verdict: LitmusVerdict;
  schedules: number;
  failures: number;
  exhaustive: boolean;
  schedule?: string;
  /** The schedule has the fewest preemptions there are; false: the search for it ended early. */
  fewest?: boolean;
  seconds: number;
}

/** Schedules tried at least to find the easiest one to show. */
const SHRINK = 2000;

/** Explores `names` (by default every test of the repository), or replays one; the exit code. */
export async function litmusCommand(
  names: readonly string[],
  options: LitmusOptions,
  print: (text: string) => void,
): Promise<number> {
  return exploreTests(await selectTests(names, options.arch), options, print);
}

/** The same of tests at hand. */
export async function exploreTests(
  tests: readonly Selected[],
  options: LitmusOptions,
  print: (text: string) => void,
): Promise<number> {
  if (options.schedule !== undefined) {
    if (tests.length !== 1) throw new BadInput('--schedule needs the name of one test');
    return replayOne(tests[0]!.test, options.schedule, print);
  }
  if (options.table === true) return printTable(tests, print);
  const search = parseStrategy(options.strategy ?? 'reduced');
  const jobs = parseJobs(options.jobs ?? '1');
  const shrink = options.shrink === undefined ? null : parseCount('--shrink', options.shrink, 10_000_000);
  const checkpoint = options.checkpoint ?? null;
  if (checkpoint !== null && (tests.length !== 1 || jobs > 1)) {
    throw new BadInput('--checkpoint needs the name of one test, and one job');
  }
  const pool = jobs > 1 ? createPool(jobs) : null;
  const verdicts: Verdict[] = [];
  try {
    // With threads, all at once, in pieces where there are fewer tests than threads; without, one after the other.
    const parts = tests.length < jobs ? jobs * 4 : 1;
    const ahead = pool === null ? [] : tests.map((selected) => runTest(selected, search, pool, null, parts));
    // Whichever fails first is told below; the others must not be unheard.
    for (const done of ahead) done.catch(() => undefined);
    for (const [i, selected] of tests.entries()) {
      const { test } = selected;
      const { result, seconds } = await (ahead[i] ?? runTest(selected, search, null, checkpoint));
      const shown = shrunk(test, result, shrink);
      verdicts.push(verdictOf(test, result, shown, seconds));
      if (options.json === true) continue;
      print(describe(test, result, shown, seconds, search));
      if (tests.length === 1 && shown !== null) print(`\n${formatTimeline(replay(test.scenario, shown.schedule))}`);
    }
  } finally {
    await pool?.destroy();
  }
  if (options.json === true) print(JSON.stringify({ tests: verdicts }, null, 2));
  // What a bounded search has not found is no wrong verdict.
  const wrong = verdicts.some(
    ({ verdict, expect }) => verdict !== expect && (verdict !== 'unknown' || expect !== 'never'),
  );
  return wrong ? EXIT_FAILED : EXIT_OK;
}

/** The first failure with the fewest preemptions: looking for it takes no longer than the search did. */
function shrunk(test: LitmusTest, result: ExploreResult, most: number | null): Shrunk | null {
  if (result.first === null) return null;
  const maxSchedules = most ?? Math.max(SHRINK, result.schedules + result.redundant);
  return shrinkSchedule(test.scenario, result.first.schedule, { maxSchedules });
}

function parseJobs(text: string): number {
  return parseCount('--jobs', text, Math.max(64, availableParallelism()));
}

function parseCount(option: string, text: string, most: number): number {
  const count = Number(text);
  if (!/^\d+$/.test(text) || count < 1 || count > most)
    throw new BadInput(`${option}: expected 1 to ${most}, got '${text}'`);
  return count;
}

function verdictOf(test: LitmusTest, result: ExploreResult, shown: Shrunk | null, seconds: number): Verdict {
  const { schedules, failures, exhaustive } = result;
  const found = shown === null ? {} : { schedule: shown.schedule, fewest: shown.fewest };
  const verdict = judgeLitmus(test, result);
  return { name: test.name, expect: test.expect, verdict, schedules, failures, exhaustive, ...found, seconds };
}

function describe(
  test: LitmusTest,
  result: ExploreResult,
  shown: Shrunk | null,
  seconds: number,
  search: Search,
): string {
  const verdict = judgeLitmus(test, result);
  const mark = verdict === test.expect ? 'ok   ' : verdict === 'unknown' ? '?    ' : 'WRONG';
  const answer = formatVerdict(test, result, search.bound, shown?.schedule);
  const early =
    shown === null || shown.fewest ? '' : `\n      not the shortest perhaps: ${shown.tried} tried (--shrink)`;
  return `${mark} ${test.name.padEnd(16)} ${test.question}\n      ${answer} (${seconds.toFixed(2)} s)${early}`;
}

function replayOne(test: LitmusTest, schedule: string, print: (text: string) => void): number {
  try {
    print(formatTimeline(replay(test.scenario, schedule)));
    return EXIT_OK;
  } catch (error) {
    if (error instanceof RangeError) throw new BadInput(error.message);
    throw error;
  }
}
