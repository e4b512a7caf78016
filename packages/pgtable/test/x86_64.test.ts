import { bigintHigh, bigintLow, wordsToBigint } from '@mmkit/base';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ACCESS_EXEC,
  ACCESS_READ,
  ACCESS_USER,
  ACCESS_WRITE,
  createDecoded,
  createEntry,
  type Decoded,
  E_DIRTY,
  E_EXCLUSIVE,
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
  E_USER_TABLE,
  E_WRITE,
  E_YOUNG,
  ENTRY_LEAF,
  ENTRY_NONE,
  ENTRY_NONPRESENT,
  ENTRY_RESERVED,
  ENTRY_TABLE,
  type EntryTest,
  PFN_LIMIT,
  setDecoded,
  x86_64,
  x86_64La57,
} from '@mmkit/pgtable';
import { codeOf } from './machine.ts';

function decode(value: bigint, level = 0): Decoded {
  const out = createDecoded();
  x86_64.decode(bigintLow(value), bigintHigh(value), level, out);
  return out;
}

function hardware(value: bigint, level = 0): Decoded {
  const out = createDecoded();
  x86_64La57.hardware(bigintLow(value), bigintHigh(value), level, out);
  return out;
}

function encode(d: Decoded, level = 0): bigint {
  const out = createEntry();
  x86_64.encode(d, level, out);
  return wordsToBigint(out.lo, out.hi);
}

function leaf(pfn: number, flags: number, level = 0): bigint {
  const d = createDecoded();
  setDecoded(d, ENTRY_LEAF, pfn, flags);
  return encode(d, level);
}

function swap(type: number, offset: number, flags = 0): bigint {
  const d = createDecoded();
  setDecoded(d, ENTRY_NONPRESENT, 0, flags);
  d.type = type;
  d.offset = offset;
  return encode(d);
}

function accepts(test: EntryTest, value: bigint): boolean {
  const lo = bigintLow(value);
  const hi = bigintHigh(value);
  return (lo & test.maskLo) === test.wantLo && (hi & test.maskHi) === test.wantHi;
}

const ANON = E_WRITE | E_USER | E_YOUNG | E_DIRTY;

const LEAVES: readonly (readonly [string, number, number, number, bigint])[] = [
  ['anon writable dirty young, NX', 0x12345, ANON, 0, 0x8000000012345067n],
  ['anon writable dirty young soft-dirty, NX', 0x12345, ANON | E_SOFT_DIRTY, 0, 0x8000000012345867n],
  ['write-protected dirty', 0x12345, ANON & ~E_WRITE, 0, 0x8400000012345025n],
  ['read-only young clean', 0x12345, E_USER | E_YOUNG, 0, 0x8000000012345025n],
  ['zero page', 0x1000, E_USER | E_YOUNG | E_SPECIAL, 0, 0x8000000001000225n],
  ['PROT_NONE of a clean page', 0x12345, E_PROTNONE | E_YOUNG, 0, 0x000fffffedcba120n],
  ['PROT_NONE of a dirty page', 0x12345, E_PROTNONE | E_YOUNG | E_DIRTY, 0, 0x040fffffedcba120n],
  ['2M leaf, writable dirty', 0x12200, ANON, 1, 0x80000000122000e7n],
];

const SWAPS: readonly (readonly [string, number, number, bigint])[] = [
  ['type 0 offset 0', 0, 0, 0x07fffffffffffe00n],
  ['type 0 offset 1', 0, 1, 0x07fffffffffffc00n],
  ['type 3 offset 0x12345', 3, 0x12345, 0x1ffffffffdb97400n],
  ['migration write, frame 0x100', 26, 0x100, 0xd7fffffffffdfe00n],
  ['marker uffd-wp', 31, 1, 0xfffffffffffffc00n],
];

describe('E.2: x86-64 vectors', () => {
  it.each(LEAVES)('%s', (_name, pfn, flags, level, value) => {
    expect(leaf(pfn, flags, level)).toBe(value);
    expect(decode(value, level)).toMatchObject({ kind: ENTRY_LEAF, pfn, flags, restLo: 0, restHi: 0 });
  });

  it('table pointer', () => {
    const d = createDecoded();
    setDecoded(d, ENTRY_TABLE, 0x999, E_USER_TABLE);
    expect(encode(d, 1)).toBe(0x999067n);
    for (let level = 1; level < 5; level++) {
      expect(decode(0x999067n, level)).toMatchObject({ kind: ENTRY_TABLE, pfn: 0x999, flags: E_USER_TABLE });
    }
  });

  it.each(SWAPS)('swap entry: %s', (_name, type, offset, value) => {
    expect(swap(type, offset)).toBe(value);
    expect(decode(value)).toMatchObject({ kind: ENTRY_NONPRESENT, type, offset, flags: 0 });
  });
});

