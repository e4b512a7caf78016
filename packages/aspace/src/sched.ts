export { linux6_18 } from './policy.ts';
export type { Policy } from './policy.ts';
export { createMemory, Memory, MemoryStat } from './memory.ts';
export type { MemoryOptions } from './memory.ts';
export { MM_CPUMASK, MM_FLAGS, MM_ROOT, MM_WRITE_PROTECT_SEQ, Mm, MMF_HAS_PINNED } from './mm.ts';
export type { FaultHandler } from './mm.ts';
export { AnonVma, anonVmaId, anonVmaPrepare, linearPageIndex } from './anon.ts';
export {
  folioAddNewAnonRmap,
  folioAnonVma,
  folioDupAnonRmap,
  folioMoveAnonRmap,
  folioRemoveRmap,
  folioTestAnon,
  folioTrylock,
  folioUnlock,
  pageAnonExclusive,
  ptlTrylock,
  ptlUnlock,
} from './folio.ts';
export { maybeMkwrite, vmNormalPage, vmPageProt } from './prot.ts';
export { callFaultHandler } from './fault-port.sched.ts';
export { folioLock, ptlLock } from './lock.co.ts';
export { flushTlbRange } from './flush.co.ts';
export { freePageTables, zapPageRange } from './zap.co.ts';
export { copyPageRange } from './fork.co.ts';
