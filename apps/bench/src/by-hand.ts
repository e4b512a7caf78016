/**
 * The loops that the pin of gup-fast is measured against: written for one format alone, its numbers in the text. Each does
 * for a page what B.11 asks: test the entry, leave a page of a large folio to others, add a pin unless the count is zero or
 * too large, read the entry and the one above it again, mark the page referenced. None of them checks arguments, descends
 * to the leaf table, turns interrupts off or looks at the write-protect sequence: that is once a call.
 */
import { arm64, arm64_16k_48, arm64_16k_52, arm64_4k_52, arm64_64k_48, arm64_64k_52 } from '@mmkit/pgtable';
import { sv39, sv48, sv57, x86_64, x86_64La57 } from '@mmkit/pgtable';
import type { Format } from '@mmkit/pgtable';
import { ownFormat } from './own-format.ts';

/** Where a loop finds things: passed in, as a loop with the arrays of one process built in would be of no use. */
export interface Place {
  /** Words of the leaf table, and the first of them. */
  readonly words: Int32Array;
  readonly first: number;
  /** The entry that points to it. */
  readonly aboveWords: Int32Array;
  readonly above: number;
  readonly hot: Int32Array;
  readonly pages: Uint32Array;
  readonly zeroPfn: number;
  readonly frames: number;
}

/** Pins as many pages as `pages` has; how many it got. */
type Loop = (place: Place) => number;

const UNIT = 1024;
const MOST = 0x7fff_ffff - UNIT;
const REFERENCED = 4;
const HEAD = 0x40;
/** Head or tail of a large folio: counted otherwise (B.7). */
const LARGE = 0x800_0040;

/** The loop for a format. */
export function byHand(format: Format): Loop {
  const loop = LOOPS.get(format);
  if (loop === undefined) throw new Error(`no loop was written for ${format.name}`);
  return loop;
}

/** Drops the pins again. */
export function unpinByHand({ hot, pages, zeroPfn, frames }: Place, unit: number): number {
  let i = 0;
  for (; i < pages.length; i++) {
    const pfn = pages[i]!;
    const left = hot[pfn << 2]! - unit;
    if (left <= 0 || pfn === zeroPfn || pfn >= frames || (hot[(pfn << 2) + 1]! & HEAD) !== 0) break;
    hot[pfn << 2] = left;
  }
  return i;
}

function x86Loop({ words, first, aboveWords, above, hot, pages, zeroPfn }: Place): number {
  const above0 = aboveWords[above]!;
  const above1 = aboveWords[above + 1]!;
  let i = 0;
  for (; i < pages.length; i++) {
    const at = first + i * 2;
    const lo = words[at]!;
    const hi = words[at + 1]!;
    if ((lo & 0x207) !== 0x7 || (hi & 0x780ffe00) !== 0x0) break;
    const pfn = (lo >>> 12) | ((hi & 0x1ff) << 20);
    if ((hot[(pfn << 2) + 1]! & LARGE) !== 0) break;
    const refs = hot[pfn << 2]!;
    if (!(refs > 0) || refs > MOST || pfn === zeroPfn) break;
    hot[pfn << 2] = refs + UNIT;
    if (words[at] !== lo || words[at + 1] !== hi) break;
    if (aboveWords[above] !== above0 || aboveWords[above + 1] !== above1) break;
    hot[(pfn << 2) + 1]! |= REFERENCED;
    pages[i] = pfn;
  }
  return i;
}

