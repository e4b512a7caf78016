/** The world a case runs in: a machine, its processes, and what the names of the case mean. */
import { errnoName } from '@mmkit/base';
import { linux6_12, linux6_18 } from '@mmkit/aspace';
import { createBlockDevice, createMemoryBackend, filemapWrite } from '@mmkit/filemap';
import type { OpenFile } from '@mmkit/filemap';
import { createDiskFile, createMachine, createMemfd, createProcess, fsync } from '@mmkit/kernel';
import type { IoUring, Machine, Pipe, Process } from '@mmkit/kernel';
import type { Kernel, Step } from './parse.ts';

/** Bytes of a page of the cases. */
export const PAGE = 4096;
/** RAM: more than any case touches. */
const RAM_BYTES = 1 << 28;
/** The disk under a file. */
const DISK_BYTES = 1 << 22;
/** Pages a file on disk or tmpfs has at least. */
const FILE_PAGES = 16;

/** The model has no such thing yet: the case is not run. */
export class NotBuilt extends Error {}
/** The step is none of the language. */
export class BadStep extends Error {}

/** A named address range. */
export interface Region {
  readonly start: number;
  readonly pages: number;
  /** The file mapped, null: none. */
  readonly file: OpenFile | null;
}

/** A long-term pin by the test driver of GUP. */
export interface TestPin {
  readonly pfns: Uint32Array;
}

export class Actor {
  readonly process: Process;
  readonly regions: Map<string, Region>;
  alive: boolean;

  constructor(process: Process, regions: ReadonlyMap<string, Region>) {
    this.process = process;
    this.regions = new Map(regions);
    this.alive = true;
  }
}

export class CaseWorld {
  readonly machine: Machine;
  /** By number. */
  readonly actors: Actor[];
  readonly rings: Map<string, IoUring>;
  readonly testPins: Map<string, TestPin>;
  readonly pipes: Map<string, Pipe>;
  /** Frames by name. */
  readonly snaps: Map<string, number>;

  constructor(kernel: Kernel) {
    this.machine = createMachine({ ramBytes: RAM_BYTES, policy: kernel === '6.18' ? linux6_18 : linux6_12 });
    const first = createProcess(this.machine)!;
    first.capIpcLock = true;
    first.mm.capIpcLock = true;
    this.actors = [new Actor(first, new Map())];
    this.rings = new Map();
    this.testPins = new Map();
    this.pipes = new Map();
    this.snaps = new Map();
  }
}

/** The living process of a step. */
export function actorOf(world: CaseWorld, step: Step): Actor {
  return actorAt(world, step.process);
}

export function actorAt(world: CaseWorld, number: number): Actor {
  const actor = world.actors[number];
  if (actor === undefined || !actor.alive) throw new BadStep(`no process p${number}`);
  return actor;
}

/** Argument `i` of a step as an integer. */
export function integerAt(step: Step, i: number): number {
  const value = Number(step.args[i]);
  if (!Number.isSafeInteger(value))
    throw new BadStep(`argument ${i + 1}: expected an integer, got ${step.args[i] ?? 'none'}`);
  return value;
}

/** Argument `i` of a step as a region of the actor. */
export function regionAt(actor: Actor, step: Step, i: number): Region {
  const region = actor.regions.get(step.args[i] ?? '');
  if (region === undefined) throw new BadStep(`no region ${step.args[i] ?? 'named'}`);
  return region;
}

/** Address of the page that arguments `i` (a region) and `i + 1` (a page) name. */
export function addressAt(actor: Actor, step: Step, i: number): number {
  return regionAt(actor, step, i).start + integerAt(step, i + 1) * PAGE;
}

/** `ok`, or the name of the errno. */
export function okText(result: number): string {
  return result < 0 ? errnoName(result) : 'ok';
}

/** A file of `kind` with at least `pages` pages: on disk and tmpfs page i holds bytes 16 + i % 100, memfd is zero. */
export function createFile(world: CaseWorld, kind: string, pages: number): OpenFile {
  const { machine } = world;
  if (kind === 'memfd') return createMemfd(machine, pages * PAGE);
  const size = Math.max(pages, FILE_PAGES) * PAGE;
  const file = kind === 'tmpfs' ? createMemfd(machine, size) : createOnDisk(world, size);
  for (let page = 0; page * PAGE < size; page++) {
    filemapWrite(file.inode, page * PAGE, new Uint8Array(PAGE).fill(16 + (page % 100)), 0, PAGE);
  }
  if (kind !== 'tmpfs') fsync(file);
  return file;
}

/** An empty file of `size` bytes on a disk of its own. */
export function createOnDisk({ machine }: CaseWorld, size: number): OpenFile {
  const backend = createMemoryBackend(new Uint8Array(Math.max(DISK_BYTES, 4 * size)));
  return createDiskFile(machine, createBlockDevice(machine.sched, machine.memory.phys, backend), { size });
}
