/**
 * Files to fault on, in both builds and both formats: the package with `aspace` and `filemap`, a machine with a disk, and
 * every schedule of a few tasks where I/O may end at any moment.
 */

import * as aspacePlain from '@mmkit/aspace';
import { createMemory, linkFileVma, Memory, Mm, MM_ROOT } from '@mmkit/aspace';
import type { MemoryOptions, Policy } from '@mmkit/aspace';
import * as aspaceSched from '@mmkit/aspace/sched';
import * as plain from '@mmkit/fault';
import { FAULT_FLAG_WRITE } from '@mmkit/fault';
import * as coloured from '@mmkit/fault/sched';
import type { Task } from '@mmkit/base';
import * as filemapPlain from '@mmkit/filemap';
import {
  addExtent,
  BlockDevice,
  createBlockDevice,
  createInode,
  createMemoryBackend,
  Inode,
  OpenFile,
} from '@mmkit/filemap';
import type { Rmap } from '@mmkit/filemap';
import * as filemapSched from '@mmkit/filemap/sched';
import { allocRoot, arm64, createDecoded, createEntry, leafIndex, leafTable, readEntry, x86_64 } from '@mmkit/pgtable';
import type { Decoded, Format } from '@mmkit/pgtable';
import { pageMapCount, pageRefCount, readBytes } from '@mmkit/phys';
import { createRwsem, downReadTrylock, readerCount, upRead } from '@mmkit/rwsem';
import {
  createLockdep,
  createSched,
  describeWaiters,
  fireEvent,
  isRunnable,
  runTask,
  Sched,
  spawn,
  stepTask,
} from '@mmkit/task';
import {
  createVmaTree,
  insertVma,
  Vma,
  VM_MAYREAD,
  VM_MAYSHARE,
  VM_MAYWRITE,
  VM_READ,
  VM_SHARED,
  VM_WRITE,
} from '@mmkit/vma';

type Modules = typeof plain & typeof aspacePlain & typeof filemapPlain;
/** One build, and the format its machines have. */
export type Build = Modules & { readonly format: Format };

/** Every coloured function of `module` run to its end, as a task of the machine an argument belongs to. */
function drive(module: object): object {
  const driven: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(module)) {
    const isColoured = typeof value === 'function' && value.constructor.name === 'GeneratorFunction';
    driven[name] = isColoured ? (...args: unknown[]) => runTask(schedOf(args), value(...args) as Task<unknown>) : value;
  }
  return driven;
}

function schedOf(args: unknown[]): Sched {
  for (const arg of args) {
    if (arg instanceof Memory) return arg.sched;
    if (arg instanceof Mm) return arg.memory.sched;
    if (arg instanceof Inode) return arg.files.sched;
    if (arg instanceof BlockDevice) return arg.sched;
    if (arg instanceof Vma) return (arg.tree!.owner as Mm).memory.sched;
  }
  throw new Error('no argument says which machine');
}

const driven = { ...drive(aspaceSched), ...drive(filemapSched), ...drive(coloured) } as unknown as Modules;
const plainModules: Modules = { ...aspacePlain, ...filemapPlain, ...plain };
export const builds: readonly (readonly [string, Build])[] = [
  ['plain x86-64', { ...plainModules, format: x86_64 }],
  ['sched x86-64', { ...driven, format: x86_64 }],
  ['plain arm64', { ...plainModules, format: arm64 }],
  ['sched arm64', { ...driven, format: arm64 }],
];

export const PAGE = 4096;
/** Where mappings begin unless a test says otherwise: a multiple of 64 KiB. */
export const AT = 0x40_0000;
/** A private VMA that may be read and written. */
export const PRIVATE: number = VM_READ | VM_WRITE | VM_MAYREAD | VM_MAYWRITE;
/** A shared one. */
export const SHARED: number = PRIVATE | VM_SHARED | VM_MAYSHARE;
/** ns a read takes. */
export const LATENCY = 1000;

/** A machine with a disk whose page k is filled with byte k + 1, one address space, and what a test asks again and again. */
export class World {
  readonly memory: Memory;
  readonly sched: Sched;
  readonly mm: Mm;
  readonly device: BlockDevice;
  readonly rmap: Rmap;
  readonly warnings: string[] = [];
  /** Reads and writes the device was given. */
  readonly log: number[] = [];
  /** What the next bios are to end with. */
  readonly fail: number[] = [];

  constructor(format: Format, rmap: (memory: Memory) => Rmap, options: Partial<MemoryOptions> = {}, diskPages = 64) {
    const warn = (what: string): void => void this.warnings.push(what);
    this.sched = createSched({ cpus: 2, lockdep: createLockdep() });
    this.memory = createMemory({ sched: this.sched, frames: 128, format, warn, ...options });
    this.mm = this.space();
    const bytes = new Uint8Array(diskPages * PAGE);
    for (let page = 0; page < diskPages; page++) bytes.fill(page + 1, page * PAGE, (page + 1) * PAGE);
    const fail = (op: number): number => {
      this.log.push(op);
      return this.fail.shift() ?? 0;
    };
    const options_ = { latency: LATENCY, fail };
    this.device = createBlockDevice(this.sched, this.memory.phys, createMemoryBackend(bytes), options_);
    this.rmap = rmap(this.memory);
  }

