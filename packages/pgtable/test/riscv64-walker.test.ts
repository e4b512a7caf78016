import { bigintHigh, bigintLow, wordsToBigint } from '@mmkit/base';
import { describe, expect, it } from 'vitest';
import {
  ACCESS_EXEC,
  ACCESS_READ,
  ACCESS_USER,
  ACCESS_WRITE,
  createEntry,
  createTlb,
  createTranslation,
  E_DIRTY,
  E_USER,
  E_WRITE,
  FAULT_ACCESS_FLAG,
  FAULT_BUS,
  FAULT_KEY,
  FAULT_NON_CANONICAL,
  FAULT_NOT_PRESENT,
  FAULT_PROTECTION,
  FAULT_RESERVED,
  type Format,
  hwWalk,
  levelIndex,
  mapRange,
  pageFaultCause,
  physicalAddress,
  readEntry,
  riscvMmu,
  type RiscvMmuOptions,
  sv39,
  sv48,
  sv57,
  tableAt,
  tableAtAlloc,
  tlbInsert,
  tlbLookup,
  translate,
  unmapRange,
  writeEntry,
} from '@mmkit/pgtable';
import { codeOf, createMachine } from './machine.ts';

const ADDRESS = 0x3f_a6ef_0abc;
const USER_READ = ACCESS_READ | ACCESS_USER;
const USER_WRITE = ACCESS_WRITE | ACCESS_USER;
const USER_EXEC = ACCESS_EXEC | ACCESS_USER;
const ALL = [USER_READ, USER_WRITE, USER_EXEC, ACCESS_READ, ACCESS_WRITE, ACCESS_EXEC];
const A = 0x40n;
const D = 0x80n;
const CLEAN = 0x48d1457n;
const no = FAULT_PROTECTION;

/**
 * A machine with the entry `value` for ADDRESS at `level`, how a process's walk there ends, and how one of an MMU in
 * another mode does.
 */
function machineWith(value: bigint, level = 0, format: Format = sv39) {
  const { tables, root } = createMachine(format);
  const entry = createEntry();
  const set = (l: number, bits: bigint): void => {
    entry.lo = bigintLow(bits);
    entry.hi = bigintHigh(bits);
    writeEntry(tables, tableAtAlloc(tables, root, ADDRESS, l), levelIndex(format, l, ADDRESS), entry);
  };
  const raw = (l = level): bigint => {
    readEntry(tables, tableAt(tables, root, ADDRESS, l), levelIndex(format, l, ADDRESS), entry);
    return wordsToBigint(entry.lo, entry.hi);
  };
  set(level, value);
  const out = createTranslation();
  const walk = (access: number, address = ADDRESS): number => hwWalk(tables, root, address, access, out);
  const walkAs = (mode: Omit<RiscvMmuOptions, 'levels'>, access: number, address = BigInt(ADDRESS)): number =>
    translate(riscvMmu({ levels: 3, ...mode }), tables.memory, BigInt(root) << 12n, address, access, out);
  return { tables, root, out, walk, walkAs, raw, set };
}

