import { bigintHigh, bigintLow, wordsToBigint } from '@mmkit/base';
import { describe, expect, it } from 'vitest';
import {
  ACCESS_EXEC,
  ACCESS_READ,
  ACCESS_USER,
  ACCESS_WRITE,
  createEntry,
  createTranslation,
  E_DIRTY,
  E_EXEC,
  E_GLOBAL,
  E_USER,
  E_WRITE,
  FAULT_BUS,
  FAULT_NON_CANONICAL,
  FAULT_NOT_PRESENT,
  FAULT_PROTECTION,
  FAULT_RESERVED,
  hwWalk,
  leafTableAlloc,
  levelIndex,
  mapRange,
  readEntry,
  tableAt,
  tableAtAlloc,
  type Tables,
  writeEntry,
  x86_64,
} from '@mmkit/pgtable';
import { madeUp } from './made-up-format.ts';
import { createMachine } from './machine.ts';

const ADDRESS = 0x1234_5678_9abc;
const USER_READ = ACCESS_READ | ACCESS_USER;
const USER_WRITE = ACCESS_WRITE | ACCESS_USER;
const USER_EXEC = ACCESS_EXEC | ACCESS_USER;

function setEntry(tables: Tables, root: number, level: number, value: bigint): void {
  const entry = createEntry();
  entry.lo = bigintLow(value);
  entry.hi = bigintHigh(value);
  writeEntry(tables, tableAtAlloc(tables, root, ADDRESS, level), levelIndex(tables.format, level, ADDRESS), entry);
}

function getEntry(tables: Tables, root: number, level: number): bigint {
  const entry = createEntry();
  readEntry(tables, tableAt(tables, root, ADDRESS, level), levelIndex(tables.format, level, ADDRESS), entry);
  return wordsToBigint(entry.lo, entry.hi);
}

/** A machine with the entry `value` for ADDRESS at `level` and clean tables above it. */
function machineWith(level: number, value: bigint): ReturnType<typeof createMachine> {
  const machine = createMachine(x86_64);
  const { tables, root } = machine;
  setEntry(tables, root, level, value);
  for (let l = level + 1; l < 4; l++) setEntry(tables, root, l, getEntry(tables, root, l) & ~0x60n);
  return machine;
}

describe('SDM: x86-64 translation', () => {
  it('a 4 KiB page: frame, rights of all levels together', () => {
    const { tables, root } = machineWith(0, 0x8000000012345007n);
    const out = createTranslation();
    expect(hwWalk(tables, root, ADDRESS, USER_READ, out)).toBe(0);
    expect(out).toMatchObject({ pfn: 0x12345, level: 0, shift: 12, flags: E_WRITE | E_USER });
  });

  it('a 2 MiB and a 1 GiB page: the frame of the page the address is in', () => {
    const out = createTranslation();
    const two = machineWith(1, 0x400001e7n);
    expect(hwWalk(two.tables, two.root, ADDRESS, USER_READ, out)).toBe(0);
    const flags = E_WRITE | E_USER | E_EXEC | E_GLOBAL | E_DIRTY;
    expect(out).toMatchObject({ pfn: 0x40000 + (Math.floor(ADDRESS / 4096) % 512), level: 1, shift: 21, flags });
    const one = machineWith(2, 0x40000087n);
    expect(hwWalk(one.tables, one.root, ADDRESS, USER_READ, out)).toBe(0);
    expect(out).toMatchObject({ pfn: 0x40000 + (Math.floor(ADDRESS / 4096) % 2 ** 18), level: 2, shift: 30 });
  });

  it('a frame beyond RAM is translated: what is there is not the MMU’s question', () => {
    const { tables, root } = machineWith(0, 0x000ffffffffff007n);
    const out = createTranslation();
    expect(hwWalk(tables, root, ADDRESS, USER_READ, out)).toBe(0);
    expect(out.pfn).toBe(2 ** 40 - 1);
  });

  it('sets Accessed at every level on a read, Dirty in the leaf on a write', () => {
    const { tables, root } = machineWith(0, 0x12345007n);
    const out = createTranslation();
    hwWalk(tables, root, ADDRESS, USER_READ, out);
    expect(getEntry(tables, root, 0)).toBe(0x12345027n);
    for (let level = 1; level < 4; level++) expect(getEntry(tables, root, level) & 0xfffn).toBe(0x27n);
    expect(out.flags & E_DIRTY).toBe(0);
    hwWalk(tables, root, ADDRESS, USER_WRITE, out);
    expect(getEntry(tables, root, 0)).toBe(0x12345067n);
    for (let level = 1; level < 4; level++) expect(getEntry(tables, root, level) & 0xfffn).toBe(0x27n);
    expect(out.flags & E_DIRTY).toBe(E_DIRTY);
  });

  it('sets Accessed and Dirty in a huge leaf', () => {
    const { tables, root } = machineWith(1, 0x40000087n);
    hwWalk(tables, root, ADDRESS, USER_WRITE, createTranslation());
    expect(getEntry(tables, root, 1)).toBe(0x400000e7n);
  });

  it('a fault leaves every entry as it was', () => {
    const { tables, root } = machineWith(0, 0x12345005n);
    const out = createTranslation();
    expect(hwWalk(tables, root, ADDRESS, USER_WRITE, out)).toBe(FAULT_PROTECTION);
    expect(getEntry(tables, root, 0)).toBe(0x12345005n);
    for (let level = 1; level < 4; level++) expect(getEntry(tables, root, level) & 0xfffn).toBe(0x7n);
  });
});

