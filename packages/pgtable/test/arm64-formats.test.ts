import { bigintHigh, bigintLow, wordsToBigint } from '@mmkit/base';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ACCESS_USER,
  accessRights,
  arm64,
  arm64_4k_52,
  arm64_16k_48,
  arm64_16k_52,
  arm64_64k_48,
  arm64_64k_52,
  createDecoded,
  createEntry,
  type Decoded,
  E_DIRTY,
  E_EXCLUSIVE,
  E_EXEC,
  E_GLOBAL,
  E_INVALID,
  E_KERNEL_EXEC,
  E_PROTNONE,
  E_RIGHTS,
  E_SOFT_DIRTY,
  E_SPECIAL,
  E_UFFD_WP,
  E_USER,
  E_USER_TABLE,
  E_WRITE,
  E_YOUNG,
  ENTRY_LEAF,
  ENTRY_NONE,
  ENTRY_NONPRESENT,
  ENTRY_RESERVED,
  ENTRY_TABLE,
  type EntryTest,
  type Format,
  PFN_LIMIT,
  setDecoded,
} from '@mmkit/pgtable';
import { codeOf } from './machine.ts';

const formats = [arm64, arm64_4k_52, arm64_16k_48, arm64_16k_52, arm64_64k_48, arm64_64k_52];
const USED = E_USER | E_YOUNG;

function decode(format: Format, value: bigint, level: number, from: 'decode' | 'hardware' = 'decode'): Decoded {
  const out = createDecoded();
  format[from](bigintLow(value), bigintHigh(value), level, out);
  return out;
}

function encode(format: Format, d: Decoded, level: number): bigint {
  const out = createEntry();
  format.encode(d, level, out);
  return wordsToBigint(out.lo, out.hi);
}

function entry(format: Format, kind: number, pfn: number, flags: number, level: number): bigint {
  const d = createDecoded();
  setDecoded(d, kind, pfn, flags);
  return encode(format, d, level);
}

function accepts(test: EntryTest, value: bigint): boolean {
  return (bigintLow(value) & test.maskLo) === test.wantLo && (bigintHigh(value) & test.maskHi) === test.wantHi;
}

/** The PFN as a hot loop takes it out. */
function loopPfn(format: Format, value: bigint): number {
  const { pfnLowShift, pfnHighMask, pfnHighShift } = format;
  return (bigintLow(value) >>> pfnLowShift) | ((bigintHigh(value) & pfnHighMask) << pfnHighShift);
}

/** Frames of the physical addresses. */
function frames(format: Format): number {
  return 2 ** (Math.log2(format.userEnd) - format.pageShift);
}

/** Levels with blocks: N.20. */
const TOP_BLOCK = new Map<Format, number>([
  [arm64, 2],
  [arm64_4k_52, 3],
  [arm64_16k_48, 1],
  [arm64_16k_52, 2],
  [arm64_64k_48, 2],
  [arm64_64k_52, 2],
]);

it.each([
  [arm64, 'arm64 4K 48-bit', 4, 9, 12, 48, [16, 16, 1, 1]],
  [arm64_4k_52, 'arm64 4K 52-bit', 5, 4, 12, 52, [16, 16, 1, 1, 1]],
  [arm64_16k_48, 'arm64 16K 48-bit', 4, 1, 14, 48, [128, 32, 1, 1]],
  [arm64_16k_52, 'arm64 16K 52-bit', 4, 5, 14, 52, [128, 32, 1, 1]],
  [arm64_64k_48, 'arm64 64K 48-bit', 3, 6, 16, 48, [32, 32, 1]],
  [arm64_64k_52, 'arm64 64K 52-bit', 3, 10, 16, 52, [32, 32, 1]],
] as const)('N.20: sizes: %#', (format, name, levels, rootBits, pageShift, bits, contiguous) => {
  expect(format).toMatchObject({ name, levels, rootBits, pageShift, indexBits: pageShift - 3, startLevel: 3 });
  expect([format.userEnd, format.taskSize]).toEqual([2 ** bits, 2 ** bits]);
  expect([...(format.contiguous as Int32Array)]).toEqual(contiguous);
  // Entry size at the manual's level n: 2^((PAGE_SHIFT - 3) * (4 - n) + 3).
  expect([...(format.shifts as Int32Array)]).toEqual(
    Array.from({ length: levels }, (_, level) => (pageShift - 3) * (level + 1) + 3),
  );
});

