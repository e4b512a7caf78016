/**
 * Allocation flags (`gfp_t`) by Linux 6.12's values, reference N.15. Linux writes the single bits with two underscores
 * (`__GFP_ZERO`). What phys has no part of (I/O, file systems, cpusets, accounting, tags) it does not look at; those
 * are there so that callers can pass what Linux passes.
 */

/** `__GFP_DMA`: memory an ISA device reaches. */
export const GFP_DMA = 0x1;
/** `__GFP_HIGHMEM`: any memory, the kernel need not have it mapped. */
export const GFP_HIGHMEM = 0x2;
/** `__GFP_DMA32`: memory below 4 GiB. */
export const GFP_DMA32 = 0x4;
/** `__GFP_MOVABLE`: the page can be migrated. */
export const GFP_MOVABLE = 0x8;
/** `__GFP_RECLAIMABLE`: the page can be reclaimed by a shrinker. */
export const GFP_RECLAIMABLE = 0x10;
/** `__GFP_HIGH`: may use part of the reserves. */
export const GFP_HIGH = 0x20;
/** `__GFP_IO`: may start I/O. */
export const GFP_IO = 0x40;
/** `__GFP_FS`: may call into a file system. */
export const GFP_FS = 0x80;
/** `__GFP_ZERO`: the contents are zeroed. */
export const GFP_ZERO = 0x100;
/** `__GFP_DIRECT_RECLAIM`: the caller may reclaim. */
export const GFP_DIRECT_RECLAIM = 0x400;
/** `__GFP_KSWAPD_RECLAIM`: kswapd is woken. */
export const GFP_KSWAPD_RECLAIM = 0x800;
/** `__GFP_WRITE`: the page will be dirtied. */
export const GFP_WRITE = 0x1000;
/** `__GFP_NOWARN`: failure is not logged. */
export const GFP_NOWARN = 0x2000;
/** `__GFP_RETRY_MAYFAIL`: try hard, but fail rather than kill. */
export const GFP_RETRY_MAYFAIL = 0x4000;
/** `__GFP_NOFAIL`: never fail. */
export const GFP_NOFAIL = 0x8000;
/** `__GFP_NORETRY`: one attempt. */
export const GFP_NORETRY = 0x10000;
/** `__GFP_MEMALLOC`: all reserves. */
export const GFP_MEMALLOC = 0x20000;
/** `__GFP_COMP`: a compound page: a large folio. */
export const GFP_COMP = 0x40000;
/** `__GFP_NOMEMALLOC`: no reserves. */
export const GFP_NOMEMALLOC = 0x80000;
/** `__GFP_HARDWALL`: keep to the cpuset. */
export const GFP_HARDWALL = 0x100000;
/** `__GFP_THISNODE`: this NUMA node only. */
export const GFP_THISNODE = 0x200000;
/** `__GFP_ACCOUNT`: charged to the memory cgroup. */
export const GFP_ACCOUNT = 0x400000;
/** `__GFP_ZEROTAGS`: memory tags are zeroed too. */
export const GFP_ZEROTAGS = 0x800000;

/** May not sleep: interrupt context. */
export const GFP_ATOMIC = 0x820;
/** The kernel's own memory. */
export const GFP_KERNEL = 0xcc0;
/** May not sleep, is not urgent. */
export const GFP_NOWAIT = 0x2800;
/** May reclaim without I/O. */
export const GFP_NOIO = 0xc00;
/** May reclaim without calling a file system. */
export const GFP_NOFS = 0xc40;
/** User memory the kernel also touches. */
export const GFP_USER = 0x100cc0;
/** User memory that need not be mapped by the kernel and cannot move. */
export const GFP_HIGHUSER = 0x100cc2;
/** User memory that can be migrated: anonymous pages and page cache. */
export const GFP_HIGHUSER_MOVABLE = 0x100cca;
/** A huge page of user memory, taken only if one is at hand: no reclaim, no reserves, no warning. */
export const GFP_TRANSHUGE_LIGHT = 0x1c20ca;
/** The same, and the caller may reclaim and compact for it. */
export const GFP_TRANSHUGE = 0x1c24ca;
