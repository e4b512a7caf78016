/**
 * Small pages become a huge one (Linux: madvise_collapse, collapse_huge_page; N.21): a table that single entries fill,
 * wholly or in part, gives way to one large entry, and their contents are copied, zeroes where nothing was. Nobody else may
 * hold a page, but others may map it. As measured, whatever the rights of the VMA are.
 *
 * Differs from Linux: mmap_lock is held for writing throughout, where Linux holds it for reading until the huge page is
 * allocated; LRU lists are not looked at.
 */
import {
  EAGAIN,
  EINVAL,
  ENOMEM,
  P_COLLAPSE_CHECK,
  P_COLLAPSE_CLEAR,
  P_COLLAPSE_COPY,
  P_COLLAPSE_MAP,
} from '@mmkit/base';
import type { Task } from '@mmkit/base';
import {
  clearEntry,
  createDecoded,
  createEntry,
  E_DIRTY,
  E_UFFD_WP,
  ENTRY_LEAF,
  ENTRY_NONE,
  ENTRY_TABLE,
  levelIndex,
  readEntry,
  setDecoded,
  tableAt,
  writeEntry,
} from '@mmkit/pgtable';
import {
  compoundHead,
  copyFrame,
  folioMapcount,
  freePages,
  GFP_TRANSHUGE,
  PG_LOCKED,
  pageRefCount,
  putPage,
  testFlag,
  zeroFrame,
} from '@mmkit/phys';
import { allocPages } from '@mmkit/phys/sched';
import { noted } from '@mmkit/task';
import { synchronizeRcu } from '@mmkit/task/sched';
import { VM_LOCKED, vmaIsDroppable } from '@mmkit/vma';
import type { Vma } from '@mmkit/vma';
import { anonVmaId, linearPageIndex } from './anon.ts';
import { flushTlbRange } from './flush.co.ts';
import { folioAddNewAnonRmap, folioRemoveRmap, folioTestAnon, ptlUnlock } from './folio.ts';
import { depositTable, hugePageOrder, hugePageSize } from './huge.ts';
import { ptlLock } from './lock.co.ts';
import { mlockVmaFolio, munlockFolio } from './mlock.ts';
import { MM_ROOT, Mm } from './mm.ts';
import { maybeMkwrite, vmNormalPage, vmPageProt } from './prot.ts';

/**
 * Collapses the huge page at `address` (its first byte), which lies wholly in `vma`: 0, also when a large entry is there;
 * -EINVAL (no table, or an entry without a page), -EAGAIN (somebody holds a page), -ENOMEM. mmap_lock is held for writing.
 */
export function* collapseHugePage(mm: Mm, vma: Vma, address: number): Task<number> {
  const { memory } = mm;
  const { tables, format, phys, policy, sched } = memory;
  const upper = tableAt(tables, mm.words[MM_ROOT]!, address, 1);
  if (upper < 0) return -EINVAL;
  const index = levelIndex(format, 1, address);
  const entry = createEntry();
  const decoded = createDecoded();
  readEntry(tables, upper, index, entry);
  format.decode(entry.lo, entry.hi, 1, decoded);
  if (decoded.kind === ENTRY_LEAF) return 0;
  if (decoded.kind !== ENTRY_TABLE) return -EINVAL;
  const table = decoded.pfn;
  yield* ptlLock(memory, table);
  const error = scan(mm, table);
  ptlUnlock(memory, table);
  if (error !== 0) return error;
  const order = hugePageOrder(memory);
  const folio = yield* allocPages(phys, GFP_TRANSHUGE, order);
  if (folio < 0) return -ENOMEM;
  yield noted(sched, P_COLLAPSE_CLEAR);
  yield* ptlLock(memory, upper);
  clearEntry(tables, upper, index, entry);
  ptlUnlock(memory, upper);
  yield* flushTlbRange(mm, address, address + hugePageSize(memory));
  // Walkers that read the entry before may still take pages: they must be seen to hold them.
  if (policy.tableFreeWaits) yield* synchronizeRcu(sched);
  yield noted(sched, P_COLLAPSE_CHECK);
  yield* ptlLock(memory, table);
  const held = scan(mm, table);
  ptlUnlock(memory, table);
  if (held === 0) {
    yield noted(sched, P_COLLAPSE_COPY);
    yield* ptlLock(memory, table);
    moveContents(mm, vma, table, folio);
    ptlUnlock(memory, table);
  }
  yield noted(sched, P_COLLAPSE_MAP);
  yield* ptlLock(memory, upper);
  if (held === 0) {
    folioAddNewAnonRmap(mm, folio, anonVmaId(vma), linearPageIndex(vma, address, phys.pageSize), vmaIsDroppable(vma));
    mlockVmaFolio(mm, vma, folio);
    mm.anonPages += tables.entries;
    memory.stat.thpCollapseAlloc++;
    depositTable(memory, upper, table);
    setDecoded(decoded, ENTRY_LEAF, folio, vmPageProt(vma.flags) | E_DIRTY | maybeMkwrite(vma.flags));
    format.encode(decoded, 1, entry);
  } else freePages(phys, folio, order);
  writeEntry(tables, upper, index, entry);
  ptlUnlock(memory, upper);
  return held;
}

/** 0 when every entry of the table may go into a huge page; else why not (hpage_collapse_scan_pmd). Its lock is held. */
function scan({ memory }: Mm, table: number): number {
  const { tables, format, phys } = memory;
  const entry = createEntry();
  const decoded = createDecoded();
  for (let i = 0; i < tables.entries; i++) {
    readEntry(tables, table, i, entry);
    format.decode(entry.lo, entry.hi, 0, decoded);
    if (decoded.kind === ENTRY_NONE) continue;
    if (decoded.kind !== ENTRY_LEAF || (decoded.flags & E_UFFD_WP) !== 0) return -EINVAL;
    const pfn = vmNormalPage(decoded);
    if (pfn < 0) continue;
    const folio = compoundHead(phys, pfn);
    if (!folioTestAnon(phys, folio)) return -EINVAL;
    if (testFlag(phys, folio, PG_LOCKED) || pageRefCount(phys, folio) !== folioMapcount(phys, folio)) return -EAGAIN;
  }
  return 0;
}

/** Copies what the table maps to `folio` and unmaps it; the table is empty then. Its lock is held. */
function moveContents(mm: Mm, vma: Vma, table: number, folio: number): void {
  const { memory } = mm;
  const { tables, format, phys } = memory;
  const entry = createEntry();
  const decoded = createDecoded();
  for (let i = 0; i < tables.entries; i++) {
    clearEntry(tables, table, i, entry);
    format.decode(entry.lo, entry.hi, 0, decoded);
    const pfn = decoded.kind === ENTRY_LEAF ? vmNormalPage(decoded) : -1;
    if (pfn < 0) {
      zeroFrame(phys, folio + i);
      continue;
    }
    copyFrame(phys, folio + i, pfn);
    if ((vma.flags & VM_LOCKED) !== 0) munlockFolio(phys, pfn);
    folioRemoveRmap(mm, pfn);
    mm.anonPages--;
    putPage(phys, pfn);
  }
}
