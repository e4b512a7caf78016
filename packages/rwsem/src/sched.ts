export type { Task } from '@mmkit/base';
export {
  createRwsem,
  HANDOFF,
  MAX_READERS_WAKEUP,
  READ_FAILED_MASK,
  READER_BIAS,
  RwSem,
  WAIT_TIMEOUT,
  Waiter,
  WAITERS,
  WRITER_LOCKED,
} from './state.ts';
export { assertHeld, assertHeldWrite, isContended, isLocked, isWriteLocked, readerCount } from './held.ts';
export { downgradeWrite, downReadTrylock, downWriteTrylock, upRead, upWrite } from './release.ts';
export { downRead, downReadKillable, downWrite, downWriteKillable } from './down.co.ts';
