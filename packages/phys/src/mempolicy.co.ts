/**
 * Allocating by a memory policy (`alloc_pages_mpol`, set_mempolicy(2)).
 */
import type { Task } from '@mmkit/base';
import { allocPagesNodemask } from './alloc-pages.co.ts';
import type { Phys } from './frame.ts';
import { Mempolicy, MPOL_BIND, MPOL_INTERLEAVE, nextInterleaveNode } from './mempolicy.ts';

/**
 * Takes a block as `allocPages` does, from the nodes `policy` says: MPOL_DEFAULT near the current CPU, MPOL_BIND only
 * from its nodes, MPOL_INTERLEAVE beginning at the next of its nodes each time.
 */
export function* allocPagesMpol(
  phys: Phys,
  gfp: number,
  order: number,
  policy: Mempolicy,
  site: string = '',
): Task<number> {
  const nodemask = policy.mode === MPOL_BIND ? policy.nodes : -1;
  const node = policy.mode === MPOL_INTERLEAVE ? nextInterleaveNode(policy) : phys.cpu.node;
  return yield* allocPagesNodemask(phys, gfp, order, node, nodemask, site);
}
