import { bigintHigh, bigintLow, wordsToBigint } from '@mmkit/base';
import { describe, expect, it } from 'vitest';
import {
  ACCESS_EXEC,
  ACCESS_READ,
  ACCESS_WRITE,
  arm64,
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
  setDecoded,
  x86_64,
} from '@mmkit/pgtable';
import { codeOf } from './machine.ts';

function decode(value: bigint, level = 0): Decoded {
  const out = createDecoded();
  arm64.decode(bigintLow(value), bigintHigh(value), level, out);
  return out;
}

function hardware(value: bigint, level = 0): Decoded {
  const out = createDecoded();
  arm64.hardware(bigintLow(value), bigintHigh(value), level, out);
  return out;
}

function encode(d: Decoded, level = 0): bigint {
  const out = createEntry();
  arm64.encode(d, level, out);
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
const CLEAN = 0x0068000012345fc3n;
const HW_DIRTY = 0x0068000012345f43n;
const SW_DIRTY = 0x00e8000012345f43n;
const READ_ONLY = 0x0060000012345fc3n;
const PROT_NONE = 0x0060000012345f82n;

describe('E.2: arm64 vectors', () => {
  it.each([
    ['user rw clean', USED | E_WRITE, CLEAN],
    ['user rw sw-dirty', USED | E_WRITE | E_DIRTY, SW_DIRTY],
    ['that, after wrprotect', USED | E_DIRTY, 0x00e0000012345fc3n],
    ['user r/o', USED, READ_ONLY],
    ['PROT_NONE', E_PROTNONE | E_YOUNG, PROT_NONE],
  ])('%s', (_name, flags, value) => {
    expect(leaf(0x12345, flags)).toBe(value);
    expect(decode(value)).toMatchObject({ kind: ENTRY_LEAF, pfn: 0x12345, flags, restLo: 0, restHi: 0 });
  });

  it('user rw dirtied by hardware: the same to Linux as by software, and kept apart', () => {
    expect(decode(HW_DIRTY)).toMatchObject({ kind: ENTRY_LEAF, pfn: 0x12345, flags: USED | E_WRITE | E_DIRTY });
    expect(encode(decode(HW_DIRTY))).toBe(HW_DIRTY);
  });

  it.each([
    ['type 3 offset 0x12345', 3, 0x12345, 0x00000000123450c0n],
    ['marker (31) offset 1', 31, 1, 0x00000000000017c0n],
  ])('swap entry: %s', (_name, type, offset, value) => {
    expect(swap(type, offset)).toBe(value);
    expect(decode(value)).toMatchObject({ kind: ENTRY_NONPRESENT, type, offset, flags: 0 });
  });
});

describe('entries of a running Linux 6.12', () => {
  it.each([
    ['an own page, contiguous hint', 0x00f8000041f10f43n, 0x41f10, USED | E_WRITE | E_DIRTY],
    ['the zero page', 0x0160000042349fc3n, 0x42349, USED | E_SPECIAL],
    ['written, then PROT_NONE', 0x00e000004207cf82n, 0x4207c, E_PROTNONE | E_YOUNG | E_DIRTY],
    ['written, then PROT_READ', 0x00e0000042078fc3n, 0x42078, USED | E_DIRTY],
    ['written, then PROT_READ and PROT_EXEC', 0x00a0000042074fc3n, 0x42074, USED | E_EXEC | E_DIRTY],
    ['an own page', 0x00e8000042072f43n, 0x42072, USED | E_WRITE | E_DIRTY],
  ])('%s', (_name, value, pfn, flags) => {
    expect(decode(value)).toMatchObject({ kind: ENTRY_LEAF, pfn, flags });
    expect(encode(decode(value))).toBe(value);
  });

  it('a table of user memory', () => {
    const d = createDecoded();
    setDecoded(d, ENTRY_TABLE, 0x43696, E_USER_TABLE);
    expect(encode(d, 3)).toBe(0x0800000043696003n);
    expect(decode(0x0800000043696003n, 3)).toMatchObject({ kind: ENTRY_TABLE, pfn: 0x43696, flags: E_RIGHTS });
  });
});

it('a process may map up to 2^48, the last page too; x86-64 keeps the last page below 2^47 free', () => {
  expect([arm64.taskSize, arm64.userEnd]).toEqual([2 ** 48, 2 ** 48]);
  expect([x86_64.taskSize, x86_64.userEnd]).toEqual([2 ** 47 - 4096, 2 ** 47]);
});

describe('N.20: arm64 entries', () => {
  it('a zero entry is none at every level', () => {
    for (let level = 0; level < 4; level++) expect(decode(0n, level).kind).toBe(ENTRY_NONE);
    expect(encode(createDecoded())).toBe(0n);
  });

  it('wrprotect: what the hardware dirtied is noted by software; DBM goes, RDONLY comes', () => {
    expect(change(HW_DIRTY, E_WRITE)).toBe(0x00e0000012345fc3n);
    expect(change(SW_DIRTY, E_WRITE)).toBe(0x00e0000012345fc3n);
    expect(change(CLEAN, E_WRITE)).toBe(READ_ONLY);
  });

  it('mkwrite: DBM; RDONLY goes only from a dirty entry', () => {
    expect(change(READ_ONLY, 0, E_WRITE)).toBe(CLEAN);
    expect(change(0x00e0000012345fc3n, 0, E_WRITE)).toBe(SW_DIRTY);
  });

  it('mkclean: the software bit goes, RDONLY comes, so that the next write is seen', () => {
    for (const dirty of [HW_DIRTY, SW_DIRTY]) expect(change(dirty, E_DIRTY)).toBe(CLEAN);
    expect(change(0x00e0000012345fc3n, E_DIRTY)).toBe(READ_ONLY);
  });

  it('mprotect to PROT_NONE and back keeps the PFN as it is, young and dirty', () => {
    const none = change(HW_DIRTY, E_RIGHTS, E_PROTNONE);
    expect(none).toBe(0x00e0000012345f82n);
    expect(change(none, E_PROTNONE, E_USER | E_WRITE)).toBe(SW_DIRTY);
  });

  it('bit 11 is nG with VALID and PRESENT_INVALID without', () => {
    expect(decode(READ_ONLY & ~0x800n).flags & (E_GLOBAL | E_PROTNONE)).toBe(E_GLOBAL);
    expect(decode(PROT_NONE & ~0x800n).kind).toBe(ENTRY_NONPRESENT);
  });

  it('protnone is PRESENT_INVALID without User and with UXN; else the leaf is being split', () => {
    const split = leaf(0x12200, USED | E_WRITE | E_DIRTY | E_INVALID, 1);
    expect(split & 0x803n).toBe(0x800n);
    expect(decode(split, 1)).toMatchObject({ pfn: 0x12200, flags: USED | E_WRITE | E_DIRTY | E_INVALID });
    expect(hardware(split, 1).kind).toBe(ENTRY_NONE);
    expect(decode(split & ~0x40n, 1).flags & (E_PROTNONE | E_INVALID)).toBe(E_PROTNONE);
  });

  it('pages have bit 1, blocks of 2 MiB and 1 GiB have not', () => {
    expect(leaf(0x200, USED, 0) & 3n).toBe(3n);
    for (const level of [1, 2]) {
      const block = leaf(0x40000, USED, level);
      expect(block & 3n).toBe(1n);
      expect(decode(block, level)).toMatchObject({ kind: ENTRY_LEAF, pfn: 0x40000, flags: USED });
    }
  });

  it('a swap entry keeps exclusive in bit 2, uffd-wp in bit 3; there is no soft-dirty', () => {
    expect(swap(0, 0, E_EXCLUSIVE)).toBe(4n);
    expect(swap(0, 0, E_UFFD_WP)).toBe(8n);
    expect(swap(1, 0, E_SOFT_DIRTY)).toBe(0x40n);
    expect(leaf(0x12345, USED | E_SOFT_DIRTY)).toBe(READ_ONLY);
  });

  it('the bits without a flag survive a change: AttrIndx, GP, CONT, PXN, overlay', () => {
    const raw = 0x7054000012345fd7n;
    expect(decode(raw).flags).toBe(USED);
    expect(change(raw, E_YOUNG)).toBe(raw & ~0x400n);
  });

  it('encode refuses what the level cannot hold', () => {
    const d = createDecoded();
    setDecoded(d, ENTRY_TABLE, 1, 0);
    expect(codeOf(() => encode(d, 0))).toBe('BAD_ENTRY');
    expect(codeOf(() => leaf(0x200, E_USER, 3))).toBe('BAD_ENTRY');
    expect(codeOf(() => leaf(0x201, E_USER, 1))).toBe('BAD_ENTRY');
    expect(codeOf(() => leaf(0x200, E_USER, 2))).toBe('BAD_ENTRY');
    expect(codeOf(() => leaf(0x200, E_INVALID, 1))).toBe('BAD_ENTRY');
    d.kind = ENTRY_RESERVED;
    expect(codeOf(() => encode(d, 1))).toBe('BAD_ENTRY');
  });
});

describe('B.11: leafTest on arm64', () => {
  const ALL = E_RIGHTS;

  it.each([CLEAN, HW_DIRTY, SW_DIRTY])('accepts a writable page for read and write: %#', (value) => {
    expect(accepts(arm64.leafTest(ACCESS_READ, ALL), value)).toBe(true);
    expect(accepts(arm64.leafTest(ACCESS_WRITE, ALL), value)).toBe(true);
    expect(accepts(arm64.leafTest(ACCESS_EXEC, ALL), value)).toBe(false);
    expect(accepts(arm64.leafTest(ACCESS_EXEC, ALL), value & ~(1n << 54n))).toBe(true);
  });

  it('refuses a read-only page for write only', () => {
    expect(accepts(arm64.leafTest(ACCESS_READ, ALL), READ_ONLY)).toBe(true);
    expect(accepts(arm64.leafTest(ACCESS_WRITE, ALL), READ_ONLY)).toBe(false);
  });

  it.each([
    ['none', 0n],
    ['special (zero page)', 0x0160000042349fc3n],
    ['PROT_NONE', PROT_NONE],
    ['no user access', CLEAN & ~0x40n],
    ['permission overlay 1', CLEAN | (1n << 60n)],
    ['PFN 2^29', 0x0068020000000fc3n],
    ['a block in the leaf table', CLEAN & ~2n],
    ['swap', 0x00000000123450c0n],
  ])('refuses for read: %s', (_name, value) => {
    expect(accepts(arm64.leafTest(ACCESS_READ, ALL), value)).toBe(false);
  });

  it('refuses everything when a table above does not pass the right on', () => {
    expect(accepts(arm64.leafTest(ACCESS_WRITE, E_USER | E_EXEC), CLEAN)).toBe(false);
    expect(accepts(arm64.leafTest(ACCESS_READ, E_WRITE | E_EXEC), CLEAN)).toBe(false);
    expect(accepts(arm64.leafTest(ACCESS_READ, E_USER), CLEAN)).toBe(true);
  });
});
