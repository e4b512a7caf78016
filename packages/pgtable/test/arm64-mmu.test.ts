import { bigintHigh } from '@mmkit/base';
import { describe, expect, it } from 'vitest';
import {
  ACCESS_EXEC,
  ACCESS_PAN,
  ACCESS_READ,
  ACCESS_USER,
  ACCESS_WRITE,
  arm64Mmu,
  type Arm64Mode,
  arm64Root,
  createDecoded,
  createTlb,
  createTlbCheck,
  E_KERNEL_EXEC,
  E_RIGHTS,
  ENTRY_TABLE,
  FAULT_ACCESS_FLAG,
  FAULT_BUS,
  FAULT_NOT_PRESENT,
  FAULT_PROTECTION,
  FAULT_RESERVED,
  staleEntry,
  tlbInsert,
  tlbLookup,
} from '@mmkit/pgtable';
import { arm64Image } from './arm64-image.ts';

const K4 = 4096;
const K16 = 16384;
const K64 = 65536;
const USER_READ = ACCESS_READ | ACCESS_USER;
const USER_WRITE = ACCESS_WRITE | ACCESS_USER;
const USER_EXEC = ACCESS_EXEC | ACCESS_USER;

const PAGE = 0x403n;
const BLOCK = 0x401n;
const USER = 0x40n;
const RDONLY = 0x80n;
const AF = 0x400n;
const DBM = 1n << 51n;
const CONT = 1n << 52n;
const PXN = 1n << 53n;
const UXN = 1n << 54n;
const PXN_TABLE = 1n << 59n;
const UXN_TABLE = 1n << 60n;
const AP_TABLE_NO_USER = 1n << 61n;
const AP_TABLE_NO_WRITE = 1n << 62n;

/** Fault status codes of ESR_EL1. */
const TRANSLATION_L0 = 0x04;
const ADDRESS_SIZE_L0 = 0x00;
const fsc = (esr: number): number => esr & 0x3f;

