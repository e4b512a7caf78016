export { bufferSource } from './source.ts';
export type { ByteSource } from './source.ts';
export { openDump, readPhysical, holdsPhysical } from './dump.ts';
export type { Dump, DumpFormat, DumpOptions, DumpRange } from './dump.ts';
export { EM_X86_64, EM_AARCH64, EM_RISCV } from './elf.ts';
export { dumpMemory } from './memory.ts';
export { debuggerMmu } from './debugger.ts';
export { MAPPING_LOOP, MAPPING_UNKNOWN, Mapping, listMappings } from './list.ts';
export type { ListedFormat } from './list.ts';
export {
  FIELD_TABLE,
  FIELD_PAGE,
  FIELD_BLOCK,
  FIELD_HIDDEN,
  FIELD_SWAP,
  X86_FIELDS,
  ARM64_FIELDS,
  ARM64_LPA2_FIELDS,
  RISCV_FIELDS,
  fieldNames,
} from './fields.ts';
export type { EntryField } from './fields.ts';
