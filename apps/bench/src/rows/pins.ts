/** Pinning. */
import { FOLL_WRITE } from '@mmkit/base';
import { getUserPages, pinUserPagesFast, putUserPages, unpinUserPages } from '@mmkit/gup';
import { createBench } from '../machine.ts';
import { expectCount, type Row, time } from '../row.ts';

const PAGES = 512;
/** Calls in one sample: a page bears a few thousand pins at once. */
const CALLS = 64;
const PINNING = 'enters and leaves the kernel, accounts the memory, allocates the request, takes real cache misses';

/** Pins and unpins `calls` times; the time of the half that is asked for. */
function pinning(pages: number, calls: number, timed: 'pin' | 'unpin') {
  return (which: number): (() => number) => {
    const bench = createBench(pages + (pages >> 8) + 256, which, false);
    const { mm } = bench.process;
    const { memory } = mm;
    const at = bench.map(pages);
    const into = new Uint32Array(pages);
    const pin = (): void => {
      for (let i = 0; i < calls; i++) expectCount(pinUserPagesFast(mm, at, pages, FOLL_WRITE, into), pages);
    };
    const unpin = (): void => {
      for (let i = 0; i < calls; i++) unpinUserPages(memory, into, pages);
    };
    const per = pages * calls;
    return () => {
      if (timed === 'unpin') pin();
      const ns = time(per, timed === 'pin' ? pin : unpin);
      if (timed === 'pin') unpin();
      return ns;
    };
  };
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
    make: pinning(PAGES, CALLS, 'pin'),
  },
  {
    name: 'pin fast, one page',
    unit: 'ns/call',
    goal: 60,
    ratioGoal: 0.1,
    native: { op: 'pin', pages: 1, besides: PINNING },
    make: pinning(1, 4096, 'pin'),
  },
  {
    name: 'pin fast, 2^18 pages',
    unit: 'ns/page',
    goal: null,
    ratioGoal: null,
    native: null,
    make: pinning(2 ** 18, 1, 'pin'),
  },
  {
    name: 'unpin, 512 pages',
    unit: 'ns/page',
    goal: 3,
    ratioGoal: 0.15,
    native: { op: 'unpin', pages: PAGES, besides: PINNING },
    make: pinning(PAGES, CALLS, 'unpin'),
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
