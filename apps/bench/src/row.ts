/** What a row of the table is, and the little every row needs. */

/** The same operation of the running kernel, done by native/bench.c. */
export interface NativeOp {
  /** Its name there. */
  readonly op: string;
  /** Its argument: pages, or VMAs. */
  readonly pages: number;
  /** What the kernel does in that time and the model does not. */
  readonly besides: string;
}

/** What a row's process finds. */
export interface Measured {
  /** Median over both machines. */
  readonly ours: number;
  /** Medians of what stands beside, by name. */
  readonly others: Readonly<Record<string, number>>;
  /** Medians of ours / other, pair by pair. */
  readonly ratio: Readonly<Record<string, number>>;
  /** The same against the same: first and ninth decile of a ratio that would be 1. */
  readonly spread: readonly [number, number];
}

/** A row made of short samples. */
export interface Row {
  readonly name: string;
  readonly unit: string;
  /** At most this, in `unit`; null: no such goal. */
  readonly goal: number | null;
  /** At most this share of the native time; null: no such goal. */
  readonly ratioGoal: number | null;
  readonly native: NativeOp | null;
  /** Makes one machine (two are made in the process), and gives what takes a sample of it, in `unit`. */
  make(which: number): () => number;
  /** The same of other programs for the same work, by name. */
  readonly beside?: Readonly<Record<string, (which: number) => () => number | Promise<number>>>;
}

/** A row of whole program runs, which measures itself. */
export interface WholeRow {
  readonly name: string;
  readonly unit: string;
  readonly goal: number | null;
  readonly ratioGoal: number | null;
  run(): Promise<Measured>;
}

/** A row that cannot be measured yet, or not here. */
export interface NotMeasured {
  readonly name: string;
  readonly why: string;
}

/** Nanoseconds that `body` takes, over `units`. */
export function time(units: number, body: () => void): number {
  const start = process.hrtime.bigint();
  body();
  return Number(process.hrtime.bigint() - start) / units;
}

/** The same of a body that waits for promises. */
export async function timeAsync(units: number, body: () => Promise<void>): Promise<number> {
  const start = process.hrtime.bigint();
  await body();
  return Number(process.hrtime.bigint() - start) / units;
}

/** Fails unless `got` is `wanted`: a benchmark of a call that did not do its work is worth nothing. */
export function expectCount(got: number, wanted: number): void {
  if (got !== wanted) throw new Error(`expected ${wanted}, got ${got}`);
}

/** The value below which the share `q` of the samples lies. */
export function quantile(samples: readonly number[], q: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]!;
}