describe('Arm ARM, TCR_EL1.TxSZ: where a walk starts', () => {
  it.each([
    [K4, 16, false, 4, 9],
    [K4, 25, false, 3, 9],
    [K4, 26, false, 3, 8],
    [K4, 39, false, 2, 4],
    [K4, 48, false, 1, 4],
    [K4, 12, true, 5, 4],
    [K4, 15, true, 5, 1],
    [K16, 16, false, 4, 1],
    [K16, 17, false, 3, 11],
    [K16, 12, true, 4, 5],
    [K64, 12, false, 3, 10],
    [K64, 16, false, 3, 6],
    [K64, 22, false, 2, 13],
    [K64, 39, false, 1, 9],
    [K64, 47, false, 1, 1],
  ])('granule %i, TxSZ %i, DS %s: %i levels, 2^%i entries in the root', (granule, txsz, ds, levels, rootBits) => {
    const mode = { granule, txsz, ds };
    expect(arm64Mmu(mode)).toMatchObject({ levels, rootBits });
    const va = (1n << BigInt(64 - txsz)) - 1n;
    expect(arm64Image(mode, 0x5000_0000n | PAGE, { va }).pa(ACCESS_READ)).toBe(0x5000_0000n | (va % BigInt(granule)));
  });

  it('a small root need not begin a page', () => {
    const image = arm64Image({ txsz: 39 }, 0x5000_0000n | PAGE);
    const va = 0x100_0000n;
    expect(image.walk(ACCESS_READ, va)).toBe(FAULT_NOT_PRESENT);
    // Entry 8 of a root that begins 64 bytes before the image's is its entry 0.
    expect(image.walk(ACCESS_READ, va, image.root - 64n)).toBe(FAULT_BUS);
    const higher = arm64Image({ txsz: 39 }, 0x5000_0000n | PAGE, { va });
    expect(higher.walk(ACCESS_READ, 0n, higher.root + 64n)).toBe(0);
    expect(higher.out.at[1]).toBe(16);
  });

  it.each([
    [{ txsz: 25 }, 1n << 39n],
    [{ txsz: 25, tbi: false }, 1n << 63n],
    [{ txsz: 12, ds: true }, 1n << 52n],
    [{ granule: K64, txsz: 39 }, 1n << 25n],
    [{ txsz: 16, tbi: true }, 1n << 55n],
    [{ txsz: 16, tbi: false }, 1n << 56n],
  ] as const)('an address above: translation fault, level 0 whatever the start level: %j %x', (mode, va) => {
    const image = arm64Image(mode, 0x5000_0000n | PAGE);
    expect(image.walk(ACCESS_READ, va)).toBe(FAULT_NOT_PRESENT);
    expect(fsc(image.esr(ACCESS_READ, va))).toBe(TRANSLATION_L0);
    expect(image.walk(ACCESS_READ, 0n)).toBe(0);
  });

  it('TBI: the top byte is ignored, bit 55 still tells the halves', () => {
    const tagged = 0xa5n << 56n;
    const lower = arm64Image({ tbi: true }, 0x5000_0000n | PAGE);
    expect(lower.walk(ACCESS_READ, tagged)).toBe(0);
    expect(lower.walk(ACCESS_READ, tagged | (0xffn << 48n))).toBe(FAULT_NOT_PRESENT);
    expect(arm64Image({ tbi: false }, 0x5000_0000n | PAGE).walk(ACCESS_READ, tagged)).toBe(FAULT_NOT_PRESENT);
    const upper = arm64Image({ upper: true, tbi: true }, 0x5000_0000n | PAGE, { va: 0xffff_0000_0000_0000n });
    expect(upper.walk(ACCESS_READ, 0x12ff_0000_0000_0000n)).toBe(0);
    expect(upper.walk(ACCESS_READ, 0x127f_0000_0000_0000n)).toBe(FAULT_NOT_PRESENT);
  });

  it('TTBR1: addresses whose bits above are all set', () => {
    const va = 0xffff_ff80_1234_5678n;
    const image = arm64Image({ upper: true, txsz: 25 }, 0x5000_0000n | PAGE, { va });
    expect(image.pa(ACCESS_READ)).toBe(0x5000_0678n);
    expect(image.walk(ACCESS_READ, va - (1n << 39n))).toBe(FAULT_NOT_PRESENT);
    expect(image.walk(ACCESS_READ, BigInt.asUintN(39, va))).toBe(FAULT_NOT_PRESENT);
  });

  it('EPD: no walk at all, level 0', () => {
    for (const upper of [false, true]) {
      const va = upper ? 2n ** 64n - 1n : 0n;
      const image = arm64Image({ upper, epd: true, txsz: 25 }, 0x5000_0000n | PAGE, { va });
      expect(image.walk(ACCESS_READ)).toBe(FAULT_NOT_PRESENT);
      expect(fsc(image.esr(ACCESS_READ))).toBe(TRANSLATION_L0);
    }
  });

  it('E0PD: EL0 gets a translation fault of level 0 for every address, EL1 walks', () => {
    const image = arm64Image({ e0pd: true, txsz: 25 }, 0x5000_0000n | PAGE | USER);
    for (const access of [USER_READ, USER_WRITE, USER_EXEC]) {
      expect(image.walk(access)).toBe(FAULT_NOT_PRESENT);
      expect(fsc(image.esr(access))).toBe(TRANSLATION_L0);
    }
    expect(image.walk(ACCESS_READ)).toBe(0);
  });

  it('E0PD: nor does the TLB give EL0 what EL1 used', () => {
    for (const e0pd of [false, true]) {
      const image = arm64Image({ e0pd }, 0x5000_0000n | RDONLY | PAGE | USER);
      const tlb = createTlb(image.mmu);
      expect(image.walk(ACCESS_READ)).toBe(0);
      tlbInsert(tlb, 1, 0, image.out);
      expect(tlbLookup(tlb, 1, 0, ACCESS_READ)).toBe(0x50000);
      expect(tlbLookup(tlb, 1, 0, USER_READ)).toBe(e0pd ? -1 : 0x50000);
      const check = createTlbCheck(image.mmu, { memory: image.memory, rootOf: () => Number(image.root / 4096n) });
      expect(staleEntry(check, 1, 0, 0x50000, image.out.flags)).toBe('');
    }
  });

  it('unless given: E0PD for TTBR1 alone, TBI for TTBR0 alone, as Linux', () => {
    expect([arm64Mmu().refused, arm64Mmu({ upper: true }).refused]).toEqual([0, ACCESS_USER]);
    expect([arm64Mmu().addressMaskHi, arm64Mmu({ upper: true }).addressMaskHi]).toEqual([0xff_0000, -0x1_0000]);
  });
});

