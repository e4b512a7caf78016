import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { explore, litmus, type LitmusTest } from '@mmkit/explore';
import { createSched, reads } from '@mmkit/task';
import { exploreTests } from '../src/litmus/command.ts';
import type { Selected } from '../src/litmus/select.ts';
import { parseStrategy } from '../src/litmus/strategy.ts';
import { migrateTests } from '../src/litmus/toys/migrate.ts';
import { zapTests } from '../src/litmus/toys/zap.ts';

const MAIN = resolve(import.meta.dirname, '../src/main.ts');
const NODE = resolve(import.meta.dirname, '../../../node_modules/.bin/node');
const EXAMPLE = resolve(import.meta.dirname, '../examples/lost-update.ts');

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pinlab-litmus-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function pinlab(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(NODE, ['--conditions=@mmkit/source', MAIN, 'litmus', ...args], {
    encoding: 'utf8',
    env: { ...process.env, NODE_OPTIONS: '' },
  });
}

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

function selected(test: LitmusTest): Selected {
  return { source: { file: null, arch: 'x86_64', name: test.name }, test };
}

async function run(test: LitmusTest, options: object): Promise<{ code: number; text: string }> {
  const lines: string[] = [];
  const code = await exploreTests([selected(test)], { arch: 'x86_64', ...options }, (line) => lines.push(line));
  return { code, text: lines.join('\n') };
}

interface Verdict {
  name: string;
  verdict: string;
  schedules: number;
  failures: number;
  exhaustive: boolean;
  schedule?: string;
}

function verdicts(stdout: string): Verdict[] {
  return (JSON.parse(stdout) as { tests: Verdict[] }).tests;
}

