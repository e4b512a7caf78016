/**
 * A sample of the recordings, drawn by the hash of their ids, replayed: as many agree as the last time somebody looked, or
 * more. The figures of all recordings are in CONFORMANCE.md.
 */
import { describe, expect, it } from 'vitest';
import { LEVELS } from '../src/compare/compare.ts';
import { replay } from '../src/replay.ts';
import { agreesAt } from '../src/summary.ts';
import { PROFILES, sample } from './data.ts';

/** One recording in so many. */
const ONE_IN = 8;

/** Traces of the sample, and of those the ones that agree at levels 1 to 4. More may agree, never fewer. */
const FLOORS: Readonly<Record<string, readonly [traces: number, ...levels: number[]]>> = {
  anon: [8, 8, 8, 8, 8],
  anonvma: [10, 10, 10, 10, 10],
  cow: [16, 16, 16, 16, 16],
  filepriv: [9, 9, 9, 9, 9],
  force: [16, 16, 16, 16, 16],
  grow: [9, 9, 9, 9, 9],
  hugetlb: [12, 0, 0, 0, 0],
  ksm: [7, 0, 0, 0, 0],
  lock: [8, 8, 8, 8, 8],
  madv: [11, 11, 11, 11, 11],
  mix: [20, 20, 20, 20, 20],
  mprot: [12, 12, 12, 12, 12],
  mremap: [8, 8, 8, 8, 8],
  odirect: [15, 15, 15, 15, 15],
  search: [10, 10, 10, 10, 10],
  shared: [14, 14, 14, 14, 14],
  swap: [13, 4, 4, 0, 0],
  swapc: [12, 4, 4, 0, 0],
  thp: [15, 15, 15, 15, 15],
  uffd: [18, 0, 0, 0, 0],
};

describe('recorded truth', () => {
  it('there are floors for every profile', () => {
    expect(Object.keys(FLOORS).sort()).toEqual(PROFILES);
  });

  it.each(PROFILES)('%s', (profile) => {
    const reports = sample(profile, ONE_IN).map((recording) => replay(recording));
    const agree = Array.from({ length: LEVELS }, (_, k) => reports.filter((one) => agreesAt(one, k)).length);
    const [traces, ...floors] = FLOORS[profile]!;
    expect(reports.length).toBe(traces);
    agree.forEach((count, k) => expect(count, `level ${k + 1}`).toBeGreaterThanOrEqual(floors[k]!));
  });
});
