/** The program, on rows that take no time; the report; the statistics. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { quantile } from '../src/row.ts';
import { rows } from '../src/rows.ts';
import { formatReport, makeReport, makeResult } from '../src/table.ts';

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));

function bench(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const flags = ['--conditions=@mmkit/source', main, ...args];
  return spawnSync(process.execPath, flags, { encoding: 'utf8', env: { PATH: '/nonexistent' } });
}

describe('the report', () => {
  const row = rows.find(({ name }) => name === 'pin fast, 512 pages')!;
  const measured = { ours: 4.5678, others: { native: 45.678 }, ratio: { native: 0.1 }, spread: [0.9, 1.1] as const };

  it('has the machine, each row with its goals, and what the kernel does besides', () => {
    const report = makeReport([makeResult(row, measured)], [{ name: 'x', why: 'y' }]);
    expect(report.rows[0]).toMatchObject({ ours: 4.57, others: { native: 45.7 }, goal: 5, ratioGoal: 0.1 });
    const text = formatReport(report);
    expect(text).toContain('| pin fast, 512 pages | ns/page | 4.57 | 5 | native 45.7 | 0.1 | 0.1 | 0.9–1.1 |');
    expect(text).toContain('What the kernel does besides:');
    expect(text).toContain('- x: y.');
  });

  it('names are unique', () => {
    expect(new Set(rows.map(({ name }) => name)).size).toBe(rows.length);
  });
});

describe('quantile', () => {
  it('is the median of an odd number of samples, and an extreme at the ends', () => {
    expect(quantile([5, 1, 3], 0.5)).toBe(3);
    expect(quantile([5, 1, 3], 0)).toBe(1);
    expect(quantile([5, 1, 3], 1)).toBe(5);
  });
});

describe('the program', () => {
  it('--json: one document; without gcc the kernel is named as not measured', () => {
    const { status, stdout } = bench('--json', 'metadata');
    expect(status).toBe(0);
    const report = JSON.parse(stdout);
    expect(report.rows).toHaveLength(1);
    expect(report.rows[0]).toMatchObject({ name: 'phys: metadata', ours: 32, others: {}, ratio: {} });
    expect(report.notMeasured[0].name).toBe('the running kernel');
  });

  it('a row nobody knows: one line, exit 2', () => {
    const { status, stderr } = bench('nonsense');
    expect(status).toBe(2);
    expect(stderr).toMatch(/^bench: no row is named nonsense; [^\n]*\n$/);
  });
});
