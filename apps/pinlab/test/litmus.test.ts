import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { replay } from '@mmkit/explore';
import { exploreTests } from '../src/litmus/command.ts';
import { archFormat } from '../src/arch.ts';
import { litmusTests } from '../src/litmus/tests.ts';

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

describe.each(['x86_64', 'arm64'])(
  '%s: B.15, B.16, B.11: every litmus test, explored to the end, has the verdict it expects',
  (arch) => {
    const tests = litmusTests(archFormat(arch));
    let verdicts = new Map<string, Verdict>();
    beforeAll(() => {
      // In a process of its own: the test runner's module loader makes exploring several times slower.
      const run = spawnSync(
        NODE,
        ['--conditions=@mmkit/source', MAIN, 'litmus', ...tests.map((test) => test.name), '--arch', arch, '--json'],
        {
          encoding: 'utf8',
        },
      );
      if (run.status !== 0) throw new Error(`exit ${run.status}: ${run.stderr}${run.stdout}`);
      const report = JSON.parse(run.stdout) as { tests: Verdict[] };
      verdicts = new Map(report.tests.map((test) => [test.name, test]));
    }, 240_000);

    it.each(tests.map((test) => [test.name, test] as const))('%s', (name, test) => {
      const verdict = verdicts.get(name)!;
      expect(verdict).toMatchObject({ expect: test.expect, verdict: test.expect, exhaustive: true });
      expect(verdict.schedules).toBeGreaterThan(1000);
      if (test.expect === 'never') expect(verdict.failures).toBe(0);
      else expect(replay(test.scenario, verdict.schedule!).message).toMatch(/pinned and/);
    });
  },
);

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
