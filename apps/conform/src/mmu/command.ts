/** `conform mmu`: recorded probes of MMUs against our walker. */
import { BadInput, EXIT_DIFFERENT, EXIT_OK } from '../exit.ts';
import { readText } from '../records.ts';
import { answerCase } from './answer.ts';
import type { Ram } from './answer.ts';
import { compareCase } from './compare.ts';
import type { Difference } from './compare.ts';
import { Figures, groupsTable } from './figures.ts';
import { parseProbes } from './read.ts';

export interface MmuOptions {
  readonly json?: boolean;
  readonly out?: string;
}

/** Answers the probes of files, prints how far the answers agree, and with `--out` writes them; returns the exit code. */
export function mmuCommand(
  paths: readonly string[],
  options: MmuOptions,
  print: (text: string) => void,
  write: (path: string, text: string) => void,
): number {
  const figures = new Figures();
  const differences: Difference[] = [];
  const lines: string[] = [];
  const ram: Ram = new Map();
  // All files are read before the first answer: a broken one costs nothing.
  for (const { header, cases } of paths.flatMap((path) => parseProbes(path, readText(path)))) {
    lines.push(JSON.stringify({ ...header, backend: 'mmkit' }));
    for (const one of cases) {
      const results = answerCase(header.arch, one, ram);
      const found = compareCase(header.arch, one, results);
      figures.add(header.arch, one, found.length);
      differences.push(...found);
      lines.push(JSON.stringify({ ...one, results }));
    }
  }
  if (options.out !== undefined) writeLines(options.out, lines, write);
  const groups = figures.list();
  if (options.json === true) print(`${JSON.stringify({ groups, differences }, null, 2)}\n`);
  else {
    print(`${groupsTable(groups)}\n${differences.length > 0 ? '\n' : ''}${differences.map(differenceText).join('')}`);
  }
  return differences.length === 0 ? EXIT_OK : EXIT_DIFFERENT;
}

export function differenceText({ id, index, probe, expected, got }: Difference): string {
  const [va, access, who, flags] = probe;
  const state = Object.entries(flags ?? {}).map(([name, value]) => ` ${name}=${value}`);
  const sides = `expected ${JSON.stringify(expected)}, got ${JSON.stringify(got)}`;
  return `${id} probe ${index}: ${va} ${access} ${who}${state.join('')}: ${sides}\n`;
}

export function writeLines(path: string, lines: readonly string[], write: (path: string, text: string) => void): void {
  try {
    write(path, lines.map((line) => `${line}\n`).join(''));
  } catch (error) {
    throw new BadInput(`${path}: cannot be written: ${(error as NodeJS.ErrnoException).code ?? String(error)}`);
  }
}
