/**
 * Page flags: the flags word of a frame. Bits 0..21 are Linux's, in its bit order (N.15); Linux keeps the others in
 * `page_type` and in the compound head. Who may change a flag is as in Linux: PG_DIRTY and the like under the folio
 * lock, PG_ANON_EXCLUSIVE under the page-table lock. No atomics: calls run one at a time.
 *
 * | bits | meaning |
 * |------|---------|
 * | 0..21 | Linux's page flags |
 * | 24 | PG_BUDDY: head of a free block |
 * | 25 | PG_TABLE: a page table |
 * | 26 | PG_PCP: head of a free block on a per-CPU list |
 * | 27 | PG_TAIL: inside a compound page |
 * | 28..31 | order of the block, on its head |
 */

/** The folio lock's bit. */
export const PG_LOCKED = 0x1;
/** Being written back. */
export const PG_WRITEBACK = 0x2;
/** Accessed since last looked at. */
export const PG_REFERENCED = 0x4;
/** The contents are valid. */
export const PG_UPTODATE = 0x8;
/** Changed since last written out. */
export const PG_DIRTY = 0x10;
/** On an LRU list. */
export const PG_LRU = 0x20;
/** Head of a compound page. */
export const PG_HEAD = 0x40;
/** Somebody waits for the lock or for writeback. */
export const PG_WAITERS = 0x80;
/** On the active list. */
export const PG_ACTIVE = 0x100;
/** Was in the working set when reclaimed. */
export const PG_WORKINGSET = 0x200;
/** The owner's: `PG_owner_priv_1`. */
export const PG_OWNER_PRIV_1 = 0x400;
/** Mapped by one process only, so it may be pinned and written (`PG_anon_exclusive`, B.15). */
export const PG_ANON_EXCLUSIVE = 0x800;
/** The architecture's: `PG_arch_1`. */
export const PG_ARCH_1 = 0x1000;
/** Never freed. */
export const PG_RESERVED = 0x2000;
/** Has private data of a file system. */
export const PG_PRIVATE = 0x4000;
/** Has more private data of a file system. */
export const PG_PRIVATE_2 = 0x8000;
/** To be reclaimed as soon as it is written (`PG_reclaim`). */
export const PG_RECLAIM = 0x10000;
/** Would have to go to swap: anonymous memory, until MADV_FREE, and shmem. */
export const PG_SWAPBACKED = 0x20000;
/** On the unevictable list. */
export const PG_UNEVICTABLE = 0x40000;
/** Mapped by a VMA that is mlocked. */
export const PG_MLOCKED = 0x100000;
/** The memory is bad (`PG_hwpoison`): never given out again. */
export const PG_HWPOISON = 0x200000;
/** Head of a free block (`PageBuddy`). The allocator's. */
export const PG_BUDDY = 0x1000000;
/** A page table (`PageTable`). */
export const PG_TABLE = 0x2000000;
/** Head of a free block on a per-CPU list. The allocator's. */
export const PG_PCP = 0x4000000;
/** Inside a compound page; HOT_OWNER is the head's PFN (`PageTail`). The allocator's. */
export const PG_TAIL = 0x8000000;

/** The order of a block is `flags >>> ORDER_SHIFT`. */
export const ORDER_SHIFT = 28;
