/** Whole machines, exploring. */
import { createTraceRing, type Task } from '@mmkit/base';
import { explore } from '@mmkit/explore';
import { createMachine, createProcess, exitProcess, forkProcess } from '@mmkit/kernel';
import { createSched, Mutex, mutexUnlock, runAll, type Sched, spawn } from '@mmkit/task';
import { mutexLock } from '@mmkit/task/sched';
import { expectCount, type Row, time } from '../row.ts';

/** A scheduling point of our own. */
const POINT = 1000;

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
  row('full tracing, against none', 'times', 1.6, tracing),
  row('machine of 64 pages, two processes', 'ns', 30_000, smallMachine),
  row('small schedules explored', 'million/minute', null, schedules),
];