describe('the wording: what was run, and never more', () => {
  const zap = zapTests[0]!;
  it.each([
    ['exhaustive', 0, /no, in all 170 schedules \(sequential consistency, these points\)/],
    ['reduced', 0, /no, in all \d+ schedules that differ in more than the order of independent steps \(seq/],
    ['bounded:1', 0, /not found in \d+ schedules \(bounded: at most 1 preemptions\)/],
    ['random:7:20', 0, /not found in 20 schedules \(bounded: random, seed 7\)/],
    ['pct:7:2:20', 0, /not found in 20 schedules \(bounded: pct of depth 2, seed 7\)/],
    ['a2b', 0, /not found in 1 schedules \(bounded: the given one\)/],
  ])('--strategy %s', async (strategy, code, wording) => {
    const answer = await run(zap, { strategy });
    expect(answer.code).toBe(code);
    expect(answer.text).toMatch(wording);
    if (strategy !== 'exhaustive') expect(answer.text).not.toMatch(/exhaustive|in all 170/);
  });

  it('a bounded search that misses what it should reach is not well', async () => {
    const answer = await run(zapTests[1]!, { strategy: 'bounded:0' });
    expect(answer.code).toBe(1);
    expect(answer.text).toMatch(/^\? {4} toy-zap-no-recheck/);
  });

  it('what is found is shown with the fewest preemptions', async () => {
    const { text } = await run(zapTests[1]!, { strategy: 'exhaustive' });
    expect(text).toMatch(/reachable: schedule a\d+b\d+a\d+ \(5 of 115 schedules\)/);
  });
});

describe('parseStrategy', () => {
  it.each([
    '',
    'bounded',
    'bounded:',
    'bounded:-1',
    'bounded:x',
    'random',
    'random:1',
    'random:1:0',
    'pct',
    'pct:1:0:5',
    'pct:1:2',
    'exhaustive:1',
    'reduced:1',
    'a:b',
    '!',
  ])("'%s' is refused in one line", (text) => {
    expect(() => parseStrategy(text)).toThrow(/^--strategy: expected exhaustive, .*, got '/);
  });
});

describe("a user's file", () => {
  it('the example: both its tests, by --strategy reduced too', () => {
    for (const strategy of ['exhaustive', 'reduced']) {
      const { status, stdout } = pinlab(EXAMPLE, '--json', '--strategy', strategy);
      expect(status).toBe(0);
      expect(verdicts(stdout).map(({ name, verdict }) => [name, verdict])).toEqual([
        ['lost-update-lock', 'never'],
        ['lost-update', 'reachable'],
      ]);
    }
  });

  it.each([
    ['file that is not there', () => join(folder, 'none.ts'), /cannot load .*none\.ts: Cannot find module/],
    ['file without tests', () => file('empty.mjs', 'export const x = 1;'), /empty\.mjs: exports no litmus test/],
    ['file that throws', () => file('throws.ts', "throw new Error('boom');"), /cannot load .*throws\.ts: boom/],
    ['file that is no program', () => file('syntax.ts', 'export const = ;'), /cannot load .*syntax\.ts: /],
    [
      'setup that throws',
      () =>
        file(
          'setup.mjs',
          "export const t = {name: 't', expect: 'never', scenario() { throw new Error('no world'); }};",
        ),
      /t: no world/,
    ],
    [
      'two tests of one name',
      () => file('twice.mjs', "const t = {name: 't', scenario() {}}; export const a = t; export const b = {...t};"),
      /two litmus tests are named 't'/,
    ],
  ])('%s: one line, exit 2', (_name, make, wording) => {
    const { status, stdout, stderr } = pinlab(make());
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(stderr).toMatch(wording);
  });
});

describe('bad options: one line, exit 2', () => {
  it.each([
    ['unknown strategy', ['toy-zap', '--strategy', 'bounded:x'], /--strategy: expected/],
    ['a schedule that is not possible', ['toy-zap', '--strategy', 'abc'], /'c' is not possible at step 3/],
    ['no job', ['toy-zap', '--jobs', '0'], /--jobs: expected 1 to \d+, got '0'/],
    ['half a job', ['toy-zap', '--jobs', '1.5'], /--jobs/],
    ['nothing to shrink by', ['toy-zap', '--shrink', '0'], /--shrink: expected 1 to \d+, got '0'/],
    ['a checkpoint of several tests', ['toy-zap', 'toy-fork', '--checkpoint', 'x'], /--checkpoint needs/],
    ['a checkpoint of several jobs', ['toy-zap', '--jobs', '2', '--checkpoint', 'x'], /--checkpoint needs/],
    [
      'a checkpoint that cannot be written',
      ['toy-migrate-copy-first', '--checkpoint', '/no/such/folder/x', '--strategy', 'exhaustive'],
      /ENOENT/,
    ],
    ['a checkpoint that is none', ['toy-zap', '--checkpoint', EXAMPLE], /lost-update\.ts: no checkpoint/],
  ])('%s', (_name, args, wording) => {
    const { status, stdout, stderr } = pinlab(...args);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(stderr).toMatch(wording);
  });
});

describe('--shrink', () => {
  it('ends early where it is told to, and says so', async () => {
    const early = await run(zapTests[1]!, { shrink: '1' });
    expect(early.text).toMatch(/reachable: schedule .*\n {6}not the shortest perhaps: 1 tried \(--shrink\)/);
    const whole = await run(zapTests[1]!, { shrink: '10000' });
    expect(whole.text).not.toMatch(/perhaps/);
  });

  it('--json says whether it ended early', async () => {
    const fewest = async (shrink: string): Promise<boolean | undefined> => {
      const { text } = await run(zapTests[1]!, { shrink, json: true });
      return (JSON.parse(text) as { tests: { fewest?: boolean }[] }).tests[0]!.fewest;
    };
    expect([await fewest('1'), await fewest('10000')]).toEqual([false, true]);
  });
});

describe('--jobs', () => {
  it.each([
    ['exhaustive', 'toy-zap'],
    ['exhaustive', 'fork-no-seq'],
    ['reduced', 'faults'],
    ['reduced', 'fork'],
  ])('%s: one test in parts, %s: what one thread finds', (strategy, name) => {
    const [one, three] = ['1', '3'].map((jobs) => {
      const { status, stdout } = pinlab(name, '--json', '--strategy', strategy, '--jobs', jobs);
      expect(status).toBe(0);
      return verdicts(stdout)[0]!;
    });
    const facts = ({ verdict, exhaustive, schedules, failures }: Verdict): unknown =>
      strategy === 'reduced' ? { verdict, exhaustive } : { verdict, exhaustive, schedules, failures };
    expect(facts(three!)).toEqual(facts(one!));
    expect(one!.exhaustive).toBe(true);
  });

  it.each(['exhaustive', 'reduced', 'random:1:50'])('%s in two threads counts what one counts', (strategy) => {
    const args = ['toy-fork-no-seq', 'toy-zap', EXAMPLE, '--json', '--strategy', strategy];
    const [one, two] = ['1', '2'].map((jobs) => {
      const { status, stdout } = pinlab(...args, '--jobs', jobs);
      expect(status).toBe(0);
      return verdicts(stdout);
    });
    const facts = (all: Verdict[]): unknown =>
      all.map(({ name, verdict, schedules, failures, exhaustive }) =>
        strategy === 'reduced' ? { name, verdict, exhaustive } : { name, verdict, schedules, failures, exhaustive },
      );
    expect(facts(two!)).toEqual(facts(one!));
  });
});

/** Every schedule, so that a search takes long enough to be looked at. */
const PLAIN = ['--strategy', 'exhaustive'] as const;

describe('--checkpoint', () => {
  it('goes on where it was, ends with the same counts, and leaves no file', () => {
    const name = 'toy-migrate-copy-first';
    const whole = verdicts(pinlab(name, '--json', ...PLAIN).stdout)[0]!;
    const path = join(folder, 'checkpoint');
    const test = migrateTests[1]!;
    const { checkpoint } = explore(test.scenario, { maxSchedules: 50_000 });
    const saved = {
      test: name,
      arch: 'x86_64',
      strategy: '{"kind":"plain"}',
      outcomes: [...test.outcomes!],
      checkpoint,
    };
    writeFileSync(path, JSON.stringify(saved));
    // Not of another search.
    const other = pinlab(name, '--strategy', 'reduced', '--checkpoint', path);
    expect(other).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/the checkpoint of another search/) as string,
    });
    expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual(saved);
    const { status, stdout } = pinlab(name, '--json', ...PLAIN, '--checkpoint', path);
    expect(status).toBe(0);
    expect({ ...verdicts(stdout)[0], seconds: 0 }).toEqual({ ...whole, seconds: 0 });
    expect(existsSync(path)).toBe(false);
  });
});

