/**
 * pinUserPagesFast and unpinUserPages of 512 pages, plain build, against loops written by hand over the same arrays.
 * Run it by itself, after a build: node packages/gup/bench/fast.ts
 *
 * Both hand-written pins do what B.11 asks for each page: test the entry, add 1024 unless the count is zero or too
 * large, read the entry and the one above it again, which ours does in the sched build alone, mark the page referenced.
 * `general` does the same work as ours otherwise: the numbers of the format come as arguments, the zero page and frames
 * beyond RAM are refused. `bare` is for x86-64 only and trusts what it finds. Neither checks arguments, descends to the
 * leaf table, turns interrupts off or looks at the write-protect sequence: that is once a call. The variants take turns
 * in one run; the best of many rounds counts, as other work on the machine only ever makes a round longer.
 */
import { createMemory, MM_ROOT } from '@mmkit/aspace';
import { FOLL_WRITE } from '@mmkit/base';
import { createMm, pinUserPagesFast, unpinUserPages } from '@mmkit/gup';
import {
  ACCESS_USER,
  ACCESS_WRITE,
  E_RIGHTS,
  E_WRITE,
  leafIndex,
  leafTable,
  levelIndex,
  protectRange,
  tableAt,
} from '@mmkit/pgtable';
import type { EntryTest, Format } from '@mmkit/pgtable';
import { frameWordIndex, frameWords } from '@mmkit/phys';
import { createSched } from '@mmkit/task';
import { insertVma, Vma, VM_MAYREAD, VM_MAYWRITE, VM_READ, VM_WRITE } from '@mmkit/vma';

const PAGES = 512;
const ROUNDS = 20_000;
const GOAL = 1.15;
const START = 0x4000_0000;

const memory = createMemory({ sched: createSched(), frames: 4096 });
const { phys, tables, format } = memory;
const mm = createMm({ memory })!;
const flags = VM_READ | VM_WRITE | VM_MAYREAD | VM_MAYWRITE;
insertVma(mm.vmas, new Vma(START, START + PAGES * phys.pageSize, flags, START / phys.pageSize));
const pages = new Uint32Array(PAGES);
pin(FOLL_WRITE, PAGES);
unpinUserPages(memory, pages, PAGES);

const root = mm.words[MM_ROOT]!;
const leaf = leafTable(tables, root, START);
const above = tableAt(tables, root, START, 1);
const test = format.leafTest(ACCESS_USER | ACCESS_WRITE, E_RIGHTS);

function pin(flags: number, nr: number): void {
  if (pinUserPagesFast(mm, START, nr, flags, pages) !== nr) throw new Error('not all pages were pinned');
}

/** Where a loop finds things: passed in, as a loop with the arrays of one process built in would be of no use. */
class Place {
  readonly words = frameWords(phys, leaf);
  readonly first = frameWordIndex(phys, leaf) + leafIndex(format, START) * 2;
  readonly aboveWords = frameWords(phys, above);
  readonly aboveAt = frameWordIndex(phys, above) + levelIndex(format, 1, START) * 2;
  readonly hot = phys.hot;
  readonly pages = pages;
  readonly zeroPfn = phys.zeroPfn;
  readonly frames = phys.frames;
}

function general(place: Place, f: Format, { maskLo, wantLo, maskHi, wantHi }: EntryTest, unit: number): number {
  const { words, first, aboveWords, aboveAt, hot, pages, zeroPfn } = place;
  const { pfnLowShift, pfnHighMask, pfnHighShift } = f;
  const most = 0x7fff_ffff - unit;
  const aboveLo = aboveWords[aboveAt]!;
  const aboveHi = aboveWords[aboveAt + 1]!;
  let i = 0;
  for (; i < PAGES; i++) {
    const lo = words[first + i * 2]!;
    const hi = words[first + i * 2 + 1]!;
    if ((lo & maskLo) !== wantLo || (hi & maskHi) !== wantHi) break;
    const pfn = (lo >>> pfnLowShift) | ((hi & pfnHighMask) << pfnHighShift);
    const refs = hot[pfn << 2]!;
    if (!(refs > 0) || refs > most || pfn === zeroPfn) break;
    hot[pfn << 2] = refs + unit;
    const same = words[first + i * 2] === lo && words[first + i * 2 + 1] === hi;
    if (!same || aboveWords[aboveAt] !== aboveLo || aboveWords[aboveAt + 1] !== aboveHi) break;
    hot[(pfn << 2) + 1]! |= 4;
    pages[i] = pfn;
  }
  return i;
}

