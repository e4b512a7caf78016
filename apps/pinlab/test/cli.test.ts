import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const MAIN = resolve(import.meta.dirname, '../src/main.ts');
const NODE = resolve(import.meta.dirname, '../../../node_modules/.bin/node');

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pinlab-test-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function pinlab(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const env = { ...process.env, TMPDIR: join(folder, 'tmp'), NODE_OPTIONS: '' };
  mkdirSync(env.TMPDIR, { recursive: true });
  return spawnSync(NODE, ['--conditions=@mmkit/source', MAIN, ...args], { encoding: 'utf8', env });
}

/** A file of `size` bytes that no two blocks of which are equal. */
function makeFile(name: string, size: number): string {
  const path = join(folder, name);
  const bytes = new Uint8Array(size);
  let x = 1;
  for (let i = 0; i < size; i++) {
    x = (Math.imul(x, 1664525) + 1013904223) | 0;
    bytes[i] = x >>> 24;
  }
  writeFileSync(path, bytes);
  return path;
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

describe('pinlab odirect --json', () => {
  it('prints one document with exactly the agreed fields, and nothing else on stdout', () => {
    const file = makeFile('agreed', 100_000);
    const { status, stdout } = pinlab('odirect', file, '--json');
    expect(status).toBe(0);
    const report = JSON.parse(stdout) as Record<string, unknown>;
    expect(Object.keys(report)).toEqual([
      'ok',
      'bytes',
      'sha256',
      'pagesPinned',
      'fast',
      'slow',
      'faults',
      'transferSeconds',
      'leakedPins',
      'leakedFrames',
    ]);
    expect(report).toMatchObject({ ok: true, bytes: 100_000, leakedPins: 0, leakedFrames: 0 });
    expect(report['sha256']).toBe(sha256(readFileSync(file)));
  });

  it.each([[], ['--arch', 'x86-64'], ['--arch', 'arm64']])(
    'B.18: %s %s: the read pins by the slow path, the write by the fast one',
    (...arch) => {
      const file = makeFile('shares', 64 * 4096);
      const report = JSON.parse(pinlab('odirect', file, ...arch, '--json').stdout) as Record<string, number>;
      expect(report).toMatchObject({ pagesPinned: 128, slow: 64, fast: 64, faults: 64 });
    },
  );

  it('leaves no temporary file behind', () => {
    pinlab('odirect', makeFile('tidy', 5000));
    expect(readdirSync(join(folder, 'tmp'))).toEqual([]);
  });

  it('--out keeps the copy, byte for byte', () => {
    const file = makeFile('source', 12_345);
    const out = join(folder, 'copy');
    expect(pinlab('odirect', file, '--out', out, '--bs', '4096').status).toBe(0);
    expect(readFileSync(out)).toEqual(readFileSync(file));
    expect(readdirSync(folder).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  it('--offset and --length choose a part', () => {
    const file = makeFile('part', 10_000);
    const report = JSON.parse(pinlab('odirect', file, '--offset', '1024', '--length', '3000', '--json').stdout) as {
      bytes: number;
      sha256: string;
    };
    expect(report.bytes).toBe(3000);
    expect(report.sha256).toBe(sha256(readFileSync(file).subarray(1024, 4024)));
  });
});

describe('bad usage is one clear line on stderr, exit 2, and nothing made', () => {
  const cases: [string, (file: string) => string[]][] = [
    ['missing file', () => ['odirect', '/no/such/file']],
    ['a directory', () => ['odirect', folder]],
    ['no regular file', () => ['odirect', '/dev/null']],
    ['block size not a multiple of 512', (file) => ['odirect', file, '--bs', '1000']],
    ['block size 0', (file) => ['odirect', file, '--bs', '0']],
    ['block size not a number', (file) => ['odirect', file, '--bs', '4k']],
    ['queue depth 0', (file) => ['odirect', file, '--qd', '0']],
    ['offset beyond the end', (file) => ['odirect', file, '--offset', '1048576']],
    ['offset not a multiple of 512', (file) => ['odirect', file, '--offset', '100']],
    ['negative length', (file) => ['odirect', file, '--length', '-1']],
    ['unknown architecture', (file) => ['odirect', file, '--arch', 'vax']],
    ['RAM too small for the buffer', (file) => ['odirect', file, '--ram', '1']],
    ['output folder missing', (file) => ['odirect', file, '--out', '/no/such/folder/copy']],
    ['output is the file itself', (file) => ['odirect', file, '--out', file]],
    ['output is a directory', (file) => ['odirect', file, '--out', folder]],
    ['unknown option', (file) => ['odirect', file, '--frobnicate']],
    ['unknown command', () => ['frobnicate']],
    ['unknown architecture of litmus', () => ['litmus', 'toy-fork', '--arch', 'toString']],
    ['a litmus test of another architecture', () => ['litmus', 'zap-ipi', '--arch', 'arm64']],
    ['unknown litmus test', () => ['litmus', 'no-such-test']],
    ['schedule without a test', () => ['litmus', '--schedule', 'a']],
    ['schedule that is none', () => ['litmus', 'toy-fork', '--schedule', '!']],
    ['schedule that is not possible', () => ['litmus', 'toy-fork', '--schedule', 'z']],
  ];
  it.each(cases)('%s', (_name, args) => {
    const file = makeFile('input', 100_000);
    const before = readdirSync(folder).sort();
    const { status, stdout, stderr } = pinlab(...args(file));
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(stderr).not.toMatch(/ at .*:\d+/);
    expect(readdirSync(folder).sort()).toEqual([...new Set([...before, 'tmp'])].sort());
    expect(readdirSync(join(folder, 'tmp'))).toEqual([]);
  });

  it('no command prints help and exits 2; --help exits 0', () => {
    expect(pinlab().status).toBe(2);
    expect(pinlab('--help').status).toBe(0);
  });
});

describe('pinlab litmus', () => {
  it('--json has the agreed form', () => {
    const { status, stdout } = pinlab('litmus', 'toy-fork', 'toy-fork-no-seq', '--json');
    expect(status).toBe(0);
    const { tests } = JSON.parse(stdout) as { tests: Record<string, unknown>[] };
    expect(tests).toEqual([
      {
        name: 'toy-fork',
        expect: 'never',
        verdict: 'never',
        schedules: expect.any(Number),
        failures: 0,
        exhaustive: true,
        seconds: expect.any(Number),
      },
      {
        name: 'toy-fork-no-seq',
        expect: 'reachable',
        verdict: 'reachable',
        schedules: expect.any(Number),
        failures: expect.any(Number),
        exhaustive: true,
        schedule: expect.any(String),
        fewest: true,
        seconds: expect.any(Number),
      },
    ]);
  });

  it('--schedule replays what was found as a timeline', () => {
    const { tests } = JSON.parse(pinlab('litmus', 'toy-fork-no-seq', '--json').stdout) as {
      tests: { schedule: string }[];
    };
    const { status, stdout } = pinlab('litmus', 'toy-fork-no-seq', '--schedule', tests[0]!.schedule);
    expect(status).toBe(0);
    expect(stdout).toMatch(/fork: write-protect/);
    expect(stdout).toMatch(/WRONG: page \d is pinned and shared with the child/);
  });
});
