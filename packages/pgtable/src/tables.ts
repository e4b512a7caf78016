/**
 * Page tables of one machine: table pages in its RAM, and reading and changing single entries. Linux: `pgd_alloc`,
 * `pte_alloc`, `pmd_offset` …, `set_pte`, `ptep_get`, `ptep_get_and_clear`.
 *
 * Who changes a table holds its page-table lock (Linux: `page_table_lock`, the split PTE locks); readers need none. On
 * shared memory a reader may run in between, so an entry always changes as on x86-PAE: low word cleared, high word
 * written, low word written; get-and-clear takes the low word first; a reader takes low, high, low again. So it never
 * gets half an entry; one whose low word is 0 is none or being changed. JavaScript does not promise the order of plain
 * accesses: V8 on x86-64 keeps it (test/stress.test.ts). With `Atomics` either would take 30 ns instead of 2.
 *
 * Differs from Linux: tables hold the user half only, the root is one page, and the lock is the caller's.
 */
import { checkInteger, ENOMEM, InvariantError, lowWord } from '@mmkit/base';
import {
  allocPagesNowait,
  frameWordIndex,
  frameWords,
  freePages,
  GFP_KERNEL,
  GFP_ZERO,
  PG_TABLE,
  type Phys,
  setFlag,
  testFlag,
} from '@mmkit/phys';
import {
  createDecoded,
  createEntry,
  type Decoded,
  E_USER_TABLE,
  ENTRY_LEAF,
  ENTRY_TABLE,
  type Entry,
  setDecoded,
} from './flags.ts';
import type { Format } from './format.ts';
import { physMemory, type TableMemory } from './memory.ts';
import { type EntryTest, formatLevels } from './mmu.ts';

/** `childTable`: the entry is none. */
export const NO_ENTRY = -1;
/** `childTable`: the entry is there but points to no table (huge leaf or non-present). */
export const NO_TABLE = -2;

/** Where table pages come from. */
export interface TablePorts {
  /** A zeroed page for a table: its PFN, or -ENOMEM. */
  readonly allocTable: () => number;
  /** Takes a table page back, which is unhooked but may still be walked from a TLB, or without a lock. */
  readonly freeTable: (pfn: number) => void;
}

export class Tables {
  /** The machine's RAM. */
  readonly phys: Phys;
  /** Format of every table. */
  readonly format: Format;
  /** Entries of a table. */
  readonly entries: number;
  /** A zeroed page for a table: its PFN, or -ENOMEM. */
  readonly allocTable: () => number;
  /** Takes a table page back. */
  readonly freeTable: (pfn: number) => void;
  /** Scratch of this package's functions: the words of one entry. */
  readonly entry: Entry;
  /** Scratch of this package's functions: the meaning of one entry. */
  readonly decoded: Decoded;
  /** The same RAM, as the walker sees it. */
  readonly memory: TableMemory;
  // Numbers of the format again: formats are of many hidden classes, which costs 2 ns a page of mapping and unmapping.
  /** Levels. */
  readonly levels: number;
  /** Entries − 1. */
  readonly indexMask: number;
  /** Bytes one entry covers, by level. */
  readonly spans: ArrayLike<number>;
  /** `1 / spans[level]`. */
  readonly inverses: ArrayLike<number>;
  /** End of user memory. */
  readonly userEnd: number;
  /** Where an entry's low word is. */
  readonly lowAt: number;
  /** Where its high word is. */
  readonly highAt: number;
  /** Lowest bit of the PFN in the low word. */
  readonly pfnLowShift: number;
  /** PFN bits of the high word. */
  readonly pfnHighMask: number;
  /** PFN bit of the high word's bit 0. */
  readonly pfnHighShift: number;
  /** `Format.tableTest`. */
  readonly tableTest: EntryTest;

