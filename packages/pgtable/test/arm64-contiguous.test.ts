import { describe, expect, it } from 'vitest';
import {
  ACCESS_READ,
  ACCESS_USER,
  ACCESS_WRITE,
  arm64,
  arm64_16k_48,
  type Arm64Format,
  arm64_64k_52,
  clearContiguous,
  createDecoded,
  createEntry,
  createTranslation,
  E_DIRTY,
  E_PROTNONE,
  E_USER,
  E_WRITE,
  E_YOUNG,
  hwWalk,
  leafTableAlloc,
  mapRange,
  protectRange,
  readContiguous,
  readEntry,
  setContiguous,
  type Tables,
  unmapRange,
  x86_64,
} from '@mmkit/pgtable';
import { codeOf, createMachine } from './machine.ts';

const CONT = 0x10_0000;
const START = 0x4000_0000;

/** A machine with one leaf table, whose first 256 entries map frames from `pfn` on, not used yet. */
function world(format: Arm64Format, pfn: number, flags = E_USER | E_WRITE) {
  const { tables, root } = createMachine(format);
  const page = format.spans[0]!;
  mapRange(tables, root, START, START + 256 * page, pfn, flags);
  const table = leafTableAlloc(tables, root, START);
  return { tables, root, table, page };
}

function words(tables: Tables, table: number, first: number, count: number): [number, number][] {
  const entry = createEntry();
  return Array.from({ length: count }, (_, i) => {
    readEntry(tables, table, first + i, entry);
    return [entry.lo, entry.hi];
  });
}

const never = (): void => {
  throw new Error('flushed');
};

describe.each([
  ['4K', arm64, 16],
  ['16K', arm64_16k_48, 128],
  ['64K', arm64_64k_52, 32],
] as const)('Arm ARM, the contiguous bit: %s', (_name, format, count) => {
  it('is set in the aligned group of the entry, and cleared again; the translations stay', () => {
    const { tables, root, table, page } = world(format, 0x1000);
    const before = words(tables, table, 0, 256);
    let flushed = 0;
    const flush = (): void => {
      flushed++;
      // Break before make.
      expect(words(tables, table, count, count)).toEqual(Array.from({ length: count }, () => [0, 0]));
    };
    expect(setContiguous(tables, table, 0, count + 3, flush)).toBe(true);
    expect(flushed).toBe(1);
    const inGroup = (i: number): boolean => i >= count && i < 2 * count;
    expect(words(tables, table, 0, 256)).toEqual(before.map(([lo, hi], i) => [lo, inGroup(i) ? hi | CONT : hi]));
    const out = createTranslation();
    expect(hwWalk(tables, root, START + (count + 5) * page, ACCESS_READ | ACCESS_USER, out)).toBe(0);
    expect(out).toMatchObject({ pfn: 0x1000 + count + 5, shift: format.pageShift });
    expect(clearContiguous(tables, table, 0, 2 * count - 1, flush)).toBe(true);
    expect(words(tables, table, 0, 256).map(([, hi]) => hi)).toEqual(before.map(([, hi]) => hi));
  });

  it('N.20: used and dirty are what any member notes, read and after setting or clearing', () => {
    const { tables, root, table, page } = world(format, 0x1000);
    const flush = (): void => undefined;
    const notes = (index: number): number => {
      const out = createDecoded();
      readContiguous(tables, table, 0, index, out);
      return out.flags & (E_YOUNG | E_DIRTY);
    };
    const walk = (index: number, access: number): number =>
      hwWalk(tables, root, START + index * page, access | ACCESS_USER, createTranslation());
    setContiguous(tables, table, 0, 0, flush);
    expect(notes(0)).toBe(0);
    expect(walk(count - 1, ACCESS_READ)).toBe(0);
    expect([notes(0), notes(count)]).toEqual([E_YOUNG, 0]);
    expect(walk(1, ACCESS_WRITE)).toBe(0);
    expect(notes(count - 1)).toBe(E_YOUNG | E_DIRTY);
    expect(clearContiguous(tables, table, 0, 0, flush)).toBe(true);
    for (let i = 0; i < count; i++) expect(notes(i)).toBe(E_YOUNG | E_DIRTY);
    expect(walk(count, ACCESS_WRITE)).toBe(0);
    expect([notes(count), notes(count + 1)]).toEqual([E_YOUNG | E_DIRTY, 0]);
    expect(setContiguous(tables, table, 0, count, flush)).toBe(true);
    const all = words(tables, table, count, count);
    expect(new Set(all.map(([, hi]) => hi)).size).toBe(1);
    expect(notes(2 * count - 1)).toBe(E_YOUNG | E_DIRTY);
  });

  it('is refused, with nothing changed or flushed, for members that do not agree', () => {
    const refused = (change: (w: ReturnType<typeof world>) => void, pfn = 0x1000): void => {
      const w = world(format, pfn);
      change(w);
      const before = words(w.tables, w.table, 0, count);
      expect(setContiguous(w.tables, w.table, 0, 0, never)).toBe(false);
      expect(words(w.tables, w.table, 0, count)).toEqual(before);
    };
    const at = (page: number, index: number): [number, number] => [START + index * page, START + (index + 1) * page];
    refused(() => undefined, 0x1001);
    refused(({ tables, root, page }) => unmapRange(tables, root, ...at(page, count - 1)));
    refused(({ tables, root, page }) => unmapRange(tables, root, ...at(page, 0)));
    refused(({ tables, root, page }) => protectRange(tables, root, ...at(page, 2), 0, E_WRITE));
    refused(({ tables, root, page }) => protectRange(tables, root, ...at(page, 0), E_PROTNONE, E_USER | E_WRITE));
    refused(({ tables, root, page }) => {
      unmapRange(tables, root, ...at(page, 2));
      mapRange(tables, root, ...at(page, 2), 0x1003, E_USER | E_WRITE);
    });
  });

  it('a level without groups, and a bad index', () => {
    const { tables, table } = world(format, 0x1000);
    expect(codeOf(() => setContiguous(tables, table, 2, 0, never))).toBe('NO_CONTIGUOUS_BIT');
    for (const index of [-1, 1.5, tables.entries]) {
      expect(() => setContiguous(tables, table, 0, index, never)).toThrow(RangeError);
      expect(() => readContiguous(tables, table, 0, index, createDecoded())).toThrow(RangeError);
    }
  });
});

it('a format without the bit', () => {
  const { tables, root } = createMachine(x86_64);
  const table = leafTableAlloc(tables, root, START);
  expect(codeOf(() => clearContiguous(tables, table, 0, 0, never))).toBe('NO_CONTIGUOUS_BIT');
  const out = createDecoded();
  readContiguous(tables, table, 0, 0, out);
  expect(out.kind).toBe(0);
});
