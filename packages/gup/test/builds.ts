/** The package in both builds for every page-table format, small machines to try it on, and every schedule of a few tasks. */
import { anonVmaPrepare, copyPageRange, createMemory, Memory, Mm, MM_ROOT } from '@mmkit/aspace';
import { mmapIsLocked, mmapReadTrylock, mmapReadUnlock } from '@mmkit/aspace';
import type { FaultHandler, MemoryOptions, MmapLock } from '@mmkit/aspace';
import type { Task } from '@mmkit/base';
import { FAULT_FLAG_WRITE, handleMmFault } from '@mmkit/fault';
import { handleMmFault as colouredFault } from '@mmkit/fault/sched';
import * as plain from '@mmkit/gup';
import type { MmOptions } from '@mmkit/gup';
import * as plainClassic from '@mmkit/gup/classic';
import * as colouredClassic from '@mmkit/gup/classic/sched';
import * as coloured from '@mmkit/gup/sched';
import {
  createDecoded,
  createEntry,
  leafIndex,
  leafTableAlloc,
  readEntry,
  setDecoded,
  writeEntry,
} from '@mmkit/pgtable';
import {
  arm64,
  arm64_16k_48,
  arm64_16k_52,
  arm64_4k_52,
  arm64_64k_48,
  arm64_64k_52,
  ENTRY_LEAF,
  ENTRY_NONPRESENT,
  sv39,
  sv48,
  sv57,
  x86_64,
  x86_64La57,
} from '@mmkit/pgtable';
import type { Decoded, Entry, Format } from '@mmkit/pgtable';
import { pageMapCount, pageRefCount, Phys } from '@mmkit/phys';
import {
  createLockdep,
  createSched,
  describeWaiters,
  isRunnable,
  killTask,
  runTask,
  Sched,
  SimTask,
  spawn,
  stepTask,
} from '@mmkit/task';
import { insertVma, Vma, vmaLookup, vmasIn, VM_MAYREAD, VM_MAYWRITE, VM_READ, VM_WRITE } from '@mmkit/vma';
import { madeUp } from './made-up-format.ts';
import { PlainOtherLock, SchedOtherLock } from './other-lock.ts';

/** A module of the sched build whose coloured functions run to their end, each as a task of its own. */
export type Driven<M> = {
  [K in keyof M]: M[K] extends (...args: infer A) => Task<infer R> ? (...args: A) => R : M[K];
};

export function drive<M extends object>(module: M): Driven<M> {
  const driven: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(module)) driven[name] = isColoured(value) ? runner(value) : value;
  return driven as Driven<M>;
}

function isColoured(value: unknown): value is (...args: unknown[]) => Task<unknown> {
  return typeof value === 'function' && value.constructor.name === 'GeneratorFunction';
}

function runner(body: (...args: unknown[]) => Task<unknown>): (...args: unknown[]) => unknown {
  return (...args) => {
    const owner = args.find((arg) => arg instanceof Mm || arg instanceof Memory);
    if (owner === undefined) throw new Error('no argument says which machine');
    const { sched } = owner instanceof Mm ? owner.memory : owner;
    return runTask(sched, sched.current.killed ? dying(sched, body(...args)) : body(...args));
  };
}

/** A signal pending for the caller is pending for the task that runs in its place. */
function* dying(sched: Sched, body: Task<unknown>): Task<unknown> {
  killTask(sched.current);
  return yield* body;
}

/** Looks into, or replaces, faults: `before` gives a result instead of the handler, or null; `after` changes it. */
export interface Hooks {
  before?: (mm: Mm, address: number, flags: number) => number | null;
  after?: (mm: Mm, result: number) => number;
}

/** One build, and what its machines have: the page-table format, and the lock that is to be mmap_lock. */
export interface Build {
  readonly format: Format;
  /** Null: the usual one. */
  readonly lock: (() => MmapLock) | null;
  readonly gup: Driven<typeof coloured>;
  readonly classic: Driven<typeof colouredClassic>;
  readonly faults: (hooks: Hooks) => FaultHandler;
}

const plainBuild: Omit<Build, 'format' | 'lock'> = {
  gup: plain,
  classic: plainClassic,
  faults:
    ({ before, after }) =>
    (mm, vma, address, flags) => {
      const result = before?.(mm, address, flags) ?? handleMmFault(mm, vma, address, flags);
      return after?.(mm, result) ?? result;
    },
};

