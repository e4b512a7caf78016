import { EIO } from '@mmkit/base';
import {
  ACCESS_READ,
  ACCESS_USER,
  ACCESS_WRITE,
  createTranslation,
  FAULT_BUS,
  translate,
  x86_64,
} from '@mmkit/pgtable';
import {
  bufferSource,
  debuggerMmu,
  dumpMemory,
  EM_X86_64,
  holdsPhysical,
  openDump,
  readPhysical,
} from '@mmkit/pgtable/dump';
import { describe, expect, it } from 'vitest';
import { elfCore, filled, limeDump, openBytes, rawTables, recorded } from './dump-files.ts';

function read(bytes: Uint8Array, address: number, length: number): number[] {
  const into = filled(length, 0xee);
  const count = readPhysical(openBytes(bytes), address, into);
  expect([...into.subarray(count)]).toEqual(Array(length - count).fill(0xee));
  return [...into.subarray(0, count)];
}

describe('what a dump holds, and where', () => {
  it('ELF, as QEMU writes it: the PT_LOAD segment of the second MiB, not the note', () => {
    const { format, machine, ranges } = openBytes(recorded('core'));
    expect([format, machine]).toEqual(['elf', EM_X86_64]);
    expect(ranges).toMatchObject([{ start: 0x10_0000, size: 0x10_0000 }]);
  });

  it('LiME: ranges with an inclusive end', () => {
    const { format, machine, ranges } = openBytes(recorded('lime'));
    expect([format, machine]).toEqual(['lime', null]);
    expect(ranges).toEqual([
      { start: 0x10_0000, size: 0xc000, position: 32 },
      { start: 0x18_0000, size: 0x8_0000, position: 0xc000 + 64 },
    ]);
  });

  it('core and LiME dump of the same memory hold the same bytes', () => {
    const [core, lime] = [recorded('core'), recorded('lime')].map((bytes) => read(bytes, 0x10_0000, 0xc000));
    expect(core).toHaveLength(0xc000);
    expect(core).toEqual(lime);
  });

  it('raw: all of it, from the base on', () => {
    const dump = openDump(bufferSource(Uint8Array.of(1, 2, 3)), { base: 0x4000_0000 });
    expect(dump).toMatchObject({ format: 'raw', ranges: [{ start: 0x4000_0000, size: 3, position: 0 }] });
    const into = new Uint8Array(2);
    expect(readPhysical(dump, 0x4000_0001, into)).toBe(2);
    expect([...into]).toEqual([2, 3]);
  });

  it('an ArrayBuffer does as well', () => {
    expect(openDump(bufferSource(new ArrayBuffer(8))).ranges[0]!.size).toBe(8);
  });

  it('a given format is not guessed: memory may begin like an ELF file', () => {
    const source = bufferSource(recorded('core'));
    expect(openDump(source, { format: 'raw' }).ranges).toEqual([{ start: 0, size: source.size, position: 0 }]);
  });

  it('reading goes on from range to range, and stops where memory is unknown', () => {
    const bytes = limeDump([
      [0x2000n, filled(2, 2)],
      [0x1000n, filled(0x1000, 1)],
      [0x2004n, filled(2, 4)],
    ]);
    expect(read(bytes, 0x1ffe, 8)).toEqual([1, 1, 2, 2]);
    expect(read(bytes, 0x2002, 4)).toEqual([]);
    expect(read(bytes, 0xfff, 4)).toEqual([]);
  });

  it('where two segments hold an address the first one counts', () => {
    const core = elfCore([
      { paddr: 0x1000n, bytes: filled(4, 1) },
      { paddr: 0xffen, bytes: filled(8, 2) },
    ]);
    expect(read(core, 0xffe, 9)).toEqual([2, 2, 1, 1, 1, 1, 2, 2]);
  });

  it('ELF: what a segment does not have in the file is unknown, not zero; segments without an address play no part', () => {
    const core = elfCore([
      { paddr: 0xffff_ffff_ffff_ffffn, bytes: filled(16, 9) },
      { paddr: 0x1000n, bytes: filled(4, 1) },
      { paddr: 0x9000n, bytes: filled(0, 0) },
      { paddr: 0x1004n, bytes: filled(4, 7), type: 4 },
    ]);
    expect(openBytes(core).ranges).toMatchObject([{ start: 0x1000, size: 4 }]);
    expect(read(core, 0x1000, 8)).toEqual([1, 1, 1, 1]);
  });

  it('ELF: more segments than e_phnum can say (PN_XNUM)', () => {
    const core = elfCore([{ paddr: 0x1000n, bytes: filled(4, 1) }], true);
    expect(read(core, 0x1000, 4)).toEqual([1, 1, 1, 1]);
  });

  it('holdsPhysical: any byte of a range', () => {
    const dump = openBytes(limeDump([[0x1000n, filled(0x10, 1)]]));
    const asked: [number, number][] = [
      [0xfff, 1],
      [0xfff, 2],
      [0x100f, 1],
      [0x1010, 100],
      [0, 0x10_0000],
    ];
    expect(asked.map(([address, bytes]) => holdsPhysical(dump, address, bytes))).toEqual([
      false,
      true,
      true,
      false,
      true,
    ]);
  });
});

