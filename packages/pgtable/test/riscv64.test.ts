import { bigintHigh, bigintLow, wordsToBigint } from '@mmkit/base';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ACCESS_EXEC,
  ACCESS_READ,
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
  sv39,
  sv48,
  sv57,
} from '@mmkit/pgtable';
import { codeOf } from './machine.ts';

function decode(value: bigint, level = 0): Decoded {
  const out = createDecoded();
  sv57.decode(bigintLow(value), bigintHigh(value), level, out);
  return out;
}

function hardware(value: bigint, level = 0): Decoded {
  const out = createDecoded();
  sv57.hardware(bigintLow(value), bigintHigh(value), level, out);
  return out;
}

function encode(d: Decoded, level = 0): bigint {
  const out = createEntry();
  sv57.encode(d, level, out);
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

/** `value` with the flags `clear` taken away and `set` added, as software changes an entry. */
function change(value: bigint, clear: number, set = 0): bigint {
  const d = decode(value);
  d.flags = (d.flags & ~clear) | set;
  return encode(d);
}

function accepts(test: EntryTest, value: bigint): boolean {
  const lo = bigintLow(value);
  const hi = bigintHigh(value);
  return (lo & test.maskLo) === test.wantLo && (hi & test.maskHi) === test.wantHi;
}

const USED = E_USER | E_YOUNG;
const CLEAN = 0x48d1457n;
const READ_ONLY = 0x48d1453n;
const PROT_NONE = 0x48d1462n;

describe('privileged manual, Sv39: entries by hand, PFN 0x12345 at bit 10', () => {
  it.each([
    ['user rw clean: V R W U A', USED | E_WRITE, CLEAN],
    ['user rw dirty', USED | E_WRITE | E_DIRTY, 0x48d14d7n],
    ['user r/o', USED, READ_ONLY],
    ['user r/o, dirty', USED | E_DIRTY, 0x48d14d3n],
    ['user r/x', USED | E_EXEC, 0x48d145bn],
    ['kernel rwx, global', E_YOUNG | E_DIRTY | E_WRITE | E_EXEC | E_GLOBAL, 0x48d14efn],
    ['special: bit 8', USED | E_SPECIAL, 0x48d1553n],
    ['PROT_NONE: bit 5, V clear, R', E_PROTNONE | E_YOUNG, PROT_NONE],
  ])('%s', (_name, flags, value) => {
    expect(leaf(0x12345, flags)).toBe(value);
    expect(decode(value)).toMatchObject({ kind: ENTRY_LEAF, pfn: 0x12345, flags, restLo: 0, restHi: 0 });
  });

  it('a table: V and the PFN, nothing else', () => {
    const d = createDecoded();
    setDecoded(d, ENTRY_TABLE, 0x12345, E_USER_TABLE);
    expect(encode(d, 1)).toBe(0x48d1401n);
    expect(decode(0x48d1401n, 1)).toMatchObject({ kind: ENTRY_TABLE, pfn: 0x12345, flags: E_RIGHTS, restLo: 0 });
  });

  it('the PFN has 44 bits, 53:10', () => {
    expect(leaf(2 ** 44 - 1, USED)).toBe(0x3f_ffff_ffff_fc53n);
    expect(decode(0x3f_ffff_ffff_fc53n).pfn).toBe(2 ** 44 - 1);
    expect(hardware(0x3f_ffff_ffff_fc53n)).toMatchObject({ kind: ENTRY_LEAF, pfn: 2 ** 44 - 1 });
  });

  it.each([
    ['type 3 offset 0x12345: 11:7 and 63:12', 3, 0x12345, 0x12345180n],
    ['type 31 offset 1', 31, 1, 0x1f80n],
    ['offset 2^52 - 1', 0, 2 ** 52 - 2 ** 20, 0xffff_ffff_0000_0000n],
  ])('swap entry: %s', (_name, type, offset, value) => {
    expect(swap(type, offset)).toBe(value);
    expect(decode(value)).toMatchObject({ kind: ENTRY_NONPRESENT, type, offset, flags: 0 });
  });
});

it('user memory ends at 2^38, 2^47, and for Sv57 with the exact numbers instead of at 2^56', () => {
  expect([sv39, sv48, sv57].map(({ userEnd }) => userEnd)).toEqual([2 ** 38, 2 ** 47, 2 ** 53 - 4096]);
  expect([sv39, sv48, sv57].map(({ taskSize }) => taskSize)).toEqual([2 ** 38, 2 ** 47, 2 ** 53 - 4096]);
  expect([sv39, sv48, sv57].map(({ levels }) => levels)).toEqual([3, 4, 5]);
});

describe('riscv64 entries', () => {
  it('a zero entry is none at every level', () => {
    for (let level = 0; level < 5; level++) expect(decode(0n, level).kind).toBe(ENTRY_NONE);
    expect(encode(createDecoded())).toBe(0n);
  });

  it('a valid entry without R, W and X is a table above level 0', () => {
    for (let level = 1; level < 5; level++) expect(decode(0x401n, level).kind).toBe(ENTRY_TABLE);
    expect(decode(0x401n, 0)).toMatchObject({ kind: ENTRY_LEAF, pfn: 1, flags: 0 });
  });

  it.each([
    [1, 0x200],
    [2, 0x4_0000],
    [3, 0x800_0000],
    [4, 0x10_0000_0000],
  ])('a leaf of level %i covers %i pages, and its PFN is a multiple of it', (level, pages) => {
    const value = leaf(pages * 3, USED, level);
    expect(value).toBe((BigInt(pages * 3) << 10n) | 0x53n);
    expect(decode(value, level)).toMatchObject({ kind: ENTRY_LEAF, pfn: pages * 3, flags: USED });
    expect(hardware(value, level)).toMatchObject({ kind: ENTRY_LEAF, pfn: pages * 3 });
    for (const off of [1, pages / 2]) {
      expect(codeOf(() => leaf(pages * 3 + off, USED, level))).toBe('BAD_ENTRY');
      const odd = value + (BigInt(off) << 10n);
      expect(hardware(odd, level).kind).toBe(ENTRY_RESERVED);
      expect(decode(odd, level).pfn).toBe(pages * 3);
      expect(encode(decode(odd, level), level)).toBe(odd);
    }
  });

  it('mprotect to PROT_NONE and back keeps the PFN as it is, young and dirty', () => {
    const none = change(0x48d14d7n, E_RIGHTS, E_PROTNONE);
    expect(none).toBe(0x48d14e2n);
    expect(hardware(none).kind).toBe(ENTRY_NONE);
    expect(change(none, E_PROTNONE, E_USER | E_WRITE)).toBe(0x48d14d7n);
  });

  it('bit 5 is G with V and PROT_NONE without', () => {
    expect(decode(READ_ONLY | 0x20n).flags & (E_GLOBAL | E_PROTNONE)).toBe(E_GLOBAL);
    expect(decode(PROT_NONE).flags & (E_GLOBAL | E_PROTNONE)).toBe(E_PROTNONE);
    expect(decode(PROT_NONE & ~0x22n).kind).toBe(ENTRY_NONPRESENT);
    expect(hardware(READ_ONLY | 0x20n).flags & E_GLOBAL).toBe(E_GLOBAL);
    expect(hardware(READ_ONLY).flags & E_GLOBAL).toBe(0);
  });

  it('a huge leaf with R, W or X but neither V nor PROT_NONE is being split', () => {
    const split = leaf(0x12200, USED | E_WRITE | E_DIRTY | E_INVALID, 1);
    expect(split).toBe(0x48800d6n);
    expect(decode(split, 1)).toMatchObject({ pfn: 0x12200, flags: USED | E_WRITE | E_DIRTY | E_INVALID });
    expect(hardware(split, 1).kind).toBe(ENTRY_NONE);
    expect(decode(split, 0).kind).toBe(ENTRY_NONPRESENT);
  });

  it('what has no bit here is not stored: soft-dirty, uffd-wp, exclusive', () => {
    expect(leaf(0x12345, USED | E_SOFT_DIRTY | E_UFFD_WP)).toBe(READ_ONLY);
    expect(swap(1, 0, E_EXCLUSIVE | E_SOFT_DIRTY | E_UFFD_WP)).toBe(0x80n);
  });

  it('the bits without a flag survive a change: no R, bit 9, reserved bits, PBMT, N', () => {
    const raw = 0xffc0_0000_048d_1659n;
    expect(decode(raw).flags).toBe(USED | E_EXEC);
    expect(change(raw, E_YOUNG)).toBe(raw & ~0x40n);
  });

  it('encode refuses what the level cannot hold', () => {
    const d = createDecoded();
    setDecoded(d, ENTRY_TABLE, 1, 0);
    expect(codeOf(() => encode(d, 0))).toBe('BAD_ENTRY');
    expect(codeOf(() => leaf(1, USED | E_INVALID, 0))).toBe('BAD_ENTRY');
    setDecoded(d, ENTRY_LEAF, 0x200, E_USER);
    d.restLo = 2;
    expect(encode(d, 0)).toBe(0x80011n);
    expect(codeOf(() => encode(d, 1))).toBe('BAD_ENTRY');
    d.kind = ENTRY_RESERVED;
    expect(codeOf(() => encode(d, 1))).toBe('BAD_ENTRY');
  });
});

describe('privileged manual, "Virtual address translation process": what is reserved', () => {
  it.each([
    ['W without R', 0x48d1455n, 0],
    ['W and X without R', 0x48d145dn, 0],
    ['no R, W, X at level 0', 0x48d1401n, 0],
    ['a table with U', 0x48d1411n, 1],
    ['a table with A', 0x48d1441n, 1],
    ['a table with D', 0x48d1481n, 1],
    ['a table with bit 60', 0x1000_0000_048d_1401n, 1],
    ['a table with PBMT', 0x2000_0000_048d_1401n, 1],
    ['a leaf with bit 54', CLEAN | (1n << 54n), 0],
    ['a leaf with bit 60', CLEAN | (1n << 60n), 0],
    ['a leaf with PBMT', CLEAN | (1n << 61n), 0],
    ['a leaf with N', CLEAN | (1n << 63n), 0],
  ])('%s', (_name, value, level) => {
    expect(hardware(value, level)).toMatchObject({ kind: ENTRY_RESERVED, flags: 0 });
  });

  it.each([
    ['a table with G and both software bits', 0x48d1721n, 1, ENTRY_TABLE],
    ['a leaf with both software bits', CLEAN | 0x300n, 0, ENTRY_LEAF],
    ['for execution only', 0x48d1459n, 0, ENTRY_LEAF],
  ])('not: %s', (_name, value, level, kind) => {
    expect(hardware(value, level)).toMatchObject({ kind, pfn: 0x12345 });
  });

  it('V clear: nothing else counts', () => {
    for (const value of [PROT_NONE, 0xffff_ffff_ffff_fffen, 0x12345180n]) expect(hardware(value).kind).toBe(ENTRY_NONE);
  });
});

/** Any 64-bit entry, with the bits that tell the kinds apart often set and the attributes often clear. */
const anyEntry: fc.Arbitrary<bigint> = fc
  .tuple(
    fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    fc.constantFrom(0n, 0x1n, 0x3n, 0x7n, 0xfn, 0x5n, 0x22n, 0x2en, 0x20n, 0x2n, 0xd7n, 0x57n),
    fc.constantFrom(-1n, 0x3f_ffff_ffff_ffffn, 0x7f_ffff_ffffn),
  )
  .map(([value, low, mask]) => BigInt.asUintN(64, ((value & ~0x2fn) | low) & mask));
const anyLevel: fc.Arbitrary<number> = fc.integer({ min: 0, max: 4 });

describe('properties of riscv64 entries', () => {
  it('encode(decode(x)) is x for every 64-bit value', () => {
    fc.assert(
      fc.property(anyEntry, anyLevel, (raw, level) => {
        expect(encode(decode(raw, level), level)).toBe(raw);
      }),
      { numRuns: 5000 },
    );
  });

  it('decode(encode(x)) is x for every leaf', () => {
    const pfns = fc.integer({ min: 0, max: 2 ** 44 - 1 });
    const kinds = fc.constantFrom(0, E_GLOBAL, E_PROTNONE, E_INVALID);
    fc.assert(
      fc.property(pfns, fc.integer({ min: 0, max: 0x7f }), kinds, anyLevel, (pfn, bits, kind, level) => {
        const aligned = pfn - (pfn % 512 ** level);
        let flags = (bits & ~E_GLOBAL) | kind;
        if (kind === E_PROTNONE) flags &= ~E_EXEC;
        if (level === 0) flags &= ~E_INVALID;
        expect(decode(leaf(aligned, flags, level), level)).toMatchObject({ kind: ENTRY_LEAF, pfn: aligned, flags });
      }),
      { numRuns: 2000 },
    );
  });

  it('decode(encode(x)) is x for every table', () => {
    const rest = fc.integer({ min: 0, max: 0x3f }).map((bits) => bits << 4);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 44 - 1 }), rest, (pfn, restLo) => {
        const d = createDecoded();
        setDecoded(d, ENTRY_TABLE, pfn, E_RIGHTS);
        d.restLo = restLo;
        expect(decode(encode(d, 1), 1)).toEqual(d);
      }),
    );
  });

  it('decode(encode(x)) is x for every swap entry', () => {
    const offsets = fc.integer({ min: 0, max: 2 ** 52 - 1 });
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 31 }), offsets, (type, offset) => {
        fc.pre(type + offset > 0);
        expect(decode(swap(type, offset))).toMatchObject({ kind: ENTRY_NONPRESENT, type, offset, flags: 0 });
      }),
    );
  });

  it('leaves of one level differ by their PFNs alone, PROT_NONE or not', () => {
    const pfns = fc.integer({ min: 0, max: PFN_LIMIT - 1 });
    fc.assert(
      fc.property(pfns, fc.constantFrom(USED | E_WRITE, E_PROTNONE | E_YOUNG), (pfn, flags) => {
        expect(leaf(pfn, flags) ^ leaf(0, flags)).toBe(BigInt(pfn) << 10n);
      }),
    );
  });

  it('leafTest accepts only what decode calls present, permitted, not special, with a countable PFN', () => {
    const rights = fc.integer({ min: 0, max: 7 });
    let accepted = 0;
    fc.assert(
      fc.property(anyEntry, rights, rights, (value, access, inherited) => {
        const need =
          ((access & ACCESS_WRITE) !== 0 ? E_WRITE : 0) | ((access & ACCESS_EXEC) !== 0 ? E_EXEC : 0) | E_USER;
        if (!accepts(sv57.leafTest(access, inherited), value)) return;
        accepted++;
        const { kind, flags, pfn } = decode(value);
        expect(kind).toBe(ENTRY_LEAF);
        expect(flags & (need | E_SPECIAL | E_PROTNONE | E_INVALID)).toBe(need);
        expect(inherited & need).toBe(need);
        expect(hardware(value)).toMatchObject({ kind: ENTRY_LEAF, pfn });
        expect(pfn).toBeLessThan(PFN_LIMIT);
        expect(pfn).toBe(
          (bigintLow(value) >>> sv57.pfnLowShift) | ((bigintHigh(value) & sv57.pfnHighMask) << sv57.pfnHighShift),
        );
      }),
      { numRuns: 5000 },
    );
    expect(accepted).toBeGreaterThan(0);
  });

  it('tableTest accepts only tables that pass on every right', () => {
    let accepted = 0;
    fc.assert(
      fc.property(anyEntry, fc.integer({ min: 1, max: 4 }), (raw, level) => {
        const value = raw & ~0xc0n;
        if (!accepts(sv57.tableTest, value)) return;
        accepted++;
        const { kind, flags, pfn } = decode(value, level);
        expect(kind).toBe(ENTRY_TABLE);
        expect(hardware(value, level)).toMatchObject({ kind: ENTRY_TABLE, pfn });
        expect(flags & E_RIGHTS).toBe(E_RIGHTS);
        expect(pfn).toBeLessThan(PFN_LIMIT);
      }),
      { numRuns: 2000 },
    );
    expect(accepted).toBeGreaterThan(0);
  });
});

