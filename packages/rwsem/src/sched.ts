export type { Task } from '@mmkit/base';
export {
  HANDOFF,
  MAX_READERS_WAKEUP,
  NONSPINNABLE,
  OWNER_READER,
  READ_FAILED_MASK,
  READER_BIAS,
  WAITERS,
  WRITER_LOCKED,
} from './count.ts';
export { createRwsem, RwSem, WAIT_TIMEOUT, Waiter } from './state.ts';
export { assertHeld, assertHeldWrite, isContended, isLocked, isWriteLocked, readerCount } from './held.ts';
export { downgradeWrite, downReadTrylock, downWriteTrylock, upRead, upWrite } from './release.ts';
export { downRead, downReadInterruptible, downReadKillable, downWrite, downWriteKillable } from './down.co.ts';
