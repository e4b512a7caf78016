/**
 * Measuring one row, in a process of its own: two machines, warmed up; then pairs, each a sample of either machine and one
 * of the native program, right after each other, so that what else the computer does falls on all three alike.
 */
import { Native } from './native.ts';
import { type Measured, quantile, type Row } from './row.ts';

const PAIRS = 41;
/** Samples are thrown away until this time has passed, ns. */
const WARM_UP = 300_000_000n;

/** Another program for the same work, on two machines of its own. */
class Beside {
  readonly name: string;
  readonly samples: number[] = [];
  readonly ratios: number[] = [];
  readonly #machines: readonly [() => number | Promise<number>, () => number | Promise<number>];

  constructor(name: string, first: () => number | Promise<number>, second: () => number | Promise<number>) {
    this.name = name;
    this.#machines = [first, second];
  }

  async take(): Promise<number> {
    return ((await this.#machines[0]()) + (await this.#machines[1]())) / 2;
  }

  /** One more pair: `ours` was measured just before. */
  async add(ours: number): Promise<void> {
    const theirs = await this.take();
    this.samples.push(theirs);
    this.ratios.push(ours / theirs);
  }
}

export async function measure(row: Row, program: string | null): Promise<Measured> {
  const machines = [row.make(0), row.make(1)] as const;
  const beside = Object.entries(row.beside ?? {}).map(([name, make]) => new Beside(name, make(0), make(1)));
  const start = process.hrtime.bigint();
  while (process.hrtime.bigint() - start < WARM_UP) {
    for (const sample of machines) sample();
    for (const other of beside) await other.take();
  }
  const native = program === null || row.native === null ? null : new Native(program);
  const ours: number[] = [];
  const theirs: number[] = [];
  const ratios: number[] = [];
  const same: number[] = [];
  for (let i = 0; i < PAIRS; i++) {
    // Who comes first changes from pair to pair.
    const first = i & 1;
    const a = machines[first]!();
    const b = machines[1 - first]!();
    ours.push(a, b);
    same.push(first === 0 ? a / b : b / a);
    const kernel = native === null ? null : await native.ask(row.native!.op, row.native!.pages);
    if (kernel !== null) {
      theirs.push(kernel);
      ratios.push((a + b) / 2 / kernel);
    }
    for (const other of beside) await other.add((a + b) / 2);
  }
  native?.end();
  const others = Object.fromEntries(beside.map((other) => [other.name, quantile(other.samples, 0.5)]));
  const ratio = Object.fromEntries(beside.map((other) => [other.name, quantile(other.ratios, 0.5)]));
  return {
    ours: quantile(ours, 0.5),
    others: theirs.length === 0 ? others : { native: quantile(theirs, 0.5), ...others },
    ratio: ratios.length === 0 ? ratio : { native: quantile(ratios, 0.5), ...ratio },
    spread: [quantile(same, 0.1), quantile(same, 0.9)],
  };
}
