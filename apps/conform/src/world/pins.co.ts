/** Whoever reaches memory by frames: registered buffers, pipes, and other processes. */
import { EINVAL, InvariantError } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { fixedBufferRead, fixedBufferWrite } from '@mmkit/kernel';
import type { Process } from '@mmkit/kernel';
import {
  pipeRead,
  processVmReadv,
  processVmWritev,
  procMemRead,
  procMemWrite,
  registerBuffers,
  unregisterBuffers,
  vmsplice,
} from '@mmkit/kernel/sched';
import type { Op } from '../trace/ops.ts';
import { BADREF, RANGE, returned } from './result.ts';
import type { OpResult } from './result.ts';
import { addressOf, bytesInArena, MAX_DIGEST, MAX_PIN, World } from './world.ts';

/** pin, vmsplice: references to pages of the process that others keep. */
export function* takeOp(world: World, process: Process, op: Op): Task<OpResult> {
  if (op.len <= 0 || op.len > MAX_PIN || !bytesInArena(world, op)) return RANGE;
  const address = addressOf(op.at!, op.o);
  if (op.name === 'pin') {
    const ring = world.rings[op.s];
    if (ring === undefined) return BADREF;
    return returned(yield* registerBuffers(ring, process, [{ address, length: op.len }]));
  }
  const pipe = world.pipes[op.s];
  return pipe === undefined ? RANGE : returned(yield* vmsplice(pipe, process, address, op.len));
}

/** unpin, dmaw, dmar, piperead: what needs no process. */
export function* deviceOp(world: World, op: Op): Task<OpResult> {
  if (op.name === 'piperead') {
    const pipe = world.pipes[op.s];
    if (pipe === undefined) return BADREF;
    const into = new Uint8Array(Math.max(op.len, 0));
    return readResult(yield* pipeRead(pipe, into, 0, into.length), into);
  }
  const ring = world.rings[op.s];
  if (ring === undefined) return BADREF;
  if (op.name === 'unpin') return returned(yield* unregisterBuffers(ring));
  const buffer = ring.buffers?.[0];
  if (buffer === undefined || op.len <= 0 || op.off < 0 || op.off + op.len > buffer.length) return returned(-EINVAL);
  const bytes = new Uint8Array(op.len).fill(op.v);
  const move = op.name === 'dmaw' ? fixedBufferWrite : fixedBufferRead;
  const error = move(ring, 0, op.off, bytes, 0, op.len);
  if (error !== 0) throw new InvariantError('BAD_BUFFER', `the device cannot reach its buffer: ${error}`);
  return op.name === 'dmaw' ? returned(op.len) : readResult(op.len, bytes);
}

/** pvr, pvw, memr, memw: the controller on process p. */
export function* remoteOp(world: World, process: Process, op: Op): Task<OpResult> {
  if (!bytesInArena(world, op)) return RANGE;
  const { machine } = world;
  const address = addressOf(op.at!, op.o);
  const bytes = new Uint8Array(op.len).fill(op.v);
  switch (op.name) {
    case 'pvr':
      return readResult(yield* processVmReadv(machine, process, address, bytes, 0, op.len), bytes);
    case 'pvw':
      return returned(yield* processVmWritev(machine, process, address, bytes, 0, op.len));
    case 'memr':
      return readResult(yield* procMemRead(machine, process, address, bytes, 0, op.len), bytes);
    default:
      return returned(yield* procMemWrite(machine, process, address, bytes, 0, op.len));
  }
}

/** `value` bytes of `into` were read, or an error. */
export function readResult(value: number, into: Uint8Array): OpResult {
  return returned(value, into.subarray(0, Math.min(Math.max(value, 0), MAX_DIGEST)));
}
