/**
 * How work ends: completions, and the queue pair in error. Sends complete in the order posted, whatever order the
 * transport ends them in. One that fails is reported when all before it are; then the queue pair is in error, and
 * everything else, sends and receives, is flushed.
 */
import { InvariantError } from '@mmkit/base';
import { cancelEvent, wakeAll } from '@mmkit/task';
import type { CompletionQueue } from './cq.ts';
import { PENDING } from './queue-pair.ts';
import type { QueuePair, SendRequest } from './queue-pair.ts';
import {
  IBV_QPS_ERR,
  IBV_QPS_RESET,
  IBV_SEND_SIGNALED,
  IBV_WC_RDMA_READ,
  IBV_WC_RDMA_WRITE,
  IBV_WC_RECV,
  IBV_WC_SEND,
  IBV_WC_SUCCESS,
  IBV_WC_WR_FLUSH_ERR,
  IBV_WR_RDMA_WRITE,
  IBV_WR_SEND,
} from './verbs.ts';
import type { WorkCompletion } from './verbs.ts';

/** The oldest receive got a message of `byteLen` bytes, or failed with `status`: then the queue pair is in error. */
export function completeReceive(qp: QueuePair, status: number, byteLen: number): void {
  const receive = qp.receives.shift();
  if (receive === undefined) throw new InvariantError('NO_RECEIVE', `queue pair ${qp.qpNum} has no receive posted`);
  report(qp, qp.recvCq, receive.wrId, status, IBV_WC_RECV, byteLen);
  if (status !== IBV_WC_SUCCESS) failQp(qp);
}

/** A request is done, with `status` (IBV_WC_*). Nobody is told when it was flushed or forgotten before. */
export function completeSend(qp: QueuePair, request: SendRequest, status: number): void {
  request.status = status;
  for (;;) {
    const first = qp.sends[0];
    if (first === undefined || first.status === PENDING) return;
    qp.sends.shift();
    qp.started--;
    reportSend(qp, first);
    if (first.status !== IBV_WC_SUCCESS) return failQp(qp);
  }
}

/** Puts the queue pair in error: its work is flushed, the transport told. Nothing when it is so already. */
export function failQp(qp: QueuePair): void {
  if (qp.state === IBV_QPS_ERR) return;
  qp.state = IBV_QPS_ERR;
  disconnect(qp);
  for (const request of qp.sends.splice(0)) flushSend(qp, request);
  for (const { wrId } of qp.receives.splice(0)) report(qp, qp.recvCq, wrId, IBV_WC_WR_FLUSH_ERR, IBV_WC_RECV, 0);
}

/** Puts the queue pair in RESET: its work is forgotten, the transport told. */
export function resetQp(qp: QueuePair): void {
  qp.state = IBV_QPS_RESET;
  disconnect(qp);
  for (const request of qp.sends.splice(0)) request.status = IBV_WC_WR_FLUSH_ERR;
  qp.receives.length = 0;
}

function disconnect(qp: QueuePair): void {
  const { transport } = qp;
  qp.transport = null;
  qp.started = 0;
  if (qp.doorbell !== null) cancelEvent(qp.pd.device.machine.sched, qp.doorbell);
  qp.doorbell = null;
  if (transport !== null) transport.close(qp);
}

/** Reports a send that is not done. */
export function flushSend(qp: QueuePair, request: SendRequest): void {
  request.status = IBV_WC_WR_FLUSH_ERR;
  reportSend(qp, request);
}

function reportSend(qp: QueuePair, { wr, status, length }: SendRequest): void {
  if (status === IBV_WC_SUCCESS && !qp.sqSigAll && wr.sendFlags !== IBV_SEND_SIGNALED) return;
  report(qp, qp.sendCq, wr.wrId, status, completionOf(wr.opcode), length);
}

function completionOf(opcode: number): number {
  if (opcode === IBV_WR_SEND) return IBV_WC_SEND;
  return opcode === IBV_WR_RDMA_WRITE ? IBV_WC_RDMA_WRITE : IBV_WC_RDMA_READ;
}

/** Puts a completion into a queue. */
export function report(
  qp: QueuePair,
  cq: CompletionQueue,
  wrId: number,
  status: number,
  opcode: number,
  byteLen: number,
): void {
  pushCompletion(cq, { wrId, status, opcode, byteLen: status === IBV_WC_SUCCESS ? byteLen : 0, qpNum: qp.qpNum });
}

/** The adapter reports; a queue without room is lost, and with it who reports there. */
function pushCompletion(cq: CompletionQueue, completion: WorkCompletion): void {
  if (cq.overrun) return;
  wakeAll(cq.queue);
  if (cq.entries.length < cq.capacity) {
    cq.entries.push(completion);
    return;
  }
  cq.overrun = true;
  for (const qp of cq.device.queuePairs.values()) if (qp.sendCq === cq || qp.recvCq === cq) failQp(qp);
}
