/**
 * Registering and deregistering memory (Linux: ib_umem_get, ib_umem_release; ibv_reg_mr(3); reference B.17, B.18, D.1).
 *
 * The pages are counted as pinned before the first is pinned, against RLIMIT_MEMLOCK of the process, so that one which
 * is at its limit never gets that far; two that register at once may so refuse each other, as in Linux. They are
 * credited to the same address space, whoever deregisters and whether or not its process still lives.
 */
import { checkAddress, checkInteger, EINVAL, ENOMEM, FOLL_FORCE, FOLL_LONGTERM, FOLL_WRITE } from '@mmkit/base';
import { InvariantError, P_PINNED_VM, P_RDMA_KEY } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import type { Memory, Mm } from '@mmkit/aspace';
import { putUserPages } from '@mmkit/gup';
import { getUserPagesUnlocked, pinUserPagesFast, setPageDirtyLock, unpinUserPagesDirtyLock } from '@mmkit/gup/sched';
import { openPinScope } from '@mmkit/phys';
import type { PinScope } from '@mmkit/phys';
import { checkAlive } from '../process.ts';
import type { Process } from '../process.ts';
import { checkPd } from './device.ts';
import type { ProtectionDomain } from './device.ts';
import { freeKey, isWritable, MemoryRegion, regionOf, takeKey } from './region.ts';
import { appendFrames, frameAt, ScatterList } from './scatter-list.ts';
import {
  IBV_ACCESS_LOCAL_WRITE,
  IBV_ACCESS_REMOTE_ATOMIC,
  IBV_ACCESS_REMOTE_READ,
  IBV_ACCESS_REMOTE_WRITE,
} from './verbs.ts';

const ALL_ACCESS = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_ATOMIC;
/** Most pages of a region (UINT_MAX). */
const MAX_PAGES = 0xffff_ffff;

/** What `regMr` gives. */
export interface RegMrResult {
  /** 0, or a negative errno. */
  readonly error: number;
  /** The region; null with an error. */
  readonly mr: MemoryRegion | null;
}

/**
 * Registers `length` bytes of the domain's process from `address` on, for `access` (IBV_ACCESS_*): every page of them is
 * pinned for long, for writing only where the access writes. Errors, after which nothing is pinned or charged: -EINVAL
 * (length 0, unknown access, remote writing without IBV_ACCESS_LOCAL_WRITE), -ENOMEM (over RLIMIT_MEMLOCK without
 * CAP_IPC_LOCK; out of memory; no key left), what pinning says (-EFAULT, -EAGAIN, -EINTR).
 */
export function* regMr(pd: ProtectionDomain, address: number, length: number, access: number): Task<RegMrResult> {
  checkPd(pd);
  checkAlive(pd.process);
  checkAddress('address', address);
  checkInteger('length', length, 0, Number.MAX_SAFE_INTEGER - address);
  checkInteger('access', access, 0, 0x7fff_ffff);
  const { mm } = pd.process;
  const { pageSize } = mm.memory.phys;
  const pages = Math.ceil(((address % pageSize) + length) / pageSize);
  if (!validAccess(access) || length === 0 || pages > MAX_PAGES) return { error: -EINVAL, mr: null };
  pd.users++;
  let error = yield* chargePinnedVm(pd.process, pages);
  if (error === 0) {
    const frames = new ScatterList(openPinScope(mm.memory.phys, 'memory region', pd.process.pid));
    error = yield* pinFrames(mm, address, pages, access, frames);
    if (error === 0) {
      yield P_RDMA_KEY;
      const key = takeKey(pd.device);
      if (key !== 0) {
        const mr = new MemoryRegion(pd, mm, address, length, access, key, frames);
        pd.device.regions[key >>> 8] = mr;
        return { error: 0, mr };
      }
      error = -ENOMEM;
    }
    yield* releaseFrames(mm.memory, frames, false);
    yield* creditPinnedVm(mm, pages);
  }
  pd.users--;
  return { error, mr: null };
}

