/** VMA-level system calls. */
import { mprotect, munmap, PROT_READ, PROT_WRITE } from '@mmkit/mm';
import { createBench } from '../machine.ts';
import { expectCount, type Row, time } from '../row.ts';

const ENTRY = 'enters and leaves the kernel, flushes the real TLB';
const VMAS = 1000;

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
];
