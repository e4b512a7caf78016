export {
  ENTRY_NONE,
  ENTRY_TABLE,
  ENTRY_LEAF,
  ENTRY_NONPRESENT,
  ENTRY_RESERVED,
  ENTRY_UNUSED,
  E_WRITE,
  E_USER,
  E_EXEC,
  E_YOUNG,
  E_DIRTY,
  E_GLOBAL,
  E_SPECIAL,
  E_SOFT_DIRTY,
  E_UFFD_WP,
  E_PROTNONE,
  E_EXCLUSIVE,
  E_SHADOW_STACK,
  E_INVALID,
  E_KERNEL_EXEC,
  E_READ,
  E_KEY_SHIFT,
  E_RIGHTS,
  E_USER_TABLE,
  Entry,
  Decoded,
  createEntry,
  createDecoded,
  setDecoded,
} from './flags.ts';
export {
  ACCESS_READ,
  ACCESS_WRITE,
  ACCESS_EXEC,
  ACCESS_USER,
  ACCESS_OVERRIDE,
  ACCESS_PAN,
  FAULT_NOT_PRESENT,
  FAULT_PROTECTION,
  FAULT_RESERVED,
  FAULT_NON_CANONICAL,
  FAULT_BUS,
  FAULT_KEY,
  FAULT_ACCESS_FLAG,
  accessRights,
} from './access.ts';
export { PFN_LIMIT } from './format.ts';
export type { Format } from './format.ts';
export { addressRange, formatLevels, permitsByRights } from './mmu.ts';
export type { AddressRange, EntryTest, FormatLevels, Mmu } from './mmu.ts';
export { physMemory } from './memory.ts';
export type { TableMemory } from './memory.ts';
export { arm64, arm64_4k_52, arm64_16k_48, arm64_16k_52, arm64_64k_48, arm64_64k_52 } from './formats/arm64.ts';
export type { Arm64Format } from './formats/arm64.ts';
export { arm64Mmu, arm64Root } from './formats/arm64-mmu.ts';
export type { Arm64Mode } from './formats/arm64-mmu.ts';
export { clearContiguous, readContiguous, setContiguous } from './formats/arm64-contiguous.ts';
export {
  ESR_EC_SHIFT,
  ESR_EC_IABT_LOW,
  ESR_EC_DABT_LOW,
  ESR_IL,
  ESR_WNR,
  ESR_FSC_ADDRSZ,
  ESR_FSC_FAULT,
  ESR_FSC_ACCESS,
  ESR_FSC_PERM,
  ESR_FSC_EXTABT,
  ESR_FSC_SEA_TTW,
  abortSyndrome,
} from './formats/arm64-fault.ts';
export { riscvMmu, sv39, sv48, sv57 } from './formats/riscv64.ts';
export type { RiscvMmuOptions } from './formats/riscv64.ts';
export {
  EXC_INST_ACCESS,
  EXC_LOAD_ACCESS,
  EXC_STORE_ACCESS,
  EXC_INST_PAGE_FAULT,
  EXC_LOAD_PAGE_FAULT,
  EXC_STORE_PAGE_FAULT,
  pageFaultCause,
} from './formats/riscv64-fault.ts';
export { x86_64, x86_64La57 } from './formats/x86_64.ts';
export { x86Mmu, x86Root } from './formats/x86_64-mmu.ts';
export type { X86Mmu, X86MmuOptions, X86Mode } from './formats/x86_64-mmu.ts';
export {
  X86_PF_PROT,
  X86_PF_WRITE,
  X86_PF_USER,
  X86_PF_RSVD,
  X86_PF_INSTR,
  X86_PF_PK,
  pageFaultErrorCode,
} from './formats/x86_64-fault.ts';
export {
  Tables,
  createTables,
  allocRoot,
  tableAt,
  tableAtAlloc,
  leafTable,
  leafTableAlloc,
  entryIndex,
  levelIndex,
  leafIndex,
  nextUsed,
  entryNone,
  entrySame,
  readEntry,
  writeEntry,
  writeLeaf,
  clearEntry,
} from './tables.ts';
export type { TablePorts } from './tables.ts';
export {
  Pte,
  createPte,
  pteOffset,
  pteAlloc,
  pteRead,
  pteSame,
  pteWrite,
  pteWriteLeaf,
  pteClear,
} from './pte.ts';
export { Cursor, createCursor, findEntry, nextEntry, nextRun } from './cursor.ts';
export { mapRange, mapLargest } from './map.ts';
export { unmapRange } from './range.ts';
export { protectRange, testAndClear } from './protect.ts';
export { splitAt, joinAt } from './split.ts';
export { unhookTables, freeAllTables } from './free.ts';
export { walkPages } from './walk-pages.ts';
export { Translation, createTranslation, hwWalk, physicalAddress, translate } from './walker.ts';
export {
  FLUSH_TAG,
  FLUSH_OTHERS,
  FLUSH_GLOBAL,
  Tlb,
  TlbEntry,
  createTlb,
  createTlbEntry,
  tlbLookup,
  tlbLookupPage,
  tlbInsert,
  tlbInsertPage,
  tlbFlushPage,
  tlbFlushRange,
  tlbFlushPages,
  tlbFlushTag,
  tlbFlushNonGlobal,
  tlbFlushAll,
  tlbEntryAt,
  tlbRightsChanged,
} from './tlb.ts';
export type { TlbOptions } from './tlb.ts';
export { tlbTranslate } from './tlb-translate.ts';
export { TlbCheck, createTlbCheck, staleEntry } from './tlb-check.ts';
export type { TlbCheckOptions } from './tlb-check.ts';
