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
export {
  Footprint,
  noted,
  noteRead,
  noteWrite,
  objectNumber,
  reads,
  startFootprint,
  WHOLE,
  writes,
} from './footprint.ts';
export { isRunnable, spawn, stepTask } from './step.ts';
export { spawnAgent } from './agent.ts';
export { describeWaiters } from './deadlock.ts';
export { addEvent, cancelEvent, drainInbox, fireEvent, interrupt, runPending } from './event.ts';
export {
  flushSignals,
  killTask,
  signalPending,
  signalTask,
  waitTableQueue,
  wakeAll,
  wakeOne,
  wakeTable,
  wakeTask,
  wakeUp,
  wakeUpNr,
} from './wake.ts';
export { complete, completeAll, Completion, reinitCompletion, tryWaitForCompletion } from './completion.ts';
export {
  bitLockKey,
  createLockdep,
  HeldLock,
  LOCK_EXCLUSIVE,
  LOCK_SHARED,
  LOCK_SHARED_RECURSIVE,
  lockAcquire,
  lockAcquired,
  lockClass,
  Lockdep,
  LockEdge,
  lockHolders,
  lockRelease,
  registerLockOrder,
  SINGLE_DEPTH_NESTING,
} from './lockdep.ts';
export type { LockClass, LockKey } from './lockdep.ts';
export {
  ANON_VMA_RWSEM,
  FOLIO_LOCK,
  formatLockOrder,
  HUGETLB_FAULT_MUTEX,
  HUGETLB_FOLIO_LOCK,
  HUGETLB_I_MMAP_RWSEM,
  HUGETLB_VMA_LOCK,
  I_MMAP_RWSEM,
  I_PAGES_LOCK,
  INODE_LOCK,
  INVALIDATE_LOCK,
  LOCK_ORDER,
  LRUVEC_LOCK,
  MMAP_LOCK,
  PAGE_TABLE_LOCK,
  VMA_LOCK,
} from './lock-order.ts';
export { Mutex, mutexTrylock, mutexUnlock } from './mutex.ts';
export { spinTrylockBit, spinUnlockBit, tryLockBit, unlockBit } from './bit.ts';
export { callRcu, localIrqRestore, preemptDisable, preemptEnable, rcuReadUnlock } from './irq.ts';
export { advance, forget, runAll, runTask, STEP_LIMIT } from './run.ts';
export {
  createTracepoints,
  PHASE_BEGIN,
  PHASE_END,
  PHASE_INSTANT,
  readTracepoints,
  RECORD_WORDS,
  traceBegin,
  traceEnd,
  tracepoint,
  Tracepoints,
} from './tracepoint.ts';
export type { TraceRecord } from './tracepoint.ts';
export {
  TP_EVENT,
  TP_FAULT,
  TP_GUP_FAST,
  TP_GUP_SLOW,
  TP_MMAP_LOCK_ACQUIRED,
  TP_MMAP_LOCK_RELEASED,
  TP_MMAP_LOCK_START,
  TP_PAGE_ALLOC,
  TP_PIN,
  TP_SLEEP,
  TP_TLB_FLUSH,
  TP_UNPIN,
  traceEventName,
} from './trace-events.ts';
export { formatChromeTrace, formatFtrace } from './trace-export.ts';
export type { EventName } from './trace-export.ts';
export { runTaskBlocking } from './drivers/blocking.ts';
export {
  scheduleTimeout,
  spinOn,
  waitOn,
  waitOnExclusive,
  waitOnInterruptible,
  waitOnKillable,
  waitOnTimeout,
} from './wait.sched.ts';
export {
  lockBit,
  lockBitKillable,
  mutexLock,
  mutexLockInterruptible,
  mutexLockKillable,
  spinLockBit,
} from './lock.co.ts';
export { readSeqBegin, readSeqRetry, writeSeqBegin, writeSeqEnd } from './seq.co.ts';
export { localIrqSave, rcuReadLock, sendIpi, synchronizeRcu } from './cpu.co.ts';
export { waitForCompletion, waitForCompletionKillable, waitForCompletionTimeout } from './completion.co.ts';
