/** What a process does with its memory byte by byte, until a signal. */
import { ENOMEM } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { BUS_ADRERR, SEGV_ACCERR, SEGV_MAPERR, SIGBUS } from '@mmkit/kernel';
import type { Process, SignalInfo } from '@mmkit/kernel';
import { load, store } from '@mmkit/kernel/sched';
import type { Op } from '../trace/ops.ts';
import { RANGE, returned } from './result.ts';
import type { OpResult, Signal } from './result.ts';
import { addressOf, ARENA, PAGE, pagesInArena, World } from './world.ts';

/** load, store, fill. */
export function* accessOp(world: World, process: Process, op: Op): Task<OpResult> {
  if (!pagesInArena(world, op.at!, op.n)) return RANGE;
  const { machine } = world;
  const read = op.name === 'load';
  const bytes = read ? new Uint8Array(op.n) : new Uint8Array(op.name === 'fill' ? PAGE : 1).fill(op.v);
  for (let page = 0; page < op.n; ) {
    const address = addressOf(op.at! + page, op.o);
    const error = read
      ? yield* load(machine, process, address, bytes, page, 1)
      : yield* store(machine, process, address, bytes, 0, bytes.length);
    // No memory for the fault: Linux comes back and makes the access again (pagefault_out_of_memory).
    if (error === -ENOMEM) continue;
    if (error !== 0) {
      const signal = signalOf(process.exitSignal!);
      return { err: null, ret: page, signal, data: read ? bytes.subarray(0, page) : null };
    }
    page++;
  }
  return returned(op.n, read ? bytes : null);
}

function signalOf(info: SignalInfo): Signal {
  const offset = info.address - ARENA;
  return {
    name: info.signal === SIGBUS ? 'BUS' : 'SEGV',
    code: codeName(info),
    page: Math.floor(offset / PAGE),
    byte: offset % PAGE,
  };
}

function codeName(info: SignalInfo): string {
  if (info.signal === SIGBUS) return info.code === BUS_ADRERR ? 'ADRERR' : String(info.code);
  if (info.code === SEGV_MAPERR) return 'MAPERR';
  return info.code === SEGV_ACCERR ? 'ACCERR' : String(info.code);
}
