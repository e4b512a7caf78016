import { bigintHigh, bigintLow, wordsToBigint } from '@mmkit/base';
import { describe, expect, it } from 'vitest';
import {
  abortSyndrome,
  ACCESS_EXEC,
  ACCESS_READ,
  ACCESS_USER,
  ACCESS_WRITE,
  arm64,
  createEntry,
  createTranslation,
  E_DIRTY,
  E_EXEC,
  E_USER,
  E_WRITE,
  FAULT_ACCESS_FLAG,
  FAULT_BUS,
  FAULT_KEY,
  FAULT_NON_CANONICAL,
  FAULT_NOT_PRESENT,
  FAULT_PROTECTION,
  FAULT_RESERVED,
  hwWalk,
  levelIndex,
  readEntry,
  tableAt,
  tableAtAlloc,
  type Tables,
  writeEntry,
} from '@mmkit/pgtable';
import { codeOf, createMachine } from './machine.ts';

const ADDRESS = 0xffff_a6ef_0abc;
const USER_READ = ACCESS_READ | ACCESS_USER;
const USER_WRITE = ACCESS_WRITE | ACCESS_USER;
const USER_EXEC = ACCESS_EXEC | ACCESS_USER;
const CLEAN = 0x0068000012345fc3n;
const READ_ONLY = 0x0060000012345fc3n;
const AF = 0x400n;
const RDONLY = 0x80n;
const USER = 0x40n;
const UXN = 1n << 54n;
const PXN_TABLE = 1n << 59n;
const UXN_TABLE = 1n << 60n;
const AP_TABLE_NO_USER = 1n << 61n;
const AP_TABLE_NO_WRITE = 1n << 62n;

function setEntry(tables: Tables, root: number, level: number, value: bigint): void {
  const entry = createEntry();
  entry.lo = bigintLow(value);
  entry.hi = bigintHigh(value);
  writeEntry(tables, tableAtAlloc(tables, root, ADDRESS, level), levelIndex(arm64, level, ADDRESS), entry);
}

function getEntry(tables: Tables, root: number, level: number): bigint {
  const entry = createEntry();
  readEntry(tables, tableAt(tables, root, ADDRESS, level), levelIndex(arm64, level, ADDRESS), entry);
  return wordsToBigint(entry.lo, entry.hi);
}

/** A machine with the entry `value` for ADDRESS at `level`, and how a walk there ends. */
function machineWith(value: bigint, level = 0) {
  const { tables, root } = createMachine(arm64);
  setEntry(tables, root, level, value);
  const out = createTranslation();
  const walk = (access: number, address = ADDRESS): number => hwWalk(tables, root, address, access, out);
  const raw = (l = level): bigint => getEntry(tables, root, l);
  return { out, walk, raw, set: (l: number, bits: bigint): void => setEntry(tables, root, l, raw(l) | bits) };
}

