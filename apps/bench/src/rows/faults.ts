/** Page faults, fork, unmapping. */
import type { Mm } from '@mmkit/aspace';
import { FAULT_FLAG_WRITE, handleMmFault } from '@mmkit/fault';
import { exitProcess, forkProcess, type Process } from '@mmkit/kernel';
import { MADV_DONTNEED, madvise, munmap } from '@mmkit/mm';
import { vmaLookup } from '@mmkit/vma';
import { createBench, type Bench } from '../machine.ts';
import { expectCount, type Row, time } from '../row.ts';

const PAGES = 512;
const FORKED = 4096;
const TRAP = 'takes the exception and returns from it, accounts the page to its memory group, keeps LRU lists';

/** The handler called for each page of the range, mmap_lock held. */
function touch(bench: Bench, mm: Mm, at: number, pages: number, flags: number): void {
  const vma = vmaLookup(mm.vmas, at)!;
  for (let i = 0; i < pages; i++) expectCount(handleMmFault(mm, vma, at + i * bench.pageSize, flags), 0);
}

/** First touches of untouched memory. */
function firstTouch(flags: number) {
  return (which: number): (() => number) => {
    const bench = createBench(2048, which);
    const { mm } = bench.process;
    const at = bench.map(PAGES);
    return () => {
      let ns = 0;
      bench.locked(() => {
        ns = time(PAGES, () => touch(bench, mm, at, PAGES, flags));
      });
      madvise(mm, at, PAGES * bench.pageSize, MADV_DONTNEED);
      return ns;
    };
  };
}

function fork(bench: Bench): Process {
  const { process } = forkProcess(bench.machine, bench.process);
  if (process === null) throw new Error('fork failed');
  return process;
}

/** Writes of the parent after fork: the child gone (reuse) or alive (copy). */
function copyOnWrite(alive: boolean) {
  return (which: number): (() => number) => {
    const bench = createBench(4096, which);
    const { mm } = bench.process;
    const at = bench.map(PAGES);
    const write = (): void => touch(bench, mm, at, PAGES, FAULT_FLAG_WRITE);
    bench.locked(write);
    return () => {
      const child = fork(bench);
      if (!alive) exitProcess(bench.machine, child);
      let ns = 0;
      bench.locked(() => {
        ns = time(PAGES, write);
      });
      if (alive) exitProcess(bench.machine, child);
      return ns;
    };
  };
}

/** What each populated page adds to fork. */
function forkPages(which: number): () => number {
  const bench = createBench(8192, which);
  const other = createBench(512, which);
  const at = bench.map(FORKED);
  bench.locked(() => touch(bench, bench.process.mm, at, FORKED, FAULT_FLAG_WRITE));
  const once = (of: Bench): number => {
    let child: Process | null = null;
    const ns = time(1, () => {
      child = fork(of);
    });
    exitProcess(of.machine, child!);
    return ns;
  };
  return () => Math.max(0, once(bench) - once(other)) / FORKED;
}

function unmap(which: number): () => number {
  const bench = createBench(2048, which);
  const { mm } = bench.process;
  return () => {
    const at = bench.map(PAGES);
    bench.locked(() => touch(bench, mm, at, PAGES, FAULT_FLAG_WRITE));
    return time(PAGES, () => expectCount(munmap(mm, at, PAGES * bench.pageSize), 0));
  };
}

function row(
  name: string,
  unit: string,
  goal: number,
  ratioGoal: number,
  op: string,
  pages: number,
  besides: string,
  make: Row['make'],
): Row {
  return { name, unit, goal, ratioGoal, native: { op, pages, besides }, make };
}

export const faultRows: readonly Row[] = [
  row('anonymous write fault', 'ns', 250, 0.2, 'write-fault', PAGES, TRAP, firstTouch(FAULT_FLAG_WRITE)),
  row('zero-page read fault', 'ns', 70, 0.1, 'zero-fault', PAGES, TRAP, firstTouch(0)),
  row('copy-on-write, reuse', 'ns', 70, 0.1, 'cow-reuse', PAGES, TRAP, copyOnWrite(false)),
  row('copy-on-write, copy', 'ns', 450, 0.3, 'cow-copy', PAGES, TRAP, copyOnWrite(true)),
  row('fork, each page', 'ns/page', 10, 0.2, 'fork', FORKED, 'makes a task beside the address space', forkPages),
  row('munmap, each populated page', 'ns/page', 20, 0.1, 'munmap', PAGES, 'keeps LRU lists and accounts', unmap),
];
