export { createMm } from './create.gen.ts';
export type { MmOptions } from './create.gen.ts';
export {
  getUserPages,
  getUserPagesFast,
  getUserPagesRemote,
  getUserPagesUnlocked,
  pinUserPages,
  pinUserPagesFast,
  pinUserPagesRemote,
} from './api.gen.ts';
export { setPageDirtyLock, unpinUserPagesDirtyLock } from './dirty.gen.ts';
export { putUserPages, unpinUserPages } from './release.ts';
export { faultinPageRange, mmPopulate, populateLocked } from './populate.gen.ts';
export type { LockState } from './request.ts';
