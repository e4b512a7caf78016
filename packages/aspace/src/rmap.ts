/** Counts of mapped pages: of the page (folio_add_file_rmap_pte), of the address space by kind (mm_counter). */
import {
  compoundHead,
  folioAddMmMapcount,
  folioAddRmapPtes,
  folioTestLarge,
  HOT_MAPCOUNT,
  HOT_WORDS,
  PG_SWAPBACKED,
  testFlag,
} from '@mmkit/phys';
import { folioTestAnon } from './folio.ts';
import { Mm } from './mm.ts';

/** `mm` maps a page of a file once more. Under the page-table lock; the caller has the reference for it. */
export function folioAddFileRmap(mm: Mm, pfn: number): void {
  const { phys } = mm.memory;
  if (folioTestLarge(phys, pfn)) {
    folioAddRmapPtes(phys, pfn);
    folioAddMmMapcount(phys, pfn, mm.id, 1);
  } else phys.hot[pfn * HOT_WORDS + HOT_MAPCOUNT]! += 1;
}

/** `delta` mappings more of page `pfn` in this address space: anonymous, shmem or file. Under the page-table lock. */
export function countRss(mm: Mm, pfn: number, delta: number): void {
  const { phys } = mm.memory;
  if (folioTestAnon(phys, pfn)) mm.anonPages += delta;
  else if (testFlag(phys, compoundHead(phys, pfn), PG_SWAPBACKED)) mm.shmemPages += delta;
  else mm.filePages += delta;
}
