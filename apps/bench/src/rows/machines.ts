/** The page allocator, the lock, whole machines, exploring. */
import { createTraceRing, type Task } from '@mmkit/base';
import { explore } from '@mmkit/explore';
import { createMachine, createProcess, exitProcess, forkProcess } from '@mmkit/kernel';
import { allocPages, createPhys, freePages } from '@mmkit/phys';
import { createRwsem, downRead, upRead } from '@mmkit/rwsem';
import { createSched, Mutex, mutexUnlock, runAll, type Sched, spawn } from '@mmkit/task';
import { mutexLock } from '@mmkit/task/sched';
import { expectCount, type Row, time } from '../row.ts';

const FRAMES = 1 << 14;
/** A scheduling point of our own. */
const POINT = 1000;

/** One page given and taken back, the free one of a lucky order. */
function singles(which: number): () => number {
  const phys = createPhys({ frames: FRAMES + 100 * which });
  return () =>
    time(1000, () => {
      for (let i = 0; i < 1000; i++) freePages(phys, allocPages(phys, 0, 0), 0);
    });
}

/** Orders 0 to 3, sixteen blocks held at a time. */
function mixed(which: number): () => number {
  const phys = createPhys({ frames: FRAMES + 100 * which });
  const held = new Int32Array(16);
  const step = (i: number): void => {
    const slot = i & 15;
    const order = slot & 3;
    if (held[slot] !== 0) freePages(phys, held[slot]!, order);
    held[slot] = allocPages(phys, 0, order);
  };
  return () =>
    time(1000, () => {
      for (let i = 0; i < 1000; i++) step(i * 7);
    });
}

/** Nine splits and nine merges: two pages, which no list in front holds, of a machine that has only its largest block. */
function worst(which: number): () => number {
  const phys = createPhys({ frames: 4096 + 1024 * which });
  const held: number[] = [];
  for (let pfn = 0; pfn >= 0; ) {
    pfn = allocPages(phys, 0, 0);
    if (pfn >= 0) held.push(pfn);
  }
  // One whole block of 1,024 pages is free again, and nothing else.
  const block = held.find((pfn) => pfn % 1024 === 0 && pfn > 0)!;
  for (let pfn = block; pfn < block + 1024; pfn++) freePages(phys, pfn, 0);
  return () =>
    time(1000, () => {
      for (let i = 0; i < 1000; i++) freePages(phys, allocPages(phys, 0, 1), 1);
    });
}

function rwsemPair(which: number): () => number {
  const sched = createSched();
  const sem = createRwsem(`semaphore ${which}`);
  return () =>
    time(1000, () => {
      for (let i = 0; i < 1000; i++) {
        downRead(sched, sem);
        upRead(sched, sem);
      }
    });
}

/** A machine of 64 pages with two processes, made and dropped. */
function smallMachine(): () => number {
  return () =>
    time(16, () => {
      for (let i = 0; i < 16; i++) {
        const machine = createMachine({ ramBytes: 64 * 4096 });
        const parent = createProcess(machine)!;
        const { process, error } = forkProcess(machine, parent);
        expectCount(error, 0);
        exitProcess(machine, process!);
      }
    });
}

function largeMachine(): () => number {
  return () =>
    time(1e6, () => {
      if (createMachine({ ramBytes: 2 ** 40 }).memory.phys.frames !== 2 ** 28) throw new Error('not 1 TiB');
    });
}

function metadata(): () => number {
  const phys = createPhys({ frames: FRAMES });
  return () => (phys.hot.byteLength + phys.cold.byteLength) / FRAMES;
}

function* worker(sched: Sched, lock: Mutex, words: Int32Array): Task<void> {
  for (let i = 0; i < 2; i++) {
    yield POINT;
    const seen = words[0]!;
    yield* mutexLock(sched, lock);
    words[0] = seen + 1;
    mutexUnlock(sched, lock);
  }
}

/** Two tasks, four points each with the lock's. */
function schedules(): () => number {
  const scenario = (): { sched: Sched; check: () => null } => {
    const sched = createSched({ cpus: 2 });
    const lock = new Mutex('lock');
    const words = new Int32Array(1);
    spawn(sched, 'one', worker(sched, lock, words));
    spawn(sched, 'two', worker(sched, lock, words));
    return { sched, check: () => null };
  };
  return () => {
    let found = 0;
    const ns = time(1, () => {
      const result = explore(scenario);
      if (!result.exhaustive) throw new Error('not exhaustive');
      found = result.schedules;
    });
    return (found * 60e9) / ns / 1e6;
  };
}

/** Every step of every task recorded, against none. */
function tracing(): () => number {
  const run = (sched: Sched): number => {
    const lock = new Mutex('lock');
    const words = new Int32Array(1);
    for (let i = 0; i < 64; i++) spawn(sched, 'task', worker(sched, lock, words));
    return time(1, () => runAll(sched));
  };
  return () => {
    let ratio = 0;
    for (let i = 0; i < 8; i++) ratio += run(createSched({ trace: createTraceRing(4096) })) / run(createSched());
    return ratio / 8;
  };
}

function row(name: string, unit: string, goal: number | null, make: Row['make']): Row {
  return { name, unit, goal, ratioGoal: null, native: null, make };
}

export const machineRows: readonly Row[] = [
  row('one page allocated and freed', 'ns', 6, singles),
  row('mixed orders allocated and freed', 'ns', 30, mixed),
  row('nine splits and nine merges', 'ns', 120, worst),
  row('rwsem pair', 'ns', 4, rwsemPair),
  row('full tracing, against none', 'times', 1.6, tracing),
  row('metadata', 'bytes/page', 32, metadata),
  row('machine of 1 TiB made', 'ms', 20, largeMachine),
  row('machine of 64 pages, two processes', 'ns', 30_000, smallMachine),
  row('small schedules explored', 'million/minute', null, schedules),
];