describe('privileged manual: riscv64 translation', () => {
  it('a page: frame and rights', () => {
    const { out, walk } = machineWith(CLEAN | D);
    expect(walk(USER_READ)).toBe(0);
    expect(out).toMatchObject({ pfn: 0x12345, level: 0, shift: 12 });
    expect(out.flags & (E_WRITE | E_USER | E_DIRTY)).toBe(E_WRITE | E_USER | E_DIRTY);
  });

  it.each([
    [1, sv39],
    [2, sv39],
    [3, sv48],
    [4, sv57],
  ])('a leaf of level %i: the frame of the page the address is in', (level, format) => {
    const pages = 512 ** level;
    const { out, walk } = machineWith((BigInt(pages) << 10n) | 0xd7n, level, format);
    expect(walk(USER_READ)).toBe(0);
    expect(out).toMatchObject({ pfn: pages + (Math.floor(ADDRESS / 4096) % pages), level, shift: 12 + 9 * level });
  });

  it.each([
    ['zero', 0n, 0, FAULT_NOT_PRESENT],
    ['PROT_NONE', 0x48d1462n, 0, FAULT_NOT_PRESENT],
    ['a swap entry', 0x12345180n, 0, FAULT_NOT_PRESENT],
    ['a pointer in the leaf table', 0x48d1401n, 0, FAULT_RESERVED],
    ['W without R', 0x48d1455n, 0, FAULT_RESERVED],
    ['a leaf of 2 MiB at 4 KiB', 0x48d1457n, 1, FAULT_RESERVED],
    ['a leaf of 1 GiB at 2 MiB', 0x48801d7n, 2, FAULT_RESERVED],
    ['a table with A', 0x48d1441n, 2, FAULT_RESERVED],
    ['a table beyond RAM', 0x48d1401n, 2, FAULT_BUS],
  ])('refused, and nothing changed: %s', (_name, value, level, fault) => {
    const { walk, raw } = machineWith(value, level);
    for (const access of ALL) expect(walk(access)).toBe(fault);
    expect(raw()).toBe(value);
  });

  it('reserved bits count before rights', () => {
    expect(machineWith((CLEAN & ~0x10n) | (1n << 54n)).walk(USER_READ)).toBe(FAULT_RESERVED);
    expect(machineWith(CLEAN & ~0x10n).walk(USER_READ)).toBe(no);
  });

  it('the bits above the format must equal its last one', () => {
    const { walkAs, walk, out } = machineWith(CLEAN);
    expect([walk(USER_READ, 2 ** 38), out.level]).toEqual([FAULT_NOT_PRESENT, 2]);
    expect(walkAs({}, USER_READ, (1n << 63n) | BigInt(ADDRESS))).toBe(FAULT_NOT_PRESENT);
    expect(walkAs({}, USER_READ)).toBe(0);
    expect(physicalAddress(sv39, out, BigInt(ADDRESS))).toBe(0x1234_5abcn);
  });

  it('the upper half lies under the same root', () => {
    const { tables, root, out } = machineWith(CLEAN);
    const entry = createEntry();
    entry.lo = (0x8_0000 << 10) | 0xcf;
    writeEntry(tables, root, 511, entry);
    const high = 0xffff_ffff_c123_4567n;
    expect(translate(sv39, tables.memory, BigInt(root) << 12n, high, ACCESS_READ, out)).toBe(0);
    expect(physicalAddress(sv39, out, high)).toBe(0x8123_4567n);
    const low = BigInt.asUintN(39, high);
    expect(translate(sv39, tables.memory, BigInt(root) << 12n, low, ACCESS_READ, out)).toBe(FAULT_NOT_PRESENT);
  });

  it.each([
    ['Sv39', sv39],
    ['Sv48', sv48],
    ['Sv57', sv57],
  ])('%s: the last page of user memory is mapped, walked and unmapped', (_name, format) => {
    const { tables, root } = createMachine(format);
    const last = format.taskSize - 4096;
    expect(mapRange(tables, root, last, format.taskSize, 7, E_USER | E_WRITE)).toBe(0);
    const out = createTranslation();
    expect([hwWalk(tables, root, last + 5, USER_WRITE, out), out.pfn]).toEqual([0, 7]);
    unmapRange(tables, root, last, format.taskSize);
    expect(hwWalk(tables, root, last, USER_READ, out)).toBe(FAULT_NOT_PRESENT);
  });
});

describe('privileged manual: U, SUM and MXR', () => {
  const USER_RWX = 0x48d145fn;
  const KERNEL_RWX = 0x48d144fn;
  it.each([
    ['user rwx', USER_RWX, {}, [0, 0, 0, no, no, no]],
    ['user rwx, SUM: the supervisor still does not fetch', USER_RWX, { sum: true }, [0, 0, 0, 0, 0, no]],
    ['kernel rwx', KERNEL_RWX, {}, [no, no, no, 0, 0, 0]],
    ['kernel rwx, SUM', KERNEL_RWX, { sum: true }, [no, no, no, 0, 0, 0]],
    ['user rw', CLEAN, { sum: true }, [0, 0, no, 0, 0, no]],
    ['user r', 0x48d1453n, { sum: true, mxr: true }, [0, no, no, 0, no, no]],
    ['user x', 0x48d1459n, { sum: true }, [no, no, 0, no, no, no]],
    ['user x, MXR', 0x48d1459n, { mxr: true }, [0, no, 0, no, no, no]],
    ['user x, SUM and MXR', 0x48d1459n, { sum: true, mxr: true }, [0, no, 0, 0, no, no]],
    ['kernel x, MXR', 0x48d1449n, { mxr: true }, [no, no, no, 0, no, 0]],
  ])('%s', (_name, value, mode, results) => {
    const { walkAs } = machineWith(value);
    expect(ALL.map((access) => walkAs(mode, access))).toEqual(results);
  });

  it('tables take no rights away: G and software bits are all they have', () => {
    const { walk, raw, set } = machineWith(USER_RWX);
    for (const level of [1, 2]) set(level, raw(level) | 0x320n);
    expect([USER_READ, USER_WRITE, USER_EXEC].map((access) => walk(access))).toEqual([0, 0, 0]);
  });
});

