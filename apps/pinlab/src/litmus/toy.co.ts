/**
 * gup-fast against fork on a table of one level that fits on a page of paper: the protocol of reference B.15 #5 and B.16
 * with nothing around it. The tests `fork`, … ask the same of the real packages.
 *
 * An entry is `pfn << 2 | WRITABLE << 1 | PRESENT`; a frame has one reference count, a pin counts 1024.
 */
import { P_FORK_TEST, P_FORK_WRPROTECT, P_GUP_GRAB, P_GUP_READ, P_GUP_RECHECK, P_HAS_PINNED } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { localIrqRestore, Mutex, mutexUnlock } from '@mmkit/task';
import type { Sched } from '@mmkit/task';
import { localIrqSave, mutexLock, readSeqBegin, readSeqRetry, writeSeqBegin, writeSeqEnd } from '@mmkit/task/sched';

/** Entry bit: a page is there. */
export const PRESENT = 1;
/** Entry bit: it may be written. */
export const WRITABLE = 2;
/** What a pin adds to a reference count. */
export const PIN = 1024;

/** Word of `Toy.words`: the write-protect sequence. */
const SEQ = 0;
/** Word of `Toy.words`: 1 once a page was pinned. */
const HAS_PINNED = 1;

export interface Toy {
  readonly sched: Sched;
  readonly mmapLock: Mutex;
  /** The parent's entries. */
  readonly parent: Int32Array;
  /** The child's. */
  readonly child: Int32Array;
  /** Reference counts by PFN. */
  readonly refs: Int32Array;
  readonly words: Int32Array;
  /** Do fork and gup-fast use the write-protect sequence? */
  readonly useSeq: boolean;
}

/** A parent with `pages` writable pages (PFN 0, 1, …), one reference each; room for as many copies. */
export function createToy(sched: Sched, pages: number, useSeq: boolean): Toy {
  const parent = Int32Array.from({ length: pages }, (_, pfn) => (pfn << 2) | WRITABLE | PRESENT);
  const refs = new Int32Array(2 * pages).fill(1, 0, pages);
  const words = new Int32Array(2);
  return { sched, mmapLock: new Mutex('mmap_lock'), parent, child: new Int32Array(pages), refs, words, useSeq };
}

/** Pins the first `nr` pages for writing, without a lock; how many it got. */
export function* toyPinFast(toy: Toy, nr: number, pages: Uint32Array): Task<number> {
  const { sched, words, parent, refs } = toy;
  yield P_HAS_PINNED;
  words[HAS_PINNED] = 1;
  const sequence = toy.useSeq ? yield* readSeqBegin(words, SEQ) : 0;
  if ((sequence & 1) !== 0) return 0;
  yield* localIrqSave(sched);
  let taken = 0;
  for (; taken < nr; taken++) {
    yield P_GUP_READ;
    const entry = parent[taken]!;
    if ((entry & (PRESENT | WRITABLE)) !== (PRESENT | WRITABLE)) break;
    const pfn = entry >>> 2;
    yield P_GUP_GRAB;
    refs[pfn] = refs[pfn]! + PIN;
    yield P_GUP_RECHECK;
    if (parent[taken] !== entry) {
      refs[pfn] = refs[pfn]! - PIN;
      break;
    }
    pages[taken] = pfn;
  }
  localIrqRestore(sched);
  if (toy.useSeq && (yield* readSeqRetry(words, SEQ, sequence))) {
    for (let i = 0; i < taken; i++) refs[pages[i]!] = refs[pages[i]!]! - PIN;
    return 0;
  }
  return taken;
}

/** Copies the table for a child: a page that may be pinned gets a copy, any other is shared and write-protected. */
export function* toyFork(toy: Toy): Task<void> {
  const { sched, words, parent, child, refs } = toy;
  yield* mutexLock(sched, toy.mmapLock);
  if (toy.useSeq) yield* writeSeqBegin(words, SEQ);
  for (let i = 0; i < parent.length; i++) {
    const pfn = parent[i]! >>> 2;
    yield P_FORK_TEST;
    if (words[HAS_PINNED] === 1 && refs[pfn]! >= PIN) {
      const copy = parent.length + i;
      refs[copy] = 1;
      child[i] = (copy << 2) | WRITABLE | PRESENT;
      continue;
    }
    refs[pfn] = refs[pfn]! + 1;
    yield P_FORK_WRPROTECT;
    parent[i] = parent[i]! & ~WRITABLE;
    child[i] = parent[i]!;
  }
  if (toy.useSeq) yield* writeSeqEnd(words, SEQ);
  mutexUnlock(sched, toy.mmapLock);
}
