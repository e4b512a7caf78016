/**
 * An access's way from address to frame: TLB, else a walk that fills it, else a fault. Most misses need no walk from
 * the root (walk-cache.ts) and take a third of the time of one.
 */
import { InvariantError } from '@mmkit/base';
import { frameWordIndex } from '@mmkit/phys';
import { E_KERNEL_EXEC, E_RIGHTS, E_YOUNG, ENTRY_LEAF } from './flags.ts';
import { levelIndex, readEntry, type Tables } from './tables.ts';
import { allowedAccesses, insertWords, type Tlb, tlbInsert, tlbLookupPage } from './tlb.ts';
import { checkUse } from './tlb-check.ts';
import { keepTable, knownTable, leafAt, WalkCache } from './walk-cache.ts';
import { hwWalk } from './walker.ts';

const ALL_RIGHTS = E_RIGHTS | E_KERNEL_EXEC;

/**
 * Frame of the page of `address` (any integer from 0 to 2^53 − 1) for `access` (ACCESS_*), or a negated fault kind
 * (-FAULT_*). `root` is the table that `tag` stands for now. Entries are marked and the TLB is filled as the MMU does;
 * debug mode as in `tlbLookup`. `InvariantError('OTHER_MMU')` where the tables' format is not the TLB's.
 */
export function tlbTranslate(
  tlb: Tlb,
  tables: Tables,
  tag: number,
  root: number,
  address: number,
  access: number,
): number {
  const page = Math.floor(address * tlb.inverse);
  const cached = tlbLookupPage(tlb, tag, page, access);
  if (cached >= 0) return cached;
  const pfn = shortWalk(tlb, tables, tag, page, access);
  return pfn >= 0 ? pfn : longWalk(tlb, tables, tag, root, address, access);
}

/** The translation by a leaf table and a kind of leaf that are known, which is then in the TLB too; or -1. */
function shortWalk(tlb: Tlb, tables: Tables, tag: number, page: number, access: number): number {
  const { walks } = tlb;
  const { phys } = tables;
  if (walks === null) return -1;
  const { leaves, lowAt, highAt, pfnHighMask } = walks;
  const table = knownTable(walks, tag, page);
  if (table < 0) return -1;
  const words = phys.chunks[table >> phys.chunkShift];
  if (words === undefined) return -1;
  const at = frameWordIndex(phys, table) + ((page | 0) & walks.indexMask) * 2;
  let lo: number;
  let hi: number;
  do {
    lo = words[at + lowAt]!;
    hi = words[at + highAt]!;
  } while (words[at + lowAt] !== lo);
  const bitsLo = lo & walks.belowPfn;
  const bitsHi = hi & ~pfnHighMask;
  const leaf = leafAt(bitsLo, bitsHi);
  if (leaves[leaf] !== bitsLo || leaves[leaf + 1] !== bitsHi) return -1;
  const allowed = leaves[leaf + 2]!;
  if (((allowed >>> access) & 1) === 0) return -1;
  const pfn = (lo >>> walks.pfnLowShift) | ((hi & pfnHighMask) << walks.pfnHighShift);
  const flags = leaves[leaf + 3]!;
  if (tlb.check !== null) checkUse(tlb.check, tag, page, pfn, flags, access);
  insertWords(tlb, tag, page, pfn, allowed, flags);
  return pfn;
}

/** A walk from the root; the TLB gets what it found, and if that was a page also where its table lies. */
function longWalk(tlb: Tlb, tables: Tables, tag: number, root: number, address: number, access: number): number {
  if (tables.format !== tlb.mmu) throw new InvariantError('OTHER_MMU', `${tables.format.name}, ${tlb.mmu.name}`);
  tlb.walks ??= new WalkCache(tlb.mmu);
  const { walks } = tlb;
  const { found } = walks;
  const fault = hwWalk(tables, root, address, access, found);
  if (fault !== 0) return -fault;
  tlbInsert(tlb, tag, address, found);
  const table = found.level === 0 ? plainTable(walks, tables, root, address) : -1;
  if (table >= 0) {
    keepTable(walks, tag, Math.floor(address * tlb.inverse), table);
    keepLeaf(walks, tables, table, address);
  }
  return found.pfn;
}

/** The leaf table of `address` when every entry above it, marked used by a walk, passes on all rights; else -1. */
function plainTable(walks: WalkCache, tables: Tables, root: number, address: number): number {
  const { format, phys } = tables;
  const { maskLo, wantLo, maskHi, wantHi } = format.tableTest;
  const { entry } = walks;
  let table = root;
  for (let level = format.levels - 1; level > 0; level--) {
    readEntry(tables, table, levelIndex(format, level, address), entry);
    const { lo, hi } = entry;
    if ((lo & maskLo) !== wantLo || (hi & maskHi) !== wantHi) return -1;
    table = (lo >>> format.pfnLowShift) | ((hi & format.pfnHighMask) << format.pfnHighShift);
    if (table >= phys.frames) return -1;
  }
  return table;
}

/** Remembers what the bits of the leaf of `address` mean, which a walk has marked used. */
function keepLeaf(walks: WalkCache, tables: Tables, table: number, address: number): void {
  const { format } = tables;
  const { entry, decoded, leaves } = walks;
  readEntry(tables, table, levelIndex(format, 0, address), entry);
  const { lo, hi } = entry;
  format.hardware(lo, hi, 0, decoded);
  const pfn = (lo >>> format.pfnLowShift) | ((hi & format.pfnHighMask) << format.pfnHighShift);
  if (decoded.kind !== ENTRY_LEAF || decoded.pfn !== pfn) return;
  const { tableRights = ALL_RIGHTS } = format;
  const flags = decoded.flags & (tableRights | ~ALL_RIGHTS) & ~E_YOUNG;
  const bitsLo = lo & walks.belowPfn;
  const bitsHi = hi & ~walks.pfnHighMask;
  const leaf = leafAt(bitsLo, bitsHi);
  leaves[leaf] = bitsLo;
  leaves[leaf + 1] = bitsHi;
  leaves[leaf + 2] = allowedAccesses(format, flags);
  leaves[leaf + 3] = flags;
}
