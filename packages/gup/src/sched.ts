export { createMm } from './create.co.ts';
export type { MmOptions } from './create.co.ts';
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
} from './api.co.ts';
export { faultInSafeWriteable, fixupUserFault } from './fixup.co.ts';
export { setPageDirtyLock, unpinUserPageRangeDirtyLock, unpinUserPagesDirtyLock } from './dirty.co.ts';
export { putUserPages, unpinUserPages } from './release.ts';
export { faultinPageRange, mmPopulate, populateLocked } from './populate.co.ts';
export type { FaultCounters, LockState } from './request.ts';
