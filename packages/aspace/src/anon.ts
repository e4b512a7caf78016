/** The identity anonymous pages belong to (Linux: anon_vma): as yet a number, without the tree of VMAs behind it. */
import { reusableAnonVma } from '@mmkit/vma';
import type { Vma } from '@mmkit/vma';
import type { Memory } from './memory.ts';

/** What `vma.anonVma` holds once the VMA has been written to. */
export class AnonVma {
  /** 1 and up; kept in the owner word of the frames. */
  readonly id: number;

  constructor(id: number) {
    this.id = id;
  }
}

/**
 * Gives the VMA an anon_vma if it has none: that of a neighbour it could merge with then, else a new one (Linux:
 * anon_vma_prepare). Under mmap_lock, at least for reading.
 */
export function anonVmaPrepare(memory: Memory, vma: Vma): void {
  if (vma.anonVma !== null) return;
  const neighbour = vma.tree === null ? null : reusableAnonVma(vma.tree, vma);
  vma.anonVma = neighbour === null ? new AnonVma(memory.nextAnonVma++) : neighbour.anonVma;
  vma.anonChain = 1;
}

/**
 * Gives a forked child's VMA, the copy of `from`, an anon_vma of its own behind those of the parent (Linux: anon_vma_fork).
 * Nothing when the parent has none.
 */
export function anonVmaFork(memory: Memory, copy: Vma, from: Vma): void {
  if (from.anonVma === null) return;
  copy.anonVma = new AnonVma(memory.nextAnonVma++);
  copy.anonChain = from.anonChain + 1;
}

/** Number of the VMA's anon_vma; 0 when it has none. */
export function anonVmaId(vma: Vma): number {
  return vma.anonVma === null ? 0 : (vma.anonVma as AnonVma).id;
}

/** Page index of `address` in what the VMA maps (Linux: linear_page_index). */
export function linearPageIndex(vma: Vma, address: number, pageSize: number): number {
  return vma.pgoff + Math.floor((address - vma.start) / pageSize);
}
