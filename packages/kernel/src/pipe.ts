/**
 * A pipe that holds references to pages instead of bytes (pipe(7), vmsplice(2); Linux: struct pipe_inode_info). This file:
 * the state, which both builds share; vmsplice and reading: pipe.co.ts.
 */
import { checkInteger, FOLL_GET } from '@mmkit/base';
import { gupPutFolio } from '@mmkit/phys';
import { Mutex } from '@mmkit/task';
import { PIPE_LOCK } from './lock-order.ts';
import { Machine } from './machine.ts';

/** Slots of a pipe unless told otherwise (PIPE_DEF_BUFFERS). */
export const DEFAULT_PIPE_SLOTS = 16;

/** Part of a page in a pipe (struct pipe_buffer). */
export class PipeBuffer {
  /** The page, of which it holds a reference. */
  readonly pfn: number;
  /** First byte not read yet. Under the pipe's lock, as `length`. */
  offset: number;
  /** Bytes not read yet. */
  length: number;

  constructor(pfn: number, offset: number, length: number) {
    this.pfn = pfn;
    this.offset = offset;
    this.length = length;
  }
}

export class Pipe {
  readonly machine: Machine;
  /** How many buffers it takes. */
  readonly slots: number;
  /** What can be read, first in first out. Under `lock`. */
  readonly buffers: PipeBuffer[];
  /** Linux's pipe mutex; outside mmap_lock. */
  readonly lock: Mutex;

  constructor(machine: Machine, slots: number) {
    this.machine = machine;
    this.slots = slots;
    this.buffers = [];
    this.lock = new Mutex('pipe', PIPE_LOCK);
  }
}

/** Makes an empty pipe of `slots` buffers (F_SETPIPE_SZ: a power of two up to 2^15 in Linux; here any number of 1 or more). */
export function createPipe(machine: Machine, slots: number = DEFAULT_PIPE_SLOTS): Pipe {
  checkInteger('slots', slots, 1, 0x8000);
  return new Pipe(machine, slots);
}

/** Drops what nobody will read (the last close). Nobody may use the pipe meanwhile. */
export function destroyPipe(pipe: Pipe): void {
  for (const { pfn } of pipe.buffers.splice(0)) gupPutFolio(pipe.machine.memory.phys, pfn, 1, FOLL_GET);
}
