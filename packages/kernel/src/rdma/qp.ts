/**
 * Queue pairs (ibv_create_qp(3), ibv_modify_qp(3), ibv_post_send(3), ibv_post_recv(3)).
 *
 * A posted send waits until the adapter gets to it, an event of its own: there the local bytes are read, through the
 * frames of the regions, and handed to the transport. What moves them to the other side is a port (`RdmaTransport`): a
 * loopback (loopback.ts), a wire of yours. It reports back by `completeSend`; on the other side it moves bytes by
 * `rdmaScatter`, `rdmaGather`, `placeReceive`, and ends a receive by `completeReceive`.
 *
 * No lock: a step each, nothing here waits.
 */
import { checkAddress, checkInteger, EINVAL, ENOMEM, InvariantError } from '@mmkit/base';
import { addEvent } from '@mmkit/task';
import { completeSend, failQp, flushSend, report, resetQp } from './complete.ts';
import type { CompletionQueue } from './cq.ts';
import { checkPd } from './device.ts';
import type { ProtectionDomain } from './device.ts';
import { readMessage } from './place.ts';
import { QueuePair, SendRequest } from './queue-pair.ts';
import type { QpOptions, RdmaTransport } from './queue-pair.ts';
import {
  IBV_QPS_ERR,
  IBV_QPS_INIT,
  IBV_QPS_RESET,
  IBV_QPS_RTS,
  IBV_SEND_SIGNALED,
  IBV_WC_RECV,
  IBV_WC_SUCCESS,
  IBV_WC_WR_FLUSH_ERR,
  IBV_WR_RDMA_READ,
  IBV_WR_RDMA_WRITE,
  IBV_WR_SEND,
} from './verbs.ts';
import type { RecvWr, SendWr, Sge } from './verbs.ts';

/** Work requests of each queue unless the caller says otherwise. */
export const DEFAULT_MAX_WR = 128;
/** From the doorbell to the adapter's first look, ns. */
const DOORBELL_NS = 200;

/** A queue pair of the domain, in IBV_QPS_RESET. RangeError for bad options. */
export function createQp(
  pd: ProtectionDomain,
  sendCq: CompletionQueue,
  recvCq: CompletionQueue,
  options: QpOptions = {},
): QueuePair {
  const { maxSendWr = DEFAULT_MAX_WR, maxRecvWr = DEFAULT_MAX_WR, sqSigAll = true } = options;
  const { device } = pd;
  checkPd(pd);
  checkInteger('maxSendWr', maxSendWr, 0, 0x7fff_ffff);
  checkInteger('maxRecvWr', maxRecvWr, 0, 0x7fff_ffff);
  if (sendCq.device !== device || recvCq.device !== device) {
    throw new InvariantError('WRONG_DEVICE', 'a completion queue is of another device');
  }
  const qp = new QueuePair(device.nextQpNum++, pd, sendCq, recvCq, maxSendWr, maxRecvWr, sqSigAll);
  device.queuePairs.set(qp.qpNum, qp);
  pd.users++;
  sendCq.users++;
  recvCq.users++;
  return qp;
}

/** Ends a queue pair in any state; work not completed is forgotten. InvariantError 'QP_GONE' the second time. */
export function destroyQp(qp: QueuePair): void {
  const { device } = qp.pd;
  if (!device.queuePairs.delete(qp.qpNum)) throw new InvariantError('QP_GONE', `queue pair ${qp.qpNum} is gone`);
  resetQp(qp);
  qp.pd.users--;
  qp.sendCq.users--;
  qp.recvCq.users--;
}

/**
 * Changes the state: from RESET to IBV_QPS_INIT, from any to IBV_QPS_ERR (all work is flushed) or IBV_QPS_RESET (all work
 * is forgotten). 0, or -EINVAL for any other change; to IBV_QPS_RTS by `connectQp`.
 */
export function modifyQp(qp: QueuePair, state: number): number {
  if (state === IBV_QPS_RESET) resetQp(qp);
  else if (state === IBV_QPS_ERR) failQp(qp);
  else if (state === IBV_QPS_INIT && qp.state === IBV_QPS_RESET) qp.state = IBV_QPS_INIT;
  else return -EINVAL;
  return 0;
}

