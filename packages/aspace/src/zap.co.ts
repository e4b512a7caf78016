/**
 * Taking mappings away (Linux: unmap_page_range, zap_pte_range, free_pgtables, the mmu_gather order of N.11): clear the
 * entries under the page-table lock, drop the reverse map, flush TLBs, and only then drop the references. A page that
 * is pinned survives as an orphan until its last unpin.
 *
 * Caller holds mmap_lock: for writing when VMAs go (munmap, exit), for reading for MADV_DONTNEED; or the i_mmap lock of the
 * file that is mapped there, for reading (truncation). Tables are freed when neither can be: mmap_lock held for writing,
 * and the VMAs out of every i_mmap (unlinkFileVma).
 */
import { P_ZAP_CLEAR, P_ZAP_FREE } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { folioMarkDirty } from '@mmkit/filemap';
import {
  clearEntry,
  createCursor,
  createDecoded,
  createEntry,
  leafTable,
  E_DIRTY,
  E_YOUNG,
  ENTRY_LEAF,
  levelIndex,
  nextRun,
  nextUsed,
  readEntry,
  tableAt,
  unhookTables,
} from '@mmkit/pgtable';
import type { Cursor, Entry } from '@mmkit/pgtable';
import { compoundHead, PG_REFERENCED, putPage, setFlag } from '@mmkit/phys';
import { noted, SINGLE_DEPTH_NESTING } from '@mmkit/task';
import { synchronizeRcu } from '@mmkit/task/sched';
import { flushTlbRange } from './flush.co.ts';
import { folioRemoveRmap, folioTestAnon, folioUnmapPmd, ptlUnlock } from './folio.ts';
import { isGuardMarker } from './guard.ts';
import { hugeNormalFolio, hugePageSize, withdrawTable } from './huge.ts';
import { ptlLock, ptlLockLeaf } from './lock.co.ts';
import type { Memory } from './memory.ts';
import { munlockMapped } from './mlock.ts';
import { MM_ROOT, Mm } from './mm.ts';
import { vmNormalPage } from './prot.ts';
import { countRss } from './rmap.ts';
import { splitHugePmd } from './split-huge.co.ts';
import { ZAP_KEEP_COWS, ZAP_KEEP_MARKERS, ZAP_MLOCKED, ZAP_RECLAIM_TABLES } from './zap-flags.ts';

/**
 * Removes the mappings in [start, end) (bytes, page-aligned) and drops the references they held. `details`: ZAP_* bits, by
 * default all goes. What the processor noted in an entry of a file goes to the page: dirty, accessed.
 */
export function* zapPageRange(mm: Mm, start: number, end: number, details: number = 0): Task<void> {
  mm.hiwaterRss = Math.max(mm.hiwaterRss, mm.rss);
  const gathered: number[] = [];
  const cursor = createCursor(start, end);
  const emptied: number[] = [];
  while (nextRun(mm.memory.tables, mm.words[MM_ROOT]!, cursor)) {
    if (cursor.level > 0) {
      yield* zapHugePmd(mm, cursor, start, end, details, gathered);
      continue;
    }
    if (!(yield* ptlLockLeaf(mm, cursor.table, cursor.address))) {
      cursor.next = cursor.address;
      continue;
    }
    yield* zapRun(mm, cursor, details, gathered);
    ptlUnlock(mm.memory, cursor.table);
    const whole = cursor.count === mm.memory.tables.entries;
    if (whole && (details & ZAP_RECLAIM_TABLES) !== 0) yield* unhookEmptied(mm, cursor, emptied);
  }
  yield* flushTlbRange(mm, start, end);
  yield noted(mm.memory.sched, P_ZAP_FREE);
  for (const pfn of gathered) putPage(mm.memory.phys, pfn);
  yield* freeUnhooked(mm, emptied);
}

/** The large entry the cursor has found goes as a whole (zap_huge_pmd), or is split if the range covers a part of it. */
function* zapHugePmd(
  mm: Mm,
  cursor: Cursor,
  start: number,
  end: number,
  details: number,
  gathered: number[],
): Task<void> {
  const { memory } = mm;
  const { table, index, address } = cursor;
  if (start > address || end < address + hugePageSize(memory)) {
    yield* splitHugePmd(mm, address);
    cursor.next = Math.max(start, address);
    return;
  }
  const entry = createEntry();
  const decoded = createDecoded();
  yield* ptlLock(memory, table);
  readEntry(memory.tables, table, index, entry);
  memory.format.decode(entry.lo, entry.hi, 1, decoded);
  if (decoded.kind === ENTRY_LEAF) {
    yield noted(mm.memory.sched, P_ZAP_CLEAR);
    clearEntry(memory.tables, table, index, entry);
    memory.tables.freeTable(withdrawTable(memory, table));
    const folio = hugeNormalFolio(decoded);
    if (folio >= 0) {
      mm.anonPages -= memory.tables.entries;
      folioUnmapPmd(mm, folio);
      if ((details & ZAP_MLOCKED) !== 0) munlockMapped(mm, folio);
      gathered.push(folio);
    }
  } else cursor.next = address;
  ptlUnlock(memory, table);
}

