/**
 * The frames of many pages in a row, as a device without an MMU of its own asks for them: the tables are read, nothing is
 * marked or counted. Linux: the loops of `walk_page_range` that only look.
 *
 * Hot loop: `readLeaves`. It accepts what the entry's test proves; every other entry goes to the Mmu. Reads need no lock:
 * on shared memory, where a worker may change an entry between its two words, every entry is read by `readEntry`.
 */
import { checkAddress, checkInteger } from '@mmkit/base';
import { frameWordIndex, frameWords } from '@mmkit/phys';
import { ACCESS_USER } from './access.ts';
import { E_RIGHTS, ENTRY_LEAF, ENTRY_TABLE } from './flags.ts';
import type { EntryTest } from './mmu.ts';
import { leafIndex, levelIndex, readEntry, type Tables } from './tables.ts';

/** Accepts nothing. */
const NEVER: EntryTest = Object.freeze({ maskLo: 0, wantLo: 1, maskHi: 0, wantHi: 0 });

/**
 * Writes to `pages` the PFNs of the `nr` pages (0 to `pages.length`) from the page of `start` on, as user mode may use them
 * for `access` (ACCESS_*; ACCESS_USER is implied). Returns how many: fewer at the first page whose access would fault, whose
 * table lies outside RAM, or whose frame has a number of 2^32 or more.
 */
export function walkPages(
  tables: Tables,
  root: number,
  start: number,
  nr: number,
  access: number,
  pages: Uint32Array,
): number {
  const { format } = tables;
  checkAddress('start', start);
  checkInteger('nr', nr, 0, pages.length);
  const pageSize = format.spans[0]!;
  let done = 0;
  while (done < nr) {
    const got = walkTable(tables, root, start + done * pageSize, nr - done, access | ACCESS_USER, pages, done);
    if (got === 0) break;
    done += got;
  }
  return done;
}

/** The pages of one leaf table, or of one huge leaf, from `address` on: at most `nr`. */
function walkTable(
  tables: Tables,
  root: number,
  address: number,
  nr: number,
  access: number,
  pages: Uint32Array,
  at: number,
): number {
  const { format, phys, entry, decoded } = tables;
  const { lowAt, pfnLowShift, pfnHighMask, pfnHighShift, tableTest } = format;
  if (address >= format.userEnd) return 0;
  let table = root;
  let rights = -1;
  for (let level = format.levels - 1; level > 0; level--) {
    if (table >= phys.frames) return 0;
    readEntry(tables, table, levelIndex(format, level, address), entry);
    const { lo, hi } = entry;
    if ((lo & tableTest.maskLo) === tableTest.wantLo && (hi & tableTest.maskHi) === tableTest.wantHi) {
      table = (lo >>> pfnLowShift) | ((hi & pfnHighMask) << pfnHighShift);
      continue;
    }
    format.hardware(lo, hi, level, decoded);
    rights &= decoded.kind === ENTRY_TABLE ? decoded.flags : -1;
    if (decoded.kind === ENTRY_LEAF) {
      if (format.permits(format, decoded.flags & (rights | ~E_RIGHTS), access) !== 0) return 0;
      return fillHuge(tables, address, level, decoded.pfn, nr, pages, at);
    }
    if (decoded.kind !== ENTRY_TABLE) return 0;
    table = decoded.pfn;
  }
  if (table >= phys.frames) return 0;
  const index = leafIndex(format, address);
  const count = Math.min(tables.entries - index, nr);
  const words = frameWords(phys, table);
  const first = frameWordIndex(phys, table) + index * 2;
  const test = phys.shared ? NEVER : format.leafTest(access, rights & E_RIGHTS);
  let got = 0;
  for (;;) {
    const from = first + got * 2;
    got += readLeaves(words, from, lowAt, count - got, test, pfnLowShift, pfnHighMask, pfnHighShift, pages, at + got);
    if (got === count) return count;
    // Special pages, and whatever else the test does not prove.
    readEntry(tables, table, index + got, entry);
    format.hardware(entry.lo, entry.hi, 0, decoded);
    if (decoded.kind !== ENTRY_LEAF || decoded.pfn > 0xffff_ffff) return got;
    if (format.permits(format, decoded.flags & (rights | ~E_RIGHTS), access) !== 0) return got;
    pages[at + got++] = decoded.pfn;
    if (got === count) return count;
  }
}

/** The hot loop: how many entries in a row pass the test; their PFNs go to `pages[out…]`. */
function readLeaves(
  words: Int32Array,
  first: number,
  lowAt: number,
  count: number,
  { maskLo, wantLo, maskHi, wantHi }: EntryTest,
  pfnLowShift: number,
  pfnHighMask: number,
  pfnHighShift: number,
  pages: Uint32Array,
  out: number,
): number {
  // Each `| 0` spares a test for overflow: together a tenth of the time.
  const base = (first + lowAt) | 0;
  for (let i = 0; i < count; i++) {
    const low = (base + (i << 1)) | 0;
    const lo = words[low]!;
    const hi = words[low ^ 1]!;
    if ((lo & maskLo) !== wantLo || (hi & maskHi) !== wantHi) return i;
    pages[(out + i) | 0] = (lo >>> pfnLowShift) | ((hi & pfnHighMask) << pfnHighShift);
  }
  return count;
}

/** The pages of a huge leaf of `level` at frame `pfn`, from `address` to its end: at most `nr`. */
function fillHuge(
  tables: Tables,
  address: number,
  level: number,
  pfn: number,
  nr: number,
  pages: Uint32Array,
  at: number,
): number {
  const { spans } = tables.format;
  const skip = Math.floor((address % spans[level]!) / spans[0]!);
  const count = Math.min(nr, spans[level]! / spans[0]! - skip);
  if (pfn + skip + count > 0x1_0000_0000) return 0;
  for (let i = 0; i < count; i++) pages[at + i] = pfn + skip + i;
  return count;
}
