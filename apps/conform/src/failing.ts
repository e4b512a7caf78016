/**
 * A trace run with one of its allocations made to fail: the operation ends as Linux's would, every rule of `checkMachine`
 * holds after it and after the trace, and once all is given back as many frames are in use as without the trace.
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

/**
 * What an operation may report when it got no memory. Not here: an access by the CPU (load, store, fill) faults again, what
 * mmap and mprotect populate is not asked for, and these end as if nothing had failed.
 */
const ERRNOS: Readonly<Record<string, readonly string[]>> = {
  // The page of the file, or a fault of the copy.
  bread: ['ENOMEM', 'EFAULT'],
  bwrite: ['ENOMEM', 'EFAULT'],
  // The pin of the first page, or a fault of the CPU that zeroes behind the end; what goes through the cache as above.
  dread: ['ENOMEM', 'EFAULT'],
  dwrite: ['ENOMEM', 'EFAULT'],
  falloc: ['ENOMEM'],
  fork: ['ENOMEM'],
  fpunch: ['ENOMEM'],
  fread: ['ENOMEM'],
  ftrunc: ['ENOMEM'],
  fwrite: ['ENOMEM'],
  madvise: ['ENOMEM'],
  // access_remote_vm says only how many bytes.
  memr: ['EIO'],
  memw: ['EIO'],
  // mlock(2) keeps ENOMEM for what is not mapped.
  mlock: ['EAGAIN'],
  mlock2: ['EAGAIN'],
  mremap: ['ENOMEM'],
  // Some pages, but not all: EFAULT.
  pin: ['ENOMEM', 'EFAULT'],
  pvr: ['EFAULT'],
  pvw: ['EFAULT'],
  vmsplice: ['ENOMEM'],
};
/** Operations whose result counts bytes: they may also do less. */
const COUNTING: ReadonlySet<string> = new Set(
  'bread bwrite dread dwrite fread fwrite memr memw pvr pvw vmsplice'.split(' '),
);

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
    if (run.failedAt >= 0)
      checkEnding(trace.ops[run.failedAt]!.name, whole.lines[run.failedAt]!, run.lines[run.failedAt]!);
    changed.push(run.lines.find((line, i) => line !== whole.lines[i]) ?? null);
  }
  return { allocations: whole.allocations, changed };
}

/**
 * InvariantError 'WRONG_ENDING' unless operation `op`, whose line is `whole` when all allocations succeed, may end as `line`
 * says when one of them fails.
 */
export function checkEnding(op: string, whole: string, line: string): void {
  const [before, now] = [endingOf(whole), endingOf(line)];
  const less = COUNTING.has(op) && before.ret !== null && now.ret !== null && now.ret > 0 && now.ret < before.ret;
  const same = now.error === before.error && now.ret === before.ret && now.signal === before.signal;
  if (same || less || (now.error !== null && ERRNOS[op]?.includes(now.error) === true)) return;
  throw new InvariantError('WRONG_ENDING', `${line} where all succeed: ${whole}`);
}

interface Ending {
  readonly error: string | null;
  readonly ret: number | null;
  readonly signal: string | null;
}

function endingOf(line: string): Ending {
  const { err = null, ret = null, sig = null } = JSON.parse(line) as { err?: string; ret?: number; sig?: string };
  return { error: err, ret, signal: sig };
}

interface Run {
  readonly allocations: number;
  /** The operation whose allocation failed; -1: none, or before the first. */
  readonly failedAt: number;
  /** Frames in use after all was given back. */
  readonly frames: number;
  /** The result lines, without faults. */
  readonly lines: readonly string[];
}

/** Runs the trace, allocation `nth` (from 1) failing; with none failing every operation is followed by a check. */
function framesAfter(trace: Trace, nth: number): Run {
  const world = createWorld({ ...trace, observeEach: false });
  furnishWorld(world);
  const { phys } = world.machine.memory;
  const failures = failAllocations(phys, { nth })!;
  const lines: string[] = [];
  let failedAt = -1;
  runTrace(world, trace.ops.length, lines, (op) => {
    const here = failedAt < 0 && failures.failed > 0;
    if (here) failedAt = op;
    if (here || nth === Number.MAX_SAFE_INTEGER) checkMachine(world.machine);
  });
  failAllocations(phys, null);
  checkMachine(world.machine);
  giveBack(world);
  checkMachine(world.machine);
  return {
    allocations: failures.matched,
    failedAt,
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
