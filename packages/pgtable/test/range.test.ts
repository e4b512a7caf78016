import { ENOMEM } from '@mmkit/base';
import { allocPages, frameWordIndex, frameWords } from '@mmkit/phys';
import { describe, expect, it } from 'vitest';
import {
  arm64,
  createCursor,
  createDecoded,
  createEntry,
  createTables,
  type Decoded,
  E_INVALID,
  E_PROTNONE,
  E_RIGHTS,
  E_USER,
  E_WRITE,
  E_YOUNG,
  ENTRY_LEAF,
  ENTRY_NONE,
  ENTRY_TABLE,
  type Format,
  leafTable,
  leafTableAlloc,
  levelIndex,
  mapLargest,
  mapRange,
  nextEntry,
  PFN_LIMIT,
  protectRange,
  readEntry,
  setDecoded,
  tableAt,
  tableAtAlloc,
  type Tables,
  unmapRange,
  writeEntry,
  x86_64,
} from '@mmkit/pgtable';
import { formats } from './formats.ts';
import { madeUp } from './made-up-format.ts';
import { codeOf, createMachine } from './machine.ts';

const RW = E_WRITE | E_USER | E_YOUNG;

/** The entry of `address` at `level`, decoded. */
function entryOf(tables: Tables, table: number, address: number, level = 0): Decoded {
  const entry = createEntry();
  const d = createDecoded();
  readEntry(tables, table, levelIndex(tables.format, level, address), entry);
  tables.format.decode(entry.lo, entry.hi, level, d);
  return d;
}

/** Every word of every table of a machine whose RAM holds nothing else. */
function snapshot(tables: Tables): number[] {
  return tables.phys.chunks.flatMap((chunk) => (chunk === undefined ? [] : [...chunk]));
}

/** Every word of every table below `root`, by table. */
function tableWords(tables: Tables, root: number, level = tables.format.levels - 1): Map<number, Int32Array> {
  const { phys } = tables;
  const at = frameWordIndex(phys, root);
  const found = new Map<number, Int32Array>([[root, frameWords(phys, root).slice(at, at + phys.pageSize / 4)]]);
  const { decoded, entry } = tables;
  for (let index = 0; level > 0 && index < tables.entries; index++) {
    readEntry(tables, root, index, entry);
    tables.format.decode(entry.lo, entry.hi, level, decoded);
    if (decoded.kind !== ENTRY_TABLE) continue;
    for (const [pfn, words] of tableWords(tables, decoded.pfn, level - 1)) found.set(pfn, words);
  }
  return found;
}

/** Writes a 2 MiB leaf of frame 0x200 at `address`. */
function mapHuge(tables: Tables, root: number, address: number): number {
  const table = tableAtAlloc(tables, root, address, 1);
  const d = createDecoded();
  const entry = createEntry();
  setDecoded(d, ENTRY_LEAF, 0x200, RW);
  tables.format.encode(d, 1, entry);
  writeEntry(tables, table, levelIndex(tables.format, 1, address), entry);
  return table;
}