  constructor(phys: Phys, format: Format, ports: TablePorts) {
    this.phys = phys;
    this.format = format;
    this.entries = 1 << format.indexBits;
    this.allocTable = ports.allocTable;
    this.freeTable = ports.freeTable;
    this.entry = createEntry();
    this.decoded = createDecoded();
    this.memory = physMemory(phys);
    this.levels = format.levels;
    this.indexMask = this.entries - 1;
    this.spans = format.spans;
    this.inverses = format.inverses;
    this.userEnd = format.userEnd;
    this.lowAt = format.lowAt;
    this.highAt = format.highAt;
    this.pfnLowShift = format.pfnLowShift;
    this.pfnHighMask = format.pfnHighMask | 0;
    this.pfnHighShift = format.pfnHighShift;
    const { maskLo, wantLo, maskHi, wantHi } = format.tableTest;
    this.tableTest = { maskLo, wantLo, maskHi, wantHi };
  }
}

/**
 * Page tables of `format` in `phys`. `InvariantError`: 'PAGE_SIZE' when the machine's page is not the format's,
 * 'BAD_FORMAT' when the format contradicts itself. Without `ports` table pages are single frames of `phys`, marked
 * PG_TABLE; to give back another frame is 'NOT_A_TABLE'.
 */
export function createTables(phys: Phys, format: Format, ports: TablePorts = physPorts(phys)): Tables {
  if (phys.pageShift !== format.pageShift) {
    throw new InvariantError('PAGE_SIZE', `${format.name} has pages of ${2 ** format.pageShift}, not ${phys.pageSize}`);
  }
  checkFormat(format);
  return new Tables(phys, format, ports);
}

function physPorts(phys: Phys): TablePorts {
  return {
    allocTable() {
      const pfn = allocPagesNowait(phys, GFP_KERNEL | GFP_ZERO, 0);
      if (pfn >= 0) setFlag(phys, pfn, PG_TABLE);
      return pfn;
    },
    freeTable(pfn) {
      if (!testFlag(phys, pfn, PG_TABLE)) throw new InvariantError('NOT_A_TABLE', `frame ${pfn} is no page table`);
      freePages(phys, pfn, 0);
    },
  };
}

function checkFormat(format: Format): void {
  const { name, levels, spans, indexBits, rootBits, userEnd, lowAt, highAt } = format;
  const want = formatLevels(format.pageShift, levels, indexBits, rootBits);
  let good = levels > 1 && userEnd <= spans[levels - 1]! * 2 ** rootBits && lowAt + highAt === 1;
  for (let level = 0; level < levels; level++) {
    good &&= format.shifts[level] === want.shifts[level] && spans[level] === want.spans[level];
    good &&= format.inverses[level] === want.inverses[level];
  }
  if (!good) throw new InvariantError('BAD_FORMAT', `${name}: its levels, sizes, end and word order disagree`);
}

/** Throws `RangeError` unless `address` is a byte of user memory. */
export function checkUserAddress({ userEnd }: { readonly userEnd: number }, address: number): void {
  if (!(Number.isSafeInteger(address) && address >= 0 && address < userEnd)) {
    throw new RangeError(`address: expected an integer from 0 to ${userEnd - 1}, got ${String(address)}`);
  }
}

/** Index of the entry for `address` in a table of `level`. */
export function levelIndex(format: Format, level: number, address: number): number {
  return lowWord(address * format.inverses[level]!) & ((1 << format.indexBits) - 1);
}

/** First address of what the entry for `address` in a table of `level` covers; `%` would be a call. */
export function entryStart(tables: Tables, level: number, address: number): number {
  return Math.floor(address * tables.inverses[level]!) * tables.spans[level]!;
}

/** `levelIndex` in these tables. */
export function entryIndex(tables: Tables, level: number, address: number): number {
  return lowWord(address * tables.inverses[level]!) & tables.indexMask;
}

/** Index of the entry for `address` in its leaf table. Linux: `pte_index`. */
export function leafIndex(format: Format, address: number): number {
  return levelIndex(format, 0, address);
}

/** Index of an entry's first word in `frameWords(phys, table)`. */
function entryAt(phys: Phys, table: number, index: number): number {
  return frameWordIndex(phys, table) + index * 2;
}

/** Reads entry `index` of a table into `out`, whole even while a worker changes it. Linux: `ptep_get_lockless`. */
export function readEntry(tables: Tables, table: number, index: number, out: Entry): void {
  const { phys, lowAt, highAt } = tables;
  const words = frameWords(phys, table);
  const at = entryAt(phys, table, index);
  const low = at + lowAt;
  do {
    out.lo = words[low]!;
    out.hi = words[at + highAt]!;
  } while (words[low] !== out.lo);
}