describe('N.19: x86-64 entries', () => {
  it('a zero entry is none at every level', () => {
    for (let level = 0; level < 5; level++) expect(decode(0n, level).kind).toBe(ENTRY_NONE);
    expect(encode(createDecoded())).toBe(0n);
  });

  it('making a write-protected dirty entry writable again moves SAVED_DIRTY back to Dirty', () => {
    const d = decode(0x8400000012345025n);
    d.flags |= E_WRITE;
    expect(encode(d)).toBe(0x8000000012345067n);
  });

  it('mprotect to PROT_NONE and back inverts the PFN twice and keeps young, dirty and soft-dirty', () => {
    const d = decode(0x8000000012345867n);
    d.flags = (d.flags & ~E_RIGHTS) | E_PROTNONE;
    const none = encode(d);
    expect(none).toBe(0x040fffffedcba920n);
    const back = decode(none);
    back.flags = (back.flags & ~E_PROTNONE) | E_USER | E_WRITE;
    expect(encode(back)).toBe(0x8000000012345867n);
  });

  it('a swap entry keeps soft-dirty in bit 1, uffd-wp in bit 2, exclusive in bit 3', () => {
    expect(swap(0, 0, E_SOFT_DIRTY)).toBe(0x07fffffffffffe02n);
    expect(swap(0, 0, E_UFFD_WP)).toBe(0x07fffffffffffe04n);
    expect(swap(0, 0, E_EXCLUSIVE)).toBe(0x07fffffffffffe08n);
    expect(decode(0x07fffffffffffe0en).flags).toBe(E_SOFT_DIRTY | E_UFFD_WP | E_EXCLUSIVE);
  });

  it('bit 8 is Global with Present and PROTNONE without', () => {
    expect(decode(0x101n).flags & (E_GLOBAL | E_PROTNONE)).toBe(E_GLOBAL);
    expect(decode(0x100n).flags & (E_GLOBAL | E_PROTNONE)).toBe(E_PROTNONE);
  });

  it('Write=0 Dirty=1 is a shadow-stack page; taking the flag away saves the dirty bit', () => {
    const d = decode(0x8000000012345065n);
    expect(d.flags).toBe(E_USER | E_YOUNG | E_DIRTY | E_SHADOW_STACK);
    d.flags &= ~E_SHADOW_STACK;
    expect(encode(d)).toBe(0x8400000012345025n);
  });

  it('G.28: a 2M entry with PSE but not Present is a leaf that is being split', () => {
    const d = decode(0x80000000122000e7n, 1);
    d.flags |= E_INVALID;
    const split = encode(d, 1);
    expect(split & 0x181n).toBe(0x80n);
    expect(decode(split, 1)).toMatchObject({ kind: ENTRY_LEAF, pfn: 0x12200, flags: ANON | E_INVALID });
    expect(hardware(split, 1).kind).toBe(ENTRY_NONE);
  });

  it('the bits without a flag survive: PWT, PCD, PAT, protection key, software bits', () => {
    const raw = 0x7bf000001234509dn;
    const d = decode(raw);
    expect(d.flags).toBe(E_USER | E_EXEC);
    d.flags |= E_YOUNG;
    expect(encode(d)).toBe(raw | 0x20n);
  });

  it('encode refuses what the level cannot hold', () => {
    const d = createDecoded();
    setDecoded(d, ENTRY_TABLE, 1, 0);
    expect(codeOf(() => encode(d, 0))).toBe('BAD_ENTRY');
    expect(codeOf(() => leaf(0x800_0000, E_USER, 3))).toBe('BAD_ENTRY');
    expect(codeOf(() => leaf(0x10_0000_0000, E_USER, 4))).toBe('BAD_ENTRY');
    expect(codeOf(() => leaf(0x201, E_USER, 1))).toBe('BAD_ENTRY');
    expect(codeOf(() => leaf(0x200, E_USER, 2))).toBe('BAD_ENTRY');
    expect(codeOf(() => leaf(1, E_INVALID, 0))).toBe('BAD_ENTRY');
    d.kind = ENTRY_RESERVED;
    expect(codeOf(() => encode(d, 1))).toBe('BAD_ENTRY');
  });

  it('encode cuts no field off: a PFN of 2^40, a swap type of 32, an offset of 2^50 are refused', () => {
    const d = createDecoded();
    setDecoded(d, ENTRY_TABLE, 2 ** 40, 0);
    expect(codeOf(() => encode(d, 1))).toBe('BAD_ENTRY');
    expect(codeOf(() => leaf(2 ** 40, E_USER))).toBe('BAD_ENTRY');
    expect(codeOf(() => leaf(-1, E_USER))).toBe('BAD_ENTRY');
    expect(codeOf(() => swap(32, 0))).toBe('BAD_ENTRY');
    expect(codeOf(() => swap(0, 2 ** 50))).toBe('BAD_ENTRY');
  });

  it('the one swap entry that would be zero is refused: it would read as none', () => {
    expect(codeOf(() => swap(0, 2 ** 50 - 1))).toBe('BAD_ENTRY');
    expect(swap(1, 2 ** 50 - 1)).toBe(0x0800000000000000n);
  });

  it('both dirty bits, and SAVED_DIRTY of a writable page, survive; a cleaned page has neither', () => {
    for (const raw of [0x8400000012345067n, 0x8400000012345027n, 0x8400000012345065n]) {
      const d = decode(raw);
      expect(d.flags & E_DIRTY).toBe(E_DIRTY);
      expect(encode(d)).toBe(raw);
      d.flags &= ~E_DIRTY;
      expect(encode(d)).toBe(raw & ~0x0400000000000040n);
    }
  });
});

