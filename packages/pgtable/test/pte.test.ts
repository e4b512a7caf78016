import { ENOMEM } from '@mmkit/base';
import {
  createEntry,
  createPte,
  createTables,
  allocRoot,
  E_USER,
  E_YOUNG,
  ENTRY_LEAF,
  createDecoded,
  leafIndex,
  leafTable,
  mapLargest,
  type Pte,
  pteAlloc,
  pteClear,
  pteOffset,
  pteRead,
  pteSame,
  pteWrite,
  pteWriteLeaf,
  readEntry,
  writeEntry,
  x86_64,
} from '@mmkit/pgtable';
import { createPhys } from '@mmkit/phys';
import { describe, expect, it } from 'vitest';
import { formats } from './formats.ts';
import { codeOf, createMachine, type Machine } from './machine.ts';

/** The entry of `address`, its tables made. */
function made({ tables, root }: Machine, address: number): Pte {
  const pte = createPte(tables);
  if (!pteAlloc(tables, root, address, pte)) throw new Error('no memory');
  return pte;
}

describe.each(formats)('$name', (format) => {
  const page = 2 ** format.pageShift;
  const address = format.spans[1]! * 3 + page * 5;

  it('is the entry that readEntry and writeEntry see', () => {
    const machine = createMachine(format);
    const { tables, root } = machine;
    const pte = made(machine, address);
    expect(pte.table).toBe(leafTable(tables, root, address));
    const entry = createEntry();
    entry.lo = 5;
    entry.hi = 7;
    writeEntry(tables, pte.table, leafIndex(format, address), entry);
    expect([pteRead(pte), pte.lo, pte.hi]).toEqual([false, 5, 7]);
    entry.hi = 9;
    pteWrite(pte, entry);
    readEntry(tables, pte.table, leafIndex(format, address), entry);
    expect([entry.lo, entry.hi]).toEqual([5, 9]);
    pteClear(pte);
    expect(pteRead(pte)).toBe(true);
  });

  it('a leaf that is written reads as it was meant', () => {
    const machine = createMachine(format);
    const pte = made(machine, address);
    pteWriteLeaf(machine.tables, pte, 77, E_USER | E_YOUNG);
    const leaf = createDecoded();
    pteRead(pte);
    format.decode(pte.lo, pte.hi, 0, leaf);
    expect([leaf.kind, leaf.pfn, leaf.flags]).toEqual([ENTRY_LEAF, 77, E_USER | E_YOUNG]);
  });
});

describe('pte_same', () => {
  it('compares all bits with what was read last', () => {
    const machine = createMachine(x86_64);
    const pte = made(machine, 0x5000);
    const entry = createEntry();
    const after = (lo: number, hi: number): boolean => {
      entry.lo = lo;
      entry.hi = hi;
      pteWrite(pte, entry);
      return pteSame(pte);
    };
    pteRead(pte);
    expect(pteSame(pte)).toBe(true);
    expect([after(5, 0), after(0, 7), after(5, 7)]).toEqual([false, false, false]);
    pteRead(pte);
    expect([after(5, 7), after(7, 5)]).toEqual([true, false]);
  });
});

describe('finding it', () => {
  it('pte_offset_map: nothing without a leaf table, nor under a huge leaf', () => {
    const { tables, root } = createMachine(x86_64, 2048);
    const pte = createPte(tables);
    expect([pteOffset(tables, root, 0x5000, pte), pte.table]).toEqual([false, -1]);
    pteAlloc(tables, root, 0x5000, pte);
    expect(pteOffset(tables, root, 0x40_0000, pte)).toBe(false);
    expect(pte.table).toBe(-1);
    mapLargest(tables, root, 0x40_0000, 0x60_0000, 512, E_USER);
    expect(pteOffset(tables, root, 0x40_5000, pte)).toBe(false);
    expect(codeOf(() => pteAlloc(tables, root, 0x40_5000, pte))).toBe('HUGE_LEAF');
  });

  it('nothing is written through an entry that was not found', () => {
    const { tables, phys } = createMachine(x86_64);
    const before = phys.hot.slice();
    const pte = createPte(tables);
    pteWriteLeaf(tables, pte, 7, E_USER);
    pteClear(pte);
    expect(phys.hot).toEqual(before);
  });

  it('pte_alloc_map: false without memory for a table', () => {
    const phys = createPhys({ frames: 64 });
    let pages = 1;
    const tables = createTables(phys, x86_64, { allocTable: () => (pages-- > 0 ? 5 : -ENOMEM), freeTable: () => {} });
    const root = allocRoot(tables);
    const pte = createPte(tables);
    expect([pteAlloc(tables, root, 0, pte), pte.table < 0]).toEqual([false, true]);
  });
});
