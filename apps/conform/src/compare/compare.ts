/** Holds a model's output against the recorded one, operation by operation (trace format, section 8). */
import type { Op } from '../trace/ops.ts';
import { agreement, applyLine, endProcess, State } from './state.ts';

/** Levels of agreement: 1 to 4. */
export const LEVELS = 4;

/** The first operation that does not agree at level 4. */
export interface Difference {
  /** Index of the operation; −1: the observation before the first. */
  readonly op: number;
  /** The operation as the trace has it, in words. */
  readonly text: string;
  /** The lowest level at which it does not agree. */
  readonly level: number;
  /** The first line that only the recording has, and the first that only the model has; '' where there is none. */
  readonly expected: string;
  readonly got: string;
}

/** How far a trace agrees. */
export interface Agreement {
  /** Operations compared. */
  readonly ops: number;
  /** By level − 1: operations that agree, and those before the first that does not. */
  readonly agree: readonly number[];
  readonly before: readonly number[];
  /** Null: everything agrees. */
  readonly difference: Difference | null;
}

/** The lines of one operation. */
interface Group {
  /** The result line; '' where there is none (index −1, or the output ends before). */
  result: string;
  readonly observed: string[];
}

/** Compares the first `count` operations of two outputs. */
export function compareOutputs(
  ops: readonly Op[],
  count: number,
  expected: readonly string[],
  got: readonly string[],
): Agreement {
  const wanted = groupLines(expected);
  const given = groupLines(got);
  const states: readonly [State, State] = [new State(), new State()];
  const agree = new Array<number>(LEVELS).fill(0);
  const before = new Array<number>(LEVELS).fill(count);
  let difference: Difference | null = null;
  let level = LEVELS;
  for (let i = -1; i < count; i++) {
    const a = wanted.get(i) ?? { result: '', observed: [] };
    const b = given.get(i) ?? { result: '', observed: [] };
    takeIn(states[0], ops[i], a);
    takeIn(states[1], ops[i], b);
    // Equal lines on equal states leave them equal.
    const equal = a.observed.join() === b.observed.join();
    if (level < LEVELS || !equal) level = agreement(...states);
    const reached = reachedLevel(a.result, b.result, level);
    for (let k = 0; k < LEVELS; k++) {
      if (k >= reached) before[k] = Math.min(before[k]!, Math.max(i, 0));
      else if (i >= 0) agree[k]!++;
    }
    if (reached < LEVELS && difference === null) difference = describe(i, ops[i], reached + 1, a, b);
  }
  return { ops: count, agree, before, difference };
}

/** The highest level at which an operation agrees: 0 to 4; `level` is that of the states after it. */
function reachedLevel(a: string, b: string, level: number): number {
  if (withoutFaults(a) !== withoutFaults(b)) return 0;
  return a === b ? level : Math.min(level, LEVELS - 1);
}

function withoutFaults(result: string): string {
  return result.replace(/,"flt":\[\d+,\d+\]/, '');
}

function takeIn(state: State, op: Op | undefined, group: Group): void {
  if (op !== undefined && op.name === 'exit' && group.result.includes('"ret":')) endProcess(state, op.p);
  for (const line of group.observed) applyLine(state, line);
}

/** The lines by index of the operation. */
function groupLines(lines: readonly string[]): Map<number, Group> {
  const groups = new Map<number, Group>();
  for (const line of lines) {
    const i = Number(/^\{"i":(-?\d+)/.exec(line)?.[1]);
    let group = groups.get(i);
    if (group === undefined) groups.set(i, (group = { result: '', observed: [] }));
    if (/^\{"i":-?\d+,"op"/.test(line)) group.result = line;
    else group.observed.push(line);
  }
  return groups;
}

function describe(i: number, op: Op | undefined, level: number, a: Group, b: Group): Difference {
  const mine = [a.result, ...a.observed];
  const theirs = [b.result, ...b.observed];
  return {
    op: i,
    text: op === undefined ? 'the first observation' : op.text,
    level,
    expected: mine.find((line) => !theirs.includes(line)) ?? '',
    got: theirs.find((line) => !mine.includes(line)) ?? '',
  };
}
