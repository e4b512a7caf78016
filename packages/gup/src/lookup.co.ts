/**
 * Slow lookup of one page (Linux: follow_page_mask, follow_page_pte; B.6): the entry is read and the folio grabbed under
 * the page-table lock. Caller holds mmap_lock.
 */
import { EEXIST, EFAULT, EMLINK, FOLL_DUMP, FOLL_FORCE, FOLL_GET, FOLL_TOUCH, FOLL_WRITE } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { folioTestAnon, mlockFound, ptlUnlock, MM_ROOT, Mm, pageAnonExclusive, vmNormalPage } from '@mmkit/aspace';
import { ptlLock } from '@mmkit/aspace/sched';
import { folioMarkDirty } from '@mmkit/filemap';
import {
  createDecoded,
  createEntry,
  E_DIRTY,
  E_UFFD_WP,
  E_WRITE,
  E_YOUNG,
  ENTRY_LEAF,
  ENTRY_NONE,
  leafIndex,
  leafTable,
  levelIndex,
  readEntry,
  tableAt,
  writeEntry,
} from '@mmkit/pgtable';
import { compoundHead, PG_DIRTY, PG_REFERENCED, setFlag, testFlag, tryGrabFolio } from '@mmkit/phys';
import { VM_LOCKED, VM_MAYSHARE, VM_MAYWRITE, VM_SHARED, VM_WRITE, vmaIsAnonymous } from '@mmkit/vma';
import type { Vma } from '@mmkit/vma';
import { FOLL_COW, FOLL_MLOCK } from './request.ts';
import { gupMustUnshare } from './unshare.ts';

/** The page is not there, or not as it is needed: fault it in and look again (the kernel's NULL). */
export const NEEDS_FAULT = -0x1000;

/**
 * Looks up the page at `address` and takes what `flags` ask for: its PFN, NEEDS_FAULT, -EMLINK (unshare it first),
 * -EEXIST (an entry without a page of its own), -EFAULT (FOLL_DUMP), or -ENOMEM (too many references).
 */
export function* followPage(mm: Mm, vma: Vma, address: number, flags: number): Task<number> {
  const { memory } = mm;
  const table = leafTable(memory.tables, mm.words[MM_ROOT]!, address);
  if (table < 0) return yield* followHuge(mm, vma, address, flags);
  yield* ptlLock(memory, table);
  const result = followEntry(mm, vma, table, leafIndex(memory.format, address), flags);
  ptlUnlock(memory, table);
  return result;
}

/** The page is mapped by a large entry, or not at all (follow_huge_pmd). */
function* followHuge(mm: Mm, vma: Vma, address: number, flags: number): Task<number> {
  const { memory } = mm;
  const { tables, format, phys, policy } = memory;
  const table = tableAt(tables, mm.words[MM_ROOT]!, address, 1);
  if (table < 0) return noPage(vma, flags);
  const entry = createEntry();
  const decoded = createDecoded();
  const index = levelIndex(format, 1, address);
  yield* ptlLock(memory, table);
  readEntry(tables, table, index, entry);
  format.decode(entry.lo, entry.hi, 1, decoded);
  let result = NEEDS_FAULT;
  // By now a table may be there: the next look finds it.
  if (decoded.kind === ENTRY_NONE) result = noPage(vma, flags);
  else if (decoded.kind === ENTRY_LEAF) {
    const folio = vmNormalPage(decoded);
    const pfn = decoded.pfn + Math.floor((address % format.spans[1]!) / phys.pageSize);
    const refused = (flags & FOLL_WRITE) !== 0 && !canFollowWrite(mm, vma, decoded.flags, folio, flags);
    if (!refused && folio < 0 && (flags & FOLL_DUMP) !== 0) result = -EFAULT;
    else if (!refused) {
      const unshare = (decoded.flags & E_WRITE) === 0 && gupMustUnshare(policy, phys, vma, flags, decoded.pfn);
      result = unshare ? -EMLINK : tryGrabFolio(phys, pfn, 1, flags) || pfn;
      if (result === pfn && (flags & FOLL_TOUCH) !== 0) {
        decoded.flags |= (flags & FOLL_WRITE) !== 0 ? E_YOUNG | E_DIRTY : E_YOUNG;
        format.encode(decoded, 1, entry);
        writeEntry(tables, table, index, entry);
      }
      if (result === pfn && (flags & FOLL_MLOCK) !== 0 && (vma.flags & VM_LOCKED) !== 0 && folio >= 0) {
        mlockFound(phys, folio);
      }
    }
  }
  ptlUnlock(memory, table);
  return result;
}