describe('N.20: entries of the other granules', () => {
  it.each([
    ['16K page, writable, clean', arm64_16k_48, ENTRY_LEAF, 0x12345, USED | E_WRITE, 0, 0x0068000048d14fc3n],
    ['16K PROT_NONE', arm64_16k_48, ENTRY_LEAF, 0x12345, E_PROTNONE | E_YOUNG, 0, 0x0060000048d14f82n],
    ['16K block, 32M', arm64_16k_48, ENTRY_LEAF, 0x12000, USED, 1, 0x0060000048000fc1n],
    ['64K page, writable, dirty', arm64_64k_48, ENTRY_LEAF, 0x1234, USED | E_WRITE | E_DIRTY, 0, 0x00e8000012340f43n],
    ['64K page above 48 bits', arm64_64k_52, ENTRY_LEAF, 0xf_0000_1234, USED, 0, 0x006000001234ffc3n],
    ['64K block, 4T, above 48 bits', arm64_64k_52, ENTRY_LEAF, 0x5_0400_0000, USED, 2, 0x0060040000005fc1n],
    ['64K table above 48 bits', arm64_64k_52, ENTRY_TABLE, 0xa_0000_1234, E_USER_TABLE, 1, 0x080000001234a003n],
    ['LPA2 page: no SH', arm64_4k_52, ENTRY_LEAF, 0x12345, USED, 0, 0x0060000012345cc3n],
    ['LPA2 page, bits 51:48', arm64_4k_52, ENTRY_LEAF, 0xe0_0001_2345, USED, 0, 0x0062000012345fc3n],
    ['LPA2 block, 512G', arm64_4k_52, ENTRY_LEAF, 0x50_0800_0000, USED, 3, 0x0061008000000dc1n],
    ['LPA2 table', arm64_16k_52, ENTRY_TABLE, 0x30_0001_2345, E_USER_TABLE, 1, 0x0800000048d14303n],
  ] as const)('%s', (_name, format, kind, pfn, flags, level, value) => {
    expect(entry(format, kind, pfn, flags, level)).toBe(value);
    expect(decode(format, value, level)).toMatchObject({ kind, pfn, restLo: 0, restHi: 0 });
    expect(decode(format, value, level).flags).toBe(kind === ENTRY_TABLE ? E_RIGHTS : flags);
  });

  it.each(formats.map((format) => [format.name, format] as const))('%s: blocks up to their level', (_name, format) => {
    const top = TOP_BLOCK.get(format)!;
    for (let level = 0; level < format.levels; level++) {
      const pages = format.spans[level]! / format.spans[0]!;
      if (level <= top) {
        const value = entry(format, ENTRY_LEAF, pages, USED, level);
        expect(decode(format, value, level, 'hardware')).toMatchObject({ kind: ENTRY_LEAF, pfn: pages });
        if (level > 0) expect(codeOf(() => entry(format, ENTRY_LEAF, pages / 2, USED, level))).toBe('BAD_ENTRY');
      } else expect(codeOf(() => entry(format, ENTRY_LEAF, pages, USED, level))).toBe('BAD_ENTRY');
    }
    expect(codeOf(() => entry(format, ENTRY_TABLE, 1, USED, 0))).toBe('BAD_ENTRY');
    expect(codeOf(() => entry(format, ENTRY_RESERVED, 1, USED, 1))).toBe('BAD_ENTRY');
  });

  it.each(formats.map((format) => [format.name, format] as const))('%s: a PFN it cannot hold', (_name, format) => {
    // Of 64K pages every descriptor has room for 52 bits; with 48 the hardware refuses them.
    const beyond = format === arm64_64k_48 ? 2 ** 36 : frames(format);
    for (const kind of [ENTRY_LEAF, ENTRY_TABLE]) {
      expect(codeOf(() => entry(format, kind, beyond, USED, 1))).toBe('BAD_ENTRY');
    }
  });
});

