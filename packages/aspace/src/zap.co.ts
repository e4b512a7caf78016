/**
 * Taking mappings away (Linux: unmap_page_range, zap_pte_range, free_pgtables, the mmu_gather order of N.11): clear the
 * entries under the page-table lock, drop the reverse map, flush TLBs, and only then drop the references. A page that
 * is pinned survives as an orphan until its last unpin.
 *
 * Caller holds mmap_lock: for writing when VMAs go (munmap, exit), for reading for MADV_DONTNEED.
 */
import { P_ZAP_CLEAR, P_ZAP_FREE } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import {
  clearEntry,
  createCursor,
  createDecoded,
  createEntry,
  ENTRY_LEAF,
  nextRun,
  readEntry,
  unhookTables,
} from '@mmkit/pgtable';
import { putPage } from '@mmkit/phys';
import { synchronizeRcu } from '@mmkit/task/sched';
import { flushTlbRange } from './flush.co.ts';
import { folioRemoveRmap, folioTestAnon, ptlUnlock } from './folio.ts';
import { ptlLock } from './lock.co.ts';
import { MM_ROOT, Mm } from './mm.ts';
import { vmNormalPage } from './prot.ts';

/** Removes every mapping in [start, end) (bytes, page-aligned) and drops the references they held. */
export function* zapPageRange(mm: Mm, start: number, end: number): Task<void> {
  const { tables, phys, format } = mm.memory;
  const entry = createEntry();
  const decoded = createDecoded();
  const gathered: number[] = [];
  const cursor = createCursor(start, end);
  while (nextRun(tables, mm.words[MM_ROOT]!, cursor)) {
    const table = cursor.table;
    const last = cursor.index + cursor.count;
    yield* ptlLock(mm.memory, table);
    for (let index = cursor.index; index < last; index++) {
      readEntry(tables, table, index, entry);
      if ((entry.lo | entry.hi) === 0) continue;
      yield P_ZAP_CLEAR;
      clearEntry(tables, table, index, entry);
      format.decode(entry.lo, entry.hi, 0, decoded);
      if (decoded.kind !== ENTRY_LEAF) continue;
      const pfn = vmNormalPage(decoded);
      if (pfn < 0) continue;
      folioRemoveRmap(phys, pfn);
      if (folioTestAnon(phys, pfn)) mm.anonPages--;
      gathered.push(pfn);
    }
    ptlUnlock(mm.memory, table);
  }
  yield* flushTlbRange(mm, start, end);
  yield P_ZAP_FREE;
  for (const pfn of gathered) putPage(phys, pfn);
}

/**
 * Frees the page-table pages that served [start, end) and nothing else: those that lie wholly inside [floor, ceiling), the
 * space between the neighbouring VMAs (free_pgtables). Waits for gup-fast walks that may be inside them.
 */
export function* freePageTables(mm: Mm, start: number, end: number, floor: number, ceiling: number): Task<void> {
  const tables = mm.memory.tables;
  const unhooked: number[] = [];
  unhookTables(tables, mm.words[MM_ROOT]!, floor, ceiling, start, end, unhooked);
  if (unhooked.length === 0) return;
  yield* flushTlbRange(mm, start, end);
  if (mm.memory.policy.tableFreeWaits) yield* synchronizeRcu(mm.memory.sched);
  for (const table of unhooked) tables.freeTable(table);
}
