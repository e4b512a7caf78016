import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  clearEntry,
  createCursor,
  createDecoded,
  createEntry,
  E_PROTNONE,
  E_USER,
  ENTRY_LEAF,
  findEntry,
  leafTable,
  leafTableAlloc,
  levelIndex,
  mapLargest,
  mapRange,
  nextEntry,
  nextRun,
  setDecoded,
  tableAt,
  tableAtAlloc,
  type Tables,
  writeEntry,
  x86_64,
} from '@mmkit/pgtable';
import { formats } from './formats.ts';
import { createMachine } from './machine.ts';

/** Every run of [start, end) as [address, table, index, count, level]. */
function runs(tables: Tables, root: number, start: number, end: number): number[][] {
  const cursor = createCursor(start, end);
  const found: number[][] = [];
  while (nextRun(tables, root, cursor)) {
    found.push([cursor.address, cursor.table, cursor.index, cursor.count, cursor.level]);
  }
  return found;
}

/** Every entry of [start, end) that is not none as [address, index, count, level]. */
function entries(tables: Tables, root: number, start: number, end: number): number[][] {
  const cursor = createCursor(start, end);
  const found: number[][] = [];
  while (nextEntry(tables, root, cursor)) found.push([cursor.address, cursor.index, cursor.count, cursor.level]);
  return found;
}

describe('nextRun', () => {
  it('gives the part of each existing leaf table that the range covers', () => {
    const { tables, root } = createMachine(x86_64);
    const one = leafTableAlloc(tables, root, 0x20_0000);
    const two = leafTableAlloc(tables, root, 0x7fff_ffe0_0000);
    expect(runs(tables, root, 0x20_1000, 2 ** 47)).toEqual([
      [0x20_1000, one, 1, 511, 0],
      [0x7fff_ffe0_0000, two, 0, 512, 0],
    ]);
    expect(runs(tables, root, 0x20_1000, 0x20_4000)).toEqual([[0x20_1000, one, 1, 3, 0]]);
    expect(runs(tables, root, 0x40_0000, 0x7fff_ffe0_0000)).toEqual([]);
    expect(runs(tables, root, 0x20_1000, 0x20_1000)).toEqual([]);
  });

  it('a huge leaf is a run of its own, whole', () => {
    const { tables, root } = createMachine(x86_64);
    const pud = tableAtAlloc(tables, root, 0, 2);
    const d = createDecoded();
    const entry = createEntry();
    setDecoded(d, ENTRY_LEAF, 0x4_0000, E_USER);
    x86_64.encode(d, 2, entry);
    writeEntry(tables, pud, 1, entry);
    const leaf = leafTableAlloc(tables, root, 0x8000_0000);
    expect(runs(tables, root, 0x5000_0000, 0x8000_2000)).toEqual([
      [0x4000_0000, pud, 1, 1, 2],
      [0x8000_0000, leaf, 0, 2, 0],
    ]);
  });

  it.each(formats)('$name: visits each page of every existing leaf table once, in order', (format) => {
    const page = format.spans[0]!;
    const leaf = format.spans[1]!;
    const near = fc.array(fc.integer({ min: 0, max: 40 }), { maxLength: 6 });
    const range = fc.tuple(fc.integer({ min: 0, max: 700 }), fc.integer({ min: 0, max: 9000 }));
    fc.assert(
      fc.property(near, range, (places, [first, pages]) => {
        const { tables, root } = createMachine(format);
        for (const place of places) leafTableAlloc(tables, root, place * leaf);
        const start = first * page;
        const end = Math.min(start + pages * page, format.userEnd);
        const seen: number[][] = [];
        for (const [address, table, index, count] of runs(tables, root, start, end)) {
          for (let i = 0; i < count!; i++) seen.push([address! + i * page, table!, index! + i]);
        }
        const expected: number[][] = [];
        for (let at = start; at < end; at += page) {
          const table = leafTable(tables, root, at);
          if (table >= 0) expected.push([at, table, levelIndex(format, 0, at)]);
        }
        expect(seen).toEqual(expected);
      }),
      { numRuns: 40 },
    );
  });

  it('refuses bad addresses', () => {
    expect(() => createCursor(-1, 0)).toThrow(/^start: /);
    expect(() => createCursor(0, Number.NaN)).toThrow(/^end: /);
  });
});

