/**
 * gup-fast against fork on a table of one level: the protocol of reference B.15 rule 5 and B.16 with nothing around it.
 * The tests `fork`, … ask the same of the real packages.
 *
 * An entry is `pfn << 2 | WRITABLE << 1 | PRESENT`; a frame has one reference count.
 */
import { P_FORK_TEST, P_FORK_WRPROTECT, P_GUP_GRAB, P_GUP_READ, P_GUP_RECHECK, P_HAS_PINNED } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { litmus } from '@mmkit/explore';
import type { LitmusSpec, LitmusTest } from '@mmkit/explore';
import { createSched, localIrqRestore, Mutex, mutexUnlock, noteWrite, reads, writes } from '@mmkit/task';
import type { Sched } from '@mmkit/task';
import { localIrqSave, mutexLock, readSeqBegin, readSeqRetry, writeSeqBegin, writeSeqEnd } from '@mmkit/task/sched';
import { PIN, PRESENT, WRITABLE } from './machine.ts';

const PAGES = 2;

/** Word of `words`: the write-protect sequence. */
const SEQ = 0;
/** Word of `words`: 1 once a page was pinned. */
const HAS_PINNED = 1;

/** A parent with PAGES writable pages (PFN 0, 1, …), one reference each; room for as many copies. */
class ForkMachine {
  readonly sched: Sched = createSched({ cpus: 2 });
  readonly mmapLock: Mutex = new Mutex('mmap_lock');
  /** The parent's entries. */
  readonly parent: Int32Array = Int32Array.from({ length: PAGES }, (_, pfn) => (pfn << 2) | WRITABLE | PRESENT);
  /** The child's. */
  readonly child: Int32Array = new Int32Array(PAGES);
  /** Reference counts by PFN. */
  readonly refs: Int32Array = new Int32Array(2 * PAGES).fill(1, 0, PAGES);
  readonly words: Int32Array = new Int32Array(2);
  /** How many pages the pin got. */
  pinned: number = 0;
}

/** Pins the pages for writing, without a lock. */
function* pinFast(machine: ForkMachine, useSeq: boolean): Task<void> {
  const { sched, words, parent, refs } = machine;
  yield writes(sched, P_HAS_PINNED, words, HAS_PINNED);
  words[HAS_PINNED] = 1;
  const sequence = useSeq ? yield* readSeqBegin(words, SEQ, sched) : 0;
  if ((sequence & 1) !== 0) return;
  yield* localIrqSave(sched);
  let taken = 0;
  for (; taken < PAGES; taken++) {
    yield reads(sched, P_GUP_READ, parent, taken);
    const entry = parent[taken]!;
    if ((entry & (PRESENT | WRITABLE)) !== (PRESENT | WRITABLE)) break;
    const pfn = entry >>> 2;
    yield writes(sched, P_GUP_GRAB, refs, pfn);
    refs[pfn] = refs[pfn]! + PIN;
    yield reads(sched, P_GUP_RECHECK, parent, taken);
    if (parent[taken] !== entry) {
      putPins(machine, pfn, pfn + 1);
      break;
    }
  }
  localIrqRestore(sched);
  if (useSeq && (yield* readSeqRetry(words, SEQ, sequence, sched))) putPins(machine, 0, taken);
  else machine.pinned = taken;
}

function putPins({ sched, refs }: ForkMachine, from: number, to: number): void {
  for (let pfn = from; pfn < to; pfn++) {
    noteWrite(sched, refs, pfn);
    refs[pfn] = refs[pfn]! - PIN;
  }
}

/** Copies the table for a child: a page that may be pinned gets a copy, any other is shared and write-protected. */
function* fork(machine: ForkMachine, useSeq: boolean): Task<void> {
  const { sched, words, parent, child, refs, mmapLock } = machine;
  yield* mutexLock(sched, mmapLock);
  if (useSeq) yield* writeSeqBegin(words, SEQ, sched);
  for (let i = 0; i < PAGES; i++) {
    yield reads(sched, writes(sched, P_FORK_TEST, refs, i), words, HAS_PINNED);
    if (words[HAS_PINNED] === 1 && refs[i]! >= PIN) {
      refs[PAGES + i] = 1;
      child[i] = ((PAGES + i) << 2) | WRITABLE | PRESENT;
      continue;
    }
    refs[i] = refs[i]! + 1;
    yield writes(sched, P_FORK_WRPROTECT, parent, i);
    parent[i] = parent[i]! & ~WRITABLE;
    child[i] = parent[i]!;
  }
  if (useSeq) yield* writeSeqEnd(words, SEQ, sched);
  mutexUnlock(sched, mmapLock);
}

function spec(useSeq: boolean, question: string): LitmusSpec<ForkMachine> {
  const found = ({ parent, pinned }: ForkMachine): string | null => {
    const lost = parent.findIndex((entry, i) => i < pinned && (entry & WRITABLE) === 0);
    return lost < 0 ? null : `page ${lost} is pinned and shared with the child`;
  };
  return {
    question,
    setup: () => new ForkMachine(),
    tasks: { pin: (machine) => pinFast(machine, useSeq), fork: (machine) => fork(machine, useSeq) },
    ...(useSeq ? { forbid: found } : { reach: found }),
  };
}

/** With the sequence count, and without it. */
export const forkTests: readonly LitmusTest[] = [
  litmus(
    'toy-fork',
    spec(true, 'toy table: gup-fast against fork, with the write-protect sequence: does a pinned page stay shared?'),
  ),
  litmus('toy-fork-no-seq', spec(false, 'toy table: the same without the sequence (Linux 5.9 and 5.10)')),
];
