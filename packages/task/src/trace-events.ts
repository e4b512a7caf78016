/**
 * The events of mmkit's packages, their numbers and names; yours count from 16. Addresses are two arguments, low and high
 * half. The packages record them where `sched.tracepoints` is set, and test nothing but that where it is not.
 */

/** A pending event fired; its id. */
export const TP_EVENT = 0;
/** A task goes to sleep. */
export const TP_SLEEP = 1;
/** Slice: a page fault is handled (Linux: exceptions:page_fault_user). Begin: address, FAULT_FLAG_*; end: VM_FAULT_*. */
export const TP_FAULT = 2;
/** Slice: gup-fast walks the tables, interrupts off. Begin: address, pages wanted; end: pages taken. */
export const TP_GUP_FAST = 3;
/** Slice: the slow path of get_user_pages, with its faults. Begin: address, pages wanted; end: pages or errno. */
export const TP_GUP_SLOW = 4;
/** Pages were pinned: how many, the first one's PFN, FOLL_*. */
export const TP_PIN = 5;
/** Pins were given back: how many, the first page's PFN. */
export const TP_UNPIN = 6;
/** mmap_lock is wanted (Linux: mmap_lock_start_locking): number of the mm, 1 for writing. */
export const TP_MMAP_LOCK_START = 7;
/** mmap_lock was got, or not (mmap_lock_acquire_returned): number of the mm, 1 for writing, 1 for success. */
export const TP_MMAP_LOCK_ACQUIRED = 8;
/** mmap_lock is given back, or made a read hold (mmap_lock_released): number of the mm, 1 for writing. */
export const TP_MMAP_LOCK_RELEASED = 9;
/** Slice: TLBs are flushed (tlb_flush). Begin: address, pages; end: mask of the other CPUs that had to. */
export const TP_TLB_FLUSH = 10;
/** A new page of anonymous memory or of the page cache (mm_page_alloc, mm_filemap_add_to_page_cache): PFN, order. */
export const TP_PAGE_ALLOC = 11;

const NAMES: readonly string[] = Object.freeze([
  'event fired',
  'sleep',
  'fault',
  'gup-fast',
  'gup slow',
  'pin',
  'unpin',
  'mmap_lock_start_locking',
  'mmap_lock_acquire_returned',
  'mmap_lock_released',
  'tlb_flush',
  'mm_page_alloc',
]);

/** The name of one of these events; null for a number of your own. */
export function traceEventName(event: number): string | null {
  return NAMES[event] ?? null;
}
