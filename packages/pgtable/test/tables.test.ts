import { ENOMEM, wordsToBigint } from '@mmkit/base';
import { allocPages, createPhys, frameWordIndex, frameWords, getPage, PG_TABLE, putPage, testFlag } from '@mmkit/phys';
import { describe, expect, it } from 'vitest';
import {
  arm64,
  allocRoot,
  clearEntry,
  createDecoded,
  createEntry,
  createTables,
  E_USER,
  E_YOUNG,
  ENTRY_LEAF,
  entryNone,
  entrySame,
  type Format,
  formatLevels,
  leafIndex,
  leafTable,
  leafTableAlloc,
  levelIndex,
  readEntry,
  setDecoded,
  tableAt,
  tableAtAlloc,
  writeEntry,
  writeLeaf,
  x86_64,
} from '@mmkit/pgtable';
import { formats } from './formats.ts';
import { madeUp } from './made-up-format.ts';
import { codeOf, createMachine } from './machine.ts';

const ADDRESS = 0x7fff_1234_5000;

/** Replaces the RAM chunk of `pfn` by one that logs reads (r) and writes (w) of the word numbers from `first` on. */
function logAccesses(
  machine: ReturnType<typeof createMachine>,
  pfn: number,
  onRead?: (word: number) => void,
): string[] {
  const { phys } = machine;
  const words = frameWords(phys, pfn);
  const first = frameWordIndex(phys, pfn);
  const log: string[] = [];
  phys.chunks[phys.chunks.indexOf(words)] = new Proxy(words, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target);
      log.push(`r${Number(key) - first}`);
      onRead?.(Number(key) - first);
      return value;
    },
    set(target, key, value: number) {
      log.push(`w${Number(key) - first}=${value}`);
      return Reflect.set(target, key, value, target);
    },
  });
  return log;
}

describe('createTables', () => {
  it('refuses a machine with another page size', () => {
    expect(codeOf(() => createTables(createPhys({ frames: 64, pageSize: 16384 }), x86_64))).toBe('PAGE_SIZE');
    expect(codeOf(() => createTables(createPhys({ frames: 64 }), madeUp))).toBe('PAGE_SIZE');
  });

  it.each([
    ['shifts', { shifts: [12, 21, 30, 40] }],
    ['spans', { spans: [0x1000, 0x20_0000, 0x4000_0000, 0x80_0000_0001] }],
    ['inverses', { inverses: [1, 1, 1, 1] }],
    ['more levels than sizes', { levels: 5 }],
    ['word order', { lowAt: 1 }],
    ['userEnd beyond the root', { userEnd: 2 ** 49 }],
  ])('refuses a format that contradicts itself: %s', (_name, change) => {
    const format: Format = { ...x86_64, ...change };
    expect(codeOf(() => createTables(createPhys({ frames: 64 }), format))).toBe('BAD_FORMAT');
  });

  it('refuses sizes no table can have', () => {
    expect(() => formatLevels(12, 4, 10)).toThrow(/^indexBits: /);
    expect(() => formatLevels(12, 0, 9)).toThrow(/^levels: /);
    expect(() => formatLevels(11, 4, 8)).toThrow(/^pageShift: /);
  });

  it('takes table pages from the caller and gives them back there', () => {
    const phys = createPhys({ frames: 64 });
    const given: number[] = [];
    const allocTable = (): number => {
      given.push(allocPages(phys, 0, 0));
      return given[given.length - 1]!;
    };
    const tables = createTables(phys, x86_64, { allocTable, freeTable: () => {} });
    const root = allocRoot(tables);
    const table = leafTableAlloc(tables, root, ADDRESS);
    expect(given).toHaveLength(4);
    expect([root, table]).toEqual([given[0], given[3]]);
  });
});

describe('table pages of phys', () => {
  it('are marked until they are freed; no other frame, and none twice, can be given back', () => {
    const { tables, root, phys } = createMachine(x86_64);
    const data = allocPages(phys, 0, 0);
    const free = phys.freeFrames;
    expect(testFlag(phys, root, PG_TABLE)).toBe(true);
    expect(codeOf(() => tables.freeTable(data))).toBe('NOT_A_TABLE');
    expect(phys.freeFrames).toBe(free);
    getPage(phys, root);
    expect(codeOf(() => tables.freeTable(root))).toBe('FREE_REFERENCED');
    expect(testFlag(phys, root, PG_TABLE)).toBe(true);
    putPage(phys, root);
    tables.freeTable(root);
    expect(testFlag(phys, root, PG_TABLE)).toBe(false);
    expect(codeOf(() => tables.freeTable(root))).toBe('NOT_A_TABLE');
  });
});

