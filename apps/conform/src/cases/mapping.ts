/** Steps that change mappings: mmap and its relatives, fork, exit. */
import { exitProcess, forkProcess } from '@mmkit/kernel';
import * as abi from '@mmkit/mm';
import type { OpenFile } from '@mmkit/filemap';
import { folioMaybeDmaPinned } from '@mmkit/phys';
import { folioTestAnon, isZeroPage } from '@mmkit/aspace';
import type { Step } from './parse.ts';
import { frameAt } from './frames.ts';
import {
  Actor,
  actorOf,
  addressAt,
  BadStep,
  CaseWorld,
  createFile,
  integerAt,
  NotBuilt,
  okText,
  PAGE,
  regionAt,
} from './world.ts';

/** Kinds of memory that the model lacks, and what that is called. */
const MISSING: Readonly<Record<string, string>> = {
  htlb: 'hugetlb',
  memfdhtlb: 'hugetlb',
  secret: 'memfd_secret',
};
/** Kinds with a file. */
const FILES: readonly string[] = Object.freeze(['ext4', 'xfs', 'btrfs', 'tmpfs', 'memfd']);
/** Bytes of a huge page. */
const HUGE = 0x20_0000;

/** PROT_* of `rwx` letters or `-`. */
function protOf(text: string | undefined): number {
  if (text === undefined || !/^(-|[rwx]+)$/.test(text)) throw new BadStep(`protection: got ${text ?? 'none'}`);
  let prot = abi.PROT_NONE;
  if (text.includes('r')) prot |= abi.PROT_READ;
  if (text.includes('w')) prot |= abi.PROT_WRITE;
  if (text.includes('x')) prot |= abi.PROT_EXEC;
  return prot;
}

/** The address in an argument `key=R+off`; null when there is none. */
function placeOf(actor: Actor, step: Step, key: string): number | null {
  const text = step.args.find((arg) => arg.startsWith(`${key}=`));
  if (text === undefined) return null;
  const [, name = '', off = ''] = /^(\w+)\+(-?\d+)$/.exec(text.slice(key.length + 1)) ?? [];
  const region = actor.regions.get(name);
  if (region === undefined) throw new BadStep(`no place ${text}`);
  return region.start + Number(off) * PAGE;
}

/** mmap R KIND N PROT [at=|fixed=|noreplace= R+off] [populate] [locked] [noreserve] [fd=R] [off=N] */
export function mmapStep(world: CaseWorld, step: Step): string {
  const actor = actorOf(world, step);
  const { mm } = actor.process;
  const [name = '', words = ''] = step.args;
  const shared = words.endsWith('-sh');
  const kind = shared ? words.slice(0, -3) : words;
  if (MISSING[kind] !== undefined) throw new NotBuilt(MISSING[kind]);
  const pages = integerAt(step, 2);
  let flags = shared ? abi.MAP_SHARED : abi.MAP_PRIVATE;
  if (kind === 'droppable') flags = abi.MAP_DROPPABLE;
  if (step.args.includes('populate')) flags |= abi.MAP_POPULATE;
  if (step.args.includes('locked')) flags |= abi.MAP_LOCKED;
  if (step.args.includes('noreserve')) flags |= abi.MAP_NORESERVE;
  if (kind === 'growsdown') flags |= abi.MAP_GROWSDOWN;
  const fixed = placeOf(actor, step, 'fixed');
  const fresh = placeOf(actor, step, 'noreplace');
  const hint = placeOf(actor, step, 'at');
  if (fixed !== null) flags |= abi.MAP_FIXED;
  if (fresh !== null) flags |= abi.MAP_FIXED_NOREPLACE;
  const offset = Number(step.args.find((arg) => arg.startsWith('off='))?.slice(4) ?? 0);
  const file = fileOf(world, actor, step, kind, pages + offset);
  if (file === null) flags |= abi.MAP_ANONYMOUS;
  const wanted = fixed ?? fresh ?? hint;
  let from = wanted ?? 0;
  // Aligned as aligned_alloc would have it.
  if (kind === 'thp' && wanted === null) {
    const room = abi.mmap(mm, 0, pages * PAGE + HUGE, abi.PROT_NONE, abi.MAP_PRIVATE | abi.MAP_ANONYMOUS);
    abi.munmap(mm, room, pages * PAGE + HUGE);
    from = Math.ceil(room / HUGE) * HUGE;
  }
  const start = abi.mmap(mm, from, pages * PAGE, protOf(step.args[3]), flags, file, offset * PAGE);
  if (start < 0) return okText(start);
  actor.regions.set(name, { start, pages, file });
  if (kind === 'thp') abi.madvise(mm, start, pages * PAGE, abi.MADV_HUGEPAGE);
  return wanted !== null && start === wanted ? 'ok at-hint' : 'ok';
}