describe('mapRange', () => {
  it('out of memory changes nothing: the tables made for it go back', () => {
    const { tables, root, phys } = createMachine(x86_64);
    expect(mapRange(tables, root, 0, 0x1000, 7, RW)).toBe(0);
    while (phys.freeFrames > 1) allocPages(phys, 0, 0);
    const last = 0x40_0000 + 0x1000;
    const before = tableWords(tables, root);
    expect(mapRange(tables, root, 0x1f_f000, last, 7, RW)).toBe(-ENOMEM);
    expect(phys.freeFrames).toBe(1);
    expect(tableWords(tables, root)).toEqual(before);
    expect(leafTable(tables, root, 0x20_0000)).toBe(-1);
  });

  it('E.2: PROT_NONE pages are mapped with the PFN inverted', () => {
    const { tables, root, phys } = createMachine(x86_64);
    mapRange(tables, root, 0, 0x2000, 0x12344, E_PROTNONE | E_YOUNG);
    const table = leafTable(tables, root, 0);
    const at = frameWordIndex(phys, table);
    expect([...frameWords(phys, table).subarray(at, at + 4)].map((word) => word >>> 0)).toEqual([
      0xedcbb120, 0x000fffff, 0xedcba120, 0x000fffff,
    ]);
  });

  it.each(formats)('$name: frames whose numbers need one more bit of the high word half way', (format) => {
    const { tables, root } = createMachine(format);
    const size = format.spans[0]!;
    const first = 3 * 2 ** format.pfnHighShift - 2;
    const fits = first < PFN_LIMIT - 4 ? first : PFN_LIMIT - 4;
    for (const flags of [RW, E_PROTNONE | E_YOUNG]) {
      mapRange(tables, root, 0, 4 * size, fits, flags);
      const table = leafTable(tables, root, 0);
      const frames = [0, 1, 2, 3].map((page) => entryOf(tables, table, page * size).pfn);
      expect(frames).toEqual([0, 1, 2, 3].map((page) => fits + page));
      unmapRange(tables, root, 0, 4 * size);
    }
  });

  it('refuses a page that has an entry, a huge leaf or a swap entry included, and changes nothing', () => {
    const { tables, root } = createMachine(x86_64);
    mapRange(tables, root, 0x5000, 0x6000, 7, RW);
    mapHuge(tables, root, 0x40_0000);
    const before = snapshot(tables);
    expect(codeOf(() => mapRange(tables, root, 0, 0x8000, 9, RW))).toBe('ALREADY_MAPPED');
    expect(codeOf(() => mapRange(tables, root, 0x3f_f000, 0x40_1000, 9, RW))).toBe('ALREADY_MAPPED');
    expect(codeOf(() => mapRange(tables, root, 0x41_0000, 0x41_1000, 9, RW))).toBe('ALREADY_MAPPED');
    expect(snapshot(tables)).toEqual(before);
  });

  it('refuses a leaf the format does not have', () => {
    const { tables, root, phys } = createMachine(x86_64);
    const free = phys.freeFrames;
    expect(codeOf(() => mapRange(tables, root, 0, 0x1000, 1, E_INVALID))).toBe('BAD_ENTRY');
    expect(phys.freeFrames).toBe(free);
  });

  it('refuses frames that cannot be numbered', () => {
    const { tables, root } = createMachine(x86_64);
    expect(() => mapRange(tables, root, 0, 0x2000, PFN_LIMIT - 1, RW)).toThrow(/^pfn: /);
    expect(() => mapRange(tables, root, 0, 0x1000, -1, RW)).toThrow(/^pfn: /);
    expect(() => mapRange(tables, root, 0, 0x1000, 1.5, RW)).toThrow(/^pfn: /);
  });
});

