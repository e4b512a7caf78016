import {
  ACCESS_READ,
  arm64,
  arm64_16k_48,
  arm64_64k_48,
  arm64Mmu,
  createEntry,
  createDecoded,
  createTranslation,
  E_DIRTY,
  E_EXEC,
  E_GLOBAL,
  E_KERNEL_EXEC,
  E_PROTNONE,
  E_SPECIAL,
  E_USER,
  E_WRITE,
  E_YOUNG,
  ENTRY_LEAF,
  ENTRY_NONPRESENT,
  ENTRY_RESERVED,
  type Format,
  mapRange,
  physicalAddress,
  physMemory,
  protectRange,
  setDecoded,
  sv39,
  translate,
  writeEntry,
  leafTable,
  x86_64,
  x86_64La57,
} from '@mmkit/pgtable';
import {
  debuggerMmu,
  dumpMemory,
  listMappings,
  type ListedFormat,
  Mapping,
  MAPPING_LOOP,
  MAPPING_UNKNOWN,
} from '@mmkit/pgtable/dump';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openBytes, rawTables, recorded, said } from './dump-files.ts';
import { formats } from './formats.ts';
import { codeOf, createMachine } from './machine.ts';

const CR3 = BigInt(said().cr3);
/** Where the guest's root points to itself: QEMU goes on through it, a list does not. */
const SELF = 0xffff_ff00_0000_0000n;
const SELF_END = SELF + (1n << 39n);

function list(bytes: Uint8Array, root: bigint, format: ListedFormat = x86_64): Mapping[] {
  return [...listMappings(format, dumpMemory(openBytes(bytes), format.pageShift), root)];
}

function hex(value: bigint | number): string {
  return value.toString(16).padStart(16, '0');
}

describe.each(['core', 'lime'] as const)("a guest's %s against what QEMU says of it", (name) => {
  it('gva2gpa: every address of both halves', () => {
    const memory = dumpMemory(openBytes(recorded(name)), 12);
    const mmu = debuggerMmu(x86_64);
    const out = createTranslation();
    const ours = said().gva2gpa.map(([va]) => {
      const fault = translate(mmu, memory, CR3, BigInt(va), ACCESS_READ, out);
      return [va, fault === 0 ? `0x${physicalAddress(mmu, out, BigInt(va)).toString(16)}` : null];
    });
    expect(ours).toEqual(said().gva2gpa);
  });

  it('info tlb: every page, with the flags of its entry', () => {
    const ours = list(recorded(name), CR3)
      .filter(({ kind, flags }) => kind === ENTRY_LEAF && (flags & E_PROTNONE) === 0)
      .map(({ start, pfn, size, flags }) => {
        const marks = [flags & E_GLOBAL, size - 4096, flags & E_DIRTY, flags & E_YOUNG, flags & E_USER];
        return [hex(start), hex(pfn * 4096), marks.map((mark) => mark !== 0)];
      });
    const theirs = said()
      .tlb.filter(([va]) => BigInt(`0x${va}`) < SELF || BigInt(`0x${va}`) >= SELF_END)
      .map(([va, pa, flags]) => [va, pa, [1, 2, 3, 4, 7].map((at) => flags[at] !== '-')]);
    expect(ours).toEqual(theirs);
  });

  it('info mem: ranges with the rights of all levels together', () => {
    const ranges: [string, string, string][] = [];
    for (const { start, size, kind, flags } of list(recorded(name), CR3)) {
      if (kind !== ENTRY_LEAF || (flags & E_PROTNONE) !== 0) continue;
      const rights = `${(flags & E_USER) !== 0 ? 'u' : '-'}r${(flags & E_WRITE) !== 0 ? 'w' : '-'}`;
      const last = ranges.at(-1);
      if (last !== undefined && last[1] === hex(start) && last[2] === rights) last[1] = hex(start + BigInt(size));
      else ranges.push([hex(start), hex(start + BigInt(size)), rights]);
    }
    const theirs = said().mem.filter(([from]) => BigInt(`0x${from}`) < SELF || BigInt(`0x${from}`) >= SELF_END);
    expect(ranges).toEqual(theirs);
  });

  it('what the hardware does not see: PROT_NONE with its frame turned round, swap, migration, a marker', () => {
    const found = list(recorded(name), CR3).filter(({ start }) => start >= 0x40_8000n && start < 0x40_d000n);
    expect(found.map(({ kind, pfn, flags, type, offset }) => [kind, pfn, flags, type, offset])).toEqual([
      [ENTRY_LEAF, 0x180, E_PROTNONE | E_YOUNG, 0, 0],
      [ENTRY_LEAF, 0x181, E_PROTNONE | E_YOUNG | E_DIRTY, 0, 0],
      [ENTRY_NONPRESENT, 0, 0, 3, 0x12345],
      [ENTRY_NONPRESENT, 0, 0, 26, 0x100],
      [ENTRY_NONPRESENT, 0, 0, 31, 1],
    ]);
  });

  it('a table beyond the dump, reserved bits, and a root that points to itself are told, not followed', () => {
    const found = list(recorded(name), CR3).filter(({ level }) => level === 3);
    expect(found.map(({ start, kind, pfn, size }) => [start, kind, pfn, size])).toEqual([
      [0xffff_9600_0000_0000n, MAPPING_UNKNOWN, 0x7f000, 2 ** 39],
      [0xffff_9680_0000_0000n, ENTRY_RESERVED, 0, 2 ** 39],
      [SELF, MAPPING_LOOP, 0x101, 2 ** 39],
    ]);
  });
});

