/**
 * Holding results against recorded ones: the outcome; of a success the physical address (where the recording machine knew
 * it) and the words changed; of a fault its kind and registers, and on arm64 and riscv64 the words changed (x86-64 leaves
 * them open).
 */
import type { Arch, Case, Change, Probe, Result } from './format.ts';

/** What differs in one probe. */
export interface Difference {
  readonly id: string;
  /** Index of the probe in its case. */
  readonly index: number;
  readonly probe: Probe;
  /** The keys that differ, as recorded. */
  readonly expected: Partial<Result>;
  /** The same keys, ours. */
  readonly got: Partial<Result>;
}

const FAULT_KEYS: Readonly<Record<Arch, readonly (keyof Result)[]>> = {
  x86_64: ['fault', 'err', 'cr2'],
  aarch64: ['fault', 'esr', 'far', 'chg'],
  riscv64: ['fault', 'cause', 'tval', 'chg'],
};

/** The probes of `one` whose recorded result differs from ours; none when nothing was recorded. */
export function compareCase(arch: Arch, one: Case, ours: readonly Result[]): Difference[] {
  const { id, probes, results = [] } = one;
  return results.flatMap((expected, index) => {
    const got = ours[index]!;
    const keys = differingKeys(arch, expected, got);
    if (keys.length === 0) return [];
    return [{ id, index, probe: probes[index]!, expected: pick(expected, keys), got: pick(got, keys) }];
  });
}

function differingKeys(arch: Arch, expected: Result, got: Result): readonly (keyof Result)[] {
  if (expected.ok !== got.ok) return ['ok', 'pa', ...FAULT_KEYS[arch]];
  const keys = expected.ok ? (['pa', 'chg'] as const) : FAULT_KEYS[arch];
  return keys.filter((key) => {
    if (key === 'pa' && expected.pa === null) return false;
    return plain(expected[key]) !== plain(got[key]);
  });
}

/** A text that is equal for equal values, however the numbers are written. */
function plain(value: Result[keyof Result]): string {
  if (value === undefined || value === null) return '';
  if (typeof value === 'object') return value.map((change: Change) => change.map(BigInt).join(' ')).join(', ');
  return typeof value === 'string' && value.startsWith('0x') ? String(BigInt(value)) : String(value);
}

function pick(result: Result, keys: readonly (keyof Result)[]): Partial<Result> {
  return Object.fromEntries(Object.entries(result).filter(([key]) => keys.includes(key as keyof Result)));
}
