import { bigintHigh, bigintLow } from '@mmkit/base';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ACCESS_EXEC,
  ACCESS_READ,
  ACCESS_USER,
  ACCESS_WRITE,
  createDecoded,
  E_DIRTY,
  E_GLOBAL,
  E_KEY_SHIFT,
  E_RIGHTS,
  ENTRY_TABLE,
  FAULT_KEY,
  FAULT_NON_CANONICAL,
  FAULT_NOT_PRESENT,
  FAULT_PROTECTION,
  FAULT_RESERVED,
  physicalAddress,
  x86_64,
  x86_64La57,
  x86Mmu,
  x86Root,
} from '@mmkit/pgtable';
import { ADDRESS, Image } from './x86_64-image.ts';

const USER_READ = ACCESS_USER;
const USER_WRITE = ACCESS_USER | ACCESS_WRITE;
const NX = 1n << 63n;
const PSE = 0x80n;
const MODES = [{ la57: false }, { la57: true }];
const WIDTHS = [32, 36, 40, 46, 51, 52];

describe('SDM 4.1: the mode', () => {
  it('is Linux’s unless given: four levels, all of CR0, CR4 and EFER on, only key 0 open', () => {
    expect(x86Mmu()).toMatchObject({
      levels: 4,
      la57: false,
      maxphyaddr: 52,
      gbpages: true,
      nxe: true,
      wp: true,
      smep: true,
      smap: true,
      pke: true,
      pkru: 0x5555_5554,
    });
  });

  it('of the formats is a CPU without SMEP, SMAP and protection keys', () => {
    for (const format of [x86_64, x86_64La57]) {
      expect(format).toMatchObject({ maxphyaddr: 52, nxe: true, wp: true, smep: false, smap: false, pke: false });
    }
  });

  it.each([31, 53, 36.5, Number.NaN])('MAXPHYADDR %d is refused', (maxphyaddr) => {
    expect(() => x86Mmu({ maxphyaddr })).toThrow(/^maxphyaddr: /);
  });

  it.each([-1, 2 ** 32, 0.5])('PKRU %d is refused', (pkru) => {
    expect(() => x86Mmu({ pkru })).toThrow(/^pkru: /);
  });

  it('an MMU may be laid over a format', () => {
    const format = { ...x86_64, ...x86Mmu({ maxphyaddr: 40 }) };
    expect(format).toMatchObject({ maxphyaddr: 40, taskSize: x86_64.taskSize, decode: x86_64.decode });
  });
});

describe('SDM 4.5: the walk', () => {
  it.each(MODES)('%o: goes down all levels, index by index, and keeps the path', ({ la57 }) => {
    const image = new Image({ la57 });
    const { found, mmu } = image;
    expect(image.walk(USER_READ)).toBe(0);
    expect(found).toMatchObject({ level: 0, shift: 12 });
    expect(physicalAddress(mmu, found, ADDRESS)).toBe(0x1234_5abcn);
    for (let level = 0; level < mmu.levels; level++) {
      expect(found.tables[level]).toBe(level + 1);
      expect(found.at[level]).toBe(Number((ADDRESS >> BigInt(12 + 9 * level)) & 511n) * 2);
    }
  });

  it('a leaf of level 1 maps 2 MiB, of level 2 1 GiB', () => {
    for (const [level, bits] of [
      [1, 21n],
      [2, 30n],
    ] as const) {
      const image = new Image({}, level);
      expect(image.walk(USER_READ)).toBe(0);
      expect(image.found).toMatchObject({ level, shift: Number(bits) });
      const base = (0x1234_5000n >> bits) << bits;
      expect(physicalAddress(image.mmu, image.found, ADDRESS)).toBe(base | BigInt.asUintN(Number(bits), ADDRESS));
    }
  });

  it('bit 12 of a huge leaf is PAT, not an address bit', () => {
    const image = new Image({}, 1);
    image.set(1, image.get(1) | 0x1000n);
    expect(image.walk(USER_READ)).toBe(0);
    expect(physicalAddress(image.mmu, image.found, ADDRESS) & 0x1f_ffffn).toBe(ADDRESS & 0x1f_ffffn);
  });

  it('physical addresses have up to 52 bits', () => {
    const image = new Image();
    image.set(0, 0x000f_ffff_ffff_f007n);
    expect(image.walk(USER_READ)).toBe(0);
    expect(physicalAddress(image.mmu, image.found, ADDRESS)).toBe(0x000f_ffff_ffff_fabcn);
  });

  it.each(MODES)('%o: addresses of the upper half use the upper entries of the same root', ({ la57 }) => {
    const top = 0xffff_ffff_ffff_f123n;
    const image = new Image({ la57 }, 0, top);
    expect(image.walk(ACCESS_USER)).toBe(0);
    expect(image.at(image.mmu.levels - 1) % 1024).toBe(511 * 2);
    expect(physicalAddress(image.mmu, image.found, top)).toBe(0x1234_5123n);
  });

  it.each([
    [false, 47n],
    [true, 56n],
  ])('la57 %s: bits 63:%d of an address are all alike, else #GP', (la57, top) => {
    const image = new Image({ la57 });
    const end = 1n << top;
    expect(image.walk(ACCESS_READ, end - 1n)).toBe(FAULT_NOT_PRESENT);
    expect(image.walk(ACCESS_READ, 2n ** 64n - end)).toBe(FAULT_NOT_PRESENT);
    expect(image.walk(ACCESS_READ, end)).toBe(FAULT_NON_CANONICAL);
    expect(image.walk(ACCESS_READ, 2n ** 64n - end - 1n)).toBe(FAULT_NON_CANONICAL);
    for (let bit = top; bit < 64n; bit++) expect(image.walk(ACCESS_READ, 1n << bit)).toBe(FAULT_NON_CANONICAL);
  });

  it('CR3: the root is bits 51:12; PCID, PWT, PCD, LAM and the no-flush bit are none of it', () => {
    expect(x86Root(0xe000_0000_1234_5fffn)).toBe(0x1234_5000n);
    expect(x86Root(0x000f_ffff_ffff_f000n)).toBe(0x000f_ffff_ffff_f000n);
  });

  it('of a leaf the hardware sees G and the protection key; of a table neither', () => {
    const out = createDecoded();
    const value = 0x6800_0000_1234_5167n;
    const mmu = x86Mmu();
    mmu.hardware(bigintLow(value), bigintHigh(value), 0, out);
    expect(out.flags & (E_GLOBAL | (0xf << E_KEY_SHIFT))).toBe(E_GLOBAL | (13 << E_KEY_SHIFT));
    mmu.hardware(bigintLow(value), bigintHigh(value), 1, out);
    expect(out.flags & (E_GLOBAL | (0xf << E_KEY_SHIFT))).toBe(0);
  });
});

