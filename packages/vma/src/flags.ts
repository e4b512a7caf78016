/**
 * VM_* flags of a VMA, by Linux 6.18's values (reference N.16): bits 0 to 31, held as one int32 in `Vma.flags`. Those
 * above bit 31 are in flags-high.ts.
 */

/** May be read. */
export const VM_READ = 0x1;
/** May be written. */
export const VM_WRITE = 0x2;
/** May be executed. */
export const VM_EXEC = 0x4;
/** Stores reach the file and other processes: MAP_SHARED, unless the file was opened read-only. */
export const VM_SHARED = 0x8;
/** mprotect may set VM_READ. */
export const VM_MAYREAD = 0x10;
/** mprotect may set VM_WRITE; always set in private mappings. */
export const VM_MAYWRITE = 0x20;
/** mprotect may set VM_EXEC. */
export const VM_MAYEXEC = 0x40;
/** MAP_SHARED, however the file was opened. */
export const VM_MAYSHARE = 0x80;
/** A stack: a fault below it makes it grow down. */
export const VM_GROWSDOWN = 0x100;
/** userfaultfd is told of missing pages. */
export const VM_UFFD_MISSING = 0x200;
/** Maps frame numbers without page accounting. */
export const VM_PFNMAP = 0x400;
/** May hold guard markers in its page tables. */
export const VM_MAYBE_GUARD = 0x800;
/** userfaultfd is told of writes to protected pages. */
export const VM_UFFD_WP = 0x1000;
/** mlocked. */
export const VM_LOCKED = 0x2000;
/** Memory of a device. */
export const VM_IO = 0x4000;
/** MADV_SEQUENTIAL. */
export const VM_SEQ_READ = 0x8000;
/** MADV_RANDOM. */
export const VM_RAND_READ = 0x10000;
/** MADV_DONTFORK: a child does not get it. */
export const VM_DONTCOPY = 0x20000;
/** mremap may not make it larger. */
export const VM_DONTEXPAND = 0x40000;
/** mlock2(MLOCK_ONFAULT): pages are locked when they come in. */
export const VM_LOCKONFAULT = 0x80000;
/** Counts against the commit limit. */
export const VM_ACCOUNT = 0x100000;
/** MAP_NORESERVE. */
export const VM_NORESERVE = 0x200000;
/** Memory of hugetlbfs. */
export const VM_HUGETLB = 0x400000;
/** MAP_SYNC. */
export const VM_SYNC = 0x800000;
/** The architecture's own: PAT on x86, BTI on arm64. */
export const VM_ARCH_1 = 0x1000000;
/** MADV_WIPEONFORK: a child gets it empty. */
export const VM_WIPEONFORK = 0x2000000;
/** MADV_DONTDUMP: left out of core dumps. */
export const VM_DONTDUMP = 0x4000000;
/** Changed since soft-dirty was last cleared. */
export const VM_SOFTDIRTY = 0x8000000;
/** May hold both pages and bare frame numbers. */
export const VM_MIXEDMAP = 0x10000000;
/** MADV_HUGEPAGE. */
export const VM_HUGEPAGE = 0x20000000;
/** MADV_NOHUGEPAGE. */
export const VM_NOHUGEPAGE = 0x40000000;
/** MADV_MERGEABLE (KSM). Bit 31: `flags & VM_MERGEABLE` is negative when set; compare with 0. */
export const VM_MERGEABLE = 0x80000000;

/** VM_READ, VM_WRITE and VM_EXEC. */
export const VM_ACCESS_FLAGS = 0x7;
/** VM_LOCKED and VM_LOCKONFAULT. */
export const VM_LOCKED_MASK = 0x82000;
/** VM_IO, VM_DONTEXPAND, VM_PFNMAP and VM_MIXEDMAP: never merged, nor locked. */
export const VM_SPECIAL = 0x10044400;

/** True when a store makes a private copy, now or after mprotect: not shared, and may be written (is_cow_mapping). */
export function isCowMapping(flags: number): boolean {
  return (flags & (VM_SHARED | VM_MAYWRITE)) === VM_MAYWRITE;
}
