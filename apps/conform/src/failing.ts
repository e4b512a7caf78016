/**
 * A trace run with one of its allocations made to fail: the operation reports what Linux would, and afterwards every rule of
 * `checkMachine` holds and, once all is given back, as many frames are in use as without the trace.
 */
import { InvariantError } from '@mmkit/base';
import { cacheStat } from '@mmkit/filemap';
import { checkMachine, exitProcess, ftruncate, pipeRead, unregisterBuffers } from '@mmkit/kernel';
import { countFrames, failAllocations, folioNrPages } from '@mmkit/phys';
import type { Trace } from './trace/parse.ts';
import { furnishWorld } from './world/furnish.gen.ts';
import { runTrace } from './world/run.gen.ts';
import { createWorld } from './world/world.ts';
import type { World } from './world/world.ts';

/** What came of it. */
export interface Failing {
  /** Allocations of the trace, each of which failed once. */
  readonly allocations: number;
  /** The result line of the first operation that ended otherwise than when all succeed; null: none did. */
  readonly changed: readonly (string | null)[];
}

/** Runs the trace as often as it allocates. Throws InvariantError for the first rule broken. */
export function failEach(trace: Trace): Failing {
  const empty = framesAfter({ ...trace, ops: [] }, Number.MAX_SAFE_INTEGER);
  const whole = framesAfter(trace, Number.MAX_SAFE_INTEGER);
  const changed: (string | null)[] = [];
  for (let nth = 1; nth <= whole.allocations; nth++) {
    const run = framesAfter(trace, nth);
    if (run.frames !== empty.frames) {
      throw new InvariantError(
        'LEAK',
        `${run.frames - empty.frames} frames more in use after allocation ${nth} failed`,
      );
    }
    changed.push(run.lines.find((line, i) => line !== whole.lines[i]) ?? null);
  }
  return { allocations: whole.allocations, changed };
}

interface Run {
  readonly allocations: number;
  /** Frames in use after all was given back. */
  readonly frames: number;
  /** The result lines, without faults. */
  readonly lines: readonly string[];
}

/** Runs the trace, allocation `nth` (from 1) failing. */
function framesAfter(trace: Trace, nth: number): Run {
  const world = createWorld({ ...trace, observeEach: false });
  furnishWorld(world);
  const { phys } = world.machine.memory;
  const failures = failAllocations(phys, { nth })!;
  const lines: string[] = [];
  runTrace(world, trace.ops.length, lines);
  failAllocations(phys, null);
  checkMachine(world.machine);
  giveBack(world);
  checkMachine(world.machine);
  return {
    allocations: failures.matched,
    frames: countFrames(phys).used - framesKept(world),
    lines: lines.map((line) => line.replace(/,"flt":\[\d+,\d+\]/, '')),
  };
}

/** A sealed file keeps its pages, a machine its huge zero page. */
function framesKept(world: World): number {
  const { hugeZeroPfn, phys } = world.machine.memory;
  let kept = hugeZeroPfn < 0 ? 0 : folioNrPages(phys, hugeZeroPfn);
  for (const file of world.files) if (file !== undefined) kept += cacheStat(file.inode, 0, Infinity).cached;
  return kept;
}

/** Ends all processes, lets go of all pins and pipes, empties the files. */
function giveBack(world: World): void {
  for (const ring of world.rings) if (ring.buffers !== null) unregisterBuffers(ring);
  for (const pipe of world.pipes) {
    while (pipe.buffers.length > 0) pipeRead(pipe, new Uint8Array(65536), 0, 65536);
  }
  for (const process of world.processes) if (process !== null) exitProcess(world.machine, process);
  for (const file of world.files) if (file !== undefined) ftruncate(file, 0);
}