describe('Arm ARM, TCR_EL1.IPS: address size faults', () => {
  const sizes = [32n, 36n, 40n, 42n, 44n, 48n];
  it.each(sizes.map((bits, ips) => [ips, bits] as const))('IPS %i: %i bits', (ips, bits) => {
    const last = (1n << bits) - 0x1_0000n;
    for (const granule of [K4, K16, K64]) {
      expect(arm64Image({ granule, ips }, last | PAGE).pa(ACCESS_READ)).toBe(last);
      const beyond = arm64Image({ granule, ips, ds: granule !== K64 }, (1n << bits) | PAGE);
      if (bits < 48n) expect(beyond.walk(ACCESS_READ)).toBe(FAULT_RESERVED);
    }
  });

  it('of a leaf, a block, a table: the level of the entry', () => {
    const mode = { ips: 0 };
    const over = 1n << 32n;
    expect(fsc(arm64Image(mode, over | PAGE).esr(ACCESS_READ))).toBe(3);
    expect(fsc(arm64Image(mode, over | BLOCK, { level: 1 }).esr(ACCESS_READ))).toBe(2);
    expect(fsc(arm64Image(mode, over | 3n, { level: 2 }).esr(ACCESS_READ))).toBe(1);
    expect(fsc(arm64Image(mode, over | 3n, { level: 3 }).esr(ACCESS_READ))).toBe(0);
    const minusOne = arm64Image({ txsz: 12, ds: true, ips: 0 }, over | 3n, { level: 4 });
    expect(fsc(minusOne.esr(ACCESS_READ))).toBe(0x29);
    expect(minusOne.out.level).toBe(4);
  });

  it('of the root: level 0, when the address is one that is translated', () => {
    const image = arm64Image({ ips: 0, txsz: 25, e0pd: true }, PAGE);
    const root = 1n << 32n;
    expect(image.walk(ACCESS_READ, 0n, root)).toBe(FAULT_RESERVED);
    expect(fsc(image.esr(ACCESS_READ, 0n, root))).toBe(ADDRESS_SIZE_L0);
    expect(image.walk(ACCESS_READ, 1n << 39n, root)).toBe(FAULT_NOT_PRESENT);
    expect(image.walk(USER_READ, 0n, root)).toBe(FAULT_NOT_PRESENT);
    expect(image.walk(ACCESS_READ, 0n, root - 0x1000n)).toBe(FAULT_BUS);
    expect(arm64Image({ ips: 6 }, PAGE).walk(ACCESS_READ, 0n, 1n << 48n)).toBe(FAULT_RESERVED);
    expect(arm64Image({ ips: 6, ds: true }, PAGE).walk(ACCESS_READ, 0n, 1n << 48n)).toBe(FAULT_BUS);
  });

  it('without 52 bits the bits 49:48 of a descriptor are not looked at', () => {
    const image = arm64Image({ ips: 6 }, (3n << 48n) | 0x5000_0000n | PAGE);
    expect(image.pa(ACCESS_READ)).toBe(0x5000_0000n);
  });

  it('64K: bits 15:12 are address bits 51:48, with a smaller IPS an address size fault', () => {
    const leaf = 0x5000_f000n | PAGE;
    expect(arm64Image({ granule: K64, ips: 6 }, leaf).pa(ACCESS_READ)).toBe(0xf_0000_5000_0000n);
    expect(arm64Image({ granule: K64, ips: 5 }, leaf).walk(ACCESS_READ)).toBe(FAULT_RESERVED);
    expect(arm64Image({ granule: K64, ips: 5 }, 0x5000_f003n, { level: 1 }).walk(ACCESS_READ)).toBe(FAULT_RESERVED);
    expect(arm64Image({ granule: K64, ips: 6 }, 0x5000_f003n, { level: 1 }).walk(ACCESS_READ)).toBe(FAULT_BUS);
  });

  it.each([K4, K16])('LPA2, granule %i: bits 49:48 and 9:8 are address bits 51:48; else 9:8 are SH', (granule) => {
    const leaf = (2n << 48n) | 0x5000_0000n | 0x300n | PAGE;
    const mode = { granule, ds: true };
    expect(arm64Image(mode, leaf).pa(ACCESS_READ)).toBe((0xen << 48n) | 0x5000_0000n);
    expect(arm64Image({ ...mode, ips: 5 }, leaf).walk(ACCESS_READ)).toBe(FAULT_RESERVED);
    expect(arm64Image({ ...mode, ips: 5 }, 0x5000_0000n | 0x100n | PAGE).walk(ACCESS_READ)).toBe(FAULT_RESERVED);
    expect(arm64Image({ ...mode, ips: 5 }, 0x5000_0103n, { level: 1 }).walk(ACCESS_READ)).toBe(FAULT_RESERVED);
    expect(arm64Image({ granule }, 0x5000_0000n | 0x300n | PAGE).pa(ACCESS_READ)).toBe(0x5000_0000n);
  });
});

