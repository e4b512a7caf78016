/**
 * The package, and what tests need of gup, in both builds and for both page-table formats: the sched build with every
 * coloured call run to its end.
 */
import { FOLL_WRITE } from '@mmkit/base';
import { createMemory, linux6_18, MM_ROOT, Mm } from '@mmkit/aspace';
import type { Policy } from '@mmkit/aspace';
import * as gupPlain from '@mmkit/gup';
import * as gupSched from '@mmkit/gup/sched';
import * as plain from '@mmkit/mm';
import * as coloured from '@mmkit/mm/sched';
import { MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, PROT_READ, PROT_WRITE } from '@mmkit/mm';
import { arm64, createDecoded, createEntry, ENTRY_LEAF, leafIndex, leafTable, readEntry, x86_64 } from '@mmkit/pgtable';
import type { Format } from '@mmkit/pgtable';
import { checkPhys, countFrames } from '@mmkit/phys';
import { createLockdep, createSched, runTask } from '@mmkit/task';
import type { Task } from '@mmkit/task';
import { checkVmaTree, vmasIn } from '@mmkit/vma';
import type { VmaTree } from '@mmkit/vma';

/** One build, and the format its machines have. */
export type Api = typeof plain & typeof gupPlain & { readonly format: Format };

function drive(module: object): object {
  const driven: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(module)) {
    if (typeof value !== 'function' || value.constructor.name !== 'GeneratorFunction') driven[name] = value;
    else driven[name] = (mm: Mm, ...rest: unknown[]) => runTask(mm.memory.sched, value(mm, ...rest) as Task<unknown>);
  }
  return driven;
}

const driven = { ...drive(gupSched), ...drive(coloured) } as unknown as typeof plain & typeof gupPlain;
export const builds: readonly (readonly [string, Api])[] = [
  ['plain x86-64', { ...gupPlain, ...plain, format: x86_64 }],
  ['sched x86-64', { ...driven, format: x86_64 }],
  ['plain arm64', { ...gupPlain, ...plain, format: arm64 }],
  ['sched arm64', { ...driven, format: arm64 }],
];
/** The sched builds alone. */
export const schedBuilds: readonly (readonly [string, Api])[] = builds.filter(([name]) => name.startsWith('sched'));

export const PAGE = 4096;
export const RW: number = PROT_READ | PROT_WRITE;
export const ANON: number = MAP_PRIVATE | MAP_ANONYMOUS;
/** Where most tests map. */
export const BASE = 0x7000_0000_0000;
/** End of what may be mapped on x86-64: the last page below 2^47 stays empty. */
export const TASK_SIZE: number = 2 ** 47 - PAGE;

/** An empty address space in a machine of `frames` frames. */
export function setUp(api: Api, frames = 256, vmas?: VmaTree, policy: Policy = linux6_18): Mm {
  const memory = createMemory({ sched: createSched({ lockdep: createLockdep() }), frames, format: api.format, policy });
  return api.createMm(vmas === undefined ? { memory } : { memory, vmas })!;
}

/** Maps `count` pages from page `page` after BASE on. */
export function mapPages(api: Api, mm: Mm, page: number, count: number): number {
  return api.mmap(mm, BASE + page * PAGE, count * PAGE, RW, ANON | MAP_FIXED);
}

/** Faults in `count` pages for writing: how many, or a negative errno. */
export function touch(api: Api, mm: Mm, address: number, count = 1): number {
  return api.getUserPagesUnlocked(mm, address, count, null, FOLL_WRITE);
}

/** Frame mapped at `address`, -1: none. */
export function pfnAt(mm: Mm, address: number): number {
  const { tables, format } = mm.memory;
  const table = leafTable(tables, mm.words[MM_ROOT]!, address);
  if (table < 0) return -1;
  const entry = createEntry();
  const decoded = createDecoded();
  readEntry(tables, table, leafIndex(format, address), entry);
  format.decode(entry.lo, entry.hi, 0, decoded);
  return decoded.kind === ENTRY_LEAF ? decoded.pfn : -1;
}

/** The VMAs as `start-end` in pages after BASE. */
export function vmas(mm: Mm): string[] {
  checkVmaTree(mm.vmas);
  return vmasIn(mm.vmas, 0, mm.memory.format.taskSize).map(
    (vma) => `${(vma.start - BASE) / PAGE}-${(vma.end - BASE) / PAGE}`,
  );
}

/** Frames given out. */
export function framesUsed(mm: Mm): number {
  checkPhys(mm.memory.phys);
  return countFrames(mm.memory.phys).used;
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