/** Any 64-bit entry, with the bits that tell the kinds apart often set, and a small PFN in half of them. */
const anyEntry: fc.Arbitrary<bigint> = fc
  .tuple(
    fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    fc.constantFrom(0n, 1n, 2n, 3n, 0x800n, 0x802n, 0x43n, 0xc3n, 0xcc3n, 0xfc3n),
    fc.boolean(),
  )
  .map(([value, low, small]) => {
    const raw = (value & ~0xfffn) | (value & 0x73cn) | low;
    return small ? raw & ~0x7103_fe00_0000_f300n : raw;
  });

describe.each(formats.map((format) => [format.name, format] as const))('N.20: properties of %s', (_name, format) => {
  const anyLevel = fc.integer({ min: 0, max: format.levels - 1 });
  const pfns = fc.oneof(fc.integer({ min: 0, max: frames(format) - 1 }), fc.integer({ min: 0, max: PFN_LIMIT - 1 }));
  const leafLevels = fc.integer({ min: 0, max: TOP_BLOCK.get(format)! });

  it('encode(decode(x)) is x for every 64-bit value', () => {
    fc.assert(
      fc.property(anyEntry, anyLevel, (raw, level) => {
        expect(encode(format, decode(format, raw, level), level)).toBe(raw);
      }),
      { numRuns: 2000 },
    );
  });

  it('decode(encode(x)) is x for every leaf', () => {
    const kinds = fc.constantFrom(0, E_GLOBAL, E_PROTNONE, E_INVALID);
    fc.assert(
      fc.property(pfns, fc.integer({ min: 0, max: 0x1ff }), kinds, leafLevels, (pfn, bits, kind, level) => {
        const aligned = pfn - (pfn % (format.spans[level]! / format.spans[0]!));
        let flags = (bits & ~(E_GLOBAL | E_SOFT_DIRTY)) | kind;
        if (kind === E_PROTNONE) flags &= ~(E_USER | E_EXEC);
        if (kind === E_INVALID) flags |= E_USER;
        const raw = entry(format, ENTRY_LEAF, aligned, flags, level);
        expect(decode(format, raw, level)).toMatchObject({ kind: ENTRY_LEAF, pfn: aligned, flags });
      }),
      { numRuns: 1000 },
    );
  });

  it('decode(encode(x)) is x for every table', () => {
    fc.assert(
      fc.property(
        pfns,
        fc.integer({ min: 0, max: 7 }),
        fc.integer({ min: 1, max: format.levels - 1 }),
        (pfn, flags, level) => {
          const raw = entry(format, ENTRY_TABLE, pfn, flags, level);
          expect(decode(format, raw, level)).toMatchObject({ kind: ENTRY_TABLE, pfn, flags });
        },
      ),
    );
  });

  it('decode(encode(x)) is x for every swap entry', () => {
    const offsets = fc.integer({ min: 0, max: 2 ** 50 - 1 });
    const marks = fc.constantFrom(0, E_EXCLUSIVE, E_UFFD_WP, E_EXCLUSIVE | E_UFFD_WP);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 31 }), offsets, marks, anyLevel, (type, offset, flags, level) => {
        fc.pre(type + offset + flags > 0);
        const d = createDecoded();
        setDecoded(d, ENTRY_NONPRESENT, 0, flags);
        d.type = type;
        d.offset = offset;
        expect(decode(format, encode(format, d, level), level)).toEqual(d);
      }),
    );
  });

  it('leaves of one level differ by their PFNs alone, PROT_NONE or not', () => {
    const small = fc.integer({ min: 0, max: PFN_LIMIT - 1 });
    fc.assert(
      fc.property(small, fc.constantFrom(USED | E_WRITE, E_PROTNONE | E_YOUNG), (pfn, flags) => {
        const leaves = entry(format, ENTRY_LEAF, pfn, flags, 0) ^ entry(format, ENTRY_LEAF, 0, flags, 0);
        expect(bigintLow(leaves)).toBe(pfn << format.pfnLowShift);
        expect(bigintHigh(leaves)).toBe(pfn >>> format.pfnHighShift);
      }),
    );
  });

  it('decode and hardware agree on what is a table and what a valid leaf, and on its frame', () => {
    fc.assert(
      fc.property(anyEntry, anyLevel, (raw, level) => {
        const soft = decode(format, raw, level);
        const hard = decode(format, raw, level, 'hardware');
        const valid = soft.kind === ENTRY_TABLE || (soft.kind === ENTRY_LEAF && (raw & 1n) !== 0n);
        if (hard.kind === ENTRY_RESERVED) expect(soft.pfn).toBeGreaterThanOrEqual(frames(format));
        else if (valid) expect(hard).toMatchObject({ kind: soft.kind, pfn: soft.pfn });
        else expect(hard.kind).toBe(ENTRY_NONE);
      }),
      { numRuns: 2000 },
    );
  });

  it('leafTest accepts only what decode calls present, permitted, not special, with a countable PFN', () => {
    const rights = fc.integer({ min: 0, max: 7 });
    let accepted = 0;
    fc.assert(
      fc.property(anyEntry, rights, rights, (raw, access, inherited) => {
        if (!accepts(format.leafTest(access, inherited), raw)) return;
        accepted++;
        const need = accessRights(access | ACCESS_USER);
        const { kind, flags, pfn } = decode(format, raw, 0);
        expect(kind).toBe(ENTRY_LEAF);
        expect(flags & (need | E_SPECIAL | E_PROTNONE | E_INVALID)).toBe(need);
        expect(inherited & need).toBe(need);
        expect(decode(format, raw, 0, 'hardware')).toMatchObject({ kind: ENTRY_LEAF, pfn });
        expect(pfn).toBeLessThan(PFN_LIMIT);
        expect(pfn).toBe(loopPfn(format, raw));
      }),
      { numRuns: 4000 },
    );
    expect(accepted).toBeGreaterThan(0);
  });

  it('tableTest accepts only tables that pass on every right but that of EL1 to fetch', () => {
    const levels = fc.integer({ min: 1, max: format.levels - 1 });
    let accepted = 0;
    fc.assert(
      fc.property(anyEntry, levels, (raw, level) => {
        if (!accepts(format.tableTest, raw)) return;
        accepted++;
        const { kind, flags, pfn } = decode(format, raw, level);
        expect(kind).toBe(ENTRY_TABLE);
        expect(decode(format, raw, level, 'hardware')).toMatchObject({ kind: ENTRY_TABLE, pfn, flags: E_RIGHTS });
        expect(format.tableRights! & (E_RIGHTS | E_KERNEL_EXEC)).toBe(E_RIGHTS);
        expect(flags & E_RIGHTS).toBe(E_RIGHTS);
        expect(pfn).toBeLessThan(PFN_LIMIT);
        expect(pfn).toBe(loopPfn(format, raw));
      }),
      { numRuns: 4000 },
    );
    expect(accepted).toBeGreaterThan(0);
  });

  it('a table as Linux makes it, in every frame of RAM, passes tableTest', () => {
    for (const pfn of [0, 1, 0x1fff, PFN_LIMIT - 1]) {
      expect(accepts(format.tableTest, entry(format, ENTRY_TABLE, pfn, E_USER_TABLE, 1))).toBe(true);
      expect(accepts(format.leafTest(ACCESS_USER, E_RIGHTS), entry(format, ENTRY_LEAF, pfn, USED, 0))).toBe(true);
    }
    expect(accepts(format.tableTest, entry(format, ENTRY_TABLE, PFN_LIMIT, E_USER_TABLE, 1))).toBe(false);
  });
});