function arm64Loop({ words, first, aboveWords, above, hot, pages, zeroPfn }: Place): number {
  const above0 = aboveWords[above]!;
  const above1 = aboveWords[above + 1]!;
  let i = 0;
  for (; i < pages.length; i++) {
    const at = first + i * 2;
    const lo = words[at]!;
    const hi = words[at + 1]!;
    if ((lo & 0x43) !== 0x43 || (hi & 0x7108fe00) !== 0x80000) break;
    const pfn = (lo >>> 12) | ((hi & 0x1ff) << 20);
    if ((hot[(pfn << 2) + 1]! & LARGE) !== 0) break;
    const refs = hot[pfn << 2]!;
    if (!(refs > 0) || refs > MOST || pfn === zeroPfn) break;
    hot[pfn << 2] = refs + UNIT;
    if (words[at] !== lo || words[at + 1] !== hi) break;
    if (aboveWords[above] !== above0 || aboveWords[above + 1] !== above1) break;
    hot[(pfn << 2) + 1]! |= REFERENCED;
    pages[i] = pfn;
  }
  return i;
}

function arm64Lpa2Loop({ words, first, aboveWords, above, hot, pages, zeroPfn }: Place): number {
  const above0 = aboveWords[above]!;
  const above1 = aboveWords[above + 1]!;
  let i = 0;
  for (; i < pages.length; i++) {
    const at = first + i * 2;
    const lo = words[at]!;
    const hi = words[at + 1]!;
    if ((lo & 0x343) !== 0x43 || (hi & 0x710bfe00) !== 0x80000) break;
    const pfn = (lo >>> 12) | ((hi & 0x1ff) << 20);
    if ((hot[(pfn << 2) + 1]! & LARGE) !== 0) break;
    const refs = hot[pfn << 2]!;
    if (!(refs > 0) || refs > MOST || pfn === zeroPfn) break;
    hot[pfn << 2] = refs + UNIT;
    if (words[at] !== lo || words[at + 1] !== hi) break;
    if (aboveWords[above] !== above0 || aboveWords[above + 1] !== above1) break;
    hot[(pfn << 2) + 1]! |= REFERENCED;
    pages[i] = pfn;
  }
  return i;
}

function arm64_16kLoop({ words, first, aboveWords, above, hot, pages, zeroPfn }: Place): number {
  const above0 = aboveWords[above]!;
  const above1 = aboveWords[above + 1]!;
  let i = 0;
  for (; i < pages.length; i++) {
    const at = first + i * 2;
    const lo = words[at]!;
    const hi = words[at + 1]!;
    if ((lo & 0x43) !== 0x43 || (hi & 0x7108f800) !== 0x80000) break;
    const pfn = (lo >>> 14) | ((hi & 0x7ff) << 18);
    if ((hot[(pfn << 2) + 1]! & LARGE) !== 0) break;
    const refs = hot[pfn << 2]!;
    if (!(refs > 0) || refs > MOST || pfn === zeroPfn) break;
    hot[pfn << 2] = refs + UNIT;
    if (words[at] !== lo || words[at + 1] !== hi) break;
    if (aboveWords[above] !== above0 || aboveWords[above + 1] !== above1) break;
    hot[(pfn << 2) + 1]! |= REFERENCED;
    pages[i] = pfn;
  }
  return i;
}

function arm64_16kLpa2Loop({ words, first, aboveWords, above, hot, pages, zeroPfn }: Place): number {
  const above0 = aboveWords[above]!;
  const above1 = aboveWords[above + 1]!;
  let i = 0;
  for (; i < pages.length; i++) {
    const at = first + i * 2;
    const lo = words[at]!;
    const hi = words[at + 1]!;
    if ((lo & 0x343) !== 0x43 || (hi & 0x710bf800) !== 0x80000) break;
    const pfn = (lo >>> 14) | ((hi & 0x7ff) << 18);
    if ((hot[(pfn << 2) + 1]! & LARGE) !== 0) break;
    const refs = hot[pfn << 2]!;
    if (!(refs > 0) || refs > MOST || pfn === zeroPfn) break;
    hot[pfn << 2] = refs + UNIT;
    if (words[at] !== lo || words[at + 1] !== hi) break;
    if (aboveWords[above] !== above0 || aboveWords[above + 1] !== above1) break;
    hot[(pfn << 2) + 1]! |= REFERENCED;
    pages[i] = pfn;
  }
  return i;
}

