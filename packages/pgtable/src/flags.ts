/**
 * What one page-table entry says, independent of the format that stores it. A format's `decode` fills a `Decoded`, its
 * `encode` makes the raw words again; hot loops do without both (see `EntryTest` in format.ts).
 */

/** Nothing here; the raw entry is zero. Linux: `pte_none`, `pmd_none`, … */
export const ENTRY_NONE = 0;
/** Points to a table of the next lower level. */
export const ENTRY_TABLE = 1;
/** Maps memory: present, PROT_NONE, or invalidated while it is split. Linux: `pte_present`, `pmd_leaf`. */
export const ENTRY_LEAF = 2;
/** Software's own value the hardware does not look at: swap, migration, marker (`type` and `offset`). */
export const ENTRY_NONPRESENT = 3;
/** Only from `Mmu.hardware`: the entry is present but sets bits the hardware does not allow. */
export const ENTRY_RESERVED = 4;
/** Only from `Mmu.hardware`: a leaf never used, where marking it is left to software (arm64 without HA: AF is clear). */
export const ENTRY_UNUSED = 5;

/** Writable. Linux: `pte_write`. */
export const E_WRITE = 0x1;
/** User mode may use it. */
export const E_USER = 0x2;
/** Instructions may be fetched; always clear in a PROT_NONE leaf. Linux: `pte_exec`. */
export const E_EXEC = 0x4;
/** Used since the bit was last cleared. Linux: `pte_young`. */
export const E_YOUNG = 0x8;
/** Written since the bit was last cleared, by hardware or by software's own note. Linux: `pte_dirty`. */
export const E_DIRTY = 0x10;
/** Kept by the TLB when the address space changes. */
export const E_GLOBAL = 0x20;
/** No `struct page` behind it that may be counted: the zero page, PFN maps. Linux: `pte_special`. */
export const E_SPECIAL = 0x40;
/** Written since soft-dirty tracking was last reset. Linux: `pte_soft_dirty`, `pte_swp_soft_dirty`. */
export const E_SOFT_DIRTY = 0x80;
/** Write-protected for userfaultfd. Linux: `pte_uffd_wp`, `pte_swp_uffd_wp`. */
export const E_UFFD_WP = 0x100;
/** The hardware sees nothing, Linux sees a page nobody may touch. Linux: `pte_protnone`. */
export const E_PROTNONE = 0x200;
/** Swap-style entry of a page only this address space maps. Linux: `pte_swp_exclusive`. */
export const E_EXCLUSIVE = 0x400;
/** x86: not writable but with the hardware's Dirty bit, which makes it a shadow-stack page. */
export const E_SHADOW_STACK = 0x800;
/** Huge leaf made invalid for the hardware while it is split; Linux still counts it present. `pmd_mkinvalid`. */
export const E_INVALID = 0x1000;
/** Only from `Mmu.hardware`: the supervisor may fetch instructions, where that is a right of its own (arm64: PXN). */
export const E_KERNEL_EXEC = 0x2000;
/** Only from `Mmu.hardware`: data may be read, where that is a right of its own (riscv64: R). A leaf's. */
export const E_READ = 0x4000;
/** Only from `Mmu.hardware`: lowest bit of a leaf's protection key, 4 bits (x86: bits 62:59; arm64: the overlay). */
export const E_KEY_SHIFT = 16;

/** The rights a table entry passes on and a leaf gives. */
export const E_RIGHTS = 0x7;
/** Flags of a table entry for user memory: every right, used, dirty. Linux: `_PAGE_TABLE` (x86: 0x67). */
export const E_USER_TABLE = 0x1f;

/** One raw 64-bit entry. A scratch object: make it once, read into it often. */
export class Entry {
  /** Bits 31:0, int32. */
  lo: number;
  /** Bits 63:32, int32. */
  hi: number;

  constructor() {
    this.lo = 0;
    this.hi = 0;
  }
}

/** One entry's meaning. A scratch object: `decode` sets every field, `encode` reads those of its kind. */
export class Decoded {
  /** ENTRY_NONE, ENTRY_TABLE, ENTRY_LEAF or ENTRY_NONPRESENT (`Mmu.hardware` may also say ENTRY_RESERVED). */
  kind: number;
  /** Table, leaf: first page frame; may be beyond RAM, even beyond 2^31. Otherwise 0. */
  pfn: number;
  /** E_* flags that apply to the kind. */
  flags: number;
  /** Non-present: swap type (x86: 0 to 31). Otherwise 0. Linux: `__swp_type`. */
  type: number;
  /** Non-present: swap offset (x86: below 2^50), not inverted. Otherwise 0. Linux: `__swp_offset`. */
  offset: number;
  /** Bits of the low word that no other field stands for, kept so that `encode` loses nothing. */
  restLo: number;
  /** Bits of the high word that no other field stands for. */
  restHi: number;

  constructor() {
    this.kind = ENTRY_NONE;
    this.pfn = 0;
    this.flags = 0;
    this.type = 0;
    this.offset = 0;
    this.restLo = 0;
    this.restHi = 0;
  }
}

/** Makes a scratch entry (zero: none). */
export function createEntry(): Entry {
  return new Entry();
}

/** Makes a scratch meaning (ENTRY_NONE). */
export function createDecoded(): Decoded {
  return new Decoded();
}

/** Makes `d` a leaf or table of `pfn` with `flags` and nothing else, ready for `encode`. */
export function setDecoded(d: Decoded, kind: number, pfn: number, flags: number): void {
  d.kind = kind;
  d.pfn = pfn;
  d.flags = flags;
  d.type = 0;
  d.offset = 0;
  d.restLo = 0;
  d.restHi = 0;
}
