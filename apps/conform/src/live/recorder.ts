/** The running kernel: a C program, built on the spot, runs traces on it and prints what it did in the same format. */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BadInput } from '../exit.ts';
import type { Trace } from '../trace/parse.ts';

/** The sources lie beside this file's folder, built or not. */
const NATIVE = import.meta.url.endsWith('.ts') ? '../../native/' : '../native/';
const SOURCES = ['record', 'record-trace', 'record-world', 'record-ops', 'record-ring', 'record-observe'];
const HUGE_PAGES = '/sys/kernel/mm/transparent_hugepage/';
/** A run that hangs is ended after this, ms; it may hold a few hundred traces. */
const TIME_LIMIT = 600_000;
/** Most bytes of the outputs of one run. */
const MAX_OUTPUT = 2 ** 30;

/** Operations that need what a recording does not set up. */
const NOT_RECORDED: ReadonlySet<string> = new Set(
  'swapoff swapon ksm uffd uclose ureg uunreg ucopy uzero ucont umove upoison uwp'.split(' '),
);

/** Why no trace can be recorded here, or null. */
export function whyNoRecorder(): string | null {
  if (process.platform !== 'linux') return `needs Linux, this is ${process.platform}`;
  if (process.arch !== 'x64') return `needs x86-64, this is ${process.arch}`;
  if (process.getuid?.() !== 0) return 'needs root';
  for (const path of ['/proc/kpageflags', '/proc/kpagecount', '/dev/loop-control']) {
    try {
      accessSync(path, constants.R_OK);
    } catch {
      return `needs ${path}`;
    }
  }
  for (const [program, option] of [
    ['gcc', '--version'],
    ['mkfs.ext4', '-V'],
  ] as const) {
    if (spawnSync(program, [option]).status !== 0) return `needs ${program}`;
  }
  return null;
}

/** The recorder, ready. `close` removes its files. */
export class Recorder {
  readonly folder: string;
  readonly program: string;
  /** Why the last trace that did not come to its end did not. */
  complaint: string;

  /** BadInput when something is missing. */
  constructor() {
    const missing = whyNoRecorder();
    if (missing !== null) throw new BadInput(`the running kernel: ${missing}`);
    this.complaint = '';
    this.folder = mkdtempSync(join(tmpdir(), 'mmkit-record-'));
    this.program = join(this.folder, 'record');
    const sources = SOURCES.map((name) => fileURLToPath(new URL(`${NATIVE}${name}.c`, import.meta.url)));
    const { status, stderr } = spawnSync('gcc', ['-O2', '-static', '-o', this.program, ...sources], {
      encoding: 'utf8',
    });
    if (status !== 0) {
      this.close();
      throw new BadInput(`gcc: ${stderr.split('\n')[0]}`);
    }
  }

  /** The outputs of traces that `checkRecordable` let pass. BadInput when one of them does not come to its end. */
  run(traces: readonly string[]): string[] {
    return this.outputs(traces).map((output, i) => {
      if (output === null)
        throw new BadInput(`the running kernel: trace ${i + 1} of ${traces.length}: ${this.complaint}`);
      return output;
    });
  }

  /** The same, null for a trace that does not come to its end. */
  outputs(traces: readonly string[]): (string | null)[] {
    const input = traces.map((text) => `${text.trimEnd()}\nend\n`).join('');
    const { stdout, stderr } = spawnSync(this.program, [this.folder], {
      input,
      encoding: 'utf8',
      timeout: TIME_LIMIT,
      killSignal: 'SIGKILL',
      maxBuffer: MAX_OUTPUT,
    });
    this.complaint = stderr === '' ? 'it took too long' : stderr.split('\n')[0]!;
    const outputs = stdout.split(/end (\d+)\n/);
    return traces.map((_, i) => (outputs[2 * i + 1] === '0' ? outputs[2 * i]! : null));
  }

  close(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** BadInput for a trace that this machine, or the recorder at all, cannot run. */
export function checkRecordable(trace: Trace): void {
  const op = trace.ops.find(({ name, words }) => NOT_RECORDED.has(name) || words.includes('hugetlb'));
  if (op !== undefined) throw new BadInput(`cannot be recorded: ${op.text}`);
  if (trace.swap !== 'none') throw new BadInput(`cannot be recorded: swap=${trace.swap}`);
  if (trace.hugepages >= 0 || trace.files.some(({ kind }) => kind === 'hugetlb')) {
    throw new BadInput('cannot be recorded: a pool of huge pages');
  }
  if (trace.thp === 'never') return;
  for (const name of ['enabled', 'defrag']) {
    if (!readFileSync(`${HUGE_PAGES}${name}`, 'utf8').includes('[madvise]')) {
      throw new BadInput(`the running kernel: thp=madvise needs madvise in ${HUGE_PAGES}${name}`);
    }
  }
}
