import { frameWordIndex, frameWords } from '@mmkit/phys';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  E_USER,
  freeAllTables,
  leafTable,
  leafTableAlloc,
  mapRange,
  tableAt,
  unhookTables,
  x86_64,
} from '@mmkit/pgtable';
import { formats } from './formats.ts';
import { createMachine } from './machine.ts';

const MIB = 0x10_0000;
const GIB = 0x4000_0000;
const END = x86_64.userEnd;

describe('N.11: unhookTables (free_pgtables)', () => {
  it('without neighbours all tables but the root go, leaf tables before the upper ones', () => {
    const { tables, root, phys } = createMachine(x86_64);
    const leaf = leafTableAlloc(tables, root, 3 * GIB);
    const pmd = tableAt(tables, root, 3 * GIB, 1);
    const pud = tableAt(tables, root, 3 * GIB, 2);
    const out: number[] = [];
    const free = phys.freeFrames;
    unhookTables(tables, root, 0, END, 3 * GIB, 3 * GIB + 4096, out);
    expect(out).toEqual([leaf, pmd, pud]);
    expect(phys.freeFrames).toBe(free);
    expect(leafTable(tables, root, 3 * GIB)).toBe(-1);
    const at = frameWordIndex(phys, root);
    expect(
      frameWords(phys, root)
        .subarray(at, at + 1024)
        .every((word) => word === 0),
    ).toBe(true);
  });

  it('a leaf table that a neighbour below or above shares stays', () => {
    const { tables, root } = createMachine(x86_64);
    leafTableAlloc(tables, root, 2 * MIB);
    const out: number[] = [];
    unhookTables(tables, root, 2 * MIB + 4096, END, 3 * MIB, 4 * MIB, out);
    unhookTables(tables, root, 0, 4 * MIB - 4096, 3 * MIB, 3 * MIB + 4096, out);
    expect(out).toEqual([]);
    unhookTables(tables, root, 2 * MIB, 4 * MIB, 3 * MIB, 3 * MIB + 4096, out);
    expect(out).toHaveLength(1);
    expect(tableAt(tables, root, 2 * MIB, 1)).toBeGreaterThan(0);
  });

  it('an empty range unhooks nothing', () => {
    const { tables, root } = createMachine(x86_64);
    leafTableAlloc(tables, root, 0);
    const out: number[] = [];
    unhookTables(tables, root, 0, END, 0, 0, out);
    expect(out).toEqual([]);
  });

  it.each(formats)('$name: exactly the tables inside [floor, ceiling) that the range touches', (format) => {
    const { spans, levels, userEnd } = format;
    const page = spans[0]!;
    const top = Math.min(3 * spans[levels - 1]!, userEnd);
    const address = fc
      .tuple(fc.integer({ min: 0, max: levels - 1 }), fc.integer({ min: 0, max: 40 }), fc.integer({ min: -2, max: 2 }))
      .map(([level, n, off]) => Math.min(Math.max(n * spans[level]! + off * page, 0), top));
    const property = fc.property(
      fc.array(address, { maxLength: 8 }),
      fc.array(address, { minLength: 4, maxLength: 4 }),
      (places, edges) => {
        const [floor, start, end, ceiling] = edges.toSorted((a, b) => a - b) as [number, number, number, number];
        const { tables, root } = createMachine(format);
        const all = new Map<number, [level: number, base: number, span: number]>();
        for (const place of places.filter((p) => p < userEnd)) {
          leafTableAlloc(tables, root, place);
          for (let level = levels - 2; level >= 0; level--) {
            const span = spans[level + 1]!;
            all.set(tableAt(tables, root, place, level), [level, place - (place % span), span]);
          }
        }
        const gone = (base: number, span: number): boolean =>
          base >= floor && base + span <= ceiling && base < end && base + span > start && start < end;
        const expected = [...all].filter(([, [, base, span]]) => gone(base, span)).map(([pfn]) => pfn);
        const out: number[] = [];
        unhookTables(tables, root, floor, ceiling, start, end, out);
        expect(out.toSorted((a, b) => a - b)).toEqual(expected.toSorted((a, b) => a - b));
        for (const [i, pfn] of out.entries()) {
          const [level, base, span] = all.get(pfn)!;
          for (const later of out.slice(i + 1)) {
            const [laterLevel, laterBase] = all.get(later)!;
            expect(laterLevel >= level || laterBase < base || laterBase >= base + span).toBe(true);
          }
        }
      },
    );
    fc.assert(property, { numRuns: 200 });
  });

  it('refuses edges out of order', () => {
    const { tables, root } = createMachine(x86_64);
    expect(() => unhookTables(tables, root, 0, END + 1, 0, 1, [])).toThrow(/^ceiling: /);
    expect(() => unhookTables(tables, root, 0, 4096, 0, 8192, [])).toThrow(/^end: /);
    expect(() => unhookTables(tables, root, 0, END, 8192, 4096, [])).toThrow(/^start: /);
    expect(() => unhookTables(tables, root, 8192, END, 4096, 8192, [])).toThrow(/^floor: /);
  });
});

describe('freeAllTables', () => {
  it.each(formats)('$name: gives every table page back', (format) => {
    const { tables, root, phys } = createMachine(format);
    const before = phys.freeFrames + 1;
    const { spans, levels, userEnd } = format;
    const last = Math.min(userEnd, 2 ** 53 - spans[0]!) - spans[0]!;
    for (const at of [0, spans[1]!, spans[levels - 1]!, last]) {
      mapRange(tables, root, at, at + spans[0]!, 5, E_USER);
    }
    expect(phys.freeFrames).toBeLessThan(before - levels);
    freeAllTables(tables, root);
    expect(phys.freeFrames).toBe(before);
  });
});
