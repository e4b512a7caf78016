/**
 * Faults where one large entry maps, or may map, a huge page of anonymous memory (Linux: create_huge_pmd,
 * do_huge_pmd_anonymous_page, do_huge_pmd_wp_page; N.3, N.4). What cannot be done so says VM_FAULT_FALLBACK, the
 * large entry split if there was one: small pages then. Huge pages are never copied.
 *
 * Caller holds mmap_lock for reading; the entry is decided under the lock of the level-1 table.
 */
import { P_FAULT_LOCK, P_FAULT_READ } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import {
  anonVmaId,
  anonVmaPrepare,
  depositTable,
  folioAddNewAnonRmap,
  folioMoveAnonRmap,
  hugeFaultAllowed,
  hugePageOrder,
  hugePageStart,
  hugeZeroFolio,
  linearPageIndex,
  maybeMkwrite,
  Mm,
  mlockVmaFolio,
  pageAnonExclusive,
  ptlUnlock,
  vmNormalPage,
  vmPageProt,
} from '@mmkit/aspace';
import { invalidateHugePmd, ptlLock, splitHugePmdLocked } from '@mmkit/aspace/sched';
import { folioTrylock, folioUnlock } from '@mmkit/filemap';
import {
  createDecoded,
  createEntry,
  type Decoded,
  type Entry,
  E_DIRTY,
  E_SPECIAL,
  E_WRITE,
  E_YOUNG,
  ENTRY_LEAF,
  ENTRY_NONE,
  ENTRY_TABLE,
  entrySame,
  levelIndex,
  readEntry,
  setDecoded,
  tableAt,
  tableAtAlloc,
  writeEntry,
} from '@mmkit/pgtable';
import { freePages, GFP_TRANSHUGE, GFP_ZERO, pageRefCount } from '@mmkit/phys';
import { allocPages } from '@mmkit/phys/sched';
import { noted } from '@mmkit/task';
import { vmaIsDroppable } from '@mmkit/vma';
import type { Vma } from '@mmkit/vma';
import { mmRoot } from './entry.ts';
import { FAULT_FLAG_UNSHARE, FAULT_FLAG_WRITE, VM_FAULT_FALLBACK, VM_FAULT_OOM } from './flags.ts';

/** A fault at an address without a leaf table: 0, VM_FAULT_OOM, or VM_FAULT_FALLBACK. */
export function* handleHugeFault(mm: Mm, vma: Vma, address: number, flags: number): Task<number> {
  const { memory } = mm;
  const { tables, format } = memory;
  const table = tableAt(tables, mmRoot(mm), address, 1);
  const decoded = createDecoded();
  const orig = createEntry();
  if (table >= 0) {
    readEntry(tables, table, levelIndex(format, 1, address), orig);
    format.decode(orig.lo, orig.hi, 1, decoded);
    if (decoded.kind === ENTRY_TABLE) return VM_FAULT_FALLBACK;
  }
  if (decoded.kind === ENTRY_NONE) {
    return hugeFaultAllowed(mm, vma, address) ? yield* mapHuge(mm, vma, address, flags, orig) : VM_FAULT_FALLBACK;
  }
  const zero = (decoded.flags & E_SPECIAL) !== 0;
  if (zero && memory.policy.hugeZeroWrite && (flags & FAULT_FLAG_WRITE) !== 0 && (decoded.flags & E_WRITE) === 0) {
    const result = yield* mapHuge(mm, vma, address, flags, orig);
    // Without memory for a huge page the zero one gives way to small ones below.
    if (result !== VM_FAULT_FALLBACK) return result;
  }
  yield noted(mm.memory.sched, P_FAULT_READ);
  yield* ptlLock(memory, table);
  const same = entrySame(tables, table, levelIndex(format, 1, address), orig);
  const result = same ? yield* present(mm, vma, address, flags, table, decoded) : 0;
  ptlUnlock(memory, table);
  return result;
}

