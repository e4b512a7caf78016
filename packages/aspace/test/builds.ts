/** The package in both builds, and small machines of both formats to try it on. */
import { expect } from 'vitest';
import * as plain from '@mmkit/aspace';
import { createMemory, folioAddNewAnonRmap, linearPageIndex, Memory, Mm, MM_ROOT } from '@mmkit/aspace';
import type { MemoryOptions } from '@mmkit/aspace';
import * as coloured from '@mmkit/aspace/sched';
import type { Task } from '@mmkit/base';
import { Inode } from '@mmkit/filemap';
import {
  allocRoot,
  createDecoded,
  createEntry,
  leafIndex,
  leafTableAlloc,
  readEntry,
  setDecoded,
  writeEntry,
} from '@mmkit/pgtable';
import type { Decoded, Entry, Format } from '@mmkit/pgtable';
import { arm64, E_DIRTY, E_USER, E_WRITE, E_YOUNG, ENTRY_LEAF, ENTRY_NONPRESENT, x86_64 } from '@mmkit/pgtable';
import { allocPages, GFP_HIGHUSER_MOVABLE } from '@mmkit/phys';
import { createRwsem } from '@mmkit/rwsem';
import { createLockdep, createSched, runTask, Sched } from '@mmkit/task';
import { createVmaTree, insertVma, Vma, VM_MAYREAD, VM_MAYWRITE, VM_READ, VM_WRITE } from '@mmkit/vma';

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
  return (...args) => runTask(schedOf(args), body(...args));
}

function schedOf(args: unknown[]): Sched {
  for (const arg of args) {
    if (arg instanceof Sched) return arg;
    if (arg instanceof Memory) return arg.sched;
    if (arg instanceof Mm) return arg.memory.sched;
    if (arg instanceof Inode) return arg.files.sched;
    if (arg instanceof Vma && arg.tree !== null) return (arg.tree.owner as Mm).memory.sched;
  }
  throw new Error('no argument says which machine');
}

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

export type Build = Driven<typeof coloured>;
const driven = drive(coloured);
export const builds: readonly (readonly [string, Build])[] = formats.flatMap(([name]): [string, Build][] => [
  [`plain ${name}`, plain],
  [`sched ${name}`, driven],
]);

/** Flags of a private VMA that may be read and written. */
export const RW = VM_READ | VM_WRITE | VM_MAYREAD | VM_MAYWRITE;
/** The page under test. */
export const AT = 0x40_0000;
export const PAGE = 4096;

export function machine(options: Partial<MemoryOptions> & { cpus?: number } = {}): Memory {
  return createMemory({
    sched: createSched({ cpus: options.cpus ?? 1, lockdep: createLockdep() }),
    frames: 64,
    format: testedFormat(),
    ...options,
  });
}

export function space(memory: Memory): Mm {
  const noFaults = (): number => {
    throw new Error('no fault was expected');
  };
  return new Mm(memory, allocRoot(memory.tables), createRwsem('mmap_lock'), createVmaTree(), noFaults);
}

/** A VMA of `pages` pages in the tree. */
export function addVma(mm: Mm, start: number, pages: number, flags: number): Vma {
  const vma = new Vma(start, start + pages * PAGE, flags, start / PAGE);
  insertVma(mm.vmas, vma);
  return vma;
}

/** Maps a new anonymous page as a write fault would, with the entry `flags`: its PFN. */
export function mapAnon(
  mm: Mm,
  vma: Vma,
  address: number,
  flags: number = E_USER | E_YOUNG | E_DIRTY | E_WRITE,
): number {
  const { memory } = mm;
  plain.anonVmaPrepare(memory, vma);
  const pfn = allocPages(memory.phys, GFP_HIGHUSER_MOVABLE, 0);
  folioAddNewAnonRmap(mm, pfn, plain.anonVmaId(vma), linearPageIndex(vma, address, PAGE));
  mm.anonPages++;
  setLeaf(mm, address, pfn, flags);
  return pfn;
}

/** Writes a leaf by hand. */
export function setLeaf(mm: Mm, address: number, pfn: number, flags: number): void {
  const decoded = createDecoded();
  setDecoded(decoded, ENTRY_LEAF, pfn, flags);
  const entry = createEntry();
  mm.memory.format.encode(decoded, 0, entry);
  setRaw(mm, address, entry);
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

export function setRaw(mm: Mm, address: number, entry: Entry): void {
  const { tables, format } = mm.memory;
  writeEntry(tables, leafTableAlloc(tables, mm.words[MM_ROOT]!, address), leafIndex(format, address), entry);
}

export function rawAt(mm: Mm, address: number): Entry {
  const { tables, format } = mm.memory;
  const entry = createEntry();
  readEntry(tables, leafTableAlloc(tables, mm.words[MM_ROOT]!, address), leafIndex(format, address), entry);
  return entry;
}

export function entryAt(mm: Mm, address: number): Decoded {
  const { lo, hi } = rawAt(mm, address);
  const decoded = createDecoded();
  mm.memory.format.decode(lo, hi, 0, decoded);
  return decoded;
}

/** The `code` of the InvariantError `run` throws; undefined when it throws none. */
export function codeOf(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error instanceof Error && 'code' in error ? error.code : error;
  }
  return undefined;
}
