/** The package in both builds, small machines of both formats to try it on, and every schedule of a few tasks. */
import { expect } from 'vitest';
import { copyPageRange, createMemory, Memory, Mm, MM_ROOT } from '@mmkit/aspace';
import type { MemoryOptions } from '@mmkit/aspace';
import * as plain from '@mmkit/fault';
import * as coloured from '@mmkit/fault/sched';
import type { Task } from '@mmkit/base';
import { allocRoot, arm64, createDecoded, createEntry, ENTRY_NONPRESENT } from '@mmkit/pgtable';
import { leafIndex, leafTable, readEntry, setDecoded, x86_64 } from '@mmkit/pgtable';
import type { Decoded, Entry, Format } from '@mmkit/pgtable';
import { allocPages, freePages, GFP_KERNEL, pageMapCount, pageRefCount, Phys } from '@mmkit/phys';
import { createRwsem } from '@mmkit/rwsem';
import { createLockdep, createSched, describeWaiters, isRunnable, runTask, Sched, spawn, stepTask } from '@mmkit/task';
import { createVmaTree, insertVma, Vma, VM_MAYREAD, VM_MAYWRITE, VM_READ, VM_WRITE } from '@mmkit/vma';

export type Handle = typeof plain.handleMmFault;
const driven: Handle = (mm, vma, address, flags) =>
  runTask(mm.memory.sched, coloured.handleMmFault(mm, vma, address, flags));

/** The page-table formats every test runs on, by name. */
export const formats: readonly (readonly [string, Format])[] = [
  ['x86-64', x86_64],
  ['arm64', arm64],
];

/** The format that the name of the running test's outermost describe block begins with (after the build); else x86-64. */
export function testedFormat(): Format {
  const block = expect.getState().currentTestName ?? '';
  return formats.find(([name]) => block.replace(/^(plain|sched) /, '').startsWith(name))?.[1] ?? x86_64;
}

export const builds: readonly (readonly [string, Handle])[] = formats.flatMap(([name]): [string, Handle][] => [
  [`plain ${name}`, plain.handleMmFault],
  [`sched ${name}`, driven],
]);

/** Flags of a private VMA that may be read and written. */
export const RW = VM_READ | VM_WRITE | VM_MAYREAD | VM_MAYWRITE;
/** The page under test. */
export const AT = 0x40_0000;
export const PAGE = 4096;

/** One address space with a VMA of 8 pages at AT. */
export interface Space {
  memory: Memory;
  mm: Mm;
  vma: Vma;
  warnings: string[];
}

export function space(flags = RW, options: Partial<MemoryOptions> = {}): Space {
  const warnings: string[] = [];
  const warn = (what: string): void => void warnings.push(what);
  const memory = createMemory({
    sched: createSched({ cpus: 2, lockdep: createLockdep() }),
    frames: 64,
    format: testedFormat(),
    warn,
    ...options,
  });
  return { ...spaceIn(memory, flags), warnings };
}

export function spaceIn(memory: Memory, flags = RW): Space {
  const mm = new Mm(memory, allocRoot(memory.tables), createRwsem('mmap_lock'), createVmaTree(), plain.handleMmFault);
  const vma = new Vma(AT, AT + 8 * PAGE, flags, AT / PAGE);
  insertVma(mm.vmas, vma);
  return { memory, mm, vma, warnings: [] };
}

/** What fork makes of it: a second space that shares its pages. */
export function forked(parent: Space): Space {
  const child = spaceIn(parent.memory, parent.vma.flags);
  child.vma.anonVma = parent.vma.anonVma;
  copyPageRange(child.mm, parent.mm, parent.vma, child.vma);
  return child;
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

export function rawAt(mm: Mm, address: number): Entry {
  const { tables, format } = mm.memory;
  const entry = createEntry();
  const table = leafTable(tables, mm.words[MM_ROOT]!, address);
  if (table >= 0) readEntry(tables, table, leafIndex(format, address), entry);
  return entry;
}

export function entryAt(mm: Mm, address: number): Decoded {
  const { lo, hi } = rawAt(mm, address);
  const decoded = createDecoded();
  mm.memory.format.decode(lo, hi, 0, decoded);
  return decoded;
}

/** References and mappings of a frame. */
export function counts(phys: Phys, pfn: number): [number, number] {
  return [pageRefCount(phys, pfn), pageMapCount(phys, pfn)];
}

/** Takes all frames but `left`; the result gives them back. */
export function exhaust(phys: Phys, left: number): () => void {
  const hoard: number[] = [];
  while (phys.freeFrames > left) hoard.push(allocPages(phys, GFP_KERNEL, 0));
  return () => hoard.forEach((pfn) => freePages(phys, pfn, 0));
}

/** Runs the tasks `start` spawns under every schedule there is; `check` looks at each end. How many there were. */
export function everySchedule(start: () => { sched: Sched; tasks: Task<unknown>[]; check: () => void }): number {
  const taken: number[] = [];
  for (let schedules = 1; ; schedules++) {
    const offered: number[] = [];
    const { sched, tasks, check } = start();
    tasks.forEach((body, i) => spawn(sched, `task ${i}`, body));
    for (;;) {
      const ready = sched.tasks.filter(isRunnable);
      if (ready.length === 0) break;
      const choice = taken[offered.length] ?? 0;
      taken[offered.length] = choice;
      offered.push(ready.length);
      stepTask(sched, ready[choice]!);
    }
    if (describeWaiters(sched) !== '') throw new Error(`deadlock: ${describeWaiters(sched)}`);
    check();
    while (taken.length > 0 && taken[taken.length - 1]! + 1 === offered[taken.length - 1]) taken.pop();
    if (taken.length === 0) return schedules;
    taken[taken.length - 1]!++;
  }
}
