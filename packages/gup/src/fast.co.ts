/**
 * gup-fast: pages taken without any lock, interrupts off (Linux: gup_fast, gup_fast_fallback; B.11). An entry is read;
 * the folio is grabbed; then the entry, and the one above it, must still be what they were. Whatever the walk does not
 * like it leaves to the slow path.
 */
import {
  EFAULT,
  EINVAL,
  EOVERFLOW,
  FOLL_FAST_ONLY,
  FOLL_LONGTERM,
  FOLL_PIN,
  FOLL_TOUCH,
  FOLL_UNLOCKABLE,
  FOLL_WRITE,
  highWord,
  lowWord,
  P_GUP_GRAB,
  P_GUP_READ,
  P_GUP_RECHECK,
  P_GUP_UNSHARE,
} from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { folioTestAnon, MM_ROOT, MM_WRITE_PROTECT_SEQ, Mm } from '@mmkit/aspace';
import type { Memory, Policy } from '@mmkit/aspace';
import { folioInode, mappingCanWriteback } from '@mmkit/filemap';
import {
  ACCESS_USER,
  ACCESS_WRITE,
  createDecoded,
  E_INVALID,
  E_PROTNONE,
  E_RIGHTS,
  E_SPECIAL,
  E_USER,
  E_WRITE,
  ENTRY_LEAF,
  ENTRY_TABLE,
} from '@mmkit/pgtable';
import type { Decoded, EntryTest } from '@mmkit/pgtable';
import {
  bookPins,
  compoundHead,
  frameWordIndex,
  frameWords,
  GUP_PIN_COUNTING_BIAS,
  gupPutFolio,
  HOT_FLAGS,
  HOT_OWNER,
  HOT_REFCOUNT,
  OWNER_ANON,
  OWNER_KIND_MASK,
  PG_HEAD,
  PG_REFERENCED,
  PG_TAIL,
  setFlag,
  tryGrabFolioFast,
} from '@mmkit/phys';
import type { PinScope } from '@mmkit/phys';
import { localIrqRestore, noted, TP_GUP_FAST, traceBegin, traceEnd } from '@mmkit/task';
import { localIrqSave, readSeqBegin, readSeqRetry } from '@mmkit/task/sched';
import { getUserPagesLocked, setHasPinned } from './locked.co.ts';
import { tracePins } from './trace.ts';
import { fillPages } from './fill-pages.ts';
import { fastFlagsProblem } from './legality.ts';
import { OTHERS_RUN } from './others.sched.ts';
import { gupMustUnshare } from './unshare.ts';

/** Largest reference count. */
const MAX_COUNT = 0x7fff_ffff;
/** The count of a page of a large folio is its head's, and its pins are counted apart. */
const LARGE: number = PG_HEAD | PG_TAIL;
/** A device will write for long: files that must know of writes do not allow it. */
const LONG_WRITE = FOLL_PIN | FOLL_LONGTERM | FOLL_WRITE;
/** Accepts nothing. */
const NEVER: EntryTest = Object.freeze({ maskLo: 0, wantLo: 1, maskHi: 0, wantHi: 0 });

/**
 * Takes `nr` pages (1 or more) from the page of `start` on; the fast walk first, the slow path for the rest. mmap_lock
 * must not be held. How many, or a negative errno; an error after the first page is a short count, and what lies in
 * `pages` from there on means nothing. Pins are booked to `scope`.
 */
export function* gupFastFallback(
  mm: Mm,
  start: number,
  nr: number,
  flags: number,
  pages: Uint32Array,
  scope: PinScope | null,
): Task<number> {
  const { memory } = mm;
  const problem = fastFlagsProblem(flags);
  if (problem !== null) {
    memory.warn(problem);
    return -EINVAL;
  }
  if ((flags & FOLL_PIN) !== 0) yield* setHasPinned(mm);
  const pageSize = memory.phys.pageSize;
  // `%` on numbers of this size is a call.
  const from = start - (lowWord(start) & (pageSize - 1));
  // In C a negative nr is a length just below 2^64: the sum wraps, unless start is smaller than what is missing.
  if (nr < 0) return from + nr * pageSize >= 0 ? -EOVERFLOW : -EFAULT;
  if (from + nr * pageSize > memory.format.taskSize) return -EFAULT;
  const { sched } = memory;
  if (sched.tracepoints !== null) traceBegin(sched, TP_GUP_FAST, lowWord(from), highWord(from), nr);
  const fast = yield* gupFast(mm, from, nr, flags, pages);
  if (sched.tracepoints !== null) {
    traceEnd(sched, TP_GUP_FAST, fast);
    tracePins(sched, fast, pages, 0, flags);
  }
  memory.stat.gupFast += fast;
  if (memory.phys.pinLedger !== null && (flags & FOLL_PIN) !== 0) bookPins(memory.phys, pages, 0, fast, scope);
  if (fast === nr || (flags & FOLL_FAST_ONLY) !== 0) return fast;
  const slowFlags = flags | FOLL_TOUCH | FOLL_UNLOCKABLE;
  const rest = from + fast * pageSize;
  const slow = yield* getUserPagesLocked(mm, rest, nr - fast, pages, fast, { value: 0 }, slowFlags, scope);
  if (slow < 0) return fast > 0 ? fast : slow;
  return fast + slow;
}

