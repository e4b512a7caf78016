/** Memory policies as data (`struct mempolicy`, set_mempolicy(2)); who holds one keeps others from changing it. */
import { checkInteger, InvariantError } from '@mmkit/base';
import type { Phys } from './frame.ts';

/** Near the current CPU. */
export const MPOL_DEFAULT = 0;
/** From these nodes only. */
export const MPOL_BIND = 2;
/** From these nodes in turn; from others where one of them has nothing left. */
export const MPOL_INTERLEAVE = 3;

/** A memory policy. */
export class Mempolicy {
  /** MPOL_*. */
  readonly mode: number;
  /** Bit n: node n. */
  readonly nodes: number;
  /** The node the last interleaved allocation began at, −1: none yet (`il_prev`). */
  previous: number;

  constructor(mode: number, nodes: number) {
    this.mode = mode;
    this.nodes = nodes;
    this.previous = -1;
  }
}

/**
 * Makes a policy; `nodes` has bit n set for node n, and is not looked at for MPOL_DEFAULT. InvariantError BAD_POLICY:
 * no node, or one this machine has not (-EINVAL of set_mempolicy).
 */
export function createMempolicy(phys: Phys, mode: number, nodes: number = 0): Mempolicy {
  if (mode !== MPOL_DEFAULT && mode !== MPOL_BIND && mode !== MPOL_INTERLEAVE) {
    throw new RangeError(`mode: expected MPOL_DEFAULT, MPOL_BIND or MPOL_INTERLEAVE, got ${String(mode)}`);
  }
  checkInteger('nodes', nodes, 0, 0xffff_ffff);
  if (mode !== MPOL_DEFAULT && (nodes === 0 || nodes >= 2 ** phys.nodes.length)) {
    throw new InvariantError('BAD_POLICY', `nodes 0x${nodes.toString(16)} are not nodes of this machine`);
  }
  return new Mempolicy(mode, nodes);
}

/** The node the next interleaved allocation begins at: the next of the policy's, cyclically. */
export function nextInterleaveNode(policy: Mempolicy): number {
  let node = policy.previous;
  do node = (node + 1) % 32;
  while (((policy.nodes >>> node) & 1) === 0);
  policy.previous = node;
  return node;
}
