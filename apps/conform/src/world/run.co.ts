/** Runs a trace: each operation, the faults it was charged, its line, and an observation. */
import type { Task } from '@mmkit/base';
import { exitProcess, forkProcess } from '@mmkit/kernel/sched';
import { observe } from '../observe/observe.ts';
import { forgetProcess, Observer } from '../observe/observer.ts';
import type { Op } from '../trace/ops.ts';
import { accessOp } from './access.co.ts';
import { fileOp, transferOp } from './files.co.ts';
import { memoryOp } from './memory.co.ts';
import { deviceOp, remoteOp, takeOp } from './pins.co.ts';
import { BADREF, resultLine, returned, UNSUPPORTED, wasRun } from './result.ts';
import type { OpResult } from './result.ts';
import { processOf, World } from './world.ts';

/** Not a fault of the acting task, or not asked for. */
const NO_FAULTS: ReadonlySet<string> = new Set(['dmaw', 'dmar', 'unpin', 'piperead', 'fork', 'exit', 'observe']);

/** Runs the trace's first `count` operations and adds the output's lines to `lines`; `ended` is told of each. */
export function* runTrace(
  world: World,
  count: number,
  lines: string[],
  ended: (op: number) => void = () => {},
): Task<void> {
  const observer = new Observer(world);
  const { trace, machine } = world;
  if (trace.observeEach) observe(observer, -1, lines);
  for (let i = 0; i < count; i++) {
    const op = trace.ops[i]!;
    world.at = i;
    const task = machine.sched.current;
    const minor = task.min_flt;
    const major = task.maj_flt;
    const result = yield* runOp(world, op);
    const charged = !NO_FAULTS.has(op.name);
    const min = charged ? task.min_flt - minor : 0;
    const maj = charged ? task.maj_flt - major : 0;
    lines.push(resultLine(i, op.name, op.p, result, min, maj));
    ended(i);
    if (!wasRun(result)) continue;
    if (op.name === 'exit') forgetProcess(observer, op.p);
    if (trace.observeEach || op.name === 'observe') observe(observer, i, lines);
  }
}

function* runOp(world: World, op: Op): Task<OpResult> {
  switch (op.name) {
    case 'unpin':
    case 'dmaw':
    case 'dmar':
    case 'piperead':
      return yield* deviceOp(world, op);
    case 'fread':
    case 'fwrite':
    case 'ftrunc':
    case 'fpunch':
    case 'falloc':
    case 'fsync':
    case 'fdrop':
    case 'fseal':
      return yield* fileOp(world, op);
    case 'observe':
      return returned(0);
  }
  const process = processOf(world, op.p);
  if (process === null) return BADREF;
  switch (op.name) {
    case 'load':
    case 'store':
    case 'fill':
      return yield* accessOp(world, process, op);
    case 'pin':
    case 'vmsplice':
      return yield* takeOp(world, process, op);
    case 'pvr':
    case 'pvw':
    case 'memr':
    case 'memw':
      return yield* remoteOp(world, process, op);
    case 'dread':
    case 'dwrite':
    case 'bread':
    case 'bwrite':
      return yield* transferOp(world, process, op);
    case 'fork': {
      if (world.processes[op.c] !== null) return BADREF;
      const forked = yield* forkProcess(world.machine, process);
      if (forked.process !== null) world.processes[op.c] = forked.process;
      return returned(forked.error === 0 ? op.c : forked.error);
    }
    case 'exit':
      world.processes[op.p] = null;
      yield* exitProcess(world.machine, process);
      return returned(0);
    case 'mmap':
    case 'munmap':
    case 'mprotect':
    case 'mremap':
    case 'madvise':
    case 'mlock':
    case 'munlock':
    case 'mlock2':
    case 'mseal':
    case 'msync':
    case 'mincore':
      return yield* memoryOp(world, process, op);
    default:
      return UNSUPPORTED;
  }
}
