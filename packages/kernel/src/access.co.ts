/**
 * A CPU's loads and stores (Intel SDM volume 3, "Translation lookaside buffers"): TLB, else page walk, else page fault
 * and the access again. Runs on the current task's CPU. A store needs an entry that is writable and dirty in the TLB.
 *
 * Differs from hardware: bytes move page by page, so an access across a page boundary that faults on the second page
 * has done the first; real instructions up to a page are whole or not at all.
 */
import { checkAddress, checkInteger, P_ACCESS, P_ACCESS_DATA } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { MM_CPUMASK, MM_ROOT } from '@mmkit/aspace';
import {
  ACCESS_READ,
  ACCESS_USER,
  ACCESS_WRITE,
  createTranslation,
  hwWalk,
  tlbFlushPage,
  tlbInsert,
  tlbLookup,
} from '@mmkit/pgtable';
import { readBytes, writeBytes } from '@mmkit/phys';
import { noted, writes } from '@mmkit/task';
import { beginInstruction, endInstruction } from './instruction.ts';
import type { Machine } from './machine.ts';
import { handlePageFault } from './page-fault.co.ts';
import { checkAlive, Process } from './process.ts';

/**
 * Reads `length` bytes of the process at `address` into `into[at…]`: 0, or a negative errno as of `handlePageFault`;
 * then the pages before the failing one have been read, and with -EFAULT `process.exitSignal` says why.
 */
export function* load(
  machine: Machine,
  process: Process,
  address: number,
  into: Uint8Array,
  at: number,
  length: number,
): Task<number> {
  return yield* moveBytes(machine, process, address, into, at, length, ACCESS_READ | ACCESS_USER);
}

/** Writes `from[at…]`, `length` bytes, to the process at `address`; results as of `load`. */
export function* store(
  machine: Machine,
  process: Process,
  address: number,
  from: Uint8Array,
  at: number,
  length: number,
): Task<number> {
  return yield* moveBytes(machine, process, address, from, at, length, ACCESS_WRITE | ACCESS_USER);
}

/** Moves bytes as user mode (ACCESS_USER in `access`) or as the kernel on behalf of the process; as of `load`. */
export function* moveBytes(
  machine: Machine,
  process: Process,
  address: number,
  bytes: Uint8Array,
  at: number,
  length: number,
  access: number,
): Task<number> {
  checkAlive(process);
  checkAddress('address', address);
  checkInteger('length', length, 0, bytes.length);
  checkInteger('at', at, 0, bytes.length - length);
  const { memory } = machine;
  const { phys } = memory;
  const move = (access & ACCESS_WRITE) !== 0 ? writeBytes : readBytes;
  let done = 0;
  while (done < length) {
    const here = address + done;
    const inPage = here % phys.pageSize;
    const part = Math.min(phys.pageSize - inPage, length - done);
    yield writes(memory.sched, P_ACCESS, process.mm.words, MM_CPUMASK);
    beginInstruction(memory);
    const pfn = translateOnCpu(machine, process, here, access);
    if (pfn < 0) {
      endInstruction(memory);
      const error = yield* handlePageFault(machine, process, here, access, -pfn);
      if (error !== 0) return error;
      continue;
    }
    yield noted(memory.sched, P_ACCESS_DATA);
    move(phys, pfn, inPage, bytes, at + done, part);
    endInstruction(memory);
    done += part;
  }
  return 0;
}

/**
 * A CPU translates an address that no instruction asks for, as it may at any time (prefetch, speculation): the walk sets
 * accessed, and the CPU keeps the translation until it is flushed. No byte moves; where the tables allow no read, nothing
 * happens. True when it has a translation now.
 */
export function* speculate(machine: Machine, process: Process, address: number): Task<boolean> {
  checkAlive(process);
  checkAddress('address', address);
  yield writes(machine.sched, P_ACCESS, process.mm.words, MM_CPUMASK);
  return translateOnCpu(machine, process, address, ACCESS_READ | ACCESS_USER) >= 0;
}

/**
 * The CPU forgets its translation of an address, if it has one, as it may at any time to make room. Entries for the whole
 * of a huge page go together. A step.
 */
export function* evictTranslation(machine: Machine, process: Process, address: number): Task<void> {
  checkAlive(process);
  checkAddress('address', address);
  yield noted(machine.sched, P_ACCESS);
  const { tlbs, sched } = machine.memory;
  tlbFlushPage(tlbs[sched.current.cpu.id]!, process.mm.words[MM_ROOT]!, address);
}

/** The frame of `address` by the TLB, or by a walk, which fills it; a negated fault kind when there is none. */
function translateOnCpu(machine: Machine, process: Process, address: number, access: number): number {
  const { sched, memory } = machine;
  const { words } = process.mm;
  const root = words[MM_ROOT]!;
  const cpu = sched.current.cpu.id;
  const tlb = memory.tlbs[cpu]!;
  const cached = tlbLookup(tlb, root, address, access);
  if (cached >= 0) return cached;
  // Before the walk: from here on whoever changes these tables must flush this CPU.
  words[MM_CPUMASK] = words[MM_CPUMASK]! | (1 << cpu);
  const translation = createTranslation();
  const fault = hwWalk(memory.tables, root, address, access, translation);
  if (fault !== 0) return -fault;
  tlbInsert(tlb, root, address, translation);
  return translation.pfn;
}
