/** `@mmkit/rwsem/shared`: the semaphore on a SharedArrayBuffer, between threads. */
export { HANDOFF, READER_BIAS, WAITERS, WRITER_LOCKED } from './count.ts';
export { COUNT, createSharedRwsem, MAX_SLOTS, READ_FAIL, SharedRwSem } from './shared-words.ts';
export {
  attachRwsem,
  downRead,
  downReadAsync,
  downReadTimeout,
  downWrite,
  downWriteAsync,
  downWriteTimeout,
} from './shared-wait.ts';
export {
  assertHeld,
  assertHeldWrite,
  downgradeWrite,
  downReadTrylock,
  downWriteTrylock,
  upRead,
  upWrite,
} from './shared-release.ts';
export { reportDead } from './shared-dead.ts';
export type { DeadReport } from './shared-dead.ts';
