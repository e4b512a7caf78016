import { describe, expect, it } from 'vitest';
import {
  ACCESS_READ,
  ACCESS_USER,
  ACCESS_WRITE,
  arm64,
  arm64Mmu,
  clearEntry,
  createDecoded,
  createEntry,
  createTlb,
  createTlbCheck,
  createTlbEntry,
  createTranslation,
  type Decoded,
  E_DIRTY,
  E_EXEC,
  E_GLOBAL,
  E_USER,
  E_WRITE,
  E_YOUNG,
  type Format,
  hwWalk,
  leafIndex,
  leafTable,
  mapRange,
  readEntry,
  staleEntry,
  type Tables,
  tableAt,
  type Tlb,
  tlbEntryAt,
  tlbFlushPage,
  tlbInsert,
  tlbInsertPage,
  tlbLookup,
  tlbLookupPage,
  tlbRightsChanged,
  translate,
  unmapRange,
  writeEntry,
  x86_64,
} from '@mmkit/pgtable';
import { createMachine } from './machine.ts';

const AT = 0x40_0000;
const PAGE = 4096;
const READ = ACCESS_READ | ACCESS_USER;
const WRITE = ACCESS_WRITE | ACCESS_USER;

/** A machine with two pages at AT, whose TLB has been used for `access`. */
class Bench {
  readonly tables: Tables;
  readonly root: number;
  readonly tlb: Tlb;
  readonly reports: string[] = [];

  constructor(format: Format, access: number, flags = E_USER | E_WRITE) {
    const { tables, root } = createMachine(format);
    this.tables = tables;
    this.root = root;
    this.tlb = createTlb(format, {
      check: { memory: tables.memory, report: (what) => this.reports.push(what) },
    });
    const error = mapRange(tables, root, AT, AT + 2 * PAGE, 9, flags);
    if (error !== 0 || this.access(access) !== 9) throw new Error('the bench does not work');
  }

  access(access: number, address = AT): number {
    const pfn = tlbLookup(this.tlb, this.root, address, access);
    if (pfn >= 0) return pfn;
    const out = createTranslation();
    if (hwWalk(this.tables, this.root, address, access, out) !== 0) return -1;
    tlbInsert(this.tlb, this.root, address, out);
    return out.pfn;
  }

  /** Changes the leaf of AT. */
  change(edit: (leaf: Decoded) => void): void {
    const { tables } = this;
    const table = leafTable(tables, this.root, AT);
    const index = leafIndex(tables.format, AT);
    const entry = createEntry();
    const leaf = createDecoded();
    readEntry(tables, table, index, entry);
    tables.format.decode(entry.lo, entry.hi, 0, leaf);
    edit(leaf);
    tables.format.encode(leaf, 0, entry);
    writeEntry(tables, table, index, entry);
  }
}

type Change = [string, (bench: Bench) => void, used: number, again: number];

const without = (flags: number): ((bench: Bench) => void) => {
  return (bench) =>
    bench.change((leaf) => {
      leaf.flags &= ~flags;
    });
};

const required: Change[] = [
  ['the page is unmapped', (b) => unmapRange(b.tables, b.root, AT, AT + PAGE), READ, READ],
  [
    'a table is unhooked',
    (b) => clearEntry(b.tables, b.root, Math.floor(AT / b.tables.format.spans[3]!), createEntry()),
    READ,
    READ,
  ],
  [
    'another frame',
    (b) =>
      b.change((leaf) => {
        leaf.pfn = 77;
      }),
    READ,
    READ,
  ],
  ['user mode is shut out', without(E_USER), READ, READ],
  ['the right to write is taken away', without(E_WRITE), WRITE, WRITE],
  ['Dirty is cleared, and the page written again', without(E_DIRTY), WRITE, WRITE],
];

