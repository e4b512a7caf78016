/** What tests of the RDMA verbs do all the time. */
import {
  IBV_ACCESS_LOCAL_WRITE,
  IBV_ACCESS_REMOTE_READ,
  IBV_ACCESS_REMOTE_WRITE,
  IBV_WR_RDMA_WRITE,
} from '@mmkit/kernel';
import type {
  CompletionQueue,
  Machine,
  MemoryRegion,
  Process,
  ProtectionDomain,
  QueuePair,
  RdmaDevice,
  SendWr,
  WorkCompletion,
} from '@mmkit/kernel';
import { Cpu, PAGE, pattern, setUp } from './builds.ts';
import type { Api } from './builds.ts';

/** Everything a region may be registered for. */
export const ALL: number = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ;
/** Pages of the buffer of a node. */
export const PAGES = 4;
export const SIZE: number = PAGES * PAGE;

/** One side: a process with a buffer full of `pattern(SIZE, seed)`, an adapter, a domain and a queue pair in RESET. */
export interface Node {
  readonly machine: Machine;
  readonly process: Process;
  readonly cpu: Cpu;
  readonly address: number;
  readonly device: RdmaDevice;
  readonly pd: ProtectionDomain;
  readonly cq: CompletionQueue;
  readonly qp: QueuePair;
}

/** A region, which must be to be had. */
export function reg(api: Api, pd: ProtectionDomain, address: number, length: number, access: number): MemoryRegion {
  const { error, mr } = api.regMr(pd, address, length, access);
  if (mr === null) throw new Error(`regMr: ${error}`);
  return mr;
}

/** A node on a machine of its own, or with another process on that of `other`. */
export function node(api: Api, seed: number, other: Node | null = null): Node {
  const { machine } = other ?? setUp(api);
  const process = api.createProcess(machine)!;
  const address = api.mmap(process.mm, 0, SIZE, 3, 0x22);
  const cpu = new Cpu(api, machine);
  api.store(machine, process, address, pattern(SIZE, seed), 0, SIZE);
  const device = other === null ? api.createRdmaDevice(machine) : other.device;
  const pd = api.allocPd(device, process);
  const cq = api.createCq(device, 16);
  return { machine, process, cpu, address, device, pd, cq, qp: api.createQp(pd, cq, cq) };
}

/** The next completion of a node's queue. */
export function next(api: Api, { cq }: Node): WorkCompletion {
  const into: WorkCompletion[] = [];
  api.waitCq(cq);
  api.pollCq(cq, 1, into);
  return into[0]!;
}

/** All completions there are now, as [wrId, status, byteLen]. */
export function drain(api: Api, cq: CompletionQueue): number[][] {
  const into: WorkCompletion[] = [];
  api.pollCq(cq, 100, into);
  return into.map(({ wrId, status, byteLen }) => [wrId, status, byteLen]);
}

/** A work request that writes `length` bytes of `mr` from its first on to `remote`'s first bytes. */
export function write(wrId: number, mr: MemoryRegion, length: number, remote: MemoryRegion): SendWr {
  const sgList = [{ addr: mr.address, length, lkey: mr.key }];
  return { wrId, opcode: IBV_WR_RDMA_WRITE, sgList, remoteAddr: remote.address, rkey: remote.key };
}