describe('mapLargest', () => {
  /** Level, address and PFN of every leaf. */
  function leaves(tables: Tables, root: number): number[][] {
    const cursor = createCursor(0, tables.format.userEnd);
    const found: number[][] = [];
    while (nextEntry(tables, root, cursor)) {
      const { level, address } = cursor;
      const { kind, pfn } = entryOf(tables, cursor.table, address, level);
      expect(kind).toBe(ENTRY_LEAF);
      found.push([level, address, pfn]);
    }
    return found;
  }

  it('takes the largest leaves that fit: the range, the addresses and the frames', () => {
    const { tables, root } = createMachine(x86_64);
    expect(mapLargest(tables, root, 0x3fff_f000, 0x8020_1000, 0x3_ffff, RW)).toBe(0);
    expect(leaves(tables, root)).toEqual([
      [0, 0x3fff_f000, 0x3_ffff],
      [2, 0x4000_0000, 0x4_0000],
      [1, 0x8000_0000, 0x8_0000],
      [0, 0x8020_0000, 0x8_0200],
    ]);
  });

  it('frames that are not aligned get smaller leaves', () => {
    const { tables, root } = createMachine(arm64);
    expect(mapLargest(tables, root, 0x4000_0000, 0x8000_0000, 0x200, RW)).toBe(0);
    expect(leaves(tables, root).map(([level]) => level)).toEqual(Array<number>(512).fill(1));
    expect(mapLargest(tables, root, 0x20_0000, 0x40_0000, 0x201, RW)).toBe(0);
    expect(leafTable(tables, root, 0x20_0000)).toBeGreaterThan(0);
  });

  it('a format decides how large a leaf may be', () => {
    const x86 = createMachine(x86_64);
    expect(mapLargest(x86.tables, x86.root, 0, 2 ** 40, 0, RW)).toBe(0);
    expect(new Set(leaves(x86.tables, x86.root).map(([level]) => level))).toEqual(new Set([2]));
    const own = createMachine(madeUp);
    expect(mapLargest(own.tables, own.root, 0, madeUp.spans[5]!, 0, RW)).toBe(0);
    expect(leaves(own.tables, own.root)).toEqual([[5, 0, 0]]);
  });

  it('a table that is there is used', () => {
    const { tables, root } = createMachine(x86_64);
    const table = leafTableAlloc(tables, root, 0x20_0000);
    expect(mapLargest(tables, root, 0x20_0000, 0x60_0000, 0x200, RW)).toBe(0);
    expect(leafTable(tables, root, 0x20_0000)).toBe(table);
    expect(entryOf(tables, table, 0x3f_f000).pfn).toBe(0x3ff);
    expect(entryOf(tables, tableAt(tables, root, 0x40_0000, 1), 0x40_0000, 1).pfn).toBe(0x400);
  });

  it('refuses as mapRange does', () => {
    const { tables, root, phys } = createMachine(x86_64);
    mapRange(tables, root, 0x5000, 0x6000, 7, RW);
    const before = snapshot(tables);
    const free = phys.freeFrames;
    expect(codeOf(() => mapLargest(tables, root, 0, 0x40_0000, 0, RW))).toBe('ALREADY_MAPPED');
    expect(codeOf(() => mapLargest(tables, root, 0x20_0000, 0x40_0000, 0, E_INVALID))).toBe('BAD_ENTRY');
    expect(() => mapLargest(tables, root, 0x20_0800, 0x40_0000, 0, RW)).toThrow(/^start: /);
    expect(snapshot(tables)).toEqual(before);
    expect(phys.freeFrames).toBe(free);
  });

  it('passes on what a format throws that is no refusal', () => {
    const encode: Format['encode'] = (d, level, out) => {
      if (level > 0) throw new RangeError('broken');
      x86_64.encode(d, level, out);
    };
    const { tables, root } = createMachine({ ...x86_64, encode });
    expect(() => mapLargest(tables, root, 0, 0x20_0000, 0, RW)).toThrow('broken');
  });
});

