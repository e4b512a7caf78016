/** The same question, and its relatives, asked of the real packages, on the tables of an architecture. */
import { linux6_18, MM_ROOT, type Mm, type Policy } from '@mmkit/aspace';
import { FOLL_NOFAULT, FOLL_WRITE, type Task } from '@mmkit/base';
import type { Scenario } from '@mmkit/explore';
import { pinUserPagesFast } from '@mmkit/gup/sched';
import { createMachine, createProcess, type Machine, type Process, store } from '@mmkit/kernel/sched';
import {
  dupMm,
  MADV_DONTNEED,
  madvise,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  mmap,
  PROT_READ,
  PROT_WRITE,
} from '@mmkit/mm/sched';
import {
  createDecoded,
  createEntry,
  type Decoded,
  E_WRITE,
  type Format,
  leafIndex,
  leafTable,
  readEntry,
} from '@mmkit/pgtable';
import { allocPagesNowait, GFP_KERNEL } from '@mmkit/phys';
import { runTask, type SimTask, spawn } from '@mmkit/task/sched';

/** Where the page under test is. */
export const ADDRESS = 0x10000;
export const PAGE = 4096;
export const RAM = 64 * PAGE;

/** A machine of 64 pages; a process that has written to its one page, and a task that is about to pin it. */
class World {
  readonly machine: Machine;
  readonly process: Process;
  /** What the pin returned. */
  readonly pages: Uint32Array;
  readonly pin: SimTask;

  constructor(format: Format, rules: Partial<Policy>, pinCpu: number) {
    this.machine = createMachine({ ramBytes: RAM, cpus: 2, format, policy: { ...linux6_18, ...rules } });
    this.process = createProcess(this.machine)!;
    const { sched } = this.machine;
    const { mm } = this.process;
    runTask(sched, mmap(mm, ADDRESS, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED));
    runTask(sched, store(this.machine, this.process, ADDRESS, new Uint8Array([1]), 0, 1));
    this.pages = new Uint32Array(1);
    // NOFAULT: the page is there; a pin that must fault has lost it already, and its faults are another test.
    this.pin = spawn(sched, 'pin', pinUserPagesFast(mm, ADDRESS, 1, FOLL_WRITE | FOLL_NOFAULT, this.pages), pinCpu);
  }

  /** True when the pin got the page. */
  get pinned(): boolean {
    return this.pin.result === 1;
  }
}

/** The entry of `address`, decoded. */
export function entryOf(mm: Mm, address: number): Decoded {
  const { tables, format } = mm.memory;
  const entry = createEntry();
  const decoded = createDecoded();
  readEntry(tables, leafTable(tables, mm.words[MM_ROOT]!, address), leafIndex(format, address), entry);
  format.decode(entry.lo, entry.hi, 0, decoded);
  return decoded;
}

/** pin_user_pages_fast against fork: is a pinned page left write-protected, so that the next store loses it? */
export function forkScenario(format: Format, rules: Partial<Policy>): Scenario {
  return () => {
    // fork runs where the store ran, on CPU 0: its TLB flush is local and adds no steps.
    const world = new World(format, rules, 1);
    const { sched } = world.machine;
    spawn(sched, 'fork', dupMm(world.process.mm), 0);
    return {
      sched,
      check() {
        if (!world.pinned || (entryOf(world.process.mm, ADDRESS).flags & E_WRITE) !== 0) return null;
        return `frame ${world.pages[0]} is pinned and shared with the child`;
      },
    };
  };
}

/** pin_user_pages_fast against MADV_DONTNEED: does the pin get a page that was freed and given to somebody else? */
export function zapScenario(format: Format, rules: Partial<Policy>): Scenario {
  return () => {
    // The pin runs where the store ran: that CPU's TLB is one of those to flush.
    const world = new World(format, rules, 0);
    const { sched } = world.machine;
    const other = spawn(sched, 'dontneed', dontneedThenReuse(world.machine, world.process), 1);
    return {
      sched,
      check() {
        if (!world.pinned || other.result !== world.pages[0]) return null;
        return `frame ${world.pages[0]} is pinned and belongs to somebody else`;
      },
    };
  };
}

/** Drops the page, then allocates one: the frame somebody else gets. */
function* dontneedThenReuse(machine: Machine, process: Process): Task<number> {
  yield* madvise(process.mm, ADDRESS, PAGE, MADV_DONTNEED);
  return allocPagesNowait(machine.memory.phys, GFP_KERNEL, 0);
}
