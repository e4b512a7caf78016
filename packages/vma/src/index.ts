export { RangeTree, createRangeTree, findRange, rangeContaining, rangeBefore } from './tree.ts';
export type { RangePool } from './node.ts';
export { insertRange, eraseRange, resizeRange } from './edit.ts';
export { replaceRanges } from './replace.ts';
export { openRangeView, closeRangeView } from './view.ts';
export { findGap, findGapFromTop, findPlace } from './gap.ts';
export type { PlaceWishes } from './gap.ts';
export { RangeCursor, createRangeCursor, seekRange, nextRange, prevRange, rangesIn } from './cursor.ts';
export type { RangeEntry } from './cursor.ts';
export { checkTree } from './check.ts';
export {
  VM_READ,
  VM_WRITE,
  VM_EXEC,
  VM_SHARED,
  VM_MAYREAD,
  VM_MAYWRITE,
  VM_MAYEXEC,
  VM_MAYSHARE,
  VM_GROWSDOWN,
  VM_UFFD_MISSING,
  VM_PFNMAP,
  VM_MAYBE_GUARD,
  VM_UFFD_WP,
  VM_LOCKED,
  VM_IO,
  VM_SEQ_READ,
  VM_RAND_READ,
  VM_DONTCOPY,
  VM_DONTEXPAND,
  VM_LOCKONFAULT,
  VM_ACCOUNT,
  VM_NORESERVE,
  VM_HUGETLB,
  VM_SYNC,
  VM_ARCH_1,
  VM_WIPEONFORK,
  VM_DONTDUMP,
  VM_SOFTDIRTY,
  VM_MIXEDMAP,
  VM_HUGEPAGE,
  VM_NOHUGEPAGE,
  VM_MERGEABLE,
  VM_ACCESS_FLAGS,
  VM_LOCKED_MASK,
  VM_SPECIAL,
  isCowMapping,
} from './flags.ts';
export {
  VM_PKEY_MASK,
  VM_PKEY_BIT0,
  VM_PKEY_BIT1,
  VM_PKEY_BIT2,
  VM_PKEY_BIT3,
  VM_MTE,
  VM_MTE_ALLOWED,
  VM_SHADOW_STACK,
  VM_UFFD_MINOR,
  VM_ALLOW_ANY_UNCACHED,
  VM_DROPPABLE,
  VM_SEALED,
  vmFlagsValue,
} from './flags-high.ts';
export { formatVmaFlags, vmFlagLetters, vmFlagsLine, mapsLine, mapsText } from './text.ts';
export type { FlagArch, MapsName } from './text.ts';
export type { VmaOps } from './vma.ts';
export { Vma, vmaIsAccessible, vmaIsAnonymous, vmaIsDroppable, vmaIsSealed } from './vma.ts';
export { anonCompatible, newTraits, planMerge, reusableAnonVma, vmaTraits, VM_STICKY } from './merge.ts';
export type { MergePlan, VmaMarks, VmaTraits } from './merge.ts';
export { mprotectFlags, newAccountFlags } from './account.ts';
export { planCopy, planExpand, planModify, planNew, planSplit } from './plan.ts';
export type { VmaCase, VmaPlan, VmaStep } from './plan.ts';
export { applyVmaPlan, closeVma, openVma, splitVma } from './apply.ts';
export type { VmaTreeOptions } from './vma-tree.ts';
export type { AreaLimits } from './area.ts';
export { startGap, unmappedArea } from './area.ts';
export { isStackGuardPage, planStackGrowth } from './stack.ts';
export {
  DEFAULT_MAX_MAP_COUNT,
  STACK_GUARD_GAP,
  VmaTree,
  createVmaTree,
  findVma,
  vmaLookup,
  findVmaIntersection,
  nextVma,
  prevVma,
  vmasIn,
  mapCountAllows,
  insertVma,
  eraseVma,
  eraseVmas,
  resizeVma,
  checkVmaTree,
} from './vma-tree.ts';
