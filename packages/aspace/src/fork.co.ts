/**
 * Copying one VMA's page tables for fork (Linux: copy_page_range, copy_present_pte; N.10, B.15 #5, B.16).
 *
 * Caller holds mmap_lock of both mms for writing. Around a copy-on-write VMA the write-protect sequence is odd, so that
 * gup-fast undoes pins taken meanwhile; the parent's TLBs are flushed by the caller after the last VMA.
 */
import { ENOMEM, P_FORK_TEST, P_FORK_WRPROTECT } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import {
  createCursor,
  createDecoded,
  createEntry,
  E_DIRTY,
  E_UFFD_WP,
  E_WRITE,
  E_YOUNG,
  ENTRY_LEAF,
  ENTRY_NONE,
  leafTableAlloc,
  nextRun,
  readEntry,
  tableAtAlloc,
  writeEntry,
  writeLeaf,
} from '@mmkit/pgtable';
import type { Cursor } from '@mmkit/pgtable';
import { allocPagesNowait, copyFrame, folioMaybeDmaPinned, getPage, GFP_HIGHUSER_MOVABLE } from '@mmkit/phys';
import { noted, reads, SINGLE_DEPTH_NESTING } from '@mmkit/task';
import { writeSeqBegin, writeSeqEnd } from '@mmkit/task/sched';
import { isCowMapping, VM_MAYBE_GUARD, VM_SHARED } from '@mmkit/vma';
import type { Vma } from '@mmkit/vma';
import { anonVmaId, linearPageIndex } from './anon.ts';
import {
  folioAddNewAnonRmap,
  folioDupAnonRmap,
  folioDupAnonRmapPmd,
  folioTestAnon,
  ptlTrylock,
  ptlUnlock,
  pageAnonExclusive,
} from './folio.ts';
import { depositTable, hugeNormalFolio } from './huge.ts';
import { ptlLock } from './lock.co.ts';
import { MM_FLAGS, MM_ROOT, MM_WRITE_PROTECT_SEQ, Mm, MMF_HAS_PINNED } from './mm.ts';
import { maybeMkwrite, vmNormalPage, vmPageProt } from './prot.ts';
import { countRss, folioAddFileRmap } from './rmap.ts';
import { splitHugePmdLocked } from './split-huge.co.ts';

/**
 * Copies the entries of `vma` from `src` to `dst`, where `copy` is the child's VMA. 0, or -ENOMEM: `dst` then holds a part,
 * and exit frees it.
 */
export function* copyPageRange(dst: Mm, src: Mm, vma: Vma, copy: Vma): Task<number> {
  // Without an anon_vma nothing private was ever written here: the child's own faults will do (vma_needs_copy). Guards they
  // would not bring.
  if (vma.anonVma === null && (vma.flags & VM_MAYBE_GUARD) === 0) return 0;
  const marked = isCowMapping(vma.flags) && src.memory.policy.writeProtectSeq;
  if (marked) yield* writeSeqBegin(src.words, MM_WRITE_PROTECT_SEQ, src.memory.sched);
  const error = yield* copyRuns(dst, src, vma, copy);
  if (marked) yield* writeSeqEnd(src.words, MM_WRITE_PROTECT_SEQ, src.memory.sched);
  return error;
}

function* copyRuns(dst: Mm, src: Mm, vma: Vma, copy: Vma): Task<number> {
  const { memory } = src;
  const cursor = createCursor(vma.start, vma.end);
  while (nextRun(memory.tables, src.words[MM_ROOT]!, cursor)) {
    if (cursor.level > 0) {
      const error = yield* copyHugePmd(dst, src, cursor);
      if (error !== 0) return error;
      continue;
    }
    const to = leafTableAlloc(memory.tables, dst.words[MM_ROOT]!, cursor.address);
    if (to < 0) return to;
    // Only truncation may know the child's table yet (i_mmap), and it holds no other page-table lock.
    if (!ptlTrylock(memory, to)) yield* ptlLock(memory, to);
    yield* ptlLock(memory, cursor.table, SINGLE_DEPTH_NESTING);
    let error = 0;
    for (let i = 0; i < cursor.count && error === 0; i++) {
      const address = cursor.address + i * memory.phys.pageSize;
      error = yield* copyEntry(dst, src, copy, to, cursor.table, cursor.index + i, address);
    }
    ptlUnlock(memory, cursor.table);
    ptlUnlock(memory, to);
    if (error !== 0) return error;
  }
  return 0;
}

/**
 * Copies the large entry the cursor has found (copy_huge_pmd): 0 or -ENOMEM. One whose folio may be pinned is split instead,
 * and its pages are copied one by one next. Another VMA never has a part of it: VMAs that end inside split it.
 */
