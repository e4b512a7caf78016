/** Counts of mapped pages: of the page (folio_add_file_rmap_pte), of the address space by kind (mm_counter). */
import { HOT_MAPCOUNT, HOT_WORDS, PG_SWAPBACKED, Phys, testFlag } from '@mmkit/phys';
import { folioTestAnon } from './folio.ts';
import { Mm } from './mm.ts';

/** A page of a file is mapped once more. Under the page-table lock; the caller has the reference for it. */
export function folioAddFileRmap(phys: Phys, pfn: number): void {
  const at = pfn * HOT_WORDS + HOT_MAPCOUNT;
  phys.hot[at] = phys.hot[at]! + 1;
}

/** `delta` mappings more of page `pfn` in this address space: anonymous, shmem or file. Under the page-table lock. */
export function countRss(mm: Mm, pfn: number, delta: number): void {
  const { phys } = mm.memory;
  if (folioTestAnon(phys, pfn)) mm.anonPages += delta;
  else if (testFlag(phys, pfn, PG_SWAPBACKED)) mm.shmemPages += delta;
  else mm.filePages += delta;
}
