/**
 * `checkMachine`: do the parts of a machine agree? In the spirit of Linux's CONFIG_DEBUG_VM and of "Bad rss-counter
 * state" and "Bad page map" reports; the rules are those of reference E.3 that a state can show. It walks everything:
 * for tests and the explorer, at points where no call is under way.
 *
 * A frame's count mixes plain references and pins; the rules read it as floor(count / 1024) pins and the rest, which
 * holds while no frame has 1024 plain references. A machine with more may fail here without fault.
 */
import { InvariantError } from '@mmkit/base';
import { folioTestAnon, isZeroPage, MM_ROOT, mmapIsLocked, pageAnonExclusive } from '@mmkit/aspace';
import { createDecoded, createEntry, E_WRITE, ENTRY_LEAF, ENTRY_TABLE, readEntry } from '@mmkit/pgtable';
import type { Decoded } from '@mmkit/pgtable';
import {
  checkPhys,
  checkPinLedger,
  COLD_NEXT,
  COLD_PRIVATE,
  COLD_WORDS,
  countFrames,
  folioMaybeDmaPinned,
  folioTestLarge,
  GUP_PIN_COUNTING_BIAS,
  pageMapCount,
  pageRefCount,
  PG_LOCKED,
  PG_TABLE,
  testFlag,
  touchedRanges,
} from '@mmkit/phys';
import { checkVmaTree, vmaLookup } from '@mmkit/vma';
import { checkTlbs } from './check-tlb.ts';
import type { Machine } from './machine.ts';
import type { Process } from './process.ts';

/** What the walk over all page tables found. */
interface Census {
  readonly machine: Machine;
  /** Entries that map each frame, by PFN. */
  readonly mapped: Map<number, number>;
  /** PFNs of the table pages. */
  readonly tables: Set<number>;
}

/**
 * Throws InvariantError for the first rule broken: what `checkPhys` and `checkVmaTree` throw, and
 *
 * | code | rule (reference) |
 * |---|---|
 * | LOCK_HELD | nobody holds an mmap_lock, a folio lock or a page-table lock |
 * | TABLE_SHARED, TABLE_NOT_MARKED, TABLE_LEAKED | each table page belongs to one living process and is marked so |
 * | DEPOSITS | a table is laid by for each large entry, and no other |
 * | PTE_OUTSIDE_VMA | what is mapped lies in one VMA |
 * | PTE_TO_FREE | no entry maps a free frame (E.3 #5) |
 * | WRITABLE_NOT_EXCLUSIVE | a writable entry of an anonymous page: the page is exclusive (E.3 #1) |
 * | ZERO_PAGE | the zero page is not mapped writable and not pin-counted (E.3 #8) |
 * | RSS | `mm.anonPages` is the number of anonymous pages mapped |
 * | PINNED_VM | no more pages are given back than were charged as pinned (E.3 #9) |
 * | MAPCOUNT | a frame's map count is the number of entries that map it |
 * | EXCLUSIVE_SHARED | an exclusive page is mapped once at most (E.3 #2) |
 * | PINNED_NOT_EXCLUSIVE | a mapped small anonymous page that is pinned is exclusive, with `policy.unshare` (E.3 #3) |
 * | REFCOUNT | a frame has a plain reference for each mapping beside its pins (E.3 #4) |
 * | PIN_COUNT | pins acquired − released = pins in the frames (E.3 #11) |
 * | PIN_LEDGER | a ledger of pins that is kept has as many of each folio as the frame table |
 * | TLB_TO_FREE, TLB_STALE, TLB_UNMASKED | check-tlb.ts (E.3 #5) |
 */
export function checkMachine(machine: Machine): void {
  const { phys } = machine.memory;
  checkPhys(phys);
  const census: Census = { machine, mapped: new Map(), tables: new Set() };
  for (const process of machine.processes.values()) checkProcess(census, process);
  const ranges = touchedRanges(phys);
  for (let i = 0; i < ranges.length; i += 2) {
    for (let pfn = ranges[i]!; pfn < ranges[i + 1]!; pfn++) checkFrameWords(census, pfn);
  }
  if (pageRefCount(phys, phys.zeroPfn) >= GUP_PIN_COUNTING_BIAS) fail('ZERO_PAGE', 'the zero page has pins counted');
  const live = phys.nrFollPinAcquired - phys.nrFollPinReleased;
  const { pins } = countFrames(phys);
  if (live !== pins) fail('PIN_COUNT', `${live} pins by the counters, ${pins} in the frames`);
  checkPinLedger(phys);
  checkTlbs(machine);
}

function checkProcess(census: Census, process: Process): void {
  const { mm, pid } = process;
  checkVmaTree(mm.vmas);
  if (mmapIsLocked(mm)) fail('LOCK_HELD', `process ${pid}: mmap_lock is held`);
  if (mm.pinnedVm < 0) fail('PINNED_VM', `process ${pid}: pinnedVm is ${mm.pinnedVm}`);
  const { format } = mm.memory;
  const anon = checkTable(census, process, mm.words[MM_ROOT]!, format.levels - 1, 0);
  if (anon !== mm.anonPages) fail('RSS', `process ${pid}: anonPages is ${mm.anonPages}, found ${anon}`);
}

