export { linux3_14, linux4_8, linux6_12, linux6_18 } from './policy.ts';
export type { Policy } from './policy.ts';
export { createMemory, Memory, MemoryStat } from './memory.ts';
export type { MemoryOptions } from './memory.ts';
export {
  DEFAULT_MEMLOCK,
  DEFAULT_STACK,
  MM_CPUMASK,
  MM_FLAGS,
  MM_ROOT,
  MM_WRITE_PROTECT_SEQ,
  Mm,
  MMAP_MIN_ADDR,
  MMF_HAS_PINNED,
} from './mm.ts';
export type { FaultHandler, MmapLock } from './mm.ts';
export { AnonVma, anonVmaFork, anonVmaId, anonVmaPrepare, linearPageIndex } from './anon.ts';
export {
  folioAddNewAnonRmap,
  folioAnonVma,
  folioDupAnonRmap,
  folioDupAnonRmapPmd,
  folioMoveAnonRmap,
  folioRemoveRmap,
  folioUnmapPmd,
  folioTestAnon,
  pageAnonExclusive,
  ptlTrylock,
  ptlUnlock,
} from './folio.ts';
export { maybeMkwrite, vmNormalPage, vmPageProt } from './prot.ts';
export {
  mmapAssertLocked,
  mmapIsLocked,
  mmapReadTrylock,
  mmapReadUnlock,
  mmapWriteDowngrade,
  mmapWriteTrylock,
  mmapWriteUnlock,
} from './mmap-unlock.ts';
export { mmapReadLock, mmapReadLockKillable, mmapWriteLock, mmapWriteLockKillable } from './mmap-lock.gen.ts';
export { callFaultHandler } from './fault-port.gen.ts';
export { ptlLock, ptlLockLeaf } from './lock.gen.ts';
export { flushTlbRange } from './flush.gen.ts';
export { freePageTables, zapPageRange } from './zap.gen.ts';
export { ZAP_KEEP_COWS, ZAP_KEEP_MARKERS, ZAP_MLOCKED, ZAP_RECLAIM_TABLES } from './zap-flags.ts';
export { countRss, folioAddFileRmap } from './rmap.ts';
export { fileRmap, pageMkclean, unmapMappingRange } from './rmap.gen.ts';
export { addToIMmap, removeFromIMmap, vmaInode, vmaNeedsDirtyTracking, vmaPageProt } from './file-vma.ts';
export { linkFileVma, lockIMmap, unlinkFileVma } from './file-vma.gen.ts';
export { copyPageRange } from './fork.gen.ts';
export { isGuardMarker, PTE_MARKER_GUARD, setGuardMarker, SWP_PTE_MARKER } from './guard.ts';
export { guardInstall, guardRemove } from './guard-range.gen.ts';
export { coldRange, lazyfreeRange, pageoutRange } from './lazyfree.gen.ts';
export { moveTables } from './move-tables.gen.ts';
export { vmaCopy, vmaExpand, vmaMergeNew, vmaModify, vmaSplit } from './vma-edit.gen.ts';
export { changeProtection } from './change-protection.gen.ts';
export { expandDownwards } from './stack.ts';
export { expandStack, lockMmAndFindVma } from './expand-stack.gen.ts';
export {
  depositTable,
  hugeAllowed,
  hugeFaultAllowed,
  hugePageOrder,
  hugePageSize,
  hugePageStart,
  hugeZeroFolio,
  isZeroPage,
  withdrawTable,
} from './huge.ts';
export { invalidateHugePmd, splitHugePmd, splitHugePmdAt, splitHugePmdLocked } from './split-huge.gen.ts';
export { collapseHugePage } from './collapse.gen.ts';
export { dataPages, mayExpandVm, mayLock } from './memlock.ts';
export { MlockBatch, mlockFolio, mlockFound, mlockVmaFolio, munlockFolio, munlockVmaFolio } from './mlock.ts';
export { mlockRange } from './mlock-range.gen.ts';
