export {
  GFP_DMA,
  GFP_HIGHMEM,
  GFP_DMA32,
  GFP_MOVABLE,
  GFP_RECLAIMABLE,
  GFP_HIGH,
  GFP_IO,
  GFP_FS,
  GFP_ZERO,
  GFP_DIRECT_RECLAIM,
  GFP_KSWAPD_RECLAIM,
  GFP_WRITE,
  GFP_NOWARN,
  GFP_RETRY_MAYFAIL,
  GFP_NOFAIL,
  GFP_NORETRY,
  GFP_MEMALLOC,
  GFP_COMP,
  GFP_NOMEMALLOC,
  GFP_HARDWALL,
  GFP_THISNODE,
  GFP_ACCOUNT,
  GFP_ZEROTAGS,
  GFP_ATOMIC,
  GFP_KERNEL,
  GFP_NOWAIT,
  GFP_NOIO,
  GFP_NOFS,
  GFP_USER,
  GFP_HIGHUSER,
  GFP_HIGHUSER_MOVABLE,
  GFP_TRANSHUGE_LIGHT,
  GFP_TRANSHUGE,
} from './gfp.ts';
export {
  HOT_WORDS,
  COLD_WORDS,
  HOT_REFCOUNT,
  HOT_FLAGS,
  HOT_MAPCOUNT,
  HOT_OWNER,
  COLD_INDEX,
  COLD_NEXT,
  COLD_PREV,
  COLD_PRIVATE,
  OWNER_NONE,
  OWNER_ANON,
  OWNER_FILE,
  OWNER_KIND_MASK,
  OWNER_SHIFT,
  MAX_PAGE_ORDER,
  TAIL_LARGE_MAPCOUNT,
  TAIL_ENTIRE_MAPCOUNT,
  TAIL_NR_PAGES_MAPPED,
  TAIL_PINCOUNT,
  MemNode,
  Phys,
  PhysCpu,
  checkFrame,
} from './frame.ts';
export type { Migrate, Relieve } from './frame.ts';
export { createPhys, linuxZones, MAX_FRAMES, MIN_FRAMES } from './machine.ts';
export type { PhysOptions, ZoneRange } from './machine.ts';
export {
  MIGRATE_CMA,
  MIGRATE_HIGHATOMIC,
  MIGRATE_ISOLATE,
  MIGRATE_MOVABLE,
  MIGRATE_PCPTYPES,
  MIGRATE_RECLAIMABLE,
  MIGRATE_TYPES,
  MIGRATE_UNMOVABLE,
  NR_PAGE_ORDERS,
  PAGE_ALLOC_COSTLY_ORDER,
  Pcp,
  PcpList,
  Zone,
  ZONE_DMA,
  ZONE_DMA32,
  ZONE_MOVABLE,
  ZONE_NORMAL,
} from './zone.ts';
export { touchedRanges } from './free-area.ts';
export { frameZone, pageblockType } from './buddy.ts';
export { watchPhys } from './watch.ts';
export type { Note } from './watch.ts';
export { ALLOC_WMARK_HIGH, ALLOC_WMARK_LOW, setBoost, setupWatermarks, wmarkPages } from './watermark.ts';
export { drainPages } from './pcp.ts';
export {
  PG_LOCKED,
  PG_WRITEBACK,
  PG_REFERENCED,
  PG_UPTODATE,
  PG_DIRTY,
  PG_LRU,
  PG_HEAD,
  PG_WAITERS,
  PG_ACTIVE,
  PG_WORKINGSET,
  PG_OWNER_PRIV_1,
  PG_ANON_EXCLUSIVE,
  PG_ARCH_1,
  PG_RESERVED,
  PG_PRIVATE,
  PG_PRIVATE_2,
  PG_RECLAIM,
  PG_SWAPBACKED,
  PG_UNEVICTABLE,
  PG_MLOCKED,
  PG_HWPOISON,
  PG_BUDDY,
  PG_TABLE,
  PG_PCP,
  PG_TAIL,
  ORDER_SHIFT,
} from './page-flags.ts';
export {
  testFlag,
  setFlag,
  clearFlag,
  pageOrder,
} from './flag-ops.ts';
export { allocPages, allocPagesBulk, allocPagesNode, allocPagesNodemask } from './alloc-pages.gen.ts';
export { allocPagesMpol } from './mempolicy.gen.ts';
export { createMempolicy, Mempolicy, MPOL_BIND, MPOL_DEFAULT, MPOL_INTERLEAVE } from './mempolicy.ts';
export { allocPagesNowait, freePages, freePagesBulk } from './page-alloc.ts';
export { failAllocations, Failures } from './fail.ts';
export type { FailOptions } from './fail.ts';
export {
  GUP_PIN_COUNTING_BIAS,
  pageRefCount,
  pageMapCount,
  getPage,
  putPage,
  tryGetFolio,
  tryGrabFolio,
  tryGrabFolioFast,
  gupPutFolio,
  unpinFolio,
  folioAddPin,
  folioMaybeDmaPinned,
  folioIsLongtermPinnable,
} from './refs.ts';
export { bookPins, openPinScope, PinHolder, PinLedger, PinScope } from './pin-ledger.ts';
export {
  checkPinLedger,
  closePinLedger,
  formatPinReport,
  openPinLedger,
  pinHolders,
  pinReport,
} from './pin-report.ts';
export type { PinReport } from './pin-report.ts';
export {
  compoundHead,
  folioTestLarge,
  folioOrder,
  folioNrPages,
  folioMapcount,
  folioEntireMapcount,
  folioNrPagesMapped,
  folioPincount,
  folioAddRmapPtes,
  folioRemoveRmapPtes,
  folioAddRmapPmd,
  folioRemoveRmapPmd,
} from './folio.ts';
export { folioAddMmMapcount, folioMaybeMappedShared, folioSubMmMapcount } from './large-mapcount.ts';
export { splitFolio, splitPage } from './folio-split.ts';
export { setHwpoison, unpoison } from './poison.ts';
export {
  frameWords,
  frameWordIndex,
  readBytes,
  writeBytes,
  frameBytes,
  zeroFrame,
  copyFrame,
} from './ram.ts';
export { buddyinfoText, pagetypeinfoText, zoneinfoText } from './proc-text.ts';
export { kpageFlags, pageTypeLetters, pageTypeNames, pageTypesSummary } from './page-types.ts';
export { dumpPage, refCountParts } from './dump-page.ts';
export type { RefCountParts } from './dump-page.ts';
export {
  folioIsolateLru,
  folioLruList,
  LRU_ACTIVE_ANON,
  LRU_ACTIVE_FILE,
  LRU_INACTIVE_ANON,
  LRU_INACTIVE_FILE,
  LRU_UNEVICTABLE,
  lruFolios,
  nodeLruPages,
  NR_LRU_LISTS,
} from './lru.ts';
export {
  deactivateFile,
  folioActivate,
  folioAddLru,
  folioDeactivate,
  folioMarkAccessed,
  folioPutbackLru,
  folioRotateReclaimable,
  lruAddDrain,
  lruAddDrainAll,
  markLazyfree,
  mlockFolio,
  mlockNewFolio,
  munlockFolio,
  PAGEVEC_SIZE,
} from './lru-batch.ts';
export { countFrames, framePins, buddyInfo } from './views.ts';
export type { FrameCounts } from './views.ts';
export { checkPhys } from './check.ts';
export {
  PB_ISOLATE_MODE_CMA_ALLOC,
  PB_ISOLATE_MODE_MEM_OFFLINE,
  PB_ISOLATE_MODE_OTHER,
  startIsolatePageRange,
  testPagesIsolated,
  undoIsolatePageRange,
} from './isolate.ts';
export { allocContigPages, allocContigRange } from './contig.gen.ts';
export { freeContigRange } from './contig.ts';
export { Cma, cmaRelease, declareCma } from './cma.ts';
export { cmaAlloc } from './cma.gen.ts';
export { offlinePages } from './offline.gen.ts';
export { onlinePages } from './online.ts';
