/** Arguments of the system calls, by Linux's values (x86-64, asm-generic). */

/** No access. */
export const PROT_NONE = 0x0;
/** Pages may be read. */
export const PROT_READ = 0x1;
/** Pages may be written. */
export const PROT_WRITE = 0x2;
/** Pages may be executed. */
export const PROT_EXEC = 0x4;

/** Changes are private to the process. */
export const MAP_PRIVATE = 0x02;
/** Put the mapping exactly there, over whatever is there. */
export const MAP_FIXED = 0x10;
/** No file behind it. */
export const MAP_ANONYMOUS = 0x20;
/** Fault the pages in. */
export const MAP_POPULATE = 0x8000;
/** Put the mapping exactly there, or fail with EEXIST. */
export const MAP_FIXED_NOREPLACE = 0x100000;

/** Drop the pages: the next touch gives fresh ones. */
export const MADV_DONTNEED = 4;
/** A forked child does not get the range. */
export const MADV_DONTFORK = 10;
/** It does again. */
export const MADV_DOFORK = 11;

/** Lowest address mmap chooses or takes (vm.mmap_min_addr). */
export const MMAP_MIN_ADDR = 0x10000;
/** Bytes mmap leaves for the stack below the end of user memory: addresses are given out below them, downwards. */
export const STACK_GAP = 0x800_0000;
