/**
 * One side of the flow: a machine with a process that has an adapter and one queue pair, which is connected to the link.
 * Programs of it are tasks of the machine (initiator.ts, responder.ts), run by the async driver.
 */
import { createHash } from 'node:crypto';
import { errnoName, InvariantError } from '@mmkit/base';
import {
  allocPd,
  checkMachine,
  type CompletionQueue,
  connectQp,
  createCq,
  createMachine,
  createProcess,
  createQp,
  createRdmaDevice,
  deallocPd,
  deregMr,
  destroyCq,
  destroyQp,
  exitProcess,
  IBV_ACCESS_LOCAL_WRITE,
  IBV_QPS_INIT,
  IBV_WC_SUCCESS,
  IBV_WR_SEND,
  load,
  type Machine,
  type MemoryRegion,
  modifyQp,
  peekBytes,
  pollCq,
  postRecv,
  postSend,
  type Process,
  type ProtectionDomain,
  type QueuePair,
  regMr,
  type SendWr,
  store,
  waitCq,
  type WorkCompletion,
} from '@mmkit/kernel/sched';
import { MAP_ANONYMOUS, MAP_PRIVATE, mmap, PROT_READ, PROT_WRITE } from '@mmkit/mm/sched';
import { countFrames, openPinLedger, pinReport } from '@mmkit/phys';
import { runTaskAsync } from '@mmkit/task/async';
import type { Task } from '@mmkit/task/sched';
import { Failed } from '../exit.ts';
import { ledgerField, type LedgerReport } from '../ledger.ts';
import { closeLink, type Link } from './link.ts';
import type { MachinePlan } from './options.ts';
import { encodeMessage, type Message, decodeMessage, MESSAGE_SIZE } from './messages.ts';
import { WireTransport } from './transport.ts';

/** Receives kept posted: each side answers before the other goes on, so two would do. */
const RECEIVES = 4;

/** What one side counted. */
export interface EndpointReport {
  /** By regions and by direct I/O. */
  pagesPinned: number;
  fast: number;
  slow: number;
  faults: number;
  leakedPins: number;
  leakedFrames: number;
  /** Bytes of all regions. */
  registered: number;
  /** Most pages that were charged to the process at a time. */
  pinnedVmPeak: number;
  /** Where one is kept: who held pins before everything was given back, and after. */
  ledger?: LedgerReport;
}

export class Endpoint {
  readonly machine: Machine;
  readonly process: Process;
  readonly pd: ProtectionDomain;
  readonly sendCq: CompletionQueue;
  readonly recvCq: CompletionQueue;
  readonly qp: QueuePair;
  readonly link: Link;
  readonly crc: boolean;
  /** All regions, oldest first. */
  readonly regions: MemoryRegion[];
  /** Room for one message to send, then for RECEIVES that come; the first region. */
  messages: number;
  pagesPinned: number;
  registered: number;
  pinnedVmPeak: number;

  constructor(machine: Machine, link: Link, crc: boolean) {
    this.machine = machine;
    this.process = createProcess(machine)!;
    const device = createRdmaDevice(machine);
    this.pd = allocPd(device, this.process);
    this.sendCq = createCq(device, 256);
    this.recvCq = createCq(device, RECEIVES);
    this.qp = createQp(this.pd, this.sendCq, this.recvCq);
    this.link = link;
    this.crc = crc;
    this.regions = [];
    this.messages = 0;
    this.pagesPinned = 0;
    this.registered = 0;
    this.pinnedVmPeak = 0;
  }
}

/**
 * Makes a machine on the link, runs `program` there, gives everything back, and closes the link, whether the program
 * worked or not. Failed is what the program throws; InvariantError when something was not given back.
 */
export async function runEndpoint<T>(
  { ramBytes, format, ledger }: MachinePlan,
  link: Link,
  crc: boolean,
  program: (endpoint: Endpoint) => Task<T>,
): Promise<{ result: T; report: EndpointReport }> {
  const machine = createMachine({ ramBytes, format });
  if (ledger) openPinLedger(machine.memory.phys, () => machine.sched.now);
  const before = countFrames(machine.memory.phys).used;
  try {
    return await runTaskAsync(machine.sched, whole(machine, before, link, crc, program));
  } finally {
    await closeLink(link);
  }
}

function* whole<T>(
  machine: Machine,
  before: number,
  link: Link,
  crc: boolean,
  program: (endpoint: Endpoint) => Task<T>,
): Task<{ result: T; report: EndpointReport }> {
  const endpoint = new Endpoint(machine, link, crc);
  let result: T;
  try {
    yield* connect(endpoint);
    result = yield* program(endpoint);
  } catch (error) {
    const { leakedPins, leakedFrames } = yield* tearDown(endpoint, before);
    if (leakedPins !== 0 || leakedFrames !== 0) {
      throw new InvariantError('LEAK', `after "${String(error)}": ${leakedPins} pins, ${leakedFrames} frames`);
    }
    throw error;
  }
  return { result, report: yield* tearDown(endpoint, before) };
}

/** Posts the receives, then lets the link in. */
function* connect(endpoint: Endpoint): Task<void> {
  const { qp, link, crc } = endpoint;
  endpoint.messages = (yield* register(endpoint, (1 + RECEIVES) * MESSAGE_SIZE, IBV_ACCESS_LOCAL_WRITE)).address;
  modifyQp(qp, IBV_QPS_INIT);
  for (let i = 0; i < RECEIVES; i++) postReceive(endpoint, i);
  const transport = new WireTransport(qp, link, crc);
  connectQp(qp, transport);
  transport.start();
}

