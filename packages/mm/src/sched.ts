export {
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
  PROT_EXEC,
  MAP_PRIVATE,
  MAP_FIXED,
  MAP_ANONYMOUS,
  MAP_POPULATE,
  MAP_FIXED_NOREPLACE,
  MADV_DONTNEED,
  MADV_DONTFORK,
  MADV_DOFORK,
  MMAP_MIN_ADDR,
  STACK_GAP,
} from './flags.ts';
export { mmap, munmap } from './map.co.ts';
export { madvise } from './madvise.co.ts';
export { dupMm, exitMm } from './fork.co.ts';
export type { ForkResult } from './fork.co.ts';
