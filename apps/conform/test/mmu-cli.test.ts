import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BadInput, EXIT_USAGE } from '../src/exit.ts';
import { mmuCommand } from '../src/mmu/command.ts';
import type { MmuOptions } from '../src/mmu/command.ts';
import type { Case, Result } from '../src/mmu/format.ts';

const MAIN = resolve(import.meta.dirname, '../src/main.ts');
const NODE = resolve(import.meta.dirname, '../../../node_modules/.bin/node');
const DATA = resolve(import.meta.dirname, '../data/mmu');

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'conform-mmu-test-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The program itself. */
function spawned(...args: string[]): Outcome {
  const env = { ...process.env, NODE_OPTIONS: '' };
  return spawnSync(NODE, ['--conditions=@mmkit/source', MAIN, 'mmu', ...args], { encoding: 'utf8', env });
}

/** What the program does with `options`, in this process: a second cheaper. */
function mmu(path: string, options: MmuOptions = {}): Outcome {
  let stdout = '';
  const print = (text: string): void => {
    stdout += text;
  };
  try {
    return { status: mmuCommand([path], options, print, writeFileSync), stdout, stderr: '' };
  } catch (error) {
    if (error instanceof BadInput) return { status: EXIT_USAGE, stdout, stderr: `conform: ${error.message}\n` };
    throw error;
  }
}

