/**
 * Small machines of the real packages in which two tasks meet, for comparing searches: what is "wrong" at the end of a
 * schedule is the whole final state in words, so every one of them is told from the others.
 */
import { linux6_18, MM_CPUMASK, MM_FLAGS, MM_ROOT, type Mm, type Policy } from '@mmkit/aspace';
import { FOLL_WRITE, type Task } from '@mmkit/base';
import type { Scenario, World } from '@mmkit/explore';
import { pinUserPagesFast, unpinUserPages } from '@mmkit/gup/sched';
import {
  createMachine,
  createProcess,
  evictTranslation,
  forkProcess,
  load,
  type Machine,
  type Process,
  speculate,
  store,
} from '@mmkit/kernel/sched';
import {
  MADV_DONTNEED,
  MADV_FREE,
  madvise,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  MAP_SHARED,
  mmap,
  mprotect,
  mremap,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  munmap,
  PROT_READ,
  PROT_WRITE,
} from '@mmkit/mm/sched';
import { arm64, type Format, x86_64 } from '@mmkit/pgtable';
import { frameWordIndex, frameWords, HOT_REFCOUNT, HOT_WORDS } from '@mmkit/phys';
import { runTask, type Sched, spawn } from '@mmkit/task/sched';

export const ADDRESS = 0x10000;
const PAGE = 4096;
const RW = PROT_READ | PROT_WRITE;

/** What a task gets. */
export interface Bench {
  readonly machine: Machine;
  readonly process: Process;
  readonly mm: Mm;
}

const MACHINES = new WeakMap<World, Machine>();

/** The machine of a world that one of these scenarios made. */
export function machineOf(world: World): Machine {
  return MACHINES.get(world)!;
}

type Body = (on: Bench) => Task<unknown>;

/** Everything that later steps could go by: frames in use and their contents, lists, TLBs, address spaces, results. */
function stateOf({ machine, mm }: Bench): string {
  const { phys, tlbs } = machine.memory;
  const frames: string[] = [];
  for (let pfn = 0; pfn < phys.frames; pfn++) {
    const hot = [0, 1, 2, 3].map((word) => phys.hot[pfn * HOT_WORDS + word]!);
    const cold = [0, 1, 2, 3].map((word) => phys.cold[pfn * 4 + word]!);
    if (hot[HOT_REFCOUNT] === 0) continue;
    const words = frameWords(phys, pfn);
    const first = frameWordIndex(phys, pfn);
    let sum = 0;
    for (let i = 0; i < PAGE / 4; i++) if (words[first + i] !== 0) sum = Math.imul(sum ^ words[first + i]!, 31) + i;
    frames.push(`${pfn}:${hot.join()};${cold.join()};${sum}`);
  }
  const { pcps } = phys.zones[0]!;
  const lists = pcps.map((pcp) => pcp.lists.map((list) => list.slots.slice(0, list.top).join()).join(';'));
  const cached = tlbs.map((tlb) =>
    tlb.entries.map(({ page, pfn, flags }) => (page >= 0 ? [page, pfn, flags] : '')).join(),
  );
  const results = machine.sched.tasks.map(({ result, state, killed }) => [
    state,
    killed,
    typeof result === 'number' ? result : '',
  ]);
  const { words, anonPages, shmemPages } = mm;
  const files = machine.memory.files.inodes.map((inode) => inode && [inode.size, [...inode.pages]]);
  const space = [words[MM_ROOT], words[MM_FLAGS], words[MM_CPUMASK], anonPages, shmemPages, mm.vmas.mapCount];
  return JSON.stringify([frames, lists, phys.cpu.lruBatches, cached, results, space, files]);
}

/** A machine of 48 pages and two CPUs; its process has two pages at ADDRESS, the first `filled` of them written from CPU 0. */
function scenario(format: Format, rules: Partial<Policy>, share: number, filled: number, bodies: Body[]): Scenario {
  return () => {
    const policy = { ...linux6_18, ...rules };
    const machine = createMachine({ ramBytes: 48 * PAGE, cpus: 2, format, policy });
    const process = createProcess(machine)!;
    const { mm } = process;
    const { sched } = machine;
    const on = { machine, process, mm };
    runTask(sched, mmap(mm, ADDRESS, 2 * PAGE, RW, share | MAP_ANONYMOUS | MAP_FIXED));
    const ones = new Uint8Array(1).fill(1);
    for (let page = 0; page < filled; page++)
      runTask(sched, store(machine, process, ADDRESS + page * PAGE, ones, 0, 1));
    bodies.forEach((body, i) => spawn(sched as Sched, `t${i}`, body(on), i % 2));
    const world = { sched, check: () => stateOf(on) };
    MACHINES.set(world, machine);
    return world;
  };
}

