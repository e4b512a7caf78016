/**
 * The hardware page walker: what an MMU does with an address, from the root to a frame or a fault. Intel SDM volume 3,
 * "4-level paging", "Access rights", "Accessed and dirty flags"; Arm ARM, "The AArch64 Virtual Memory System
 * Architecture". The format's `hardware` reads the single entries.
 *
 * Order: at each level not present comes first, then reserved bits; rights count only when every entry was there, and
 * are what all of them give together. Accessed bits at all levels, and Dirty on a write, are set when the translation
 * succeeds, and nothing is written when it does not (x86 leaves that open).
 *
 * Differs: user half only; supervisor accesses see CR0.WP = 1, no SMEP and no SMAP (arm64: no PAN, and UXN where it has
 * PXN); an update of two bits in one entry is one write. Reads need no lock. Page tables of a shared machine are updated by one thread at a time.
 */
import { checkAddress } from '@mmkit/base';
import { frameWordIndex, frameWords } from '@mmkit/phys';
import {
  ACCESS_EXEC,
  ACCESS_WRITE,
  accessRights,
  FAULT_BUS,
  FAULT_NOT_PRESENT,
  FAULT_PROTECTION,
  FAULT_RESERVED,
} from './access.ts';
import { E_DIRTY, E_GLOBAL, E_RIGHTS, E_USER, E_YOUNG, ENTRY_LEAF, ENTRY_NONE, ENTRY_RESERVED } from './flags.ts';
import { levelIndex, type Tables } from './tables.ts';

/** The result of a walk. A scratch object. */
export class Translation {
  /** Frame of the page that holds the address; may lie outside RAM. Only after success. */
  pfn: number;
  /** Level of the leaf; after a fault, of the entry the walk ended at. */
  level: number;
  /** log2 of the bytes the leaf maps. Only after success. */
  shift: number;
  /** E_WRITE, E_USER, E_EXEC as all levels give them together, E_GLOBAL, and E_DIRTY if the leaf is dirty now. */
  flags: number;

  constructor() {
    this.pfn = 0;
    this.level = 0;
    this.shift = 0;
    this.flags = 0;
  }
}

/** Makes a scratch translation. */
export function createTranslation(): Translation {
  return new Translation();
}

/**
 * Translates `address` (any integer from 0 to 2^53 − 1) for `access` (ACCESS_* bits) under `root`. Returns 0 and fills
 * `out`, or a fault kind (FAULT_*) and sets `out.level` only.
 */
export function hwWalk(tables: Tables, root: number, address: number, access: number, out: Translation): number {
  const { format, phys, decoded, path } = tables;
  const { lowAt, highAt, accessedTableLo, tableTest, pfnLowShift, pfnHighMask, pfnHighShift } = format;
  const { maskLo, wantLo, maskHi, wantHi } = tableTest;
  checkAddress('address', address);
  let level = format.levels - 1;
  let table = root;
  let rights = E_RIGHTS;
  let unmarked = 0;
  out.level = level;
  if (address >= format.userEnd) return format.addressFault;
  for (;;) {
    out.level = level;
    if (table >= phys.frames) return FAULT_BUS;
    path[level] = table;
    const words = frameWords(phys, table);
    const at = frameWordIndex(phys, table) + levelIndex(format, level, address) * 2;
    let lo: number;
    let hi: number;
    do {
      lo = words[at + lowAt]!;
      hi = words[at + highAt]!;
    } while (words[at + lowAt] !== lo);
    if (level > 0 && (lo & maskLo) === wantLo && (hi & maskHi) === wantHi) {
      table = (lo >>> pfnLowShift) | ((hi & pfnHighMask) << pfnHighShift);
    } else {
      format.hardware(lo, hi, level, decoded);
      if (decoded.kind === ENTRY_NONE) return FAULT_NOT_PRESENT;
      if (decoded.kind === ENTRY_RESERVED) return FAULT_RESERVED;
      rights &= decoded.flags;
      if (decoded.kind === ENTRY_LEAF) break;
      table = decoded.pfn;
    }
    if ((lo & accessedTableLo) !== accessedTableLo) unmarked |= 1 << level;
    level--;
  }
  let need = accessRights(access);
  if ((access & ACCESS_EXEC) !== 0 && !format.fetchNeedsUser) need &= ~E_USER;
  if ((rights & need) !== need) return FAULT_PROTECTION;
  const flags = decoded.flags;
  const write = (access & ACCESS_WRITE) !== 0;
  if (unmarked !== 0) markTables(tables, address, unmarked);
  if ((flags & E_YOUNG) === 0 || (write && (flags & E_DIRTY) === 0)) markLeaf(tables, address, level, write);
  const { spans } = format;
  out.shift = format.shifts[level]!;
  out.pfn = level === 0 ? decoded.pfn : decoded.pfn + Math.floor((address % spans[level]!) / spans[0]!);
  out.flags = rights | (flags & (E_DIRTY | E_GLOBAL)) | (write ? E_DIRTY : 0);
  return 0;
}

/** Index of the low word of the entry of `level` the walk went through, in the chunk of its table. */
function lowWordAt(tables: Tables, address: number, level: number): number {
  const { format, phys, path } = tables;
  return frameWordIndex(phys, path[level]!) + levelIndex(format, level, address) * 2 + format.lowAt;
}

/** Sets the accessed bit of the table entries whose levels are the bits of `levels`. */
function markTables(tables: Tables, address: number, levels: number): void {
  const { format, phys, path } = tables;
  for (let level = 1; level < format.levels; level++) {
    if ((levels & (1 << level)) === 0) continue;
    frameWords(phys, path[level]!)[lowWordAt(tables, address, level)]! |= format.accessedTableLo;
  }
}

/** Sets the leaf's accessed bit, and with `write` marks it dirty. */
function markLeaf(tables: Tables, address: number, level: number, write: boolean): void {
  const { format, phys, path } = tables;
  const words = frameWords(phys, path[level]!);
  const low = lowWordAt(tables, address, level);
  let lo = words[low]! | format.accessedLo;
  if (write) lo = (lo & ~format.dirtyClearLo) | format.dirtySetLo;
  words[low] = lo;
}
