import { execFileSync } from 'node:child_process';
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EIO } from '@mmkit/base';
import { x86_64 } from '@mmkit/pgtable';
import { dumpMemory, listMappings, openDump } from '@mmkit/pgtable/dump';
import { closeSource, openSource } from '@mmkit/pgtable/node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { recorded } from './dump-files.ts';
import { codeOf } from './machine.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pgtable-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, bytes: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

describe('a dump in a file of the host', () => {
  it('reads as the same dump in a buffer', () => {
    const source = openSource(file('core', recorded('core')));
    const found = [...listMappings(x86_64, dumpMemory(openDump(source), 12), 0x10_1000n)];
    closeSource(source);
    expect(found).toHaveLength(33);
  });

  it('only what a walk needs is read: one root of a sparse dump of 1 GiB', () => {
    const path = join(folder, 'sparse');
    const fd = openSync(path, 'w');
    ftruncateSync(fd, 2 ** 30);
    for (const [at, entry] of [
      [0x1000, 0x2000_2007n],
      [0x2000_2000, 0x3000_3007n],
      [0x3000_3000, 0x3fff_f007n],
      [0x3fff_f000, 0x1234_5007n],
    ] as const) {
      writeSync(fd, BigUint64Array.of(entry), 0, 8, at);
    }
    closeSync(fd);
    const source = openSource(path);
    let bytes = 0;
    const counted = {
      size: source.size,
      read: (at: number, into: Uint8Array): number => ((bytes += into.length), source.read(at, into)),
    };
    const found = [...listMappings(x86_64, dumpMemory(openDump(counted), 12), 0x1000n)];
    closeSource(source);
    expect(found).toMatchObject([{ start: 0n, pfn: 0x1_2345 }]);
    expect(bytes).toBe(8 + 4 * 4096);
  });

  it('a file that became shorter is unknown memory, one that cannot be read DUMP_IO', () => {
    const path = file('shrinks', new Uint8Array(0x4000));
    const source = openSource(path);
    const memory = dumpMemory(openDump(source), 12);
    truncateSync(path, 0x2800);
    expect([1, 2, 3].map((pfn) => memory.words(pfn) !== null)).toEqual([true, false, false]);
    closeSource(source);
    expect(source.read(0, new Uint8Array(1))).toBe(-EIO);
    expect(codeOf(() => memory.words(0))).toBe('DUMP_IO');
    expect(codeOf(() => closeSource(source))).toBe('FILE_CLOSED');
  });

  it("what cannot be opened is the host's error, and keeps no descriptor", () => {
    mkdirSync(join(folder, 'directory'));
    const lowest = (): number => {
      const fd = openSync(folder, 'r');
      closeSync(fd);
      return fd;
    };
    const before = lowest();
    expect(codeOf(() => openSource(join(folder, 'missing')))).toBe('ENOENT');
    expect(codeOf(() => openSource(join(folder, 'directory')))).toBe('EISDIR');
    expect(codeOf(() => openSource('/dev/null'))).toBe('EINVAL');
    expect(lowest()).toBe(before);
  });

  it('a pipe that nobody writes to is EINVAL, not a hang', () => {
    execFileSync('mkfifo', [join(folder, 'pipe')]);
    const program = `import { openSource } from '@mmkit/pgtable/node';
      try { openSource(process.argv[1]); } catch (error) { console.log(error.code); }`;
    // A process of its own: should it hang, only this test fails.
    const args = ['--conditions=@mmkit/source', '--input-type=module', '-e', program, join(folder, 'pipe')];
    const cwd = join(import.meta.dirname, '..');
    expect(execFileSync(process.execPath, args, { cwd, timeout: 20_000, encoding: 'utf8' })).toBe('EINVAL\n');
  });
});
