/** VMA-level system calls and the tree under them. */
import { mprotect, munmap, PROT_READ, PROT_WRITE } from '@mmkit/mm';
import { createRangeTree, eraseRange, findRange, insertRange } from '@mmkit/vma';
import { createBench } from '../machine.ts';
import { expectCount, type Row, time } from '../row.ts';

const ENTRY = 'enters and leaves the kernel, flushes the real TLB';
const VMAS = 1000;
const RANGES = 65_530;
const STEP = 4;
const LENGTH = 3;

/** An untouched page mapped and unmapped among others. */
function mapUnmap(which: number): () => number {
  const bench = createBench(256, which);
  const { mm } = bench.process;
  const at = bench.map(2 * VMAS + 2);
  for (let i = 0; i < VMAS; i++) {
    expectCount(mprotect(mm, at + 2 * i * bench.pageSize, bench.pageSize, PROT_READ), 0);
  }
  return () =>
    time(64, () => {
      for (let i = 0; i < 64; i++) expectCount(munmap(mm, bench.map(1), bench.pageSize), 0);
    });
}

/** One page in the middle of 16 made read-only and writable again: a split in three, and a merge. */
function splitMerge(which: number): () => number {
  const bench = createBench(256, which);
  const { mm } = bench.process;
  const middle = bench.map(16) + 8 * bench.pageSize;
  return () =>
    time(64, () => {
      for (let i = 0; i < 64; i++) {
        expectCount(mprotect(mm, middle, bench.pageSize, PROT_READ), 0);
        expectCount(mprotect(mm, middle, bench.pageSize, PROT_READ | PROT_WRITE), 0);
      }
    });
}

interface Item {
  readonly start: number;
  readonly end: number;
}

/** The range tree at the limit of vm.max_map_count; `change`: erase and insert, else look up. */
function tree(change: boolean) {
  return (which: number): (() => number) => {
    const ranges = createRangeTree<Item>();
    // Out of order, so that nodes are filled and lie in memory as in a tree that has lived.
    for (let i = 0; i < RANGES; i++) {
      const start = STEP * ((i * 7919) % RANGES);
      insertRange(ranges, start, start + LENGTH, { start, end: start + LENGTH });
    }
    let random = 1 + which;
    let found = 0;
    return () => {
      const ns = time(1000, () => {
        for (let i = 0; i < 1000; i++) {
          random = (Math.imul(random, 1103515245) + 12345) >>> 0;
          const x = STEP * Math.floor((random / 2 ** 32) * RANGES);
          if (change) insertRange(ranges, x, x + LENGTH, eraseRange(ranges, x));
          else found += findRange(ranges, x)!.end;
        }
      });
      if (found < 0) throw new Error('nothing was found');
      return ns;
    };
  };
}

export const mapRows: readonly Row[] = [
  {
    name: 'mmap + munmap at 1,000 VMAs',
    unit: 'ns',
    goal: 500,
    ratioGoal: 0.17,
    native: { op: 'mmap-munmap', pages: VMAS, besides: ENTRY },
    make: mapUnmap,
  },
  {
    name: 'mprotect, split + merge',
    unit: 'ns',
    goal: 1200,
    ratioGoal: 0.35,
    native: { op: 'mprotect', pages: 16, besides: ENTRY },
    make: splitMerge,
  },
  { name: 'range lookup at 65,530', unit: 'ns', goal: 500, ratioGoal: null, native: null, make: tree(false) },
  { name: 'range erase + insert at 65,530', unit: 'ns', goal: 800, ratioGoal: null, native: null, make: tree(true) },
];