/** Sets `bit` in the entry of `level`, which alone makes it reserved, and with Present clear does not. */
function expectReserved(image: Image, level: number, bit: bigint): void {
  const before = image.get(level);
  image.set(level, before | bit);
  expect([level, bit, image.walk(USER_READ)]).toEqual([level, bit, FAULT_RESERVED]);
  expect(image.found.level).toBe(level);
  image.set(level, (before | bit) & ~1n);
  expect(image.walk(USER_READ)).toBe(FAULT_NOT_PRESENT);
  image.set(level, before);
  expect(image.walk(USER_READ)).toBe(0);
}

describe('SDM 4.5: reserved bits', () => {
  it.each(WIDTHS)('MAXPHYADDR %d: address bits from there to 51, at every level, in tables and leaves', (width) => {
    for (const leaf of [0, 1, 2]) {
      const image = new Image({ la57: true, maxphyaddr: width }, leaf);
      for (let level = 4; level >= leaf; level--) {
        for (let bit = width; bit < 52; bit++) expectReserved(image, level, 1n << BigInt(bit));
      }
    }
  });

  it.each(WIDTHS)('MAXPHYADDR %d: address bits below are not', (width) => {
    const image = new Image({ maxphyaddr: width });
    image.set(0, ((1n << BigInt(width)) - 0x1000n) | 0x7n);
    expect(image.walk(USER_READ)).toBe(0);
    expect(image.found.pfn).toBe(2 ** (width - 12) - 1);
  });

  it('bits 62:52 are ignored at every level', () => {
    for (const leaf of [0, 1, 2]) {
      const image = new Image({ la57: true, pke: false }, leaf);
      for (let level = 4; level >= leaf; level--) image.set(level, image.get(level) | 0x7ff0_0000_0000_0000n);
      expect(image.walk(USER_READ)).toBe(0);
    }
  });

  it('EFER.NXE = 0: bit 63, at every level; with NXE it is XD', () => {
    for (const leaf of [0, 1, 2]) {
      const image = new Image({ la57: true, nxe: false }, leaf);
      for (let level = 4; level >= leaf; level--) expectReserved(image, level, NX);
    }
    const image = new Image();
    image.set(2, image.get(2) | NX);
    expect(image.walk(USER_READ)).toBe(0);
  });

  it('PS at levels 3 and 4; at level 2 without 1 GiB pages', () => {
    for (const [mode, level] of [
      [{ la57: true }, 4],
      [{ la57: true }, 3],
      [{ la57: false }, 3],
      [{ gbpages: false }, 2],
    ] as const) {
      const image = new Image(mode);
      expectReserved(image, level, PSE);
      // Not because of the address bits a leaf of this level could not have.
      image.set(level, PSE | 0x7n);
      expect(image.walk(USER_READ)).toBe(FAULT_RESERVED);
    }
    expect(new Image({ gbpages: false }, 1).walk(USER_READ)).toBe(0);
    expect(new Image({ gbpages: true }, 2).walk(USER_READ)).toBe(0);
  });

  it('address bits below the size of a huge leaf: 20:13 of 2 MiB, 29:13 of 1 GiB', () => {
    const medium = new Image({}, 1);
    for (let bit = 13n; bit < 21n; bit++) expectReserved(medium, 1, 1n << bit);
    const large = new Image({}, 2);
    for (let bit = 13n; bit < 30n; bit++) expectReserved(large, 2, 1n << bit);
  });

  it('tableTest of no mode accepts what hardware calls reserved, or anything but a table', () => {
    const entry = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
    const mode = fc.record({
      la57: fc.boolean(),
      gbpages: fc.boolean(),
      nxe: fc.boolean(),
      maxphyaddr: fc.integer({ min: 32, max: 52 }),
    });
    const low = fc.constantFrom(0x7n, 0x67n, 0x1n, 0x87n, 0x6n);
    const top = fc.constantFrom(0n, 20n, 28n, 36n);
    fc.assert(
      fc.property(mode, entry, low, top, fc.integer({ min: 1, max: 4 }), (options, any, bits, zeros, level) => {
        const mmu = x86Mmu(options);
        const raw = ((BigInt.asUintN(64, any) >> zeros) & ~0xfffn) | bits;
        const lo = bigintLow(raw);
        const hi = bigintHigh(raw);
        const { maskLo, wantLo, maskHi, wantHi } = mmu.tableTest;
        if ((lo & maskLo) !== wantLo || (hi & maskHi) !== wantHi) return;
        const out = createDecoded();
        mmu.hardware(lo, hi, level, out);
        expect(out.kind).toBe(ENTRY_TABLE);
        expect(out.flags & E_RIGHTS).toBe(E_RIGHTS);
        expect(BigInt(out.pfn) << 12n).toBe(raw & 0x000f_ffff_ffff_f000n);
      }),
      { numRuns: 5000 },
    );
  });
});

