import { EINVAL, ENOMEM } from '@mmkit/base';
import { allocPages, frameWordIndex, frameWords, freePages } from '@mmkit/phys';
import { describe, expect, it } from 'vitest';
import {
  ACCESS_USER,
  ACCESS_WRITE,
  arm64,
  createCursor,
  createDecoded,
  createEntry,
  createTables,
  createTranslation,
  type Cursor,
  type Decoded,
  E_DIRTY,
  E_EXEC,
  E_GLOBAL,
  E_INVALID,
  E_PROTNONE,
  E_RIGHTS,
  E_SHADOW_STACK,
  E_SOFT_DIRTY,
  E_SPECIAL,
  E_UFFD_WP,
  E_USER,
  E_WRITE,
  E_YOUNG,
  ENTRY_LEAF,
  ENTRY_NONPRESENT,
  findEntry,
  type Format,
  hwWalk,
  joinAt,
  mapLargest,
  mapRange,
  PFN_LIMIT,
  protectRange,
  readEntry,
  setDecoded,
  splitAt,
  tableAt,
  tableAtAlloc,
  type Tables,
  testAndClear,
  unmapRange,
  writeEntry,
  x86_64,
} from '@mmkit/pgtable';
import { formats } from './formats.ts';
import { madeUp } from './made-up-format.ts';
import { codeOf, createMachine } from './machine.ts';

const RW = E_WRITE | E_USER | E_YOUNG;
const MIB = 0x10_0000;
const GIB = 0x4000_0000;

/** The entry that decides about `address`: level and meaning. */
function entryOf(tables: Tables, root: number, address: number): Decoded & { level: number } {
  const { table, index, level } = find(tables, root, address);
  const d = createDecoded();
  const entry = createEntry();
  readEntry(tables, table, index, entry);
  tables.format.decode(entry.lo, entry.hi, level, d);
  return { ...d, level };
}

function find(tables: Tables, root: number, address: number): Cursor {
  const cursor = createCursor(address, address);
  findEntry(tables, root, address, cursor);
  return cursor;
}

/** Puts `d` where the entry that decides about `address` is, which has to be one of `level`. */
function put(tables: Tables, root: number, address: number, level: number, d: Decoded): void {
  const found = find(tables, root, address);
  expect(found.level).toBe(level);
  tables.format.encode(d, level, tables.entry);
  writeEntry(tables, found.table, found.index, tables.entry);
}

/** Every word of RAM. */
function snapshot(tables: Tables): number[] {
  return tables.phys.chunks.flatMap((chunk) => (chunk === undefined ? [] : [...chunk]));
}

/** Levels above 0 at which the format has leaves, of no more pages than there are frames. */
function hugeLevels(format: Format): number[] {
  const d = createDecoded();
  setDecoded(d, ENTRY_LEAF, 0, RW);
  return Array.from({ length: format.levels }, (_, level) => level).filter(
    (level) =>
      level > 0 &&
      format.spans[level]! / format.spans[0]! <= PFN_LIMIT &&
      codeOf(() => format.encode(d, level, createEntry())) === undefined,
  );
}

/** What the format makes of these flags. */
function stored(format: Format, level: number, flags: number): number {
  const d = createDecoded();
  const entry = createEntry();
  setDecoded(d, ENTRY_LEAF, 0, flags);
  format.encode(d, level, entry);
  format.decode(entry.lo, entry.hi, level, d);
  return d.flags;
}

const FLAGS = [
  E_USER,
  RW | E_DIRTY,
  RW,
  E_USER | E_EXEC | E_GLOBAL,
  E_USER | E_DIRTY | E_YOUNG | E_SPECIAL,
  E_USER | E_SOFT_DIRTY | E_UFFD_WP,
  E_PROTNONE | E_DIRTY | E_YOUNG | E_UFFD_WP,
  E_PROTNONE | E_WRITE,
];

