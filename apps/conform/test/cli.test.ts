import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseRecordings } from '../src/records.ts';
import type { Recording } from '../src/records.ts';
import { recordings } from './data.ts';

const MAIN = resolve(import.meta.dirname, '../src/main.ts');
const NODE = resolve(import.meta.dirname, '../../../node_modules/.bin/node');

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'conform-test-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function conform(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const env = { ...process.env, NODE_OPTIONS: '' };
  return spawnSync(NODE, ['--conditions=@mmkit/source', MAIN, ...args], { encoding: 'utf8', env });
}

function file(name: string, bytes: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

function gzipped(name: string, list: readonly Recording[]): string {
  return file(name, gzipSync(list.map((one) => `${JSON.stringify(one)}\n`).join('')));
}

const TRACE = `trace v=1 profile=t seed=1 pages=16 thp=never observe=each
mmap at=2 n=2 prot=rw flags=private,anon,fixed
load at=1 n=3
store at=2 n=2 o=5 v=9
load at=2 n=3
unpin s=3
load at=15 n=2
swapoff
`;

describe('conform run', () => {
  it("prints the model's lines for a trace: signals, digests, faults, refusals, what is not there yet", () => {
    const { status, stdout } = conform('run', file('small.trace', TRACE));
    expect(status).toBe(0);
    expect(stdout.split('\n').filter((line) => /"op"/.test(line))).toEqual([
      '{"i":0,"op":"mmap","p":0,"ret":2}',
      '{"i":1,"op":"load","p":0,"ret":0,"sig":"SEGV","code":"MAPERR","at":[1,0]}',
      '{"i":2,"op":"store","p":0,"ret":2,"flt":[2,0]}',
      '{"i":3,"op":"load","p":0,"ret":2,"sig":"SEGV","code":"MAPERR","at":[4,0],"v":"00"}',
      '{"i":4,"op":"unpin","p":0,"err":"ENXIO"}',
      '{"i":5,"op":"load","err":"RANGE"}',
      '{"i":6,"op":"swapoff","p":0,"err":"UNSUPPORTED"}',
    ]);
    expect(stdout).toContain('{"i":2,"proc":0,"pages":[[2,2,"AXBE",1,"#');
  });

  it('--out writes every recording with the out of the model, the keys in the same order', () => {
    const list = recordings('cow').slice(0, 2);
    const out = join(folder, 'out.jsonl');
    const { status, stdout } = conform('run', gzipped('two.jsonl.gz', list), '--out', out);
    expect([status, stdout]).toEqual([0, '']);
    const written = parseRecordings(out, readFileSync(out, 'utf8'));
    expect(written.map(({ id, ops, trace }) => ({ id, ops, trace }))).toEqual(
      list.map(({ id, ops, trace }) => ({ id, ops, trace })),
    );
    expect(Object.keys(written[0]!)).toEqual(['id', 'ops', 'trace', 'out']);
    const single = conform('run', file('one.trace', list[0]!.trace));
    expect(written[0]!.out).toBe(single.stdout);
  });

  it.each([
    [
      'bad.trace',
      'trace v=1 profile=t seed=1 pages=16 thp=never observe=each\nfly at=1\n',
      'line 2: expected an operation',
    ],
    ['empty.trace', '', 'line 1: expected "trace v=1 …"'],
    ['records.trace', '{"id":"a"}\n', 'holds recordings: expected --out FILE'],
  ])('%s: one line, exit 2', (name, text, message) => {
    const { status, stdout, stderr } = conform('run', file(name, text));
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^conform: .*\n$/);
    expect(stderr).toContain(message);
  });

  it('a file that is not there, a broken archive, a folder that cannot be written: one line, exit 2', () => {
    for (const args of [
      ['run', join(folder, 'nothing')],
      ['run', file('broken.gz', gzipSync('x').subarray(0, 12)), '--out', join(folder, 'x')],
      ['run', gzipped('one.jsonl.gz', recordings('anon').slice(0, 1)), '--out', join(folder, 'no/folder')],
    ]) {
      const { status, stderr } = conform(...args);
      expect(status).toBe(2);
      expect(stderr).toMatch(/^conform: .*\n$/);
    }
  });
});