describe('listMappings', () => {
  it('software bits and the rights of both sides: special, PXN', () => {
    const memory = rawTables(0x8000, {
      0x1000: { 0: 0x2003n },
      0x2000: { 0: 0x3003n },
      0x3000: { 0: 0x4003n },
      0x4000: { 1: 0x0160_0000_0000_5fc3n, 2: 0x0020_0000_0000_6f43n },
    });
    expect(list(memory, 0x1000n, arm64).map(({ start, pfn, flags }) => [start, pfn, flags])).toEqual([
      [0x1000n, 5, E_USER | E_YOUNG | E_SPECIAL],
      [0x2000n, 6, E_USER | E_WRITE | E_EXEC | E_YOUNG | E_DIRTY],
    ]);
  });

  it("the upper half: x86-64's and riscv64's by the sign of the address, arm64's TTBR1 always", () => {
    const root = rawTables(0x3000, {
      0x1000: { 0: 0x2000_0000n, 511: 0x2000_0000n },
      0x2000: { 0: 0x8000_0000_0000_0000n },
    });
    const starts = (format: Format, entry: bigint): bigint[] => {
      const bytes = new BigUint64Array(root.slice().buffer);
      bytes[0x200] = entry;
      bytes[0x3ff] = entry;
      return list(new Uint8Array(bytes.buffer), 0x1000n, format).map(({ start }) => start);
    };
    const beyond = 0x7f_ffff_f000n;
    expect(starts(x86_64, beyond | 1n)).toEqual([0n, 0xffff_ff80_0000_0000n]);
    expect(starts(x86_64La57, beyond | 1n)).toEqual([0n, 0xffff_0000_0000_0000n]);
    expect(starts(sv39, 0x1fff_fff0_0001n)).toEqual([0n, 0xffff_ffff_c000_0000n]);
    expect(starts(arm64, beyond | 3n)).toEqual([0n, 0xff80_0000_0000n]);
    const upper = { ...arm64, ...arm64Mmu({ upper: true }) };
    expect(starts(upper, beyond | 3n)).toEqual([0xffff_0000_0000_0000n, 0xffff_ff80_0000_0000n]);
    const upper39 = { ...arm64, ...arm64Mmu({ upper: true, txsz: 25 }) };
    expect(starts(upper39, beyond | 3n)).toEqual([0xffff_ff80_0000_0000n, 0xffff_ffff_c000_0000n]);
  });

  it('kernel pages of arm64: PXN clear is the right to execute', () => {
    const upper = { ...arm64, ...arm64Mmu({ upper: true, txsz: 34 }) };
    const memory = rawTables(0x4000, { 0x1000: { 0: 0x4000_0401n, 1: 0x0060_0000_8000_0401n } });
    const found = list(memory, 0x1000n, upper);
    expect(found.map(({ start, flags }) => [start, flags & (E_KERNEL_EXEC | E_EXEC)])).toEqual([
      [0xffff_ffff_c000_0000n, E_KERNEL_EXEC | E_EXEC],
      [0xffff_ffff_c020_0000n, 0],
    ]);
  });

  it('a small root that does not begin a page (arm64 16K, 48 bits: two entries)', () => {
    const memory = rawTables(0x8000, { 0x4000: { 2: 0x10_0000_0003n, 3: 0x20_0000_0003n, 4: 0x30_0000_0003n } });
    const found = list(memory, 0x4010n, arm64_16k_48);
    expect(found.map(({ start, kind, pfn }) => [start, kind, pfn])).toEqual([
      [0n, MAPPING_UNKNOWN, 0x10_0000_0000 / 16384],
      [2n ** 47n, MAPPING_UNKNOWN, 0x20_0000_0000 / 16384],
    ]);
  });

  it('a small root and a table may lie in one page', () => {
    const memory = rawTables(0x8000, { 0x4000: { 2: 0x4003n, 3: 0x20_0000_0003n } });
    const found = list(memory, 0x4010n, arm64_16k_48);
    expect(found.map(({ level, kind, pfn }) => [level, kind, pfn])).toEqual([
      [2, MAPPING_LOOP, 1],
      [2, MAPPING_UNKNOWN, 0x20_0000_0000 / 16384],
      [3, MAPPING_UNKNOWN, 0x20_0000_0000 / 16384],
    ]);
  });

  it('PROT_NONE has no more rights than the tables above', () => {
    const entry = 0x000f_ffff_ffff_b102n;
    const memory = rawTables(0x5000, {
      0x1000: { 0: 0x2007n },
      0x2000: { 0: 0x3007n },
      0x3000: { 0: 0x4007n, 1: 0x4005n },
      0x4000: { 0: entry },
    });
    const found = list(memory, 0x1000n);
    expect(found.map(({ pfn, flags }) => [pfn, flags])).toEqual([
      [4, E_PROTNONE | E_WRITE],
      [4, E_PROTNONE],
    ]);
  });

  it('a list goes on where it was when more tables were read than memory keeps', () => {
    // 64 KiB pages: 256 are kept.
    const tables = 300;
    const words = new BigUint64Array((tables + 4) * 8192);
    words[8192] = 0x2_0003n;
    for (let i = 0; i < tables; i++) {
      words[2 * 8192 + i] = BigInt(i + 3) * 0x1_0000n + 3n;
      words[(i + 3) * 8192] = BigInt(i) * 0x1_0000n + 0x743n;
    }
    const found = list(new Uint8Array(words.buffer), 0x1_0000n, arm64_64k_48);
    expect(found.map(({ pfn }) => pfn)).toEqual(Array.from({ length: tables }, (_, i) => i));
  });

  it('a table that points to itself or to one above is a loop; one that two entries share is listed twice', () => {
    const memory = rawTables(0x8000, {
      0x1000: { 0: 0x2007n, 1: 0x2005n },
      0x2000: { 0: 0x3007n, 1: 0x2007n, 2: 0x1007n },
      0x3000: { 7: 0x3007n },
    });
    const found = list(memory, 0x1000n);
    const half = [
      [3, 1, MAPPING_LOOP],
      [2, 2, MAPPING_LOOP],
      [1, 2, MAPPING_LOOP],
    ];
    expect(found.map(({ pfn, level, kind }) => [pfn, level, kind])).toEqual([...half, ...half]);
    expect(found.map(({ flags }) => flags & E_WRITE)).toEqual([1, 1, 1, 0, 0, 0]);
    expect(found.map(({ start }) => start).slice(0, 3)).toEqual([7n << 21n, 1n << 30n, 2n << 30n]);
  });

  it('a list can be left, however many mappings there are', () => {
    const all = Object.fromEntries(Array.from({ length: 512 }, (_, i) => [i, 0]));
    const fill = (entry: bigint): Record<number, bigint> =>
      Object.fromEntries(Object.keys(all).map((i) => [Number(i), entry]));
    const memory = rawTables(0x6000, {
      0x1000: fill(0x2007n),
      0x2000: fill(0x3007n),
      0x3000: fill(0x4007n),
      0x4000: fill(0x5007n),
    });
    let count = 0;
    for (const { start } of listMappings(x86_64, dumpMemory(openBytes(memory), 12), 0x1000n)) {
      if (++count === 1000) {
        expect(start).toBe(999n << 12n);
        break;
      }
    }
    expect(count).toBe(1000);
  });

  it('no table at the root, and roots that cannot be', () => {
    const first = (root: unknown): unknown =>
      listMappings(x86_64, dumpMemory(openBytes(recorded('core')), 12), root as bigint).next();
    expect(codeOf(() => first(0x20_0000n))).toBe('ROOT_OUTSIDE_MEMORY');
    expect(codeOf(() => first(1n << 60n))).toBe('ROOT_OUTSIDE_MEMORY');
    for (const root of [-4096n, 1n << 64n, 0x101008n, 0x101000]) expect(() => first(root)).toThrow(RangeError);
  });

  it('an empty root maps nothing', () => {
    expect(list(new Uint8Array(0x2000), 0x1000n)).toEqual([]);
  });
});

