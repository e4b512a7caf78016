import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { formatTimeline, replay } from '@mmkit/explore';
import { archFormat } from '../src/arch.ts';
import { allTests } from '../src/litmus/tests.ts';

const MAIN = resolve(import.meta.dirname, '../src/main.ts');
const NODE = resolve(import.meta.dirname, '../../../node_modules/.bin/node');

/** Those with few enough schedules to run them all here; the others run reduced in litmus.test.ts. */
const small = allTests(archFormat('x86_64')).filter(({ name }) => /^(toy|rwsem)-|^zap(-no-recheck)?$/.test(name));

interface Row {
  answer: string;
  plain: number;
  reduced: number;
}

describe('B.11, B.15, B.16, N.11, N.12, N.18: each race with its rule and without it, plain and reduced', () => {
  const rows = new Map<string, Row>();
  beforeAll(() => {
    // In a process of its own: the test runner's module loader makes exploring several times slower.
    const args = ['--conditions=@mmkit/source', MAIN, 'litmus', ...small.map(({ name }) => name), '--table'];
    const { stdout, stderr } = spawnSync(NODE, args, { encoding: 'utf8' });
    for (const line of stdout.split('\n').slice(2, -1)) {
      const [, name, answer, plain, , reduced] = line.split('|').map((cell) => cell.trim().replace(/[`,]/g, ''));
      rows.set(name!, { answer: answer!, plain: Number(plain), reduced: Number(reduced) });
    }
    if (rows.size !== small.length) throw new Error(`${stderr}${stdout}`);
  }, 240_000);

  it.each(small.map((test) => [test.name, test.expect] as const))('%s: %s, both searches say', (name, expected) => {
    const { answer, plain, reduced } = rows.get(name)!;
    expect(answer).toBe(expected === 'never' ? 'no' : 'reachable');
    expect(reduced).toBeLessThan(plain);
    // What the reduction is for.
    if (plain > 10_000) expect(reduced).toBeLessThanOrEqual(plain / 10);
  });

  it('at least two are large enough to need the reduction', () => {
    expect([...rows.values()].filter(({ plain }) => plain > 10_000).length).toBeGreaterThanOrEqual(2);
  });

  it('every rule has its pair', () => {
    const count = (wanted: string): number => small.filter((test) => test.expect === wanted).length;
    expect(count('never')).toBe(count('reachable'));
  });
});

describe('timelines name every point', () => {
  it.each(small.map((test) => [test.name, test] as const))('%s', (_name, test) => {
    expect(formatTimeline(replay(test.scenario, ''))).not.toMatch(/point \d|undefined/);
  });
});