/** The lock-free part, from a page boundary on: how many pages were taken, 0 and up. */
export function* gupFast(mm: Mm, start: number, nr: number, flags: number, pages: Uint32Array): Task<number> {
  const { memory, words } = mm;
  const watch = (flags & FOLL_PIN) !== 0 && memory.policy.writeProtectSeq;
  let sequence = 0;
  if (watch) {
    sequence = yield* readSeqBegin(words, MM_WRITE_PROTECT_SEQ, memory.sched);
    if ((sequence & 1) !== 0) return 0;
  }
  yield* localIrqSave(memory.sched);
  const taken = yield* walkTables(mm, start, nr, flags, pages);
  localIrqRestore(memory.sched);
  if (watch && (yield* readSeqRetry(words, MM_WRITE_PROTECT_SEQ, sequence, memory.sched))) {
    for (let i = 0; i < taken; i++) gupPutFolio(memory.phys, pages[i]!, 1, flags);
    return 0;
  }
  return taken;
}

/** Descends to each leaf table of the range in turn; stops at the first entry it cannot handle. */
function* walkTables(mm: Mm, start: number, nr: number, flags: number, pages: Uint32Array): Task<number> {
  const { format, tables, phys, policy } = mm.memory;
  const { levels, inverses, indexMask, lowAt, pfnLowShift, pfnHighMask, pfnHighShift } = tables;
  const { maskLo, wantLo, maskHi, wantHi } = tables.tableTest;
  const write = (flags & FOLL_WRITE) !== 0;
  let done = 0;
  while (done < nr) {
    const address = start + done * phys.pageSize;
    let table = mm.words[MM_ROOT]!;
    let inherited = E_RIGHTS;
    let huge: Decoded | null = null;
    // The entry read last; every format has a table above the leaf table.
    let words = phys.hot;
    let low = 0;
    let lo = 0;
    let hi = 0;
    for (let level = levels - 1; level > 0; level--) {
      yield noted(mm.memory.sched, P_GUP_READ);
      words = frameWords(phys, table);
      low = frameWordIndex(phys, table) + (lowWord(address * inverses[level]!) & indexMask) * 2 + lowAt;
      do {
        lo = words[low]!;
        hi = words[low ^ 1]!;
      } while (words[low] !== lo);
      table = (lo >>> pfnLowShift) | ((hi & pfnHighMask) << pfnHighShift);
      if ((lo & maskLo) !== wantLo || (hi & maskHi) !== wantHi) {
        const decoded = createDecoded();
        format.decode(lo, hi, level, decoded);
        if (decoded.kind === ENTRY_LEAF && level === 1) {
          huge = decoded;
          break;
        }
        if (decoded.kind !== ENTRY_TABLE) return done;
        inherited &= decoded.flags;
        table = decoded.pfn;
      }
      if (table >= phys.frames) return done;
    }
    const index = lowWord(address * inverses[0]!) & indexMask;
    if (huge !== null) {
      huge.flags &= inherited | ~E_RIGHTS;
      const taken = yield* takeHuge(mm, huge, words, low, lo, hi, index, nr - done, flags);
      if (taken === 0) return done;
      fillPages(pages, done, taken, huge.pfn + index);
      done += taken;
      continue;
    }
    const count = Math.min(tables.entries - index, nr - done);
    const test = format.leafTest(write ? ACCESS_USER | ACCESS_WRITE : ACCESS_USER, inherited);
    const writeTest = write ? test : format.leafTest(ACCESS_USER | ACCESS_WRITE, inherited);
    if (!policy.fastRecheckAbove) {
      words = Int32Array.of(lo, hi);
      low = 0;
    }
    const leaf = frameWords(phys, table);
    const first = frameWordIndex(phys, table) + index * 2 + lowAt;
    const sure = sureTest(policy, test, writeTest, flags);
    let taken = yield* takeSureEntries(mm, leaf, first, count, words, low, lo, hi, sure, flags, pages, done);
    if (taken < 0) {
      taken = ~taken;
      const at = first + taken * 2;
      const rest = count - taken;
      taken += yield* takeEntries(mm, leaf, at, rest, words, low, lo, hi, test, writeTest, flags, pages, done + taken);
    }
    done += taken;
    if (taken < count) break;
  }
  return done;
}

