/**
 * Huge pages of anonymous memory (transparent huge pages; N.3, N.21): one entry of level 1, Linux's PMD, maps a large folio.
 * This file: who may have them, the huge zero page, and the tables laid by.
 *
 * Each large entry has a leaf table laid by (`pgtable_trans_huge_deposit`), so that it can give way to small entries
 * without memory. They hang, last in first out, on the table the entry is in: its COLD_PRIVATE word has the first, their
 * COLD_NEXT the next, 0 ends the list. Page-table lock of that table.
 */
import { InvariantError } from '@mmkit/base';
import type { Decoded } from '@mmkit/pgtable';
import {
  allocPagesNowait,
  COLD_NEXT,
  COLD_PRIVATE,
  COLD_WORDS,
  compoundHead,
  GFP_TRANSHUGE_LIGHT,
  GFP_ZERO,
  MAX_PAGE_ORDER,
} from '@mmkit/phys';
import { VM_HUGEPAGE, VM_NOHUGEPAGE, VM_SHARED, vmaIsAnonymous } from '@mmkit/vma';
import type { Vma } from '@mmkit/vma';
import { Memory } from './memory.ts';
import { Mm } from './mm.ts';
import { vmNormalPage } from './prot.ts';

/** Bytes of a huge page: what an entry of level 1 maps (HPAGE_PMD_SIZE). */
export function hugePageSize(memory: Memory): number {
  return memory.format.spans[1]!;
}

/** Order of a huge page's folio (HPAGE_PMD_ORDER). */
export function hugePageOrder(memory: Memory): number {
  return memory.format.indexBits;
}

/** First address of the huge page that `address` would lie in. */
export function hugePageStart(memory: Memory, address: number): number {
  return address - (address % hugePageSize(memory));
}

/** True when the VMA may have huge pages at all (thp_vma_allowable_order): asked for by MADV_COLLAPSE, whatever is set. */
export function hugeAllowed(mm: Mm, vma: Vma): boolean {
  const { memory } = mm;
  if (mm.thpDisabled || hugePageOrder(memory) > MAX_PAGE_ORDER) return false;
  return vmaIsAnonymous(vma) && (vma.flags & (VM_NOHUGEPAGE | VM_SHARED)) === 0;
}

/** True when a fault may map a huge page at `address` of the VMA (thp_vma_suitable_order too). */
export function hugeFaultAllowed(mm: Mm, vma: Vma, address: number): boolean {
  const { memory } = mm;
  const { transparentHugepage } = memory;
  if (transparentHugepage === 'never' || !hugeAllowed(mm, vma)) return false;
  if (transparentHugepage === 'madvise' && (vma.flags & VM_HUGEPAGE) === 0) return false;
  const start = hugePageStart(memory, address);
  return start >= vma.start && start + hugePageSize(memory) <= vma.end;
}

/**
 * The huge zero page (huge_zero_folio), made when first wanted and kept; a negative errno when there is no memory for it.
 * Its entries are special, they count no mapping and hold no reference. Linux frees it when memory is short.
 */
export function hugeZeroFolio(memory: Memory): number {
  if (memory.hugeZeroPfn < 0) {
    const pfn = allocPagesNowait(memory.phys, GFP_TRANSHUGE_LIGHT | GFP_ZERO, hugePageOrder(memory));
    if (pfn < 0) return pfn;
    memory.hugeZeroPfn = pfn;
  }
  return memory.hugeZeroPfn;
}

/** True for the shared zero page and every page of the huge one. */
export function isZeroPage(memory: Memory, pfn: number): boolean {
  if (pfn === memory.phys.zeroPfn) return true;
  return memory.hugeZeroPfn >= 0 && compoundHead(memory.phys, pfn) === memory.hugeZeroPfn;
}

/** The folio a decoded large entry maps; -1 for the huge zero page (vm_normal_page_pmd). */
export function hugeNormalFolio(entry: Decoded): number {
  return vmNormalPage(entry);
}

/** Lays a leaf table by for a large entry of `pmdTable`. */
export function depositTable(memory: Memory, pmdTable: number, table: number): void {
  const { cold } = memory.phys;
  cold[table * COLD_WORDS + COLD_NEXT] = cold[pmdTable * COLD_WORDS + COLD_PRIVATE]!;
  cold[pmdTable * COLD_WORDS + COLD_PRIVATE] = table;
}

/** Takes one of the tables laid by for `pmdTable`. InvariantError NO_DEPOSIT when there is none. */
export function withdrawTable(memory: Memory, pmdTable: number): number {
  const { cold } = memory.phys;
  const table = cold[pmdTable * COLD_WORDS + COLD_PRIVATE]!;
  if (table === 0) throw new InvariantError('NO_DEPOSIT', `no table is laid by for page table ${pmdTable}`);
  cold[pmdTable * COLD_WORDS + COLD_PRIVATE] = cold[table * COLD_WORDS + COLD_NEXT]!;
  cold[table * COLD_WORDS + COLD_NEXT] = 0;
  return table;
}