const pin =
  (page: number, flags: number = FOLL_WRITE): Body =>
  ({ mm }) =>
    pinUserPagesFast(mm, ADDRESS + page * PAGE, 1, flags, new Uint32Array(1));
const write =
  (page: number): Body =>
  ({ machine, process }) =>
    store(machine, process, ADDRESS + page * PAGE, Uint8Array.of(7), 0, 1);
const read =
  (page: number): Body =>
  ({ machine, process }) =>
    load(machine, process, ADDRESS + page * PAGE, new Uint8Array(1), 0, 1);
/** What the hardware of another CPU does by itself. */
const hardware: Body = function* ({ machine, process }) {
  yield* speculate(machine, process, ADDRESS);
  yield* evictTranslation(machine, process, ADDRESS);
};
const fork: Body = ({ machine, process }) => forkProcess(machine, process);
const drop: Body = ({ mm }) => madvise(mm, ADDRESS, PAGE, MADV_DONTNEED);
const unmap: Body = ({ mm }) => munmap(mm, ADDRESS, PAGE);
const protect: Body = ({ mm }) => mprotect(mm, ADDRESS, PAGE, PROT_READ);
const free: Body = ({ mm }) => madvise(mm, ADDRESS, PAGE, MADV_FREE);
const move: Body = ({ mm }) => mremap(mm, ADDRESS, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, ADDRESS + 8 * PAGE);
const another: Body = ({ mm }) => mmap(mm, ADDRESS + 4 * PAGE, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED);

/** Pins the page and gives the pin back. */
function* pinUnpin({ machine, mm }: Bench): Task<void> {
  const pages = new Uint32Array(1);
  const got = yield* pinUserPagesFast(mm, ADDRESS, 1, FOLL_WRITE, pages);
  if (got === 1) unpinUserPages(machine.memory, pages, 1);
}

/** The scenarios by name, on the tables of a format. */
export function smallMachines(format: Format): Readonly<Record<string, Scenario>> {
  const of = (filled: number, bodies: Body[], rules: Partial<Policy> = {}): Scenario =>
    scenario(format, rules, MAP_PRIVATE, filled, bodies);
  const shmem = (filled: number, bodies: Body[]): Scenario => scenario(format, {}, MAP_SHARED, filled, bodies);
  return {
    'pin and fork': of(1, [fork, pin(0)]),
    'pin and fork, no sequence': of(1, [fork, pin(0)], { writeProtectSeq: false }),
    'pin and fork, no early copy': of(1, [fork, pin(0)], { earlyCopy: false }),
    'pin and MADV_DONTNEED': of(1, [pin(0), drop]),
    'pin and MADV_DONTNEED, no second read': of(1, [pin(0), drop], { fastRecheck: false }),
    'pin and munmap': of(1, [pin(0), unmap]),
    'pin and mprotect': of(1, [pin(0), protect]),
    'pin and mremap': of(1, [pin(0), move]),
    'pin, unpin and MADV_FREE': of(1, [pinUnpin, free]),
    'two pins of one page': of(1, [pin(0), pin(0)]),
    'two first pins of one page': of(0, [pin(0), pin(0)]),
    'pins of two pages': of(2, [pin(0), pin(1)]),
    'two stores to a new page': of(0, [write(0), write(0)]),
    'stores to two new pages': of(0, [write(0), write(1)]),
    'a load and a store of a new page': of(0, [read(0), write(0)]),
    'store and fork': of(1, [fork, write(0)]),
    'store and MADV_DONTNEED': of(1, [write(0), drop]),
    'store and mprotect': of(1, [write(0), protect]),
    'speculation, eviction and munmap': of(1, [hardware, unmap]),
    'speculation, eviction and mprotect': of(1, [hardware, protect]),
    'store and mmap': of(0, [write(0), another]),
    'MADV_DONTNEED and mprotect': of(2, [drop, protect]),
    'shmem: two stores to a new page': shmem(0, [write(0), write(0)]),
    'shmem: pin and MADV_DONTNEED': shmem(1, [pin(0), drop]),
    'shmem: store and munmap': shmem(1, [write(0), unmap]),
  };
}

export const FORMATS: readonly (readonly [string, Format])[] = [
  ['x86_64', x86_64],
  ['arm64', arm64],
];