const schedBuild: Omit<Build, 'format' | 'lock'> = {
  gup: drive(coloured),
  classic: drive(colouredClassic),
  faults: ({ before, after }) =>
    function* (mm, vma, address, flags) {
      const result = before?.(mm, address, flags) ?? (yield* colouredFault(mm, vma, address, flags));
      return after?.(mm, result) ?? result;
    },
};

/** Bytes of a page in this run of the tests: 4 KiB, or what the project of vitest.config.ts says. */
export const PAGE = Number(process.env['PAGE_SIZE'] ?? 4096);

const ALL_FORMATS: readonly Format[] = [
  x86_64,
  x86_64La57,
  arm64,
  arm64_4k_52,
  arm64_16k_48,
  arm64_16k_52,
  arm64_64k_48,
  arm64_64k_52,
  sv39,
  sv48,
  sv57,
  madeUp,
];
const formats = ALL_FORMATS.filter(({ spans }) => spans[0] === PAGE);
/** One of each family: where every schedule is run, the others would add time and nothing else. */
const FAMILIES: readonly Format[] = [x86_64, arm64, arm64_16k_48, arm64_64k_48, madeUp];

function of(kind: string, build: Omit<Build, 'format' | 'lock'>, chosen: readonly Format[]): [string, Build][] {
  return chosen.map((format) => {
    const OtherLock = build === plainBuild ? PlainOtherLock : SchedOtherLock;
    return [`${kind} ${format.name}`, { ...build, format, lock: format === madeUp ? () => new OtherLock() : null }];
  });
}

/** Every test runs on all of them; the made-up format comes with a lock that is not ours. */
export const builds: readonly (readonly [string, Build])[] = [
  ...of('plain', plainBuild, formats),
  ...of('sched', schedBuild, formats),
];
/** Sched builds, one of each family. */
export const schedBuilds: readonly (readonly [string, Build])[] = of(
  'sched',
  schedBuild,
  formats.filter((format) => FAMILIES.includes(format)),
);

/** Flags of a private VMA that may be read and written. */
export const RW = VM_READ | VM_WRITE | VM_MAYREAD | VM_MAYWRITE;
/** The first page under test; a leaf table ends 16 pages further on. */
export const AT = (2 * (PAGE / 8) - 16) * PAGE;

/** An address space, and what a test asks of it again and again. */
export class Space {
  readonly build: Build;
  readonly memory: Memory;
  readonly phys: Phys;
  readonly sched: Sched;
  readonly mm: Mm;
  readonly warnings: string[];

  constructor(build: Build, mm: Mm, warnings: string[]) {
    this.build = build;
    this.memory = mm.memory;
    this.phys = mm.memory.phys;
    this.sched = mm.memory.sched;
    this.mm = mm;
    this.warnings = warnings;
  }

  /** A VMA of `pages` pages. */
  map(start: number, pages: number, flags: number = RW, file: object | null = null): Vma {
    const vma = new Vma(start, start + pages * PAGE, flags, start / PAGE, file);
    insertVma(this.mm.vmas, vma);
    return vma;
  }

  /** What a user's load or store at each of `n` pages would bring in. */
  touch(start: number, n: number, flags: number = FAULT_FLAG_WRITE): number[] {
    return Array.from({ length: n }, (_, i) => {
      const address = start + i * PAGE;
      handleMmFault(this.mm, vmaLookup(this.mm.vmas, address)!, address, flags);
      return this.entry(address).pfn;
    });
  }

  raw(address: number): Entry {
    const { tables, format } = this.memory;
    const entry = createEntry();
    readEntry(tables, leafTableAlloc(tables, this.mm.words[MM_ROOT]!, address), leafIndex(format, address), entry);
    return entry;
  }

  entry(address: number): Decoded {
    const { lo, hi } = this.raw(address);
    const decoded = createDecoded();
    this.memory.format.decode(lo, hi, 0, decoded);
    return decoded;
  }

  /** Writes an entry by hand: a leaf, or with `pfn` an Entry, raw words. */
  set(address: number, pfn: number | Entry, flags = 0): void {
    const { tables, format } = this.memory;
    let entry = createEntry();
    if (typeof pfn === 'number') {
      const decoded = createDecoded();
      setDecoded(decoded, ENTRY_LEAF, pfn, flags);
      format.encode(decoded, 0, entry);
    } else entry = pfn;
    writeEntry(tables, leafTableAlloc(tables, this.mm.words[MM_ROOT]!, address), leafIndex(format, address), entry);
  }