/** Gives everything back, the last first. */
function* tearDown(endpoint: Endpoint, before: number): Task<EndpointReport> {
  const { machine, process, qp, pd, sendCq, recvCq, regions } = endpoint;
  const { memory } = machine;
  const held = pinReport(memory.phys);
  destroyQp(qp);
  for (const mr of regions) yield* deregMr(mr);
  if (destroyCq(sendCq) !== 0 || destroyCq(recvCq) !== 0 || deallocPd(pd) !== 0) {
    throw new InvariantError('BUSY', 'something of the protection domain is still in use');
  }
  const leakedPins = countFrames(memory.phys).pins + process.mm.pinnedVm;
  const ledger = ledgerField(memory.phys, held);
  checkMachine(machine);
  yield* exitProcess(machine, process);
  const leakedFrames = countFrames(memory.phys).used - before;
  const { gupFast, gupSlow, pgfault } = memory.stat;
  const { pagesPinned, registered, pinnedVmPeak } = endpoint;
  return {
    pagesPinned,
    fast: gupFast,
    slow: gupSlow,
    faults: pgfault,
    leakedPins,
    leakedFrames,
    registered,
    pinnedVmPeak,
    ...ledger,
  };
}

/** Maps `length` bytes of new memory and registers them. */
export function* register(endpoint: Endpoint, length: number, access: number): Task<MemoryRegion> {
  const { process, pd, regions } = endpoint;
  const address = yield* mmap(process.mm, 0, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
  if (address < 0) throw new Failed(`mmap: ${errnoName(address)}`);
  const { error, mr } = yield* regMr(pd, address, length, access);
  if (mr === null) throw new Failed(`ibv_reg_mr: ${errnoName(error)}`);
  regions.push(mr);
  endpoint.registered += length;
  endpoint.pagesPinned += mr.frames.pages;
  endpoint.pinnedVmPeak = Math.max(endpoint.pinnedVmPeak, process.mm.pinnedVm);
  return mr;
}

/** Posts work and waits for its completion. Failed when it does not work. */
export function* complete(endpoint: Endpoint, ...work: SendWr[]): Task<void> {
  for (const wr of work) {
    const error = postSend(endpoint.qp, wr);
    if (error !== 0) throw new Failed(`ibv_post_send: ${errnoName(error)}`);
  }
  for (let i = 0; i < work.length; i++) yield* nextCompletion(endpoint, endpoint.sendCq);
}

/** Sends a message, and waits until it is gone. */
export function* sendMessage(endpoint: Endpoint, message: Message): Task<void> {
  const { machine, process, messages, regions } = endpoint;
  const bytes = encodeMessage(message);
  const error = yield* store(machine, process, messages, bytes, 0, bytes.length);
  if (error !== 0) throw new Failed(`store: ${errnoName(error)}`);
  const sgList = [{ addr: messages, length: bytes.length, lkey: regions[0]!.key }];
  yield* complete(endpoint, { wrId: 0, opcode: IBV_WR_SEND, sgList });
}

/** Waits for a message, which must be one of `expected`. */
export function* receiveMessage<W extends Message['what']>(
  endpoint: Endpoint,
  ...expected: W[]
): Task<Extract<Message, { what: W }>> {
  const { machine, process, recvCq } = endpoint;
  const { wrId, byteLen } = yield* nextCompletion(endpoint, recvCq);
  const bytes = new Uint8Array(byteLen);
  const error = yield* load(machine, process, receiveAddress(endpoint, wrId), bytes, 0, byteLen);
  if (error !== 0) throw new Failed(`load: ${errnoName(error)}`);
  postReceive(endpoint, wrId);
  return decodeMessage(bytes, ...expected);
}

function* nextCompletion(endpoint: Endpoint, cq: CompletionQueue): Task<WorkCompletion> {
  yield* waitCq(cq);
  const polled: WorkCompletion[] = [];
  const count = pollCq(cq, 1, polled);
  if (count < 0) throw new Failed('the completion queue overran');
  const completion = polled[0]!;
  if (completion.status !== IBV_WC_SUCCESS) {
    throw new Failed(endpoint.link.error ?? `a work request ended with status ${completion.status}`);
  }
  return completion;
}

function postReceive(endpoint: Endpoint, index: number): void {
  const { qp, regions } = endpoint;
  const sgList = [{ addr: receiveAddress(endpoint, index), length: MESSAGE_SIZE, lkey: regions[0]!.key }];
  const error = postRecv(qp, { wrId: index, sgList });
  if (error !== 0) throw new Failed(`ibv_post_recv: ${errnoName(error)}`);
}

function receiveAddress(endpoint: Endpoint, index: number): number {
  return endpoint.messages + (1 + index) * MESSAGE_SIZE;
}

/** Adds the first `length` bytes of a region to a hash, each byte found by the hardware walker. */
export function hashRegion(
  hash: ReturnType<typeof createHash>,
  { machine, process }: Endpoint,
  { address }: MemoryRegion,
  length: number,
): void {
  const bytes = new Uint8Array(length);
  if (peekBytes(machine, process, address, bytes, 0, length) !== length) throw new Failed('the region is not mapped');
  hash.update(bytes);
}