/**
 * Pages of a huge page from the one of number `first` on, at most `nr`, all at once (gup_fast_pmd_leaf): how many. Its
 * entry lies at `low` of `words`; it was `lo` and `hi`, which say `huge`.
 */
function* takeHuge(
  mm: Mm,
  huge: Decoded,
  words: Int32Array,
  low: number,
  lo: number,
  hi: number,
  first: number,
  nr: number,
  flags: number,
): Task<number> {
  const { phys, tables, policy } = mm.memory;
  const need = (flags & FOLL_WRITE) !== 0 ? E_USER | E_WRITE : E_USER;
  if ((huge.flags & (need | E_SPECIAL | E_PROTNONE | E_INVALID)) !== need) return 0;
  const count = Math.min(tables.entries - first, nr);
  yield noted(mm.memory.sched, P_GUP_GRAB);
  if (!tryGrabFolioFast(phys, huge.pfn + first, count, flags)) return 0;
  yield noted(mm.memory.sched, P_GUP_RECHECK);
  let good = (words[low] === lo && words[low ^ 1] === hi) || !policy.fastRecheck;
  good &&= folioAllowed(mm.memory, huge.pfn, flags);
  if (good && (huge.flags & E_WRITE) === 0) {
    yield noted(mm.memory.sched, P_GUP_UNSHARE);
    good = !gupMustUnshare(policy, phys, null, flags, huge.pfn);
  }
  if (!good) {
    // By the page that was grabbed: the folio may have been split before.
    gupPutFolio(phys, huge.pfn + first, count, flags);
    return 0;
  }
  setFlag(phys, huge.pfn, PG_REFERENCED);
  return count;
}

/**
 * The hot loop over `count` entries of a leaf table (gup_fast_pte_range), the first at `first` of `words`: the steps of
 * B.11 and the arithmetic of B.7 written out, for entries about which there is no question of sharing. How many were
 * taken; n as ~n when another sort of entry comes next, which `takeEntries` decides: a call made in here, or the rules for
 * such entries, would cost the loop a third of its speed even where they are never used. The entry above lies at `above`
 * of `aboveWords` and was `aboveLo`, `aboveHi`. An entry begins at an even index: its high word is at n ^ 1.
 */
function* takeSureEntries(
  mm: Mm,
  words: Int32Array,
  first: number,
  count: number,
  aboveWords: Int32Array,
  above: number,
  aboveLo: number,
  aboveHi: number,
  test: EntryTest,
  flags: number,
  pages: Uint32Array,
  at: number,
): Task<number> {
  const { phys, tables } = mm.memory;
  const { maskLo, wantLo, maskHi, wantHi } = test;
  const { pfnLowShift, pfnHighMask, pfnHighShift } = tables;
  const { hot, zeroPfn } = phys;
  const unit = (flags & FOLL_PIN) !== 0 ? GUP_PIN_COUNTING_BIAS : 1;
  const most = MAX_COUNT - unit;
  // A long write may be refused by the file a page belongs to: only anonymous pages are sure.
  const ownerMask = (flags & LONG_WRITE) === LONG_WRITE ? OWNER_KIND_MASK : 0;
  const ownerKind = ownerMask & OWNER_ANON;
  // An imported name is looked up at every use (3 %).
  const refcountAt = HOT_REFCOUNT;
  const flagsAt = HOT_FLAGS;
  const ownerAt = HOT_OWNER;
  // Slots from `at` on: one addition less a page (3 %).
  const out = at === 0 ? pages : pages.subarray(at);
  let unsure = false;
  let lost = -1;
  let i = 0;
  for (; i < count; i++) {
    // `| 0` spares a test for overflow (5 %).
    const low = (first + i * 2) | 0;
    yield noted(mm.memory.sched, P_GUP_READ);
    const lo = words[low]!;
    const hi = words[low ^ 1]!;
    if ((lo & maskLo) !== wantLo || (hi & maskHi) !== wantHi) {
      unsure = true;
      break;
    }
    const pfn = (lo >>> pfnLowShift) | ((hi & pfnHighMask) << pfnHighShift);
    const frame = pfn << 2;
    yield noted(mm.memory.sched, P_GUP_GRAB);
    if ((hot[frame | flagsAt]! & LARGE) !== 0) {
      unsure = true;
      break;
    }
    const refs = hot[frame | refcountAt]!;
    // Written so that a frame beyond RAM, which has no count, is refused too.
    if (!(refs > 0) || refs > most || pfn === zeroPfn) break;
    hot[frame | refcountAt] = refs + unit;
    yield noted(mm.memory.sched, P_GUP_RECHECK);
    if (OTHERS_RUN) {
      const same = words[low] === lo && words[low ^ 1] === hi;
      if (!same || aboveWords[above] !== aboveLo || aboveWords[above ^ 1] !== aboveHi) {
        lost = pfn;
        break;
      }
    }
    if ((hot[frame | ownerAt]! & ownerMask) !== ownerKind) {
      lost = pfn;
      unsure = true;
      break;
    }
    hot[frame | flagsAt] = hot[frame | flagsAt]! | PG_REFERENCED;
    out[i] = pfn;
  }
  if ((flags & FOLL_PIN) !== 0) phys.nrFollPinAcquired += lost < 0 ? i : i + 1;
  if (lost >= 0) gupPutFolio(phys, lost, 1, flags);
  return unsure ? ~i : i;
}

