/** `conform dump`: page tables of running kernels, walked. */
import { BadInput, EXIT_DIFFERENT, EXIT_OK } from '../exit.ts';
import { compareProcess } from './compare.ts';
import type { ProcessFigures } from './compare.ts';
import { readDump } from './read.ts';
import { walkProcess } from './walk.ts';

export interface DumpOptions {
  readonly json?: boolean;
  readonly out?: string;
}

/** Walks every address of a dump, prints how far that agrees, and with `--out` writes the walks. Returns the exit code. */
export async function dumpCommand(
  path: string,
  options: DumpOptions,
  print: (text: string) => void,
  write: (path: string, text: string) => void,
): Promise<number> {
  const recorded = await readDump(path);
  const walked = recorded.processes.map((process) => ({ process, walk: walkProcess(recorded, process) }));
  if (options.out !== undefined) {
    const processes = walked.map(({ process: { pid }, walk }) => ({ pid, walk }));
    writeOut(options.out, `${JSON.stringify({ processes })}\n`, write);
  }
  const figures = walked.map(({ process, walk }) => compareProcess(process, walk));
  const sum = (key: 'compared' | 'agree'): number => figures.reduce((total, one) => total + one[key], 0);
  const all = { compared: sum('compared'), agree: sum('agree') };
  const differences = figures.flatMap((one) => one.differences);
  if (options.json === true) {
    const processes = figures.map(({ pid, compared, agree }) => ({ pid, compared, agree }));
    print(`${JSON.stringify({ processes, all, differences }, null, 2)}\n`);
  } else {
    print(`${table(figures, all)}\n${differences.length > 0 ? '\n' : ''}`);
    for (const { pid, va, source, expected, got } of differences) {
      print(`pid ${pid}: ${va} ${source}: expected ${expected}, got ${got}\n`);
    }
  }
  return differences.length === 0 ? EXIT_OK : EXIT_DIFFERENT;
}

function table(figures: readonly ProcessFigures[], all: { compared: number; agree: number }): string {
  const rows = [
    ['process', 'compared', 'agree'],
    ['---', '---', '---'],
    ...figures.map(({ pid, compared, agree }) => [pid, compared, agree]),
    ['all', all.compared, all.agree],
  ];
  return rows.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function writeOut(path: string, text: string, write: (path: string, text: string) => void): void {
  try {
    write(path, text);
  } catch (error) {
    throw new BadInput(`${path}: cannot be written: ${(error as NodeJS.ErrnoException).code ?? String(error)}`);
  }
}