/**
 * Ends a region (ibv_dereg_mr): from its first step on no access finds the key; then the pages are marked dirty, if the
 * region could be written, and unpinned. Any task may do it. InvariantError 'MR_GONE' the second time.
 */
export function* deregMr(mr: MemoryRegion): Task<void> {
  const { pd, mm, frames } = mr;
  yield P_RDMA_KEY;
  if (regionOf(pd.device, mr.key) !== mr) throw new InvariantError('MR_GONE', `region ${mr.key} was deregistered`);
  pd.device.regions[mr.key >>> 8] = null;
  yield* releaseFrames(mm.memory, frames, isWritable(mr.access));
  yield* creditPinnedVm(mm, frames.pages);
  freeKey(pd.device, mr.key);
  pd.users--;
}

/** What nobody may write locally nobody may write from afar. */
function validAccess(access: number): boolean {
  if ((access & ~ALL_ACCESS) !== 0) return false;
  return (access & IBV_ACCESS_LOCAL_WRITE) !== 0 || !isWritable(access);
}

/** Counts pages about to be pinned: 0, or -ENOMEM when they would be too many. */
function* chargePinnedVm(process: Process, pages: number): Task<number> {
  const { mm } = process;
  yield P_PINNED_VM;
  mm.pinnedVm += pages;
  if (process.capIpcLock || mm.pinnedVm <= Math.floor(process.rlimitMemlock / mm.memory.phys.pageSize)) return 0;
  yield* creditPinnedVm(mm, pages);
  return -ENOMEM;
}

function* creditPinnedVm(mm: Mm, pages: number): Task<void> {
  yield P_PINNED_VM;
  mm.pinnedVm -= pages;
}

/** Takes `pages` pages from `address` on into `frames`, a batch of one page of pointers at a time: 0 or a negative errno. */
function* pinFrames(mm: Mm, address: number, pages: number, access: number, frames: ScatterList): Task<number> {
  const { pageSize } = mm.memory.phys;
  const batch = createBatch(pageSize, pages);
  const start = address - (address % pageSize);
  while (frames.pages < pages) {
    const count = Math.min(batch.length, pages - frames.pages);
    const got = yield* pinBatch(mm, start + frames.pages * pageSize, count, isWritable(access), batch, frames.scope);
    if (got < 0) return got;
    appendFrames(frames, batch, got);
  }
  return 0;
}

function* pinBatch(
  mm: Mm,
  start: number,
  nr: number,
  writable: boolean,
  batch: Uint32Array,
  scope: PinScope | null,
): Task<number> {
  if (mm.memory.policy.rdmaPins) {
    const flags = writable ? FOLL_LONGTERM | FOLL_WRITE : FOLL_LONGTERM;
    return yield* pinUserPagesFast(mm, start, nr, flags, batch, scope);
  }
  // Before pins it always asked for writing, so that at least the copy of a page shared so far was made at once.
  return yield* getUserPagesUnlocked(mm, start, nr, batch, writable ? FOLL_WRITE : FOLL_WRITE | FOLL_FORCE);
}

function* releaseFrames(memory: Memory, frames: ScatterList, dirty: boolean): Task<void> {
  const batch = createBatch(memory.phys.pageSize, frames.pages);
  for (let page = 0; page < frames.pages; ) {
    const count = Math.min(batch.length, frames.pages - page);
    for (let i = 0; i < count; i++) batch[i] = frameAt(frames, page + i);
    if (memory.policy.rdmaPins) {
      yield* unpinUserPagesDirtyLock(memory, batch, count, dirty, frames.scope);
    } else {
      if (dirty) for (let i = 0; i < count; i++) yield* setPageDirtyLock(memory, batch[i]!);
      putUserPages(memory, batch, count);
    }
    page += count;
  }
}

/** Room for as many PFNs as one page has pointers of 8 bytes, or for all. */
function createBatch(pageSize: number, pages: number): Uint32Array {
  return new Uint32Array(Math.min(pages, pageSize / 8));
}