function noPage(vma: Vma, flags: number): number {
  return (flags & FOLL_DUMP) !== 0 && vmaIsAnonymous(vma) ? -EFAULT : NEEDS_FAULT;
}

function followEntry(mm: Mm, vma: Vma, table: number, index: number, flags: number): number {
  const { phys, format, tables, policy } = mm.memory;
  const entry = createEntry();
  const decoded = createDecoded();
  readEntry(tables, table, index, entry);
  format.decode(entry.lo, entry.hi, 0, decoded);
  if (decoded.kind === ENTRY_NONE) return noPage(vma, flags);
  if (decoded.kind !== ENTRY_LEAF) return NEEDS_FAULT;
  const page = vmNormalPage(decoded);
  if ((flags & FOLL_WRITE) !== 0 && !canFollowWrite(mm, vma, decoded.flags, page, flags)) return NEEDS_FAULT;
  let pfn = page;
  if (page < 0) {
    if ((flags & FOLL_DUMP) !== 0) return -EFAULT;
    if (decoded.pfn !== phys.zeroPfn) {
      const { specialEntries } = policy;
      if (specialEntries === 'refused' || (specialEntries === 'counted' && (flags & FOLL_GET) !== 0)) return -EFAULT;
      if ((flags & FOLL_TOUCH) !== 0) {
        decoded.flags |= (flags & FOLL_WRITE) !== 0 ? E_YOUNG | E_DIRTY : E_YOUNG;
        format.encode(decoded, 0, entry);
        writeEntry(tables, table, index, entry);
      }
      return -EEXIST;
    }
    pfn = phys.zeroPfn;
  }
  if ((decoded.flags & E_WRITE) === 0 && gupMustUnshare(policy, phys, vma, flags, pfn)) return -EMLINK;
  const error = tryGrabFolio(phys, pfn, 1, flags);
  if (error !== 0) return error;
  if ((flags & FOLL_TOUCH) !== 0) {
    const folio = compoundHead(phys, pfn);
    const clean = (decoded.flags & E_DIRTY) === 0 && !testFlag(phys, folio, PG_DIRTY);
    if ((flags & FOLL_WRITE) !== 0 && clean) folioMarkDirty(mm.memory.files, folio);
    setFlag(phys, folio, PG_REFERENCED);
  }
  if ((flags & FOLL_MLOCK) !== 0 && (vma.flags & VM_LOCKED) !== 0 && page >= 0) mlockFound(phys, page);
  return pfn;
}

/**
 * can_follow_write_pte: writable, or a forced write to an exclusive page that a fault has already made private. Kernels
 * before 6.0 had no such test (A.9).
 */
function canFollowWrite(mm: Mm, vma: Vma, entryFlags: number, page: number, flags: number): boolean {
  if ((entryFlags & E_WRITE) !== 0) return true;
  if ((flags & FOLL_FORCE) === 0) return false;
  const { forcedWrite } = mm.memory.policy;
  if (forcedWrite !== 'exclusive') return (flags & FOLL_COW) !== 0 && (entryFlags & E_DIRTY) !== 0;
  if ((vma.flags & (VM_MAYSHARE | VM_SHARED)) !== 0) return false;
  if ((vma.flags & VM_MAYWRITE) === 0 || (vma.flags & VM_WRITE) !== 0) return false;
  if (page < 0 || !folioTestAnon(mm.memory.phys, page) || !pageAnonExclusive(mm.memory.phys, page)) return false;
  return (entryFlags & E_UFFD_WP) === 0;
}
