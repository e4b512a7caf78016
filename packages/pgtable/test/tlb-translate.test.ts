import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ACCESS_EXEC,
  ACCESS_READ,
  ACCESS_USER,
  ACCESS_WRITE,
  allocRoot,
  arm64,
  createDecoded,
  createEntry,
  createTlb,
  createTranslation,
  E_DIRTY,
  E_EXEC,
  E_GLOBAL,
  E_RIGHTS,
  E_USER,
  E_WRITE,
  FAULT_KEY,
  FAULT_NOT_PRESENT,
  FAULT_PROTECTION,
  type Format,
  hwWalk,
  leafIndex,
  leafTable,
  levelIndex,
  mapRange,
  readEntry,
  type Tables,
  tableAt,
  tlbFlushPage,
  tlbFlushRange,
  tlbFlushTag,
  tlbLookup,
  tlbRightsChanged,
  tlbTranslate,
  unmapRange,
  writeEntry,
  x86_64,
  x86Mmu,
} from '@mmkit/pgtable';
import { formats } from './formats.ts';
import { codeOf, createMachine } from './machine.ts';

const READ = ACCESS_READ | ACCESS_USER;
const WRITE = ACCESS_WRITE | ACCESS_USER;
const EXEC = ACCESS_EXEC | ACCESS_USER;

/** Words of the leaf of `address`. */
function rawLeaf(tables: Tables, root: number, address: number): number[] {
  const entry = createEntry();
  const table = leafTable(tables, root, address);
  if (table < 0) return [];
  readEntry(tables, table, leafIndex(tables.format, address), entry);
  return [entry.lo, entry.hi];
}

const step = fc.record({
  kind: fc.constantFrom('access', 'access', 'access', 'access', 'map', 'unmap'),
  page: fc.integer({ min: 0, max: 40 }),
  pages: fc.integer({ min: 1, max: 8 }),
  access: fc.constantFrom(READ, WRITE, EXEC, ACCESS_READ, ACCESS_WRITE, ACCESS_EXEC),
  flags: fc.constantFrom(E_USER, E_USER | E_WRITE, E_RIGHTS, E_WRITE, E_EXEC, E_USER | E_GLOBAL),
});

