/** Page tables: every format of the package and one of our own in one process, two machines of each, taken in turn. */
import { createMachine, createProcess } from '@mmkit/kernel';
import { FOLL_WRITE } from '@mmkit/base';
import { MM_ROOT } from '@mmkit/aspace';
import { pinUserPagesFast, unpinUserPages } from '@mmkit/gup';
import { MAP_ANONYMOUS, MAP_PRIVATE, mmap, PROT_READ, PROT_WRITE } from '@mmkit/mm';
import * as pt from '@mmkit/pgtable';
import { createPhys, frameWordIndex, frameWords, GUP_PIN_COUNTING_BIAS } from '@mmkit/phys';
import { byHand, type Place, unpinByHand } from '../by-hand.ts';
import { ownFormat } from '../own-format.ts';
import { expectCount, type Row, time } from '../row.ts';

const PAGES = 512;
const CALLS = 16;
/**
 * As CALLS, of single translations: beside so many, fetching what another machine's samples pushed out is a hundredth of
 * the time. Four times as many take longer than a busy host leaves a process alone.
 */
const LOOKUPS = 16;
/** Of pages in use, which a walk need not mark. */
const FLAGS = pt.E_USER | pt.E_WRITE | pt.E_YOUNG | pt.E_DIRTY;
const USER_WRITE = pt.ACCESS_USER | pt.ACCESS_WRITE;

const FORMATS: readonly pt.Format[] = [
  pt.x86_64,
  pt.x86_64La57,
  pt.arm64,
  pt.arm64_4k_52,
  pt.arm64_16k_48,
  pt.arm64_16k_52,
  pt.arm64_64k_48,
  pt.arm64_64k_52,
  pt.sv39,
  pt.sv48,
  pt.sv57,
  ownFormat,
];

/** Tables of a format with `PAGES` pages mapped from `start` on. */
class Mapped {
  readonly format: pt.Format;
  readonly tables: pt.Tables;
  readonly root: number;
  readonly start: number;
  readonly pages: Uint32Array;
  readonly tlb: pt.Tlb;

  constructor(format: pt.Format, which: number) {
    this.format = format;
    this.tables = pt.createTables(createPhys({ frames: 4096 + 64 * which, pageSize: pageSizeOf(format) }), format);
    this.root = pt.allocRoot(this.tables);
    this.start = format.spans[1]! * (3 + which);
    this.pages = new Uint32Array(PAGES);
    this.tlb = pt.createTlb(format);
  }

  get end(): number {
    return this.start + PAGES * this.format.spans[0]!;
  }
}

function pageSizeOf(format: pt.Format): 4096 | 16384 | 65536 {
  const size = format.spans[0]!;
  if (size !== 4096 && size !== 16384 && size !== 65536) throw new Error(`no machine has pages of ${size}`);
  return size;
}

/** A sample of every format's machine, in turn: the mean of those that count. The others run all the same. */
function inTurn(samples: readonly (() => number)[], counts: (format: pt.Format) => boolean = () => true): () => number {
  return () => {
    let sum = 0;
    let counted = 0;
    samples.forEach((sample, i) => {
      const ns = sample();
      if (!counts(FORMATS[i]!)) return;
      sum += ns;
      counted++;
    });
    return sum / counted;
  };
}

function has4K(format: pt.Format): boolean {
  return format.pageShift === 12;
}

function mappedTables(which: number): Mapped[] {
  return FORMATS.map((format) => {
    const mapped = new Mapped(format, which);
    const { tables, root, start, end } = mapped;
    expectCount(pt.mapRange(tables, root, start, end, 1024, FLAGS), 0);
    return mapped;
  });
}

function walkAll({ tables, root, start, pages }: Mapped): void {
  for (let i = 0; i < CALLS; i++) {
    expectCount(pt.walkPages(tables, root, start, PAGES, pt.ACCESS_WRITE, pages), PAGES);
  }
}

function walking(which: number): () => number {
  return inTurn(
    mappedTables(which).map((mapped) => () => time(PAGES * CALLS, () => walkAll(mapped))),
    has4K,
  );
}

/** The same for x86-64 with 64-bit reads: what comes to mind first. */
function walkingBigints(which: number): () => number {
  const { tables, root, start, pages } = mappedTables(which)[0]!;
  const leaf = pt.leafTable(tables, root, start);
  const words = frameWords(tables.phys, leaf);
  const entries = new BigUint64Array(words.buffer, words.byteOffset + frameWordIndex(tables.phys, leaf) * 4, PAGES);
  const walk = (): number => {
    for (let i = 0; i < PAGES; i++) {
      const entry = entries[i]!;
      if ((entry & 0x207n) !== 0x7n) return i;
      pages[i] = Number((entry >> 12n) & 0xff_ffff_ffffn);
    }
    return PAGES;
  };
  return () =>
    time(PAGES * CALLS, () => {
      for (let i = 0; i < CALLS; i++) expectCount(walk(), PAGES);
    });
}

/** The same with calls of the format for each entry. */
function walkByMethods({ format, tables, root, start, pages }: Mapped): number {
  const leaf = pt.leafTable(tables, root, start);
  const entry = pt.createEntry();
  const decoded = pt.createDecoded();
  for (let i = 0; i < PAGES; i++) {
    pt.readEntry(tables, leaf, pt.leafIndex(format, start + i * format.spans[0]!), entry);
    format.hardware(entry.lo, entry.hi, 0, decoded);
    if (decoded.kind !== pt.ENTRY_LEAF || format.permits(format, decoded.flags, USER_WRITE) !== 0) return i;
    pages[i] = decoded.pfn;
  }
  return PAGES;
}

