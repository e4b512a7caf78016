/** Figures of many reports: agreement by profile and level. */
import { LEVELS } from './compare/compare.ts';
import type { Report } from './replay.ts';

/** Agreement of a profile at one level. */
export interface LevelFigures {
  /** Traces of which all operations agree. */
  readonly traces: number;
  /** Operations before the first difference of their trace. */
  readonly before: number;
  /** Operations that agree. */
  readonly agree: number;
}

export interface ProfileFigures {
  readonly profile: string;
  readonly traces: number;
  readonly ops: number;
  /** By level − 1. */
  readonly levels: readonly LevelFigures[];
}

/** The figures by profile, in the order the profiles come in; the last is of all. */
export function summarize(reports: readonly Report[]): ProfileFigures[] {
  const profiles = [...new Set(reports.map((report) => report.profile))];
  const figures = profiles.map((profile) =>
    figuresOf(
      profile,
      reports.filter((one) => one.profile === profile),
    ),
  );
  return [...figures, figuresOf('all', reports)];
}

/** True when all operations of the trace, and the observation before them, agree at level `k` + 1. */
export function agreesAt(report: Report, k: number): boolean {
  return report.agree[k] === report.ops && report.before[k] === report.ops;
}

function figuresOf(profile: string, reports: readonly Report[]): ProfileFigures {
  const sum = (pick: (report: Report) => number): number => reports.reduce((total, report) => total + pick(report), 0);
  const levels = Array.from({ length: LEVELS }, (_, k) => ({
    traces: sum((report) => (agreesAt(report, k) ? 1 : 0)),
    before: sum((report) => report.before[k]!),
    agree: sum((report) => report.agree[k]!),
  }));
  return { profile, traces: reports.length, ops: sum((report) => report.ops), levels };
}

/** A Markdown table: of each level the traces, and the share of operations before the first difference, and in all. */
export function figuresTable(figures: readonly ProfileFigures[]): string {
  const head = ['profile', 'traces', ...Array.from({ length: LEVELS }, (_, k) => `level ${k + 1}`)];
  const rows = figures.map(({ profile, traces, ops, levels }) => {
    const cells = levels.map((level) => `${level.traces} (${share(level.before, ops)}, ${share(level.agree, ops)})`);
    return [profile, String(traces), ...cells];
  });
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

/** Percent, rounded down: what is not all is never 100 %. */
function share(part: number, whole: number): string {
  return whole === 0 ? '–' : `${Math.floor((part / whole) * 100)} %`;
}