describe('tables of an address', () => {
  it('N.19: index of each level of an x86-64 address', () => {
    const address = ((0xabn << 39n) | (0x1ffn << 30n) | (0x0n << 21n) | (0x155n << 12n)) + 0xfffn;
    expect([3, 2, 1, 0].map((level) => levelIndex(x86_64, level, Number(address)))).toEqual([0xab, 0x1ff, 0, 0x155]);
    expect(leafIndex(x86_64, Number(address))).toBe(0x155);
  });

  it('N.19: tables of user memory are P|RW|U|A|D = 0x67', () => {
    const { tables, root, phys } = createMachine(x86_64);
    const table = leafTableAlloc(tables, root, ADDRESS);
    const entry = createEntry();
    for (let level = 3; level > 0; level--) {
      const at = tableAt(tables, root, ADDRESS, level);
      readEntry(tables, at, levelIndex(x86_64, level, ADDRESS), entry);
      const child = tableAt(tables, root, ADDRESS, level - 1);
      expect(wordsToBigint(entry.lo, entry.hi)).toBe(BigInt(child) * 0x1000n + 0x67n);
      expect(testFlag(phys, child, PG_TABLE)).toBe(true);
    }
    expect(table).toBe(leafTable(tables, root, ADDRESS));
  });

  it.each([x86_64, arm64, madeUp])('$name: made once, found again, shared by neighbours', (format) => {
    const { tables, root, phys } = createMachine(format);
    const span = format.spans[1]!;
    expect(leafTable(tables, root, 5 * span)).toBe(-1);
    const before = phys.freeFrames;
    const table = leafTableAlloc(tables, root, 5 * span);
    expect(before - phys.freeFrames).toBe(format.levels - 1);
    expect(leafTableAlloc(tables, root, 6 * span - 1)).toBe(table);
    expect(leafTable(tables, root, 5 * span + 1)).toBe(table);
    expect(leafTable(tables, root, 6 * span)).toBe(-1);
    expect(leafTableAlloc(tables, root, 6 * span)).not.toBe(table);
    expect(before - phys.freeFrames).toBe(format.levels);
  });

  it('out of memory is -ENOMEM; the tables made before stay, empty', () => {
    const { tables, root, phys } = createMachine(x86_64);
    const taken: number[] = [];
    for (let pfn = tables.allocTable(); pfn >= 0; pfn = tables.allocTable()) taken.push(pfn);
    expect(leafTableAlloc(tables, root, ADDRESS)).toBe(-ENOMEM);
    expect(tableAt(tables, root, ADDRESS, 2)).toBe(-1);
    for (const pfn of taken.slice(0, 2)) tables.freeTable(pfn);
    expect(leafTableAlloc(tables, root, ADDRESS)).toBe(-ENOMEM);
    expect(tableAt(tables, root, ADDRESS, 1)).toBeGreaterThan(0);
    expect(leafTable(tables, root, ADDRESS)).toBe(-1);
    for (const pfn of taken.slice(2, 3)) tables.freeTable(pfn);
    expect(leafTableAlloc(tables, root, ADDRESS)).toBeGreaterThan(0);
    expect(phys.freeFrames).toBe(0);
    expect(allocRoot(tables)).toBe(-ENOMEM);
  });

  it('a huge leaf ends the path: no table is found, none is made', () => {
    const { tables, root, phys } = createMachine(x86_64);
    const pmd = tableAtAlloc(tables, root, ADDRESS, 1);
    const d = createDecoded();
    const entry = createEntry();
    setDecoded(d, ENTRY_LEAF, 0x200, E_USER);
    x86_64.encode(d, 1, entry);
    writeEntry(tables, pmd, levelIndex(x86_64, 1, ADDRESS), entry);
    const free = phys.freeFrames;
    expect(leafTable(tables, root, ADDRESS)).toBe(-1);
    expect(codeOf(() => leafTableAlloc(tables, root, ADDRESS))).toBe('HUGE_LEAF');
    expect(tableAt(tables, root, ADDRESS, 1)).toBe(pmd);
    expect(phys.freeFrames).toBe(free);
  });

  it('a table entry without every right still leads to its table', () => {
    const { tables, root } = createMachine(x86_64);
    const table = leafTableAlloc(tables, root, ADDRESS);
    const entry = createEntry();
    readEntry(tables, root, levelIndex(x86_64, 3, ADDRESS), entry);
    entry.lo &= ~2;
    writeEntry(tables, root, levelIndex(x86_64, 3, ADDRESS), entry);
    expect(leafTable(tables, root, ADDRESS)).toBe(table);
  });

  it('a table outside RAM is refused, not truncated', () => {
    const { tables, root } = createMachine(x86_64);
    const entry = createEntry();
    for (const [lo, hi] of [
      [0x100067, 0],
      [0x67, 0x200],
    ] as const) {
      entry.lo = lo;
      entry.hi = hi;
      writeEntry(tables, root, 0, entry);
      expect(codeOf(() => leafTable(tables, root, 0))).toBe('TABLE_OUTSIDE_RAM');
    }
  });

  it('refuses what is no user address or level', () => {
    const { tables, root } = createMachine(x86_64);
    for (const address of [-1, 0.5, Number.NaN, 2 ** 47, 2 ** 53]) {
      expect(() => leafTable(tables, root, address)).toThrow(RangeError);
      expect(() => leafTableAlloc(tables, root, address)).toThrow(/^address: /);
    }
    expect(() => tableAt(tables, root, 0, 4)).toThrow(/^level: /);
    expect(() => tableAtAlloc(tables, root, 0, -1)).toThrow(/^level: /);
  });
});

