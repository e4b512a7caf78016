/** Replaying one recording: run it in the model, hold the output against the recorded one. */
import { compareOutputs } from './compare/compare.ts';
import type { Agreement } from './compare/compare.ts';
import { BadInput } from './exit.ts';
import type { Recording } from './records.ts';
import { pins, touchesFile } from './trace/ops.ts';
import { parseTrace } from './trace/parse.ts';
import type { Trace } from './trace/parse.ts';
import { runModel } from './world/model.ts';

/** How much of a trace is compared: all, or what comes before the first operation that pins or that names a file. */
export type Until = 'end' | 'pin' | 'file';

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

/** Replays a recording as far as `until` says. */
export function replay(recording: Recording, until: Until = 'end'): Report {
  const trace = traceOf(recording);
  const stop = until === 'end' ? -1 : trace.ops.findIndex(until === 'pin' ? pins : touchesFile);
  const count = stop < 0 ? trace.ops.length : stop;
  const lines = recording.out.split('\n').filter((line) => line !== '');
  const agreement = compareOutputs(trace.ops, count, lines, runModel(trace, count));
  return { id: recording.id, profile: trace.profile, ...agreement };
}