function fileOf(world: CaseWorld, actor: Actor, step: Step, kind: string, pages: number): OpenFile | null {
  const same = step.args.find((arg) => arg.startsWith('fd='))?.slice(3);
  if (same !== undefined) {
    const region = actor.regions.get(same);
    if (region === undefined || region.file === null) throw new BadStep(`no file of ${same}`);
    return region.file;
  }
  if (FILES.includes(kind)) return createFile(world, kind, pages);
  if (!['anon', 'thp', 'growsdown', 'zerodev', 'droppable'].includes(kind))
    throw new BadStep(`no kind of memory ${kind}`);
  return null;
}

/** mremap R off n newn NEWNAME [maymove] [fixed=R+off] [dontunmap] */
export function mremapStep(world: CaseWorld, step: Step): string {
  const actor = actorOf(world, step);
  const address = addressAt(actor, step, 0);
  const pages = integerAt(step, 3);
  const to = placeOf(actor, step, 'fixed');
  let flags = step.args.includes('maymove') ? abi.MREMAP_MAYMOVE : 0;
  if (to !== null) flags |= abi.MREMAP_MAYMOVE | abi.MREMAP_FIXED;
  if (step.args.includes('dontunmap')) flags |= abi.MREMAP_MAYMOVE | abi.MREMAP_DONTUNMAP;
  const { mm } = actor.process;
  const start = abi.mremap(mm, address, integerAt(step, 2) * PAGE, pages * PAGE, flags, to ?? 0);
  if (start < 0) return okText(start);
  actor.regions.set(step.args[4] ?? '', { start, pages, file: regionAt(actor, step, 0).file });
  return start === address ? 'ok in-place' : 'ok moved';
}

/** mprotect, munmap, madvise, mlock, mlock2, munlock, mseal: R off n and more. */
export function rangeStep(world: CaseWorld, step: Step): string {
  const actor = actorOf(world, step);
  const { mm } = actor.process;
  const address = addressAt(actor, step, 0);
  const length = integerAt(step, 2) * PAGE;
  switch (step.verb) {
    case 'mprotect':
      return okText(abi.mprotect(mm, address, length, protOf(step.args[3])));
    case 'munmap':
      return okText(abi.munmap(mm, address, length));
    case 'madvise':
      return madviseStep(world, actor, address, length, step.args[3] ?? '');
    case 'mlock':
      return okText(abi.mlock(mm, address, length));
    case 'mlock2':
      return okText(abi.mlock2(mm, address, length, abi.MLOCK_ONFAULT));
    case 'munlock':
      return okText(abi.munlock(mm, address, length));
    default:
      return okText(abi.mseal(mm, address, length, 0));
  }
}

function madviseStep(world: CaseWorld, actor: Actor, address: number, length: number, name: string): string {
  const advice = (abi as Readonly<Record<string, unknown>>)[`MADV_${name}`];
  if (typeof advice !== 'number') throw new BadStep(`no advice ${name}`);
  if (advice === abi.MADV_PAGEOUT) refuseSwap(world, actor, address, length);
  return okText(abi.madvise(actor.process.mm, address, length, advice));
}

/** NotBuilt where Linux would write pages to its swap file: anonymous ones that are not pinned. */
function refuseSwap(world: CaseWorld, actor: Actor, address: number, length: number): void {
  const { memory } = world.machine;
  for (let at = address; at < address + length; at += PAGE) {
    const { pfn } = frameAt(actor, at);
    if (pfn < 0 || isZeroPage(memory, pfn) || !folioTestAnon(memory.phys, pfn)) continue;
    if (!folioMaybeDmaPinned(memory.phys, pfn)) throw new NotBuilt('swap');
  }
}

/** mlockall current|future|onfault, munlockall, msync R, rlimit-memlock KiB, drop-caps, fork, exit */
export function processStep(world: CaseWorld, step: Step): string {
  const actor = actorOf(world, step);
  const { process } = actor;
  switch (step.verb) {
    case 'mlockall': {
      const flag = (word: string): number => (abi as unknown as Record<string, number>)[`MCL_${word.toUpperCase()}`]!;
      return okText(
        abi.mlockall(
          process.mm,
          step.args.reduce((flags, word) => flags | flag(word), 0),
        ),
      );
    }
    case 'munlockall':
      return okText(abi.munlockall(process.mm));
    case 'msync': {
      const { start, pages } = regionAt(actor, step, 0);
      return okText(abi.msync(process.mm, start, pages * PAGE, abi.MS_SYNC));
    }
    case 'rlimit-memlock':
      process.rlimitMemlock = integerAt(step, 0) * 1024;
      process.mm.rlimitMemlock = process.rlimitMemlock;
      return 'ok';
    case 'drop-caps':
      process.capIpcLock = false;
      process.mm.capIpcLock = false;
      return 'ok';
    case 'fork': {
      const child = forkProcess(world.machine, process);
      if (child.process === null) return okText(child.error);
      world.actors.push(new Actor(child.process, actor.regions));
      return 'ok';
    }
    default:
      exitProcess(world.machine, process);
      actor.alive = false;
      return 'ok';
  }
}
