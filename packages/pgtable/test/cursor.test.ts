import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  arm64,
  createCursor,
  createDecoded,
  createEntry,
  E_USER,
  ENTRY_LEAF,
  leafTable,
  leafTableAlloc,
  levelIndex,
  nextRun,
  setDecoded,
  tableAtAlloc,
  type Tables,
  writeEntry,
  x86_64,
} from '@mmkit/pgtable';
import { madeUp } from './made-up-format.ts';
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

  it.each([x86_64, arm64, madeUp])('$name: visits each page of every existing leaf table once, in order', (format) => {
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
