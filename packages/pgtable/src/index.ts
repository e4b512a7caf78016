export {
  ENTRY_NONE,
  ENTRY_TABLE,
  ENTRY_LEAF,
  ENTRY_NONPRESENT,
  ENTRY_RESERVED,
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
export { arm64 } from './formats/arm64.ts';
export {
  ESR_EC_SHIFT,
  ESR_EC_IABT_LOW,
  ESR_EC_DABT_LOW,
  ESR_IL,
  ESR_WNR,
  ESR_FSC_FAULT,
  ESR_FSC_PERM,
  ESR_FSC_SEA_TTW,
  abortSyndrome,
} from './formats/arm64-fault.ts';
export { x86_64 } from './formats/x86_64.ts';
export {
  X86_PF_PROT,
  X86_PF_WRITE,
  X86_PF_USER,
  X86_PF_RSVD,
  X86_PF_INSTR,
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
  levelIndex,
  leafIndex,
  readEntry,
  writeEntry,
  clearEntry,
} from './tables.ts';
export type { TablePorts } from './tables.ts';
export { Cursor, createCursor, nextRun } from './cursor.ts';
export { mapRange, unmapRange, protectRange } from './range.ts';
export { unhookTables, freeAllTables } from './free.ts';
export { Translation, createTranslation, hwWalk, physicalAddress, translate } from './walker.ts';
export {
  Tlb,
  createTlb,
  tlbLookup,
  tlbInsert,
  tlbFlushPage,
  tlbFlushRange,
  tlbFlushRoot,
  tlbFlushAll,
} from './tlb.ts';
export type { TlbOptions } from './tlb.ts';
