/** The package in both builds: the plain one as it is, the sched one with every coloured call run to its end. */
import * as plain from '@mmkit/rwsem';
import type { RwSem } from '@mmkit/rwsem';
import * as coloured from '@mmkit/rwsem/sched';
import { runTask } from '@mmkit/task';
import type { Sched } from '@mmkit/task';

const driven: typeof plain = {
  ...coloured,
  downRead: (sched: Sched, sem: RwSem): void => runTask(sched, coloured.downRead(sched, sem)),
  downReadInterruptible: (sched: Sched, sem: RwSem): number =>
    runTask(sched, coloured.downReadInterruptible(sched, sem)),
  downReadKillable: (sched: Sched, sem: RwSem): number => runTask(sched, coloured.downReadKillable(sched, sem)),
  downWrite: (sched: Sched, sem: RwSem): void => runTask(sched, coloured.downWrite(sched, sem)),
  downWriteKillable: (sched: Sched, sem: RwSem): number => runTask(sched, coloured.downWriteKillable(sched, sem)),
};

export const builds: readonly (readonly [string, typeof plain])[] = [
  ['plain', plain],
  ['sched', driven],
];

/** The code of the InvariantError that `call` throws. */
export function thrown(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (error instanceof Error) return 'code' in error ? String(error.code) : error.name;
    return String(error);
  }
  return 'nothing';
}

/** All of the semaphore that counts, for "a refused call changes nothing". */
export function picture(sem: RwSem): object {
  const { count, owner, ownerFlags, trying, waiters, queue } = sem;
  return {
    count,
    owner: owner?.name ?? null,
    ownerFlags,
    trying,
    waiters: waiters.map(({ task, isWriter, handoffSet }) => ({ task: task.name, isWriter, handoffSet })),
    asleep: queue.waiters.map((task) => task.name),
  };
}
