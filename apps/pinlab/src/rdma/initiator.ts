/**
 * The side with the file, in rounds: a part of it comes into a region by direct I/O, goes to the other machine by RDMA
 * Write, and comes back by RDMA Read into a second region, where it is hashed by the walker. A Send says that a round was
 * written, its answer that it may be written over.
 */
import { createHash } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { errnoName } from '@mmkit/base';
import { createBlockDevice } from '@mmkit/filemap/sched';
import { closeFile, type FileBackend, openFile } from '@mmkit/filemap/node';
import {
  directRead,
  IBV_ACCESS_LOCAL_WRITE,
  IBV_WR_RDMA_READ,
  IBV_WR_RDMA_WRITE,
  type MemoryRegion,
  type SendWr,
} from '@mmkit/kernel/sched';
import type { Task } from '@mmkit/task/sched';
import { Failed } from '../exit.ts';
import {
  complete,
  type Endpoint,
  type EndpointReport,
  hashRegion,
  receiveMessage,
  register,
  runEndpoint,
  sendMessage,
} from './endpoint.ts';
import { createLink, startMpaInitiator } from './link.ts';
import type { MachinePlan } from './options.ts';
import { HOST } from './responder.ts';

/** Bytes of one RDMA Write at most. */
const WRITE_SIZE = 256 << 10;
const SECTOR = 512;

/** What the initiator says at its end. */
export interface InitiatorReport extends EndpointReport {
  /** SHA-256 of the file, read by the host. */
  expected: string;
  /** SHA-256 of what the other side says arrived. */
  arrived: string;
  /** SHA-256 of what was read back. */
  readBack: string;
  /** Host time of Writes and Reads, from posting to completion. */
  transferSeconds: number;
}

type Hashes = Omit<InitiatorReport, keyof EndpointReport>;

/** Connects to `port`, moves the file there and back; `progress` is told the bytes that came back. Failed when it cannot. */
export async function runInitiator(
  plan: MachinePlan,
  file: string,
  port: number,
  progress: (done: number) => void,
): Promise<InitiatorReport> {
  const link = createLink(await dial(port), plan.timeout);
  const crc = await startMpaInitiator(link);
  const source = openFile(file);
  try {
    const { result, report } = await runEndpoint(plan, link, crc, (endpoint) =>
      initiate(endpoint, source, plan.roundBytes, progress),
    );
    return { ...report, ...result };
  } finally {
    closeFile(source);
  }
}

/** The program. */
function* initiate(
  endpoint: Endpoint,
  source: FileBackend,
  roundBytes: number,
  progress: (done: number) => void,
): Task<Hashes> {
  const { machine } = endpoint;
  const device = createBlockDevice(machine.sched, machine.memory.phys, source);
  // Only read by the adapter, so pinned for reading; direct I/O still finds these frames.
  const output = yield* register(endpoint, roundBytes, 0);
  const input = yield* register(endpoint, roundBytes, IBV_ACCESS_LOCAL_WRITE);
  yield* sendMessage(endpoint, { what: 'hello', round: roundBytes });
  const remote = yield* receiveMessage(endpoint, 'region');
  const most = Math.min(roundBytes, remote.length);
  const expected = createHash('sha256');
  const readBack = createHash('sha256');
  let transferSeconds = 0;
  for (let at = 0; at < source.size; at += most) {
    const length = Math.min(most, source.size - at);
    yield* loadRound(endpoint, device, at, output, length);
    hashPart(expected, source, at, length);
    const start = performance.now();
    yield* complete(endpoint, ...writes(output, remote, length));
    transferSeconds += (performance.now() - start) / 1000;
    yield* sendMessage(endpoint, { what: 'written', length });
    const answer = yield* receiveMessage(endpoint, 'hashed');
    if (answer.length !== length) throw new Failed(`${answer.length} bytes were hashed, expected ${length}`);
    const again = performance.now();
    yield* complete(endpoint, read(input, remote, length));
    transferSeconds += (performance.now() - again) / 1000;
    hashRegion(readBack, endpoint, input, length);
    progress(at + length);
  }
  const sha256 = expected.digest('hex');
  yield* sendMessage(endpoint, { what: 'end', sha256 });
  const { sha256: arrived } = yield* receiveMessage(endpoint, 'done');
  return { expected: sha256, arrived, readBack: readBack.digest('hex'), transferSeconds };
}

/** Bytes of the file into the region, by direct I/O of the process. */
function* loadRound(
  endpoint: Endpoint,
  device: ReturnType<typeof createBlockDevice>,
  at: number,
  { address }: MemoryRegion,
  length: number,
): Task<void> {
  const { machine, process } = endpoint;
  const blocks = Math.ceil(length / SECTOR) * SECTOR;
  const { result, pagesPinned } = yield* directRead(machine, process, device, at, address, blocks);
  if (result < length)
    throw new Failed(`O_DIRECT at ${at}: ${result < 0 ? errnoName(result) : `only ${result} bytes`}`);
  endpoint.pagesPinned += pagesPinned;
}

interface Remote {
  readonly stag: number;
  readonly address: number;
}

function writes({ address, key }: MemoryRegion, remote: Remote, length: number): SendWr[] {
  const work: SendWr[] = [];
  for (let at = 0; at < length; at += WRITE_SIZE) {
    const sgList = [{ addr: address + at, length: Math.min(WRITE_SIZE, length - at), lkey: key }];
    work.push({ wrId: at, opcode: IBV_WR_RDMA_WRITE, sgList, remoteAddr: remote.address + at, rkey: remote.stag });
  }
  return work;
}

function read({ address, key }: MemoryRegion, remote: Remote, length: number): SendWr {
  const sgList = [{ addr: address, length, lkey: key }];
  return { wrId: 0, opcode: IBV_WR_RDMA_READ, sgList, remoteAddr: remote.address, rkey: remote.stag };
}

function hashPart(hash: ReturnType<typeof createHash>, source: FileBackend, at: number, length: number): void {
  const bytes = new Uint8Array(length);
  if (source.read(at, bytes) !== length) throw new Failed(`reading ${source.path}: not all of it is there`);
  hash.update(bytes);
}

function dial(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, HOST);
    socket.once('connect', () => {
      socket.removeAllListeners('error');
      resolve(socket);
    });
    socket.once('error', (error: NodeJS.ErrnoException) =>
      reject(new Failed(`cannot connect to ${HOST}:${port}: ${error.code}`)),
    );
  });
}