/** What an entry must be to be taken without looking at PageAnonExclusive; nothing is sure where the recheck is off. */
function sureTest(policy: Policy, test: EntryTest, writeTest: EntryTest, flags: number): EntryTest {
  if (!policy.fastRecheck) return NEVER;
  return (flags & (FOLL_PIN | FOLL_WRITE)) === FOLL_PIN ? writeTest : test;
}

/**
 * Entries by all the rules of B.11, until one is not to be had: how many. The first has just been read by the hot loop; it
 * is read here once more, not handed over, as that would slow the hot loop down, and no point lies between.
 */
function* takeEntries(
  mm: Mm,
  words: Int32Array,
  first: number,
  count: number,
  aboveWords: Int32Array,
  above: number,
  aboveLo: number,
  aboveHi: number,
  test: EntryTest,
  writeTest: EntryTest,
  flags: number,
  pages: Uint32Array,
  at: number,
): Task<number> {
  const { phys, tables, policy } = mm.memory;
  for (let taken = 0; ; ) {
    const low = first + taken * 2;
    const lo = words[low]!;
    const hi = words[low ^ 1]!;
    if ((lo & test.maskLo) !== test.wantLo || (hi & test.maskHi) !== test.wantHi) return taken;
    const pfn = (lo >>> tables.pfnLowShift) | ((hi & tables.pfnHighMask) << tables.pfnHighShift);
    yield noted(mm.memory.sched, P_GUP_GRAB);
    if (pfn >= phys.frames || !tryGrabFolioFast(phys, pfn, 1, flags)) return taken;
    yield noted(mm.memory.sched, P_GUP_RECHECK);
    let good = words[low] === lo && words[low ^ 1] === hi;
    good &&= aboveWords[above] === aboveLo && aboveWords[above ^ 1] === aboveHi;
    good ||= !policy.fastRecheck;
    good &&= folioAllowed(mm.memory, pfn, flags);
    if (good && ((lo & writeTest.maskLo) !== writeTest.wantLo || (hi & writeTest.maskHi) !== writeTest.wantHi)) {
      yield noted(mm.memory.sched, P_GUP_UNSHARE);
      good = !gupMustUnshare(policy, phys, null, flags, pfn);
    }
    if (!good) {
      gupPutFolio(phys, pfn, 1, flags);
      return taken;
    }
    setFlag(phys, compoundHead(phys, pfn), PG_REFERENCED);
    pages[at + taken++] = pfn;
    if (taken === count) return taken;
    yield noted(mm.memory.sched, P_GUP_READ);
  }
}

/**
 * B.11 #8 (gup_fast_folio_allowed): a long write is allowed to anonymous memory and shmem. To other files only the slow path,
 * which knows the VMA, may do it; and a page that was truncated meanwhile belongs to none.
 */
function folioAllowed(memory: Memory, pfn: number, flags: number): boolean {
  if ((flags & LONG_WRITE) !== LONG_WRITE || folioTestAnon(memory.phys, pfn)) return true;
  const inode = folioInode(memory.files, pfn);
  return inode !== null && !mappingCanWriteback(inode);
}
