/** Arguments of the system calls, by Linux's values (x86-64, asm-generic). */

/** No access. */
export const PROT_NONE = 0x0;
/** Pages may be read. */
export const PROT_READ = 0x1;
/** Pages may be written. */
export const PROT_WRITE = 0x2;
/** Pages may be executed. */
export const PROT_EXEC = 0x4;

/** Stores reach the file and other processes. */
export const MAP_SHARED = 0x01;
/** As MAP_SHARED, but unknown flags are refused. */
export const MAP_SHARED_VALIDATE = 0x03;
/** mmap: private memory whose pages may be dropped when memory is short; nothing else is shared or private then (6.11). */
export const MAP_DROPPABLE = 0x08;
/** Changes are private to the process. */
export const MAP_PRIVATE = 0x02;
/** Put the mapping exactly there, over whatever is there. */
export const MAP_FIXED = 0x10;
/** No file behind it. */
export const MAP_ANONYMOUS = 0x20;
/** Below 2 GiB. */
export const MAP_32BIT = 0x40;
/** A stack: grows down. */
export const MAP_GROWSDOWN = 0x0100;
/** Ignored. */
export const MAP_DENYWRITE = 0x0800;
/** Ignored. */
export const MAP_EXECUTABLE = 0x1000;
/** mlock the mapping. */
export const MAP_LOCKED = 0x2000;
/** Do not count it against the commit limit. */
export const MAP_NORESERVE = 0x4000;
/** With MAP_POPULATE: do nothing for pages that would need I/O; no effect today. */
export const MAP_NONBLOCK = 0x10000;
/** Good for a stack: no huge pages. */
export const MAP_STACK = 0x20000;
/** Huge pages of hugetlbfs. */
export const MAP_HUGETLB = 0x40000;
/** Stores are durable when they return: for DAX files. */
export const MAP_SYNC = 0x80000;
/** Fault the pages in. */
export const MAP_POPULATE = 0x8000;
/** Put the mapping exactly there, or fail with EEXIST. */
export const MAP_FIXED_NOREPLACE = 0x100000;

/** No special treatment: takes MADV_RANDOM and MADV_SEQUENTIAL back. */
export const MADV_NORMAL = 0;
/** Pages are used in no order. */
export const MADV_RANDOM = 1;
/** Pages are used in order. */
export const MADV_SEQUENTIAL = 2;
/** Pages are wanted soon: read them ahead. */
export const MADV_WILLNEED = 3;
/** Drop the pages: the next touch gives fresh ones. */
export const MADV_DONTNEED = 4;
/** Anonymous pages may be dropped instead of swapped, until written. */
export const MADV_FREE = 8;
/** Punch a hole into the file behind the range. */
export const MADV_REMOVE = 9;
/** A forked child does not get the range. */
export const MADV_DONTFORK = 10;
/** It does again. */
export const MADV_DOFORK = 11;
/** KSM may merge equal pages. */
export const MADV_MERGEABLE = 12;
/** It may not any more. */
export const MADV_UNMERGEABLE = 13;
/** Huge pages are welcome. */
export const MADV_HUGEPAGE = 14;
/** They are not. */
export const MADV_NOHUGEPAGE = 15;
/** Core dumps leave the range out. */
export const MADV_DONTDUMP = 16;
/** They do not any more. */
export const MADV_DODUMP = 17;
/** A forked child gets the range empty. */
export const MADV_WIPEONFORK = 18;
/** It gets the contents again. */
export const MADV_KEEPONFORK = 19;
/** Pages are not used for now. */
export const MADV_COLD = 20;
/** Pages are to be reclaimed now. */
export const MADV_PAGEOUT = 21;
/** Fault the pages in for reading. */
export const MADV_POPULATE_READ = 22;
/** Fault the pages in for writing. */
export const MADV_POPULATE_WRITE = 23;
/** MADV_DONTNEED, for locked memory too. */
export const MADV_DONTNEED_LOCKED = 24;
/** Make huge pages of the range now. */
export const MADV_COLLAPSE = 25;
/** Pretend the memory has failed. */
export const MADV_HWPOISON = 100;
/** Make the pages guards: every access is a SIGSEGV. */
export const MADV_GUARD_INSTALL = 102;
/** Take the guards away. */
export const MADV_GUARD_REMOVE = 103;

/** mremap may move the mapping. */
export const MREMAP_MAYMOVE = 1;
/** mremap moves the mapping exactly there, over whatever is there. */
export const MREMAP_FIXED = 2;
/** mremap moves the pages and leaves the old mapping, empty. */
export const MREMAP_DONTUNMAP = 4;

/** msync: write back later. */
export const MS_ASYNC = 1;
/** msync: other mappings see the same. */
export const MS_INVALIDATE = 2;
/** msync: write back, and wait. */
export const MS_SYNC = 4;

/** Bytes mmap leaves for the stack below the end of user memory: addresses are given out below them, downwards. */
export const STACK_GAP = 0x800_0000;

/** mlock2: lock pages when they come in, fault none in. */
export const MLOCK_ONFAULT = 1;
/** mlockall: what is mapped now. */
export const MCL_CURRENT = 1;
/** mlockall: what will be mapped. */
export const MCL_FUTURE = 2;
/** mlockall: lock pages when they come in. */
export const MCL_ONFAULT = 4;

/** Good for atomic operations; ignored. */
export const PROT_SEM = 0x8;
/** mprotect: down to the start of a VMA that grows down. */
export const PROT_GROWSDOWN = 0x1000000;
/** mprotect: up to the end of a VMA that grows up; there is none. */
export const PROT_GROWSUP = 0x2000000;
