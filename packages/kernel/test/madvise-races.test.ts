/** mremap and advice while another CPU uses the memory (sched build): random interleavings, every rule checked after. */
import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { EFAULT, FOLL_WRITE } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { OpenFile } from '@mmkit/filemap';
import { truncateSetSize } from '@mmkit/filemap/sched';
import { pinUserPagesFast, unpinUserPages } from '@mmkit/gup/sched';
import { checkMachine, createMachine, createProcess, exitProcess, load, store } from '@mmkit/kernel/sched';
import type { Machine, Process } from '@mmkit/kernel';
import {
  MADV_FREE,
  MADV_GUARD_INSTALL,
  madvise,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_SHARED,
  mmap,
  mremap,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
} from '@mmkit/mm/sched';
import { countFrames, readBytes } from '@mmkit/phys';
import { createLockdep, describeWaiters, isRunnable, runPending, runTask, spawn, stepTask } from '@mmkit/task';
import { vmaLookup } from '@mmkit/vma';
import { ANON, formats, PAGE, RW, testedFormat } from './builds.ts';

const PAGES = 3;
const FROM = 0x1000_0000;
const TO = 0x5000_0000;
const seeds = fc.integer();

/** A machine of two CPUs with a process whose PAGES pages at FROM hold 1s. */
function bench(flags: number = ANON): { machine: Machine; process: Process } {
  const machine = createMachine({ ramBytes: 256 * PAGE, cpus: 2, format: testedFormat(), lockdep: createLockdep() });
  const process = createProcess(machine)!;
  runTask(machine.sched, mmap(process.mm, FROM, PAGES * PAGE, RW, flags | MAP_FIXED));
  fill(machine, process, FROM, 1);
  return { machine, process };
}

function fill(machine: Machine, process: Process, address: number, value: number): void {
  const bytes = new Uint8Array(PAGES * PAGE).fill(value);
  expect(runTask(machine.sched, store(machine, process, address, bytes, 0, bytes.length))).toBe(0);
}

function bytesAt(machine: Machine, process: Process, address: number, length: number): Uint8Array | number {
  const bytes = new Uint8Array(length);
  const error = runTask(machine.sched, load(machine, process, address, bytes, 0, length));
  return error === 0 ? bytes : error;
}

function runRandomly(machine: Machine, seed: number): void {
  const { sched } = machine;
  let state = seed;
  for (;;) {
    const ready = sched.tasks.filter(isRunnable);
    const moves = ready.length + (sched.events.length > 0 ? 1 : 0);
    if (moves === 0) break;
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    const move = (state >>> 8) % moves;
    if (move < ready.length) stepTask(sched, ready[move]!);
    else runPending(sched);
  }
  expect(describeWaiters(sched)).toBe('');
}

function endAll(machine: Machine, process: Process): void {
  checkMachine(machine);
  runTask(machine.sched, exitProcess(machine, process));
  expect(countFrames(machine.memory.phys).used).toBe(0);
}