  /** References of a frame. */
  refs(pfn: number): number {
    return pageRefCount(this.phys, pfn);
  }

  maps(pfn: number): number {
    return pageMapCount(this.phys, pfn);
  }

  /** Calls with mmap_lock held for reading, and gives it back if it is still held. */
  locked<T>(call: () => T): T {
    if (!mmapReadTrylock(this.mm)) throw new Error('mmap_lock is not free');
    try {
      return call();
    } finally {
      if (mmapIsLocked(this.mm)) mmapReadUnlock(this.mm);
    }
  }

  /** Calls with a fatal signal pending for the caller. */
  killed<T>(call: () => T): T {
    this.sched.current.killed = true;
    try {
      return call();
    } finally {
      this.sched.current.killed = false;
    }
  }

  /** What fork makes of it. */
  fork(): Space {
    const child = newMm(this.build, { memory: this.memory });
    for (const vma of vmasIn(this.mm.vmas, 0, this.memory.format.userEnd)) {
      const copy = new Vma(vma.start, vma.end, vma.flags, vma.pgoff);
      if (vma.anonVma !== null) anonVmaPrepare(this.memory, copy);
      insertVma(child.vmas, copy);
      copyPageRange(child, this.mm, vma, copy);
    }
    return new Space(this.build, child, this.warnings);
  }
}

/** An address space with the lock of `build`. */
export function newMm(build: Build, options: MmOptions): Mm {
  return build.gup.createMm(build.lock === null ? options : { ...options, format: build.format, lock: build.lock() })!;
}

/** A machine with one address space, still empty. */
export function space(build: Build, hooks: Hooks = {}, options: Partial<MemoryOptions> = {}): Space {
  const warnings: string[] = [];
  const warn = (what: string): void => void warnings.push(what);
  const memory = createMemory({
    sched: createSched({ cpus: 2, lockdep: createLockdep() }),
    frames: 128,
    format: build.format,
    warn,
    ...options,
  });
  return new Space(build, newMm(build, { memory, faults: build.faults(hooks) }), warnings);
}

/** A swap entry of type 0 with `offset`. */
export function swapEntry(format: Format, offset: number): Entry {
  const decoded = createDecoded();
  setDecoded(decoded, ENTRY_NONPRESENT, 0, 0);
  decoded.offset = offset;
  const entry = createEntry();
  format.encode(decoded, 0, entry);
  return entry;
}

/** The `code` of the InvariantError `run` throws, else what it throws; undefined when it throws nothing. */
export function codeOf(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error instanceof Error && 'code' in error ? error.code : error;
  }
  return undefined;
}

/** One machine for every schedule: its tasks, and a look at each end that says what was wrong, or null. */
export type Scenario = () => { sched: Sched; tasks: Task<unknown>[]; check: () => string | null };

/** What everySchedule found. */
export interface Found {
  /** Schedules run: all there are, unless it was to stop at the first that goes wrong. */
  schedules: number;
  /** What was wrong, once for each schedule that went wrong. */
  wrong: string[];
}

/** Runs the tasks under every schedule there is, or up to the first that goes wrong. */
export function everySchedule(start: Scenario, stopAtFirst = false): Found {
  const taken: number[] = [];
  const offered: number[] = [];
  const ready: SimTask[] = [];
  const wrong: string[] = [];
  for (let schedules = 1; ; schedules++) {
    const { sched, tasks, check } = start();
    tasks.forEach((body, i) => spawn(sched, `task ${i}`, body));
    let depth = 0;
    for (; ; depth++) {
      ready.length = 0;
      for (const task of sched.tasks) if (isRunnable(task)) ready.push(task);
      if (ready.length === 0) break;
      if (depth === taken.length) taken.push(0);
      offered[depth] = ready.length;
      stepTask(sched, ready[taken[depth]!]!);
    }
    const problem = describeWaiters(sched) || check();
    if (problem !== null) wrong.push(problem);
    while (depth > 0 && taken[depth - 1]! + 1 === offered[depth - 1]) depth--;
    taken.length = depth;
    if (depth === 0 || (stopAtFirst && problem !== null)) return { schedules, wrong };
    taken[depth - 1]!++;
  }
}
