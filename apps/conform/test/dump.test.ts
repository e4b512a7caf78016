import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { E_PROTNONE, E_USER, ENTRY_LEAF } from '@mmkit/pgtable';
import { bufferSource, dumpMemory, listMappings, openDump } from '@mmkit/pgtable/dump';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dumpCommand } from '../src/dump/command.ts';
import type { Recorded } from '../src/dump/format.ts';
import { rootOf } from '../src/dump/machine.ts';
import { parseTables, readDump } from '../src/dump/read.ts';
import { walkProcess } from '../src/dump/walk.ts';
import { BadInput, EXIT_DIFFERENT, EXIT_OK } from '../src/exit.ts';

const MAIN = resolve(import.meta.dirname, '../src/main.ts');
const NODE = resolve(import.meta.dirname, '../../../node_modules/.bin/node');
const DATA = resolve(import.meta.dirname, '../data/dumps');
const NAMES = ['x86_64-4level', 'aarch64-48'] as const;

interface Walks {
  readonly processes: readonly { pid: number; walk: [va: string, pa: string | null, frame: string | null][] }[];
}

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'conform-dump-test-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function json(name: string): string {
  return gunzipSync(readFileSync(join(DATA, `${name}.json.gz`))).toString('utf8');
}

/** The dump NAME in the folder with another text of its .json.gz. */
function altered(name: string, change: (text: string) => string): string {
  const path = join(folder, `${name}.json.gz`);
  writeFileSync(path, gzipSync(change(json(name))));
  copyFileSync(join(DATA, `${name}.tables.bin.xz`), join(folder, `${name}.tables.bin.xz`));
  return path;
}

async function run(
  path: string,
  options: { json?: boolean; out?: string } = {},
): Promise<[code: number, text: string]> {
  let text = '';
  const code = await dumpCommand(path, options, (part) => (text += part), writeFileSync);
  return [code, text];
}

describe.each(NAMES)('%s', (name) => {
  it('N.19, N.20: every address of gva2gpa and pagemap agrees', async () => {
    const [code, text] = await run(join(DATA, `${name}.json.gz`), { json: true });
    const { all, processes, differences } = JSON.parse(text) as {
      all: { compared: number; agree: number };
      processes: { compared: number; agree: number }[];
      differences: unknown[];
    };
    expect([code, all.agree, differences]).toEqual([EXIT_OK, all.compared, []]);
    expect(all.compared).toBe(name === 'aarch64-48' ? 2796 : 2880);
    expect(processes).toHaveLength(4);
  });

  it('four pages written and then mprotect(PROT_NONE): not for the hardware, their frames for Linux', async () => {
    const recorded = await readDump(join(DATA, `${name}.json.gz`));
    const hidden = walkProcess(recorded, recorded.processes[0]!).filter(
      ([, pa, frame]) => pa === null && frame !== null,
    );
    const words = new Map(recorded.processes[0]!.pagemap.map(([va, word]) => [va, BigInt(word!)]));
    expect(hidden).toHaveLength(4);
    for (const [va, , frame] of hidden) expect(BigInt(frame!)).toBe(BigInt.asUintN(55, words.get(va)!));
  });

  it('the list of a root has every page of pagemap, and what else the user has lies in it too', async () => {
    const recorded: Recorded = await readDump(join(DATA, `${name}.json.gz`));
    for (const process of recorded.processes) {
      const { format, root } = rootOf(process, false);
      const pages = new Map<bigint, bigint>();
      for (const { start, size, kind, flags, pfn } of listMappings(format, dumpMemory(recorded.tables, 12), root)) {
        // On x86-64 the root maps the kernel too.
        if (kind !== ENTRY_LEAF || (flags & (E_USER | E_PROTNONE)) === 0 || start >= 1n << 55n) continue;
        for (let i = 0; i < size / 4096; i++) pages.set(start + BigInt(i * 4096), BigInt(pfn + i));
      }
      const missing = process.pagemap.filter(([va, word]) => {
        return pages.get(BigInt(va)) !== BigInt.asUintN(55, BigInt(word!));
      });
      expect(missing).toEqual([]);
      const listed = new Set(process.pagemap.map(([va]) => BigInt(va)));
      const more = [...pages.keys()].filter((va) => !listed.has(va));
      expect(more.length).toBeLessThan(10);
    }
  });

  it('--out: one entry an address, those of gva2gpa first', async () => {
    const out = join(folder, 'out');
    await run(join(DATA, `${name}.json.gz`), { out });
    const { processes } = JSON.parse(readFileSync(out, 'utf8')) as Walks;
    const recorded = await readDump(join(DATA, `${name}.json.gz`));
    expect(processes.map(({ pid }) => pid)).toEqual(recorded.processes.map(({ pid }) => pid));
    processes.forEach(({ walk }, i) => {
      const { gva2gpa, pagemap } = recorded.processes[i]!;
      const first = gva2gpa.map(([va]) => va);
      const rest = pagemap.map(([va]) => va).filter((va) => !first.includes(va));
      expect(walk.map(([va]) => va)).toEqual([...first, ...rest]);
      expect(walk.slice(0, first.length).map(([, pa]) => pa)).toEqual(gva2gpa.map(([, pa]) => pa));
      for (const [, pa, frame] of walk) {
        if (pa !== null) expect(frame).toBe(`0x${(BigInt(pa) >> 12n).toString(16)}`);
      }
    });
  });

  it('a word that is recorded otherwise is reported, and nothing else', async () => {
    const changed = altered(name, (text) => {
      const recorded = JSON.parse(text) as { processes: { gva2gpa: string[][]; pagemap: string[][] }[] };
      recorded.processes[1]!.gva2gpa[5]![1] = '0x123000';
      recorded.processes[2]!.pagemap[7]![1] = '0x8000000000000123';
      recorded.processes[3]!.pagemap[0]![1] = '0x4000000000000000';
      return JSON.stringify(recorded);
    });
    const { processes } = await readDump(changed);
    const [code, text] = await run(changed);
    const lines = text.split('\n\n')[1]!.trimEnd().split('\n');
    expect(code).toBe(EXIT_DIFFERENT);
    expect(lines).toHaveLength(3);
    const [one, two, three] = processes.slice(1);
    expect(lines[0]).toMatch(`pid ${one!.pid}: ${one!.gva2gpa[5]![0]} gva2gpa: expected 0x123000, got 0x`);
    expect(lines[1]).toMatch(`pid ${two!.pid}: ${two!.pagemap[7]![0]} pagemap: expected 0x123, got 0x`);
    expect(lines[2]).toMatch(`pid ${three!.pid}: ${three!.pagemap[0]![0]} pagemap: expected null, got 0x`);
    const table = text.split('\n\n')[0]!.split('\n').slice(2);
    expect(
      table.map((line) => line.split(' | ').slice(1).map(parseFloat)).map(([all, agree]) => all! - agree!),
    ).toEqual([0, 1, 1, 1, 3]);
  });

  it('addresses without an answer are walked, and not compared', async () => {
    const bare = altered(name, (text) => {
      const recorded = JSON.parse(text) as { processes: { gva2gpa: string[][]; pagemap: string[][] }[] };
      for (const process of recorded.processes) {
        process.gva2gpa = process.gva2gpa.map(([va]) => [va!]);
        process.pagemap = process.pagemap.map(([va]) => [va!]);
      }
      return JSON.stringify(recorded);
    });
    const [first, second] = ['first', 'second'].map((part) => join(folder, part));
    const [code, text] = await run(bare, { out: first! });
    expect([code, text.trimEnd().split('\n').at(-1)]).toEqual([EXIT_OK, '| all | 0 | 0 |']);
    await run(join(DATA, `${name}.json.gz`), { out: second! });
    expect(readFileSync(first!, 'utf8')).toBe(readFileSync(second!, 'utf8'));
  });
});

