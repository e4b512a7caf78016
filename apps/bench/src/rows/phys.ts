/** The page allocator: pairs of calls, beside a Set for each order; machines made; the same work on 2^16 and 2^28 pages. */
import {
  allocPages,
  createPhys,
  drainPages,
  freePages,
  GFP_HIGHUSER_MOVABLE,
  linuxZones,
  type Phys,
} from '@mmkit/phys';
import { createSetAllocator, setAlloc, setFree } from '../by-set.ts';
import { expectCount, type Row, time } from '../row.ts';

const FRAMES = 1 << 14;
/** Blocks held at a time where orders are mixed. */
const HELD = 16;
/** A step that goes round HELD in another order than they came. */
const STRIDE = 7;

/** Two machines that differ, so that none of their figures can be folded into the code. */
function machine(which: number): Phys {
  return createPhys({ frames: FRAMES + 1024 * which });
}

/** How many samples are thrown away first. */
const WARM_UP = 5000;

/** The sample, warmed up: beside a program twenty times slower it would get a twentieth of the common time for that. */
function warm(sample: () => number): () => number {
  for (let i = 0; i < WARM_UP; i++) sample();
  return sample;
}

/** One page given and taken back. */
function singles(which: number): () => number {
  const phys = machine(which);
  return warm(() =>
    time(1000, () => {
      for (let i = 0; i < 1000; i++) freePages(phys, allocPages(phys, 0, 0), 0);
    }),
  );
}

function setSingles(which: number): () => number {
  const sets = createSetAllocator(FRAMES + 1024 * which);
  return () =>
    time(1000, () => {
      for (let i = 0; i < 1000; i++) setFree(sets, setAlloc(sets, 0), 0);
    });
}

/** Orders 0 to 3, sixteen blocks held at a time. */
function mixed(alloc: (order: number) => number, free: (pfn: number, order: number) => void): () => number {
  const held = new Int32Array(HELD).fill(-1);
  return () =>
    time(1000, () => {
      for (let i = 0; i < 1000; i++) {
        const slot = (i * STRIDE) % HELD;
        const order = slot & 3;
        if (held[slot]! >= 0) free(held[slot]!, order);
        held[slot] = alloc(order);
      }
    });
}

function mixedPhys(which: number): () => number {
  const phys = machine(which);
  return warm(
    mixed(
      (order) => allocPages(phys, 0, order),
      (pfn, order) => freePages(phys, pfn, order),
    ),
  );
}

function mixedSets(which: number): () => number {
  const sets = createSetAllocator(FRAMES + 1024 * which);
  return mixed(
    (order) => setAlloc(sets, order),
    (pfn, order) => setFree(sets, pfn, order),
  );
}

/** Ten splits and ten merges: a page of the only block there is, which then goes all the way back. */
function worst(which: number): () => number {
  const phys = createPhys({ frames: 4096 + 1024 * which });
  const held: number[] = [];
  for (let pfn = allocPages(phys, 0, 0); pfn >= 0; pfn = allocPages(phys, 0, 0)) held.push(pfn);
  for (const pfn of held) if (pfn >= 1024 && pfn < 2048) freePages(phys, pfn, 0);
  drainPages(phys);
  return () =>
    time(1000, () => {
      for (let i = 0; i < 1000; i++) {
        freePages(phys, allocPages(phys, 0, 0), 0);
        drainPages(phys);
      }
      expectCount(phys.zones[0]!.nrFree[10]!, 1);
    });
}

/** A thousand pages taken, then given back, on a machine of 2^28 pages: against one of 2^16. */
function flat(): () => number {
  const [small, large] = [16, 28].map((bits) => createPhys({ frames: 2 ** bits, zones: linuxZones(2 ** bits) }));
  const held = new Int32Array(1000);
  const run = (phys: Phys): number =>
    time(1, () => {
      for (let i = 0; i < 1000; i++) held[i] = allocPages(phys, GFP_HIGHUSER_MOVABLE, 0);
      for (let i = 0; i < 1000; i++) freePages(phys, held[i]!, 0);
    });
  return () => {
    const base = run(small!) + run(small!);
    return (run(large!) + run(large!)) / base;
  };
}

function tebibyte(): Phys {
  return createPhys({ frames: 2 ** 28, zones: linuxZones(2 ** 28) });
}

function largeMachine(): () => number {
  return () => time(1e6, () => expectCount(tebibyte().frames, 2 ** 28));
}

/** Resident size that a machine of 1 TiB adds, before any of its memory is used. */
function resident(): () => number {
  return () => {
    const before = process.memoryUsage.rss();
    expectCount(tebibyte().frames, 2 ** 28);
    // Not 0: samples are divided by each other.
    return Math.max((process.memoryUsage.rss() - before) / 2 ** 20, 0.01);
  };
}

function smallPhys(): () => number {
  return () =>
    time(100, () => {
      for (let i = 0; i < 100; i++) expectCount(createPhys({ frames: 64 }).frames, 64);
    });
}

function metadata(): () => number {
  const phys = machine(0);
  return () => (phys.hot.byteLength + phys.cold.byteLength) / phys.frames;
}

function row(name: string, unit: string, goal: number | null, make: Row['make']): Row {
  return { name: `phys: ${name}`, unit, goal, ratioGoal: null, native: null, make };
}

export const physRows: readonly Row[] = [
  { ...row('one page allocated and freed', 'ns', 6, singles), beside: { 'Set per order': setSingles } },
  { ...row('mixed orders allocated and freed', 'ns', 30, mixedPhys), beside: { 'Set per order': mixedSets } },
  row('ten splits and ten merges', 'ns', 120, worst),
  row('2^28 pages, against 2^16', 'times', 1.2, flat),
  row('machine of 1 TiB made', 'ms', 20, largeMachine),
  row('machine of 1 TiB, resident', 'MiB', 16, resident),
  row('machine of 64 pages made', 'ns', null, smallPhys),
  row('metadata', 'bytes/page', 32, metadata),
];
