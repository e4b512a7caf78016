/** `conform cases`: runs cases in the model and says how far it answers as Linux did. */
import { BadInput, EXIT_DIFFERENT, EXIT_OK } from '../exit.ts';
import { readText } from '../records.ts';
import { KERNELS, parseCases } from './parse.ts';
import type { Kernel } from './parse.ts';
import { runCase } from './run.ts';
import type { CaseReport } from './run.ts';
import { BadStep } from './world.ts';

export interface CasesOptions {
  readonly kernel?: string;
  readonly out?: string;
  readonly json?: boolean;
}

/** How the cases of an area went. */
export interface AreaFigures {
  readonly area: string;
  readonly cases: number;
  /** Run: the model has all that they ask for. */
  readonly run: number;
  readonly agree: number;
}

/** Runs all cases of a file: an exit code. */
export function casesCommand(
  path: string,
  options: CasesOptions,
  print: (text: string) => void,
  write: (path: string, text: string) => void,
): number {
  const kernel = KERNELS.find((one) => one === options.kernel) ?? null;
  if (options.kernel !== undefined && kernel === null) {
    throw new BadInput(`--kernel: expected ${KERNELS.join(' or ')}, got ${options.kernel}`);
  }
  const reports = runCases(path, readText(path), kernel);
  if (options.out !== undefined) {
    const results = reports.map((report) => ({ id: report.id, results: report.results }));
    try {
      write(options.out, `${JSON.stringify({ results })}\n`);
    } catch (error) {
      throw new BadInput(
        `${options.out}: cannot be written: ${(error as NodeJS.ErrnoException).code ?? String(error)}`,
      );
    }
  }
  const areas = figuresOf(reports);
  const differences = reports.filter((report) => report.difference !== null);
  if (options.json === true) {
    const list = differences.map(({ id, difference }) => ({ id, ...difference }));
    print(`${JSON.stringify({ areas, notBuilt: missingOf(reports), differences: list }, null, 2)}\n`);
  } else print(reportText(areas, missingOf(reports), differences));
  return differences.length === 0 ? EXIT_OK : EXIT_DIFFERENT;
}

/** The reports of a file's cases, each under the kernel it was observed on, or all under `kernel`. */
export function runCases(path: string, text: string, kernel: Kernel | null): CaseReport[] {
  return parseCases(path, text, kernel).map((one) => {
    try {
      return runCase(one, kernel ?? one.observedOn);
    } catch (error) {
      throw error instanceof BadStep ? new BadInput(`${path}: case ${one.id}: ${error.message}`) : error;
    }
  });
}

/** Figures by area, in the order of the file, then of all. */
export function figuresOf(reports: readonly CaseReport[]): AreaFigures[] {
  const areas = [...new Set(reports.map(({ area }) => area))];
  return [...areas, 'all'].map((area) => {
    const own = reports.filter((report) => area === 'all' || report.area === area);
    const run = own.filter(({ notBuilt }) => notBuilt === null);
    const agree = run.filter(({ difference }) => difference === null);
    return { area, cases: own.length, run: run.length, agree: agree.length };
  });
}

/** What is not built, and how many cases ask for it. */
function missingOf(reports: readonly CaseReport[]): Record<string, number> {
  const missing: Record<string, number> = {};
  for (const { notBuilt } of reports) if (notBuilt !== null) missing[notBuilt] = (missing[notBuilt] ?? 0) + 1;
  return missing;
}

function reportText(
  areas: readonly AreaFigures[],
  missing: Readonly<Record<string, number>>,
  differences: readonly CaseReport[],
): string {
  const rows = areas.map(({ area, cases, run, agree }) => `| ${area} | ${cases} | ${run} | ${agree} |\n`).join('');
  const list = Object.entries(missing).map(([what, count]) => `not built: ${what} (${count} cases)\n`);
  const lines = differences.map(({ id, difference }) => {
    const { step, expected, got } = difference!;
    return `${id}: ${step}\n  expected ${expected}\n  got      ${got}\n`;
  });
  return `| area | cases | run | agree |\n| --- | --- | --- | --- |\n${rows}\n${list.join('')}\n${lines.join('')}`;
}
