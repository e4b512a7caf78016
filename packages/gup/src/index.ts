export { createMm } from './create.gen.ts';
export type { MmOptions } from './create.gen.ts';
export { getUserPages, getUserPagesFast, getUserPagesUnlocked, pinUserPages, pinUserPagesFast } from './api.gen.ts';
export { setPageDirtyLock, unpinUserPagesDirtyLock } from './dirty.gen.ts';
export { putUserPages, unpinUserPages } from './release.ts';
export { mmPopulate } from './populate.gen.ts';
