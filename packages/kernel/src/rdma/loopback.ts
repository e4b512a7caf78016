/**
 * A transport between two queue pairs without a wire: of one machine, or of two. Each way is a channel that keeps order:
 * a request arrives and is carried out by the other side's adapter (one event), its answer comes back (another). All
 * events are in the requester's machine and in its time.
 *
 * What the other side refuses is answered as InfiniBand's reliable connection does, with no retries: no receive posted
 * is IBV_WC_RNR_RETRY_EXC_ERR at once, a queue pair that is not connected IBV_WC_RETRY_EXC_ERR.
 */
import { EINVAL } from '@mmkit/base';
import { addEvent } from '@mmkit/task';
import { completeReceive, completeSend, failQp } from './complete.ts';
import { placeRead, placeReceive } from './place.ts';
import { connectQp } from './qp.ts';
import type { QueuePair, RdmaTransport, SendRequest } from './queue-pair.ts';
import { MR_OK, rdmaGather, rdmaScatter } from './region.ts';
import {
  IBV_ACCESS_REMOTE_READ,
  IBV_ACCESS_REMOTE_WRITE,
  IBV_QPS_INIT,
  IBV_QPS_RESET,
  IBV_QPS_RTS,
  IBV_WC_LOC_LEN_ERR,
  IBV_WC_REM_ACCESS_ERR,
  IBV_WC_REM_INV_REQ_ERR,
  IBV_WC_REM_OP_ERR,
  IBV_WC_RETRY_EXC_ERR,
  IBV_WC_RNR_RETRY_EXC_ERR,
  IBV_WC_SUCCESS,
  IBV_WR_RDMA_READ,
  IBV_WR_SEND,
} from './verbs.ts';

/** Virtual time one way takes, ns. */
const LATENCY_NS = 1000;

/** What the other side said. */
interface Answer {
  readonly request: SendRequest;
  /** IBV_WC_*. */
  readonly status: number;
}

/** One way between two queue pairs: what `from` asks of `to`. */
class LoopbackChannel implements RdmaTransport {
  readonly from: QueuePair;
  readonly to: QueuePair;
  /** On their way there, oldest first; an event is pending while there are any. */
  readonly requests: SendRequest[];
  /** On their way back, oldest first; an event is pending while there are any. */
  readonly answers: Answer[];

  constructor(from: QueuePair, to: QueuePair) {
    this.from = from;
    this.to = to;
    this.requests = [];
    this.answers = [];
  }

  send(_qp: QueuePair, request: SendRequest): void {
    if (this.requests.push(request) === 1) expectRequest(this);
  }

  /** What is under way arrives all the same, as on a wire. */
  close(): void {}
}

/** Connects two queue pairs in RESET or INIT with each other: 0, or -EINVAL when one is in another state. */
export function connectLoopback(a: QueuePair, b: QueuePair): number {
  if (!isNew(a) || !isNew(b)) return -EINVAL;
  connectQp(a, new LoopbackChannel(a, b));
  connectQp(b, new LoopbackChannel(b, a));
  return 0;
}

function isNew(qp: QueuePair): boolean {
  return qp.state === IBV_QPS_RESET || qp.state === IBV_QPS_INIT;
}

/** The next request of the channel will arrive. */
function expectRequest(channel: LoopbackChannel): void {
  const { from, to, requests, answers } = channel;
  const { sched } = from.pd.device.machine;
  addEvent(sched, LATENCY_NS, `rdma qp ${from.qpNum}: request arrives`, () => {
    const request = requests.shift()!;
    if (requests.length > 0) expectRequest(channel);
    if (answers.push({ request, status: carryOut(to, request) }) === 1) expectAnswer(channel);
  });
}

/** The next answer of the channel will arrive. */
function expectAnswer(channel: LoopbackChannel): void {
  const { from, answers } = channel;
  const { sched } = from.pd.device.machine;
  addEvent(sched, LATENCY_NS, `rdma qp ${from.qpNum}: answer arrives`, () => {
    const { request, status } = answers.shift()!;
    if (answers.length > 0) expectAnswer(channel);
    const isData = status === IBV_WC_SUCCESS && request.wr.opcode === IBV_WR_RDMA_READ;
    completeSend(from, request, isData ? placeRead(from, request, 0, request.bytes) : status);
  });
}

/** The adapter of `qp` carries a request out: how its requester's work request ends. */
function carryOut(qp: QueuePair, request: SendRequest): number {
  if (qp.state !== IBV_QPS_RTS) return IBV_WC_RETRY_EXC_ERR;
  return request.wr.opcode === IBV_WR_SEND ? receiveMessage(qp, request) : accessRegion(qp, request);
}

function receiveMessage(qp: QueuePair, { bytes }: SendRequest): number {
  const status = placeReceive(qp, 0, bytes);
  if (status === IBV_WC_RNR_RETRY_EXC_ERR) return status;
  completeReceive(qp, status, bytes.length);
  if (status === IBV_WC_SUCCESS) return status;
  return status === IBV_WC_LOC_LEN_ERR ? IBV_WC_REM_INV_REQ_ERR : IBV_WC_REM_OP_ERR;
}

function accessRegion(qp: QueuePair, request: SendRequest): number {
  const { wr, length } = request;
  const { opcode, rkey = 0, remoteAddr = 0 } = wr;
  const { pd } = qp;
  const read = opcode === IBV_WR_RDMA_READ;
  if (read) request.bytes = new Uint8Array(length);
  const access = read ? IBV_ACCESS_REMOTE_READ : IBV_ACCESS_REMOTE_WRITE;
  const done = (read ? rdmaGather : rdmaScatter)(pd.device, pd, rkey, remoteAddr, request.bytes, access);
  if (done === MR_OK) return IBV_WC_SUCCESS;
  failQp(qp);
  return IBV_WC_REM_ACCESS_ERR;
}
