/** Small helpers of the fault handlers. */
import { MM_ROOT, Mm } from '@mmkit/aspace';
import type { Entry } from '@mmkit/pgtable';

/** PFN of the top page-table page. */
export function mmRoot(mm: Mm): number {
  return mm.words[MM_ROOT]!;
}

/** True when two raw entries are equal in every bit (Linux: pte_same). */
export function pteSame(a: Entry, b: Entry): boolean {
  return a.lo === b.lo && a.hi === b.hi;
}
