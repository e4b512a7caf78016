/**
 * What a queue pair consists of (struct ib_qp), of the reliable connected kind, and the port it sends by. What is done
 * with it: qp.ts (create, connect, post), place.ts (its bytes), complete.ts (its ends). No lock: a step each.
 */
import type { PendingEvent } from '@mmkit/task';
import type { CompletionQueue } from './cq.ts';
import type { ProtectionDomain } from './device.ts';
import { IBV_QPS_RESET, sgLength } from './verbs.ts';
import type { RecvWr, SendWr } from './verbs.ts';

/** `SendRequest.status` while it is under way. */
export const PENDING = -1;

/** Where a queue pair's outgoing work goes. Neither call may wait. */
export interface RdmaTransport {
  /**
   * Takes the next request, in the order posted. Later it calls `completeSend` for it, once or never (a request that was
   * flushed meanwhile is not missed). For an RDMA read the bytes that came are stored by `placeRead` before.
   */
  send(qp: QueuePair, request: SendRequest): void;
  /** The queue pair is in error, reset or destroyed: nothing more comes of it. Called once a connection. */
  close(qp: QueuePair): void;
}

/** A posted send. */
export class SendRequest {
  readonly wr: SendWr;
  /** Bytes of the message. */
  readonly length: number;
  /** The message, as read when the adapter got to it; empty before, and for an RDMA read. */
  bytes: Uint8Array;
  /** IBV_WC_* once it is done, PENDING before. complete.ts only. */
  status: number;

  constructor(wr: SendWr) {
    this.wr = wr;
    this.length = sgLength(wr.sgList);
    this.bytes = new Uint8Array(0);
    this.status = PENDING;
  }
}

export interface QpOptions {
  /** Sends posted and not completed, at most (default DEFAULT_MAX_WR). */
  readonly maxSendWr?: number;
  /** Receives posted and not completed, at most (default DEFAULT_MAX_WR). */
  readonly maxRecvWr?: number;
  /** False: a send that worked is reported only with IBV_SEND_SIGNALED (sq_sig_all; default true). */
  readonly sqSigAll?: boolean;
}

export class QueuePair {
  /** 1 and up. */
  readonly qpNum: number;
  readonly pd: ProtectionDomain;
  readonly sendCq: CompletionQueue;
  readonly recvCq: CompletionQueue;
  /** See QpOptions. */
  readonly maxSendWr: number;
  /** See QpOptions. */
  readonly maxRecvWr: number;
  /** See QpOptions. */
  readonly sqSigAll: boolean;
  /** IBV_QPS_*. qp.ts and complete.ts only. */
  state: number;
  /** Sends not completed, oldest first. qp.ts and complete.ts only. */
  readonly sends: SendRequest[];
  /** How many of `sends` the adapter has looked at. qp.ts and complete.ts only. */
  started: number;
  /** The adapter's next look, or null. qp.ts and complete.ts only. */
  doorbell: PendingEvent | null;
  /** Receives not completed, oldest first. qp.ts and complete.ts only. */
  readonly receives: RecvWr[];
  /** Null while not connected. qp.ts and complete.ts only. */
  transport: RdmaTransport | null;

  constructor(
    qpNum: number,
    pd: ProtectionDomain,
    sendCq: CompletionQueue,
    recvCq: CompletionQueue,
    maxSendWr: number,
    maxRecvWr: number,
    sqSigAll: boolean,
  ) {
    this.qpNum = qpNum;
    this.pd = pd;
    this.sendCq = sendCq;
    this.recvCq = recvCq;
    this.maxSendWr = maxSendWr;
    this.maxRecvWr = maxRecvWr;
    this.sqSigAll = sqSigAll;
    this.state = IBV_QPS_RESET;
    this.sends = [];
    this.started = 0;
    this.doorbell = null;
    this.receives = [];
    this.transport = null;
  }
}
