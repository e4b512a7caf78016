/**
 * iWARP as the transport of a queue pair: its work becomes RDMAP messages on a TCP connection (outbound.ts), and what
 * comes is done to the memory of the machine by keys, or to the receives of the queue pair (inbound.ts). All of it
 * happens in interrupt context of the machine: the host's callbacks enter by `interrupt`.
 *
 * A Write or Send is complete when the host has taken its bytes: what the other side does with them is told, if it is
 * wrong, by a Terminate message, after which both sides close. Reads are answered in the order asked.
 */
import {
  completeSend,
  IBV_QPS_ERR,
  IBV_WC_LOC_PROT_ERR,
  IBV_WC_SUCCESS,
  IBV_WR_RDMA_READ,
  IBV_WR_SEND,
  type QueuePair,
  type RdmaTransport,
  type SendRequest,
} from '@mmkit/kernel/sched';
import { interrupt, type Sched } from '@mmkit/task/sched';
import { receive, sinkOf } from './inbound.ts';
import type { Link } from './link.ts';
import { sendTagged, sendUntagged, terminate } from './outbound.ts';
import { UntaggedQueue } from './wire/ddp.ts';
import { LAYER_RDMAP, RDMAP_LOCAL_CATASTROPHIC } from './wire/error.ts';
import {
  encodeReadRequest,
  QN_READ_REQUEST,
  QN_SEND,
  QN_TERMINATE,
  RDMAP_READ_REQUEST,
  RDMAP_SEND,
  RDMAP_WRITE,
} from './wire/rdmap.ts';

/** A read of ours whose answer has not come whole. */
interface PendingRead {
  readonly request: SendRequest;
  /** Bytes that came. */
  done: number;
}

export class WireTransport implements RdmaTransport {
  readonly qp: QueuePair;
  readonly sched: Sched;
  readonly link: Link;
  /** Are checksums in use? */
  readonly crc: boolean;
  /** Incoming untagged segments, by queue. */
  readonly queues: readonly UntaggedQueue[];
  /** Number of the last message sent, by queue. */
  readonly sent: number[];
  /** Oldest first. */
  readonly reads: PendingRead[];
  /** Reads of the other side whose answer the host has not yet taken. */
  answering: number;
  /** True once the queue pair has let go: nothing is sent or looked at any more. */
  closed: boolean;

  constructor(qp: QueuePair, link: Link, crc: boolean) {
    this.qp = qp;
    this.sched = qp.pd.device.machine.sched;
    this.link = link;
    this.crc = crc;
    this.queues = [QN_SEND, QN_READ_REQUEST, QN_TERMINATE].map((qn) => new UntaggedQueue(qn));
    this.sent = [0, 0, 0];
    this.reads = [];
    this.answering = 0;
    this.closed = false;
    link.onChange = () => interrupt(this.sched, () => receive(this));
    if (link.socket.closed) return;
    // While the connection lives something may come from outside: the driver may wait for it.
    this.sched.outside++;
    link.socket.on('close', () => interrupt(this.sched, () => this.sched.outside--));
  }

  /** What came before the queue pair was connected is looked at. */
  start(): void {
    this.link.onChange();
  }

  send(qp: QueuePair, request: SendRequest): void {
    const { wr, bytes } = request;
    const complete = (): void => completeSend(qp, request, IBV_WC_SUCCESS);
    if (wr.opcode === IBV_WR_SEND) sendUntagged(this, RDMAP_SEND, QN_SEND, bytes, complete);
    else if (wr.opcode === IBV_WR_RDMA_READ) requestRead(this, request);
    else sendTagged(this, RDMAP_WRITE, wr.rkey ?? 0, BigInt(wr.remoteAddr ?? 0), bytes, complete);
  }

  close(qp: QueuePair): void {
    if (this.closed) return;
    this.closed = true;
    if (qp.state === IBV_QPS_ERR && this.link.error === null) {
      this.link.error = 'a local error ended the connection';
      terminate(this, { layer: LAYER_RDMAP, type: RDMAP_LOCAL_CATASTROPHIC, code: 0 }, null);
    }
    this.link.socket.end();
  }
}

/** Asks for a read; the memory it goes to must be one piece, as the protocol names it by one key. */
function requestRead(transport: WireTransport, request: SendRequest): void {
  const { wr, length } = request;
  if (wr.sgList.length > 1) {
    interrupt(transport.sched, () => completeSend(transport.qp, request, IBV_WC_LOC_PROT_ERR));
    return;
  }
  const { addr, lkey } = sinkOf(request);
  transport.reads.push({ request, done: 0 });
  const message = encodeReadRequest({
    sinkStag: lkey,
    sinkTo: BigInt(addr),
    length,
    sourceStag: wr.rkey ?? 0,
    sourceTo: BigInt(wr.remoteAddr ?? 0),
  });
  sendUntagged(transport, RDMAP_READ_REQUEST, QN_READ_REQUEST, message, () => {});
}
