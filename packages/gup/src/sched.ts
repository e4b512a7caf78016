export { createMm } from './create.co.ts';
export type { MmOptions } from './create.co.ts';
export { getUserPages, getUserPagesFast, getUserPagesUnlocked, pinUserPages, pinUserPagesFast } from './api.co.ts';
export { setPageDirtyLock, unpinUserPagesDirtyLock } from './dirty.co.ts';
export { putUserPages, unpinUserPages } from './release.ts';
export { mmPopulate } from './populate.co.ts';