describe.each(formats)('$name: a huge leaf', (format) => {
  it.each(hugeLevels(format))(
    'of level %i, split, says the same page by page, and joined is the same word',
    (level) => {
      const { tables, root, phys } = createMachine(format);
      const span = format.spans[level]!;
      const part = format.spans[level - 1]!;
      const pages = part / format.spans[0]!;
      for (const flags of FLAGS) {
        const free = phys.freeFrames;
        expect(mapLargest(tables, root, 0, span, 0, flags)).toBe(0);
        const want = stored(format, level, flags);
        const { table, index } = find(tables, root, 0);
        const [before, after] = [createEntry(), createEntry()];
        readEntry(tables, table, index, before);
        const taken = free - phys.freeFrames;
        expect(splitAt(tables, root, part)).toBe(0);
        expect(free - phys.freeFrames).toBe(taken + 1);
        const wrong = Array.from({ length: tables.entries }, (_, i) => i).filter((i) => {
          const found = entryOf(tables, root, i * part);
          return found.level !== level - 1 || found.pfn !== i * pages || found.flags !== want;
        });
        expect(wrong).toEqual([]);
        expect(joinAt(tables, root, 0, level)).toBe(0);
        expect(free - phys.freeFrames).toBe(taken);
        readEntry(tables, table, index, after);
        expect(after).toEqual(before);
        expect(unmapRange(tables, root, 0, span)).toBe(1);
        expect(phys.freeFrames).toBe(free);
      }
    },
  );

  const top = hugeLevels(format).at(-1)!;

  it('is split down to where the address needs it, and no table more', () => {
    const { tables, root, phys } = createMachine(format);
    const edge = format.spans[top]! - format.spans[0]!;
    mapLargest(tables, root, 0, format.spans[top]!, 0, RW);
    const free = phys.freeFrames;
    expect(splitAt(tables, root, edge)).toBe(0);
    expect(free - phys.freeFrames).toBe(top);
    for (let level = 0; level < top; level++) {
      const address = format.spans[top]! - format.spans[level + 1]!;
      const pfn = address / format.spans[0]!;
      expect(entryOf(tables, root, address)).toMatchObject({ level, pfn, kind: ENTRY_LEAF });
    }
    expect(entryOf(tables, root, edge)).toMatchObject({ level: 0, pfn: edge / format.spans[0]! });
    expect(unmapRange(tables, root, edge, format.spans[top]!)).toBe(1);
    for (let level = 1; level < top; level++) expect(joinAt(tables, root, 0, level)).toBe(-EINVAL);
  });

  it('out of memory at any table changes nothing', () => {
    const { tables, root, phys } = createMachine(format);
    mapLargest(tables, root, 0, format.spans[top]!, 0, RW);
    const taken: number[] = [];
    for (let pfn = allocPages(phys, 0, 0); pfn >= 0; pfn = allocPages(phys, 0, 0)) taken.push(pfn);
    const want = tableWords(tables, root);
    for (let n = 0; n < top; n++) {
      expect(phys.freeFrames).toBe(n);
      expect(splitAt(tables, root, format.spans[0]!)).toBe(-ENOMEM);
      expect(phys.freeFrames).toBe(n);
      expect(tableWords(tables, root)).toEqual(want);
      freePages(phys, taken.pop()!, 0);
    }
    expect(splitAt(tables, root, format.spans[0]!)).toBe(0);
    expect(phys.freeFrames).toBe(0);
  });
});

/** Every word of the root and of what hangs below its first entry. */
function tableWords(tables: Tables, root: number): number[] {
  const { phys, format } = tables;
  const found: number[] = [];
  for (let level = format.levels - 1; level >= 0; level--) {
    const table = tableAt(tables, root, 0, level);
    if (table < 0) break;
    const at = frameWordIndex(phys, table);
    found.push(table, ...frameWords(phys, table).subarray(at, at + tables.entries * 2));
  }
  return found;
}

