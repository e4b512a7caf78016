import { ENOMEM } from '@mmkit/base';
import { allocPages, frameWordIndex, frameWords } from '@mmkit/phys';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  arm64,
  ACCESS_EXEC,
  ACCESS_READ,
  ACCESS_USER,
  ACCESS_WRITE,
  createDecoded,
  createEntry,
  createTranslation,
  type Decoded,
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
  FAULT_NOT_PRESENT,
  FAULT_PROTECTION,
  type Format,
  hwWalk,
  leafTable,
  levelIndex,
  mapRange,
  PFN_LIMIT,
  protectRange,
  readEntry,
  setDecoded,
  tableAtAlloc,
  type Tables,
  unmapRange,
  writeEntry,
  x86_64,
} from '@mmkit/pgtable';
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

interface Step {
  kind: 'map' | 'unmap' | 'protect';
  first: number;
  pages: number;
  pfn: number;
  rights: number;
}

/** Pages of a format whose tables they share or do not: near the start, across tables, and at the end of user memory. */
function placesOf(format: Format): number[] {
  const last = format.userEnd / format.spans[0]!;
  const perTable = format.spans[1]! / format.spans[0]!;
  return [0, perTable - 3, perTable * 2 ** format.indexBits - 4, last - 12];
}

function steps(format: Format): fc.Arbitrary<Step[]> {
  const step = fc.record({
    kind: fc.constantFrom('map' as const, 'unmap' as const, 'protect' as const),
    first: fc.tuple(fc.constantFrom(...placesOf(format)), fc.integer({ min: 0, max: 6 })).map(([p, i]) => p + i),
    pages: fc.integer({ min: 0, max: 6 }),
    pfn: fc.integer({ min: 0, max: PFN_LIMIT - 6 }),
    rights: fc.constantFrom(E_USER, E_USER | E_WRITE, E_USER | E_EXEC, E_RIGHTS, E_WRITE, E_PROTNONE),
  });
  return fc.array(step, { maxLength: 12 });
}

/** What a walk of a page with these flags gives for a user access. */
function expected(flags: number | undefined, access: number): number {
  if (flags === undefined || (flags & E_PROTNONE) !== 0) return FAULT_NOT_PRESENT;
  const need = E_USER | ((access & ACCESS_WRITE) !== 0 ? E_WRITE : 0) | ((access & ACCESS_EXEC) !== 0 ? E_EXEC : 0);
  return (flags & need) === need ? 0 : FAULT_PROTECTION;
}