describe('Arm ARM: arm64 translation', () => {
  it('a page: frame and rights', () => {
    const { out, walk } = machineWith(0x00e8000012345f43n);
    expect(walk(USER_READ)).toBe(0);
    expect(out).toMatchObject({ pfn: 0x12345, level: 0, shift: 12, flags: E_WRITE | E_USER | E_DIRTY });
  });

  it('a block of 2 MiB and one of 1 GiB: the frame of the page the address is in', () => {
    const two = machineWith(0x40000fc1n, 1);
    expect(two.walk(USER_READ)).toBe(0);
    expect(two.out).toMatchObject({ pfn: 0x40000 + (Math.floor(ADDRESS / 4096) % 512), level: 1, shift: 21 });
    const one = machineWith(0x40000fc1n, 2);
    expect(one.walk(USER_READ)).toBe(0);
    expect(one.out).toMatchObject({ pfn: 0x40000 + (Math.floor(ADDRESS / 4096) % 2 ** 18), level: 2, shift: 30 });
  });

  it('address bits below the size of a block are not looked at', () => {
    const { out, walk } = machineWith(0x401fffc1n, 1);
    expect(walk(USER_READ)).toBe(0);
    expect(out.pfn).toBe(0x40000 + (Math.floor(ADDRESS / 4096) % 512));
  });

  it.each([
    ['zero', 0n, 0],
    ['PROT_NONE', 0x0060000012345f82n, 0],
    ['a swap entry', 0x123450c0n, 0],
    ['a block in the leaf table', CLEAN & ~2n, 0],
    ['a block in the root table', 0x40000fc1n, 3],
  ])('translation fault: %s', (_name, value, level) => {
    const { out, walk, raw } = machineWith(value, level);
    expect([walk(USER_READ), out.level, raw()]).toEqual([FAULT_NOT_PRESENT, level, value]);
  });

  it('an address of 2^48 and more: a translation fault at the root', () => {
    const { out, walk } = machineWith(CLEAN);
    expect([walk(USER_READ, 2 ** 48), out.level]).toEqual([FAULT_NOT_PRESENT, 3]);
    expect([walk(USER_READ, 2 ** 48 + ADDRESS), out.level]).toEqual([FAULT_NOT_PRESENT, 3]);
  });
});

describe('N.20: hardware management of AF and dirty state', () => {
  it('a read sets AF and nothing else', () => {
    const { walk, raw } = machineWith(CLEAN & ~AF);
    expect(walk(USER_READ)).toBe(0);
    expect(raw()).toBe(CLEAN);
  });

  it('a write to DBM and RDONLY clears RDONLY: dirty; a read leaves it', () => {
    const { out, walk, raw } = machineWith(CLEAN & ~AF);
    expect(walk(USER_WRITE)).toBe(0);
    expect(raw()).toBe(CLEAN & ~RDONLY);
    expect(out.flags).toBe(E_WRITE | E_USER | E_DIRTY);
    expect(walk(USER_READ)).toBe(0);
    expect(raw()).toBe(CLEAN & ~RDONLY);
  });

  it('a block is marked as a page is', () => {
    const { walk, raw } = machineWith(0x00680000400008c1n, 1);
    expect(walk(USER_WRITE)).toBe(0);
    expect(raw()).toBe(0x0068000040000c41n);
  });

  it('tables are not marked', () => {
    const { walk, raw } = machineWith(CLEAN & ~AF);
    const before = [raw(1), raw(2), raw(3)];
    walk(USER_WRITE);
    expect([raw(1), raw(2), raw(3)]).toEqual(before);
  });

  it('a fault changes nothing', () => {
    const { walk, raw } = machineWith(READ_ONLY & ~AF);
    expect(walk(USER_WRITE)).toBe(FAULT_PROTECTION);
    expect(raw()).toBe(READ_ONLY & ~AF);
  });
});

describe('Arm ARM: permissions', () => {
  const no = FAULT_PROTECTION;
  it.each([
    ['writable', CLEAN, [0, 0, no], [0, 0]],
    ['read-only', READ_ONLY, [0, no, no], [0, no]],
    ['read-only, no UXN', READ_ONLY & ~UXN, [0, no, 0], [0, no]],
    ['kernel only', CLEAN & ~USER, [no, no, no], [0, 0]],
    ['for execution only', READ_ONLY & ~USER & ~UXN, [no, no, 0], [0, no]],
  ])('%s: user read, write, fetch; kernel read, write', (_name, value, user, kernel) => {
    const { walk } = machineWith(value);
    expect([USER_READ, USER_WRITE, USER_EXEC].map((access) => walk(access))).toEqual(user);
    expect([ACCESS_READ, ACCESS_WRITE].map((access) => walk(access))).toEqual(kernel);
  });

  it.each([1, 2, 3])('hierarchical attributes of the table at level %i take rights away', (level) => {
    const walks = (bits: bigint): number[] => {
      const { walk, set } = machineWith(CLEAN & ~UXN);
      set(level, bits);
      return [walk(USER_READ), walk(USER_WRITE), walk(USER_EXEC), walk(ACCESS_WRITE)];
    };
    expect(walks(PXN_TABLE)).toEqual([0, 0, 0, 0]);
    expect(walks(UXN_TABLE)).toEqual([0, 0, no, 0]);
    expect(walks(AP_TABLE_NO_USER)).toEqual([no, no, 0, 0]);
    expect(walks(AP_TABLE_NO_WRITE)).toEqual([0, no, 0, no]);
  });

  it('rights are what all levels give together', () => {
    const { out, walk, set } = machineWith(CLEAN & ~UXN);
    set(1, AP_TABLE_NO_WRITE);
    set(3, UXN_TABLE);
    expect(walk(USER_READ)).toBe(0);
    expect(out.flags & (E_WRITE | E_USER | E_EXEC)).toBe(E_USER);
  });
});

