/**
 * Fast and slow agree: the same program makes the same state on two machines; what one takes by gup-fast the other takes by
 * the slow walk. Pages, counts, errors, and the machine afterwards are the same. A third machine, which may go fast only,
 * has the beginning of it.
 */
import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { FOLL_FORCE, FOLL_HONOR_NUMA_FAULT, FOLL_LONGTERM, FOLL_NOFAULT, FOLL_WRITE } from '@mmkit/base';
import { MM_ROOT, pageAnonExclusive } from '@mmkit/aspace';
import type { Mm } from '@mmkit/aspace';
import { createBlockDevice, createMemoryBackend } from '@mmkit/filemap';
import * as gup from '@mmkit/gup';
import * as kernel from '@mmkit/kernel';
import type { Machine, Process } from '@mmkit/kernel';
import * as mm from '@mmkit/mm';
import { PROT_NONE, PROT_READ } from '@mmkit/mm';
import {
  arm64,
  arm64_16k_48,
  arm64_64k_52,
  createDecoded,
  createEntry,
  E_DIRTY,
  E_YOUNG,
  levelIndex,
  readEntry,
  sv39,
  tableAt,
  x86_64,
  x86_64La57,
} from '@mmkit/pgtable';
import type { Format } from '@mmkit/pgtable';
import { compoundHead, folioMapcount, HOT_FLAGS, HOT_WORDS, PG_DIRTY, PG_REFERENCED, pageRefCount } from '@mmkit/phys';
import { RW } from './builds.ts';

const FORMATS: readonly Format[] = [x86_64, x86_64La57, arm64, sv39, arm64_16k_48, arm64_64k_52];
/** Pages of the memory under test. */
const PAGES = 12;
/** Runs of each format; more by FAST_SLOW_RUNS. */
const RUNS = Number(process.env['FAST_SLOW_RUNS'] ?? 25);

/** One step of a program: what, from which page, how many. */
type Op = [kind: number, page: number, pages: number];

interface Bench {
  readonly machine: Machine;
  readonly process: Process;
  readonly mm: Mm;
  readonly at: number;
  readonly pageSize: number;
}

/** Memory of all kinds: private, shared, of a file both ways, of huge pages. */
const KINDS = ['private', 'shared', 'file', 'shared file', 'huge'] as const;
type Kind = (typeof KINDS)[number];

function bench(format: Format, kind: Kind): Bench {
  const pageSize = format.spans[0]!;
  const huge = format.spans[1]!;
  const thp = kind === 'huge' && format.indexBits <= 10;
  const machine = kernel.createMachine({ ramBytes: (thp ? 4 * huge : 0) + 160 * pageSize, cpus: 1, format });
  const process = kernel.createProcess(machine)!;
  // The end of a leaf table lies within.
  const at = 8 * huge - (PAGES / 2) * pageSize;
  const from = thp ? 7 * huge : at;
  const length = thp ? 2 * huge : PAGES * pageSize;
  const share = kind.startsWith('shared') ? mm.MAP_SHARED : mm.MAP_PRIVATE;
  if (kind.endsWith('file')) {
    const disk = new Uint8Array(PAGES * pageSize).fill(1);
    const device = createBlockDevice(machine.sched, machine.memory.phys, createMemoryBackend(disk));
    const file = kernel.createDiskFile(machine, device, { size: disk.length, offset: 0 });
    expect(mm.mmap(process.mm, from, length, RW, share | mm.MAP_FIXED, file, 0)).toBe(from);
  } else {
    expect(mm.mmap(process.mm, from, length, RW, share | mm.MAP_ANONYMOUS | mm.MAP_FIXED)).toBe(from);
    if (thp) expect(mm.madvise(process.mm, from, length, mm.MADV_HUGEPAGE)).toBe(0);
  }
  return { machine, process, mm: process.mm, at, pageSize };
}

function perform({ machine, process, mm: space, at, pageSize }: Bench, [kind, page, pages]: Op): void {
  const address = at + page * pageSize;
  const nr = Math.min(pages, PAGES - page);
  const length = nr * pageSize;
  const one = Uint8Array.of(kind + 1);
  const steps: (() => void)[] = [
    () => kernel.load(machine, process, address, one, 0, 1),
    () => kernel.store(machine, process, address, one, 0, 1),
    () => mm.madvise(space, address, length, mm.MADV_POPULATE_WRITE),
    () => kernel.forkProcess(machine, process),
    () => {
      // Null when there is no memory for it.
      const child = kernel.forkProcess(machine, process).process;
      if (child !== null) kernel.exitProcess(machine, child);
    },
    () => mm.mprotect(space, address, length, PROT_READ),
    () => mm.mprotect(space, address, length, PROT_NONE),
    () => mm.mprotect(space, address, length, RW),
    () => mm.madvise(space, address, length, mm.MADV_DONTNEED),
    () => mm.madvise(space, address, length, mm.MADV_FREE),
    () => mm.madvise(space, address, length, mm.MADV_GUARD_INSTALL),
    () => mm.munmap(space, address, length),
    () => mm.mlock(space, address, length),
    () => gup.pinUserPagesFast(space, address, nr, FOLL_WRITE, new Uint32Array(nr)),
    () => gup.pinUserPagesFast(space, address, nr, 0, new Uint32Array(nr)),
  ];
  steps[kind]!();
}

