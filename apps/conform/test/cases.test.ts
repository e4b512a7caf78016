/** The recorded cases: as many agree as the last time somebody looked; the language's errors; the command. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { figuresOf, runCases } from '../src/cases/command.ts';
import { readText } from '../src/records.ts';

const CASES = resolve(import.meta.dirname, '../data/cases/cases.json.gz');
const MAIN = resolve(import.meta.dirname, '../src/main.ts');
const NODE = resolve(import.meta.dirname, '../../../node_modules/.bin/node');

/** Cases, those that the model can run, and of these the ones that agree. More may, never fewer. */
const FLOORS: Readonly<Record<string, readonly [cases: number, run: number, agree: number]>> = {
  cow: [130, 103, 103],
  longterm: [131, 89, 89],
  shortterm: [15, 14, 14],
  pin: [8, 4, 4],
  fork: [8, 6, 6],
  populate: [22, 17, 17],
  mlock: [10, 9, 9],
  mremap: [11, 10, 10],
  merge: [27, 27, 27],
  guard: [13, 13, 13],
  force: [29, 22, 20],
  uffd: [15, 0, 0],
  misc: [14, 9, 8],
  all: [433, 323, 320],
};

/** A file of one case. */
function file(setup: string[], action: string[], more: object = {}): string {
  const expected = action.map((op, step) => ({ step, op, result: 'ok' }));
  const one = { id: 'a.b', observedOn: 'linux-6.18.44 x86-64', setup, action, expect: expected, ...more };
  return JSON.stringify({ format: 'mmx-cases/1', cases: [one] });
}

function answers(setup: string[], action: string[]): readonly string[] {
  return runCases('f', file(setup, action), null)[0]!.results;
}

describe('recorded cases', () => {
  it('agree, each on the kernel it was observed on', () => {
    const figures = figuresOf(runCases(CASES, readText(CASES), null));
    expect(figures.map(({ area }) => area)).toEqual(Object.keys(FLOORS));
    for (const { area, cases, run, agree } of figures) {
      const [all, runs, agrees] = FLOORS[area]!;
      expect([area, cases]).toEqual([area, all]);
      expect(run, `${area}: run`).toBeGreaterThanOrEqual(runs);
      expect(agree, `${area}: agree`).toBeGreaterThanOrEqual(agrees);
    }
  }, 60_000);

  it.each([
    ['6.18', 324],
    ['6.12', 330],
  ] as const)(
    'under %s, with what differs there, so many agree',
    (kernel, floor) => {
      const all = figuresOf(runCases(CASES, readText(CASES), kernel)).at(-1)!;
      expect(all.agree).toBeGreaterThanOrEqual(floor);
    },
    60_000,
  );

  it('the kernel decides: guards there are on 6.18 alone (differsOn)', () => {
    const text = file(['mmap A anon 2 rw'], ['madvise A 0 1 GUARD_INSTALL', 'r A 0']);
    expect(runCases('f', text, '6.18')[0]!.results).toEqual(['ok', 'SIGSEGV']);
    expect(runCases('f', text, '6.12')[0]!.results).toEqual(['EINVAL', '0']);
  });
});

