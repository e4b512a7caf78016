/** The running kernel's side: native/bench.c, built on the spot and asked sample by sample. */
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** What building gave: a program, or why there is none. */
export interface Built {
  readonly program: string | null;
  readonly why: string;
}

/** Builds the program into a temporary folder. */
export function buildNative(): Built {
  if (process.platform !== 'linux') return { program: null, why: 'not a Linux host' };
  const source = fileURLToPath(new URL('../native/bench.c', import.meta.url));
  const program = join(mkdtempSync(join(tmpdir(), 'mmkit-bench-')), 'bench');
  const { status, error, stderr } = spawnSync('gcc', ['-O2', '-o', program, source], { encoding: 'utf8' });
  if (error !== undefined) return { program: null, why: 'no gcc' };
  return status === 0 ? { program, why: '' } : { program: null, why: `gcc: ${stderr.split('\n')[0]}` };
}

/** The program, running. */
export class Native {
  readonly child: ChildProcessWithoutNullStreams;
  readonly lines: AsyncIterator<string>;

  constructor(program: string) {
    this.child = spawn(program);
    this.lines = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
  }

  /** One sample, ns; null when the kernel refuses it. */
  async ask(op: string, pages: number): Promise<number | null> {
    this.child.stdin.write(`${op} ${pages}\n`);
    const { value, done } = await this.lines.next();
    if (done === true) throw new Error('the native program has ended');
    return value === '-' ? null : Number(value);
  }

  end(): void {
    this.child.stdin.end();
  }
}