describe('N.20: the syndrome of an abort', () => {
  it.each([
    ['translation L3, user read', FAULT_NOT_PRESENT, USER_READ, 0, 0x9200_0007],
    ['translation L0, user write', FAULT_NOT_PRESENT, USER_WRITE, 3, 0x9200_0044],
    ['permission L3, user write', FAULT_PROTECTION, USER_WRITE, 0, 0x9200_004f],
    ['permission L2, user fetch', FAULT_PROTECTION, USER_EXEC, 1, 0x8200_000e],
    ['translation L3, kernel write', FAULT_NOT_PRESENT, ACCESS_WRITE, 0, 0x9600_0047],
    ['translation L3, kernel fetch', FAULT_NOT_PRESENT, ACCESS_EXEC, 0, 0x8600_0007],
    ['external abort on the walk L1', FAULT_BUS, USER_READ, 2, 0x9200_0015],
    ['external abort on the walk L-1', FAULT_BUS, USER_READ, 4, 0x9200_0013],
    ['external abort of the access, user write', FAULT_BUS, USER_WRITE, -1, 0x9200_0050],
    ['external abort of the access, kernel fetch', FAULT_BUS, ACCESS_EXEC, -1, 0x8600_0010],
    ['address size L0, kernel write', FAULT_RESERVED, ACCESS_WRITE, 3, 0x9600_0040],
    ['address size L3, user fetch', FAULT_RESERVED, USER_EXEC, 0, 0x8200_0003],
    ['address size L-1, user read', FAULT_RESERVED, USER_READ, 4, 0x9200_0029],
    ['translation L-1, user write', FAULT_NOT_PRESENT, USER_WRITE, 4, 0x9200_006b],
    ['access flag L1, kernel read', FAULT_ACCESS_FLAG, ACCESS_READ, 2, 0x9600_0009],
    ['access flag L3, user write', FAULT_ACCESS_FLAG, USER_WRITE, 0, 0x9200_004b],
  ])('%s', (_name, fault, access, level, esr) => {
    expect(abortSyndrome(fault, access, level)).toBe(esr);
  });

  it('a kind of fault that arm64 does not have, or not at that level, has none', () => {
    const refused = (fault: number, level: number): unknown => codeOf(() => abortSyndrome(fault, USER_READ, level));
    for (const fault of [0, FAULT_NON_CANONICAL, FAULT_KEY]) expect(refused(fault, 0)).toBe('NOT_AN_ABORT');
    for (const fault of [FAULT_ACCESS_FLAG, FAULT_PROTECTION]) expect(refused(fault, 4)).toBe('NOT_AN_ABORT');
    for (const fault of [FAULT_NOT_PRESENT, FAULT_RESERVED]) expect(refused(fault, -1)).toBe('NOT_AN_ABORT');
    for (const level of [-2, 5, 0.5]) expect(() => abortSyndrome(FAULT_BUS, 0, level)).toThrow(RangeError);
  });
});