describe.each(formats)('$name: tlbTranslate', (format) => {
  it('gives the frames and faults and marks the entries that walks alone do, whatever is cached', () => {
    const size = format.spans[0]!;
    const base = format.spans[1]! * 3 - 16 * size;
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const ours = createMachine(format);
        const plain = createMachine(format);
        const tlb = createTlb(format, { slots: 8 });
        const found = createTranslation();
        for (const { kind, page, pages, access, flags } of steps) {
          const start = base + page * size;
          const end = start + pages * size;
          if (kind === 'access') {
            const fault = hwWalk(plain.tables, plain.root, start, access, found);
            const expected = fault === 0 ? found.pfn : -fault;
            expect(tlbTranslate(tlb, ours.tables, 5, ours.root, start + 1, access)).toBe(expected);
            expect(rawLeaf(ours.tables, ours.root, start)).toEqual(rawLeaf(plain.tables, plain.root, start));
            continue;
          }
          for (const { tables, root } of [ours, plain]) {
            unmapRange(tables, root, start, end);
            if (kind === 'map') mapRange(tables, root, start, end, 100 + page, flags);
          }
          tlbFlushRange(tlb, 5, start, end);
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe.each(formats)('$name: a leaf table not known yet', (format) => {
  const size = format.spans[0]!;
  const other = format.spans[1]!;

  function twoTables(): { tables: Tables; root: number } {
    const { tables, root } = createMachine(format);
    for (const start of [0, other]) mapRange(tables, root, start, start + size, 50, E_RIGHTS | E_DIRTY);
    return { tables, root };
  }

  it('every entry above it is marked as a walk alone marks it', () => {
    const [ours, plain] = [twoTables(), twoTables()];
    const tlb = createTlb(format);
    for (const { tables, root } of [ours, plain]) {
      // The kind of the second leaf is known by the first; the entries above it were never used.
      const raw = createEntry();
      const table = tableAt(tables, root, other, 1);
      readEntry(tables, table, levelIndex(format, 1, other), raw);
      raw.lo &= ~format.accessedTableLo;
      writeEntry(tables, table, levelIndex(format, 1, other), raw);
    }
    for (const address of [0, other]) {
      expect(hwWalk(plain.tables, plain.root, address, READ, createTranslation())).toBe(0);
      expect(tlbTranslate(tlb, ours.tables, 1, ours.root, address, READ)).toBe(50);
    }
    expect(ours.tables.phys.chunks).toEqual(plain.tables.phys.chunks);
  });

  it('an address beyond the tables that has the same place in them is a fault', () => {
    const { tables, root } = twoTables();
    const tlb = createTlb(format);
    expect(tlbTranslate(tlb, tables, 1, root, 0, READ)).toBe(50);
    const beyond = format.spans[format.levels - 1]! * 2 ** format.rootBits;
    if (beyond < 2 ** 53) expect(tlbTranslate(tlb, tables, 1, root, beyond, READ)).toBe(-format.addressFault);
    expect(tlbTranslate(tlb, tables, 1, root, other, READ)).toBe(50);
  });
});

describe('tlbTranslate', () => {
  it('a miss does not walk from the root where the leaf table is known, until a flush', () => {
    const { tables, root } = createMachine(x86_64);
    mapRange(tables, root, 0, 0x4000, 50, E_RIGHTS | E_DIRTY);
    for (const address of [0, 0x1000, 0x2000, 0x3000]) hwWalk(tables, root, address, WRITE, createTranslation());
    const tlb = createTlb(x86_64);
    expect(tlbTranslate(tlb, tables, 1, root, 0, READ)).toBe(50);
    // Without a flush: the architecture lets the MMU go on using the table it knows.
    const raw = createEntry();
    readEntry(tables, root, 0, raw);
    writeEntry(tables, root, 0, createEntry());
    expect(tlbTranslate(tlb, tables, 1, root, 0x1000, READ)).toBe(51);
    expect(tlbTranslate(tlb, tables, 2, root, 0x1000, READ)).toBe(-FAULT_NOT_PRESENT);
    tlbFlushPage(tlb, 1, 0x9000);
    expect(tlbTranslate(tlb, tables, 1, root, 0x2000, READ)).toBe(-FAULT_NOT_PRESENT);
    writeEntry(tables, root, 0, raw);
    expect(tlbTranslate(tlb, tables, 1, root, 0x2000, READ)).toBe(52);
  });

  it('debug mode reports a table that was unhooked without a flush', () => {
    const { tables, root } = createMachine(x86_64);
    mapRange(tables, root, 0, 0x2000, 50, E_RIGHTS | E_DIRTY);
    for (const address of [0, 0x1000]) hwWalk(tables, root, address, READ, createTranslation());
    const reports: string[] = [];
    const check = { memory: tables.memory, rootOf: () => root, report: (what: string) => void reports.push(what) };
    const tlb = createTlb(x86_64, { check });
    tlbTranslate(tlb, tables, 1, root, 0, READ);
    expect(reports).toEqual([]);
    writeEntry(tables, root, 0, createEntry());
    expect(tlbTranslate(tlb, tables, 1, root, 0x1000, READ)).toBe(51);
    expect(reports).toEqual(['tag 1, page 1, frame 51, access 4: a walk ends with fault 1 at level 3']);
    tlbFlushTag(tlb, 1);
    expect(tlbTranslate(tlb, tables, 1, root, 0x1000, READ)).toBe(-FAULT_NOT_PRESENT);
  });

  it('remembers no table that takes rights away', () => {
    const { tables, root } = createMachine(x86_64);
    mapRange(tables, root, 0, 0x2000, 50, E_RIGHTS | E_DIRTY);
    const above = tableAt(tables, root, 0, 1);
    const raw = createEntry();
    readEntry(tables, above, 0, raw);
    raw.lo &= ~2;
    writeEntry(tables, above, 0, raw);
    const tlb = createTlb(x86_64);
    for (const address of [0, 0x1000]) {
      expect(tlbTranslate(tlb, tables, 1, root, address, READ)).toBe(50 + address / 4096);
      expect(tlbTranslate(tlb, tables, 1, root, address, WRITE)).toBe(-FAULT_PROTECTION);
    }
  });

  it('a leaf kind is known by all its bits but the PFN', () => {
    const { tables, root } = createMachine(x86_64);
    mapRange(tables, root, 0, 0x1000, 50, E_USER | E_WRITE | E_DIRTY);
    mapRange(tables, root, 0x1000, 0x2000, 51, E_USER | E_EXEC);
    const tlb = createTlb(x86_64);
    const results = (access: number): number[] =>
      [0, 0x1000].map((address) => tlbTranslate(tlb, tables, 1, root, address, access));
    for (let round = 0; round < 3; round++) {
      expect(results(READ)).toEqual([50, 51]);
      expect(results(WRITE)).toEqual([50, -FAULT_PROTECTION]);
      expect(results(EXEC)).toEqual([-FAULT_PROTECTION, 51]);
      tlbFlushTag(tlb, 1);
    }
  });

  it('SDM: a protection key tells leaves apart that are alike else', () => {
    const format: Format = { ...x86_64, ...x86Mmu({ smep: false, smap: false, pkru: 2 << 16 }) };
    const { tables, root } = createMachine(format);
    mapRange(tables, root, 0, 0x2000, 50, E_RIGHTS | E_DIRTY);
    const table = leafTable(tables, root, 0);
    const raw = createEntry();
    readEntry(tables, table, 1, raw);
    raw.hi |= 8 << 27;
    writeEntry(tables, table, 1, raw);
    for (const address of [0, 0x1000]) hwWalk(tables, root, address, READ, createTranslation());
    const tlb = createTlb(format);
    expect(tlbTranslate(tlb, tables, 1, root, 0, WRITE)).toBe(50);
    expect(tlbTranslate(tlb, tables, 1, root, 0x1000, WRITE)).toBe(-FAULT_KEY);
    expect(tlbTranslate(tlb, tables, 1, root, 0x1000, READ)).toBe(51);
  });

  it('SDM: global pages are found under every tag, also those of a leaf table that is known', () => {
    const { tables, root } = createMachine(x86_64);
    mapRange(tables, root, 0, 0x3000, 50, E_RIGHTS | E_GLOBAL);
    for (const address of [0, 0x1000, 0x2000]) hwWalk(tables, root, address, READ, createTranslation());
    const tlb = createTlb(x86_64);
    for (const page of [0, 1, 2]) expect(tlbTranslate(tlb, tables, 1, root, page * 0x1000, READ)).toBe(50 + page);
    for (const page of [0, 1, 2]) expect(tlbLookup(tlb, 2, page * 0x1000, READ)).toBe(50 + page);
  });

  it('a frame of 2^29 or more is translated, and kept nowhere', () => {
    const { tables, root } = createMachine(x86_64);
    mapRange(tables, root, 0, 0x1000, 50, E_RIGHTS);
    const table = leafTable(tables, root, 0);
    const leaf = createDecoded();
    const raw = createEntry();
    readEntry(tables, table, 0, raw);
    x86_64.decode(raw.lo, raw.hi, 0, leaf);
    leaf.pfn = 2 ** 33 + 7;
    x86_64.encode(leaf, 0, raw);
    writeEntry(tables, table, 0, raw);
    const tlb = createTlb(x86_64);
    for (let round = 0; round < 3; round++) expect(tlbTranslate(tlb, tables, 1, root, 0, READ)).toBe(2 ** 33 + 7);
    expect(tlb.hits).toBe(0);
  });

  it('tells tables apart whose places in the cache are the same, by address and by tag', () => {
    const { tables, root } = createMachine(x86_64);
    const far = 16 * 512 * 4096;
    const other = allocRoot(tables);
    mapRange(tables, root, 0, 0x2000, 50, E_RIGHTS);
    mapRange(tables, root, far, far + 0x2000, 60, E_RIGHTS);
    mapRange(tables, other, 0, 0x2000, 70, E_RIGHTS);
    const tlb = createTlb(x86_64, { slots: 1 });
    for (let round = 0; round < 3; round++) {
      for (const page of [0, 0x1000]) {
        expect(tlbTranslate(tlb, tables, 1, root, page, READ)).toBe(50 + page / 4096);
        expect(tlbTranslate(tlb, tables, 1, root, far + page, READ)).toBe(60 + page / 4096);
        expect(tlbTranslate(tlb, tables, 17, other, page, READ)).toBe(70 + page / 4096);
        expect(tlbTranslate(tlb, tables, 1, root, page, READ)).toBe(50 + page / 4096);
      }
    }
  });

  it('a change of the rights that the MMU gives reaches what is known of leaves', () => {
    let closed = false;
    const format: Format = { ...x86_64, permits: () => (closed ? FAULT_KEY : 0) };
    const { tables, root } = createMachine(format);
    mapRange(tables, root, 0, 0x3000, 50, E_RIGHTS);
    for (const address of [0, 0x1000, 0x2000]) hwWalk(tables, root, address, READ, createTranslation());
    const tlb = createTlb(format);
    expect(tlbTranslate(tlb, tables, 1, root, 0, READ)).toBe(50);
    closed = true;
    tlbRightsChanged(tlb);
    expect(tlbTranslate(tlb, tables, 1, root, 0x1000, READ)).toBe(-FAULT_KEY);
    closed = false;
    tlbRightsChanged(tlb);
    expect(tlbTranslate(tlb, tables, 1, root, 0x2000, READ)).toBe(52);
  });

  it('Arm ARM, PXNTable: tables that keep the kernel from fetching go on doing so', () => {
    const { tables, root } = createMachine(arm64);
    mapRange(tables, root, 0, 0x2000, 50, E_EXEC);
    const tlb = createTlb(arm64);
    for (const address of [0, 0x1000]) {
      const raw = createEntry();
      readEntry(tables, leafTable(tables, root, address), leafIndex(arm64, address), raw);
      raw.hi &= ~(1 << 21); // PXN
      writeEntry(tables, leafTable(tables, root, address), leafIndex(arm64, address), raw);
      expect(hwWalk(tables, root, address, ACCESS_EXEC, createTranslation())).toBe(FAULT_PROTECTION);
      expect(tlbTranslate(tlb, tables, 1, root, address, ACCESS_READ)).toBe(50 + address / 4096);
      expect(tlbTranslate(tlb, tables, 1, root, address, ACCESS_EXEC)).toBe(-FAULT_PROTECTION);
    }
  });

  it('refuses tables of another format', () => {
    const { tables } = createMachine(x86_64);
    const tlb = createTlb(arm64);
    expect(codeOf(() => tlbTranslate(tlb, tables, 1, allocRoot(tables), 0, READ))).toBe('OTHER_MMU');
  });
});