describe('splitAt (split_huge_pmd_if_needed)', () => {
  it('has nothing to do at the edge of a leaf, in a hole, and at the end of user memory', () => {
    const { tables, root, phys } = createMachine(x86_64);
    mapLargest(tables, root, 2 * MIB, 4 * MIB + 0x1000, 0x200, RW);
    const before = snapshot(tables);
    const free = phys.freeFrames;
    for (const address of [0, 0x1000, 2 * MIB, 4 * MIB, 4 * MIB + 0x1000, GIB + 0x1000, x86_64.userEnd]) {
      expect(splitAt(tables, root, address)).toBe(0);
    }
    expect(snapshot(tables)).toEqual(before);
    expect(phys.freeFrames).toBe(free);
  });

  it('refuses what is no page edge of user memory', () => {
    const { tables, root } = createMachine(x86_64);
    expect(() => splitAt(tables, root, 0x800)).toThrow(RangeError);
    expect(() => splitAt(tables, root, x86_64.userEnd + 0x1000)).toThrow(RangeError);
    expect(() => splitAt(tables, root, -0x1000)).toThrow(RangeError);
  });

  it('refuses a non-present entry in the place of a huge leaf', () => {
    const { tables, root } = createMachine(x86_64);
    tableAtAlloc(tables, root, 0, 1);
    const d = createDecoded();
    setDecoded(d, ENTRY_NONPRESENT, 0, 0);
    d.offset = 0x200;
    put(tables, root, 0, 1, d);
    const before = snapshot(tables);
    expect(codeOf(() => splitAt(tables, root, 0x1000))).toBe('NOT_A_LEAF');
    expect(splitAt(tables, root, 2 * MIB)).toBe(0);
    expect(snapshot(tables)).toEqual(before);
  });

  it('refuses a leaf that the level below cannot say: nothing changes', () => {
    const { tables, root, phys } = createMachine(x86_64);
    tableAtAlloc(tables, root, 0, 1);
    const d = createDecoded();
    setDecoded(d, ENTRY_LEAF, 0x200, RW | E_INVALID);
    put(tables, root, 0, 1, d);
    const before = snapshot(tables);
    const free = phys.freeFrames;
    expect(codeOf(() => splitAt(tables, root, 0x1000))).toBe('BAD_ENTRY');
    expect(snapshot(tables)).toEqual(before);
    expect(phys.freeFrames).toBe(free);
  });

  it('refuses a leaf of which the level below would lose something', () => {
    const encode: Format['encode'] = (d, level, out) => x86_64.encode(level > 0 ? d : { ...d, restHi: 0 }, level, out);
    const { tables, root } = createMachine({ ...x86_64, encode });
    mapLargest(tables, root, 0, 2 * MIB, 0, RW);
    expect(splitAt(tables, root, 0x1000)).toBe(0);
    expect(joinAt(tables, root, 0, 1)).toBe(0);
    const d = createDecoded();
    setDecoded(d, ENTRY_LEAF, 0, RW);
    d.restHi = 0x0800_0000;
    put(tables, root, 0, 1, d);
    expect(codeOf(() => splitAt(tables, root, 0x1000))).toBe('BAD_ENTRY');
    expect(entryOf(tables, root, 0x1000)).toEqual({ ...d, level: 1 });
  });

  it('N.19: PAT is bit 12 of a huge leaf and bit 7 of a page: split and join move it', () => {
    for (const flags of [RW | E_DIRTY, E_PROTNONE]) {
      const { tables, root } = createMachine(x86_64, 1024);
      const raw = (level: number, address: number): [number, number] => {
        const entry = createEntry();
        const { table, index, level: found } = find(tables, root, address);
        expect(found).toBe(level);
        readEntry(tables, table, index, entry);
        return [entry.lo, entry.hi];
      };
      mapLargest(tables, root, 0, 2 * MIB, 0x200, flags);
      expect(splitAt(tables, root, 0x1000)).toBe(0);
      const plain = Array.from({ length: 512 }, (_, page) => raw(0, page * 4096));
      expect(joinAt(tables, root, 0, 1)).toBe(0);
      const [lo, hi] = raw(1, 0);
      const { table, index } = find(tables, root, 0);
      const entry = createEntry();
      entry.lo = lo | 0x1000;
      entry.hi = hi;
      writeEntry(tables, table, index, entry);
      expect(splitAt(tables, root, 0x1000)).toBe(0);
      for (const [page, words] of plain.entries()) expect(raw(0, page * 4096)).toEqual([words[0] | 0x80, words[1]]);
      expect(joinAt(tables, root, 0, 1)).toBe(0);
      expect(raw(1, 0)).toEqual([lo | 0x1000, hi]);
    }
  });

  it('keeps the raw bits no flag stands for: caching, protection key', () => {
    const { tables, root } = createMachine(x86_64);
    tableAtAlloc(tables, root, 0, 1);
    const d = createDecoded();
    setDecoded(d, ENTRY_LEAF, 0x200, RW);
    d.restLo = 0x18;
    d.restHi = 0x2800_0000;
    put(tables, root, 0, 1, d);
    expect(splitAt(tables, root, 0x1000)).toBe(0);
    expect(entryOf(tables, root, 0x5000)).toMatchObject({ restLo: 0x18, restHi: 0x2800_0000, pfn: 0x205 });
    expect(joinAt(tables, root, 0, 1)).toBe(0);
    expect(entryOf(tables, root, 0)).toEqual({ ...d, level: 1 });
  });

  it('a walk meets the huge leaf or the whole table, never a part', () => {
    const { tables, root, phys } = createMachine(x86_64);
    const seen: unknown[] = [];
    const own = createTables(phys, x86_64, {
      allocTable() {
        seen.push(entryOf(tables, root, 0x1000).level);
        return tables.allocTable();
      },
      freeTable: tables.freeTable,
    });
    mapLargest(tables, root, 0, GIB, 0, RW);
    const table = tableAt(tables, root, 0, 2);
    const words = frameWords(phys, table);
    const at = frameWordIndex(phys, table);
    phys.chunks[phys.chunks.indexOf(words)] = new Proxy(words, {
      set(target, key, value: number) {
        const ok = Reflect.set(target, key, value, target);
        if (Number(key) === at && value !== 0) {
          seen.push(entryOf(tables, root, 0x1000).pfn, entryOf(tables, root, GIB - 1).pfn);
        }
        return ok;
      },
    });
    expect(splitAt(own, root, 0x1000)).toBe(0);
    expect(seen).toEqual([2, 2, 1, 0x3_fe00]);
  });
});

