import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BadInput, EXIT_OK } from '../src/exit.ts';
import { walkCommand, type WalkOptions } from '../src/walk/command.ts';

const MAIN = resolve(import.meta.dirname, '../src/main.ts');
const NODE = resolve(import.meta.dirname, '../../../node_modules/.bin/node');
/** A guest of QEMU's, recorded; see record.ts there. */
const DATA = resolve(import.meta.dirname, '../../../packages/pgtable/test/dump-data');
const GUEST = { arch: 'x86_64', root: '0x101000' };

let folder = '';
let core = '';
let lime = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pinlab-walk-test-'));
  [core, lime] = ['core', 'lime'].map((name) =>
    file(name, gunzipSync(readFileSync(join(DATA, `x86_64.${name}.gz`)))),
  ) as [string, string];
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, bytes: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

/** Raw memory of `size` bytes with these words of 8 bytes. */
function raw(name: string, size: number, words: Readonly<Record<number, bigint>>): string {
  const memory = new BigUint64Array(size / 8);
  for (const [address, word] of Object.entries(words)) memory[Number(address) / 8] = word;
  return file(name, new Uint8Array(memory.buffer));
}

async function walk(dump: string, options: WalkOptions): Promise<string[]> {
  let text = '';
  expect(await walkCommand(dump, options, (part) => (text += `${part}\n`))).toBe(EXIT_OK);
  return text.trimEnd().split('\n');
}

describe('pinlab walk --va: level by level', () => {
  it('a user page, from both dumps of the same memory', async () => {
    const lines = [
      '0x401008 under the root at 0x101000, x86-64 4-level',
      '  PGD at 0x101000     0x0000000000102027  table 0x102000  P RW US A',
      '  PUD at 0x102000     0x0000000000103027  table 0x103000  P RW US A',
      '  PMD at 0x103010     0x0000000000104027  table 0x104000  P RW US A',
      '  PTE at 0x104008     0x8000000000181067  4K page 0x181000  P RW US A D XD',
      '0x401008 is at 0x181008: page of 4K, rw-u, young dirty',
    ];
    const [first, ...rest] = await walk(core, { ...GUEST, va: '0x401008' });
    expect(first).toBe(`${core}: ELF core, 1048576 bytes in 1 range`);
    expect(rest).toEqual(lines);
    const [other, ...same] = await walk(lime, { ...GUEST, va: '4198408' });
    expect(other).toBe(`${lime}: LiME, 573440 bytes in 2 ranges`);
    expect(same).toEqual(lines);
  });

  it.each([
    ['0x8000401008', '0x8000401008: not present'],
    ['0x8000001008', '0x8000001008 is at 0x181008: page of 4K, r--u, young dirty'],
    ['0xffffffff80101000', '0xffffffff80101000 is at 0x101000: page of 2M, rwxk, young global'],
    ['0xffff800000002080', '0xffff800000002080 is at 0xfee00080: page of 4K, rw-k, not in the dump'],
    ['0x408010', '0x408010: not present; Linux keeps the page at 0x180010: young PROT_NONE'],
    ['0x40a000', '0x40a000: not present; Linux keeps swap 3, offset 0x12345'],
    ['0x40b000', '0x40b000: not present; Linux keeps migration, frame 0x100'],
    ['0x40c000', '0x40c000: not present; Linux keeps marker 0x1'],
    ['0xffff960000000000', '0xffff960000000000: the next table, at 0x7f000000, is not in the dump'],
    ['0xffff968000000000', '0xffff968000000000: the entry sets bits that are reserved'],
    ['0xffffff7fbfdfe000', '0xffffff7fbfdfe000 is at 0x101000: page of 4K, rwxk'],
  ])('%s', async (va, last) => {
    expect((await walk(lime, { ...GUEST, va })).at(-1)).toBe(last);
  });

  it('CR3 with its PCID, and TTBR0_EL1 with its ASID, are the root too', async () => {
    const [, line] = await walk(core, { ...GUEST, root: '0x8000000000101fff', va: '0' });
    expect(line).toBe('0x0 under the root at 0x101000, x86-64 4-level');
    const arm = raw('arm', 0x5000, { 0x1000: 0x2003n, 0x2000: 0x3003n, 0x3000: 0x4003n, 0x4008: 0x68000000005f43n });
    const lines = await walk(arm, { arch: 'arm64', root: '0x7000000001001', va: '0x1234' });
    expect(lines).toEqual([
      `${arm}: raw memory, 20480 bytes in 1 range`,
      '0x1234 under the root at 0x1000, arm64 4K 48-bit',
      '  PGD at 0x1000       0x0000000000002003  table 0x2000  VALID TABLE',
      '  PUD at 0x2000       0x0000000000003003  table 0x3000  VALID TABLE',
      '  PMD at 0x3000       0x0000000000004003  table 0x4000  VALID TABLE',
      '  PTE at 0x4008       0x0068000000005f43  4K page 0x5000  VALID PAGE AP[1]:EL0 SH=3 AF nG DBM PXN UXN',
      '0x1234 is at 0x5234: page of 4K, rw-u, young dirty, not in the dump',
    ]);
  });

  it.each([
    ['x86_64-la57', 5],
    ['arm64-39', 3],
    ['arm64-52', 5],
    ['arm64-16k', 4],
    ['arm64-16k-36', 2],
    ['arm64-64k', 3],
    ['arm64-64k-42', 2],
    ['sv39', 3],
    ['sv48', 4],
    ['sv57', 5],
  ])('%s has %i levels', async (arch, levels) => {
    // riscv64: V alone; the others: a table.
    const entry = arch.startsWith('sv') ? 0x1n : 0x3n;
    const memory = raw('levels', 0x1_0000, { 0: entry });
    const lines = await walk(memory, { arch, root: '0', va: '0' });
    const names = lines.slice(2, -1).map((line) => line.slice(2, 5));
    expect(names).toEqual(['PGD', ...['P4D', 'PUD', 'PMD', 'PTE'].slice(5 - levels)]);
  });

  it('arm64: an address whose bit 55 is set goes through TTBR1', async () => {
    const memory = raw('upper', 0x2000, { 0x1800: 0x2003n });
    const lines = await walk(memory, { arch: 'arm64', root: '0x1000', va: '0xffff800000000000' });
    expect(lines.slice(1)).toEqual([
      '0xffff800000000000 under the root at 0x1000, arm64 4K 48-bit TTBR1',
      '  PGD at 0x1800       0x0000000000002003  table 0x2000  VALID TABLE',
      '0xffff800000000000: the next table, at 0x2000, is not in the dump',
    ]);
  });

  it('raw memory that begins elsewhere', async () => {
    const memory = raw('based', 0x1000, { 0: 0x4000_0000n | 0x3n });
    const options = { arch: 'arm64', root: '0x40000000', base: '0x40000000', va: '0' };
    expect((await walk(memory, options)).at(-2)).toMatch('PTE at 0x40000000');
  });
});