function walkingMethods(which: number): () => number {
  // The 512 pages lie in one table, but for our own format.
  const inOneTable = (format: pt.Format): boolean => format !== ownFormat;
  return inTurn(
    mappedTables(which).map((mapped) =>
      inOneTable(mapped.format) ? () => time(PAGES, () => expectCount(walkByMethods(mapped), PAGES)) : () => 0,
    ),
    (format) => has4K(format) && inOneTable(format),
  );
}

/** A process of a format's machine, its pages there and dirty; what a loop by hand needs to pin them. */
class Pinned {
  readonly pinCall: () => number;
  readonly pinLoop: () => number;

  constructor(format: pt.Format, which: number) {
    const machine = createMachine({ ramBytes: (2048 + 64 * which) * format.spans[0]!, format });
    const { mm } = createProcess(machine)!;
    const { memory } = mm;
    const { phys, tables } = memory;
    const rw = PROT_READ | PROT_WRITE;
    const pageSize = format.spans[0]!;
    const span = format.spans[1]!;
    // The pages of one leaf table.
    const count = Math.min(PAGES, tables.entries);
    const area = mmap(mm, 0, span + count * pageSize, rw, MAP_PRIVATE | MAP_ANONYMOUS);
    const at = Math.ceil(area / span) * span;
    const pages = new Uint32Array(count);
    expectCount(pinUserPagesFast(mm, at, count, FOLL_WRITE, pages), count);
    unpinUserPages(memory, pages, count);
    const root = mm.words[MM_ROOT]!;
    const leaf = pt.leafTable(tables, root, at);
    const above = pt.tableAt(tables, root, at, 1);
    const place: Place = {
      words: frameWords(phys, leaf),
      first: frameWordIndex(phys, leaf),
      aboveWords: frameWords(phys, above),
      above: frameWordIndex(phys, above) + pt.levelIndex(format, 1, at) * 2,
      hot: phys.hot,
      pages,
      zeroPfn: phys.zeroPfn,
      frames: phys.frames,
    };
    const loop = byHand(format);
    this.pinCall = () =>
      time(count * CALLS, () => {
        for (let i = 0; i < CALLS; i++) {
          expectCount(pinUserPagesFast(mm, at, count, FOLL_WRITE, pages), count);
          unpinUserPages(memory, pages, count);
        }
      });
    this.pinLoop = () =>
      time(count * CALLS, () => {
        for (let i = 0; i < CALLS; i++) {
          expectCount(loop(place), count);
          expectCount(unpinByHand(place, GUP_PIN_COUNTING_BIAS), count);
        }
      });
  }
}

function pinRow(format: pt.Format): Row {
  const own = format === ownFormat;
  return {
    name: `pgtable: pin loop, ${format.name}`,
    unit: 'ns/page',
    goal: null,
    ratioGoal: own ? 1.5 : 1.3,
    native: null,
    make: (which) =>
      inTurn(
        FORMATS.map((other) => new Pinned(other, which).pinCall),
        (other) => other === format,
      ),
    beside: { 'by hand': (which) => new Pinned(format, which).pinLoop },
  };
}

/** Of a space in which other memory is mapped, so that only the leaf table comes and goes. */
function mapAll({ format, tables, root, start, end }: Mapped): void {
  const up = format.spans[1]! * 2;
  for (let i = 0; i < CALLS; i++) {
    expectCount(pt.mapRange(tables, root, start + up, end + up, 1024, FLAGS), 0);
    expectCount(pt.unmapRange(tables, root, start + up, end + up), PAGES);
  }
}

function mapping(which: number): () => number {
  return inTurn(
    mappedTables(which).map((mapped) => () => time(PAGES * CALLS, () => mapAll(mapped))),
    has4K,
  );
}

/** How many of many accesses to the first `pages` pages, a power of two, find a frame. One function for all formats. */
function translateAll({ format, tables, root, start, tlb }: Mapped, pages: number): number {
  const pageSize = format.spans[0]!;
  const mask = pages - 1;
  const calls = PAGES * LOOKUPS;
  let found = 0;
  for (let i = 0; i < calls; i++) {
    if (pt.tlbTranslate(tlb, tables, root, root, start + (i & mask) * pageSize, USER_WRITE) >= 0) found++;
  }
  return found;
}

/** By the TLB: 64 pages fit in it, 512 push each other out. */
function translating(pages: number): Row['make'] {
  return (which) =>
    inTurn(
      mappedTables(which).map(
        (mapped) => () => time(PAGES * LOOKUPS, () => expectCount(translateAll(mapped, pages), PAGES * LOOKUPS)),
      ),
    );
}

function row(name: string, unit: string, goal: number, make: Row['make'], beside: Row['beside'] = {}): Row {
  return { name: `pgtable: ${name}`, unit, goal, ratioGoal: null, native: null, make, beside };
}

export const formatRows: readonly Row[] = [
  row('walk of 512 pages of 4K', 'ns/page', 2.5, walking, {
    'BigUint64Array, x86-64': walkingBigints,
    'a method per entry': walkingMethods,
  }),
  ...FORMATS.map(pinRow),
  row('map and unmap 2 MiB of 4K pages', 'ns/page', 8, mapping),
  row('TLB hit', 'ns', 6, translating(32)),
  row('TLB miss: lookup, walk, insert', 'ns', 40, translating(PAGES)),
];