it('kernel addresses of arm64 go through TTBR1', async () => {
  const recorded = await readDump(join(DATA, 'aarch64-48.json.gz'));
  const process = { ...recorded.processes[0]!, gva2gpa: [['0xffff800008000000']] as const, pagemap: [] };
  const { root, format } = rootOf(process, true);
  expect(root).toBe(0x41a7_9000n);
  expect([format.lowHalf, format.highHalf]).toEqual([false, true]);
  // Its tables are not in the dump.
  expect(walkProcess(recorded, process)).toEqual([['0xffff800008000000', null, null]]);
});

it('under a table that the dump does not hold nothing is known, whatever the walk before read', () => {
  const tables = new BigUint64Array((4 * 4096) / 8);
  for (const [at, entry] of [
    [0, 0x1007n],
    [512, 0x2007n],
    [1024, 0x3007n],
    [1025, 0x9007n],
    [1536, 0x5007n],
  ] as const) {
    tables[at] = entry;
  }
  const process = { pid: 1, cr3: '0', cr4: '20', gva2gpa: [['0x10'], ['0x200000']] as const, pagemap: [] };
  const recorded: Recorded = {
    arch: 'x86_64',
    processes: [process],
    tables: openDump(bufferSource(tables.buffer)),
  };
  expect(walkProcess(recorded, process)).toEqual([
    ['0x10', '0x5010', '0x5'],
    ['0x200000', null, null],
  ]);
});

