/**
 * An address space of a few pages for tests: calls as programs make them, by the plans alone. Bounds are pages after BASE.
 */
import type { VmaPlan, VmaTraits, VmaTree } from '../src/index.ts';
import {
  applyVmaPlan,
  checkVmaTree,
  createVmaTree,
  eraseVma,
  insertVma,
  mprotectFlags,
  newAccountFlags,
  newTraits,
  planCopy,
  planModify,
  planNew,
  planSplit,
  reusableAnonVma,
  VM_ACCESS_FLAGS,
  VM_MAYREAD,
  VM_MAYWRITE,
  VM_READ,
  VM_WRITE,
  Vma,
  vmaLookup,
  vmasIn,
} from '../src/index.ts';

export const PAGE = 4096;
export const BASE = 0x7f00_0000_0000;
export const RO: number = VM_READ | VM_MAYREAD | VM_MAYWRITE;
export const RW: number = RO | VM_WRITE;

/** Address of a page. */
export function at(page: number): number {
  return BASE + page * PAGE;
}

export function space(): VmaTree {
  return createVmaTree();
}

export function apply(plan: VmaPlan): VmaPlan {
  applyVmaPlan(plan);
  checkVmaTree(plan.tree);
  return plan;
}

/** mmap(MAP_FIXED) where nothing is; private anonymous memory but for what `traits` says. */
export function map(tree: VmaTree, first: number, last: number, flags = RW, traits: Partial<VmaTraits> = {}): Vma {
  const fresh = newTraits(newAccountFlags(flags), at(first) / PAGE);
  return apply(planNew(tree, at(first), at(last), { ...fresh, ...traits })).target!;
}

/** A first write to a page. */
export function write(tree: VmaTree, page: number): void {
  const vma = vmaLookup(tree, at(page))!;
  if (vma.anonVma !== null) return;
  vma.anonVma = reusableAnonVma(tree, vma)?.anonVma ?? {};
  vma.anonChain = 1;
}

/** mprotect, VMA by VMA. */
export function protect(tree: VmaTree, first: number, last: number, flags: number): void {
  change(tree, first, last, (vma) => mprotectFlags(vma, (vma.flags & ~VM_ACCESS_FLAGS) | (flags & VM_ACCESS_FLAGS)));
}

/** Any call that gives a range other flags. */
export function change(tree: VmaTree, first: number, last: number, flags: (vma: Vma) => number): void {
  for (let page = first; page < last; ) {
    const vma = vmaLookup(tree, at(page))!;
    const end = Math.min(vma.end, at(last));
    const wanted = flags(vma);
    if (wanted !== vma.flags) apply(planModify(tree, vma, at(page), end, wanted));
    page = (end - BASE) / PAGE;
  }
}

/** munmap. */
export function unmap(tree: VmaTree, first: number, last: number): void {
  for (const page of [first, last]) {
    const vma = vmaLookup(tree, at(page));
    if (vma !== null && vma.start < at(page)) apply(planSplit(tree, vma, at(page), false));
  }
  for (const vma of vmasIn(tree, at(first), at(last))) eraseVma(tree, vma);
}

/** mremap(MREMAP_FIXED) of part of one VMA. */
export function move(tree: VmaTree, first: number, last: number, to: number): void {
  const vma = vmaLookup(tree, at(first))!;
  apply(planCopy(tree, vma, at(first), at(to), (last - first) * PAGE));
  unmap(tree, first, last);
}

/** fork: the child's VMAs have an anon_vma of their own behind the parent's. */
export function fork(tree: VmaTree): VmaTree {
  const child = space();
  for (const vma of vmasIn(tree, 0, tree.taskSize)) {
    const copy = new Vma(vma.start, vma.end, vma.flags, vma.pgoff, vma.file);
    if (vma.anonVma !== null) copy.anonVma = {};
    if (vma.anonVma !== null) copy.anonChain = vma.anonChain + 1;
    insertVma(child, copy);
  }
  return child;
}

/** Bounds of the VMAs as D.6 writes them: `[0-2][4-6]`. */
export function shape(tree: VmaTree): string {
  checkVmaTree(tree);
  return vmasIn(tree, 0, tree.taskSize)
    .map(({ start, end }) => `[${(start - BASE) / PAGE}-${(end - BASE) / PAGE}]`)
    .join('');
}