/** The entry that maps `address`, without the bits that say it was used; a PFN of 0 where there is none. */
function entryOf({ machine, mm: space }: Bench, address: number): unknown {
  const { tables, format } = machine.memory;
  const root = space.words[MM_ROOT]!;
  for (const level of [0, 1]) {
    const table = tableAt(tables, root, address, level);
    if (table < 0) continue;
    const [entry, decoded] = [createEntry(), createDecoded()];
    readEntry(tables, table, levelIndex(format, level, address), entry);
    format.decode(entry.lo, entry.hi, level, decoded);
    return [level, decoded.kind, decoded.pfn, decoded.flags & ~(E_YOUNG | E_DIRTY)];
  }
  return null;
}

/** What both ways must leave alike: all but the marks of use, which they set differently (G.8). */
function stateOf(on: Bench): unknown {
  const { phys, stat } = on.machine.memory;
  const frames: unknown[] = [];
  for (let pfn = 0; pfn < phys.frames; pfn++) {
    const refs = pageRefCount(phys, pfn);
    if (refs === 0) continue;
    const flags = phys.hot[pfn * HOT_WORDS + HOT_FLAGS]! & ~(PG_DIRTY | PG_REFERENCED);
    frames.push([pfn, refs, folioMapcount(phys, compoundHead(phys, pfn)), flags, pageAnonExclusive(phys, pfn)]);
  }
  const entries = Array.from({ length: PAGES }, (_, i) => entryOf(on, on.at + i * on.pageSize));
  // A fast pin that is given up on counts as acquired and released.
  const pins = phys.nrFollPinAcquired - phys.nrFollPinReleased;
  const { anonPages, filePages, shmemPages } = on.mm;
  return [frames, entries, pins, phys.freeFrames, anonPages, filePages, shmemPages, stat.pgfault];
}

/** What is taken: from which byte, how many pages, with which flags, by reference or by pin. */
interface Want {
  readonly page: number;
  readonly nr: number;
  readonly flags: number;
  readonly pin: boolean;
}

/** The slow walk alone: result and pages. */
function takeSlowly({ mm: space, at, pageSize }: Bench, { page, nr, flags, pin }: Want): [number, number[]] {
  const pages = new Uint32Array(nr);
  const take = pin ? gup.pinUserPagesUnlocked : gup.getUserPagesUnlocked;
  const got = take(space, at + page * pageSize, nr, pages, flags);
  return [got, [...pages.subarray(0, Math.max(got, 0))]];
}

function takeFast({ mm: space, at, pageSize }: Bench, { page, nr, flags, pin }: Want): [number, number[]] {
  const pages = new Uint32Array(nr);
  const take = pin ? gup.pinUserPagesFast : gup.getUserPagesFast;
  const got = take(space, at + page * pageSize, nr, flags, pages);
  return [got, [...pages.subarray(0, Math.max(got, 0))]];
}

/** Nothing but gup-fast: as many as the tables had, from the first on. Linux has no such call for pins. */
function takeFastOnly({ mm: space, at, pageSize }: Bench, { page, nr, flags, pin }: Want): number[] {
  if (pin) return [];
  const pages = new Uint32Array(nr);
  const got = gup.getUserPagesFastOnly(space, at + page * pageSize, nr, flags, pages);
  return [...pages.subarray(0, got)];
}

function giveBack({ machine }: Bench, pages: readonly number[], pin: boolean): void {
  const give = pin ? gup.unpinUserPages : gup.putUserPages;
  give(machine.memory, Uint32Array.from(pages), pages.length);
}

const ops = fc.array(fc.tuple(fc.nat(14), fc.nat(PAGES - 1), fc.integer({ min: 1, max: PAGES })), {
  minLength: 1,
  maxLength: 8,
});
const wants = fc.record({
  page: fc.nat(PAGES - 1),
  nr: fc.integer({ min: 1, max: PAGES + 2 }),
  flags: fc
    .subarray([FOLL_WRITE, FOLL_FORCE, FOLL_NOFAULT, FOLL_HONOR_NUMA_FAULT])
    .map((flags) => flags.reduce((all, flag) => all | flag, 0)),
  long: fc.boolean(),
  pin: fc.boolean(),
});

describe.each(FORMATS.map((format): [string, Format] => [format.name, format]))(
  '%s: fast and slow agree',
  (_, format) => {
    let taken = 0;
    let fastOnly = 0;

    it.each(KINDS)('property: on %s memory after any program', (kind) => {
      fc.assert(
        fc.property(ops, wants, (program, { long, ...rest }) => {
          const want = { ...rest, flags: rest.flags | (long && rest.pin ? FOLL_LONGTERM : 0) };
          const [fast, slow, only] = [bench(format, kind), bench(format, kind), bench(format, kind)];
          for (const on of [fast, slow, only]) for (const op of program) perform(on, op);
          const before = stateOf(only);
          const [got, pages] = takeSlowly(slow, want);
          expect(takeFast(fast, want)).toEqual([got, pages]);
          expect(stateOf(fast)).toEqual(stateOf(slow));
          const first = takeFastOnly(only, want);
          expect(first).toEqual(pages.slice(0, first.length));
          taken += pages.length;
          fastOnly += first.length;
          giveBack(fast, pages, want.pin);
          giveBack(slow, pages, want.pin);
          giveBack(only, first, want.pin);
          expect(stateOf(fast)).toEqual(stateOf(slow));
          for (const on of [fast, slow, only]) kernel.checkMachine(on.machine);
          expect((stateOf(only) as unknown[]).slice(0, 2)).toEqual((before as unknown[]).slice(0, 2));
        }),
        { numRuns: RUNS },
      );
    });

    it('and there both ways had something to do', () => {
      expect(fastOnly).toBeGreaterThan(0);
      expect(taken).toBeGreaterThan(fastOnly);
    });
  },
);