function file(name: string, bytes: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

/** Header and first `count` cases of a recorded file, line by line. */
function lines(arch: string, count: number): string[] {
  const text = gunzipSync(readFileSync(join(DATA, `${arch}.jsonl.gz`))).toString('utf8');
  return text.split('\n').slice(0, count + 1);
}

/** A file of two cases; the first probe of the second one is recorded as something else. */
function altered(name: string): { path: string; other: Case } {
  const [header, first, second] = lines('x86_64', 2);
  const one = JSON.parse(second!) as Case;
  const results: Result[] = [{ ok: true, pa: '0x8' }, ...one.results!.slice(1)];
  const other = { ...one, results };
  return { path: file(name, gzipSync(`${header}\n${first}\n${JSON.stringify(other)}\n`)), other };
}

describe('conform mmu', () => {
  it('prints the agreement by architecture and mode, and each difference on one line', () => {
    const { path, other } = altered('altered.gz');
    const { status, stdout, stderr } = mmu(path);
    expect([status, stderr]).toEqual([1, '']);
    const [table, differences] = stdout.split('\n\n');
    const probes = lines('x86_64', 2)
      .slice(1)
      .map((line) => (JSON.parse(line) as Case).probes.length)
      .reduce((sum, one) => sum + one);
    expect(table!.split('\n').at(-1)).toBe(`| all |  | 2 | ${probes} | ${probes} | ${probes - 1} |`);
    const [va, access, who] = other.probes[0]!;
    expect(differences).toMatch(/^[^\n]*\n$/);
    expect(differences).toContain(
      `${other.id} probe 0: ${va} ${access} ${who}: expected {"ok":true,"pa":"0x8"}, got {"ok":false,"fault":"PF"`,
    );
  });

  it('--json: one document with the same', () => {
    const { path, other } = altered('json.gz');
    const { groups, differences } = JSON.parse(mmu(path, { json: true }).stdout) as {
      groups: { arch: string; compared: number; agree: number }[];
      differences: { id: string; index: number }[];
    };
    const { compared, agree } = groups.at(-1)!;
    expect(compared - agree).toBe(1);
    expect(differences).toMatchObject([{ id: other.id, index: 0, probe: other.probes[0], expected: { pa: '0x8' } }]);
  });

  it('--out: headers and cases in order, keys as they were, our results; the same bytes each time, with or without results', () => {
    const [header, ...cases] = lines('aarch64', 3);
    const recorded = cases.map((line) => JSON.parse(line) as Case);
    const bare = recorded.map((one) => JSON.stringify({ ...one, results: undefined }));
    const whole = file('whole.jsonl', [header, ...cases].join('\n'));
    const probes = file('bare.jsonl', [header, ...bare].join('\n'));
    const [first, second, third] = ['first', 'second', 'third'].map((name) => join(folder, name));
    expect(mmu(whole, { out: first! }).status).toBe(0);
    expect(mmu(whole, { out: second! }).status).toBe(0);
    const { stdout } = mmu(probes, { out: third! });
    const text = readFileSync(first!, 'utf8');
    expect(readFileSync(second!, 'utf8')).toBe(text);
    expect(readFileSync(third!, 'utf8')).toBe(text);
    expect(stdout.trimEnd()).toMatch(/\| 0 \| 0 \|$/);

    const [head, ...answered] = text.trimEnd().split('\n');
    expect(JSON.parse(head!)).toEqual({ ...(JSON.parse(header!) as object), backend: 'mmkit' });
    expect(answered).toHaveLength(3);
    answered.forEach((line, i) => {
      const { results, ...rest } = JSON.parse(line) as Case;
      const { results: expected, ...given } = recorded[i]!;
      expect(JSON.stringify(rest)).toBe(JSON.stringify(given));
      for (const [at, { ok, fault, esr, far, pa, chg }] of expected!.entries()) {
        const ours = results![at]!;
        const kept = ok ? { ok, pa: pa ?? ours.pa, chg } : { ok, fault, esr, far, chg };
        expect(ours).toEqual(JSON.parse(JSON.stringify(kept)));
      }
    });
    // Our own answers agree with us.
    const own = mmu(first!);
    expect(own.status).toBe(0);
    expect(own.stdout).not.toContain('expected');
  });

  it('a truncated archive, a broken line, a wrong key, no file: one line, exit 2, nothing written', () => {
    const [header, one] = lines('x86_64', 1);
    const whole = readFileSync(join(DATA, 'x86_64.jsonl.gz'));
    const out = join(folder, 'never');
    for (const [path, message] of [
      [file('cut.gz', whole.subarray(0, 10_000)), 'cut.gz: expected a whole gzip file'],
      [file('line', `${header}\n${one!.slice(0, 1000)}`), 'line: line 2: expected a line of JSON, got "'],
      [file('key', `${header}\n${one!.replace('"smep"', '"smepp"')}`), 'key: line 2: mode: expected no key but la57, '],
      [join(folder, 'nothing'), 'nothing: cannot be read: ENOENT'],
    ] as const) {
      const { status, stdout, stderr } = mmu(path, { out: out });
      expect([status, stdout]).toEqual([2, '']);
      expect(stderr).toMatch(/^conform: [^\n]*\n$/);
      expect(stderr).toContain(message);
      expect(() => readFileSync(out)).toThrow('ENOENT');
    }
  });

  it('answers that cannot be written: one line, exit 2', () => {
    const { status, stderr } = mmu(file('two', lines('x86_64', 1).join('\n')), { out: join(folder, 'no/where') });
    expect(status).toBe(2);
    expect(stderr).toMatch(/^conform: [^\n]*no\/where: cannot be written: ENOENT\n$/);
  });

  it('the program: options, files, exit codes', () => {
    const out = join(folder, 'program');
    const { path } = altered('program.gz');
    const { status, stdout, stderr } = spawned(path, path, '--json', '--out', out);
    expect([status, stderr]).toEqual([1, '']);
    const { differences } = JSON.parse(stdout) as { differences: unknown[] };
    expect(differences).toHaveLength(2);
    expect(readFileSync(out, 'utf8').split('\n')).toHaveLength(7);
    expect(spawned(out).status).toBe(0);
    expect(spawned(path, join(folder, 'nothing'))).toMatchObject({
      status: 2,
      stdout: '',
      stderr: `conform: ${join(folder, 'nothing')}: cannot be read: ENOENT\n`,
    });
    expect(spawned().status).toBe(2);
  });
});
