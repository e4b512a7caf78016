import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ACCESS_EXEC,
  ACCESS_READ,
  ACCESS_USER,
  ACCESS_WRITE,
  createDecoded,
  createEntry,
  createTranslation,
  E_DIRTY,
  E_EXEC,
  E_PROTNONE,
  E_SPECIAL,
  E_USER,
  E_WRITE,
  E_YOUNG,
  ENTRY_LEAF,
  type Format,
  hwWalk,
  leafIndex,
  leafTable,
  levelIndex,
  mapRange,
  setDecoded,
  tableAt,
  tableAtAlloc,
  type Tables,
  walkPages,
  writeEntry,
} from '@mmkit/pgtable';
import { formats } from './formats.ts';
import { createMachine } from './machine.ts';

const PAGES = 24;

function makeTables(format: Format, shared = false): { tables: Tables; root: number; start: number } {
  const { tables, root } = createMachine(format, 4096, shared);
  // The middle of the range is the end of one leaf table.
  const start = format.spans[1]! - (PAGES / 2) * format.spans[0]!;
  return { tables, root, start };
}

/** Makes the page of `address` a leaf of `pfn` with `flags`. */
function put(tables: Tables, root: number, address: number, pfn: number, flags: number): void {
  const { format } = tables;
  const decoded = createDecoded();
  const entry = createEntry();
  setDecoded(decoded, ENTRY_LEAF, pfn, flags);
  format.encode(decoded, 0, entry);
  writeEntry(tables, tableAtAlloc(tables, root, address, 0), leafIndex(format, address), entry);
}

/** The same by the hardware walker, page by page. */
function byHardware(tables: Tables, root: number, start: number, nr: number, access: number): number[] {
  const out = createTranslation();
  const pfns: number[] = [];
  while (pfns.length < nr) {
    const address = start + pfns.length * tables.format.spans[0]!;
    if (hwWalk(tables, root, address, access | ACCESS_USER, out) !== 0) break;
    pfns.push(out.pfn);
  }
  return pfns;
}

describe.each(formats.map((format) => [format.name, format] as const))('walkPages, %s', (_name, format) => {
  it('gives what the hardware walker gives page by page, and stops where it faults', () => {
    const flags = fc
      .subarray([E_USER, E_WRITE, E_EXEC, E_YOUNG, E_DIRTY, E_SPECIAL])
      .map((set) => set.reduce((all, flag) => all | flag, 0));
    const page = fc.oneof(
      { weight: 8, arbitrary: flags.map((some) => some | E_USER | E_WRITE) },
      { weight: 1, arbitrary: flags },
      { weight: 1, arbitrary: fc.constantFrom(E_PROTNONE, null) },
    );
    fc.assert(
      fc.property(
        fc.array(page, { minLength: PAGES, maxLength: PAGES }),
        fc.constantFrom(ACCESS_READ, ACCESS_WRITE, ACCESS_EXEC),
        fc.nat(PAGES),
        // Frames whose numbers reach into the high word: runs of one, and changes in between.
        fc.array(fc.constantFrom(0, 0, 0, 2 ** 24, 2 ** 28), { minLength: PAGES, maxLength: PAGES }),
        (leaves, access, first, bases) => {
          const { tables, root, start } = makeTables(format);
          const pageSize = format.spans[0]!;
          leaves.forEach((leaf, i) => {
            if (leaf !== null) put(tables, root, start + i * pageSize, bases[i]! + 100 + 3 * i, leaf);
          });
          const from = start + first * pageSize;
          const pages = new Uint32Array(PAGES);
          const got = walkPages(tables, root, from, PAGES - first, access, pages);
          expect([...pages.subarray(0, got)]).toEqual(byHardware(tables, root, from, PAGES - first, access));
        },
      ),
    );
  });

  it('on shared memory too', () => {
    const { tables, root, start } = makeTables(format, true);
    const pageSize = format.spans[0]!;
    for (let i = 0; i < PAGES - 1; i++) put(tables, root, start + i * pageSize, 3 + 2 * i, E_USER | E_WRITE);
    const pages = new Uint32Array(PAGES);
    expect(walkPages(tables, root, start, PAGES, ACCESS_WRITE, pages)).toBe(PAGES - 1);
    expect([...pages]).toEqual([...Array.from({ length: PAGES - 1 }, (_, i) => 3 + 2 * i), 0]);
  });

  it('marks nothing', () => {
    const { tables, root, start } = makeTables(format);
    put(tables, root, start, 7, E_USER | E_WRITE);
    const words = tables.memory.words(leafTable(tables, root, start))!.slice();
    const pages = new Uint32Array(1);
    expect(walkPages(tables, root, start, 1, ACCESS_WRITE, pages)).toBe(1);
    expect(pages[0]).toBe(7);
    expect(tables.memory.words(leafTable(tables, root, start))!.slice()).toEqual(words);
  });

  it('gives the pages of a huge leaf from within it, and goes on behind it', () => {
    const { tables, root } = makeTables(format);
    const [pageSize, hugeSize] = [format.spans[0]!, format.spans[1]!];
    const inHuge = hugeSize / pageSize;
    const decoded = createDecoded();
    const entry = createEntry();
    setDecoded(decoded, ENTRY_LEAF, inHuge, E_USER | E_WRITE | E_YOUNG);
    format.encode(decoded, 1, entry);
    writeEntry(tables, tableAtAlloc(tables, root, 0, 1), levelIndex(format, 1, 0), entry);
    put(tables, root, hugeSize, 5, E_USER);
    const pages = new Uint32Array(8);
    expect(walkPages(tables, root, hugeSize - 3 * pageSize + 1, 8, ACCESS_READ, pages)).toBe(4);
    expect([...pages.subarray(0, 4)]).toEqual([2 * inHuge - 3, 2 * inHuge - 2, 2 * inHuge - 1, 5]);
    expect(tableAt(tables, root, 0, 0)).toBe(-1);
  });

  it('stops at a table outside RAM, and at the end of user addresses', () => {
    const { tables, root, start } = makeTables(format);
    const pages = new Uint32Array(4);
    put(tables, root, start, 7, E_USER);
    expect(walkPages(tables, 4096, start, 1, ACCESS_READ, pages)).toBe(0);
    const last = format.userEnd - format.spans[0]!;
    put(tables, root, last, 9, E_USER);
    expect(walkPages(tables, root, last, 2, ACCESS_READ, pages)).toBe(1);
    expect(pages[0]).toBe(9);
  });

  it('refuses bad numbers', () => {
    const { tables, root, start } = makeTables(format);
    const pages = new Uint32Array(4);
    expect(mapRange(tables, root, start, start + format.spans[0]!, 1, E_USER)).toBe(0);
    expect(() => walkPages(tables, root, -1, 1, ACCESS_READ, pages)).toThrow(/^start: /);
    expect(() => walkPages(tables, root, 2 ** 53, 1, ACCESS_READ, pages)).toThrow(/^start: /);
    expect(() => walkPages(tables, root, start, 5, ACCESS_READ, pages)).toThrow(/^nr: /);
  });
});
