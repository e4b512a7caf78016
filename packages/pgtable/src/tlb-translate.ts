/**
 * An access's way from address to frame: TLB, else a walk that fills it, else a fault. Most misses need no walk from
 * the root (walk-cache.ts) and take a third of the time of one.
 */
import { InvariantError } from '@mmkit/base';
import { E_GLOBAL, E_KERNEL_EXEC, E_RIGHTS, E_YOUNG, ENTRY_LEAF } from './flags.ts';
import type { Tables } from './tables.ts';
import { allowed, fillEntry, insertEntry, lookupRest, type Tlb, type TlbEntry, tlbInsertPage } from './tlb.ts';
import { checkUse } from './tlb-check.ts';
import { kindAt, type LeafTable, leafTableOf, WalkCache } from './walk-cache.ts';
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
  // `tlbLookupPage`, written out; the slot does not wait for the rounding.
  const place = address * tlb.inverse;
  const entry = tlb.entries[(place ^ tag) & tlb.mask]!;
  if (entry.page === Math.floor(place) && entry.tag === tag && ((entry.allowed >>> access) & 1) !== 0) {
    tlb.hits++;
    return entry.pfn;
  }
  tlb.address = address;
  return miss(tlb, tables, tag, root, access, entry);
}

/** The rest: by a leaf table and a kind of leaf that are known, or by a walk from the root. */
function miss(tlb: Tlb, tables: Tables, tag: number, root: number, access: number, entry: TlbEntry): number {
  const { address } = tlb;
  const page = Math.floor(address * tlb.inverse);
  if (tlb.special) {
    const cached = lookupRest(tlb, tag, page, access);
    if (cached >= 0) return cached;
  } else {
    tlb.misses++;
  }
  if (tables.format !== tlb.mmu) throw new InvariantError('OTHER_MMU', `${tables.format.name}, ${tlb.mmu.name}`);
  tlb.walks ??= new WalkCache(tlb.mmu);
  const { walks } = tlb;
  const table = leafTableOf(walks, tables, tag, root, page, address);
  if (table === null) return longWalk(tlb, walks, tables, tag, root, address, page, access);
  const { words } = table;
  const { pfnHighMask } = walks;
  const at = (table.low + ((page & walks.indexMask) << 1)) | 0;
  let lo: number;
  let hi: number;
  do {
    lo = words[at]!;
    hi = words[at ^ 1]!;
  } while (words[at] !== lo);
  const bitsLo = lo & walks.belowPfn;
  const bitsHi = hi & ~pfnHighMask;
  let { kind } = table;
  if (kind.lo !== bitsLo || kind.hi !== bitsHi) {
    kind = kindAt(walks, bitsLo, bitsHi);
    table.kind = kind;
  }
  if (kind.lo !== bitsLo || kind.hi !== bitsHi || ((kind.allowed >>> access) & 1) === 0) {
    return longWalk(tlb, walks, tables, tag, root, address, page, access);
  }
  const pfn = (lo >>> walks.pfnLowShift) | ((hi & pfnHighMask) << walks.pfnHighShift);
  if (tlb.check !== null) checkUse(tlb.check, tag, page, pfn, kind.flags, access);
  const { flags, allowed: accesses } = kind;
  if ((flags & E_GLOBAL) === 0 && tlb.check === null) fillEntry(tlb, entry, tag, page, pfn, flags, accesses, 1);
  else insertEntry(tlb, tag, page, pfn, flags, accesses, 1);
  return pfn;
}

/** A walk from the root; the TLB gets what it found, and if that was a page also what its bits mean. */
function longWalk(
  tlb: Tlb,
  walks: WalkCache,
  tables: Tables,
  tag: number,
  root: number,
  address: number,
  page: number,
  access: number,
): number {
  const { found } = walks;
  const fault = hwWalk(tables, root, address, access, found);
  if (fault !== 0) return -fault;
  tlbInsertPage(tlb, tag, page, found);
  const table = found.level === 0 ? leafTableOf(walks, tables, tag, root, page, address) : null;
  if (table !== null) keepKind(tlb, walks, table, page);
  return found.pfn;
}

/** Remembers what the bits of the leaf of `page` mean, which a walk has marked used. */
function keepKind(tlb: Tlb, walks: WalkCache, { words, low }: LeafTable, page: number): void {
  const { mmu } = tlb;
  const { decoded } = walks;
  const at = low + (page & walks.indexMask) * 2;
  const lo = words[at]!;
  const hi = words[at ^ 1]!;
  mmu.hardware(lo, hi, 0, decoded);
  const pfn = (lo >>> walks.pfnLowShift) | ((hi & walks.pfnHighMask) << walks.pfnHighShift);
  if (decoded.kind !== ENTRY_LEAF || decoded.pfn !== pfn) return;
  const { tableRights = ALL_RIGHTS } = mmu;
  const bitsLo = lo & walks.belowPfn;
  const bitsHi = hi & ~walks.pfnHighMask;
  const kind = kindAt(walks, bitsLo, bitsHi);
  kind.lo = bitsLo;
  kind.hi = bitsHi;
  kind.flags = decoded.flags & (tableRights | ~ALL_RIGHTS) & ~E_YOUNG;
  kind.allowed = allowed(tlb, kind.flags);
}
