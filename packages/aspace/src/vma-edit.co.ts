/**
 * Changing which VMAs there are (Linux: vma_modify_flags, vma_merge_new_range, __split_vma; N.16): the tree, the file's
 * i_mmap and the anon_vma chain together. Caller holds mmap_lock for writing; the limit on VMAs is asked where a split
 * needs one more, as Linux does.
 */
import { ENOMEM } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import type { Inode } from '@mmkit/filemap';
import { upWrite } from '@mmkit/rwsem';
import { eraseVma, insertVma, mapCountAllows, planMerge, resizeVma, splitVma, Vma, VM_STICKY } from '@mmkit/vma';
import type { MergePlan, VmaTraits } from '@mmkit/vma';
import { addToIMmap, removeFromIMmap, vmaInode } from './file-vma.ts';
import { linkFileVma, lockIMmap } from './file-vma.co.ts';
import { Mm } from './mm.ts';
import { splitHugePmdAt } from './split-huge.co.ts';

/**
 * Gives [start, end) of `vma` (bytes, inside it) other flags: merged with neighbours that are like it then, else split off.
 * The VMA that covers it afterwards, or -ENOMEM (map count; a split made before stays).
 */
export function* vmaModify(
  mm: Mm,
  vma: Vma,
  start: number,
  end: number,
  flags: number,
  flagsHigh: number = vma.flagsHigh,
): Task<Vma | number> {
  const pgoff = vma.pgoff + (start - vma.start) * mm.vmas.pagesPerByte;
  const { file, anonVma, anonChain } = vma;
  const traits = { flags, flagsHigh: flagsHigh | 0, pgoff, file, anonVma, anonChain };
  const plan = planMerge(mm.vmas, start, end, traits);
  const inode = vmaInode(vma);
  if (vma.start < start) yield* splitHugePmdAt(mm, start);
  if (vma.end > end) yield* splitHugePmdAt(mm, end);
  if (plan.prev !== null || plan.next !== null) {
    if (inode !== null) yield* lockIMmap(inode);
    const merged = mergeExisting(mm, vma, start, end, traits, plan, inode);
    if (inode !== null) upWrite(mm.memory.sched, inode.iMmapLock);
    return merged;
  }
  let part = vma;
  if (vma.start < start) {
    if (!mapCountAllows(mm.vmas, 1)) return -ENOMEM;
    part = yield* vmaSplit(mm, vma, start);
  }
  if (part.end > end) {
    if (!mapCountAllows(mm.vmas, 1)) return -ENOMEM;
    yield* vmaSplit(mm, part, end);
  }
  part.flags = flags | 0;
  part.flagsHigh = flagsHigh | 0;
  return part;
}

/** [start, end) of `vma` goes over to its neighbours; i_mmap's lock is held. */
function mergeExisting(
  mm: Mm,
  vma: Vma,
  start: number,
  end: number,
  traits: VmaTraits,
  { prev, next }: MergePlan,
  inode: Inode | null,
): Vma {
  const to = (prev ?? next)!;
  adopt(to, traits);
  // The range leaves its VMA first: VMAs never overlap.
  if (vma.start === start && vma.end === end) remove(mm, vma, inode);
  else if (vma.start === start) resizeVma(mm.vmas, vma, end, vma.end);
  else resizeVma(mm.vmas, vma, vma.start, start);
  extend(mm, to, prev, next, start, end, inode);
  return to;
}

/**
 * Makes [start, end), where nothing is, part of the address space: merged with its neighbours or as a VMA of its own, which
 * it gives. Never fails: the caller has asked for the map count.
 */
export function* vmaMergeNew(mm: Mm, start: number, end: number, traits: VmaTraits): Task<Vma> {
  const { prev, next } = planMerge(mm.vmas, start, end, traits);
  const to = prev ?? next;
  if (to === null) {
    const vma = new Vma(start, end, traits.flags, traits.pgoff, traits.file, traits.anonVma);
    vma.anonChain = traits.anonChain;
    vma.flagsHigh = traits.flagsHigh;
    insertVma(mm.vmas, vma);
    yield* linkFileVma(vma);
    return vma;
  }
  const inode = vmaInode(to);
  if (inode !== null) yield* lockIMmap(inode);
  adopt(to, traits);
  extend(mm, to, prev, next, start, end, inode);
  if (inode !== null) upWrite(mm.memory.sched, inode.iMmapLock);
  return to;
}

/**
 * Cuts a VMA in two at `address`, strictly inside: the upper one; a huge page across it is mapped by small entries then. Who
 * must not exceed the map count asks before.
 */
export function* vmaSplit(mm: Mm, vma: Vma, address: number): Task<Vma> {
  yield* splitHugePmdAt(mm, address);
  const inode = vmaInode(vma);
  if (inode !== null) yield* lockIMmap(inode);
  const upper = splitVma(mm.vmas, vma, address);
  if (inode !== null) {
    addToIMmap(inode, upper);
    upWrite(mm.memory.sched, inode.iMmapLock);
  }
  return upper;
}

/** `to`, one of the neighbours, takes [start, end) in; when both do, the one after is gone. */
function extend(
  mm: Mm,
  to: Vma,
  prev: Vma | null,
  next: Vma | null,
  start: number,
  end: number,
  inode: Inode | null,
): void {
  if (prev === null) return resizeVma(mm.vmas, to, start, to.end);
  if (next === null) return resizeVma(mm.vmas, to, to.start, end);
  adopt(to, next);
  const last = next.end;
  remove(mm, next, inode);
  resizeVma(mm.vmas, to, to.start, last);
}

/** What is merged has the anon_vma that one side had, and the sticky flags of both. */
function adopt(to: Vma, from: VmaTraits): void {
  to.flags |= from.flags & VM_STICKY;
  if (to.anonVma !== null) return;
  to.anonVma = from.anonVma;
  to.anonChain = from.anonChain;
}

function remove(mm: Mm, vma: Vma, inode: Inode | null): void {
  if (inode !== null) removeFromIMmap(inode, vma);
  eraseVma(mm.vmas, vma);
}
