import { describe, expect, it } from 'vitest';
import {
  ACCESS_USER,
  ACCESS_WRITE,
  arm64,
  createCursor,
  createDecoded,
  createEntry,
  createTranslation,
  type Decoded,
  E_DIRTY,
  E_EXEC,
  E_INVALID,
  E_PROTNONE,
  E_RIGHTS,
  E_SOFT_DIRTY,
  E_USER,
  E_WRITE,
  E_YOUNG,
  ENTRY_LEAF,
  ENTRY_NONE,
  ENTRY_NONPRESENT,
  findEntry,
  hwWalk,
  mapLargest,
  mapRange,
  protectRange,
  readEntry,
  setDecoded,
  tableAtAlloc,
  type Tables,
  testAndClear,
  unmapRange,
  writeEntry,
  x86_64,
} from '@mmkit/pgtable';
import { formats } from './formats.ts';
import { codeOf, createMachine } from './machine.ts';

const RW = E_WRITE | E_USER | E_YOUNG;

/** The entry that decides about `address`, decoded. */
function entryOf(tables: Tables, root: number, address: number): Decoded {
  const entry = createEntry();
  const d = createDecoded();
  const cursor = createCursor(address, address);
  findEntry(tables, root, address, cursor);
  readEntry(tables, cursor.table, cursor.index, entry);
  tables.format.decode(entry.lo, entry.hi, cursor.level, d);
  return d;
}

/** Writes `d` as the entry of level `level` for `address`. */
function put(tables: Tables, root: number, address: number, level: number, d: Decoded): void {
  tables.format.encode(d, level, tables.entry);
  const { lo, hi } = tables.entry;
  const cursor = createCursor(address, address);
  const table = tableAtAlloc(tables, root, address, level);
  findEntry(tables, root, address, cursor);
  tables.entry.lo = lo;
  tables.entry.hi = hi;
  writeEntry(tables, table, cursor.index, tables.entry);
}

/** Every word of RAM. */
function snapshot(tables: Tables): number[] {
  return tables.phys.chunks.flatMap((chunk) => (chunk === undefined ? [] : [...chunk]));
}

describe('protectRange', () => {
  it('N.19: write-protecting a dirty page keeps its dirty bit; other flags and frame stay', () => {
    const { tables, root } = createMachine(x86_64);
    mapRange(tables, root, 0, 0x1000, 0x12345, RW);
    hwWalk(tables, root, 0, ACCESS_WRITE | ACCESS_USER, createTranslation());
    const dirty = entryOf(tables, root, 0);
    expect(protectRange(tables, root, 0, 0x1000, 0, E_WRITE)).toBe(1);
    expect(entryOf(tables, root, 0)).toEqual({ ...dirty, flags: dirty.flags & ~E_WRITE });
    expect(protectRange(tables, root, 0, 0x1000, 0, E_WRITE)).toBe(0);
    expect(protectRange(tables, root, 0, 0x1000, E_WRITE, 0)).toBe(1);
    expect(entryOf(tables, root, 0)).toEqual(dirty);
  });

  it.each(formats)('$name: PROT_NONE and back, page by page: every frame stays', (format) => {
    const { tables, root } = createMachine(format);
    const size = format.spans[0]!;
    const frames = [0, 1, 0x1fff_fff0];
    for (const [i, pfn] of frames.entries()) mapRange(tables, root, 2 * i * size, (2 * i + 1) * size, pfn, RW);
    expect(protectRange(tables, root, 0, 8 * size, E_PROTNONE, E_RIGHTS)).toBe(3);
    expect(frames.map((_, i) => entryOf(tables, root, 2 * i * size).pfn)).toEqual(frames);
    expect(entryOf(tables, root, size).kind).toBe(ENTRY_NONE);
    expect(protectRange(tables, root, 0, 8 * size, E_USER | E_WRITE, E_PROTNONE)).toBe(3);
    expect(frames.map((_, i) => entryOf(tables, root, 2 * i * size).pfn)).toEqual(frames);
    for (const i of frames.keys()) expect(entryOf(tables, root, 2 * i * size).flags & (RW | E_PROTNONE)).toBe(RW);
  });

  it('pages among each other, huge leaves and swap entries each change by their own bits', () => {
    const { tables, root } = createMachine(x86_64);
    mapLargest(tables, root, 0, 0x20_2000, 0x200, RW);
    mapRange(tables, root, 0x20_2000, 0x20_3000, 9, E_USER);
    mapRange(tables, root, 0x20_3000, 0x20_4000, 10, RW | E_DIRTY);
    const swap = createDecoded();
    setDecoded(swap, ENTRY_NONPRESENT, 0, 0);
    swap.type = 1;
    swap.offset = 5;
    put(tables, root, 0x20_1000, 0, swap);
    expect(protectRange(tables, root, 0, 0x20_4000, 0, E_WRITE)).toBe(3);
    const flags = [0, 0x20_0000, 0x20_2000, 0x20_3000].map((address) => entryOf(tables, root, address).flags);
    expect(flags).toEqual([E_USER | E_YOUNG, E_USER | E_YOUNG, E_USER, E_USER | E_YOUNG | E_DIRTY]);
    expect(entryOf(tables, root, 0x20_1000)).toEqual(swap);
  });

  it('leaves swap entries and holes alone, unmapRange clears them', () => {
    const { tables, root } = createMachine(x86_64);
    mapRange(tables, root, 0, 0x1000, 1, RW);
    const d = createDecoded();
    setDecoded(d, ENTRY_NONPRESENT, 0, 0);
    d.offset = 5;
    put(tables, root, 0x1000, 0, d);
    expect(protectRange(tables, root, 0, 0x3000, E_SOFT_DIRTY, E_WRITE)).toBe(1);
    expect(entryOf(tables, root, 0x1000)).toEqual(d);
    expect(entryOf(tables, root, 0x2000).kind).toBe(ENTRY_NONE);
    expect(unmapRange(tables, root, 0, 0x2000)).toBe(2);
  });

  it('refuses flags no page can have and changes nothing', () => {
    const { tables, root } = createMachine(x86_64);
    mapLargest(tables, root, 0, 0x20_1000, 0, RW);
    const before = snapshot(tables);
    expect(codeOf(() => protectRange(tables, root, 0, 0x20_1000, E_INVALID, 0))).toBe('BAD_ENTRY');
    expect(snapshot(tables)).toEqual(before);
  });

  it('refuses what one leaf of the range cannot become, and changes none before it', () => {
    const { tables, root } = createMachine(arm64);
    mapRange(tables, root, 0, 0x2000, 1, RW);
    const d = createDecoded();
    setDecoded(d, ENTRY_LEAF, 0x200, E_USER | E_INVALID);
    put(tables, root, 0x20_0000, 1, d);
    const before = snapshot(tables);
    expect(codeOf(() => protectRange(tables, root, 0, 0x40_0000, 0, E_USER))).toBe('BAD_ENTRY');
    expect(snapshot(tables)).toEqual(before);
  });
});