describe('--checkpoint and a process that is killed', () => {
  it('goes on from what the killed one had written: the same counts, the same failure', {
    timeout: 120_000,
  }, async () => {
    const name = 'toy-migrate-copy-first';
    const whole = verdicts(pinlab(name, '--json', ...PLAIN).stdout)[0]!;
    const path = join(folder, 'killed');
    const args = ['--conditions=@mmkit/source', MAIN, 'litmus', name, '--json', ...PLAIN, '--checkpoint', path];
    const child = spawn(NODE, args, { env: { ...process.env, NODE_OPTIONS: '' }, stdio: 'ignore' });
    const ended = once(child, 'exit');
    while (!existsSync(path) && child.exitCode === null) await setTimeout(1);
    child.kill('SIGKILL');
    expect(await ended).toEqual([null, 'SIGKILL']);
    const { checkpoint } = JSON.parse(readFileSync(path, 'utf8')) as { checkpoint: { schedules: number } };
    expect(checkpoint.schedules).toBeGreaterThan(0);
    expect(checkpoint.schedules).toBeLessThan(whole.schedules);
    const { status, stdout } = pinlab(name, '--json', ...PLAIN, '--checkpoint', path);
    expect(status).toBe(0);
    expect({ ...verdicts(stdout)[0], seconds: 0 }).toEqual({ ...whole, seconds: 0 });
    expect(existsSync(path)).toBe(false);
  });
});

describe('--table', () => {
  it('a search that is reduced by wrong footprints disagrees: exit 1', async () => {
    const liar = litmus('liar', {
      setup: () => ({ sched: createSched({ cpus: 2 }), n: 0, words: [[], []] as [object, object] }),
      tasks: {
        one: function* (s) {
          yield reads(s.sched, 1000, s.words[0]);
          const seen = s.n;
          yield reads(s.sched, 1000, s.words[0]);
          s.n = seen + 1;
        },
        two: function* (s) {
          yield reads(s.sched, 1000, s.words[1]);
          s.n = s.n + 1;
        },
      },
      reach: ({ n }) => (n === 2 ? null : `n is ${n}`),
    });
    const { code, text } = await run(liar, { table: true });
    expect(code).toBe(1);
    expect(text).toMatch(/\| `liar` \| NO AGREEMENT \|/);
  });
});