describe('mapping a range, against a naive map of pages', () => {
  it.each([x86_64, arm64, madeUp])('$name: map, unmap, protect; the hardware walker agrees', (format) => {
    const size = format.spans[0]!;
    fc.assert(
      fc.property(steps(format), (list) => {
        const { tables, root } = createMachine(format);
        const model = new Map<number, { pfn: number; flags: number }>();
        for (const { kind, first, pages, pfn, rights } of list) {
          const start = first * size;
          const end = start + pages * size;
          const covered = [...Array(pages).keys()].map((i) => first + i);
          const present = covered.filter((page) => model.has(page));
          if (kind === 'map' && present.length > 0) {
            expect(codeOf(() => mapRange(tables, root, start, end, pfn, rights))).toBe('ALREADY_MAPPED');
          } else if (kind === 'map') {
            expect(mapRange(tables, root, start, end, pfn, rights)).toBe(0);
            for (const page of covered) model.set(page, { pfn: pfn + page - first, flags: rights });
          } else if (kind === 'unmap') {
            expect(unmapRange(tables, root, start, end)).toBe(present.length);
            for (const page of covered) model.delete(page);
          } else {
            const changed = present.filter((page) => model.get(page)!.flags !== rights);
            expect(protectRange(tables, root, start, end, rights, E_RIGHTS | E_PROTNONE)).toBe(changed.length);
            for (const page of present) model.get(page)!.flags = rights;
          }
        }
        const out = createTranslation();
        for (const place of placesOf(format)) {
          for (let page = place; page < place + 12; page++) {
            const want = model.get(page);
            const table = leafTable(tables, root, page * size);
            if (want === undefined) {
              if (table >= 0) expect(entryOf(tables, table, page * size).kind).toBe(ENTRY_NONE);
            } else {
              expect(entryOf(tables, table, page * size)).toMatchObject({ kind: ENTRY_LEAF, pfn: want.pfn });
            }
            for (const access of [ACCESS_READ, ACCESS_WRITE, ACCESS_EXEC]) {
              const fault = hwWalk(tables, root, page * size + 5, access | ACCESS_USER, out);
              expect(fault).toBe(expected(want?.flags, access));
              if (fault === 0) expect([out.pfn, out.level]).toEqual([want?.pfn, 0]);
            }
          }
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe('mapRange', () => {
  it('out of memory maps nothing', () => {
    const { tables, root, phys } = createMachine(x86_64);
    const last = 0x40_0000 - 0x1000;
    while (phys.freeFrames > 3) allocPages(phys, 0, 0);
    expect(mapRange(tables, root, 0, 0x1000, 7, RW)).toBe(0);
    unmapRange(tables, root, 0, 0x1000);
    expect(mapRange(tables, root, 0x1f_f000, last, 7, RW)).toBe(-ENOMEM);
    expect(entryOf(tables, leafTable(tables, root, 0), 0x1f_f000).kind).toBe(ENTRY_NONE);
    expect(leafTable(tables, root, last)).toBe(-1);
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

describe('protectRange', () => {
  it('N.19: write-protecting a dirty page keeps its dirty bit; other flags and frame stay', () => {
    const { tables, root } = createMachine(x86_64);
    mapRange(tables, root, 0, 0x1000, 0x12345, RW);
    hwWalk(tables, root, 0, ACCESS_WRITE | ACCESS_USER, createTranslation());
    const table = leafTable(tables, root, 0);
    const dirty = entryOf(tables, table, 0);
    expect(protectRange(tables, root, 0, 0x1000, 0, E_WRITE)).toBe(1);
    expect(entryOf(tables, table, 0)).toEqual({ ...dirty, flags: dirty.flags & ~E_WRITE });
    expect(protectRange(tables, root, 0, 0x1000, 0, E_WRITE)).toBe(0);
    expect(protectRange(tables, root, 0, 0x1000, E_WRITE, 0)).toBe(1);
    expect(entryOf(tables, table, 0)).toEqual(dirty);
  });

  it('leaves swap entries and holes alone, unmapRange clears them', () => {
    const { tables, root } = createMachine(x86_64);
    mapRange(tables, root, 0, 0x1000, 1, RW);
    const table = leafTable(tables, root, 0);
    const d = createDecoded();
    const entry = createEntry();
    setDecoded(d, ENTRY_NONPRESENT, 0, 0);
    d.offset = 5;
    x86_64.encode(d, 0, entry);
    writeEntry(tables, table, 1, entry);
    expect(protectRange(tables, root, 0, 0x3000, E_SOFT_DIRTY, E_WRITE)).toBe(1);
    expect(entryOf(tables, table, 0x1000)).toEqual(d);
    expect(entryOf(tables, table, 0x2000).kind).toBe(ENTRY_NONE);
    expect(unmapRange(tables, root, 0, 0x2000)).toBe(2);
  });

  it('refuses flags no page can have and changes nothing', () => {
    const { tables, root } = createMachine(x86_64);
    mapHuge(tables, root, 0);
    mapRange(tables, root, 0x20_0000, 0x20_1000, 1, RW);
    const before = snapshot(tables);
    expect(codeOf(() => protectRange(tables, root, 0, 0x20_1000, E_INVALID, 0))).toBe('BAD_ENTRY');
    expect(snapshot(tables)).toEqual(before);
  });
});