  space(): Mm {
    const noFaults = (): number => {
      throw new Error('the port was not expected to be used');
    };
    const { memory } = this;
    return new Mm(memory, allocRoot(memory.tables), createRwsem('mmap_lock'), createVmaTree(), noFaults);
  }

  /** A file of `pages` pages on the disk, page k filled with byte k + 1; nothing is cached. */
  disk(pages: number): Inode {
    const inode = createInode(this.memory.files, this.device, this.rmap);
    addExtent(inode, 0, pages * PAGE);
    return inode;
  }

  /** An empty shmem file of `pages` pages. */
  shmem(pages: number): Inode {
    const inode = createInode(this.memory.files, null, this.rmap);
    inode.size = pages * PAGE;
    return inode;
  }

  /** Maps the file from page `pgoff` on. */
  map(inode: Inode, vmFlags: number, pages = 8, { at = AT, pgoff = 0, mm = this.mm } = {}): Vma {
    const vma = new Vma(at, at + pages * PAGE, vmFlags, pgoff, new OpenFile(inode, true, true));
    insertVma(mm.vmas, vma);
    linkFileVma(vma);
    return vma;
  }

  /** The entry at `address`. */
  entry(address: number, mm: Mm = this.mm): Decoded {
    const { tables, format } = this.memory;
    const entry = createEntry();
    const decoded = createDecoded();
    const table = leafTable(tables, mm.words[MM_ROOT]!, address);
    if (table >= 0) readEntry(tables, table, leafIndex(format, address), entry);
    format.decode(entry.lo, entry.hi, 0, decoded);
    return decoded;
  }

  /** Which of `pages` pages from `at` on are mapped, as `.` and `1`. */
  present(at: number, pages: number): string {
    return Array.from({ length: pages }, (_, i) => (this.entry(at + i * PAGE).kind === 0 ? '.' : '1')).join('');
  }

  /** References and mappings of a frame. */
  counts(pfn: number): [number, number] {
    return [pageRefCount(this.memory.phys, pfn), pageMapCount(this.memory.phys, pfn)];
  }

  /** First byte of a frame. */
  byte(pfn: number): number {
    const byte = new Uint8Array(1);
    readBytes(this.memory.phys, pfn, 0, byte, 0, 1);
    return byte[0]!;
  }
}

export function world(build: Build, options: Partial<MemoryOptions> & { policy?: Policy } = {}): World {
  return new World(build.format, build.fileRmap, options);
}

/** What one fault did. */
export interface Faulted {
  readonly result: number;
  /** mmap_lock was still held at its end. */
  readonly held: boolean;
  /** Virtual time it took, ns. */
  readonly time: number;
}

/** One fault with mmap_lock held, which is given back afterwards. */
export function faultOnce(build: Build, w: World, vma: Vma, address: number, flags: number): Faulted {
  const mm = vma.tree!.owner as Mm;
  if (!downReadTrylock(mm.mmapLock)) throw new Error('mmap_lock is not free');
  const from = w.sched.now;
  const result = build.handleMmFault(mm, vma, address, flags);
  const held = readerCount(mm.mmapLock) > 0;
  if (held) upRead(w.sched, mm.mmapLock);
  return { result, held, time: w.sched.now - from };
}

/** Faults as an access that may wait: no retry. The result, without MAJOR. */
export function touch(build: Build, w: World, vma: Vma, address: number, write = false): number {
  return faultOnce(build, w, vma, address, write ? FAULT_FLAG_WRITE : 0).result & ~plain.VM_FAULT_MAJOR;
}

/** Makes a world for one schedule: its tasks, and a look at the end. */
export type Scenario = () => { sched: Sched; tasks: Task<unknown>[]; check: () => void };

/** Runs one schedule of a scenario, I/O ending whenever it likes; `choose` takes one of so many choices. */
function runSchedule(start: Scenario, choose: (choices: number) => number): void {
  const { sched, tasks, check } = start();
  tasks.forEach((body, i) => spawn(sched, `task ${i}`, body));
  for (;;) {
    const ready = sched.tasks.filter(isRunnable);
    const choices = ready.length + sched.events.length;
    if (choices === 0) break;
    const choice = choose(choices);
    if (choice < ready.length) stepTask(sched, ready[choice]!);
    else fireEvent(sched, sched.events[choice - ready.length]!);
  }
  if (describeWaiters(sched) !== '') throw new Error(`deadlock: ${describeWaiters(sched)}`);
  check();
}

/** Runs a scenario under every schedule there is: how many there were. */
export function everySchedule(start: Scenario): number {
  const taken: number[] = [];
  for (let schedules = 1; ; schedules++) {
    const offered: number[] = [];
    runSchedule(start, (choices) => {
      const choice = taken[offered.length] ?? 0;
      taken[offered.length] = choice;
      offered.push(choices);
      return choice;
    });
    taken.length = offered.length;
    while (taken.length > 0 && taken[taken.length - 1]! + 1 === offered[taken.length - 1]) taken.pop();
    if (taken.length === 0) return schedules;
    taken[taken.length - 1]!++;
  }
}

/** Runs a scenario that has too many schedules under 2000 of them, drawn by a fixed generator. */
export function someSchedules(start: Scenario): void {
  let state = 1;
  for (let i = 0; i < 2000; i++) {
    runSchedule(start, (choices) => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * choices);
    });
  }
}