describe('SDM: x86-64 faults', () => {
  const out = createTranslation();

  it.each([3, 2, 1, 0])('not present at level %d', (level) => {
    const { tables, root } = machineWith(level, 0xffe6n);
    expect(hwWalk(tables, root, ADDRESS, USER_READ, out)).toBe(FAULT_NOT_PRESENT);
    expect(out.level).toBe(level);
  });

  it.each([
    ['user access of a supervisor page', 0x12345003n, USER_READ],
    ['write to a read-only page', 0x12345005n, USER_WRITE],
    ['write to a shadow-stack page', 0x12345065n, USER_WRITE],
    ['fetch from a no-execute page', 0x8000000012345007n, USER_EXEC],
    ['supervisor write to a read-only page (CR0.WP)', 0x12345005n, ACCESS_WRITE],
    ['supervisor fetch from a no-execute page', 0x8000000012345003n, ACCESS_EXEC],
  ])('protection: %s', (_name, value, access) => {
    const { tables, root } = machineWith(0, value);
    expect(hwWalk(tables, root, ADDRESS, access, out)).toBe(FAULT_PROTECTION);
    expect(out.level).toBe(0);
  });

  it('a supervisor reads, writes and runs a user page', () => {
    const { tables, root } = machineWith(0, 0x12345007n);
    for (const access of [ACCESS_READ, ACCESS_WRITE, ACCESS_EXEC]) {
      expect(hwWalk(tables, root, ADDRESS, access, out)).toBe(0);
    }
  });

  it.each([1, 2, 3])('a right that a table of level %d does not pass on is not there', (level) => {
    for (const [bits, access] of [
      [0x2n, USER_WRITE],
      [0x4n, USER_READ],
      [1n << 63n, USER_EXEC],
    ] as const) {
      const { tables, root } = machineWith(0, 0x12345007n);
      expect(hwWalk(tables, root, ADDRESS, access, out)).toBe(0);
      setEntry(tables, root, level, getEntry(tables, root, level) ^ bits);
      expect(hwWalk(tables, root, ADDRESS, access, out)).toBe(FAULT_PROTECTION);
    }
  });

  it('not present below comes before a missing right above', () => {
    const { tables, root } = machineWith(0, 0n);
    setEntry(tables, root, 2, getEntry(tables, root, 2) & ~0x6n);
    expect(hwWalk(tables, root, ADDRESS, USER_WRITE, out)).toBe(FAULT_NOT_PRESENT);
  });

  it('a reserved bit comes before not present below and before missing rights', () => {
    const { tables, root } = machineWith(0, 0n);
    setEntry(tables, root, 3, getEntry(tables, root, 3) | 0x80n);
    expect(hwWalk(tables, root, ADDRESS, USER_READ, out)).toBe(FAULT_RESERVED);
    expect(out.level).toBe(3);
    const huge = machineWith(1, 0x40002083n);
    expect(hwWalk(huge.tables, huge.root, ADDRESS, USER_WRITE, out)).toBe(FAULT_RESERVED);
    expect(out.level).toBe(1);
  });

  it('an address that is not canonical raises no page fault', () => {
    const { tables, root } = createMachine(x86_64);
    expect(hwWalk(tables, root, 2 ** 47 - 1, USER_READ, out)).toBe(FAULT_NOT_PRESENT);
    expect(hwWalk(tables, root, 2 ** 47, USER_READ, out)).toBe(FAULT_NON_CANONICAL);
    expect(hwWalk(tables, root, 2 ** 53 - 1, ACCESS_READ, out)).toBe(FAULT_NON_CANONICAL);
  });

  it('a table outside RAM is a bus fault', () => {
    const { tables, root } = createMachine(x86_64);
    setEntry(tables, root, 3, 0x40000000067n);
    expect(hwWalk(tables, root, ADDRESS, USER_READ, out)).toBe(FAULT_BUS);
    expect(out.level).toBe(2);
  });

  it('refuses what is no address', () => {
    const { tables, root } = createMachine(x86_64);
    expect(() => hwWalk(tables, root, -1, USER_READ, out)).toThrow(/^address: /);
    expect(() => hwWalk(tables, root, 2 ** 53, USER_READ, out)).toThrow(/^address: /);
  });
});

describe('a made-up MMU', () => {
  it('marks the leaf only, and clears a bit for dirty', () => {
    const { tables, root } = createMachine(madeUp);
    const out = createTranslation();
    mapRange(tables, root, 0, 16384, 0x123456, E_WRITE | E_USER);
    const leaf = leafTableAlloc(tables, root, 0);
    const entry = createEntry();
    const before = [2, 1].map((level) => {
      readEntry(tables, tableAt(tables, root, 0, level), 0, entry);
      return entry.lo;
    });
    expect(hwWalk(tables, root, 100, USER_WRITE, out)).toBe(0);
    expect(out).toMatchObject({ pfn: 0x123456, shift: 14, flags: E_WRITE | E_USER | E_DIRTY });
    readEntry(tables, leaf, 0, entry);
    expect(entry.lo & 0x60).toBe(0x20);
    const after = [2, 1].map((level) => {
      readEntry(tables, tableAt(tables, root, 0, level), 0, entry);
      return entry.lo;
    });
    expect(after).toEqual(before);
  });

  it('has its own fault for an address beyond user memory', () => {
    const { tables, root } = createMachine(madeUp);
    expect(hwWalk(tables, root, madeUp.userEnd, USER_READ, createTranslation())).toBe(FAULT_NOT_PRESENT);
  });
});