const free: Change[] = [
  ['nothing', () => {}, WRITE, WRITE],
  ['a neighbour is unmapped', (b) => unmapRange(b.tables, b.root, AT + PAGE, AT + 2 * PAGE), WRITE, WRITE],
  ['the right to write is taken away, and the page read', without(E_WRITE), READ, READ],
  ['Dirty is cleared, and the page read', without(E_DIRTY), WRITE, READ],
  ['the accessed bit is cleared', without(E_YOUNG), READ, READ],
  [
    'Dirty is set',
    (b) =>
      b.change((leaf) => {
        leaf.flags |= E_DIRTY;
      }),
    READ,
    WRITE,
  ],
  [
    'fetching is allowed',
    (b) =>
      b.change((leaf) => {
        leaf.flags |= E_EXEC;
      }),
    READ,
    READ,
  ],
];

describe.each([
  ['x86-64', x86_64],
  ['arm64', arm64],
])('%s: debug mode', (_name, format) => {
  it.each(required)('reports a use without the required flush: %s', (_what, change, used, again) => {
    const bench = new Bench(format, used);
    change(bench);
    expect(bench.access(again)).toBe(9);
    expect(bench.reports).toHaveLength(1);
    expect(bench.reports[0]).toMatch(/^tag \d+, page 1024, frame 9, access \d: /);
    tlbFlushPage(bench.tlb, bench.root, AT);
    bench.access(again);
    expect(bench.reports).toHaveLength(1);
  });

  it.each(free)('reports nothing where no flush is required: %s', (_what, change, used, again) => {
    const bench = new Bench(format, used);
    change(bench);
    expect(bench.access(again)).toBe(9);
    expect(bench.reports).toEqual([]);
  });

  it('what was not there, or not allowed, was never cached: no flush, no report', () => {
    const bench = new Bench(format, READ, E_USER);
    expect(bench.access(WRITE)).toBe(-1);
    bench.change((leaf) => {
      leaf.flags |= E_WRITE;
    });
    expect(bench.access(WRITE)).toBe(9);
    expect(bench.access(READ, AT + 2 * PAGE)).toBe(-1);
    expect(mapRange(bench.tables, bench.root, AT + 2 * PAGE, AT + 3 * PAGE, 20, E_USER)).toBe(0);
    expect(bench.access(READ, AT + 2 * PAGE)).toBe(20);
    expect(bench.reports).toEqual([]);
  });

  it('looking changes no entry', () => {
    const bench = new Bench(format, WRITE);
    const raw = createEntry();
    const table = leafTable(bench.tables, bench.root, AT);
    without(E_YOUNG | E_DIRTY)(bench);
    readEntry(bench.tables, table, leafIndex(format, AT), raw);
    const before = [raw.lo, raw.hi];
    bench.access(WRITE);
    readEntry(bench.tables, table, leafIndex(format, AT), raw);
    expect([raw.lo, raw.hi]).toEqual(before);
    expect(bench.reports).toHaveLength(1);
  });
});

