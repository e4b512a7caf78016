/** A small helper of the fault handlers. */
import { MM_ROOT, Mm } from '@mmkit/aspace';

/** PFN of the top page-table page. */
export function mmRoot(mm: Mm): number {
  return mm.words[MM_ROOT]!;
}
