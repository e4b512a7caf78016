/** Replaying one recording: run it in the model, hold the output against the recorded one. */
import { compareOutputs } from './compare/compare.ts';
import type { Agreement } from './compare/compare.ts';
import { BadInput } from './exit.ts';
import type { Recording } from './records.ts';
import { PINNING } from './trace/ops.ts';
import { parseTrace } from './trace/parse.ts';
import type { Trace } from './trace/parse.ts';
import { runModel } from './world/model.ts';

/** How far one recording agrees. */
export interface Report extends Agreement {
  readonly id: string;
  readonly profile: string;
}

/** The trace of a recording; BadInput names it. */
export function traceOf(recording: Recording): Trace {
  try {
    return parseTrace(recording.trace);
  } catch (error) {
    throw error instanceof BadInput ? new BadInput(`${recording.id}: ${error.message}`) : error;
  }
}

/** Replays a recording; with `untilPin` only the operations before the first one that pins. */
export function replay(recording: Recording, untilPin: boolean): Report {
  const trace = traceOf(recording);
  const pin = untilPin ? trace.ops.findIndex((op) => PINNING.has(op.name)) : -1;
  const count = pin < 0 ? trace.ops.length : pin;
  const lines = recording.out.split('\n').filter((line) => line !== '');
  const agreement = compareOutputs(trace.ops, count, lines, runModel(trace, count));
  return { id: recording.id, profile: trace.profile, ...agreement };
}
