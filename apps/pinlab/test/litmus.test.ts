import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { type LitmusTest, replay } from '@mmkit/explore';
import { exploreTests } from '../src/litmus/command.ts';
import { archFormat } from '../src/arch.ts';
import { cowTests, litmusTests, tableTests } from '../src/litmus/tests.ts';

const MAIN = resolve(import.meta.dirname, '../src/main.ts');
const NODE = resolve(import.meta.dirname, '../../../node_modules/.bin/node');

interface Verdict {
  name: string;
  expect: string;
  verdict: string;
  schedules: number;
  failures: number;
  exhaustive: boolean;
  schedule?: string;
}

/** Explores tests in a process of its own: the test runner's module loader makes that several times slower. */
function verdictsOf(tests: readonly LitmusTest[], arch: string, strategy: string): Map<string, Verdict> {
  const names = tests.map((test) => test.name);
  const options = ['--arch', arch, '--strategy', strategy, '--json'];
  const run = spawnSync(NODE, ['--conditions=@mmkit/source', MAIN, 'litmus', ...names, ...options], {
    encoding: 'utf8',
  });
  if (run.status !== 0) throw new Error(`exit ${run.status}: ${run.stderr}${run.stdout}`);
  const report = JSON.parse(run.stdout) as { tests: Verdict[] };
  return new Map(report.tests.map((test) => [test.name, test]));
}

const named = (tests: readonly LitmusTest[]): [string, LitmusTest][] => tests.map((test) => [test.name, test]);

describe.each(['x86_64', 'arm64'])('%s: every litmus test on the real packages has the verdict it expects', (arch) => {
  const tour = litmusTests(archFormat(arch));
  const cow = cowTests(archFormat(arch));
  const tables = tableTests(archFormat(arch));
  let verdicts = new Map<string, Verdict>();
  beforeAll(() => {
    verdicts = new Map([...verdictsOf(tour, arch, 'exhaustive'), ...verdictsOf([...cow, ...tables], arch, 'reduced')]);
  }, 240_000);

  it.each(named(tour))('B.15, B.16, B.11: %s, in every schedule', (name, test) => {
    const verdict = verdicts.get(name)!;
    expect(verdict).toMatchObject({ expect: test.expect, verdict: test.expect, exhaustive: true });
    expect(verdict.schedules).toBeGreaterThan(1000);
    if (test.expect === 'never') expect(verdict.failures).toBe(0);
    else expect(replay(test.scenario, verdict.schedule!).message).toMatch(/pinned and/);
  });

  it.each(named([...cow, ...tables]))(
    'C.1, C.3, C.6, C.8, B.11 #7, B.15 #3, N.3: %s, in every schedule but for the order of independent steps',
    (name, test) => {
      const verdict = verdicts.get(name)!;
      expect(verdict).toMatchObject({ expect: test.expect, verdict: test.expect, exhaustive: true });
      if (test.expect === 'never') expect(verdict.failures).toBe(0);
      else expect(replay(test.scenario, verdict.schedule!).message).toMatch(/pinned|has changed|parent stored|is lost/);
    },
  );

  it('each of these has its rule, and at least one kernel without', () => {
    const names = (verdict: string): string[] =>
      [...cow, ...tables].filter((test) => test.expect === verdict).map(({ name }) => name);
    const rules = ['cow', 'dirty-cow', 'vmsplice', 'direct-io', 'table', 'collapse', 'faults'];
    expect(names('never')).toEqual(expect.arrayContaining(rules));
    for (const rule of rules) expect(names('reachable').some((name) => name.startsWith(`${rule}-`))).toBe(true);
  });
});

describe('the command', () => {
  it('exits 1 when a verdict is not the expected one', async () => {
    const toy = litmusTests(archFormat('x86_64')).find((test) => test.name === 'toy-fork-no-seq')!;
    const lines: string[] = [];
    const wrong = { ...toy, expect: 'never' as const };
    const source = { file: null, arch: 'x86_64', name: toy.name };
    const print = (line: string): void => void lines.push(line);
    expect(await exploreTests([{ source, test: wrong }], { arch: 'x86_64' }, print)).toBe(1);
    expect(lines.join('\n')).toMatch(/^WRONG toy-fork-no-seq/);
  });
});