describe('privileged manual: A and D', () => {
  it('ADUE: a read sets A, a write A and D, in the leaf alone', () => {
    const { walk, raw } = machineWith(CLEAN & ~A);
    const tables = [raw(1), raw(2)];
    expect([walk(USER_READ), raw()]).toEqual([0, CLEAN]);
    expect([walk(USER_WRITE), raw()]).toEqual([0, CLEAN | D]);
    expect([raw(1), raw(2)]).toEqual(tables);
    const huge = machineWith(0x480_0017n, 1);
    expect([huge.walk(USER_WRITE), huge.raw()]).toEqual([0, 0x480_00d7n]);
  });

  it('a fault sets nothing', () => {
    const { walk, raw } = machineWith(0x48d1413n);
    expect([walk(USER_WRITE), walk(ACCESS_READ), raw()]).toEqual([no, no, 0x48d1413n]);
  });

  it('without ADUE a clear A faults, and a write to a clear D; nothing is set', () => {
    const mode = { adue: false };
    const unused = machineWith(CLEAN & ~A);
    expect([unused.walkAs(mode, USER_READ), unused.walkAs(mode, USER_WRITE)]).toEqual([
      FAULT_ACCESS_FLAG,
      FAULT_ACCESS_FLAG,
    ]);
    expect(unused.raw()).toBe(CLEAN & ~A);
    const clean = machineWith(CLEAN);
    expect([clean.walkAs(mode, USER_READ), clean.walkAs(mode, USER_WRITE)]).toEqual([0, FAULT_ACCESS_FLAG]);
    expect(clean.walkAs(mode, ACCESS_WRITE)).toBe(no);
    const dirty = machineWith(CLEAN | D);
    expect([dirty.walkAs(mode, USER_WRITE), dirty.raw()]).toEqual([0, CLEAN | D]);
  });

  it.each([true, false])('a TLB serves a page read through it, ADUE %s', (adue) => {
    const mmu = riscvMmu({ levels: 3, adue });
    const { walkAs, out } = machineWith(CLEAN);
    const tlb = createTlb(mmu, { slots: 16 });
    expect(walkAs({ adue }, USER_READ)).toBe(0);
    tlbInsert(tlb, 1, ADDRESS, out);
    expect(tlbLookup(tlb, 1, ADDRESS, USER_READ)).toBe(0x12345);
    expect(tlbLookup(tlb, 1, ADDRESS, USER_WRITE)).toBe(-1);
  });
});

describe('Svpbmt', () => {
  it.each([1n, 2n])('type %i is a memory type with PBMTE, and reserved without', (type) => {
    const { walkAs } = machineWith(CLEAN | (type << 61n));
    expect([walkAs({ pbmte: true }, USER_READ), walkAs({}, USER_READ)]).toEqual([0, FAULT_RESERVED]);
  });

  it('type 3 is reserved, and every type in a table', () => {
    expect(machineWith(CLEAN | (3n << 61n)).walkAs({ pbmte: true }, USER_READ)).toBe(FAULT_RESERVED);
    const { walkAs, raw, set } = machineWith(CLEAN);
    set(1, raw(1) | (1n << 61n));
    expect(walkAs({ pbmte: true }, USER_READ)).toBe(FAULT_RESERVED);
  });
});

it('an MMU has 3, 4 or 5 levels', () => {
  for (const levels of [2, 6, 3.5]) expect(() => riscvMmu({ levels: levels as 3 })).toThrow(RangeError);
  expect([3, 4, 5].map((levels) => riscvMmu({ levels: levels as 3 }).name)).toEqual([
    'riscv64 Sv39',
    'riscv64 Sv48',
    'riscv64 Sv57',
  ]);
});

describe('privileged manual: exception codes', () => {
  it.each([
    ['a page fault', FAULT_NOT_PRESENT, [12, 13, 15]],
    ['rights', FAULT_PROTECTION, [12, 13, 15]],
    ['reserved bits', FAULT_RESERVED, [12, 13, 15]],
    ['A or D', FAULT_ACCESS_FLAG, [12, 13, 15]],
    ['no memory', FAULT_BUS, [1, 5, 7]],
  ])('%s: fetch, load, store, in either mode', (_name, fault, causes) => {
    expect([ACCESS_EXEC, ACCESS_READ, ACCESS_WRITE].map((access) => pageFaultCause(fault, access))).toEqual(causes);
    expect([USER_EXEC, USER_READ, USER_WRITE].map((access) => pageFaultCause(fault, access))).toEqual(causes);
  });

  it('a kind of fault that riscv64 does not have has none', () => {
    for (const fault of [0, FAULT_NON_CANONICAL, FAULT_KEY]) {
      expect(codeOf(() => pageFaultCause(fault, USER_READ))).toBe('NOT_A_PAGE_FAULT');
    }
  });
});