/** Unhooks the leaf table of the cursor's run if nothing is left in it (try_get_and_clear_pmd, free_pte). */
function* unhookEmptied(mm: Mm, cursor: Cursor, emptied: number[]): Task<void> {
  const { memory } = mm;
  const { tables } = memory;
  const root = mm.words[MM_ROOT]!;
  const upper = tableAt(tables, root, cursor.address, 1);
  yield* ptlLock(memory, upper);
  // Another task may have unhooked it already.
  if (leafTable(tables, root, cursor.address) === cursor.table) {
    yield* ptlLock(memory, cursor.table, SINGLE_DEPTH_NESTING);
    if (nextUsed(tables, cursor.table, 0) === tables.entries) {
      clearEntry(tables, upper, levelIndex(memory.format, 1, cursor.address), createEntry());
      emptied.push(cursor.table);
    }
    ptlUnlock(memory, cursor.table);
  }
  ptlUnlock(memory, upper);
}

/** Frees tables that are hooked nowhere any more, when no walk can be inside them. */
function* freeUnhooked(mm: Mm, unhooked: readonly number[]): Task<void> {
  if (unhooked.length === 0) return;
  const { tables, policy, sched } = mm.memory;
  if (policy.tableFreeWaits) yield* synchronizeRcu(sched);
  for (const table of unhooked) tables.freeTable(table);
}

/** Clears the entries of one leaf table, whose lock is held (zap_pte_range); `gathered` takes the pages. */
function* zapRun(mm: Mm, cursor: Cursor, details: number, gathered: number[]): Task<void> {
  const { tables, phys, format, files } = mm.memory;
  const { table, address } = cursor;
  const entry = createEntry();
  const decoded = createDecoded();
  const dirty: number[] = [];
  let munlocked = -1;
  for (let index = cursor.index; index < cursor.index + cursor.count; index++) {
    readEntry(tables, table, index, entry);
    if ((entry.lo | entry.hi) === 0) continue;
    if (details !== 0 && isSpared(mm.memory, entry, details)) continue;
    yield noted(mm.memory.sched, P_ZAP_CLEAR);
    clearEntry(tables, table, index, entry);
    format.decode(entry.lo, entry.hi, 0, decoded);
    if (decoded.kind !== ENTRY_LEAF) continue;
    const pfn = vmNormalPage(decoded);
    if (pfn < 0) continue;
    countRss(mm, pfn, -1);
    gathered.push(pfn);
    if ((details & ZAP_MLOCKED) !== 0) {
      const folio = compoundHead(phys, pfn);
      // Once for what is gone of a folio together (folio_remove_rmap_ptes).
      if (folio !== munlocked) munlockMapped(mm, folio);
      munlocked = folio;
    }
    if (!folioTestAnon(phys, pfn)) {
      if ((decoded.flags & E_YOUNG) !== 0) setFlag(phys, pfn, PG_REFERENCED);
      if ((decoded.flags & E_DIRTY) !== 0) {
        folioMarkDirty(files, pfn);
        dirty.push(pfn);
        continue;
      }
    }
    folioRemoveRmap(mm, pfn);
  }
  if (dirty.length === 0) return;
  // Another CPU may still store through its TLB: until it cannot, writeback must find the page mapped here.
  yield* flushTlbRange(mm, address, address + cursor.count * phys.pageSize);
  for (const pfn of dirty) folioRemoveRmap(mm, pfn);
}

/** True when `details` leave this entry alone. */
function isSpared(memory: Memory, entry: Entry, details: number): boolean {
  const decoded = createDecoded();
  memory.format.decode(entry.lo, entry.hi, 0, decoded);
  if (decoded.kind !== ENTRY_LEAF) return (details & ZAP_KEEP_MARKERS) !== 0 && isGuardMarker(decoded);
  const pfn = vmNormalPage(decoded);
  return (details & ZAP_KEEP_COWS) !== 0 && pfn >= 0 && folioTestAnon(memory.phys, pfn);
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
  yield* freeUnhooked(mm, unhooked);
}
