/**
 * FOLL_* flags of the GUP family by Linux 6.18's values (reference B.1). They are in the lowest floor because
 * reference arithmetic (`tryGrabFolio`) takes them too.
 */

/** The entry must be writable: the caller writes to the page. */
export const FOLL_WRITE = 0x1;
/** Take a reference (`put_page` gives it back). */
export const FOLL_GET = 0x2;
/** Give an error instead of creating a zero-filled page. */
export const FOLL_DUMP = 0x4;
/** Use the VM_MAY* permissions. */
export const FOLL_FORCE = 0x8;
/** Start I/O but do not wait for it; keep the lock. */
export const FOLL_NOWAIT = 0x10;
/** Never fault: a page that is not there is -EFAULT. */
export const FOLL_NOFAULT = 0x20;
/** Report a poisoned page as -EHWPOISON. */
export const FOLL_HWPOISON = 0x40;
/** Only anonymous mappings. */
export const FOLL_ANON = 0x80;
/** The pin may last as long as user space likes. */
export const FOLL_LONGTERM = 0x100;
/** Split a huge page first. */
export const FOLL_SPLIT_PMD = 0x200;
/** PCI peer-to-peer pages are allowed. */
export const FOLL_PCI_P2PDMA = 0x400;
/** Any signal, not only a fatal one, ends the wait between retries. */
export const FOLL_INTERRUPTIBLE = 0x800;
/** Take NUMA hinting faults. */
export const FOLL_HONOR_NUMA_FAULT = 0x1000;
/** Internal: mark the page accessed, and dirty on write. */
export const FOLL_TOUCH = 0x10000;
/** Internal: a retry has been made before. */
export const FOLL_TRIED = 0x20000;
/** Internal: the mm is not the caller's own. */
export const FOLL_REMOTE = 0x40000;
/** Internal: take a pin (1024 references on a small folio, B.7). */
export const FOLL_PIN = 0x80000;
/** Internal: do not fall back to the slow path. */
export const FOLL_FAST_ONLY = 0x100000;
/** Internal: mmap_lock may be dropped. */
export const FOLL_UNLOCKABLE = 0x200000;
/** Internal: madvise(MADV_POPULATE_*) errno rules. */
export const FOLL_MADV_POPULATE = 0x400000;
/** All internal flags: no caller of an exported function may give one (B.2). */
export const INTERNAL_GUP_FLAGS = 0x7f0000;
