/** The model's output for a trace, by the plain build. */
import { InvariantError } from '@mmkit/base';
import type { Trace } from '../trace/parse.ts';
import { furnishWorld } from './furnish.gen.ts';
import { failureLine } from './result.ts';
import { runTrace } from './run.gen.ts';
import { createWorld } from './world.ts';

/**
 * The lines after the trace's first `count` operations (default: all). An InvariantError ends the run: the operation's line
 * then has the error's code, and nothing follows.
 */
export function runModel(trace: Trace, count: number = trace.ops.length): string[] {
  const lines: string[] = [];
  const world = createWorld(trace);
  furnishWorld(world);
  try {
    runTrace(world, count, lines);
  } catch (error) {
    if (!(error instanceof InvariantError)) throw error;
    lines.push(failureLine(world.at, trace.ops[world.at]!, error.code));
  }
  return lines;
}