describe('debug mode', () => {
  it('throws STALE_TRANSLATION unless told where to report, and counts no hit', () => {
    const { tables, root } = createMachine(x86_64);
    const tlb = createTlb(x86_64, { check: { memory: tables.memory } });
    mapRange(tables, root, AT, AT + PAGE, 9, E_USER);
    const out = createTranslation();
    hwWalk(tables, root, AT, READ, out);
    tlbInsert(tlb, root, AT, out);
    unmapRange(tables, root, AT, AT + PAGE);
    expect(() => tlbLookup(tlb, root, AT, READ)).toThrow(
      expect.objectContaining({
        code: 'STALE_TRANSLATION',
        message: expect.stringContaining(': a walk ends with fault 1 at level '),
      }),
    );
    expect(tlb.hits).toBe(0);
  });

  it('a tag that was given to another address space without a flush', () => {
    const { tables, root } = createMachine(x86_64);
    const roots = [root];
    const reports: string[] = [];
    const check = {
      memory: tables.memory,
      rootOf: (tag: number) => roots[tag] ?? -1,
      report: (what: string) => void reports.push(what),
    };
    const tlb = createTlb(x86_64, { check });
    mapRange(tables, root, AT, AT + PAGE, 9, E_USER);
    const out = createTranslation();
    hwWalk(tables, root, AT, READ, out);
    tlbInsert(tlb, 0, AT, out);
    expect(tlbLookup(tlb, 0, AT, READ)).toBe(9);
    expect(reports).toEqual([]);
    roots[0] = tables.allocTable();
    tlbLookup(tlb, 0, AT, READ);
    roots.pop();
    tlbLookup(tlb, 0, AT, READ);
    expect(reports).toEqual([
      'tag 0, page 1024, frame 9, access 4: a walk ends with fault 1 at level 3',
      'tag 0, page 1024, frame 9, access 4: the tag stands for no tables',
    ]);
  });

  it('global translations of the kernel half, under any tag', () => {
    const { tables, root } = createMachine(x86_64);
    const reports: string[] = [];
    const tlb = createTlb(x86_64, {
      check: { memory: tables.memory, rootOf: () => root, report: (what) => void reports.push(what) },
    });
    mapRange(tables, root, AT, AT + 2 * PAGE, 9, E_GLOBAL | E_WRITE);
    // The kernel's half shows the same tables as the user's.
    const entry = createEntry();
    readEntry(tables, root, 0, entry);
    writeEntry(tables, root, 256, entry);
    const address = 0xffff_8000_0000_0000n + BigInt(AT);
    const page = Number(address >> 12n);
    const out = createTranslation();
    expect(translate(x86_64, tables.memory, BigInt(root) << 12n, address, ACCESS_READ, out)).toBe(0);
    tlbInsertPage(tlb, 1, page, out);
    expect(tlbLookupPage(tlb, 2, page, ACCESS_READ)).toBe(9);
    expect(reports).toEqual([]);
    unmapRange(tables, root, AT, AT + PAGE);
    expect(tlbLookupPage(tlb, 2, page, ACCESS_READ)).toBe(9);
    expect(reports).toHaveLength(1);
  });

  it('Arm ARM, AF left to software: clearing it needs no flush', () => {
    const format: Format = { ...arm64, ...arm64Mmu({ ha: false, hd: false }) };
    const bench = new Bench(format, READ, E_USER | E_YOUNG);
    without(E_YOUNG)(bench);
    expect(bench.access(READ)).toBe(9);
    expect(bench.reports).toEqual([]);
    tlbFlushPage(bench.tlb, bench.root, AT);
    expect(bench.access(READ)).toBe(-1);
  });

  it("goes on after a change of the MMU's rights", () => {
    const bench = new Bench(x86_64, READ);
    tlbRightsChanged(bench.tlb);
    unmapRange(bench.tables, bench.root, AT, AT + PAGE);
    bench.access(READ);
    expect(bench.reports).toHaveLength(1);
  });

  it('rights taken away in a table above count like those of the leaf', () => {
    const bench = new Bench(x86_64, WRITE);
    const above = tableAt(bench.tables, bench.root, AT, 1);
    const raw = createEntry();
    readEntry(bench.tables, above, 2, raw);
    raw.lo &= ~2;
    writeEntry(bench.tables, above, 2, raw);
    bench.access(READ);
    expect(bench.reports).toEqual([]);
    bench.access(WRITE);
    expect(bench.reports).toHaveLength(1);
  });
});

describe('staleEntry', () => {
  it('finds an entry that some access would use and should not', () => {
    const bench = new Bench(x86_64, READ);
    const check = createTlbCheck(x86_64, { memory: bench.tables.memory });
    const entry = createTlbEntry();
    const why = (): string[] => {
      const all: string[] = [];
      for (let slot = 0; slot < bench.tlb.slots; slot++) {
        if (!tlbEntryAt(bench.tlb, slot, entry)) continue;
        all.push(staleEntry(check, entry.tag, entry.page, entry.pfn, entry.flags));
      }
      return all;
    };
    expect(why()).toEqual(['']);
    without(E_WRITE)(bench);
    expect(why()).toEqual(['a walk ends with fault 2 at level 0']);
  });
});
