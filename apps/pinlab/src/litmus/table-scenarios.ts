/**
 * gup-fast against whoever takes the page table from under it, munmap (reference B.11, "Why IRQs off suffices") and
 * MADV_COLLAPSE (C.8), two faults on one page (N.3), and MADV_DONTNEED that frees the table somebody else has found, on the
 * real packages.
 */
import { linux6_18, MM_ROOT, type Policy } from '@mmkit/aspace';
import { FOLL_NOFAULT, FOLL_WRITE, type Task } from '@mmkit/base';
import type { Scenario } from '@mmkit/explore';
import { pinUserPagesFast, pinUserPagesUnlocked } from '@mmkit/gup/sched';
import { createMachine, createProcess, type Machine, type Process, store } from '@mmkit/kernel/sched';
import {
  MADV_COLLAPSE,
  MADV_DONTNEED,
  MADV_NOHUGEPAGE,
  madvise,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  mmap,
  munmap,
  PROT_READ,
  PROT_WRITE,
} from '@mmkit/mm/sched';
import {
  createEntry,
  createTranslation,
  ACCESS_READ,
  ACCESS_USER,
  hwWalk,
  type Format,
  leafIndex,
  leafTable,
  nextUsed,
  writeEntry,
} from '@mmkit/pgtable';
import { allocPagesNowait, GFP_KERNEL, PG_TABLE, readBytes, testFlag } from '@mmkit/phys';
import { runTask, spawn } from '@mmkit/task/sched';
import { entryOf, PAGE, RAM } from './scenarios.ts';

/** Where the page under test is: the first of a huge page, so that this may be collapsed. */
const ADDRESS = 0x20_0000;
/** A huge page, of both architectures. */
const HUGE = 512 * PAGE;
const RW = PROT_READ | PROT_WRITE;
const HERE = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;

/** A machine and a process that may store to `pages` pages at ADDRESS and has stored to the last of them. */
function start(format: Format, rules: Partial<Policy>, ramBytes: number, pages: number): [Machine, Process] {
  const machine = createMachine({ ramBytes, cpus: 2, format, policy: { ...linux6_18, ...rules } });
  const process = createProcess(machine)!;
  const { sched } = machine;
  runTask(sched, mmap(process.mm, ADDRESS, pages * PAGE, RW, HERE));
  runTask(sched, store(machine, process, ADDRESS + (pages - 1) * PAGE, Uint8Array.of(1), 0, 1));
  return [machine, process];
}

/** pin_user_pages_fast against munmap: does it read a page table that was freed, and is somebody else's page by now? */
export function tableScenario(format: Format, rules: Partial<Policy>): Scenario {
  return () => {
    const [machine, process] = start(format, rules, RAM, 1);
    const { sched, memory } = machine;
    const { mm } = process;
    const { tables, phys } = memory;
    const table = leafTable(tables, mm.words[MM_ROOT]!, ADDRESS);
    // What somebody else will write to the frame of the table happens to be an entry for a frame of theirs.
    const theirs = allocPagesNowait(phys, GFP_KERNEL, 0);
    const bytes = createEntry();
    const decoded = entryOf(mm, ADDRESS);
    decoded.pfn = theirs;
    format.encode(decoded, 0, bytes);
    const pages = new Uint32Array(1);
    const pin = spawn(sched, 'pin', pinUserPagesFast(mm, ADDRESS, 1, FOLL_WRITE | FOLL_NOFAULT, pages), 0);
    spawn(sched, 'munmap', unmapThenReuse(), 1);
    return {
      sched,
      check: () => (pin.result === 1 && pages[0] === theirs ? `frame ${theirs} is pinned and somebody else's` : null),
    };

    function* unmapThenReuse(): Task<void> {
      yield* munmap(mm, ADDRESS, PAGE);
      for (let pfn = -1; pfn !== table; ) pfn = allocPagesNowait(phys, GFP_KERNEL, 0);
      writeEntry(tables, table, leafIndex(format, ADDRESS), bytes);
    }
  };
}

/** pin_user_pages_fast against MADV_COLLAPSE, whose huge page takes the pinned page's place: does the pin keep its page? */
export function collapseScenario(format: Format, rules: Partial<Policy>): Scenario {
  return () => {
    const [machine, process] = start(format, rules, 4 * HUGE, 1);
    const { sched, memory } = machine;
    const { mm } = process;
    runTask(sched, mmap(mm, ADDRESS + PAGE, HUGE - PAGE, RW, HERE));
    const pages = new Uint32Array(1);
    const pin = spawn(sched, 'pin', pinUserPagesFast(mm, ADDRESS, 1, FOLL_WRITE | FOLL_NOFAULT, pages), 0);
    spawn(sched, 'collapse', madvise(mm, ADDRESS, HUGE, MADV_COLLAPSE), 1);
    return {
      sched,
      check() {
        const now = createTranslation();
        hwWalk(memory.tables, mm.words[MM_ROOT]!, ADDRESS, ACCESS_READ | ACCESS_USER, now);
        if (pin.result !== 1 || pages[0] === now.pfn) return null;
        return `frame ${pages[0]} is pinned and the process has frame ${now.pfn}`;
      },
    };
  };
}

/** Two CPUs store to one page that is not there: is a store lost with the page of a fault that came second? */
export function faultsScenario(format: Format, rules: Partial<Policy>): Scenario {
  return () => {
    // The page table is there: a second page of the same is.
    const [machine, process] = start(format, rules, RAM, 2);
    const { sched, memory } = machine;
    for (const cpu of [0, 1]) {
      spawn(sched, `cpu${cpu}`, store(machine, process, ADDRESS + cpu, Uint8Array.of(1), 0, 1), cpu);
    }
    return {
      sched,
      check() {
        const bytes = new Uint8Array(2);
        const { pfn } = entryOf(process.mm, ADDRESS);
        readBytes(memory.phys, pfn, 0, bytes, 0, 2);
        const lost = bytes.indexOf(0);
        return lost < 0 ? null : `the store of cpu${lost} is lost: the process has frame ${pfn}`;
      },
    };
  };
}

/**
 * MADV_DONTNEED, which frees the page table it has emptied (since 6.14), against pin_user_pages_unlocked or a second
 * MADV_DONTNEED, which hold mmap_lock for reading as well: does either go on with a table that is gone?
 */
export function reclaimScenario(format: Format, other: 'pin' | 'dontneed'): Scenario {
  return () => {
    const [machine, process] = start(format, {}, RAM, 1);
    const { sched, memory } = machine;
    const { mm } = process;
    runTask(sched, mmap(mm, ADDRESS + PAGE, HUGE - PAGE, RW, HERE));
    runTask(sched, madvise(mm, ADDRESS, HUGE, MADV_NOHUGEPAGE));
    const dontneed = (): Task<number> => madvise(mm, ADDRESS, HUGE, MADV_DONTNEED);
    const pages = new Uint32Array(1);
    spawn(sched, other, other === 'pin' ? pinUserPagesUnlocked(mm, ADDRESS, 1, pages, FOLL_WRITE) : dontneed(), 0);
    spawn(sched, 'reclaim', dontneed(), 1);
    return {
      sched,
      check() {
        const { tables, phys } = memory;
        const table = leafTable(tables, mm.words[MM_ROOT]!, ADDRESS);
        if (table >= 0 && !testFlag(phys, table, PG_TABLE)) return `frame ${table} is walked and no page table`;
        const there = table >= 0 && nextUsed(tables, table, 0) < tables.entries ? 1 : 0;
        return mm.anonPages === there ? null : `${mm.anonPages} pages are counted, ${there} mapped`;
      },
    };
  };
}
