/** The package in both builds: the plain one as it is, the sched one with every coloured call run to its end. */
import * as plain from '@mmkit/task';
import type { Cpu, Mutex, Sched } from '@mmkit/task';
import * as coloured from '@mmkit/task/sched';

const { createSched, runTask } = plain;

const driven: typeof plain = {
  ...coloured,
  waitOn: (sched, queue) => runTask(sched, coloured.waitOn(sched, queue)),
  waitOnKillable: (sched, queue) => runTask(sched, coloured.waitOnKillable(sched, queue)),
  waitOnInterruptible: (sched, queue) => runTask(sched, coloured.waitOnInterruptible(sched, queue)),
  waitOnExclusive: (sched, queue) => runTask(sched, coloured.waitOnExclusive(sched, queue)),
  waitOnTimeout: (sched, queue, delay) => runTask(sched, coloured.waitOnTimeout(sched, queue, delay)),
  scheduleTimeout: (sched, delay) => runTask(sched, coloured.scheduleTimeout(sched, delay)),
  waitForCompletion: (sched, completion) => runTask(sched, coloured.waitForCompletion(sched, completion)),
  waitForCompletionKillable: (sched, completion) =>
    runTask(sched, coloured.waitForCompletionKillable(sched, completion)),
  waitForCompletionTimeout: (sched, completion, delay) =>
    runTask(sched, coloured.waitForCompletionTimeout(sched, completion, delay)),
  mutexLock: (sched: Sched, mutex: Mutex, subclass) => runTask(sched, coloured.mutexLock(sched, mutex, subclass)),
  mutexLockKillable: (sched: Sched, mutex: Mutex) => runTask(sched, coloured.mutexLockKillable(sched, mutex)),
  mutexLockInterruptible: (sched, mutex) => runTask(sched, coloured.mutexLockInterruptible(sched, mutex)),
  lockBit: (sched, words, index, mask) => runTask(sched, coloured.lockBit(sched, words, index, mask)),
  lockBitKillable: (sched, words, index, mask) => runTask(sched, coloured.lockBitKillable(sched, words, index, mask)),
  spinOn: (sched, queue) => runTask(sched, coloured.spinOn(sched, queue)),
  spinLockBit: (sched, words, index, mask) => runTask(sched, coloured.spinLockBit(sched, words, index, mask)),
  readSeqBegin: (words, index) => runTask(createSched(), coloured.readSeqBegin(words, index)),
  readSeqRetry: (words, index, sequence) => runTask(createSched(), coloured.readSeqRetry(words, index, sequence)),
  writeSeqBegin: (words, index) => runTask(createSched(), coloured.writeSeqBegin(words, index)),
  writeSeqEnd: (words, index) => runTask(createSched(), coloured.writeSeqEnd(words, index)),
  localIrqSave: (sched) => runTask(sched, coloured.localIrqSave(sched)),
  rcuReadLock: (sched) => runTask(sched, coloured.rcuReadLock(sched)),
  sendIpi: (sched: Sched, mask: number, handler: (cpu: Cpu) => void) =>
    runTask(sched, coloured.sendIpi(sched, mask, handler)),
  synchronizeRcu: (sched) => runTask(sched, coloured.synchronizeRcu(sched)),
};

export const builds: readonly (readonly [string, typeof plain])[] = [
  ['plain', plain],
  ['sched', driven],
];

/** The code of the InvariantError that `call` throws, else the class of the error. */
export function thrown(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (error instanceof Error) return 'code' in error ? String(error.code) : error.name;
    return String(error);
  }
  return 'nothing';
}
