/** What the commands do, apart from the command line. */
import { BadInput } from './exit.ts';
import { checkRecordable, Recorder } from './live/recorder.ts';
import { replayAll } from './pool.ts';
import { parseRecordings, readText, recordingText } from './records.ts';
import type { Recording } from './records.ts';
import { traceOf } from './replay.ts';
import type { Report } from './replay.ts';
import { figuresTable, summarize } from './summary.ts';
import { parseTrace } from './trace/parse.ts';
import type { Trace } from './trace/parse.ts';
import { runModel } from './world/model.ts';

/** Threads at most. */
const MAX_JOBS = 256;

export interface RunOptions {
  readonly out?: string;
}

export interface ReplayOptions {
  readonly untilPin?: boolean;
  readonly untilFile?: boolean;
  readonly jobs: string;
  readonly json?: boolean;
}

type Print = (text: string) => void;
type Write = (path: string, text: string) => void;

/** Runs a trace in the model, or with `--out` every recording of a file. */
export function runCommand(path: string, options: RunOptions, print: Print, write: Write): void {
  runWith((traces) => traces.map((trace) => linesText(runModel(trace))), path, options, print, write);
}

/** The same on the running kernel. BadInput where it cannot be asked, or does not finish a trace. */
export function recordCommand(path: string, options: RunOptions, print: Print, write: Write): void {
  const kernel = (traces: readonly Trace[], texts: readonly string[]): string[] => {
    for (const trace of traces) checkRecordable(trace);
    const recorder = new Recorder();
    try {
      return recorder.run(texts);
    } finally {
      recorder.close();
    }
  };
  runWith(kernel, path, options, print, write);
}

/** `run` makes the outputs of traces, which it gets parsed and as texts. */
function runWith(
  run: (traces: readonly Trace[], texts: readonly string[]) => readonly string[],
  path: string,
  options: RunOptions,
  print: Print,
  write: Write,
): void {
  const text = readText(path);
  if (options.out === undefined) {
    if (text.startsWith('{')) throw new BadInput(`${path}: holds recordings: expected --out FILE`);
    for (const output of run([namedErrors(path, () => parseTrace(text))], [text])) print(output);
    return;
  }
  const recordings = parseRecordings(path, text);
  const traces = recordings.map((recording) => namedErrors(path, () => traceOf(recording)));
  const outputs = run(
    traces,
    recordings.map(({ trace }) => trace),
  );
  const lines = recordings.map((recording, i) => recordingText({ ...recording, out: outputs[i]! }));
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
  const { untilPin = false, untilFile = false } = options;
  if (untilPin && untilFile) throw new BadInput('--until-file: expected no --until-pin');
  const reports = await replayAll(recordings, untilPin ? 'pin' : untilFile ? 'file' : 'end', jobs);
  const profiles = summarize(reports);
  const differences = reports.flatMap(({ id, difference }) => (difference === null ? [] : [{ id, ...difference }]));
  if (options.json === true) {
    print(`${JSON.stringify({ untilPin, untilFile, profiles, differences }, null, 2)}\n`);
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