describe('pinlab walk --list', () => {
  it('like /proc/PID/maps, with page sizes', async () => {
    const lines = await walk(core, { ...GUEST, list: true });
    expect(lines).toEqual([
      'addresses                          rights  page   pages  first frame',
      '0000000000000000-0000000000200000  rwxk     2M       1  0x0',
      '0000000000400000-0000000000401000  r--u     4K       1  0x180000',
      '0000000000401000-0000000000402000  rw-u     4K       1  0x181000',
      '0000000000402000-0000000000403000  rwxu     4K       1  0x182000',
      '0000000000403000-0000000000404000  rw-k     4K       1  0x183000, global',
      '0000000000405000-0000000000406000  r--u     4K       1  0x180000, special',
      '0000000000406000-0000000000407000  rw-u     4K       1  0x123456789000, not in the dump',
      '0000000000408000-000000000040a000  ---u     4K       2  0x180000, PROT_NONE',
      '000000000040a000-000000000040b000  ----     4K       1  swap 3, offset 0x12345',
      '000000000040b000-000000000040c000  ----     4K       1  migration, frame 0x100',
      '000000000040c000-000000000040d000  ----     4K       1  marker 0x1',
      '0000000000600000-0000000000800000  rw-u     2M       1  0x200000, not in the dump',
      '0000000040000000-0000000080000000  rw-k     1G       1  0x40000000, global, not in the dump',
      '0000008000000000-0000008000002000  r--u     4K       2  0x180000',
      '0000008000002000-0000008000003000  r-xu     4K       1  0x182000',
      '0000008000003000-0000008000004000  r--k     4K       1  0x183000, global',
      '0000008000005000-0000008000006000  r--u     4K       1  0x180000, special',
      '0000008000006000-0000008000007000  r--u     4K       1  0x123456789000, not in the dump',
      '0000008000008000-000000800000a000  ---u     4K       2  0x180000, PROT_NONE',
      '000000800000a000-000000800000b000  ----     4K       1  swap 3, offset 0x12345',
      '000000800000b000-000000800000c000  ----     4K       1  migration, frame 0x100',
      '000000800000c000-000000800000d000  ----     4K       1  marker 0x1',
      'ffff800000000000-ffff800000002000  rw-k     4K       2  0x180000',
      'ffff800000002000-ffff800000003000  rw-k     4K       1  0xfee00000, not in the dump',
      'ffff800000200000-ffff800000400000  rw-k     2M       1  0x0',
      'ffff960000000000-ffff968000000000  ----   512G       1  0x7f000000, a table that is not in the dump',
      'ffff968000000000-ffff970000000000  ----   512G       1  reserved bits are set',
      'ffffff0000000000-ffffff8000000000  ----   512G       1  0x101000, a table that is above this entry',
      'ffffffff80000000-ffffffff80200000  rwxk     2M       1  0x0, global',
    ]);
  });

  it('pages whose frames do not follow each other are one line with …; swap entries alike', async () => {
    const page = 0x8000_0000_0000_0007n;
    const swap = 0x07ff_ffff_ffff_fe00n;
    const memory = raw('runs', 0x5000, {
      0x1000: 0x2007n,
      0x2000: 0x3007n,
      0x3000: 0x4007n,
      0x3008: page | 0x80n,
      0x4000: page | 0x1000n,
      0x4008: page | 0x2000n,
      0x4010: page | 0x1060n,
      0x4020: swap,
      0x4028: swap - 0x200n,
      0x4030: swap - 0x800n,
      0x4ff0: page | 0x2000n,
      0x4ff8: page | 0x3000n,
    });
    expect((await walk(memory, { arch: 'x86_64', root: '0x1000', list: true })).slice(1)).toEqual([
      '0000000000000000-0000000000003000  rw-u     4K       3  0x1000 …',
      '0000000000004000-0000000000007000  ----     4K       3  swap 0, offset 0x0 …',
      '00000000001fe000-0000000000200000  rw-u     4K       2  0x2000',
      '0000000000200000-0000000000400000  rw-u     2M       1  0x0',
    ]);
  });

  it('arm64 --upper: the addresses of TTBR1, and who may execute', async () => {
    const memory = raw('kernel', 0x2000, { 0x1000: 0x40000401n, 0x1ff8: 0x60000040000401n });
    const options = { arch: 'arm64-39', root: '0x1000', list: true, upper: true };
    expect((await walk(memory, options)).slice(1)).toEqual([
      'ffffff8000000000-ffffff8040000000  rwxk     1G       1  0x40000000, global, not in the dump',
      'ffffffffc0000000-10000000000000000  rw-k     1G       1  0x40000000, global, not in the dump',
    ]);
  });

  it('riscv64: reading is a right of its own', async () => {
    const memory = raw('riscv', 0x2000, { 0x1000: 0x10000059n, 0x1008: 0x10000053n });
    expect((await walk(memory, { arch: 'sv39', root: '0x1000', list: true })).slice(1)).toEqual([
      '0000000000000000-0000000040000000  --xu     1G       1  0x40000000, not in the dump',
      '0000000040000000-0000000080000000  r--u     1G       1  0x40000000, not in the dump',
    ]);
  });

  it('a list of many parts is printed whole', async () => {
    const words: Record<number, bigint> = { 0x1000: 0x2007n, 0x2000: 0x3007n };
    for (let i = 0; i < 8; i++) words[0x3000 + i * 8] = 0x4007n;
    for (let i = 0; i < 512; i += 2) words[0x4000 + i * 8] = 0x1007n;
    const lines = await walk(raw('long', 0x5000, words), { arch: 'x86_64', root: '0x1000', list: true });
    expect(lines).toHaveLength(1 + 8 * 256);
    expect(new Set(lines).size).toBe(lines.length);
  });
});