describe('unmapRange', () => {
  it('gives every table that has no entry left to freeTable, upper ones too, and only those', () => {
    const { tables, root, phys } = createMachine(x86_64);
    const free = phys.freeFrames;
    mapRange(tables, root, 0x3f_e000, 0x40_2000, 7, RW);
    expect(free - phys.freeFrames).toBe(4);
    expect(unmapRange(tables, root, 0x3f_f000, 0x40_1000)).toBe(2);
    expect(free - phys.freeFrames).toBe(4);
    expect(unmapRange(tables, root, 0, 0x3f_f000)).toBe(1);
    expect(free - phys.freeFrames).toBe(3);
    expect(leafTable(tables, root, 0x3f_f000)).toBe(-1);
    expect(unmapRange(tables, root, 0x40_1000, 0x40_2000)).toBe(1);
    expect(phys.freeFrames).toBe(free);
    expect(tableWords(tables, root)).toEqual(new Map([[root, new Int32Array(1024)]]));
  });

  it('an entry with a low word of 0 is one too', () => {
    const { tables, root } = createMachine(x86_64);
    mapRange(tables, root, 0, 0x2000, 5, RW);
    const entry = createEntry();
    entry.hi = 1 << 27;
    const table = leafTable(tables, root, 0);
    writeEntry(tables, table, 1, entry);
    expect(unmapRange(tables, root, 0x1000, 0x2000)).toBe(1);
    readEntry(tables, table, 1, entry);
    expect([entry.lo, entry.hi]).toEqual([0, 0]);
  });

  it('a table that never had an entry goes too', () => {
    const { tables, root, phys } = createMachine(x86_64);
    const free = phys.freeFrames;
    leafTableAlloc(tables, root, 0x7000_0000);
    expect(unmapRange(tables, root, 0x7000_0000, 0x7000_1000)).toBe(0);
    expect(phys.freeFrames).toBe(free);
  });

  it('an entry is gone before its table is given away', () => {
    const { tables, root, phys } = createMachine(x86_64);
    const found: number[] = [];
    const own = createTables(phys, x86_64, {
      allocTable: tables.allocTable,
      freeTable: () => found.push(leafTable(tables, root, 0x7000_0000)),
    });
    mapRange(own, root, 0x7000_0000, 0x7000_1000, 7, RW);
    unmapRange(own, root, 0x7000_0000, 0x7000_1000);
    expect(found).toEqual([-1, -1, -1]);
  });

  it('all of user memory at once, holes, swap entries and huge leaves included', () => {
    const { tables, root, phys } = createMachine(x86_64);
    const free = phys.freeFrames;
    mapLargest(tables, root, 0x3fff_f000, 0x8000_0000, 0x3_ffff, RW);
    mapRange(tables, root, x86_64.userEnd - 0x2000, x86_64.userEnd, 5, E_PROTNONE);
    expect(unmapRange(tables, root, 0, x86_64.userEnd)).toBe(4);
    expect(phys.freeFrames).toBe(free);
  });

  it('an empty range has nothing', () => {
    const { tables, root } = createMachine(x86_64);
    mapRange(tables, root, 0, 0x1000, 5, RW);
    expect(unmapRange(tables, root, 0, 0)).toBe(0);
    expect(unmapRange(tables, root, 0x1000, 0x1000)).toBe(0);
    expect(leafTable(tables, root, 0)).toBeGreaterThan(0);
  });
});

describe('a range', () => {
  it.each([
    ['start', 0x800, 0x1000],
    ['end', 0, 0x1001],
    ['start', 0x2000, 0x1000],
    ['start', -0x1000, 0x1000],
    ['end', 0, 2 ** 47 + 0x1000],
    ['end', 0, Number.NaN],
  ])('of pages of user memory only: bad %s in [%d, %d)', (name, start, end) => {
    const { tables, root } = createMachine(x86_64);
    const message = new RegExp(`^${name}: `);
    expect(() => mapRange(tables, root, start, end, 1, RW)).toThrow(message);
    expect(() => unmapRange(tables, root, start, end)).toThrow(message);
    expect(() => protectRange(tables, root, start, end, 0, E_WRITE)).toThrow(message);
  });

  it('that holds whole huge leaves is unmapped and protected', () => {
    const { tables, root } = createMachine(x86_64);
    const table = mapHuge(tables, root, 0x40_0000);
    mapRange(tables, root, 0x3f_f000, 0x40_0000, 9, RW);
    expect(protectRange(tables, root, 0x3f_f000, 0x60_0000, E_PROTNONE, E_RIGHTS)).toBe(2);
    expect(entryOf(tables, table, 0x40_0000, 1)).toMatchObject({ pfn: 0x200, flags: E_PROTNONE | E_YOUNG });
    expect(unmapRange(tables, root, 0x3f_f000, 0x60_0000)).toBe(2);
    expect(entryOf(tables, table, 0x40_0000, 1).kind).toBe(ENTRY_NONE);
  });

  it('that would cut a huge leaf is refused and nothing changes', () => {
    const { tables, root } = createMachine(x86_64);
    mapHuge(tables, root, 0x40_0000);
    mapRange(tables, root, 0x3f_f000, 0x40_0000, 9, RW);
    const before = snapshot(tables);
    expect(codeOf(() => unmapRange(tables, root, 0x3f_f000, 0x40_1000))).toBe('HUGE_LEAF');
    expect(codeOf(() => unmapRange(tables, root, 0x5f_f000, 0x60_0000))).toBe('HUGE_LEAF');
    expect(codeOf(() => protectRange(tables, root, 0x3f_f000, 0x40_1000, 0, E_WRITE))).toBe('HUGE_LEAF');
    expect(snapshot(tables)).toEqual(before);
  });
});