describe('what is no dump is refused in one line that says where', () => {
  const core = (): Uint8Array => elfCore([{ paddr: 0x1000n, bytes: filled(100, 1) }]);
  const lime = (): Uint8Array =>
    limeDump([
      [0n, filled(100, 1)],
      [0x1000n, filled(100, 1)],
    ]);
  function patched(bytes: Uint8Array, at: number, ...values: number[]): Uint8Array {
    bytes.set(values, at);
    return bytes;
  }
  const twoAtZero = elfCore([
    { paddr: 0n, bytes: filled(4, 1) },
    { paddr: 0n, bytes: filled(4, 1) },
  ]);

  it.each<[string, Uint8Array, string]>([
    ['empty', new Uint8Array(0), 'truncated: the dump is empty'],
    ['gzip', Uint8Array.of(0x1f, 0x8b, 8, 0), 'not a memory dump but gzip: unpack it first'],
    ['xz', Uint8Array.of(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0), 'not a memory dump but xz: unpack it first'],
    ['kdump', new TextEncoder().encode('KDUMP   '), "not a memory dump but kdump's compressed format: make an ELF"],
    ['Windows', new TextEncoder().encode('PAGEDU64'), 'not a memory dump but a Windows crash dump'],
    ['ELF header cut', core().subarray(0, 63), 'truncated: the ELF header ends at byte 64, the dump at 63'],
    ['ELF32', patched(core(), 4, 1), 'an ELF file that is not 64-bit and little-endian'],
    ['big-endian', patched(core(), 5, 2), 'an ELF file that is not 64-bit and little-endian'],
    ['a program', patched(core(), 16, 2), 'an ELF file, but no core: type 2, not 4'],
    ['odd program headers', patched(core(), 54, 32), 'ELF program headers of 32 bytes, not 56'],
    [
      'ELF table cut',
      core().subarray(0, 100),
      'truncated: the table of 1 ELF segments ends at byte 120, the dump at 100',
    ],
    ['ELF table far away', patched(core(), 39, 1), 'e_phoff: 0x100000000000040 is no offset or address'],
    ['ELF memory cut', core().subarray(0, 219), 'truncated: ELF segment 0 ends at byte 220, the dump at 219'],
    [
      'ELF segment beyond all addresses',
      elfCore([{ paddr: 0x1f_ffff_ffff_fff0n, bytes: filled(16, 1) }]),
      'ELF segment 0 goes beyond address 2^53',
    ],
    ['ELF without memory', elfCore([{ paddr: 0n, bytes: filled(4, 1), type: 4 }]), 'an ELF core that holds no memory'],
    ['a process', twoAtZero, 'an ELF core without physical addresses: of a process, not of a machine'],
    ['too many segments', patched(elfCore([], true), 64 + 44, 9), 'truncated: 9 ELF segments'],
    [
      'LiME header cut',
      lime().subarray(0, 31),
      'truncated: the header of LiME range 0 ends at byte 32, the dump at 31',
    ],
    ['LiME range cut', lime().subarray(0, 131), 'truncated: LiME range 0 ends at byte 132, the dump at 131'],
    ['second LiME header cut', lime().subarray(0, 133), 'the header of LiME range 1 ends at byte 164, the dump at 133'],
    [
      'second LiME range damaged',
      patched(lime(), 132, 0),
      'LiME range 1: magic 0x4c694d00 at byte 132, not 0x4c694d45',
    ],
    ['LiME of another version', patched(lime(), 4, 2), 'LiME range 0: version 2, not 1'],
    ['LiME range that ends before it begins', patched(lime(), 8, 0x64), 'LiME range 0: from 0x64 to 0x63'],
  ])('%s', (_name, bytes, message) => {
    expect(() => openBytes(bytes)).toThrow(expect.objectContaining({ code: 'BAD_DUMP' }));
    expect(() => openBytes(bytes)).toThrow(message);
  });

  it('another format than the one given', () => {
    const options = { format: 'elf' } as const;
    expect(() => openDump(bufferSource(lime()), options)).toThrow('no ELF file');
    expect(() => openDump(bufferSource(core()), { format: 'lime' })).toThrow(
      'LiME range 0: magic 0x464c457f at byte 0',
    );
  });

  it('a base that is none, or for a format with addresses of its own', () => {
    const source = bufferSource(core());
    expect(() => openDump(source, { base: -1 })).toThrow(RangeError);
    expect(() => openDump(source, { base: 4096 })).toThrow('BAD_DUMP: only raw memory has a base, this is elf');
  });

  it('a source that fails: DUMP_IO, whenever it happens', () => {
    let works = true;
    const good = bufferSource(core());
    const source = {
      size: good.size,
      read: (at: number, into: Uint8Array): number => (works ? good.read(at, into) : -EIO),
    };
    const dump = openDump(source);
    works = false;
    const failed = expect.objectContaining({ code: 'DUMP_IO' }) as Error;
    expect(() => openDump(source)).toThrow(failed);
    expect(() => readPhysical(dump, 0x1000, new Uint8Array(4))).toThrow(failed);
  });
});