describe('Arm ARM: which levels have blocks', () => {
  it.each<[Arm64Mode, number, number]>([
    [{ granule: K4 }, 2, 30],
    [{ granule: K4, ds: true }, 3, 39],
    [{ granule: K16 }, 1, 25],
    [{ granule: K16, ds: true }, 2, 36],
    [{ granule: K64 }, 2, 42],
    [{ granule: K64, ips: 0 }, 2, 42],
  ])('%j: up to level %i (ours), 2^%i bytes', (mode, top, shift) => {
    const { levels } = arm64Mmu(mode);
    for (let level = 1; level < levels; level++) {
      const image = arm64Image(mode, BLOCK, { level, va: 0x1234_5678n });
      expect(image.walk(ACCESS_READ)).toBe(level <= top ? 0 : FAULT_NOT_PRESENT);
    }
    const image = arm64Image(mode, BLOCK, { level: top, va: 0x1234_5678n });
    expect([image.pa(ACCESS_READ), image.out.shift]).toEqual([BigInt.asUintN(shift, 0x1234_5678n), shift]);
  });

  it('LPA2: level -1 has none', () => {
    const image = arm64Image({ txsz: 12, ds: true }, BLOCK, { level: 4 });
    expect(image.walk(ACCESS_READ)).toBe(FAULT_NOT_PRESENT);
    expect(fsc(image.esr(ACCESS_READ))).toBe(0x2b);
  });

  it('address bits below the size of a block are not used, nor is the contiguous bit', () => {
    const huge = arm64Image({ ds: true }, CONT | (1n << 38n) | (1n << 39n) | 0x1f_f000n | BLOCK, { level: 3, va: 5n });
    expect(huge.pa(ACCESS_READ)).toBe((1n << 39n) | 5n);
    const four = arm64Image({ granule: K64, ips: 6 }, (1n << 41n) | (1n << 42n) | 0x1_3000n | BLOCK, {
      level: 2,
      va: 5n,
    });
    expect(four.pa(ACCESS_READ)).toBe((3n << 48n) | (1n << 42n) | 5n);
    expect(arm64Image({ granule: K64, ips: 0 }, (1n << 41n) | BLOCK, { level: 2, va: 5n }).pa(ACCESS_READ)).toBe(5n);
  });
});