describe('nextEntry', () => {
  it('stops at every entry that is not none, of every level, and nowhere else', () => {
    const { tables, root } = createMachine(x86_64);
    mapLargest(tables, root, 0x3fff_f000, 0x8000_0000, 0x3_ffff, E_USER);
    mapRange(tables, root, 0x8020_1000, 0x8020_2000, 7, E_USER);
    leafTableAlloc(tables, root, 0x1_0000_0000);
    const last = 2 ** 47 - 0x1000;
    mapRange(tables, root, last, 2 ** 47, 9, E_PROTNONE);
    const all = [
      [0x3fff_f000, 511, 1, 0],
      [0x4000_0000, 1, 1, 2],
      [0x8020_1000, 1, 1, 0],
      [last, 511, 1, 0],
    ];
    expect(entries(tables, root, 0, 2 ** 47)).toEqual(all);
    expect(entries(tables, root, 0x5000_0000, last)).toEqual(all.slice(1, 3));
    expect(entries(tables, root, 0x8000_0000, 0x8020_1000)).toEqual([]);
    expect(entries(tables, root, 0x8020_1000, 0x8020_1000)).toEqual([]);
    expect(entries(tables, root, 0x8020_2000, last)).toEqual([]);
  });

  it.each(formats)('$name: finds what was mapped, in order', (format) => {
    const size = format.spans[0]!;
    const top = Math.min(format.userEnd, 2 ** 53 - size) / size;
    const page = fc.oneof(
      fc.integer({ min: 0, max: 3 * 2 ** format.indexBits }),
      fc.integer({ min: 0, max: Math.min(top, 2 ** 30) - 1 }),
      fc.integer({ min: 1, max: 40 }).map((n) => top - n),
    );
    const property = fc.property(fc.uniqueArray(page, { maxLength: 8 }), page, page, (pages, a, b) => {
      const { tables, root } = createMachine(format);
      for (const at of pages) mapRange(tables, root, at * size, (at + 1) * size, 5, E_USER);
      const [start, end] = [Math.min(a, b), Math.max(a, b)];
      const found = entries(tables, root, start * size, end * size).map(([address]) => address! / size);
      const want = pages.filter((at) => at >= start && at < end);
      expect(found).toEqual(want.toSorted((x, y) => x - y));
    });
    fc.assert(property, { numRuns: 60 });
  });

  it('the entry found may be cleared before the search goes on', () => {
    const { tables, root } = createMachine(x86_64);
    mapRange(tables, root, 0, 0x4000, 7, E_USER);
    const cursor = createCursor(0, 0x4000);
    let count = 0;
    for (; nextEntry(tables, root, cursor); count++) clearEntry(tables, cursor.table, cursor.index, createEntry());
    expect(count).toBe(4);
    expect(nextEntry(tables, root, cursor)).toBe(false);
  });
});

describe('findEntry (follow_pte)', () => {
  it('gives the leaf, of any size, or the entry that is none where the path ends', () => {
    const { tables, root } = createMachine(x86_64);
    mapLargest(tables, root, 0x3fff_f000, 0x8000_0000, 0x3_ffff, E_USER);
    const cursor = createCursor(0, 2 ** 47);
    const find = (address: number): number[] => {
      findEntry(tables, root, address, cursor);
      return [cursor.address, cursor.table, cursor.index, cursor.count, cursor.level, cursor.next];
    };
    const leaf = leafTable(tables, root, 0x3fff_f000);
    const pud = tableAt(tables, root, 0, 2);
    expect(find(0x3fff_fabc)).toEqual([0x3fff_f000, leaf, 511, 1, 0, 0x4000_0000]);
    expect(find(0x3fff_e000)).toEqual([0x3fff_e000, leaf, 510, 1, 0, 0x3fff_f000]);
    expect(find(0x7123_4567)).toEqual([0x4000_0000, pud, 1, 1, 2, 0x8000_0000]);
    expect(find(0x8000_0000)).toEqual([0x8000_0000, pud, 2, 1, 2, 0xc000_0000]);
    expect(find(2 ** 46 + 5)).toEqual([2 ** 46, root, 128, 1, 3, 2 ** 46 + 2 ** 39]);
    expect(find(0x2000_0000).slice(4)).toEqual([1, 0x2020_0000]);
    expect(nextEntry(tables, root, cursor)).toBe(true);
    expect(cursor.address).toBe(0x3fff_f000);
  });

  it('refuses bad addresses', () => {
    const { tables, root } = createMachine(x86_64);
    const cursor = createCursor(0, 0);
    for (const address of [-1, 0.5, 2 ** 47, Number.NaN]) {
      expect(() => findEntry(tables, root, address, cursor)).toThrow(/^address: /);
    }
  });
});