function arm64_64kLoop({ words, first, aboveWords, above, hot, pages, zeroPfn }: Place): number {
  const above0 = aboveWords[above]!;
  const above1 = aboveWords[above + 1]!;
  let i = 0;
  for (; i < pages.length; i++) {
    const at = first + i * 2;
    const lo = words[at]!;
    const hi = words[at + 1]!;
    if ((lo & 0xf043) !== 0x43 || (hi & 0x7108e000) !== 0x80000) break;
    const pfn = (lo >>> 16) | ((hi & 0x1fff) << 16);
    if ((hot[(pfn << 2) + 1]! & LARGE) !== 0) break;
    const refs = hot[pfn << 2]!;
    if (!(refs > 0) || refs > MOST || pfn === zeroPfn) break;
    hot[pfn << 2] = refs + UNIT;
    if (words[at] !== lo || words[at + 1] !== hi) break;
    if (aboveWords[above] !== above0 || aboveWords[above + 1] !== above1) break;
    hot[(pfn << 2) + 1]! |= REFERENCED;
    pages[i] = pfn;
  }
  return i;
}

function riscv64Loop({ words, first, aboveWords, above, hot, pages, zeroPfn }: Place): number {
  const above0 = aboveWords[above]!;
  const above1 = aboveWords[above + 1]!;
  let i = 0;
  for (; i < pages.length; i++) {
    const at = first + i * 2;
    const lo = words[at]!;
    const hi = words[at + 1]!;
    if ((lo & 0x117) !== 0x17 || (hi & (0xffffff80 | 0)) !== 0x0) break;
    const pfn = (lo >>> 10) | ((hi & 0x7f) << 22);
    if ((hot[(pfn << 2) + 1]! & LARGE) !== 0) break;
    const refs = hot[pfn << 2]!;
    if (!(refs > 0) || refs > MOST || pfn === zeroPfn) break;
    hot[pfn << 2] = refs + UNIT;
    if (words[at] !== lo || words[at + 1] !== hi) break;
    if (aboveWords[above] !== above0 || aboveWords[above + 1] !== above1) break;
    hot[(pfn << 2) + 1]! |= REFERENCED;
    pages[i] = pfn;
  }
  return i;
}

function ownLoop({ words, first, aboveWords, above, hot, pages, zeroPfn }: Place): number {
  const above0 = aboveWords[above]!;
  const above1 = aboveWords[above + 1]!;
  let i = 0;
  for (; i < pages.length; i++) {
    const at = first + i * 2;
    const lo = words[at + 1]!;
    const hi = words[at]!;
    if ((lo & 0x8f) !== 0x9) break;
    const pfn = (lo >>> 8) | ((hi & 0x1f) << 24);
    if ((hot[(pfn << 2) + 1]! & LARGE) !== 0) break;
    const refs = hot[pfn << 2]!;
    if (!(refs > 0) || refs > MOST || pfn === zeroPfn) break;
    hot[pfn << 2] = refs + UNIT;
    if (words[at + 1] !== lo || words[at] !== hi) break;
    if (aboveWords[above] !== above0 || aboveWords[above + 1] !== above1) break;
    hot[(pfn << 2) + 1]! |= REFERENCED;
    pages[i] = pfn;
  }
  return i;
}

const LOOPS: ReadonlyMap<Format, Loop> = new Map([
  [x86_64, x86Loop],
  [x86_64La57, x86Loop],
  [arm64, arm64Loop],
  [arm64_4k_52, arm64Lpa2Loop],
  [arm64_16k_48, arm64_16kLoop],
  [arm64_16k_52, arm64_16kLpa2Loop],
  [arm64_64k_48, arm64_64kLoop],
  [arm64_64k_52, arm64_64kLoop],
  [sv39, riscv64Loop],
  [sv48, riscv64Loop],
  [sv57, riscv64Loop],
  [ownFormat, ownLoop],
]);