/** Connects a queue pair in RESET or INIT: from here on it sends by `transport`. 0, or -EINVAL in another state. */
export function connectQp(qp: QueuePair, transport: RdmaTransport): number {
  if (qp.state !== IBV_QPS_RESET && qp.state !== IBV_QPS_INIT) return -EINVAL;
  qp.transport = transport;
  qp.state = IBV_QPS_RTS;
  return 0;
}

/**
 * Posts work for the other side (ibv_post_send): 0, -EINVAL (unknown opcode or flag, or not connected) or -ENOMEM (the
 * queue is full). In IBV_QPS_ERR it completes at once, flushed. What is wrong with keys and bounds is found later.
 */
export function postSend(qp: QueuePair, wr: SendWr): number {
  const { opcode, sendFlags = 0, remoteAddr = 0, rkey = 0 } = wr;
  checkInteger('wrId', wr.wrId, 0, Number.MAX_SAFE_INTEGER);
  checkAddress('remoteAddr', remoteAddr);
  checkInteger('rkey', rkey, 0, 0xffff_ffff);
  const sgList = copyList(wr.sgList);
  if (opcode !== IBV_WR_SEND && opcode !== IBV_WR_RDMA_WRITE && opcode !== IBV_WR_RDMA_READ) return -EINVAL;
  if ((sendFlags & ~IBV_SEND_SIGNALED) !== 0) return -EINVAL;
  if (qp.state !== IBV_QPS_RTS && qp.state !== IBV_QPS_ERR) return -EINVAL;
  if (qp.sends.length >= qp.maxSendWr) return -ENOMEM;
  const request = new SendRequest({ wrId: wr.wrId, opcode, sgList, sendFlags, remoteAddr, rkey });
  if (qp.state === IBV_QPS_ERR) {
    flushSend(qp, request);
    return 0;
  }
  qp.sends.push(request);
  ringDoorbell(qp);
  return 0;
}

/**
 * Posts a place for a message of the other side (ibv_post_recv): 0, -EINVAL (in IBV_QPS_RESET) or -ENOMEM (the queue is
 * full). In IBV_QPS_ERR it completes at once, flushed.
 */
export function postRecv(qp: QueuePair, wr: RecvWr): number {
  checkInteger('wrId', wr.wrId, 0, Number.MAX_SAFE_INTEGER);
  const receive = { wrId: wr.wrId, sgList: copyList(wr.sgList) };
  if (qp.state === IBV_QPS_RESET) return -EINVAL;
  if (qp.receives.length >= qp.maxRecvWr) return -ENOMEM;
  if (qp.state === IBV_QPS_ERR) report(qp, qp.recvCq, wr.wrId, IBV_WC_WR_FLUSH_ERR, IBV_WC_RECV, 0);
  else qp.receives.push(receive);
  return 0;
}

/** The caller may use its list again as soon as the call returns. RangeError for what no C caller could pass. */
function copyList(sgList: readonly Sge[]): Sge[] {
  return sgList.map(({ addr, length, lkey }) => {
    checkAddress('addr', addr);
    checkInteger('length', length, 0, 0xffff_ffff);
    checkInteger('lkey', lkey, 0, 0xffff_ffff);
    return { addr, length, lkey };
  });
}

/** The adapter will look at the next send, unless one before it has failed. */
function ringDoorbell(qp: QueuePair): void {
  const before = qp.sends[qp.started - 1];
  if (
    qp.doorbell !== null ||
    qp.started === qp.sends.length ||
    (before !== undefined && before.status > IBV_WC_SUCCESS)
  )
    return;
  const { sched } = qp.pd.device.machine;
  qp.doorbell = addEvent(sched, DOORBELL_NS, `rdma qp ${qp.qpNum}: next send`, () => startNext(qp));
}

/** The adapter gets to a send: reads the local bytes and hands it to the transport. */
function startNext(qp: QueuePair): void {
  qp.doorbell = null;
  const request = qp.sends[qp.started++]!;
  const error = readMessage(qp, request);
  if (error === IBV_WC_SUCCESS) qp.transport!.send(qp, request);
  else completeSend(qp, request, error);
  ringDoorbell(qp);
}