/** Any 64-bit entry, with the bits that tell the kinds apart often set. */
const anyEntry: fc.Arbitrary<bigint> = fc
  .tuple(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.constantFrom(0n, 1n, 0x67n, 0x80n, 0x81n, 0x100n, 0x1ffn))
  .map(([value, low]) => (value & ~0x1ffn) | low);
const anyLevel: fc.Arbitrary<number> = fc.integer({ min: 0, max: 4 });
const anyBits = (mask: number): fc.Arbitrary<number> =>
  fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }).map((n) => n & mask);

/** Flags a leaf of `level` can have at once. */
function leafFlagsOf(bits: number, level: number): number {
  let flags = bits;
  if ((flags & E_DIRTY) === 0 || (flags & E_WRITE) !== 0) flags &= ~E_SHADOW_STACK;
  if ((flags & E_PROTNONE) !== 0 || level === 0) flags &= ~E_INVALID;
  if ((flags & (E_PROTNONE | E_INVALID)) !== 0) flags &= ~E_GLOBAL;
  return (flags & E_PROTNONE) !== 0 ? flags & ~E_EXEC : flags;
}

describe('N.19: properties of x86-64 entries', () => {
  it('4 and 5 levels share decode, encode and leafTest', () => {
    const { decode: read, encode: write, leafTest } = x86_64;
    expect(x86_64La57).toMatchObject({ decode: read, encode: write, leafTest });
    expect([x86_64.levels, x86_64La57.levels]).toEqual([4, 5]);
    expect([x86_64.taskSize, x86_64La57.taskSize]).toEqual([2 ** 47 - 4096, 2 ** 53 - 4096]);
  });

  it('encode(decode(x)) is x', () => {
    fc.assert(
      fc.property(anyEntry, anyLevel, (raw, level) => {
        expect(encode(decode(raw, level), level)).toBe(raw);
      }),
      { numRuns: 5000 },
    );
  });

  it('decode(encode(x)) is x for every leaf', () => {
    const pfns = fc.integer({ min: 0, max: 2 ** 40 - 1 });
    const flagBits = E_USER_TABLE | E_GLOBAL | E_SPECIAL | E_SOFT_DIRTY | E_UFFD_WP | E_PROTNONE | E_SHADOW_STACK;
    const levels = fc.integer({ min: 0, max: 2 });
    const rests = fc.tuple(anyBits(0x18), anyBits(0x7bf0_0000));
    fc.assert(
      fc.property(pfns, anyBits(flagBits | E_INVALID), levels, rests, (pfn, bits, level, [restLo, restHi]) => {
        const d = createDecoded();
        setDecoded(d, ENTRY_LEAF, pfn - (pfn % 512 ** level), leafFlagsOf(bits, level));
        d.restLo = restLo | (pfn & 0x80);
        d.restHi = restHi;
        expect(decode(encode(d, level), level)).toEqual(d);
      }),
      { numRuns: 5000 },
    );
  });

  it('decode(encode(x)) is x for every table', () => {
    const pfns = fc.integer({ min: 0, max: 2 ** 40 - 1 });
    const rests = fc.tuple(anyBits(0xf18), anyBits(0x7ff0_0000));
    fc.assert(
      fc.property(pfns, anyBits(E_USER_TABLE), fc.integer({ min: 1, max: 4 }), rests, (pfn, flags, level, rest) => {
        const d = createDecoded();
        setDecoded(d, ENTRY_TABLE, pfn, flags);
        [d.restLo, d.restHi] = rest;
        expect(decode(encode(d, level), level)).toEqual(d);
      }),
      { numRuns: 2000 },
    );
  });

  it('decode(encode(x)) is x for every swap entry but one', () => {
    const offsets = fc.oneof(fc.integer({ min: 0, max: 2 ** 50 - 2 }), fc.constantFrom(0, 1, 2 ** 23 - 1, 2 ** 50 - 2));
    const types = fc.integer({ min: 0, max: 31 });
    fc.assert(
      fc.property(
        types,
        offsets,
        anyBits(E_SOFT_DIRTY | E_UFFD_WP | E_EXCLUSIVE),
        anyLevel,
        (type, offset, flags, level) => {
          const d = createDecoded();
          setDecoded(d, ENTRY_NONPRESENT, 0, flags);
          d.type = type;
          d.offset = offset;
          expect(decode(encode(d, level), level)).toEqual(d);
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('leaves of one level differ by their PFNs alone, exclusive-or, PROT_NONE or not', () => {
    const pfns = fc.integer({ min: 0, max: PFN_LIMIT - 1 });
    fc.assert(
      fc.property(pfns, fc.constantFrom(ANON, E_PROTNONE | E_YOUNG), (pfn, flags) => {
        expect(leaf(pfn, flags) ^ leaf(0, flags)).toBe(BigInt(pfn) << 12n);
      }),
    );
  });

  it('leafTest accepts only what decode calls present, permitted, not special, with a countable PFN', () => {
    const access = fc.integer({ min: 0, max: 7 });
    fc.assert(
      fc.property(anyEntry, access, fc.integer({ min: 0, max: 7 }), (raw, acc, inherited) => {
        const need = ((acc & ACCESS_WRITE) !== 0 ? E_WRITE : 0) | ((acc & ACCESS_EXEC) !== 0 ? E_EXEC : 0) | E_USER;
        if (!accepts(x86_64.leafTest(acc, inherited), raw)) return;
        const { kind, flags, pfn } = decode(raw);
        expect(kind).toBe(ENTRY_LEAF);
        expect(flags & (need | E_SPECIAL | E_PROTNONE)).toBe(need);
        expect(inherited & need).toBe(need);
        expect(pfn).toBeLessThan(PFN_LIMIT);
        expect(pfn).toBe(
          (bigintLow(raw) >>> x86_64.pfnLowShift) | ((bigintHigh(raw) & x86_64.pfnHighMask) << x86_64.pfnHighShift),
        );
      }),
      { numRuns: 2000 },
    );
  });

  it('tableTest accepts only tables that pass on every right', () => {
    fc.assert(
      fc.property(anyEntry, fc.integer({ min: 1, max: 4 }), (raw, level) => {
        if (!accepts(x86_64.tableTest, raw)) return;
        const { kind, flags, pfn } = decode(raw, level);
        expect(kind).toBe(ENTRY_TABLE);
        expect(hardware(raw, level)).toMatchObject({ kind: ENTRY_TABLE, pfn });
        expect(flags & E_RIGHTS).toBe(E_RIGHTS);
        expect(pfn).toBeLessThan(PFN_LIMIT);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('B.11: leafTest on x86-64', () => {
  const ALL = E_RIGHTS;

  it('accepts an ordinary writable page for read and write', () => {
    expect(accepts(x86_64.leafTest(ACCESS_READ, ALL), 0x8000000012345067n)).toBe(true);
    expect(accepts(x86_64.leafTest(ACCESS_WRITE, ALL), 0x8000000012345067n)).toBe(true);
    expect(accepts(x86_64.leafTest(ACCESS_EXEC, ALL), 0x8000000012345067n)).toBe(false);
    expect(accepts(x86_64.leafTest(ACCESS_EXEC, ALL), 0x12345025n)).toBe(true);
  });

  it('refuses a read-only page for write only', () => {
    expect(accepts(x86_64.leafTest(ACCESS_READ, ALL), 0x8000000012345025n)).toBe(true);
    expect(accepts(x86_64.leafTest(ACCESS_WRITE | ACCESS_USER, ALL), 0x8000000012345025n)).toBe(false);
  });

  it.each([
    ['none', 0n],
    ['special (zero page)', 0x8000000001000225n],
    ['PROT_NONE', 0x000fffffedcba120n],
    ['supervisor', 0x8000000012345063n],
    ['protection key 1', 0x8800000012345067n],
    ['PFN 2^29', 0x8000020000000067n],
    ['swap', 0x07fffffffffffe00n],
  ])('refuses for read: %s', (_name, value) => {
    expect(accepts(x86_64.leafTest(ACCESS_READ, ALL), value)).toBe(false);
  });

  it('refuses everything when a table above does not pass the right on', () => {
    expect(accepts(x86_64.leafTest(ACCESS_WRITE, E_USER | E_EXEC), 0x8000000012345067n)).toBe(false);
    expect(accepts(x86_64.leafTest(ACCESS_READ, E_WRITE | E_EXEC), 0x8000000012345067n)).toBe(false);
    expect(accepts(x86_64.leafTest(ACCESS_READ, E_USER), 0x8000000012345067n)).toBe(true);
  });
});