describe.each(formats.map((format) => [format.name, format] as const))('%s', (_name, format) => {
  const pageSize = 2 ** format.pageShift;

  it('a list of what the editor mapped is a naive map of pages', () => {
    const span = format.spans[1]!;
    const page = fc.integer({ min: 0, max: span / pageSize - 1 });
    const op = fc.record({ table: fc.integer({ min: 0, max: 2 }), from: page, pages: fc.integer({ min: 1, max: 9 }) });
    fc.assert(
      fc.property(fc.array(op, { maxLength: 6 }), fc.constantFrom(E_USER, E_USER | E_WRITE), (ops, rights) => {
        const { tables, root, phys } = createMachine(format);
        const naive = new Map<bigint, number>();
        for (const [i, { table, from, pages }] of ops.entries()) {
          const start = table * span + from * pageSize;
          const end = start + pages * pageSize;
          const taken = Array.from({ length: pages }, (_, n) => BigInt(start + n * pageSize)).some((at) =>
            naive.has(at),
          );
          if (taken) continue;
          const pfn = 0x1000 + i * 16;
          expect(mapRange(tables, root, start, end, pfn, rights)).toBe(0);
          for (let n = 0; n < pages; n++) naive.set(BigInt(start + n * pageSize), pfn + n);
        }
        const found = [...listMappings(format, physMemory(phys), BigInt(root * pageSize))];
        const sorted = [...naive].sort(([a], [b]) => (a < b ? -1 : 1));
        expect(found.map(({ start, pfn }) => [start, pfn])).toEqual(sorted);
        for (const { kind, level, size, flags } of found) {
          expect([kind, level, size, flags & (E_USER | E_WRITE)]).toEqual([ENTRY_LEAF, 0, pageSize, rights]);
        }
      }),
      { numRuns: 25 },
    );
  });

  it('PROT_NONE keeps its frame, a swap entry its type and offset', () => {
    const { tables, root, phys } = createMachine(format);
    expect(mapRange(tables, root, 0, 2 * pageSize, 0x1234, E_USER | E_WRITE)).toBe(0);
    expect(protectRange(tables, root, 0, pageSize, E_PROTNONE, 0)).toBe(1);
    const entry = createEntry();
    const swap = createDecoded();
    setDecoded(swap, ENTRY_NONPRESENT, 0, 0);
    swap.type = 3;
    swap.offset = 0x12345;
    format.encode(swap, 0, entry);
    writeEntry(tables, leafTable(tables, root, 0), 1, entry);
    const [none, swapped] = [...listMappings(format, physMemory(phys), BigInt(root * pageSize))];
    expect(none).toMatchObject({ kind: ENTRY_LEAF, pfn: 0x1234, start: 0n });
    expect(none!.flags & E_PROTNONE).toBe(E_PROTNONE);
    expect(swapped).toMatchObject({ kind: ENTRY_NONPRESENT, type: 3, offset: 0x12345, start: BigInt(pageSize) });
  });
});