describe('pinlab walk: bad input is one line', () => {
  const va = '0x401008';
  it.each<[string, () => string, Partial<WalkOptions>, string | RegExp]>([
    ['no file', () => join(folder, 'none'), { va }, /^cannot read .*none: ENOENT$/],
    ['a directory', () => folder, { va }, /^cannot read .*: EISDIR$/],
    ['neither an address nor a list', () => core, {}, 'expected --va ADDR or --list'],
    ['both', () => core, { va, list: true }, 'expected --va ADDR or --list'],
    ['an unknown architecture', () => core, { va, arch: 'vax' }, /^unknown architecture 'vax'; there are: x86_64, /],
    ['an arm64 that cannot be', () => core, { va, arch: 'arm64-99' }, /^unknown architecture 'arm64-99': no arm64 has/],
    ['an address that is none', () => core, { va: '0xg' }, "--va: expected an address of 64 bits, got '0xg'"],
    ['more than 64 bits', () => core, { va: '0x10000000000000000' }, /^--va: expected an address of 64 bits/],
    ['a root that is none', () => core, { va, root: 'cr3' }, "--root: expected an address of 64 bits, got 'cr3'"],
    ['an unknown format', () => core, { va, format: 'vmss' }, /--format: expected raw, elf or lime, got 'vmss'$/],
    [
      'another format',
      () => core,
      { va, format: 'lime' },
      /core: LiME range 0: magic 0x464c457f at byte 0, not 0x4c694d45$/,
    ],
    [
      'a base of a format that has its own',
      () => core,
      { va, base: '4096' },
      /core: only raw memory has a base, this is elf$/,
    ],
    ['a base beyond memory', () => core, { va, base: '0x20000000000000' }, /--base: 0x20000000000000 is beyond/],
    ['a dump of another machine', () => core, { va, arch: 'arm64' }, /the dump is of ELF machine 62, arm64 is 183$/],
    [
      'a root outside memory',
      () => core,
      { va, root: '0x7f000000' },
      /core: --root: there is no memory at 0x7f000000$/,
    ],
    ['the same for a list', () => core, { list: true, root: '0x1000' }, /core: --root: there is no memory at 0x1000$/],
    [
      'a root in the middle of a page',
      () => file('r', new Uint8Array(4096)),
      { va, arch: 'sv39', root: '8' },
      /--root: 0x8 is not a multiple of 4096$/,
    ],
    [
      'an address beyond the format',
      () => core,
      { va: '0x800000000000' },
      /--va: x86-64 4-level does not translate 0x8000/,
    ],
    ['an empty file', () => file('empty', new Uint8Array(0)), { va }, /empty: truncated: the dump is empty$/],
    [
      'a truncated dump',
      () => file('cut', readFileSync(core).subarray(0, 0x10_0000)),
      { va },
      /cut: truncated: ELF segment 1 ends/,
    ],
    [
      'a compressed dump',
      () => join(DATA, 'x86_64.core.gz'),
      { va },
      /core\.gz: not a memory dump but gzip: unpack it first$/,
    ],
  ])('%s', async (_name, dump, options, message) => {
    const error = await walkCommand(dump(), { ...GUEST, ...options }, () => {}).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(BadInput);
    expect((error as Error).message).toMatch(message);
    expect((error as Error).message).not.toContain('\n');
  });

  it('the program: one line on stderr, exit 2; a walk, exit 0', () => {
    const env = { ...process.env, NODE_OPTIONS: '' };
    const run = (...args: string[]): { status: number | null; stdout: string; stderr: string } =>
      spawnSync(NODE, ['--conditions=@mmkit/source', MAIN, 'walk', ...args], { encoding: 'utf8', env });
    const bad = run(core, '--arch', 'x86_64', '--root', '0x7f000000', '--list');
    expect([bad.status, bad.stdout]).toEqual([2, '']);
    expect(bad.stderr).toBe(`pinlab: ${core}: --root: there is no memory at 0x7f000000\n`);
    const missing = run(core, '--arch', 'x86_64', '--list');
    expect([missing.status, missing.stderr.trimEnd().split('\n').length]).toEqual([2, 1]);
    const good = run(core, '--arch', 'x86_64', '--root', '0x101000', '--va', va);
    expect([good.status, good.stderr]).toEqual([0, '']);
    expect(good.stdout).toMatch('0x401008 is at 0x181008');
  });
});