/** Writes entry `index` of a table. Linux: `set_pte`. Lock and TLB flush are the caller's. */
export function writeEntry(tables: Tables, table: number, index: number, entry: Entry): void {
  const { phys, lowAt, highAt } = tables;
  const words = frameWords(phys, table);
  const at = entryAt(phys, table, index);
  words[at + lowAt] = 0;
  words[at + highAt] = entry.hi;
  words[at + lowAt] = entry.lo;
}

/** True when entry `index` of a table is none. Linux: `pte_none`. */
export function entryNone(tables: Tables, table: number, index: number): boolean {
  const words = frameWords(tables.phys, table);
  const at = entryAt(tables.phys, table, index);
  return (words[at]! | words[at + 1]!) === 0;
}

/** True when entry `index` of a table is `entry`, bit for bit; its lock is held. Linux: `pte_same`. */
export function entrySame(tables: Tables, table: number, index: number, entry: Entry): boolean {
  const words = frameWords(tables.phys, table);
  const at = entryAt(tables.phys, table, index);
  return words[at + tables.lowAt] === entry.lo && words[at + tables.highAt] === entry.hi;
}

/** Writes a leaf of level 0 that maps `pfn` with `flags` (E_*). Linux: `set_pte(mk_pte())`. */
export function writeLeaf(tables: Tables, table: number, index: number, pfn: number, flags: number): void {
  const { format, decoded, entry } = tables;
  setDecoded(decoded, ENTRY_LEAF, pfn, flags);
  format.encode(decoded, 0, entry);
  writeEntry(tables, table, index, entry);
}

/** Encodes `d` as an entry of `level` into `out`; false where the format has no such entry ('BAD_ENTRY'). */
export function tryEncode(format: Format, d: Decoded, level: number, out: Entry): boolean {
  try {
    format.encode(d, level, out);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'BAD_ENTRY') return false;
    throw error;
  }
}

/** Makes entry `index` of a table none and gives what it was in `old`. Linux: `ptep_get_and_clear`. */
export function clearEntry(tables: Tables, table: number, index: number, old: Entry): void {
  const { phys, lowAt, highAt } = tables;
  const words = frameWords(phys, table);
  const at = entryAt(phys, table, index);
  old.lo = words[at + lowAt]!;
  words[at + lowAt] = 0;
  old.hi = words[at + highAt]!;
  words[at + highAt] = 0;
}

/** Index of the first entry of a table, from `index` up to `end`, that is not none; `end` when there is none. */
export function nextUsed(tables: Tables, table: number, index: number, end: number = tables.entries): number {
  const words = frameWords(tables.phys, table);
  const base = frameWordIndex(tables.phys, table);
  const last = (base + end * 2) | 0;
  let at = (base + index * 2) | 0;
  // Each `| 0` spares a test for overflow.
  while (at < last && (words[at]! | words[at | 1]!) === 0) at = (at + 2) | 0;
  return (at - base) >> 1;
}

/**
 * What entry `index` of a table of `level` (1 or more) leads to: the PFN of a table, NO_ENTRY when it is none, NO_TABLE
 * when it is something else. `InvariantError('TABLE_OUTSIDE_RAM')` when the table lies beyond the machine's memory.
 */
export function childTable(tables: Tables, table: number, index: number, level: number): number {
  const { phys, lowAt, highAt } = tables;
  const words = frameWords(phys, table);
  const low = entryAt(phys, table, index) + lowAt;
  const high = low - lowAt + highAt;
  let lo: number;
  let hi: number;
  do {
    lo = words[low]!;
    hi = words[high]!;
  } while (words[low] !== lo);
  if ((lo | hi) === 0) return NO_ENTRY;
  const { maskLo, wantLo, maskHi, wantHi } = tables.tableTest;
  let pfn = (lo >>> tables.pfnLowShift) | ((hi & tables.pfnHighMask) << tables.pfnHighShift);
  if ((lo & maskLo) !== wantLo || (hi & maskHi) !== wantHi) {
    tables.format.decode(lo, hi, level, tables.decoded);
    if (tables.decoded.kind !== ENTRY_TABLE) return NO_TABLE;
    pfn = tables.decoded.pfn;
  }
  if (pfn >= phys.frames) {
    throw new InvariantError('TABLE_OUTSIDE_RAM', `entry ${index} of table ${table} points to frame ${pfn}`);
  }
  return pfn;
}

