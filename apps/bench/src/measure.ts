/**
 * Measuring one row, in a process of its own: two machines, warmed up; then pairs, each a sample of either machine and one
 * of the native program, right after each other, so that what else the computer does falls on all three alike.
 */
import { Native } from './native.ts';
import { type Measured, quantile, type Row } from './row.ts';

const PAIRS = 41;
/** Samples are thrown away until this time has passed, ns. */
const WARM_UP = 300_000_000n;

export async function measure(row: Row, program: string | null): Promise<Measured> {
  const machines = [row.make(0), row.make(1)] as const;
  const start = process.hrtime.bigint();
  while (process.hrtime.bigint() - start < WARM_UP) for (const sample of machines) sample();
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
    const beside = native === null ? null : await native.ask(row.native!.op, row.native!.pages);
    if (beside !== null) {
      theirs.push(beside);
      ratios.push((a + b) / 2 / beside);
    }
  }
  native?.end();
  return {
    ours: quantile(ours, 0.5),
    others: theirs.length === 0 ? {} : { native: quantile(theirs, 0.5) },
    ratio: ratios.length === 0 ? {} : { native: quantile(ratios, 0.5) },
    spread: [quantile(same, 0.1), quantile(same, 0.9)],
  };
}
