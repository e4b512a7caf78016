/** Pinning. */
import { FOLL_WRITE } from '@mmkit/base';
import { getUserPages, pinUserPagesFast, putUserPages, unpinUserPages } from '@mmkit/gup';
import { MADV_HUGEPAGE, madvise } from '@mmkit/mm';
import { type Bench, createBench } from '../machine.ts';
import { expectCount, type Row, time } from '../row.ts';

const PAGES = 512;
/** Pages of 4 KiB in a huge one. */
const HUGE = 512;
/** Calls in one sample: a page bears a few thousand pins at once. */
const CALLS = 64;
const PINNING = 'enters and leaves the kernel, accounts the memory, allocates the request, takes real cache misses';

/** Memory to pin: its pages can be pinned and unpinned `calls` times over. */
class Pinned {
  readonly per: number;
  readonly pin: () => void;
  readonly unpin: () => void;

  constructor(bench: Bench, at: number, pages: number, calls: number) {
    const { mm } = bench.process;
    const into = new Uint32Array(pages);
    this.per = pages * calls;
    this.pin = () => {
      for (let i = 0; i < calls; i++) expectCount(pinUserPagesFast(mm, at, pages, FOLL_WRITE, into), pages);
    };
    this.unpin = () => {
      for (let i = 0; i < calls; i++) unpinUserPages(mm.memory, into, pages);
    };
  }

  timePin(): number {
    const ns = time(this.per, this.pin);
    this.unpin();
    return ns;
  }

  timeUnpin(): number {
    this.pin();
    return time(this.per, this.unpin);
  }
}

function smallPages(pages: number, calls: number, which: number): Pinned {
  const bench = createBench(pages + (pages >> 8) + 256, which, false);
  return new Pinned(bench, bench.map(pages), pages, calls);
}

/** Huge pages from a boundary on. */
function hugePages(pages: number, calls: number, which: number): Pinned {
  const bench = createBench(2 * pages + 2 * HUGE, which, false);
  const span = HUGE * bench.pageSize;
  const at = Math.ceil(bench.map(pages + HUGE) / span) * span;
  expectCount(madvise(bench.process.mm, at, pages * bench.pageSize, MADV_HUGEPAGE), 0);
  return new Pinned(bench, at, pages, calls);
}

function pinning(pages: number, calls: number): Row['make'] {
  return (which) => {
    const pinned = smallPages(pages, calls, which);
    return () => pinned.timePin();
  };
}

/** Time of one page among 2^18, over that of one among 2^9. */
function flat(which: number): () => number {
  const few = smallPages(PAGES, CALLS, which);
  const many = smallPages(2 ** 18, 1, which);
  return () => many.timePin() / few.timePin();
}

/** Slow path: every page looked up under its table's lock. */
function slowWalk(which: number): () => number {
  const bench = createBench(2048, which);
  const { mm } = bench.process;
  const at = bench.map(PAGES);
  const into = new Uint32Array(PAGES);
  const get = (): void => {
    for (let i = 0; i < 16; i++) expectCount(getUserPages(mm, at, PAGES, FOLL_WRITE, into), PAGES);
  };
  return () => {
    let ns = 0;
    bench.locked(() => {
      ns = time(PAGES * 16, get);
    });
    for (let i = 0; i < 16; i++) putUserPages(mm.memory, into, PAGES);
    return ns;
  };
}

export const pinRows: readonly Row[] = [
  {
    name: 'pin fast, 512 pages',
    unit: 'ns/page',
    goal: 5,
    ratioGoal: 0.1,
    native: { op: 'pin', pages: PAGES, besides: PINNING },
    make: pinning(PAGES, CALLS),
  },
  {
    name: 'pin fast, one page',
    unit: 'ns/call',
    goal: 60,
    ratioGoal: 0.1,
    native: { op: 'pin', pages: 1, besides: PINNING },
    make: pinning(1, 4096),
  },
  {
    name: 'pin fast, 2^18 pages, against 2^9',
    unit: 'times',
    goal: 1.2,
    ratioGoal: null,
    native: null,
    make: flat,
  },
  {
    name: 'pin fast, huge pages',
    unit: 'ns/4 KiB',
    goal: 1.2,
    ratioGoal: 0.6,
    native: { op: 'pin-huge', pages: 8 * HUGE, besides: `${PINNING}; takes one pin of each huge page` },
    make: (which) => {
      const pinned = hugePages(8 * HUGE, CALLS, which);
      return () => pinned.timePin();
    },
  },
  {
    name: 'unpin, 512 pages',
    unit: 'ns/page',
    goal: 3,
    ratioGoal: 0.15,
    native: { op: 'unpin', pages: PAGES, besides: PINNING },
    make: (which) => {
      const pinned = smallPages(PAGES, CALLS, which);
      return () => pinned.timeUnpin();
    },
  },
  {
    name: 'slow walk, mapped pages',
    unit: 'ns/page',
    goal: 30,
    ratioGoal: 0.12,
    native: { op: 'populate', pages: PAGES, besides: 'enters and leaves the kernel; takes no reference' },
    make: slowWalk,
  },
];
