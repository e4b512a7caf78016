/** The story's two ends: a machine with a process whose memory is registered, and another that reaches it by RDMA. */
import { linux6_18, type Policy } from '@mmkit/aspace';
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
  IBV_ACCESS_REMOTE_READ,
  IBV_ACCESS_REMOTE_WRITE,
  IBV_WC_SUCCESS,
  IBV_WR_RDMA_READ,
  IBV_WR_RDMA_WRITE,
  load,
  type Machine,
  type MemoryRegion,
  pollCq,
  postSend,
  type Process,
  type ProtectionDomain,
  type QueuePair,
  regMr,
  type RegMrResult,
  store,
  waitCq,
  type WorkCompletion,
} from '@mmkit/kernel';
import { MAP_ANONYMOUS, MAP_PRIVATE, mmap, PROT_READ, PROT_WRITE } from '@mmkit/mm';
import { bytesOf } from './story-letters.ts';

const PAGE = 4096;
const RAM = 64 * PAGE;
const ACCESS = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE;

/** A machine, a process on it, an adapter, and a queue pair that is to be connected. */
interface End {
  readonly machine: Machine;
  readonly process: Process;
  readonly pd: ProtectionDomain;
  readonly qp: QueuePair;
}

function createEnd(policy: Policy): End {
  const machine = createMachine({ ramBytes: RAM, policy });
  const process = createProcess(machine)!;
  const device = createRdmaDevice(machine);
  const pd = allocPd(device, process);
  const cq = createCq(device, 4);
  return { machine, process, pd, qp: createQp(pd, cq, cq) };
}

export class Peer {
  /** Where the region is. */
  readonly machine: Machine;
  /** Whose memory it is. */
  readonly process: Process;
  readonly #pd: ProtectionDomain;
  /** The other machine, with a page of its own. */
  readonly #far: End;
  readonly #buffer: MemoryRegion;

  constructor(policy: Policy) {
    const near = createEnd(policy);
    this.machine = near.machine;
    this.process = near.process;
    this.#pd = near.pd;
    this.#far = createEnd(linux6_18);
    const { process, pd, qp } = this.#far;
    connectLoopback(qp, near.qp);
    const address = mmap(process.mm, 0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
    this.#buffer = regMr(pd, address, PAGE, ACCESS).mr!;
  }

  /** Registers memory of the near process for everything. */
  register(address: number, length: number): RegMrResult {
    return regMr(this.#pd, address, length, ACCESS);
  }

  /** The other machine writes letters into the region, from byte `at` on. */
  write(region: MemoryRegion, at: number, letters: string): void {
    store(this.#far.machine, this.#far.process, this.#buffer.address, bytesOf(letters), 0, letters.length);
    this.#move(IBV_WR_RDMA_WRITE, region, at, letters.length);
  }

  /** The other machine reads the first bytes of the region. */
  read(region: MemoryRegion, length: number): Uint8Array {
    this.#move(IBV_WR_RDMA_READ, region, 0, length);
    const bytes = new Uint8Array(length);
    load(this.#far.machine, this.#far.process, this.#buffer.address, bytes, 0, length);
    return bytes;
  }

  /** Deregisters the region. */
  end(region: MemoryRegion): void {
    deregMr(region);
  }

  #move(opcode: number, region: MemoryRegion, at: number, length: number): void {
    const { qp } = this.#far;
    const sgList = [{ addr: this.#buffer.address, length, lkey: this.#buffer.key }];
    postSend(qp, { wrId: 0, opcode, sgList, remoteAddr: region.address + at, rkey: region.key });
    waitCq(qp.sendCq);
    const done: WorkCompletion[] = [];
    pollCq(qp.sendCq, 1, done);
    if (done[0]?.status !== IBV_WC_SUCCESS) throw new Error(`RDMA failed: status ${done[0]?.status}`);
  }
}