describe('unpacked tables', () => {
  function words(...values: bigint[]): Uint8Array {
    return new Uint8Array(BigUint64Array.from(values).buffer);
  }
  const page = new Uint8Array(4096);

  it('each page behind its address', () => {
    const bytes = Buffer.concat([words(0x4000_0000n, 2n, 0x5000n), page, words(0x4000n), page]);
    const { ranges } = parseTables('t', bytes);
    expect(ranges).toEqual([
      { start: 0x5000, size: 4096, position: 24 },
      { start: 0x4000, size: 4096, position: 24 + 4096 + 8 },
    ]);
  });

  it.each([
    ['a head cut', words(0n), 't: expected 16 bytes and 4104 for each of 0 pages, got 8'],
    [
      'a page missing',
      Buffer.concat([words(0n, 2n, 0x5000n), page]),
      't: expected 16 bytes and 4104 for each of 2 pages, got 4120',
    ],
    [
      'one too many',
      Buffer.concat([words(0n, 0n, 0x5000n), page]),
      't: expected 16 bytes and 4104 for each of 0 pages',
    ],
    ['no page', Buffer.concat([words(0n, 1n, 0x5008n), page]), 't: page 0: expected an address of a page, got 0x5008'],
  ])('%s', (_name, bytes, message) => {
    expect(() => parseTables('t', bytes)).toThrow(message);
  });
});

describe('bad input is one line that names file and place, and nothing is written', () => {
  const text = json('x86_64-4level');
  const change = (from: string | RegExp, to: string): string =>
    altered('x86_64-4level', (old) => old.replace(from, to));
  const first = (...pair: unknown[]): string =>
    altered('x86_64-4level', (old) => {
      const recorded = JSON.parse(old) as { processes: { gva2gpa: unknown[] }[] };
      recorded.processes[0]!.gva2gpa[0] = pair;
      return JSON.stringify(recorded);
    });
  const tables = (bytes: Uint8Array): string => {
    const path = altered('x86_64-4level', (old) => old);
    writeFileSync(join(folder, 'x86_64-4level.tables.bin.xz'), bytes);
    return path;
  };
  const xz = readFileSync(join(DATA, 'x86_64-4level.tables.bin.xz'));
  const broken = Uint8Array.from(xz);
  broken[900]! ^= 1;

  it.each<[string, () => string, string]>([
    ['no file', () => join(folder, 'none.json.gz'), 'none.json.gz: cannot be read: ENOENT'],
    ['another name', () => join(DATA, 'x86_64-4level.tables.bin.xz'), 'expected a name that ends in .json.gz'],
    ['no JSON', () => change('{', '['), 'x86_64-4level.json.gz: expected a JSON document, got'],
    ['no machine', () => change('"x86_64"', '"vax"'), 'arch: expected "x86_64" or "aarch64", got "vax"'],
    ['no processes', () => change('"processes"', '"process"'), 'processes: expected a list, got nothing'],
    ['no register', () => change('"cr3"', '"cr2"'), 'processes[0]: cr3: expected up to 16 hex digits, got nothing'],
    [
      'a wrong address',
      () => first('7f4918bdc000'),
      'gva2gpa[0]: expected "0x" and up to 16 hex digits, got "7f4918bdc000"',
    ],
    ['a number', () => first(17), 'processes[0]: gva2gpa[0]: expected "0x" and up to 16 hex digits, got 17'],
    ['three of them', () => first('0x1', '0x2', '0x3'), 'gva2gpa[0]: expected an address, and what it leads to, got ['],
    ['tables cut', () => tables(xz.subarray(0, 1000)), 'tables.bin.xz: expected a whole xz file'],
    ['tables damaged', () => tables(broken), 'tables.bin.xz: expected a whole xz file'],
    ['tables that are none', () => tables(new TextEncoder().encode(text)), 'tables.bin.xz: expected a whole xz file'],
    ['empty tables', () => tables(new Uint8Array(0)), 'tables.bin.xz: expected a whole xz file'],
    [
      'tables gone',
      () => {
        const path = join(folder, 'alone.json.gz');
        writeFileSync(path, gzipSync(text));
        return path;
      },
      'alone.tables.bin.xz: cannot be read: ENOENT',
    ],
  ])('%s', async (_name, make, message) => {
    const out = join(folder, 'never');
    const path = make();
    rmSync(out, { force: true });
    const error = await run(path, { out }).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(BadInput);
    expect((error as Error).message).toContain(message);
    expect((error as Error).message).not.toContain('\n');
    expect(() => readFileSync(out)).toThrow('ENOENT');
  });

  it('the program: one line on stderr, exit 2', () => {
    const env = { ...process.env, NODE_OPTIONS: '' };
    const args = ['--conditions=@mmkit/source', MAIN, 'dump', tables(xz.subarray(0, 1000))];
    const { status, stdout, stderr } = spawnSync(NODE, args, { encoding: 'utf8', env });
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^conform: [^\n]*x86_64-4level\.tables\.bin\.xz: expected a whole xz file\n$/);
  });

  it('a mode that no CPU has', async () => {
    const path = altered('aarch64-48', (old) => old.replaceAll('0x15001f5b5503510', '0x15001f5b5503500'));
    await expect(run(path)).rejects.toThrow('pid 129: TCR_EL1: txsz: expected an integer from 16 to 48, got 0');
  });

  it('walks that cannot be written', async () => {
    const out = join(folder, 'no/where');
    await expect(run(join(DATA, 'aarch64-48.json.gz'), { out })).rejects.toThrow('no/where: cannot be written: ENOENT');
  });
});