describe('joinAt', () => {
  /** A machine with a full leaf table at `at`, of pages from frame 0x200 on. */
  function full(format: Format, at: number): ReturnType<typeof createMachine> {
    const machine = createMachine(format);
    mapRange(machine.tables, machine.root, at, at + format.spans[1]!, 0x200, RW);
    return machine;
  }

  it.each(formats)('$name: the leaf is accessed and dirty when one of its pages was', (format) => {
    const { tables, root } = createMachine(format);
    const size = format.spans[0]!;
    mapRange(tables, root, 0, format.spans[1]!, 0, E_USER | E_WRITE);
    protectRange(tables, root, size, 2 * size, E_YOUNG, 0);
    protectRange(tables, root, 5 * size, 6 * size, E_DIRTY, 0);
    expect(joinAt(tables, root, 0, 1)).toBe(0);
    const { level, flags } = entryOf(tables, root, 0);
    expect([level, flags & (RW | E_DIRTY)]).toEqual([1, RW | E_DIRTY]);
  });

  it.each([x86_64, arm64, madeUp])('$name: also where the hardware noted it', (format) => {
    const { tables, root } = full(format, 0);
    const store = ACCESS_WRITE | ACCESS_USER;
    expect(hwWalk(tables, root, 3 * format.spans[0]!, store, createTranslation())).toBe(0);
    const joins = 0x200 % (format.spans[1]! / format.spans[0]!) === 0;
    expect(joins).toBe(true);
    expect(joinAt(tables, root, 0, 1)).toBe(0);
    expect(entryOf(tables, root, 0).flags & (RW | E_DIRTY)).toBe(RW | E_DIRTY);
    expect(testAndClear(tables, root, 0, format.spans[1]!, E_DIRTY)).toBe(1);
    expect(hwWalk(tables, root, 0, store, createTranslation())).toBe(0);
    expect(entryOf(tables, root, 0).flags & E_DIRTY).toBe(E_DIRTY);
  });

  /** One page of the table made different. */
  const differences: [string, (tables: Tables, root: number, at: number) => void][] = [
    ['a hole', (tables, root, at) => unmapRange(tables, root, at, at + 0x1000)],
    ['a right', (tables, root, at) => protectRange(tables, root, at, at + 0x1000, 0, E_WRITE)],
    ['a software bit', (tables, root, at) => protectRange(tables, root, at, at + 0x1000, E_UFFD_WP, 0)],
    ['PROT_NONE', (tables, root, at) => protectRange(tables, root, at, at + 0x1000, E_PROTNONE, E_RIGHTS)],
    [
      'another frame',
      (tables, root, at) => {
        unmapRange(tables, root, at, at + 0x1000);
        mapRange(tables, root, at, at + 0x1000, 7, RW);
      },
    ],
    [
      'a shadow-stack page',
      (tables, root, at) => protectRange(tables, root, at, at + 0x1000, E_SHADOW_STACK | E_DIRTY, E_WRITE),
    ],
    [
      'a swap entry',
      (tables, root, at) => {
        const d = createDecoded();
        setDecoded(d, ENTRY_NONPRESENT, 0, 0);
        d.offset = 9;
        put(tables, root, at, 0, d);
      },
    ],
    [
      'a raw bit',
      (tables, root, at) => {
        const { level, ...d } = entryOf(tables, root, at);
        expect(level).toBe(0);
        put(tables, root, at, 0, { ...d, restLo: 0x10 });
      },
    ],
  ];

  it.each(differences)('-EINVAL and no change: %s', (_name, change) => {
    for (const page of [0, 1, 511]) {
      const { tables, root } = full(x86_64, 2 * MIB);
      change(tables, root, 2 * MIB + page * 0x1000);
      const before = snapshot(tables);
      expect(joinAt(tables, root, 2 * MIB, 1)).toBe(-EINVAL);
      expect(snapshot(tables)).toEqual(before);
    }
  });

  it('-EINVAL: pages all alike but for a shadow-stack page that differs in the Dirty bit alone', () => {
    const { tables, root } = createMachine(x86_64);
    mapRange(tables, root, 0, 2 * MIB, 0, E_USER | E_YOUNG);
    protectRange(tables, root, 0x3000, 0x4000, E_SHADOW_STACK | E_DIRTY, 0);
    expect(joinAt(tables, root, 0, 1)).toBe(-EINVAL);
  });

  it.each([x86_64, arm64, madeUp])('$name: -EINVAL where the frames are not aligned to the leaf', (format) => {
    const { tables, root } = createMachine(format);
    mapRange(tables, root, 0, format.spans[1]!, 1, RW);
    expect(joinAt(tables, root, 0, 1)).toBe(-EINVAL);
  });

  it('-EINVAL without a table there: nothing, a huge leaf, tables below it', () => {
    const { tables, root } = createMachine(x86_64);
    expect(joinAt(tables, root, 0, 1)).toBe(-EINVAL);
    mapLargest(tables, root, 0, 2 * MIB, 0, RW);
    expect(joinAt(tables, root, 0, 1)).toBe(-EINVAL);
    expect(joinAt(tables, root, 2 * MIB, 1)).toBe(-EINVAL);
    mapRange(tables, root, 2 * MIB, 4 * MIB, 0x200, RW);
    expect(joinAt(tables, root, 0, 2)).toBe(-EINVAL);
  });

  it('-EINVAL where the format has no such leaf', () => {
    const { tables, root } = createMachine(x86_64);
    mapLargest(tables, root, 0, 2 ** 39, 0, RW);
    const before = snapshot(tables);
    expect(joinAt(tables, root, 0, 3)).toBe(-EINVAL);
    expect(snapshot(tables)).toEqual(before);
  });

  it('passes on what a format throws that is no refusal', () => {
    const encode: Format['encode'] = (d, level, out) => {
      if (level > 0 && d.kind === ENTRY_LEAF) throw new RangeError('broken');
      x86_64.encode(d, level, out);
    };
    const { tables, root } = full({ ...x86_64, encode }, 0);
    expect(() => joinAt(tables, root, 0, 1)).toThrow('broken');
  });

  it('refuses bad arguments', () => {
    const { tables, root } = createMachine(x86_64);
    expect(() => joinAt(tables, root, 0, 0)).toThrow(/^level: /);
    expect(() => joinAt(tables, root, 0, 4)).toThrow(/^level: /);
    expect(() => joinAt(tables, root, 0x1000, 1)).toThrow(/^address: /);
    expect(() => joinAt(tables, root, x86_64.userEnd, 1)).toThrow(/^address: /);
  });
});