describe('testAndClear (ptep_test_and_clear_young)', () => {
  it.each(formats)('$name: counts the leaves that had a note, huge ones too, and takes it away', (format) => {
    const { tables, root } = createMachine(format);
    const [size, large] = [format.spans[0]!, format.spans[1]!];
    mapLargest(tables, root, 0, large + 2 * size, 0, RW | E_DIRTY);
    mapRange(tables, root, large + 3 * size, large + 4 * size, 5, E_USER | E_DIRTY);
    expect(testAndClear(tables, root, 0, 2 * large, E_YOUNG)).toBe(3);
    expect(testAndClear(tables, root, 0, 2 * large, E_YOUNG)).toBe(0);
    expect(entryOf(tables, root, 0).flags & (E_YOUNG | E_DIRTY)).toBe(E_DIRTY);
    expect(testAndClear(tables, root, large, large + size, E_YOUNG | E_DIRTY)).toBe(1);
    expect(testAndClear(tables, root, 0, 2 * large, E_YOUNG | E_DIRTY)).toBe(3);
    expect(entryOf(tables, root, large + 3 * size)).toMatchObject({ pfn: 5 });
    expect(entryOf(tables, root, large + 3 * size).flags & (E_YOUNG | E_DIRTY | E_WRITE | E_USER)).toBe(E_USER);
  });

  it.each(formats.filter((format) => (format.dirtySetLo | format.dirtyClearLo) !== 0))(
    '$name: the next store is noted again',
    (format) => {
      const { tables, root } = createMachine(format);
      const size = format.spans[0]!;
      mapRange(tables, root, 0, 4 * size, 8, RW | E_DIRTY);
      testAndClear(tables, root, 0, 4 * size, E_YOUNG | E_DIRTY);
      expect(hwWalk(tables, root, 2 * size, ACCESS_WRITE | ACCESS_USER, createTranslation())).toBe(0);
      const dirty = [0, 1, 2, 3].map((page) => testAndClear(tables, root, page * size, (page + 1) * size, E_DIRTY));
      expect(dirty).toEqual([0, 0, 1, 0]);
      expect(testAndClear(tables, root, 0, 4 * size, E_YOUNG)).toBe(1);
    },
  );

  it('soft-dirty too, and nothing else', () => {
    const { tables, root } = createMachine(x86_64);
    mapRange(tables, root, 0, 0x1000, 1, RW | E_SOFT_DIRTY);
    expect(testAndClear(tables, root, 0, 0x1000, E_SOFT_DIRTY)).toBe(1);
    const before = snapshot(tables);
    for (const flags of [0, E_WRITE, E_YOUNG | E_EXEC, E_RIGHTS, -1, 1.5]) {
      expect(() => testAndClear(tables, root, 0, 0x1000, flags)).toThrow(/^flags: /);
    }
    expect(snapshot(tables)).toEqual(before);
  });
});
