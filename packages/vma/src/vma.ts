/**
 * One virtual memory area: `struct vm_area_struct` (reference N.16). Data only: what a file or an anon_vma is, higher
 * floors know; here they are identities that a split copies. Protected by mmap_lock, as the tree it is in.
 */
import { VM_DROPPABLE, VM_SEALED } from './flags-high.ts';
import { VM_ACCESS_FLAGS } from './flags.ts';
import type { VmaTraits } from './merge.ts';
import type { VmaTree } from './vma-tree.ts';

/**
 * What the file behind a VMA wants to know of it (struct vm_operations_struct). VMAs merge only if they have the same one;
 * one with `close` is never merged away. Hooks run under mmap_lock held for writing and must not change the tree.
 */
export interface VmaOps {
  /** The VMA, in its tree, is one more that maps the file: split off, copied by mremap, or the child's after fork. */
  readonly open?: (vma: Vma) => void;
  /** The VMA was unmapped. */
  readonly close?: (vma: Vma) => void;
  /** 0, or the negative errno of a cut of the VMA at `address`. Of two cuts both ask with the VMA as it was before. */
  readonly maySplit?: (vma: Vma, address: number) => number;
  /** True if the two, alike else, may become one as far as their anon_vmas go; absent: `anonCompatible`. */
  readonly anonCompatible?: (a: VmaTraits, b: VmaTraits) => boolean;
}

export class Vma {
  /** First address, a multiple of the page size. While in a tree written by vma-tree.ts only, as is `end`. */
  start: number;
  /** First address after it. */
  end: number;
  /** VM_* flags up to bit 31 (flags.ts), an int32. The owner of the address space writes it, under mmap_lock for writing. */
  flags: number;
  /** VM_* flags from bit 32 on (flags-high.ts), an int32; 0 at first. Written as `flags`. */
  flagsHigh: number;
  /** Page offset of `start` in the file; in anonymous memory the page number `start` had when it was mapped. */
  pgoff: number;
  /** The open file mapped, or null for private anonymous memory (vm_file). Written by the owner of the address space. */
  file: object | null;
  /** The anon_vma, or null until the first anonymous page. Written by the owner of the address space. */
  anonVma: object | null;
  /** How many anon_vmas pages of it may belong to: 0 for none, 1 after its own first write, more after fork (anon_vma_chain). */
  anonChain: number;
  /** Hooks of what it maps, or null (vm_ops). Set by the owner of the address space before the VMA is in a tree. */
  ops: VmaOps | null;
  /**
   * Its memory policy, or null: the task's (vm_policy); VMAs merge only with the same one, so the owner keeps one object for
   * policies that are equal. Written by the owner of the address space, by a plan, as the two below.
   */
  policy: object | null;
  /** The userfaultfd it is registered with, or null (vm_userfaultfd_ctx). VMAs merge only with the same one. */
  uffdCtx: object | null;
  /** The name a program gave it, or null (anon_name, PR_SET_VMA_ANON_NAME). VMAs merge only with an equal one. */
  anonName: string | null;
  /** The tree it is in, or null (vm_mm, and the attached state). Written by vma-tree.ts only. */
  tree: VmaTree | null;

  constructor(
    start: number,
    end: number,
    flags: number,
    pgoff: number,
    file: object | null = null,
    anonVma: object | null = null,
  ) {
    this.start = start;
    this.end = end;
    this.flags = flags | 0;
    this.flagsHigh = 0;
    this.pgoff = pgoff;
    this.file = file;
    this.anonVma = anonVma;
    this.anonChain = anonVma === null ? 0 : 1;
    this.ops = null;
    this.policy = null;
    this.uffdCtx = null;
    this.anonName = null;
    this.tree = null;
  }
}

/** True for private anonymous memory (vma_is_anonymous). Linux asks for absent `vm_ops`; ours is an absent file. */
export function vmaIsAnonymous(vma: Vma): boolean {
  return vma.file === null;
}

/** True when some access is allowed: not PROT_NONE (vma_is_accessible, N.22). */
export function vmaIsAccessible(vma: Vma): boolean {
  return (vma.flags & VM_ACCESS_FLAGS) !== 0;
}

/** True for memory that mseal has sealed: it may not be unmapped, moved or given other rights (vma_is_sealed). */
export function vmaIsSealed(vma: Vma): boolean {
  return (vma.flagsHigh & VM_SEALED) !== 0;
}

/** Its pages may be dropped when memory is short (VM_DROPPABLE): they are not locked, dumped, or given to a child. */
export function vmaIsDroppable(vma: Vma): boolean {
  return (vma.flagsHigh & VM_DROPPABLE) !== 0;
}
