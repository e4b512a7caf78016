/** VM_FAULT_* results and FAULT_FLAG_* arguments of the page-fault handler, by Linux 6.18's values (N.1). */

/** Allocation failed. */
export const VM_FAULT_OOM = 0x1;
/** Bus error: beyond the end of a file, I/O error. */
export const VM_FAULT_SIGBUS = 0x2;
/** Storage was touched. */
export const VM_FAULT_MAJOR = 0x4;
/** Copy-on-write was broken for a write (up to 5.19; A.9). */
export const VM_FAULT_WRITE = 0x8;
/** Poisoned base page. */
export const VM_FAULT_HWPOISON = 0x10;
/** Poisoned huge page. */
export const VM_FAULT_HWPOISON_LARGE = 0x20;
/** The access is not allowed. */
export const VM_FAULT_SIGSEGV = 0x40;
/** The handler installed the entry, nothing more to do. */
export const VM_FAULT_NOPAGE = 0x100;
/** The page is returned locked. */
export const VM_FAULT_LOCKED = 0x200;
/** The lock was dropped (kept with RETRY_NOWAIT): look again. */
export const VM_FAULT_RETRY = 0x400;
/** A huge fault is not possible: use small pages. */
export const VM_FAULT_FALLBACK = 0x800;
/** The handler made the copy for copy-on-write. */
export const VM_FAULT_DONE_COW = 0x1000;
/** The fault is done and the lock dropped. */
export const VM_FAULT_COMPLETED = 0x4000;
/** OOM | SIGBUS | SIGSEGV | HWPOISON | HWPOISON_LARGE | FALLBACK. */
export const VM_FAULT_ERROR = 0x873;

/** The access is a write. */
export const FAULT_FLAG_WRITE = 0x1;
/** A read-only shared entry becomes writable. */
export const FAULT_FLAG_MKWRITE = 0x2;
/** The handler may drop mmap_lock and return RETRY. */
export const FAULT_FLAG_ALLOW_RETRY = 0x4;
/** With ALLOW_RETRY: do not wait, and keep the lock. */
export const FAULT_FLAG_RETRY_NOWAIT = 0x8;
/** A wait may be ended by a fatal signal. */
export const FAULT_FLAG_KILLABLE = 0x10;
/** One retry has been made. */
export const FAULT_FLAG_TRIED = 0x20;
/** The access came from user mode. */
export const FAULT_FLAG_USER = 0x40;
/** The mm is not the caller's own. */
export const FAULT_FLAG_REMOTE = 0x80;
/** The access is an instruction fetch. */
export const FAULT_FLAG_INSTRUCTION = 0x100;
/** A wait may be ended by any signal. */
export const FAULT_FLAG_INTERRUPTIBLE = 0x200;
/** Make a read-only anonymous page exclusive, without making it writable (GUP's unshare, B.15 #6). */
export const FAULT_FLAG_UNSHARE = 0x400;
/** ALLOW_RETRY | KILLABLE | INTERRUPTIBLE. */
export const FAULT_FLAG_DEFAULT = 0x214;