describe('conform replay', () => {
  /** Two recordings: one that agrees, by the model's own output, and one with a result changed. */
  function pair(): string {
    const list = recordings('cow').slice(0, 2);
    const out = join(folder, 'own.jsonl');
    conform('run', gzipped('pair.jsonl.gz', list), '--out', out);
    const [good, bad] = parseRecordings(out, readFileSync(out, 'utf8'));
    const changed = {
      ...bad!,
      out: bad!.out.replace(/"i":3,"op":"(\w+)","p":(\d),"ret":\d+/, '"i":3,"op":"$1","p":$2,"ret":99'),
    };
    return gzipped('changed.jsonl.gz', [good!, changed]);
  }

  it('--json: figures by profile and level, and the first difference; the same with several threads', () => {
    const path = pair();
    const one = conform('replay', path, '--json', '--jobs', '1');
    expect(one.status).toBe(0);
    const { untilPin, profiles, differences } = JSON.parse(one.stdout) as {
      untilPin: boolean;
      profiles: { profile: string; traces: number; levels: { traces: number }[] }[];
      differences: { id: string; op: number; level: number; expected: string; got: string }[];
    };
    expect(untilPin).toBe(false);
    expect(profiles.map(({ profile, traces }) => [profile, traces])).toEqual([
      ['cow', 2],
      ['all', 2],
    ]);
    expect(profiles[0]!.levels.map(({ traces }) => traces)).toEqual([1, 1, 1, 1]);
    expect(differences).toHaveLength(1);
    expect(differences[0]).toMatchObject({ op: 3, level: 1 });
    expect(differences[0]!.expected).toContain('"ret":99');
    expect(conform('replay', path, '--json', '--jobs', '3').stdout).toBe(one.stdout);
  });

  it('as text: a table, and the first difference of each trace', () => {
    const { stdout } = conform('replay', pair());
    expect(stdout).toMatch(/\| cow \| 2 \| 1 \(/);
    expect(stdout).toMatch(/\n\S+ op 3 level 1: .*\n {2}expected .*\n {2}got {6}.*\n$/);
  });

  it.each([
    ['--until-pin', 'untilPin', 'pin at=1 len=1 s=0'],
    ['--until-file', 'untilFile', 'mmap n=1 prot=r flags=private f=0'],
  ])('%s compares only what comes before the first such operation', (option, key, stop) => {
    const head = 'trace v=1 profile=t seed=1 pages=16 thp=never observe=each';
    const trace = `${head}\nfork c=1\n${stop}\nfork c=2\n`;
    const out = '{"i":0,"op":"fork","p":0,"ret":1}\n';
    const path = gzipped('pin.jsonl.gz', [{ id: 't-1', ops: 3, trace, out }]);
    const { stdout } = conform('replay', path, option, '--json');
    expect(JSON.parse(stdout)).toMatchObject({
      [key]: true,
      profiles: [{ ops: 1, levels: [{ traces: 1 }, {}, {}, { traces: 1 }] }, {}],
      differences: [],
    });
    expect(JSON.parse(conform('replay', path, '--json').stdout)).toMatchObject({ profiles: [{ ops: 3 }, {}] });
  });

  it.each([
    [['--until-pin', '--until-file'], '--until-file: expected no --until-pin'],
    [['--jobs', '0'], '--jobs: expected an integer from 1 to 256, got 0'],
    [['--jobs', 'many'], '--jobs: expected an integer from 1 to 256, got many'],
  ])('%j: one line, exit 2', (args, message) => {
    const { status, stderr } = conform('replay', gzipped('r.jsonl.gz', recordings('anon').slice(0, 1)), ...args);
    expect([status, stderr]).toEqual([2, `conform: ${message}\n`]);
  });

  it('a malformed trace in a recording is named, from a thread too', () => {
    const path = gzipped('bad.jsonl.gz', [{ id: 'x-7', ops: 1, trace: 'nonsense', out: '' }]);
    for (const jobs of ['1', '2']) {
      const { status, stderr } = conform('replay', path, '--jobs', jobs);
      expect([status, stderr]).toEqual([2, 'conform: x-7: line 1: expected "trace v=1 …", got "nonsense"\n']);
    }
  });

  it('unknown options and missing files are usage errors; help is not', () => {
    expect(conform('replay').status).toBe(2);
    expect(conform('replay', 'x', '--fast').status).toBe(2);
    expect(conform('--help').status).toBe(0);
  });
});
