/** `pinlab litmus`: explore the tests, or replay one schedule of one of them. */
import { explore, formatTimeline, replay } from '@mmkit/explore';
import { BadInput, EXIT_FAILED, EXIT_OK } from '../exit.ts';
import { archFormat } from '../arch.ts';
import { type LitmusTest, litmusTests } from './tests.ts';

export interface LitmusOptions {
  readonly json?: boolean;
  readonly schedule?: string;
  readonly arch: string;
}

interface LitmusVerdict {
  name: string;
  expect: 'never' | 'reachable';
  verdict: 'never' | 'reachable' | 'unknown';
  schedules: number;
  failures: number;
  exhaustive: boolean;
  schedule?: string;
  seconds: number;
}

/** Explores `names` of `all` (by default the tests of the architecture; none: every one), or replays one; the exit code. */
export function litmusCommand(
  names: string[],
  options: LitmusOptions,
  print: (text: string) => void,
  all: readonly LitmusTest[] = litmusTests(archFormat(options.arch)),
): number {
  const tests = names.length === 0 ? all : names.map((name) => find(name, all));
  if (options.schedule !== undefined) {
    if (tests.length !== 1 || names.length !== 1) throw new BadInput('--schedule needs the name of one test');
    return replayOne(tests[0]!, options.schedule, print);
  }
  const verdicts: LitmusVerdict[] = [];
  for (const test of tests) {
    const verdict = run(test);
    verdicts.push(verdict);
    if (options.json !== true) print(describe(test, verdict));
  }
  if (options.json === true) print(JSON.stringify({ tests: verdicts }, null, 2));
  return verdicts.every((verdict) => verdict.verdict === verdict.expect) ? EXIT_OK : EXIT_FAILED;
}

function find(name: string, all: readonly LitmusTest[]): LitmusTest {
  const test = all.find((t) => t.name === name);
  if (test === undefined)
    throw new BadInput(`no litmus test '${name}'; there are: ${all.map((t) => t.name).join(', ')}`);
  return test;
}

function run(test: LitmusTest): LitmusVerdict {
  const start = performance.now();
  const { schedules, failures, exhaustive, first } = explore(test.scenario);
  const seconds = (performance.now() - start) / 1000;
  const verdict = failures > 0 ? 'reachable' : exhaustive ? 'never' : 'unknown';
  const found = first === null ? {} : { schedule: first.schedule };
  return { name: test.name, expect: test.expect, verdict, schedules, failures, exhaustive, ...found, seconds };
}

function describe(test: LitmusTest, v: LitmusVerdict): string {
  const mark = v.verdict === v.expect ? 'ok   ' : 'WRONG';
  const answer =
    v.verdict === 'reachable'
      ? `reachable in ${v.failures} of ${v.schedules} schedules, first: ${v.schedule}`
      : v.verdict === 'never'
        ? `never, in all ${v.schedules} schedules`
        : `not found in the first ${v.schedules} schedules`;
  return `${mark} ${test.name.padEnd(16)} ${test.question}\n      ${answer} (${v.seconds.toFixed(2)} s)`;
}

function replayOne(test: LitmusTest, schedule: string, print: (text: string) => void): number {
  try {
    const result = replay(test.scenario, schedule);
    print(formatTimeline(result));
    return EXIT_OK;
  } catch (error) {
    if (error instanceof RangeError) throw new BadInput(error.message);
    throw error;
  }
}