describe('Arm ARM: the order of faults', () => {
  const mode = { ha: false, ips: 0 };
  const over = 1n << 32n;
  it('address size, then Access flag, then permission', () => {
    const walk = (leaf: bigint): number => arm64Image(mode, leaf).walk(USER_READ);
    expect(walk(over | 3n)).toBe(FAULT_RESERVED);
    expect(walk(3n)).toBe(FAULT_ACCESS_FLAG);
    expect(walk(PAGE)).toBe(FAULT_PROTECTION);
    expect(walk(PAGE | USER)).toBe(0);
  });

  it('a table that refuses counts after everything below is there', () => {
    const walk = (leaf: bigint): number => arm64Image(mode, leaf, { tables: AP_TABLE_NO_USER }).walk(USER_READ);
    expect(walk(0n)).toBe(FAULT_NOT_PRESENT);
    expect(walk(over | 3n)).toBe(FAULT_RESERVED);
    expect(walk(USER | 3n)).toBe(FAULT_ACCESS_FLAG);
    expect(walk(USER | PAGE)).toBe(FAULT_PROTECTION);
  });

  it('a table beyond the address size comes before nothing being there', () => {
    expect(arm64Image(mode, over | 3n, { level: 1 }).walk(USER_READ)).toBe(FAULT_RESERVED);
    const bus = arm64Image(mode, 0x8000_0003n, { level: 1 });
    expect(bus.walk(USER_READ)).toBe(FAULT_BUS);
    expect(fsc(bus.esr(USER_READ))).toBe(0x17);
    expect(fsc(arm64Image({ txsz: 12, ds: true }, 0n).esr(USER_READ, 0n, 1n << 48n))).toBe(0x13);
  });
});

describe('Arm ARM: hardware management of the Access flag and dirty state', () => {
  const CLEAN = DBM | RDONLY | USER | 0x5000_0003n;

  it('HA = 0: a leaf without AF faults, at its level, and nothing changes', () => {
    const image = arm64Image({ ha: false }, BLOCK & ~AF, { level: 2 });
    expect(image.walk(ACCESS_READ)).toBe(FAULT_ACCESS_FLAG);
    expect(fsc(image.esr(ACCESS_READ))).toBe(0x09);
    expect(image.get(2)).toBe(BLOCK & ~AF);
  });

  it('HA = 1: AF is set by an access that goes through, by none that faults', () => {
    const image = arm64Image({}, CLEAN | RDONLY);
    expect(image.walk(USER_EXEC)).toBe(0);
    expect(image.get(0)).toBe(CLEAN | AF);
    const kernel = arm64Image({}, 0x5000_0003n);
    expect(kernel.walk(USER_READ)).toBe(FAULT_PROTECTION);
    expect(kernel.get(0)).toBe(0x5000_0003n);
  });

  it('HD = 1: a write through DBM clears RDONLY', () => {
    const image = arm64Image({}, CLEAN | AF);
    expect(image.walk(USER_READ)).toBe(0);
    expect(image.get(0)).toBe(CLEAN | AF);
    expect(image.walk(USER_WRITE)).toBe(0);
    expect(image.get(0)).toBe((CLEAN | AF) & ~RDONLY);
  });

  it.each([{ hd: false }, { ha: false, hd: true }])('%j: DBM gives nothing', (mode) => {
    const image = arm64Image(mode, CLEAN | AF);
    expect(image.walk(USER_WRITE)).toBe(FAULT_PROTECTION);
    expect(image.get(0)).toBe(CLEAN | AF);
  });

  it('HD = 1: no DBM, or tables that refuse writes: a permission fault, nothing changes', () => {
    expect(arm64Image({}, (CLEAN | AF) & ~DBM).walk(USER_WRITE)).toBe(FAULT_PROTECTION);
    const image = arm64Image({}, CLEAN | AF, { tables: AP_TABLE_NO_WRITE });
    expect(image.walk(USER_WRITE)).toBe(FAULT_PROTECTION);
    expect(image.get(0)).toBe(CLEAN | AF);
  });
});

