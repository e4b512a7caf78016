/** Entering a page of a file, or the private copy of one, into a page table (Linux: set_pte_range; N.5). */
import {
  anonVmaId,
  countRss,
  folioAddFileRmap,
  folioAddNewAnonRmap,
  maybeMkwrite,
  mlockVmaFolio,
  vmaPageProt,
} from '@mmkit/aspace';
import { E_DIRTY, E_WRITE, writeLeaf } from '@mmkit/pgtable';
import { compoundHead, PG_DIRTY, testFlag } from '@mmkit/phys';
import { VM_SHARED } from '@mmkit/vma';
import type { FileFault } from './file-fault.ts';
import { FAULT_FLAG_WRITE } from './flags.ts';

/**
 * Maps page `pfn`, at `index` of the file, by entry `at` of `table`, which is empty and whose lock is held. The mapping
 * takes over one reference of the caller's. A write to private memory maps a new anonymous page.
 */
export function setPte(fault: FileFault, table: number, at: number, pfn: number, index: number): void {
  const { mm, vma } = fault;
  const { phys, tables, policy } = mm.memory;
  const write = (fault.flags & FAULT_FLAG_WRITE) !== 0;
  let bits = vmaPageProt(vma);
  if (write) bits |= E_DIRTY | maybeMkwrite(vma.flags);
  // What is dirty already need not be marked by the processor.
  else if ((bits & E_WRITE) !== 0 && testFlag(phys, compoundHead(phys, pfn), PG_DIRTY)) bits |= E_DIRTY;
  const copy = write && (vma.flags & VM_SHARED) === 0;
  if (copy) folioAddNewAnonRmap(mm, pfn, anonVmaId(vma), index);
  else folioAddFileRmap(mm, pfn);
  // Up to 5.17 a fault mlocked new anonymous pages only.
  if (copy || policy.mlocks === 'fault') mlockVmaFolio(mm, vma, pfn);
  countRss(mm, pfn, 1);
  writeLeaf(tables, table, at, pfn, bits);
}
