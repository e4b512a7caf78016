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
export { mmapReadLock, mmapReadLockKillable, mmapWriteLock, mmapWriteLockKillable } from './mmap-lock.co.ts';
export { callFaultHandler } from './fault-port.co.ts';
export { ptlLock, ptlLockLeaf } from './lock.co.ts';
export { flushTlbRange } from './flush.co.ts';
export { freePageTables, zapPageRange } from './zap.co.ts';
export { ZAP_KEEP_COWS, ZAP_KEEP_MARKERS, ZAP_MLOCKED, ZAP_RECLAIM_TABLES } from './zap-flags.ts';
export { countRss, folioAddFileRmap } from './rmap.ts';
export { fileRmap, pageMkclean, unmapMappingRange } from './rmap.co.ts';
export { addToIMmap, removeFromIMmap, vmaInode, vmaNeedsDirtyTracking, vmaPageProt } from './file-vma.ts';
export { linkFileVma, lockIMmap, unlinkFileVma } from './file-vma.co.ts';
export { copyPageRange } from './fork.co.ts';
export { isGuardMarker, PTE_MARKER_GUARD, setGuardMarker, SWP_PTE_MARKER } from './guard.ts';
export { guardInstall, guardRemove } from './guard-range.co.ts';
export { coldRange, lazyfreeRange, pageoutRange } from './lazyfree.co.ts';
export { moveTables } from './move-tables.co.ts';
export { vmaCopy, vmaExpand, vmaMergeNew, vmaModify, vmaSplit } from './vma-edit.co.ts';
export { changeProtection } from './change-protection.co.ts';
export { expandDownwards } from './stack.ts';
export { expandStack, lockMmAndFindVma } from './expand-stack.co.ts';
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
export { invalidateHugePmd, splitHugePmd, splitHugePmdAt, splitHugePmdLocked } from './split-huge.co.ts';
export { collapseHugePage } from './collapse.co.ts';
export { dataPages, mayExpandVm, mayLock } from './memlock.ts';
export { MlockBatch, mlockFolio, mlockFound, mlockVmaFolio, munlockFolio, munlockVmaFolio } from './mlock.ts';
export { mlockRange } from './mlock-range.co.ts';
