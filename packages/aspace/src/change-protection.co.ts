/**
 * Giving the entries of a VMA the rights it has now (Linux: change_protection, change_pte_range, can_change_pte_writable;
 * N.14). Frames, accessed and dirty marks stay, pins too. Caller holds mmap_lock for writing; entries change under the
 * page-table lock, and TLBs are flushed at the end.
 */
import { P_PROTECT } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import {
  createCursor,
  createDecoded,
  createEntry,
  E_DIRTY,
  E_EXEC,
  E_PROTNONE,
  E_UFFD_WP,
  E_USER,
  E_WRITE,
  ENTRY_LEAF,
  nextRun,
  readEntry,
  writeEntry,
} from '@mmkit/pgtable';
import type { Decoded } from '@mmkit/pgtable';
import { noted } from '@mmkit/task';
import { VM_SHARED, VM_WRITE } from '@mmkit/vma';
import type { Vma } from '@mmkit/vma';
import { vmaPageProt } from './file-vma.ts';
import { flushTlbRange } from './flush.co.ts';
import { folioTestAnon, pageAnonExclusive, ptlUnlock } from './folio.ts';
import { hugePageSize } from './huge.ts';
import { ptlLock } from './lock.co.ts';
import { MM_ROOT, Mm } from './mm.ts';
import { vmNormalPage } from './prot.ts';
import { splitHugePmd } from './split-huge.co.ts';

/** What an entry has of its VMA. */
const RIGHTS = E_WRITE | E_USER | E_EXEC | E_PROTNONE;

/** Gives every entry of [start, end), which lies in `vma`, the rights of the VMA. */
export function* changeProtection(mm: Mm, vma: Vma, start: number, end: number): Task<void> {
  const { tables, format } = mm.memory;
  const prot = vmaPageProt(vma) & RIGHTS;
  const entry = createEntry();
  const decoded = createDecoded();
  const cursor = createCursor(start, end);
  while (nextRun(tables, mm.words[MM_ROOT]!, cursor)) {
    const { table, index, count, level, address } = cursor;
    if (level > 0 && (start > address || end < address + hugePageSize(mm.memory))) {
      yield* splitHugePmd(mm, address);
      cursor.next = Math.max(start, address);
      continue;
    }
    yield* ptlLock(mm.memory, table);
    for (let at = index; at < index + count; at++) {
      readEntry(tables, table, at, entry);
      if ((entry.lo | entry.hi) === 0) continue;
      yield noted(mm.memory.sched, P_PROTECT);
      // One step with the write below: the hardware may mark the entry at any time.
      readEntry(tables, table, at, entry);
      format.decode(entry.lo, entry.hi, level, decoded);
      if (decoded.kind !== ENTRY_LEAF) continue;
      decoded.flags = (decoded.flags & ~RIGHTS) | prot;
      if (canChangeWritable(mm, vma, decoded)) decoded.flags |= E_WRITE;
      format.encode(decoded, level, entry);
      writeEntry(tables, table, at, entry);
    }
    ptlUnlock(mm.memory, table);
  }
  yield* flushTlbRange(mm, start, end);
}

/** True when a store need not fault: an exclusive anonymous page, or a shared one that is known to be dirty. */
function canChangeWritable(mm: Mm, vma: Vma, decoded: Decoded): boolean {
  if ((vma.flags & VM_WRITE) === 0 || (decoded.flags & E_UFFD_WP) !== 0) return false;
  if ((vma.flags & VM_SHARED) !== 0) return (decoded.flags & E_DIRTY) !== 0;
  const pfn = vmNormalPage(decoded);
  const { phys } = mm.memory;
  return pfn >= 0 && folioTestAnon(phys, pfn) && pageAnonExclusive(phys, pfn);
}