describe('a dump as memory for walks', () => {
  /** 0x1000 maps page 0x5000 at 0. */
  const tables = (): Uint8Array =>
    rawTables(0x8000, {
      0x1000: { 0: 0x2007n, 1: 0x10_0000_3007n },
      0x2000: { 0: 0x3007n },
      0x3000: { 0: 0x4007n },
      0x4000: { 0: 0x5007n },
    });
  const write = ACCESS_WRITE | ACCESS_USER;

  it('a walk marks the kept copy as the hardware would, never the dump', () => {
    const bytes = tables();
    const memory = dumpMemory(openBytes(bytes), 12);
    const out = createTranslation();
    expect(translate(x86_64, memory, 0x1000n, 0x123n, write, out)).toBe(0);
    expect(out.pfn).toBe(5);
    expect(memory.words(4)![memory.wordIndex(4)]).toBe(0x5067);
    expect(bytes).toEqual(tables());
  });

  it("a debugger's walk marks nothing and is refused nothing", () => {
    const memory = dumpMemory(openBytes(tables()), 12);
    const closed = { ...x86_64, refused: 4, permits: (): number => 2 };
    const out = createTranslation();
    expect(translate(closed, memory, 0x1000n, 0x123n, write, out)).not.toBe(0);
    expect(translate(debuggerMmu(closed), memory, 0x1000n, 0x123n, write, out)).toBe(0);
    for (const pfn of [1, 2, 3, 4]) expect(memory.words(pfn)![memory.wordIndex(pfn)]).toBe((pfn + 1) * 0x1000 + 7);
    expect(x86_64.accessedLo).toBe(0x20);
  });

  it('a table beyond the dump is a bus error, its address never cut down', () => {
    const memory = dumpMemory(openBytes(tables()), 12);
    const out = createTranslation();
    expect(translate(x86_64, memory, 0x1000n, 1n << 39n, ACCESS_READ, out)).toBe(FAULT_BUS);
    expect(translate(x86_64, memory, 0x10_0000_1000n, 0n, ACCESS_READ, out)).toBe(FAULT_BUS);
    expect(out.level).toBe(3);
  });

  it('a page that is there in part is unknown; so is one beyond all addresses', () => {
    const memory = dumpMemory(openBytes(tables().subarray(0, 0x1800)), 12);
    expect(memory.words(0)).not.toBeNull();
    expect(memory.words(1)).toBeNull();
    expect(memory.words(2 ** 50)).toBeNull();
    expect(memory.words(0)![memory.wordIndex(0)]).toBe(0);
  });

  it('a page may lie in two ranges', () => {
    const memory = dumpMemory(
      openBytes(
        limeDump([
          [0x800n, filled(0x800, 2)],
          [0n, filled(0x800, 1)],
        ]),
      ),
      12,
    );
    const words = memory.words(0)!;
    const at = memory.wordIndex(0);
    expect([words[at], words[at + 1023]]).toEqual([0x0101_0101, 0x0202_0202]);
  });

  it.each([12, 14, 16])('only so many pages are kept, of 2^%i bytes: an older one is read again', (shift) => {
    const pages = 2 ** (25 - shift);
    const memory = new Int32Array(2 ** 23);
    for (let pfn = 0; pfn < pages; pfn++) memory[(pfn * 2 ** shift) / 4] = pfn;
    let reads = 0;
    const bytes = bufferSource(new Uint8Array(memory.buffer));
    const source = { size: bytes.size, read: (at: number, into: Uint8Array) => (reads++, bytes.read(at, into)) };
    const kept = dumpMemory(openDump(source), shift);
    reads = 0;
    const all = (): number[] => Array.from({ length: pages }, (_, pfn) => kept.words(pfn)![kept.wordIndex(pfn)]!);
    expect(all()).toEqual(Array.from({ length: pages }, (_, pfn) => pfn));
    expect(reads).toBe(pages);
    // The second half is kept.
    for (let pfn = pages / 2; pfn < pages; pfn++) expect(kept.words(pfn)![kept.wordIndex(pfn)]).toBe(pfn);
    expect(reads).toBe(pages);
    expect(all()).toEqual(Array.from({ length: pages }, (_, pfn) => pfn));
  });

  it('pages of other sizes than any format has', () => {
    expect(() => dumpMemory(openBytes(tables()), 11)).toThrow(RangeError);
    expect(() => dumpMemory(openBytes(tables()), 17)).toThrow(RangeError);
  });
});
