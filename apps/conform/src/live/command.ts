/** `conform live`: fresh traces on the running kernel and in the model. */
import { fileURLToPath } from 'node:url';
import { compareOutputs } from '../compare/compare.ts';
import type { Difference } from '../compare/compare.ts';
import { BadInput, EXIT_DIFFERENT, EXIT_OK } from '../exit.ts';
import { Random } from '../mmu/live/random.ts';
import { parseRecordings, readText } from '../records.ts';
import { parseTrace } from '../trace/parse.ts';
import { runModel } from '../world/model.ts';
import { generateTrace, poolOf } from './generate.ts';
import type { Pool } from './generate.ts';
import { checkRecordable, Recorder } from './recorder.ts';
import { shrink } from './shrink.ts';

export interface LiveTraceOptions {
  readonly profile: string;
  readonly seed: string;
  readonly count: string;
  readonly json?: boolean;
}

/** What runs traces: their outputs, null where one did not come to its end. */
export type Kernel = (traces: readonly string[]) => readonly (string | null)[];

/** A fresh trace that the two do not agree on. */
export interface Found extends Difference {
  readonly id: string;
  readonly trace: string;
}

export interface LiveReport {
  readonly traces: number;
  readonly operations: number;
  /** Traces whose difference was gone when the kernel ran them again. */
  readonly unsteady: number;
  readonly differences: readonly Found[];
  /** The smallest trace that shows the first difference, and it; null: none. */
  readonly smallest: Found | null;
}

/** The profiles that have what `live` can run. */
const PROFILES: readonly string[] =
  'anon anonvma cow filepriv force grow lock madv mix mprot mremap odirect search shared thp'.split(' ');
const DATA = import.meta.url.endsWith('.ts') ? '../../data/traces/' : '../data/traces/';
/** Traces of one run of the recorder. */
const BATCH = 50;

/** Generates, runs on both, prints; returns the exit code. BadInput where the kernel cannot be asked. */
export function liveTraceCommand(options: LiveTraceOptions, print: (text: string) => void): number {
  const { profile } = options;
  if (!PROFILES.includes(profile)) throw new BadInput(`--profile: expected ${PROFILES.join(' ')}, got ${profile}`);
  const seed = integer('--seed', options.seed, 0);
  const count = integer('--count', options.count, 1);
  const path = fileURLToPath(new URL(`${DATA}${profile}.jsonl.gz`, import.meta.url));
  const pool = poolOf(parseRecordings(path, readText(path)));
  const recorder = new Recorder();
  try {
    const report = runLive(pool, seed, count, (traces) => recorder.outputs(traces));
    print(options.json === true ? `${JSON.stringify({ profile, seed, ...report }, null, 2)}\n` : reportText(report));
    return report.differences.length === 0 ? EXIT_OK : EXIT_DIFFERENT;
  } finally {
    recorder.close();
  }
}

/** Fresh traces of the pool until they have `count` operations. */
export function runLive(pool: Pool, seed: number, count: number, kernel: Kernel): LiveReport {
  let traces = 0;
  let operations = 0;
  let unsteady = 0;
  const differences: Found[] = [];
  while (operations < count) {
    const batch: { id: string; trace: string }[] = [];
    while (batch.length < BATCH && operations < count) {
      const trace = generateTrace(pool, traces, new Random(seed, traces));
      batch.push({ id: `${pool.profile}-${seed}-${traces++}`, trace });
      const parsed = parseTrace(trace);
      checkRecordable(parsed);
      operations += parsed.ops.length;
    }
    const found = differing(batch, kernel);
    const again = differing(found, kernel);
    unsteady += found.length - again.length;
    differences.push(...again);
  }
  const smallest = differences.length === 0 ? null : smallestOf(differences[0]!, kernel);
  return { traces, operations, unsteady, differences, smallest };
}

/** Those of the traces on which kernel and model differ. */
function differing(list: readonly { readonly id: string; readonly trace: string }[], kernel: Kernel): Found[] {
  if (list.length === 0) return [];
  const outputs = kernel(list.map(({ trace }) => trace));
  return list.flatMap(({ id, trace }, i) => {
    const difference = differenceOf(trace, outputs[i]!);
    return difference === null ? [] : [{ id, trace, ...difference }];
  });
}

function differenceOf(text: string, output: string | null): Difference | null {
  const trace = parseTrace(text);
  if (output === null) {
    const op = trace.ops.length;
    return { op, text: 'the end', level: 1, expected: 'the kernel did not finish the trace', got: '' };
  }
  const lines = output.split('\n').filter((line) => line !== '');
  return compareOutputs(trace.ops, trace.ops.length, lines, runModel(trace)).difference;
}

function smallestOf(first: Found, kernel: Kernel): Found {
  const texts = (candidates: readonly (readonly string[])[]): { id: string; trace: string }[] =>
    candidates.map((lines, i) => ({ id: String(i), trace: `${lines.join('\n')}\n` }));
  const lines = shrink(first.trace.trimEnd().split('\n'), (candidates) => {
    const alike = differing(texts(candidates), kernel).filter((found) => kindOf(found) === kindOf(first));
    const ids = new Set(alike.map(({ id }) => id));
    return candidates.map((_, i) => ids.has(String(i)));
  });
  return { ...(differing(texts([lines]), kernel)[0] ?? first), id: first.id };
}

/** So that the smallest trace shows the difference it began with. */
function kindOf({ text, level }: Found): string {
  return `${level} ${text.split(' ')[0]}`;
}

function reportText({ traces, operations, unsteady, differences, smallest }: LiveReport): string {
  const lines = [`${operations} operations in ${traces} traces: ${differences.length} traces differ`];
  if (unsteady > 0) lines.push(`${unsteady} more differed once, and not when the kernel ran them again`);
  for (const found of differences) lines.push(foundText(found));
  if (smallest !== null) lines.push('', `The first, ${smallest.id}, smallest:`, smallest.trace + foundText(smallest));
  return `${lines.join('\n')}\n`;
}

function foundText({ id, op, text, level, expected, got }: Found): string {
  return `${id} op ${op} level ${level}: ${text}\n  Linux ${expected}\n  model ${got}`;
}

function integer(name: string, value: string, min: number): number {
  const number = Number(value);
  if (Number.isSafeInteger(number) && number >= min) return number;
  throw new BadInput(`${name}: expected an integer from ${min}, got ${value}`);
}
