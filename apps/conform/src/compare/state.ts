/** The full state that the lines of an output describe, rebuilt from the deltas (trace format, sections 5 and 8). */
import { PROCESSES } from '../world/world.ts';

/** A run of a `pages` or `pins` line. */
type Run = readonly [at: number, n: number, letters: string, mapcount?: number, digest?: string, ref?: string];
/** An entry of a `pipes` line. */
type PipeEntry = readonly [o: number, len: number, letters: string, mapcount: number, ref?: string];

/** One line of an output. */
interface Line {
  readonly i: number;
  readonly op?: string;
  readonly ret?: number;
  readonly proc?: number;
  readonly vmas?: unknown;
  readonly cnt?: unknown;
  readonly pages?: readonly Run[];
  readonly pins?: readonly (readonly [number, readonly Run[]])[];
  readonly pipes?: readonly (readonly [number, readonly PipeEntry[]])[];
  readonly files?: unknown;
  readonly huge?: unknown;
}

/** A page in two precisions. */
interface PageText {
  /** Everything. */
  readonly full: string;
  /** What level 3 compares: kind, digest, identity. */
  readonly coarse: string;
}

class ProcessState {
  vmas: string;
  cnt: string;
  readonly pages: Map<number, PageText>;

  constructor() {
    this.vmas = '[]';
    this.cnt = '[]';
    this.pages = new Map();
  }
}

/** The state after some operation. */
export class State {
  readonly processes: ProcessState[];
  /** The lists of the `pins` and `pipes` lines, as they are and as level 3 compares them. */
  pins: PageText;
  pipes: PageText;
  /** The lists of the `files` and `huge` lines. */
  rest: Record<string, string>;

  constructor() {
    this.processes = Array.from({ length: PROCESSES }, () => new ProcessState());
    this.pins = { full: '[]', coarse: '' };
    this.pipes = { full: '[]', coarse: '' };
    this.rest = {};
  }
}

/** Takes one observation line into the state. */
export function applyLine(state: State, text: string): void {
  const line = JSON.parse(text) as Line;
  if (line.pins !== undefined) state.pins = pinsText(line.pins);
  else if (line.pipes !== undefined) state.pipes = pipesText(line.pipes);
  else if (line.files !== undefined) state.rest['files'] = JSON.stringify(line.files);
  else if (line.huge !== undefined) state.rest['huge'] = JSON.stringify(line.huge);
  if (line.proc === undefined) return;
  const process = state.processes[line.proc]!;
  if (line.vmas !== undefined) process.vmas = JSON.stringify(line.vmas);
  else if (line.cnt !== undefined) process.cnt = JSON.stringify(line.cnt);
  else for (const run of line.pages ?? []) applyRun(process.pages, run);
}

/** The process has ended. */
export function endProcess(state: State, p: number): void {
  if (p < PROCESSES) state.processes[p] = new ProcessState();
}

function applyRun(pages: Map<number, PageText>, run: Run): void {
  for (let k = 0; k < run[1]; k++) {
    if (run[2] === '') pages.delete(run[0] + k);
    else pages.set(run[0] + k, pageText(run, k));
  }
}

/** Page `k` of a run. */
function pageText([, , letters, mapcount, digest, ref]: Run, k: number): PageText {
  const identity = ref === undefined ? '' : movedRef(ref, k);
  return { full: `${letters} ${mapcount} ${digest} ${identity}`, coarse: `${letters[0]} ${digest} ${identity}` };
}

function movedRef(ref: string, k: number): string {
  const colon = ref.indexOf(':');
  return ref.slice(0, colon + 1) + (Number(ref.slice(colon + 1)) + k);
}

function pinsText(pins: NonNullable<Line['pins']>): PageText {
  const coarse = pins.map(([slot, runs]) => {
    const pages = runs.flatMap((run) => Array.from({ length: run[1] }, (_, k) => pageText(run, k).coarse));
    return `${slot}: ${pages.join()}`;
  });
  return { full: JSON.stringify(pins), coarse: coarse.join(';') };
}

function pipesText(pipes: NonNullable<Line['pipes']>): PageText {
  const coarse = pipes.map(([slot, entries]) => {
    const parts = entries.map(([, len, letters, , ref = '']) => `${len} ${letters[0]} ${ref}`);
    return `${slot}: ${parts.join()}`;
  });
  return { full: JSON.stringify(pipes), coarse: coarse.join(';') };
}

/** The highest level at which two states agree when the result lines do: 1 to 4 (trace format, section 8). */
export function agreement(a: State, b: State): number {
  const each = <T>(pick: (process: ProcessState, other: ProcessState) => T): T[] =>
    a.processes.map((process, p) => pick(process, b.processes[p]!));
  if (each((x, y) => x.vmas === y.vmas).includes(false)) return 1;
  if (each((x, y) => samePages(x.pages, y.pages, 'coarse')).includes(false)) return 2;
  if (a.pins.coarse !== b.pins.coarse || a.pipes.coarse !== b.pipes.coarse) return 2;
  if (each((x, y) => x.cnt === y.cnt && samePages(x.pages, y.pages, 'full')).includes(false)) return 3;
  if (a.pins.full !== b.pins.full || a.pipes.full !== b.pipes.full) return 3;
  return JSON.stringify(a.rest) === JSON.stringify(b.rest) ? 4 : 3;
}

function samePages(a: Map<number, PageText>, b: Map<number, PageText>, precision: keyof PageText): boolean {
  if (a.size !== b.size) return false;
  for (const [at, page] of a) if (b.get(at)?.[precision] !== page[precision]) return false;
  return true;
}