describe('B.11: leafTest on riscv64', () => {
  const ALL = E_RIGHTS;

  it('accepts a writable page for read and write, not for fetches', () => {
    expect(accepts(sv39.leafTest(ACCESS_READ, ALL), CLEAN)).toBe(true);
    expect(accepts(sv39.leafTest(ACCESS_WRITE, ALL), CLEAN)).toBe(true);
    expect(accepts(sv39.leafTest(ACCESS_EXEC, ALL), CLEAN)).toBe(false);
    expect(accepts(sv39.leafTest(ACCESS_EXEC, ALL), CLEAN | 8n)).toBe(true);
  });

  it('refuses a read-only page for write only', () => {
    expect(accepts(sv39.leafTest(ACCESS_READ, ALL), READ_ONLY)).toBe(true);
    expect(accepts(sv39.leafTest(ACCESS_WRITE, ALL), READ_ONLY)).toBe(false);
  });

  it.each([
    ['none', 0n],
    ['special (zero page)', 0x48d1553n],
    ['PROT_NONE', PROT_NONE],
    ['no user access', CLEAN & ~0x10n],
    ['for execution only', 0x48d1459n],
    ['W without R', 0x48d1455n],
    ['N', CLEAN | (1n << 63n)],
    ['PFN 2^29', (1n << 39n) | 0x53n],
    ['swap', 0x12345180n],
  ])('refuses for read: %s', (_name, value) => {
    expect(accepts(sv39.leafTest(ACCESS_READ, ALL), value)).toBe(false);
  });

  it('refuses everything when what is above does not pass the right on', () => {
    expect(accepts(sv39.leafTest(ACCESS_WRITE, E_USER | E_EXEC), CLEAN)).toBe(false);
    expect(accepts(sv39.leafTest(ACCESS_READ, E_WRITE | E_EXEC), CLEAN)).toBe(false);
    expect(accepts(sv39.leafTest(ACCESS_READ, E_USER), CLEAN)).toBe(true);
  });
});
