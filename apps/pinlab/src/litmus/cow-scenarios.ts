/**
 * Copy-on-write on the real packages, and the bugs that came of it: Dirty COW (reference C.1), vmsplice (C.3), direct I/O
 * against fork (C.6), a read-only pin of a shared page (B.15 rule 3).
 */
import { linux6_18, type Policy } from '@mmkit/aspace';
import { FOLL_NOFAULT, FOLL_WRITE, type Task } from '@mmkit/base';
import type { Scenario } from '@mmkit/explore';
import { createBlockDevice, createMemoryBackend } from '@mmkit/filemap';
import { pinUserPagesFast, unpinUserPages } from '@mmkit/gup/sched';
import {
  createDiskFile,
  createMachine,
  createPipe,
  createProcess,
  deviceWrite,
  forkProcess,
  load,
  type Machine,
  type Process,
  procMemWrite,
  store,
  vmsplice,
} from '@mmkit/kernel/sched';
import {
  dupMm,
  MADV_DONTNEED,
  madvise,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  mmap,
  munmap,
  PROT_READ,
  PROT_WRITE,
} from '@mmkit/mm/sched';
import type { Format } from '@mmkit/pgtable';
import { readBytes } from '@mmkit/phys';
import { runTask, spawn } from '@mmkit/task/sched';
import { ADDRESS, entryOf, PAGE, RAM } from './scenarios.ts';

const RW = PROT_READ | PROT_WRITE;
/** What memory and files have before, and what is written to them. */
const OLD = 1;
const NEW = 2;
/** What a device moves. */
const DATA = 9;

/** A machine of 64 pages and a process of it. */
function start(format: Format, rules: Partial<Policy>): [Machine, Process] {
  const machine = createMachine({ ramBytes: RAM, cpus: 2, format, policy: { ...linux6_18, ...rules } });
  return [machine, createProcess(machine)!];
}

/** The same; it has stored OLD at ADDRESS. */
function startWithPage(format: Format, rules: Partial<Policy>): [Machine, Process] {
  const [machine, process] = start(format, rules);
  runTask(machine.sched, mmap(process.mm, ADDRESS, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED));
  runTask(machine.sched, store(machine, process, ADDRESS, Uint8Array.of(OLD), 0, 1));
  return [machine, process];
}

function byteOf(machine: Machine, pfn: number): number {
  const byte = new Uint8Array(1);
  readBytes(machine.memory.phys, pfn, 0, byte, 0, 1);
  return byte[0]!;
}

/** C.1: a forced write to private memory of a file, against MADV_DONTNEED: does the file change? */
export function forcedWriteScenario(format: Format, rules: Partial<Policy>): Scenario {
  return () => {
    const [machine, process] = start(format, rules);
    const { sched, memory } = machine;
    const device = createBlockDevice(sched, memory.phys, createMemoryBackend(new Uint8Array(PAGE).fill(OLD)));
    const file = createDiskFile(machine, device, { size: PAGE, offset: 0 });
    const { mm } = process;
    runTask(sched, mmap(mm, ADDRESS, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, file, 0));
    runTask(sched, load(machine, process, ADDRESS, new Uint8Array(1), 0, 1));
    spawn(sched, 'write', procMemWrite(machine, process, ADDRESS, Uint8Array.of(NEW), 0, 1), 0);
    spawn(sched, 'dontneed', madvise(mm, ADDRESS, PAGE, MADV_DONTNEED), 1);
    return {
      sched,
      check() {
        const pfn = file.inode.pages.get(0)!;
        return byteOf(machine, pfn) === NEW ? `the file, which may not be written, has changed: frame ${pfn}` : null;
      },
    };
  };
}

/** C.3: a child splices a page it shares into a pipe and unmaps it; its parent stores. Does the pipe see what? */
export function vmspliceScenario(format: Format, rules: Partial<Policy>): Scenario {
  return () => {
    const [machine, parent] = startWithPage(format, rules);
    const { sched } = machine;
    const child = runTask(sched, forkProcess(machine, parent)).process!;
    const pipe = createPipe(machine);
    spawn(sched, 'child', spliceAndUnmap(), 0);
    spawn(sched, 'parent', store(machine, parent, ADDRESS, Uint8Array.of(NEW), 0, 1), 1);
    return {
      sched,
      check() {
        const { pfn } = pipe.buffers[0]!;
        return byteOf(machine, pfn) === NEW ? `the child's pipe shows what its parent stored: frame ${pfn}` : null;
      },
    };

    function* spliceAndUnmap(): Task<void> {
      yield* vmsplice(pipe, child, ADDRESS, PAGE);
      yield* munmap(child.mm, ADDRESS, PAGE);
    }
  };
}

/** C.6: a device stores to half of a pinned page, against a fork and a store to the other half: is what it stored lost? */
export function directIoScenario(format: Format, rules: Partial<Policy>): Scenario {
  return () => {
    const [machine, process] = startWithPage(format, rules);
    const { sched, memory } = machine;
    const pages = new Uint32Array(1);
    const read = spawn(sched, 'read', pinAndTransfer(), 1);
    spawn(sched, 'fork', forkAndStore(), 0);
    return {
      sched,
      check() {
        const { pfn } = entryOf(process.mm, ADDRESS);
        if (read.result !== 1 || byteOf(machine, pfn) === DATA) return null;
        return `frame ${pages[0]} was pinned and stored to, and the process has frame ${pfn}`;
      },
    };

    function* pinAndTransfer(): Task<number> {
      const got = yield* pinUserPagesFast(process.mm, ADDRESS, 1, FOLL_WRITE | FOLL_NOFAULT, pages);
      if (got !== 1) return got;
      yield* deviceWrite(machine, pages, 0, Uint8Array.of(DATA), 0, 1);
      unpinUserPages(memory, pages, 1);
      return got;
    }

    function* forkAndStore(): Task<void> {
      yield* dupMm(process.mm);
      yield* store(machine, process, ADDRESS + PAGE / 2, Uint8Array.of(NEW), 0, 1);
    }
  };
}

/** B.15 #3, C.3 reversed: a read-only pin of a page shared with a child, against the next store. Does the pin keep the page? */
export function cowScenario(format: Format, rules: Partial<Policy>): Scenario {
  return () => {
    const [machine, process] = startWithPage(format, rules);
    const { sched } = machine;
    runTask(sched, forkProcess(machine, process));
    const pages = new Uint32Array(1);
    const pin = spawn(sched, 'pin', pinUserPagesFast(process.mm, ADDRESS, 1, 0, pages), 0);
    spawn(sched, 'store', store(machine, process, ADDRESS, Uint8Array.of(NEW), 0, 1), 1);
    return {
      sched,
      check() {
        const { pfn } = entryOf(process.mm, ADDRESS);
        if (pin.result !== 1 || pages[0] === pfn) return null;
        return `frame ${pages[0]} is pinned and the process has frame ${pfn}`;
      },
    };
  };
}
