/**
 * `pinlab rdma --story`: a memory region of a process, and what the process does to its memory meanwhile. Each case is
 * played on a machine with the rules of one kernel; then everybody who can looks at the region's first bytes: the
 * adapter (by an RDMA read from another machine), the process, its child, a reader of the file. What the table shows is
 * what they saw.
 *
 * The bytes are dots at first. Then, by whoever still can: the parent stores a `P` in the first, the other machine
 * writes a `D` into the second by RDMA, the child stores a `C` in the third.
 */
import { linux4_8, linux6_18, type Policy } from '@mmkit/aspace';
import { checkMachine, exitProcess, ftruncate } from '@mmkit/kernel';
import { MADV_DONTFORK, MADV_DONTNEED, madvise, MAP_FIXED, mmap, munmap } from '@mmkit/mm';
import { countFrames } from '@mmkit/phys';
import { ANON, type Kind, PAGE, RW, Stage } from './story-stage.ts';

/** What one kernel makes of one case: a viewer's bytes as letters, a signal's name, or null where there is no viewer. */
export interface StoryOutcome {
  readonly kernel: string;
  /** How the adapter holds the pages. */
  readonly call: 'get_user_pages' | 'pin_user_pages';
  /** An errno's name when the region was refused. */
  readonly device: string;
  readonly parent: string | null;
  readonly child: string | null;
  /** `empty` when it has no bytes. */
  readonly file: string | null;
  /** True when the adapter and the process see the same page; null when one of them has none. */
  readonly together: boolean | null;
  /** Pages charged to the process when everybody looked. */
  readonly pinnedVm: number;
  /** After deregistration, the last exit and an empty file. */
  readonly leakedPins: number;
  /** As leakedPins. */
  readonly leakedFrames: number;
}

export interface StoryRow {
  readonly name: string;
  readonly outcomes: readonly StoryOutcome[];
}

interface Case {
  readonly name: string;
  readonly kind: Kind;
  readonly play: (stage: Stage) => void;
}

/** The kernels, in the order of the table. */
const KERNELS: readonly Policy[] = [linux4_8, linux6_18];

/** The parent stores, the other machine writes. */
function parentThenDevice(stage: Stage): void {
  stage.put(stage.parent, 0, 'P');
  stage.putByDevice(1, 'D');
}

function forkParentFirst(stage: Stage): void {
  const child = stage.fork();
  stage.put(stage.parent, 0, 'P');
  stage.put(child, 2, 'C');
  stage.putByDevice(1, 'D');
}

function forkChildFirst(stage: Stage): void {
  stage.put(stage.fork(), 2, 'C');
  parentThenDevice(stage);
}

function dontFork(stage: Stage): void {
  madvise(stage.parent.mm, stage.address, PAGE, MADV_DONTFORK);
  forkChildFirst(stage);
}

function dontNeed(stage: Stage): void {
  madvise(stage.parent.mm, stage.address, PAGE, MADV_DONTNEED);
  parentThenDevice(stage);
}

function unmap(stage: Stage): void {
  munmap(stage.parent.mm, stage.address, PAGE);
  parentThenDevice(stage);
}

function unmapAndMap(stage: Stage): void {
  munmap(stage.parent.mm, stage.address, PAGE);
  mmap(stage.parent.mm, stage.address, PAGE, RW, ANON | MAP_FIXED);
  parentThenDevice(stage);
}

function truncate(stage: Stage): void {
  ftruncate(stage.file!, 0);
  parentThenDevice(stage);
}

function truncateAndGrow(stage: Stage): void {
  ftruncate(stage.file!, 0);
  ftruncate(stage.file!, PAGE);
  parentThenDevice(stage);
}

function exit(stage: Stage): void {
  exitProcess(stage.machine, stage.parent);
  stage.putByDevice(1, 'D');
}

function forkAndExit(stage: Stage): void {
  const child = stage.fork();
  exitProcess(stage.machine, stage.parent);
  stage.put(child, 2, 'C');
  stage.putByDevice(1, 'D');
}

/** The cases, in the order of the table. */
const CASES: readonly Case[] = [
  { name: 'nothing', kind: 'anonymous', play: parentThenDevice },
  { name: 'fork, the parent stores first', kind: 'anonymous', play: forkParentFirst },
  { name: 'fork, the child stores first', kind: 'anonymous', play: forkChildFirst },
  { name: 'MADV_DONTFORK, then fork', kind: 'anonymous', play: dontFork },
  { name: 'MADV_DONTNEED', kind: 'anonymous', play: dontNeed },
  { name: 'munmap', kind: 'anonymous', play: unmap },
  { name: 'munmap, new memory mapped there', kind: 'anonymous', play: unmapAndMap },
  { name: 'the process exits', kind: 'anonymous', play: exit },
  { name: 'fork, then the parent exits', kind: 'anonymous', play: forkAndExit },
  { name: 'shared memfd: nothing', kind: 'memfd', play: parentThenDevice },
  { name: 'shared memfd: fork', kind: 'memfd', play: forkParentFirst },
  { name: 'shared memfd: MADV_DONTNEED', kind: 'memfd', play: dontNeed },
  { name: 'shared memfd: truncated to nothing', kind: 'memfd', play: truncate },
  { name: 'shared memfd: truncated, grown again', kind: 'memfd', play: truncateAndGrow },
  { name: 'shared memfd: the process exits', kind: 'memfd', play: exit },
  { name: 'private memfd: nothing', kind: 'private memfd', play: parentThenDevice },
  { name: 'shared file on disk: nothing', kind: 'disk file', play: parentThenDevice },
  { name: 'shared file on disk: truncated, grown', kind: 'disk file', play: truncateAndGrow },
];

/** Plays all cases on all kernels. */
export function playStory(): StoryRow[] {
  return CASES.map((one) => ({ name: one.name, outcomes: KERNELS.map((policy) => playCase(policy, one)) }));
}

function playCase(policy: Policy, { kind, play }: Case): StoryOutcome {
  const stage = new Stage(policy, kind);
  const { machine, parent, peer, region, file } = stage;
  play(stage);
  checkMachine(machine);
  const device = stage.viewOfDevice();
  const seen = { device, parent: stage.view(parent), child: stage.view(stage.child), file: stage.viewOfFile() };
  const { pinnedVm } = parent.mm;
  const apart = region === null || seen.parent === null || seen.parent.startsWith('SIG');
  if (region !== null) peer.end(region);
  for (const process of machine.processes.values()) exitProcess(machine, process);
  if (file !== null) ftruncate(file, 0);
  checkMachine(machine);
  const { used, pins } = countFrames(machine.memory.phys);
  return {
    kernel: policy.name,
    call: policy.rdmaPins ? 'pin_user_pages' : 'get_user_pages',
    ...seen,
    together: apart ? null : seen.parent === device,
    pinnedVm,
    leakedPins: pins,
    leakedFrames: used,
  };
}