/** Makes an empty root table: its PFN, or -ENOMEM. Linux: `pgd_alloc`. */
export function allocRoot(tables: Tables): number {
  return tables.allocTable();
}

/** PFN of the table of `level` (0 to levels − 1) on the path of `address`, or -1 when the path ends above it. */
export function tableAt(tables: Tables, root: number, address: number, level: number): number {
  checkUserAddress(tables, address);
  checkInteger('level', level, 0, tables.levels - 1);
  const plain = walkPlain(tables, root, address, level);
  if (plain >= 0) return plain;
  let table = root;
  for (let l = tables.levels - 1; l > level; l--) {
    table = childTable(tables, table, entryIndex(tables, l, address), l);
    if (table < 0) return -1;
  }
  return table;
}

/**
 * The same where every entry on the path is a table's as Linux makes it, else -1. What the walk needs is taken out of its
 * objects once: a sixth less time than asking `childTable` at each level.
 */
function walkPlain(tables: Tables, root: number, address: number, level: number): number {
  const { phys, lowAt, highAt, indexMask, inverses, pfnLowShift, pfnHighMask, pfnHighShift } = tables;
  const { maskLo, wantLo, maskHi, wantHi } = tables.tableTest;
  const { chunks, chunkShift, frames } = phys;
  let table = root;
  for (let l = tables.levels - 1; l > level; l--) {
    const words = table < frames ? chunks[table >> chunkShift] : undefined;
    if (words === undefined) return -1;
    const at = frameWordIndex(phys, table) + ((lowWord(address * inverses[l]!) & indexMask) << 1);
    let lo: number;
    let hi: number;
    do {
      lo = words[at + lowAt]!;
      hi = words[at + highAt]!;
    } while (words[at + lowAt] !== lo);
    if ((lo & maskLo) !== wantLo || (hi & maskHi) !== wantHi) return -1;
    table = (lo >>> pfnLowShift) | ((hi & pfnHighMask) << pfnHighShift);
  }
  return table < frames ? table : -1;
}

/**
 * The same, but tables that are missing are made (Linux: `pmd_alloc`, `pte_alloc`). -ENOMEM when a page for one is not
 * to be had; the tables made until then stay, empty, as in Linux. `InvariantError('HUGE_LEAF')`, with nothing changed,
 * when a huge leaf (or a non-present entry in its place) covers the address.
 */
export function tableAtAlloc(tables: Tables, root: number, address: number, level: number): number {
  const { format } = tables;
  checkUserAddress(format, address);
  checkInteger('level', level, 0, format.levels - 1);
  let table = root;
  for (let l = format.levels - 1; l > level; l--) {
    const index = entryIndex(tables, l, address);
    let child = childTable(tables, table, index, l);
    if (child === NO_TABLE) throw new InvariantError('HUGE_LEAF', `level ${l} maps address ${address} by itself`);
    if (child === NO_ENTRY) {
      child = tables.allocTable();
      if (child < 0) return -ENOMEM;
      setDecoded(tables.decoded, ENTRY_TABLE, child, E_USER_TABLE);
      format.encode(tables.decoded, l, tables.entry);
      writeEntry(tables, table, index, tables.entry);
    }
    table = child;
  }
  return table;
}

/** PFN of the leaf table for `address`, or -1 when there is none (also under a huge leaf). Linux: `pte_offset_map`. */
export function leafTable(tables: Tables, root: number, address: number): number {
  return tableAt(tables, root, address, 0);
}

/** PFN of the leaf table for `address`, made where missing, or -ENOMEM; see `tableAtAlloc`. Linux: `pte_alloc`. */
export function leafTableAlloc(tables: Tables, root: number, address: number): number {
  return tableAtAlloc(tables, root, address, 0);
}