describe.each(formats)('$name', (format) => {
  it('a leaf that is written reads as it was meant; its neighbours stay none', () => {
    const { tables, root } = createMachine(format);
    const table = leafTableAlloc(tables, root, 0);
    writeLeaf(tables, table, 1, 77, E_USER | E_YOUNG);
    expect([0, 1, 2].map((index) => entryNone(tables, table, index))).toEqual([true, false, true]);
    const entry = createEntry();
    const leaf = createDecoded();
    readEntry(tables, table, 1, entry);
    format.decode(entry.lo, entry.hi, 0, leaf);
    expect([leaf.kind, leaf.pfn, leaf.flags]).toEqual([ENTRY_LEAF, 77, E_USER | E_YOUNG]);
  });

  it('an entry with bits in one of its words only is not none', () => {
    const { tables, root } = createMachine(format);
    const entry = createEntry();
    entry.hi = 1;
    writeEntry(tables, root, 0, entry);
    entry.hi = 0;
    entry.lo = 1;
    writeEntry(tables, root, 1, entry);
    expect([0, 1, 2].map((index) => entryNone(tables, root, index))).toEqual([false, false, true]);
  });
});

describe('pte_same', () => {
  it('an entry is the same only when all its bits are', () => {
    const { tables, root } = createMachine(x86_64);
    const entry = createEntry();
    entry.lo = 5;
    entry.hi = 7;
    writeEntry(tables, root, 3, entry);
    const same = (lo: number, hi: number): boolean =>
      entrySame(tables, root, 3, Object.assign(createEntry(), { lo, hi }));
    expect([same(5, 7), same(4, 7), same(5, 6), same(7, 5)]).toEqual([true, false, false, false]);
  });
});

describe('DESIGN, State: an entry changes as on x86-PAE', () => {
  it.each([
    [x86_64, 0, 1],
    [madeUp, 1, 0],
  ])('$name: write clears the low word, writes the high one, writes the low one', (format, low, high) => {
    const machine = createMachine(format);
    const log = logAccesses(machine, machine.root);
    const entry = createEntry();
    entry.lo = 5;
    entry.hi = 7;
    writeEntry(machine.tables, machine.root, 0, entry);
    expect(log).toEqual([`w${low}=0`, `w${high}=7`, `w${low}=5`]);
  });

  it('get-and-clear takes the low word first', () => {
    const machine = createMachine(x86_64);
    const entry = createEntry();
    entry.lo = 5;
    entry.hi = 7;
    writeEntry(machine.tables, machine.root, 2, entry);
    const log = logAccesses(machine, machine.root);
    const old = createEntry();
    clearEntry(machine.tables, machine.root, 2, old);
    expect(log).toEqual(['r4', 'w4=0', 'r5', 'w5=0']);
    expect([old.lo, old.hi]).toEqual([5, 7]);
    readEntry(machine.tables, machine.root, 2, old);
    expect([old.lo, old.hi]).toEqual([0, 0]);
  });

  it('a reader takes low, high, low again, and starts over when low has changed', () => {
    const machine = createMachine(x86_64);
    const { tables, root, phys } = machine;
    const words = frameWords(phys, root);
    const at = frameWordIndex(phys, root);
    words[at] = 5;
    words[at + 1] = 7;
    let reads = 0;
    const log = logAccesses(machine, root, () => {
      if (++reads !== 2) return;
      words[at] = 6;
      words[at + 1] = 8;
    });
    const entry = createEntry();
    readEntry(tables, root, 0, entry);
    expect(log).toEqual(['r0', 'r1', 'r0', 'r0', 'r1', 'r0']);
    expect([entry.lo, entry.hi]).toEqual([6, 8]);
  });
});