describe('the language', () => {
  it('children inherit regions; handles and frames are everybody’s; a dead process is no process', () => {
    const steps = ['fork', 'snap S A 0', 'p1.?same S A 0', 'p1.w A 0 9', 'p1.?same S A 0', 'r A 0', 'p1.exit'];
    expect(answers(['mmap A anon 2 rw', 'fill A 3'], steps)).toEqual([
      'ok',
      'ok',
      'same-frame',
      'ok',
      'other-frame',
      '3',
      'ok',
    ]);
    expect(() => answers(['mmap A anon 1 rw'], ['p1.r A 0'])).toThrow('f: case a.b: step "p1.r A 0": no process p1');
  });

  it('a name that nothing has: nohandle; places and hints', () => {
    expect(
      answers(
        ['mmap Z anon 8 -'],
        ['unpin H', 'gunpin G', 'mmap A anon 2 rw fixed=Z+3', '?vmas Z', 'mmap B anon 1 rw noreplace=Z+0'],
      ),
    ).toEqual(['nohandle:H', 'nohandle:G', 'ok at-hint', '[0-3 ---p][3-5 rw-p][5-8 ---p]', 'EEXIST']);
  });

  it('what the model lacks is said, and no answer of a case that needs it counts', () => {
    const [report] = runCases('f', file(['mmap A htlb 512 rw'], ['r A 0', 'fork']), null);
    expect([report!.notBuilt, report!.results, report!.difference]).toEqual([
      'hugetlb',
      ['not built: hugetlb', 'not built: hugetlb'],
      null,
    ]);
    expect(answers(['mmap A anon 1 rw', 'fill A 1'], ['madvise A 0 1 PAGEOUT'])).toEqual(['not built: swap']);
  });

  it.each([
    ['{', 'f: expected a JSON document of cases'],
    ['{}', 'f: expected {"format":"mmx-cases/1","cases":[…]}'],
    [file([], ['r A 0']), 'f: case a.b: step "r A 0": no region A'],
    [
      file(['mmap A anon x rw'], ['fork']),
      'f: case a.b: step "mmap A anon x rw": argument 3: expected an integer, got x',
    ],
    [file(['mmap A gold 1 rw'], ['fork']), 'f: case a.b: step "mmap A gold 1 rw": no kind of memory gold'],
    [file([], ['dance']), 'f: case a.b: step "dance": expected a word of the language, got dance'],
    [file([], ['fork'], { expect: [] }), 'f: case a.b: step 0 (fork): expected an answer in "expect"'],
    [
      file([], ['fork'], { observedOn: 'linux-2.4' }),
      'f: case a.b: expected "observedOn" one of linux-6.18, linux-6.12',
    ],
    [file([], ['fork'], { setup: 5 }), 'f: case a.b: expected "setup", "action" and "expect"'],
    [file(['mmap A anon 1 rw'], ['madvise A 0 1 DANCE']), 'f: case a.b: step "madvise A 0 1 DANCE": no advice DANCE'],
  ])('%s: one line that names file, case and step', (text, message) => {
    expect(() => runCases('f', text, null)).toThrow(message);
  });
});

describe('conform cases', () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'conform-cases-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  function conform(...args: string[]): { status: number | null; stdout: string; stderr: string } {
    const env = { ...process.env, NODE_OPTIONS: '' };
    return spawnSync(NODE, ['--conditions=@mmkit/source', MAIN, 'cases', ...args], { encoding: 'utf8', env });
  }

  it('prints figures by area, writes our answers; exit 1 when one differs, 2 for bad input', () => {
    const path = join(folder, 'cases.json');
    writeFileSync(path, file(['mmap A anon 1 rw'], ['w A 0 1', 'r A 0']));
    const out = join(folder, 'out.json');
    const { status, stdout } = conform(path, '--out', out);
    expect(status).toBe(1);
    expect(stdout).toContain('| a | 1 | 1 | 0 |\n| all | 1 | 1 | 0 |\n');
    expect(stdout).toContain('a.b: r A 0\n  expected ok\n  got      1\n');
    expect(JSON.parse(readFileSync(out, 'utf8'))).toEqual({ results: [{ id: 'a.b', results: ['ok', '1'] }] });
    expect(conform(path, '--kernel', '5.4')).toMatchObject({
      status: 2,
      stderr: 'conform: --kernel: expected 6.18 or 6.12, got 5.4\n',
    });
    expect(conform(join(folder, 'none'))).toMatchObject({ status: 2 });
    expect(JSON.parse(conform(path, '--json').stdout)).toMatchObject({ differences: [{ id: 'a.b', got: '1' }] });
  });
});
