/** What the commands do, apart from the command line. */
import { BadInput } from './exit.ts';
import { replayAll } from './pool.ts';
import { parseRecordings, readText, recordingText } from './records.ts';
import type { Recording } from './records.ts';
import { traceOf } from './replay.ts';
import type { Report } from './replay.ts';
import { figuresTable, summarize } from './summary.ts';
import { parseTrace } from './trace/parse.ts';
import { runModel } from './world/model.ts';

/** Threads at most. */
const MAX_JOBS = 256;

export interface RunOptions {
  readonly out?: string;
}

export interface ReplayOptions {
  readonly untilPin?: boolean;
  readonly jobs: string;
  readonly json?: boolean;
}

type Print = (text: string) => void;

/** Runs a trace, or with `--out` every recording of a file. */
export function runCommand(
  path: string,
  options: RunOptions,
  print: Print,
  write: (path: string, text: string) => void,
): void {
  const text = readText(path);
  if (options.out === undefined) {
    if (text.startsWith('{')) throw new BadInput(`${path}: holds recordings: expected --out FILE`);
    print(linesText(runModel(namedErrors(path, () => parseTrace(text)))));
    return;
  }
  const lines = parseRecordings(path, text).map((recording) => {
    const trace = namedErrors(path, () => traceOf(recording));
    return recordingText({ ...recording, out: linesText(runModel(trace)) });
  });
  try {
    write(options.out, linesText(lines));
  } catch (error) {
    throw new BadInput(`${options.out}: cannot be written: ${(error as NodeJS.ErrnoException).code ?? String(error)}`);
  }
}

/** Replays files of recordings and prints the figures and the first differences. */
export async function replayCommand(paths: readonly string[], options: ReplayOptions, print: Print): Promise<void> {
  const jobs = Number(options.jobs);
  if (!Number.isSafeInteger(jobs) || jobs < 1 || jobs > MAX_JOBS) {
    throw new BadInput(`--jobs: expected an integer from 1 to ${MAX_JOBS}, got ${options.jobs}`);
  }
  const recordings: Recording[] = [];
  for (const path of paths) recordings.push(...parseRecordings(path, readText(path)));
  const reports = await replayAll(recordings, options.untilPin === true, jobs);
  const profiles = summarize(reports);
  const differences = reports.flatMap(({ id, difference }) => (difference === null ? [] : [{ id, ...difference }]));
  if (options.json === true) {
    print(`${JSON.stringify({ untilPin: options.untilPin === true, profiles, differences }, null, 2)}\n`);
    return;
  }
  print('Traces that agree (share of operations before the first difference, and of all that agree)\n\n');
  print(`${figuresTable(profiles)}\n`);
  if (differences.length > 0) print(`\n${reports.map(differenceText).join('')}`);
}

function differenceText({ id, difference }: Report): string {
  if (difference === null) return '';
  const { op, text, level, expected, got } = difference;
  return `${id} op ${op} level ${level}: ${text}\n  expected ${expected}\n  got      ${got}\n`;
}

function linesText(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join('');
}

/** Names the file in a BadInput. */
function namedErrors<T>(path: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw error instanceof BadInput ? new BadInput(`${path}: ${error.message}`) : error;
  }
}
