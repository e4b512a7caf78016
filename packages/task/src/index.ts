export type { Task } from '@mmkit/base';
export { InvariantError, pointName } from '@mmkit/base';
export {
  Cpu,
  createSched,
  PendingEvent,
  Sched,
  SimTask,
  TASK_DONE,
  TASK_READY,
  TASK_WAITING,
  WaitQueue,
} from './state.ts';
export { describeWaiters, isRunnable, spawn, stepTask } from './step.ts';
export { addEvent, cancelEvent, drainInbox, fireEvent, interrupt, runPending } from './event.ts';
export { killTask, waitTableQueue, wakeAll, wakeOne, wakeTable, wakeTask } from './wake.ts';
export { Mutex, mutexTrylock, mutexUnlock } from './mutex.ts';
export { spinTrylockBit, spinUnlockBit, tryLockBit, unlockBit } from './bit.ts';
export { localIrqRestore, rcuReadUnlock } from './irq.ts';
export { advance, forget, runAll, runTask, STEP_LIMIT } from './run.ts';
export { spinOn, waitOn, waitOnKillable } from './wait.plain.ts';
export { lockBit, lockBitKillable, mutexLock, mutexLockKillable, spinLockBit } from './lock.gen.ts';
export { readSeqBegin, readSeqRetry, writeSeqBegin, writeSeqEnd } from './seq.gen.ts';
export { localIrqSave, rcuReadLock, sendIpi, synchronizeRcu } from './cpu.gen.ts';
