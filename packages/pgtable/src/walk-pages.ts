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
import { entryIndex, readEntry, type Tables } from './tables.ts';

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
  checkAddress('start', start);
  checkInteger('nr', nr, 0, pages.length);
  const pageSize = tables.spans[0]!;
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
  const { format, phys, entry, decoded, lowAt, pfnLowShift, pfnHighMask, pfnHighShift, tableTest } = tables;
  if (address >= tables.userEnd) return 0;
  let table = root;
  let rights = -1;
  for (let level = tables.levels - 1; level > 0; level--) {
    if (table >= phys.frames) return 0;
    readEntry(tables, table, entryIndex(tables, level, address), entry);
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
  const index = entryIndex(tables, 0, address);
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

/**
 * The hot loop: how many entries in a row pass the test; their PFNs go to `pages[out…]`. Neighbours mostly have the same
 * high word, which is tested once for a run of them; in the run entries go by two. Both together spare a fifth of the time.
 */
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
  // Each `| 0` spares a test for overflow.
  const base = (first + lowAt) | 0;
  const last = (count - 1) | 0;
  let i = 0;
  while (i < count) {
    const hi = words[(base + (i << 1)) ^ 1]!;
    if ((hi & maskHi) !== wantHi) return i;
    const high = (hi & pfnHighMask) << pfnHighShift;
    while (i < last) {
      const low = (base + (i << 1)) | 0;
      const top = low ^ 1;
      const lo = words[low]!;
      const next = words[(low + 2) | 0]!;
      if (words[top] !== hi || words[(top + 2) | 0] !== hi) break;
      if ((lo & maskLo) !== wantLo || (next & maskLo) !== wantLo) break;
      const to = (out + i) | 0;
      pages[to] = (lo >>> pfnLowShift) | high;
      pages[(to + 1) | 0] = (next >>> pfnLowShift) | high;
      i = (i + 2) | 0;
    }
    // The last of all, or what ended the run.
    if (i === count) break;
    const low = (base + (i << 1)) | 0;
    const lo = words[low]!;
    if (words[low ^ 1] !== hi) continue;
    if ((lo & maskLo) !== wantLo) return i;
    pages[(out + i) | 0] = (lo >>> pfnLowShift) | high;
    i = (i + 1) | 0;
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
  const { spans } = tables;
  const skip = Math.floor((address % spans[level]!) / spans[0]!);
  const count = Math.min(nr, spans[level]! / spans[0]! - skip);
  if (pfn + skip + count > 0x1_0000_0000) return 0;
  for (let i = 0; i < count; i++) pages[at + i] = pfn + skip + i;
  return count;
}