function bare(place: Place): number {
  const { words, first, aboveWords, aboveAt, hot, pages } = place;
  const aboveLo = aboveWords[aboveAt]!;
  const aboveHi = aboveWords[aboveAt + 1]!;
  let i = 0;
  for (; i < PAGES; i++) {
    const lo = words[first + i * 2]!;
    const hi = words[first + i * 2 + 1]!;
    if ((lo & 0x207) !== 0x7 || (hi & 0x780f_fe00) !== 0) break;
    const pfn = (lo >>> 12) | ((hi & 0x1ff) << 20);
    const refs = hot[pfn << 2]!;
    if (refs <= 0 || refs > 0x7fff_fbff) break;
    hot[pfn << 2] = refs + 1024;
    const same = words[first + i * 2] === lo && words[first + i * 2 + 1] === hi;
    if (!same || aboveWords[aboveAt] !== aboveLo || aboveWords[aboveAt + 1] !== aboveHi) break;
    hot[(pfn << 2) + 1]! |= 4;
    pages[i] = pfn;
  }
  return i;
}

function unpinGeneral({ hot, pages, zeroPfn, frames }: Place, unit: number): number {
  let i = 0;
  for (; i < PAGES; i++) {
    const pfn = pages[i]!;
    const left = hot[pfn << 2]! - unit;
    if (left <= 0 || pfn === zeroPfn || pfn >= frames) break;
    hot[pfn << 2] = left;
  }
  return i;
}

function unpinBare({ hot, pages }: Place): number {
  let i = 0;
  for (; i < PAGES; i++) {
    const at = pages[i]! << 2;
    const left = hot[at]! - 1024;
    if (left <= 0) break;
    hot[at] = left;
  }
  return i;
}

const place = new Place();
/** Best time of each variant so far, ns a page. */
const best = new Map<string, number>();

function time(name: string, per: number, body: () => void): void {
  const start = performance.now();
  body();
  const ns = ((performance.now() - start) * 1e6) / per;
  best.set(name, Math.min(best.get(name) ?? Infinity, ns));
}

function byHand(name: string, pinPages: () => number, unpinPages: () => number): void {
  time(name, PAGES, () => {
    if (pinPages() !== PAGES || unpinPages() !== PAGES) throw new Error('a loop stopped early');
  });
}

for (let round = 0; round < ROUNDS; round++) {
  time('ours', PAGES, () => {
    pin(FOLL_WRITE, PAGES);
    unpinUserPages(memory, pages, PAGES);
  });
  byHand(
    'general',
    () => general(place, format, test, 1024),
    () => unpinGeneral(place, 1024),
  );
  byHand(
    'bare',
    () => bare(place),
    () => unpinBare(place),
  );
  time('one page a call', 64, () => {
    for (let i = 0; i < 64; i++) {
      pin(FOLL_WRITE, 1);
      unpinUserPages(memory, pages, 1);
    }
  });
}
protectRange(tables, root, START, START + PAGES * phys.pageSize, 0, E_WRITE);
for (let round = 0; round < ROUNDS / 10; round++) {
  time('read-only pins of read-only entries', PAGES, () => {
    pin(0, PAGES);
    unpinUserPages(memory, pages, PAGES);
  });
}

for (const [name, ns] of best) console.log(`${name.padEnd(36)} ${ns.toFixed(2).padStart(8)} ns/page`);
// What a call costs however many pages it takes, apart.
const further = (best.get('ours')! * PAGES - best.get('one page a call')!) / (PAGES - 1);
console.log(`${'ours, each further page'.padEnd(36)} ${further.toFixed(2).padStart(8)} ns/page`);
// The hand-written loops have no call around them: the loop is compared by its further pages, the whole call beside it.
for (const name of ['general', 'bare']) {
  const loop = (further / best.get(name)!).toFixed(3);
  const whole = (best.get('ours')! / best.get(name)!).toFixed(3);
  console.log(`ours / ${name}: loop ${loop} (goal for general: at most ${GOAL}), whole call ${whole}`);
}
