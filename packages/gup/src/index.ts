export { createMm } from './create.gen.ts';
export type { MmOptions } from './create.gen.ts';
export {
  getDumpPage,
  getUserPages,
  getUserPagesFast,
  getUserPagesFastOnly,
  getUserPagesRemote,
  getUserPagesUnlocked,
  pinUserPages,
  pinUserPagesFast,
  pinUserPagesRemote,
  pinUserPagesUnlocked,
} from './api.gen.ts';
export { faultInSafeWriteable, fixupUserFault } from './fixup.gen.ts';
export { setPageDirtyLock, unpinUserPageRangeDirtyLock, unpinUserPagesDirtyLock } from './dirty.gen.ts';
export { putUserPages, unpinUserPages } from './release.ts';
export { faultinPageRange, mmPopulate, populateLocked } from './populate.gen.ts';
export type { FaultCounters, LockState } from './request.ts';