describe('SDM 4.7: which fault comes first', () => {
  it('a reserved bit above comes before not present below', () => {
    const image = new Image({ maxphyaddr: 40 });
    image.set(2, image.get(2) | (1n << 40n));
    image.set(0, 0n);
    expect(image.walk(USER_READ)).toBe(FAULT_RESERVED);
  });

  it('not present above comes before a reserved bit below', () => {
    const image = new Image({ maxphyaddr: 40 });
    image.set(2, 0n);
    image.set(0, image.get(0) | (1n << 40n));
    expect(image.walk(USER_READ)).toBe(FAULT_NOT_PRESENT);
    expect(image.found.level).toBe(2);
  });

  it('both come before rights and keys, wherever those are missing', () => {
    const image = new Image({ maxphyaddr: 40, pkru: 0xffff_ffff });
    image.set(3, image.get(3) & ~0x6n);
    expect(image.walk(USER_WRITE)).toBe(FAULT_PROTECTION);
    image.set(0, image.get(0) | (1n << 40n));
    expect(image.walk(USER_WRITE)).toBe(FAULT_RESERVED);
    image.set(0, 0n);
    expect(image.walk(USER_WRITE)).toBe(FAULT_NOT_PRESENT);
  });

  it('a key that refuses is told even where R/W or SMAP refuses too', () => {
    const image = new Image({ pkru: 0x1 });
    image.set(0, image.get(0) & ~0x2n);
    expect(image.walk(USER_WRITE)).toBe(FAULT_KEY);
    expect(image.walk(ACCESS_WRITE)).toBe(FAULT_KEY);
    expect(image.walk(ACCESS_READ)).toBe(FAULT_KEY);
  });
});

describe('SDM 4.8: accessed and dirty flags', () => {
  it.each(MODES)('%o: a read sets A at all levels, a write D in the leaf too', ({ la57 }) => {
    const image = new Image({ la57 });
    const before = image.path();
    image.walk(USER_READ);
    expect(image.path()).toEqual(before.map((entry) => entry | 0x20n));
    expect(image.found.flags & E_DIRTY).toBe(0);
    image.walk(USER_WRITE);
    expect(image.path()).toEqual(before.map((entry, n) => entry | (n === before.length - 1 ? 0x60n : 0x20n)));
    expect(image.found.flags & E_DIRTY).toBe(E_DIRTY);
  });

  it.each([1, 2])('in a huge leaf of level %d too', (level) => {
    const image = new Image({}, level);
    const before = image.path(level);
    image.walk(USER_WRITE);
    expect(image.path(level)).toEqual(before.map((entry, n) => entry | (n === before.length - 1 ? 0x60n : 0x20n)));
  });

  it('CR0.WP = 0: a supervisor’s write through a read-only entry sets D', () => {
    const image = new Image({ wp: false });
    image.set(0, 0x1234_5001n);
    expect(image.walk(ACCESS_WRITE)).toBe(0);
    expect(image.get(0)).toBe(0x1234_5061n);
  });

  it('a fault of any kind leaves every entry as it was', () => {
    for (const [bits, clear, access] of [
      [0n, 0x1n, USER_READ],
      [0n, 0x2n, USER_WRITE],
      [1n << 40n, 0n, USER_READ],
      [1n << 59n, 0n, USER_READ],
      [NX, 0n, ACCESS_USER | ACCESS_EXEC],
    ] as const) {
      const image = new Image({ maxphyaddr: 40 });
      image.set(0, (image.get(0) | bits) & ~clear);
      const before = image.path();
      expect(image.walk(access)).not.toBe(0);
      expect(image.path()).toEqual(before);
    }
  });
});
