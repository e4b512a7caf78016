/** The world a trace runs in: a machine, and what the trace's numbers mean. */
import { OpenFile } from '@mmkit/filemap';
import { createIoUring, createMachine, createPipe, IoUring, Machine, Pipe, Process } from '@mmkit/kernel';
import type { Op } from '../trace/ops.ts';
import type { Trace } from '../trace/parse.ts';

/** Bytes of a page of the traces. */
export const PAGE = 4096;
/** Where the arena begins: 1 TiB. */
export const ARENA = 0x100_0000_0000;
/** Processes of a trace. */
export const PROCESSES = 4;
/** Rings, each for one pinned buffer. */
export const PINS = 8;
/** Pipes. */
export const PIPES = 4;
/** Buffers of a pipe. */
const PIPE_SLOTS = 64;
/** RAM: more than any trace touches. */
const RAM_BYTES = 1 << 28;
/** Most bytes that `v` sums up. */
export const MAX_DIGEST = 4096;
/** Most bytes of one pin or vmsplice: 1 MiB. */
export const MAX_PIN = 1 << 20;

export class World {
  readonly trace: Trace;
  readonly machine: Machine;
  /** By number; null: not alive. */
  readonly processes: (Process | null)[];
  /** By file number; undefined: the trace has no such file. */
  readonly files: (OpenFile | undefined)[];
  readonly rings: readonly IoUring[];
  readonly pipes: readonly Pipe[];
  /** The operation under way. */
  at: number;

  constructor(trace: Trace, machine: Machine) {
    this.trace = trace;
    this.machine = machine;
    this.processes = new Array<Process | null>(PROCESSES).fill(null);
    this.files = [];
    this.rings = Array.from({ length: PINS }, () => createIoUring(machine));
    this.pipes = Array.from({ length: PIPES }, () => createPipe(machine, PIPE_SLOTS));
    this.at = 0;
  }
}

/** A world of a fresh machine, empty: `furnishWorld` must follow. */
export function createWorld(trace: Trace): World {
  return new World(trace, createMachine({ ramBytes: RAM_BYTES }));
}

/** Address of page `at` of the arena, and byte `o` of it. */
export function addressOf(at: number, o: number = 0): number {
  return ARENA + at * PAGE + o;
}

/** Pages from `at` on, as many as `n` says, lie in the arena. */
export function pagesInArena(world: World, at: number, n: number): boolean {
  return at >= 0 && n >= 0 && at + n <= world.trace.pages;
}

/** The bytes of a byte operation lie in the arena. */
export function bytesInArena(world: World, op: Op): boolean {
  if (op.o < 0 || op.len < 0) return false;
  return pagesInArena(world, op.at!, op.len === 0 ? 0 : Math.ceil((op.o + op.len) / PAGE));
}

/** The living process `p`, or null. */
export function processOf(world: World, p: number): Process | null {
  return world.processes[p] ?? null;
}
