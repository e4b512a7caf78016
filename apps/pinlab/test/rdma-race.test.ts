/** A region that ends against a write that comes in: every schedule. */
import { describe, expect, it } from 'vitest';
import { linux4_8, linux6_18 } from '@mmkit/aspace';
import type { Memory, Policy } from '@mmkit/aspace';
import { P_ACCESS } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import { explore } from '@mmkit/explore';
import type { Scenario } from '@mmkit/explore';
import {
  allocPd,
  connectLoopback,
  createCq,
  createMachine,
  createProcess,
  createQp,
  createRdmaDevice,
  deregMr,
  IBV_ACCESS_LOCAL_WRITE,
  IBV_ACCESS_REMOTE_WRITE,
  IBV_WC_REM_ACCESS_ERR,
  IBV_WC_SUCCESS,
  IBV_WR_RDMA_WRITE,
  pollCq,
  postSend,
  regMr,
  store,
  translate,
} from '@mmkit/kernel/sched';
import type { Machine, MemoryRegion, Process, ProtectionDomain, WorkCompletion } from '@mmkit/kernel';
import { MADV_DONTNEED, madvise, MAP_ANONYMOUS, MAP_PRIVATE, mmap, PROT_READ, PROT_WRITE } from '@mmkit/mm/sched';
import { allocPages, clearFlag, GFP_KERNEL, PG_DIRTY, readBytes, writeBytes } from '@mmkit/phys';
import { runTask, spawn } from '@mmkit/task/sched';

const PAGE = 4096;
const ACCESS = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE;

interface Side {
  readonly process: Process;
  readonly address: number;
  readonly pd: ProtectionDomain;
  readonly mr: MemoryRegion;
}

/** A process with a region of two pages that hold a 1 each. */
function side(machine: Machine): Side {
  const { sched } = machine;
  const process = createProcess(machine)!;
  const address = runTask(sched, mmap(process.mm, 0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS));
  for (const at of [0, PAGE]) runTask(sched, store(machine, process, address + at, Uint8Array.of(1), 0, 1));
  const pd = allocPd(createRdmaDevice(machine), process);
  return { process, address, pd, mr: runTask(sched, regMr(pd, address, 2 * PAGE, ACCESS)).mr! };
}

/** Somebody else allocates a frame and puts a 5 there. */
function* allocate({ phys }: Memory): Task<number> {
  yield P_ACCESS;
  const pfn = allocPages(phys, GFP_KERNEL, 0);
  writeBytes(phys, pfn, 0, Uint8Array.of(5), 0, 1);
  return pfn;
}

/**
 * A write to both pages of a region that nobody maps any more, while somebody allocates a frame and, if asked, the region
 * is deregistered. How it ended goes into `seen`.
 */
function scenario(policy: Policy, deregister: boolean, seen: Set<string>): Scenario {
  return () => {
    const machine = createMachine({ ramBytes: 64 * PAGE, policy });
    const { sched, memory } = machine;
    const [from, to] = [side(machine), side(machine)];
    const frames = [0, PAGE].map((at) => translate(machine, to.process, to.address + at));
    runTask(sched, madvise(to.process.mm, to.address, 2 * PAGE, MADV_DONTNEED));
    // Clean, so that marking it dirty takes its lock, in steps of their own.
    clearFlag(memory.phys, frames[1]!, PG_DIRTY);
    const cq = createCq(from.pd.device, 4);
    const idle = createCq(to.pd.device, 4);
    const qp = createQp(from.pd, cq, cq);
    connectLoopback(qp, createQp(to.pd, idle, idle));
    const sgList = [{ addr: from.address, length: PAGE + 1, lkey: from.mr.key }];
    postSend(qp, { wrId: 1, opcode: IBV_WR_RDMA_WRITE, sgList, remoteAddr: to.address, rkey: to.mr.key });
    if (deregister) spawn(sched, 'deregister', deregMr(to.mr));
    const other = spawn(sched, 'allocate', allocate(memory));
    return {
      sched,
      check() {
        const done: WorkCompletion[] = [];
        pollCq(cq, 4, done);
        const byte = new Uint8Array(1);
        readBytes(memory.phys, other.result as number, 0, byte, 0, 1);
        const reused = frames.includes(other.result as number);
        seen.add(`${done.map(({ status }) => status).join()} ${reused ? 'reused' : 'not reused'}`);
        return byte[0] !== 5 ? 'the write hit a frame that was somebody else’s by then' : null;
      },
    };
  };
}

const KERNELS = [linux6_18, linux4_8];

describe('deregistration against an incoming write, every schedule', () => {
  it.each(KERNELS)(
    '$name: it comes before and lands, or after and is refused; never in a frame given away',
    (policy) => {
      const seen = new Set<string>();
      expect(explore(scenario(policy, true, seen))).toMatchObject({ failures: 0, exhaustive: true });
      const all = [IBV_WC_SUCCESS, IBV_WC_REM_ACCESS_ERR].flatMap((status) => [
        `${status} not reused`,
        `${status} reused`,
      ]);
      expect([...seen].sort()).toEqual(all.sort());
    },
  );

  it.each(KERNELS)('$name: while the region lives its frames are nobody else’s', (policy) => {
    const seen = new Set<string>();
    expect(explore(scenario(policy, false, seen))).toMatchObject({ failures: 0, exhaustive: true });
    expect([...seen]).toEqual([`${IBV_WC_SUCCESS} not reused`]);
  });
});
