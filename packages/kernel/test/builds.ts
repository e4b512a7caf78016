/**
 * The package, and the floors below that tests need, in both builds and for both page-table formats: the sched build with
 * every coloured call run to its end, and machines of the format unless a test asks for another.
 */
import { expect } from 'vitest';
import * as gupPlain from '@mmkit/gup';
import * as gupSched from '@mmkit/gup/sched';
import * as plain from '@mmkit/kernel';
import * as coloured from '@mmkit/kernel/sched';
import type { Machine, Process } from '@mmkit/kernel';
import * as mmPlain from '@mmkit/mm';
import * as mmSched from '@mmkit/mm/sched';
import { MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, PROT_WRITE } from '@mmkit/mm';
import { arm64, x86_64 } from '@mmkit/pgtable';
import type { Format } from '@mmkit/pgtable';
import { countFrames, openPinLedger } from '@mmkit/phys';
import { createLockdep, describeWaiters, isRunnable, runPending, runTask, stepTask } from '@mmkit/task';
import type { Sched, Task } from '@mmkit/task';

type Modules = typeof plain & typeof mmPlain & typeof gupPlain;
/** One build, and the format its machines have. */
export type Api = Modules & { readonly format: Format };

/** Where a first argument keeps its scheduler. */
interface Owner {
  readonly sched?: Sched;
  readonly memory?: { readonly sched: Sched };
  readonly machine?: { readonly sched: Sched };
  readonly device?: { readonly machine: { readonly sched: Sched } };
  readonly mm?: { readonly memory: { readonly sched: Sched } };
  readonly files?: { readonly sched: Sched };
  readonly inode?: { readonly files: { readonly sched: Sched } };
}

function schedOf(owner: Owner): Sched {
  const { sched, memory, machine, device, mm, files, inode } = owner;
  return (sched ?? (memory ?? machine ?? device?.machine ?? mm?.memory ?? files ?? inode?.files)?.sched)!;
}

/** Every coloured function of `module` run as a task of the machine its first argument belongs to. */
export function drive(module: object): object {
  const driven: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(module)) {
    if (typeof value !== 'function' || value.constructor.name !== 'GeneratorFunction') driven[name] = value;
    else
      driven[name] = (first: Owner, ...rest: unknown[]) =>
        runTask(schedOf(first), value(first, ...rest) as Task<unknown>);
  }
  return driven;
}

function withFormat(modules: Modules, format: Format): Api {
  return {
    ...modules,
    format,
    createMachine: (options) => {
      const machine = modules.createMachine({ format, lockdep: createLockdep(), ...options });
      // arm64 keeps a ledger of pins, which checkMachine looks at.
      if (format === arm64) openPinLedger(machine.memory.phys, () => machine.sched.now);
      return machine;
    },
  };
}

const plainModules: Modules = { ...gupPlain, ...mmPlain, ...plain };
const driven = { ...drive(gupSched), ...drive(mmSched), ...drive(coloured) } as unknown as Modules;
export const builds: readonly (readonly [string, Api])[] = [
  ['plain x86-64', withFormat(plainModules, x86_64)],
  ['sched x86-64', withFormat(driven, x86_64)],
  ['plain arm64', withFormat(plainModules, arm64)],
  ['sched arm64', withFormat(driven, arm64)],
];

/** The sched builds alone. */
export const schedBuilds: readonly (readonly [string, Api])[] = builds.filter(([name]) => name.startsWith('sched'));

/** The page-table formats, by name. */
export const formats: readonly (readonly [string, Format])[] = [
  ['x86-64', x86_64],
  ['arm64', arm64],
];

/** The format that the name of the running test's outermost describe block begins with; else x86-64. */
export function testedFormat(): Format {
  const block = expect.getState().currentTestName ?? '';
  return formats.find(([name]) => block.startsWith(name))?.[1] ?? x86_64;
}

export const PAGE = 4096;
export const RW: number = PROT_READ | PROT_WRITE;
export const ANON: number = MAP_PRIVATE | MAP_ANONYMOUS;

/** `length` bytes, each different from its neighbours and from those of another `seed`. */
export function pattern(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 7 + (i >> 8) * 13 + seed) & 0xff);
}

/** The code of what `call` throws: an InvariantError's `code`, else the class. */
export function thrown(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (error instanceof Error) return 'code' in error ? String(error.code) : error.name;
    return String(error);
  }
  return 'nothing';
}

/** A machine of `pages` frames (default 256) with one process that has `buffer` pages mapped read-write. */
export function setUp(
  api: Api,
  options: { pages?: number; cpus?: number; buffer?: number } = {},
): { machine: Machine; process: Process; address: number } {
  const machine = api.createMachine({ ramBytes: (options.pages ?? 256) * PAGE, cpus: options.cpus ?? 1 });
  const process = api.createProcess(machine)!;
  const address = api.mmap(process.mm, 0, (options.buffer ?? 16) * PAGE, RW, ANON);
  return { machine, process, address };
}

/** Short forms of what tests do all the time. */
export class Cpu {
  readonly api: Api;
  readonly machine: Machine;

  constructor(api: Api, machine: Machine) {
    this.api = api;
    this.machine = machine;
  }

  /** Stores one byte: 0 or a negative errno. */
  poke(process: Process, address: number, byte: number): number {
    return this.api.store(this.machine, process, address, Uint8Array.of(byte), 0, 1);
  }

  /** Loads one byte: it, or a negative errno. */
  peek(process: Process, address: number): number {
    const byte = new Uint8Array(1);
    const error = this.api.load(this.machine, process, address, byte, 0, 1);
    return error === 0 ? byte[0]! : error;
  }

  /** Loads `length` bytes; throws when that fails. */
  bytes(process: Process, address: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    const error = this.api.load(this.machine, process, address, bytes, 0, length);
    if (error !== 0) throw new Error(`load: ${error}`);
    return bytes;
  }

  pfn(process: Process, address: number): number {
    return this.api.translate(this.machine, process, address);
  }
}

/** Ends every process and says what is left: frames in use, pins. Both are 0 when nothing leaks. */
export function endAll(api: Api, machine: Machine): { used: number; pins: number } {
  for (const process of machine.processes.values()) api.exitProcess(machine, process);
  api.checkMachine(machine);
  const { used, pins } = countFrames(machine.memory.phys);
  return { used, pins };
}

/** Runs all tasks to their ends in an order chosen by `seed`; time passes at random moments too. */
export function runRandomly(machine: Machine, seed: number): void {
  const { sched } = machine;
  let state = seed;
  for (;;) {
    const ready = sched.tasks.filter(isRunnable);
    const moves = ready.length + (sched.events.length > 0 ? 1 : 0);
    if (moves === 0) break;
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    const move = (state >>> 8) % moves;
    if (move < ready.length) stepTask(sched, ready[move]!);
    else runPending(sched);
  }
  expect(describeWaiters(sched)).toBe('');
}