describe('Arm ARM: permissions of stage 1, EL1&0', () => {
  const DATA: readonly number[] = [USER_READ, USER_WRITE, ACCESS_READ, ACCESS_WRITE];
  const PAN: readonly number[] = [ACCESS_READ | ACCESS_PAN, ACCESS_WRITE | ACCESS_PAN];

  /** r, w or - for each access: EL0 read, write; EL1 read, write; EL1 with PAN read, write. */
  const data = (mode: Arm64Mode, leaf: bigint, tables = 0n): string =>
    [...DATA, ...PAN]
      .map((access, i) => (arm64Image(mode, leaf | PAGE, { tables }).walk(access) === 0 ? 'rw'[i % 2] : '-'))
      .join('');
  /** x or -: EL0, EL1. */
  const fetch = (mode: Arm64Mode, leaf: bigint, tables = 0n): string =>
    [USER_EXEC, ACCESS_EXEC]
      .map((access) => (arm64Image(mode, leaf | PAGE, { tables }).walk(access) === 0 ? 'x' : '-'))
      .join('');

  it.each([
    ['00', 0n, '--rwrw', 'xx'],
    ['01', USER, 'rwrw--', 'x-'],
    ['10', RDONLY, '--r-r-', 'xx'],
    ['11', RDONLY | USER, 'r-r---', 'xx'],
    ['10 DBM', DBM | RDONLY, '--rwrw', 'xx'],
    ['11 DBM', DBM | RDONLY | USER, 'rwrw--', 'x-'],
  ])('AP %s: EL0, EL1, EL1 with PAN; fetches', (_name, leaf, rights, fetches) => {
    expect([data({}, leaf), fetch({}, leaf)]).toEqual([rights, fetches]);
    expect(fetch({}, leaf | UXN)).toBe(`-${fetches[1]}`);
    expect(fetch({}, leaf | PXN)).toBe('x-');
  });

  it('memory that EL0 may write is not executable at EL1; tables that refuse the write let it', () => {
    expect(fetch({}, USER, AP_TABLE_NO_WRITE)).toBe('xx');
    expect(fetch({}, USER, AP_TABLE_NO_USER)).toBe('xx');
    expect(fetch({ hd: false }, DBM | RDONLY | USER)).toBe('xx');
  });

  it('PAN is about pages that EL0 may use, tables counted; fetches do not mind', () => {
    expect(data({}, USER, AP_TABLE_NO_USER)).toBe('--rwrw');
    expect(arm64Image({}, RDONLY | USER | PAGE).walk(ACCESS_EXEC | ACCESS_PAN)).toBe(0);
    expect(arm64Image({}, USER | PAGE).walk(USER_READ | ACCESS_PAN)).toBe(0);
  });

  it.each([
    [0n, 'rwrw--', 'x-'],
    [AP_TABLE_NO_WRITE, 'r-r---', 'xx'],
    [AP_TABLE_NO_USER, '--rwrw', 'xx'],
    [AP_TABLE_NO_USER | AP_TABLE_NO_WRITE, '--r-r-', 'xx'],
    [UXN_TABLE, 'rwrw--', '--'],
    [PXN_TABLE | AP_TABLE_NO_WRITE, 'r-r---', 'x-'],
    [PXN_TABLE, 'rwrw--', 'x-'],
  ])('hierarchical: tables with %x; with HPD they say nothing', (tables, rights, fetches) => {
    expect([data({}, USER, tables), fetch({}, USER, tables)]).toEqual([rights, fetches]);
    expect([data({ hpd: true }, USER, tables), fetch({ hpd: true }, USER, tables)]).toEqual(['rwrw--', 'x-']);
  });

  it('HPD: of a table in any frame', () => {
    const out = createDecoded();
    const tables = bigintHigh(PXN_TABLE | UXN_TABLE | AP_TABLE_NO_USER | AP_TABLE_NO_WRITE);
    arm64Mmu({ hpd: true }).hardware(3, tables | 0x8000, 1, out);
    expect(out).toMatchObject({ kind: ENTRY_TABLE, pfn: 2 ** 35, flags: E_RIGHTS | E_KERNEL_EXEC });
    arm64Mmu().hardware(3, tables | 0x8000, 1, out);
    expect(out).toMatchObject({ kind: ENTRY_TABLE, pfn: 2 ** 35, flags: 0 });
  });

  it('PXNTable of one level is enough, HPD ignores it', () => {
    const leaf = RDONLY | USER | PAGE;
    for (const level of [1, 2, 3]) {
      for (const others of [0n, PXN_TABLE]) {
        for (const hpd of [false, true]) {
          const image = arm64Image({ hpd }, leaf, { tables: others });
          image.set(level, image.get(level) | PXN_TABLE);
          expect(image.walk(ACCESS_EXEC)).toBe(hpd ? 0 : FAULT_PROTECTION);
          expect(image.walk(USER_EXEC)).toBe(0);
        }
      }
    }
  });
});

