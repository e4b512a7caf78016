/** The result as a document and as a table. */
import { cpus, release } from 'node:os';
import type { Measured, NotMeasured, Row, WholeRow } from './row.ts';

export interface RowResult extends Measured {
  readonly name: string;
  readonly unit: string;
  readonly goal: number | null;
  readonly ratioGoal: number | null;
  /** What the kernel does besides. */
  readonly besides?: string;
}

export interface Report {
  readonly machine: { readonly cpu: string; readonly cpus: number; readonly kernel: string; readonly node: string };
  readonly rows: readonly RowResult[];
  readonly notMeasured: readonly NotMeasured[];
}

export function makeReport(rows: readonly RowResult[], notMeasured: readonly NotMeasured[]): Report {
  const list = cpus();
  const machine = {
    cpu: list[0]?.model ?? 'unknown',
    cpus: list.length,
    kernel: `${process.platform} ${release()}`,
    node: process.version,
  };
  return { machine, rows, notMeasured };
}

export function makeResult(row: Row | WholeRow, measured: Measured): RowResult {
  const { name, unit, goal, ratioGoal } = row;
  const native = 'native' in row ? row.native : null;
  return {
    name,
    unit,
    goal,
    ours: round(measured.ours),
    others: roundAll(measured.others),
    ratio: roundAll(measured.ratio),
    ratioGoal,
    spread: [round(measured.spread[0]), round(measured.spread[1])],
    ...(native === null ? {} : { besides: native.besides }),
  };
}

/** Three significant digits. */
function round(value: number): number {
  return Number(value.toPrecision(3));
}

function roundAll(values: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, round(value)]));
}

/** The report as a Markdown table. */
export function formatReport(report: Report): string {
  const { machine, rows, notMeasured } = report;
  const lines = [
    `${machine.cpus} × ${machine.cpu}, ${machine.kernel}, Node ${machine.node}`,
    '',
    '| operation | unit | ours | goal | beside it | ratio | goal | A/A |',
    '|---|---|---|---|---|---|---|---|',
  ];
  for (const row of rows) {
    const beside = Object.entries(row.others).map(([name, value]) => `${name} ${value}`);
    const ratio = Object.values(row.ratio).join(', ');
    const cells = [row.name, row.unit, row.ours, row.goal ?? '–', beside.join(', ') || '–', ratio || '–'];
    lines.push(`| ${cells.join(' | ')} | ${row.ratioGoal ?? '–'} | ${row.spread.join('–')} |`);
  }
  const besides = new Map<string, string[]>();
  for (const { name, besides: what } of rows) {
    if (what !== undefined) besides.set(what, [...(besides.get(what) ?? []), name]);
  }
  if (besides.size > 0) lines.push('', 'What the kernel does besides:', '');
  for (const [what, names] of besides) lines.push(`- ${names.join(', ')}: ${what}.`);
  if (notMeasured.length > 0) lines.push('', 'Not measured:', '');
  for (const { name, why } of notMeasured) lines.push(`- ${name}: ${why}.`);
  return lines.join('\n');
}