function* copyHugePmd(dst: Mm, src: Mm, cursor: Cursor): Task<number> {
  const { memory } = src;
  const { tables, format, phys, policy } = memory;
  const { table, index, address } = cursor;
  const to = tableAtAlloc(tables, dst.words[MM_ROOT]!, address, 1);
  if (to < 0) return to;
  const leaves = tables.allocTable();
  if (leaves < 0) return leaves;
  const entry = createEntry();
  const decoded = createDecoded();
  if (!ptlTrylock(memory, to)) yield* ptlLock(memory, to);
  yield* ptlLock(memory, table, SINGLE_DEPTH_NESTING);
  readEntry(tables, table, index, entry);
  format.decode(entry.lo, entry.hi, 1, decoded);
  const folio = decoded.kind === ENTRY_LEAF ? hugeNormalFolio(decoded) : -1;
  let refused = decoded.kind !== ENTRY_LEAF;
  if (folio >= 0) {
    yield reads(src.memory.sched, P_FORK_TEST, src.words, MM_FLAGS);
    const pinned = (src.words[MM_FLAGS]! & MMF_HAS_PINNED) !== 0 && folioMaybeDmaPinned(phys, folio);
    refused = policy.earlyCopy && pinned && pageAnonExclusive(phys, folio);
    if (refused) yield* splitHugePmdLocked(src, table, address);
  }
  if (refused) {
    tables.freeTable(leaves);
    cursor.next = address;
  } else {
    if (folio >= 0) {
      folioDupAnonRmapPmd(dst, folio);
      getPage(phys, folio);
      dst.anonPages += tables.entries;
    }
    yield noted(src.memory.sched, P_FORK_WRPROTECT);
    // A CPU may have set accessed or dirty since: read again, change, write, in one step.
    readEntry(tables, table, index, entry);
    format.decode(entry.lo, entry.hi, 1, decoded);
    decoded.flags &= ~E_WRITE;
    format.encode(decoded, 1, entry);
    writeEntry(tables, table, index, entry);
    decoded.flags &= ~(E_YOUNG | E_UFFD_WP);
    format.encode(decoded, 1, entry);
    depositTable(memory, to, leaves);
    writeEntry(tables, to, index, entry);
  }
  ptlUnlock(memory, table);
  ptlUnlock(memory, to);
  return 0;
}

function* copyEntry(
  dst: Mm,
  src: Mm,
  vma: Vma,
  to: number,
  from: number,
  index: number,
  address: number,
): Task<number> {
  const { tables, phys, format, policy } = src.memory;
  const entry = createEntry();
  const decoded = createDecoded();
  readEntry(tables, from, index, entry);
  format.decode(entry.lo, entry.hi, 0, decoded);
  if (decoded.kind === ENTRY_NONE) return 0;
  const pfn = decoded.kind === ENTRY_LEAF ? vmNormalPage(decoded) : -1;
  if (pfn >= 0) {
    if (folioTestAnon(phys, pfn)) {
      yield reads(src.memory.sched, P_FORK_TEST, src.words, MM_FLAGS);
      const pinned = (src.words[MM_FLAGS]! & MMF_HAS_PINNED) !== 0 && folioMaybeDmaPinned(phys, pfn);
      if (policy.earlyCopy && pinned && pageAnonExclusive(phys, pfn)) return copyNow(dst, vma, pfn, to, index, address);
      folioDupAnonRmap(dst, pfn);
    } else folioAddFileRmap(dst, pfn);
    getPage(phys, pfn);
    countRss(dst, pfn, 1);
  }
  if (isCowMapping(vma.flags) && (decoded.flags & E_WRITE) !== 0) {
    yield noted(src.memory.sched, P_FORK_WRPROTECT);
    // A CPU may have set accessed or dirty since: read again, change, write, in one step.
    readEntry(tables, from, index, entry);
    format.decode(entry.lo, entry.hi, 0, decoded);
    decoded.flags &= ~E_WRITE;
    format.encode(decoded, 0, entry);
    writeEntry(tables, from, index, entry);
  }
  decoded.flags &= ~(E_YOUNG | E_UFFD_WP);
  if ((vma.flags & VM_SHARED) !== 0) decoded.flags &= ~E_DIRTY;
  format.encode(decoded, 0, entry);
  writeEntry(tables, to, index, entry);
  return 0;
}

/** The early copy of a page that may be pinned: the child gets its own, the parent's entry is not touched. */
function copyNow(dst: Mm, vma: Vma, pfn: number, to: number, index: number, address: number): number {
  const { tables, phys } = dst.memory;
  const copy = allocPagesNowait(phys, GFP_HIGHUSER_MOVABLE, 0);
  if (copy < 0) return -ENOMEM;
  copyFrame(phys, copy, pfn);
  folioAddNewAnonRmap(dst, copy, anonVmaId(vma), linearPageIndex(vma, address, phys.pageSize));
  dst.anonPages++;
  writeLeaf(tables, to, index, copy, vmPageProt(vma.flags) | E_DIRTY | maybeMkwrite(vma.flags));
  return 0;
}