describe('Arm ARM, TTBR0_EL1, TTBR1_EL1: the root table', () => {
  const ASID = 0xabcdn << 48n;
  it.each<[Arm64Mode, bigint, bigint]>([
    [{}, 0x1234_5678_9000n, 0x1234_5678_9000n],
    [{}, 0x1234_5678_9fffn, 0x1234_5678_9000n],
    [{ txsz: 39 }, 0x1234_5678_9fffn, 0x1234_5678_9f80n],
    [{ granule: K16 }, 0x1234_5678_9fffn, 0x1234_5678_9ff0n],
    [{ granule: K64, txsz: 12, ips: 6 }, 0x1234_5678_803dn, 0xf_1234_5678_8000n],
    [{ granule: K64, txsz: 12, ips: 5 }, 0x1234_5678_803dn, 0x1234_5678_8000n],
    [{ granule: K64, txsz: 47, ips: 6 }, 0x1234_5678_807dn, 0xf_1234_5678_8040n],
    [{ granule: K64, txsz: 47, ips: 5 }, 0x1234_5678_807dn, 0x1234_5678_8070n],
    [{ ds: true, txsz: 12 }, 0x1234_5678_9fa9n, 0xa_1234_5678_9f80n],
    [{ ds: true, ips: 5 }, 0x1234_5678_9009n, 0x2_1234_5678_9000n],
  ])('%j: %x is %x, whatever ASID and CnP', (mode, ttbr, root) => {
    expect(arm64Root(mode, ttbr)).toBe(root);
    expect(arm64Root(mode, ASID | ttbr | 1n)).toBe(root);
  });
});

it('a mode that TCR_EL1 cannot have is refused', () => {
  const modes: Arm64Mode[] = [
    { granule: 8192 },
    { txsz: 15 },
    { txsz: 11, ds: true },
    { txsz: 49 },
    { granule: K64, txsz: 48 },
    { granule: K64, txsz: 11 },
    { txsz: 16.5 },
    { ips: 8 },
    { ips: -1 },
  ];
  for (const mode of modes) {
    expect(() => arm64Mmu(mode)).toThrow(RangeError);
    expect(() => arm64Root(mode, 0n)).toThrow(RangeError);
  }
});
