export { folioEndWriteback, folioTrylock, folioUnlock } from './folio.ts';
export type { Frames } from './folio.ts';
export { folioLock, folioLockKillable, folioWaitLockedKillable, folioWaitWriteback } from './folio-lock.co.ts';
export { createFileCache, createInode, FileCache, Inode, OpenFile } from './inode.ts';
export type { Rmap } from './inode.ts';
export { watchInode } from './watch.ts';
export {
  cacheStat,
  deleteFromPageCache,
  filemapAddFolio,
  filemapGetFolio,
  folioClearDirty,
  folioInFile,
  folioInode,
  folioMarkDirty,
  folioTestFile,
  folioTestUptodate,
  mappingCanWriteback,
} from './page-cache.ts';
export type { CacheStat } from './page-cache.ts';
export { filemapGrabFolio, filemapLockFolio } from './grab.co.ts';
export { filemapRead, filemapReadFolio, forcePageCacheReadahead, readFolio } from './read.co.ts';
export {
  filemapWrite,
  filemapWriteBegin,
  filemapWriteChecks,
  filemapWriteEnd,
  lengthInFolio,
  mappingMaxFolioSize,
} from './write.co.ts';
export {
  filemapFdatawrite,
  filemapWriteAndWait,
  folioClearDirtyForIo,
  WB_SYNC_ALL,
  WB_SYNC_NONE,
} from './writeback.co.ts';
export {
  invalidateInodePages2Range,
  invalidateMappingPages,
  reclaimFileFolio,
  splitFileFolio,
} from './remove.co.ts';
export { evictInode, fallocate, punchHole, truncateFailedWrite, truncateSetSize } from './truncate.co.ts';
export { addSeals } from './add-seals.co.ts';
export {
  F_ALL_SEALS,
  F_SEAL_EXEC,
  F_SEAL_FUTURE_WRITE,
  F_SEAL_GROW,
  F_SEAL_SEAL,
  F_SEAL_SHRINK,
  F_SEAL_WRITE,
} from './seals.ts';
export { addExtent, allocateBlock, mapBlock, mapExtent, markWritten } from './blocks.ts';
export type { Extent } from './blocks.ts';
export { createMemoryBackend } from './backend.ts';
export type { AsyncBackend, Backend } from './backend.ts';
export { BIO_READ, BIO_WRITE, Bio, createBio } from './bio.ts';
export { BlockDevice, createBlockDevice, submitBio } from './blockdev.ts';
export type { BlockDeviceOptions } from './blockdev.ts';
export { waitBio, waitIdle } from './wait.co.ts';
