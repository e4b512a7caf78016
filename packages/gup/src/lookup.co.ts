/**
 * Slow lookup of pages (Linux: follow_page_mask, follow_page_pte; B.6): the entry is read and the folio grabbed under
 * the page-table lock. Caller holds mmap_lock.
 */
import {
  EEXIST,
  EFAULT,
  EMLINK,
  ENOMEM,
  FOLL_DUMP,
  FOLL_FORCE,
  FOLL_GET,
  FOLL_PIN,
  FOLL_TOUCH,
  FOLL_WRITE,
} from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { folioTestAnon, mlockFound, ptlUnlock, MM_ROOT, Mm, pageAnonExclusive, vmNormalPage } from '@mmkit/aspace';
import { ptlLock, ptlLockLeaf } from '@mmkit/aspace/sched';
import { folioMarkDirty } from '@mmkit/filemap';
import {
  createDecoded,
  createEntry,
  E_DIRTY,
  E_PROTNONE,
  E_SPECIAL,
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
import type { Decoded, Entry } from '@mmkit/pgtable';
import {
  compoundHead,
  frameWordIndex,
  frameWords,
  GUP_PIN_COUNTING_BIAS,
  HOT_FLAGS,
  HOT_REFCOUNT,
  PG_DIRTY,
  PG_HEAD,
  PG_REFERENCED,
  PG_TAIL,
  Phys,
  setFlag,
  testFlag,
  tryGrabFolio,
} from '@mmkit/phys';
import { VM_LOCKED, VM_MAYSHARE, VM_MAYWRITE, VM_SHARED, VM_WRITE, vmaIsAnonymous } from '@mmkit/vma';
import type { Vma } from '@mmkit/vma';
import { fillPages } from './fill-pages.ts';
import { PAGES_A_HOLD } from './others.sched.ts';
import { FOLL_COW, FOLL_MLOCK, Request } from './request.ts';
import { gupMustUnshare } from './unshare.ts';

/** The page is not there, or not as it is needed: fault it in and look again (the kernel's NULL). */
export const NEEDS_FAULT = -0x1000;
/** `request.taken` pages are there, their PFNs in the next slots of `request.pages`. */
export const FOLLOWED = -0x1001;

/** The count of a page of a large folio is its head's, and its pins are counted apart. */
const LARGE: number = PG_HEAD | PG_TAIL;
/** Largest reference count. */
const MAX_COUNT = 0x7fff_ffff;

/**
 * Looks up pages of `vma` from `address` on, at most `nr`, and takes what `flags` ask for: FOLLOWED; or of the first
 * alone its PFN, NEEDS_FAULT, -EMLINK (unshare it first), -EEXIST (an entry without a page of its own), -EFAULT
 * (FOLL_DUMP), or -ENOMEM (too many references).
 */
export function* followPages(
  mm: Mm,
  vma: Vma,
  address: number,
  nr: number,
  flags: number,
  request: Request,
): Task<number> {
  const { memory } = mm;
  const { tables, format, phys } = memory;
  const table = leafTable(tables, mm.words[MM_ROOT]!, address);
  if (table < 0) return yield* followHuge(mm, vma, address, nr, flags, request);
  const index = leafIndex(format, address);
  const room = roomFor(request);
  const most = nr === 1 ? 1 : Math.min(nr, tables.entries - index, room, PAGES_A_HOLD);
  const entry = createEntry();
  const decoded = createDecoded();
  let result = FOLLOWED;
  request.taken = 0;
  if (!(yield* ptlLockLeaf(mm, table, address))) return noPage(vma, flags);
  do {
    const at = index + request.taken;
    readEntry(tables, table, at, entry);
    format.decode(entry.lo, entry.hi, 0, decoded);
    if (most > 1 && isSure(phys, decoded, flags)) {
      const alike = followAlike(mm, table, at, most - request.taken, entry, decoded, flags, request);
      request.taken += alike;
      if (alike > 0) continue;
    }
    result = followEntry(mm, vma, table, at, entry, decoded, flags);
    if (result < 0 || room === 0) break;
    if (request.pages !== null) request.pages[request.at + request.taken] = result;
    request.taken++;
  } while (request.taken < most);
  ptlUnlock(memory, table);
  return request.taken > 0 ? FOLLOWED : result;
}

/** Free slots of `pages`. */
function roomFor({ pages, at }: Request): number {
  return pages === null ? Infinity : pages.length - at;
}

/** Does nothing but the page's own state decide about such an entry? */
function isSure(phys: Phys, { kind, pfn, flags: has }: Decoded, flags: number): boolean {
  // What may be written is nobody else's: it need not be unshared.
  const write = (flags & (FOLL_WRITE | FOLL_PIN)) !== 0 ? E_WRITE : 0;
  const plain = kind === ENTRY_LEAF && pfn < phys.frames && (has & (write | E_SPECIAL | E_PROTNONE)) === write;
  return plain && (flags & FOLL_MLOCK) === 0;
}

/**
 * The hot loop, the rules of `followEntry` written out: takes pages whose entries differ from the first, `entry`, in the
 * PFN alone: how many. It stops at one that needs a closer look: the zero page, one of a large folio or without a count,
 * or one that is clean and must not be.
 */
function followAlike(
  mm: Mm,
  table: number,
  index: number,
  nr: number,
  entry: Entry,
  decoded: Decoded,
  flags: number,
  request: Request,
): number {
  const { phys, tables } = mm.memory;
  const { pfnLowShift, pfnHighMask, pfnHighShift } = tables;
  const { pages } = request;
  const out = request.at + request.taken;
  const { hot, zeroPfn } = phys;
  // An imported name is looked up at every use.
  const refcountAt = HOT_REFCOUNT;
  const flagsAt = HOT_FLAGS;
  const words = frameWords(phys, table);
  const first = frameWordIndex(phys, table) + index * 2 + tables.lowAt;
  const restLo = (1 << pfnLowShift) - 1;
  const restHi = ~pfnHighMask;
  const wantLo = entry.lo & restLo;
  const wantHi = entry.hi & restHi;
  const unit = (flags & FOLL_PIN) !== 0 ? GUP_PIN_COUNTING_BIAS : (flags & FOLL_GET) !== 0 ? 1 : 0;
  const most = MAX_COUNT - unit;
  const clean = (flags & (FOLL_TOUCH | FOLL_WRITE)) === (FOLL_TOUCH | FOLL_WRITE) && (decoded.flags & E_DIRTY) === 0;
  const want = clean ? PG_DIRTY : 0;
  const mask = LARGE | want;
  const touched = (flags & FOLL_TOUCH) !== 0 ? PG_REFERENCED : 0;
  let i = 0;
  for (; i < nr; i++) {
    const low = (first + i * 2) | 0;
    const lo = words[low]!;
    const hi = words[low ^ 1]!;
    if ((lo & restLo) !== wantLo || (hi & restHi) !== wantHi) break;
    const pfn = (lo >>> pfnLowShift) | ((hi & pfnHighMask) << pfnHighShift);
    const frame = pfn << 2;
    const state = hot[frame | flagsAt]!;
    const refs = hot[frame | refcountAt]!;
    // Written so that a frame beyond RAM, which has no count, is refused too.
    if ((state & mask) !== want || !(refs > 0) || refs > most || pfn === zeroPfn) break;
    hot[frame | refcountAt] = refs + unit;
    hot[frame | flagsAt] = state | touched;
    if (pages !== null) pages[out + i] = pfn;
  }
  if ((flags & FOLL_PIN) !== 0) phys.nrFollPinAcquired += i;
  return i;
}

/** The pages are mapped by a large entry, which gives as many as it has at once, or not at all (follow_huge_pmd). */
function* followHuge(mm: Mm, vma: Vma, address: number, nr: number, flags: number, request: Request): Task<number> {
  const { memory } = mm;
  const { tables, format, phys, policy } = memory;
  const table = tableAt(tables, mm.words[MM_ROOT]!, address, 1);
  if (table < 0) return noPage(vma, flags);
  const entry = createEntry();
  const decoded = createDecoded();
  const index = levelIndex(format, 1, address);
  const first = leafIndex(format, address);
  const room = roomFor(request);
  const count = Math.max(1, Math.min(nr, tables.entries - first, room, PAGES_A_HOLD));
  yield* ptlLock(memory, table);
  readEntry(tables, table, index, entry);
  format.decode(entry.lo, entry.hi, 1, decoded);
  let result = NEEDS_FAULT;
  // By now a table may be there: the next look finds it.
  if (decoded.kind === ENTRY_NONE) result = noPage(vma, flags);
  else if (decoded.kind === ENTRY_LEAF) {
    const folio = vmNormalPage(decoded);
    const pfn = decoded.pfn + first;
    const refused = (flags & FOLL_WRITE) !== 0 && !canFollowWrite(mm, vma, decoded.flags, folio, flags);
    if (!refused && folio < 0 && (flags & FOLL_DUMP) !== 0) result = -EFAULT;
    else if (!refused) {
      const unshare = (decoded.flags & E_WRITE) === 0 && gupMustUnshare(policy, phys, vma, flags, decoded.pfn);
      result = unshare ? -EMLINK : tryGrabFolio(phys, pfn, count, flags) || pfn;
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
  // There may be references left for some of them.
  if (result === -ENOMEM && count > 1) return yield* followHuge(mm, vma, address, 1, flags, request);
  if (result < 0 || room === 0) return result;
  if (request.pages !== null) fillPages(request.pages, request.at, count, result);
  request.taken = count;
  return FOLLOWED;
}

function noPage(vma: Vma, flags: number): number {
  return (flags & FOLL_DUMP) !== 0 && vmaIsAnonymous(vma) ? -EFAULT : NEEDS_FAULT;
}

/** One page by all the rules of B.6; `entry`, which means `decoded`, has been read at `index` of `table`. */
function followEntry(
  mm: Mm,
  vma: Vma,
  table: number,
  index: number,
  entry: Entry,
  decoded: Decoded,
  flags: number,
): number {
  const { phys, format, tables, policy } = mm.memory;
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