/**
 * Nothing is mapped, as `orig` says: the huge zero page for a read, an own huge page for a write; this one too in place of
 * the huge zero page (do_huge_zero_wp_pmd).
 */
function* mapHuge(mm: Mm, vma: Vma, address: number, flags: number, orig: Entry): Task<number> {
  const { memory } = mm;
  const { tables, phys, format, stat } = memory;
  anonVmaPrepare(memory, vma);
  const order = hugePageOrder(memory);
  const write = (flags & FAULT_FLAG_WRITE) !== 0;
  const folio = write ? yield* allocPages(phys, GFP_TRANSHUGE | GFP_ZERO, order) : hugeZeroFolio(memory);
  if (folio < 0) {
    if (write) stat.thpFaultFallback++;
    return VM_FAULT_FALLBACK;
  }
  const table = tableAtAlloc(tables, mmRoot(mm), address, 1);
  const empty = (orig.lo | orig.hi) === 0;
  let leaves = -1;
  if (table >= 0 && empty) leaves = tables.allocTable();
  if (table < 0 || (empty && leaves < 0)) {
    if (write) freePages(phys, folio, order);
    return VM_FAULT_OOM;
  }
  yield noted(mm.memory.sched, P_FAULT_LOCK);
  yield* ptlLock(memory, table);
  const index = levelIndex(format, 1, address);
  if (!entrySame(tables, table, index, orig)) {
    // Somebody else was faster: the access looks again.
    if (write) freePages(phys, folio, order);
    if (empty) tables.freeTable(leaves);
  } else {
    const decoded = createDecoded();
    const prot = vmPageProt(vma.flags);
    setDecoded(decoded, ENTRY_LEAF, folio, write ? prot | E_DIRTY | maybeMkwrite(vma.flags) : prot | E_SPECIAL);
    if (write) {
      const start = hugePageStart(memory, address);
      folioAddNewAnonRmap(mm, folio, anonVmaId(vma), linearPageIndex(vma, start, phys.pageSize), vmaIsDroppable(vma));
      mlockVmaFolio(mm, vma, folio);
      mm.anonPages += tables.entries;
      stat.thpFaultAlloc++;
    }
    if (empty) depositTable(memory, table, leaves);
    else yield* invalidateHugePmd(mm, table, address);
    format.encode(decoded, 1, orig);
    writeEntry(tables, table, index, orig);
  }
  ptlUnlock(memory, table);
  return 0;
}

/** The large entry `decoded` is there; the lock of its table is held. */
function* present(mm: Mm, vma: Vma, address: number, flags: number, table: number, decoded: Decoded): Task<number> {
  const { memory } = mm;
  const { tables, format } = memory;
  if ((flags & (FAULT_FLAG_WRITE | FAULT_FLAG_UNSHARE)) !== 0 && (decoded.flags & E_WRITE) === 0) {
    if (!mayReuse(mm, vma, vmNormalPage(decoded))) {
      yield* splitHugePmdLocked(mm, table, address);
      return VM_FAULT_FALLBACK;
    }
    if ((flags & FAULT_FLAG_UNSHARE) !== 0) return 0;
    decoded.flags |= maybeMkwrite(vma.flags);
  }
  decoded.flags |= (flags & FAULT_FLAG_WRITE) !== 0 ? E_YOUNG | E_DIRTY : E_YOUNG;
  const entry = createEntry();
  format.encode(decoded, 1, entry);
  writeEntry(tables, table, levelIndex(format, 1, address), entry);
  return 0;
}

/** True when the huge page (-1: the zero one) is this process's own, or becomes so as nobody else holds it. */
function mayReuse(mm: Mm, vma: Vma, folio: number): boolean {
  const { memory } = mm;
  const { phys } = memory;
  if (folio < 0) return false;
  if (pageAnonExclusive(phys, folio)) return true;
  if (pageRefCount(phys, folio) !== 1 || !folioTrylock(memory, folio)) return false;
  folioMoveAnonRmap(phys, folio, anonVmaId(vma));
  folioUnlock(memory, folio);
  return true;
}