/** One table of `level` that covers addresses from `base` on, and all below it; returns the anonymous pages mapped. */
function checkTable(census: Census, process: Process, table: number, level: number, base: number): number {
  const { tables, phys, format } = process.mm.memory;
  if (census.tables.has(table)) fail('TABLE_SHARED', `table page ${table} is used twice`);
  if (!testFlag(phys, table, PG_TABLE)) fail('TABLE_NOT_MARKED', `frame ${table} is used as a page table`);
  census.tables.add(table);
  const entry = createEntry();
  const decoded = createDecoded();
  let anon = 0;
  let huge = 0;
  for (let index = 0; index < tables.entries; index++) {
    readEntry(tables, table, index, entry);
    if ((entry.lo | entry.hi) === 0) continue;
    format.decode(entry.lo, entry.hi, level, decoded);
    const address = base + index * format.spans[level]!;
    if (decoded.kind === ENTRY_TABLE) anon += checkTable(census, process, decoded.pfn, level - 1, address);
    else if (decoded.kind === ENTRY_LEAF) {
      if (level > 0) huge++;
      anon += checkLeaf(census, process, decoded, level, address);
    }
  }
  if (level === 1) checkDeposits(census, process, table, huge);
  return anon;
}

/** A large entry has a table laid by, and no other table is. */
function checkDeposits({ machine, tables }: Census, process: Process, table: number, huge: number): void {
  const { cold } = machine.memory.phys;
  let laidBy = 0;
  for (let next = cold[table * COLD_WORDS + COLD_PRIVATE]!; next !== 0; next = cold[next * COLD_WORDS + COLD_NEXT]!) {
    if (tables.has(next)) fail('TABLE_SHARED', `table page ${next} is used twice`);
    tables.add(next);
    laidBy++;
  }
  if (laidBy !== huge) fail('DEPOSITS', `process ${process.pid}: ${laidBy} tables laid by for ${huge} large entries`);
}

/** One entry of `level` that maps a page, or pages; returns how many are anonymous. */
function checkLeaf(census: Census, process: Process, decoded: Decoded, level: number, address: number): number {
  const { memory } = process.mm;
  const { phys, format } = memory;
  const { pfn } = decoded;
  const pages = format.spans[level]! / phys.pageSize;
  const where = `process ${process.pid}, address ${address}, frame ${pfn}`;
  const vma = vmaLookup(process.mm.vmas, address);
  if (vma === null || vma.end < address + format.spans[level]!) fail('PTE_OUTSIDE_VMA', where);
  const writable = (decoded.flags & E_WRITE) !== 0;
  if (isZeroPage(memory, pfn)) {
    if (writable) fail('ZERO_PAGE', `${where}: mapped writable`);
    return 0;
  }
  if (pageRefCount(phys, pfn) === 0) fail('PTE_TO_FREE', where);
  for (let page = pfn; page < pfn + pages; page++) census.mapped.set(page, (census.mapped.get(page) ?? 0) + 1);
  if (!folioTestAnon(phys, pfn)) return 0;
  if (writable && !pageAnonExclusive(phys, pfn)) fail('WRITABLE_NOT_EXCLUSIVE', where);
  return pages;
}

function checkFrameWords(census: Census, pfn: number): void {
  const { phys, policy } = census.machine.memory;
  const found = census.mapped.get(pfn) ?? 0;
  const count = pageMapCount(phys, pfn);
  const refs = pageRefCount(phys, pfn);
  if (testFlag(phys, pfn, PG_LOCKED)) fail('LOCK_HELD', `frame ${pfn} is locked`);
  if (testFlag(phys, pfn, PG_TABLE) && !census.tables.has(pfn))
    fail('TABLE_LEAKED', `table page ${pfn} is in no process`);
  if (count !== found) fail('MAPCOUNT', `frame ${pfn} has map count ${count}, found ${found} entries`);
  if (count === 0) return;
  const large = folioTestLarge(phys, pfn);
  if (pageAnonExclusive(phys, pfn)) {
    if (count > 1) fail('EXCLUSIVE_SHARED', `frame ${pfn} is exclusive and mapped ${count} times`);
  } else if (!large && policy.unshare && folioTestAnon(phys, pfn) && folioMaybeDmaPinned(phys, pfn)) {
    fail('PINNED_NOT_EXCLUSIVE', `frame ${pfn}: ${refs} references`);
  }
  // `checkPhys` has compared a large folio's references with its mappings and pins.
  if (large) return;
  if (refs % GUP_PIN_COUNTING_BIAS < count) fail('REFCOUNT', `frame ${pfn}: ${refs} references, ${count} mappings`);
}

function fail(code: string, message: string): never {
  throw new InvariantError(code, message);
}