describe.each(formats)('%s', () => {
  it('N.14: a CPU that stores during mremap stores into the pages, wherever they are, or gets a signal', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const { machine, process } = bench();
        const move = mremap(process.mm, FROM, PAGES * PAGE, PAGES * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, TO);
        spawn(machine.sched, 'mremap', move, 0);
        const stored = new Set<number>();
        function* writer(address: number): Task<void> {
          for (let page = 0; page < PAGES; page++) {
            const error = yield* store(machine, process, address + page * PAGE, Uint8Array.of(2), 0, 1);
            expect([0, -EFAULT]).toContain(error);
            if (error === 0) stored.add(page);
          }
        }
        spawn(machine.sched, 'old place', writer(FROM), 1);
        spawn(machine.sched, 'new place', writer(TO), 1);
        runRandomly(machine, seed);
        const after = bytesAt(machine, process, TO, PAGES * PAGE) as Uint8Array;
        for (let page = 0; page < PAGES; page++) {
          expect([after[page * PAGE], after[page * PAGE + 1]]).toEqual([stored.has(page) ? 2 : 1, 1]);
        }
        expect(bytesAt(machine, process, FROM, 1)).toBe(-EFAULT);
        endAll(machine, process);
      }),
      { numRuns: 120 },
    );
  });

  it('N.14, C.10: pins taken during mremap are pins of the pages that moved', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const { machine, process } = bench();
        const { mm } = process;
        const { phys } = machine.memory;
        const move = mremap(mm, FROM, PAGES * PAGE, PAGES * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, TO);
        spawn(machine.sched, 'mremap', move, 0);
        function* pinner(address: number): Task<void> {
          const pages = new Uint32Array(PAGES);
          const taken = yield* pinUserPagesFast(mm, address, PAGES, FOLL_WRITE, pages);
          expect(taken > 0 || taken === -EFAULT).toBe(true);
          for (let i = 0; i < taken; i++) {
            const byte = new Uint8Array(1);
            readBytes(phys, pages[i]!, 0, byte, 0, 1);
            expect(byte[0]).toBe(1);
          }
          if (taken > 0) unpinUserPages(machine.memory, pages, taken);
        }
        spawn(machine.sched, 'old place', pinner(FROM), 1);
        spawn(machine.sched, 'new place', pinner(TO), 1);
        runRandomly(machine, seed);
        expect(phys.nrFollPinAcquired).toBe(phys.nrFollPinReleased);
        endAll(machine, process);
      }),
      { numRuns: 120 },
    );
  });

  it('N.14: truncation during mremap misses no page of the file', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const { machine, process } = bench(MAP_SHARED | MAP_ANONYMOUS);
        const { inode } = vmaLookup(process.mm.vmas, FROM)!.file as OpenFile;
        const move = mremap(process.mm, FROM, PAGES * PAGE, PAGES * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, TO);
        spawn(machine.sched, 'mremap', move, 0);
        spawn(machine.sched, 'truncate', truncateSetSize(inode, PAGE), 1);
        runRandomly(machine, seed);
        expect([inode.pages.size, process.mm.shmemPages]).toEqual([1, 1]);
        expect(bytesAt(machine, process, TO, 1)).toEqual(Uint8Array.of(1));
        expect(bytesAt(machine, process, TO + PAGE, 1)).toBe(-EFAULT);
        endAll(machine, process);
      }),
      { numRuns: 120 },
    );
  });

  it('FACTS 18: whatever is stored meanwhile, after MADV_GUARD_INSTALL every page is a guard', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const { machine, process } = bench();
        const guard = spawn(machine.sched, 'madvise', madvise(process.mm, FROM, PAGES * PAGE, MADV_GUARD_INSTALL), 0);
        const bytes = new Uint8Array(PAGES * PAGE).fill(2);
        for (const name of ['first', 'second'])
          spawn(machine.sched, name, store(machine, process, FROM, bytes, 0, bytes.length), 1);
        runRandomly(machine, seed);
        expect([guard.result, process.mm.anonPages]).toEqual([0, 0]);
        for (let page = 0; page < PAGES; page++) expect(bytesAt(machine, process, FROM + page * PAGE, 1)).toBe(-EFAULT);
        endAll(machine, process);
      }),
      { numRuns: 120 },
    );
  });

  it('FACTS 16: what is stored during MADV_FREE is in the page', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const { machine, process } = bench();
        const bytes = new Uint8Array(PAGES * PAGE).fill(2);
        spawn(machine.sched, 'madvise', madvise(process.mm, FROM, PAGES * PAGE, MADV_FREE), 0);
        spawn(machine.sched, 'writer', store(machine, process, FROM, bytes, 0, bytes.length), 1);
        runRandomly(machine, seed);
        expect(bytesAt(machine, process, FROM, PAGES * PAGE)).toEqual(bytes);
        endAll(machine, process);
      }),
      { numRuns: 60 },
    );
  });
});
