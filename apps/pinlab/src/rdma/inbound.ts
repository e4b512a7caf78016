/**
 * The receiving half of the transport: segments that came are done to the memory of the machine or to the queue pair, one
 * after the other, each whole. The first that is wrong ends the connection with a Terminate that shows it.
 */
import {
  completeReceive,
  completeSend,
  failQp,
  IBV_ACCESS_REMOTE_READ,
  IBV_ACCESS_REMOTE_WRITE,
  IBV_WC_LOC_LEN_ERR,
  IBV_WC_RNR_RETRY_EXC_ERR,
  IBV_WC_SUCCESS,
  MR_INVALID_KEY,
  MR_NO_ACCESS,
  MR_OK,
  MR_WRONG_PD,
  placeRead,
  placeReceive,
  type QueuePair,
  rdmaGather,
  rdmaScatter,
  type SendRequest,
} from '@mmkit/kernel/sched';
import { sendTagged, terminate } from './outbound.ts';
import type { WireTransport } from './transport.ts';
import {
  countUntagged,
  type DdpSegment,
  decodeDdp,
  type TaggedSegment,
  untaggedError,
  type UntaggedSegment,
} from './wire/ddp.ts';
import {
  CODE_ACCESS,
  CODE_BOUNDS,
  CODE_INVALID_STAG,
  CODE_NO_BUFFER,
  CODE_PROTECTION_STREAM,
  CODE_QN,
  CODE_TAGGED_STREAM,
  CODE_TOO_LONG,
  CODE_UNSPECIFIED,
  DDP_TAGGED,
  describeTerminate,
  LAYER_DDP,
  LAYER_RDMAP,
  RDMAP_LOCAL_CATASTROPHIC,
  RDMAP_REMOTE_OPERATION,
  RDMAP_REMOTE_PROTECTION,
  WireError,
} from './wire/error.ts';
import { checkMpaEnd, takeUlpdu } from './wire/mpa.ts';
import {
  decodeReadRequest,
  decodeTerminate,
  rdmapOpcode,
  RDMAP_READ_REQUEST,
  RDMAP_READ_RESPONSE,
  RDMAP_TERMINATE,
  RDMAP_WRITE,
} from './wire/rdmap.ts';

/** Reads of the other side being answered at a time, at most (IRD). */
const MAX_INBOUND_READS = 16;

/** Everything that came is done, in interrupt context. */
export function receive(transport: WireTransport): void {
  const { link, qp } = transport;
  let ulpdu: Uint8Array | null = null;
  try {
    while (!transport.closed) {
      ulpdu = null;
      ulpdu = takeUlpdu(link.queue, transport.crc);
      if (ulpdu === null) break;
      obey(transport, decodeDdp(ulpdu));
    }
    if (!transport.closed && link.ended) {
      checkMpaEnd(link.queue);
      failQp(qp);
    }
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    link.error = error.message;
    terminate(transport, error, ulpdu);
    failQp(qp);
  }
}

function obey(transport: WireTransport, segment: DdpSegment): void {
  const queue = segment.tagged ? null : transport.queues[segment.qn];
  if (queue === undefined) throw untaggedError(CODE_QN, `untagged queue ${(segment as UntaggedSegment).qn}`);
  const opcode = rdmapOpcode(segment);
  if (segment.tagged) {
    if (opcode === RDMAP_WRITE) placeWrite(transport.qp, segment);
    else placeResponse(transport, segment);
    return;
  }
  countUntagged(queue!, segment);
  if (opcode === RDMAP_READ_REQUEST) answerRead(transport, segment);
  else if (opcode === RDMAP_TERMINATE) obeyTerminate(transport, segment);
  else placeMessage(transport.qp, segment);
}

/** An RDMA Write of the other side. */
function placeWrite({ pd }: QueuePair, { stag, to, payload }: TaggedSegment): void {
  const result = rdmaScatter(pd.device, pd, stag, Number(to), payload, IBV_ACCESS_REMOTE_WRITE);
  if (result === MR_OK) return;
  const what = `an RDMA Write of ${payload.length} bytes to ${hex(to)} with key ${hex(stag)}`;
  if (result === MR_NO_ACCESS) throw protectionError(CODE_ACCESS, `${what}: the region may not be written`);
  if (result === MR_INVALID_KEY) throw taggedError(CODE_INVALID_STAG, `${what}: no region has this key`);
  if (result === MR_WRONG_PD) throw taggedError(CODE_TAGGED_STREAM, `${what}: the region is of another domain`);
  throw taggedError(CODE_BOUNDS, `${what}: not all in the region`);
}

/** A part of a Send of the other side. */
function placeMessage(qp: QueuePair, { mo, payload, last, msn }: UntaggedSegment): void {
  const status = placeReceive(qp, mo, payload);
  if (status === IBV_WC_RNR_RETRY_EXC_ERR) {
    throw untaggedError(CODE_NO_BUFFER, `Send ${msn} came, and no receive is posted`);
  }
  if (status === IBV_WC_LOC_LEN_ERR) throw untaggedError(CODE_TOO_LONG, `Send ${msn} is longer than its receive`);
  if (status !== IBV_WC_SUCCESS) throw catastrophe(`the receive of Send ${msn} names no memory of ours`);
  if (last) completeReceive(qp, IBV_WC_SUCCESS, mo + payload.length);
}

/** An RDMA Read of the other side. */
function answerRead(transport: WireTransport, { payload, last }: UntaggedSegment): void {
  if (!last) throw new WireError(LAYER_RDMAP, RDMAP_REMOTE_OPERATION, CODE_UNSPECIFIED, 'a Read Request in parts');
  const { sinkStag, sinkTo, length, sourceStag, sourceTo } = decodeReadRequest(payload);
  if (transport.answering >= MAX_INBOUND_READS) {
    throw untaggedError(CODE_NO_BUFFER, `more than ${MAX_INBOUND_READS} RDMA Reads at a time`);
  }
  const { pd } = transport.qp;
  const gather = (at: number, into: Uint8Array): number =>
    rdmaGather(pd.device, pd, sourceStag, Number(sourceTo) + at, into, IBV_ACCESS_REMOTE_READ);
  // First and last byte alone: a length that nobody allows must not make an array of that length.
  const edge = new Uint8Array(Math.min(length, 1));
  let result = gather(0, edge);
  if (result === MR_OK) result = gather(length - edge.length, edge);
  if (result !== MR_OK) {
    const what = `an RDMA Read of ${length} bytes at ${hex(sourceTo)} with key ${hex(sourceStag)}`;
    if (result === MR_NO_ACCESS) throw protectionError(CODE_ACCESS, `${what}: the region may not be read`);
    if (result === MR_INVALID_KEY) throw protectionError(CODE_INVALID_STAG, `${what}: no region has this key`);
    if (result === MR_WRONG_PD)
      throw protectionError(CODE_PROTECTION_STREAM, `${what}: the region is of another domain`);
    throw protectionError(CODE_BOUNDS, `${what}: not all in the region`);
  }
  const bytes = new Uint8Array(length);
  gather(0, bytes);
  transport.answering++;
  sendTagged(transport, RDMAP_READ_RESPONSE, sinkStag, sinkTo, bytes, () => transport.answering--);
}

/** A part of the answer to the oldest read of ours. */
function placeResponse(transport: WireTransport, { stag, to, payload, last }: TaggedSegment): void {
  const read = transport.reads[0];
  if (read === undefined) throw taggedError(CODE_INVALID_STAG, 'a Read Response that nobody asked for');
  const { request } = read;
  const sink = sinkOf(request);
  if (stag !== sink.lkey) throw taggedError(CODE_INVALID_STAG, `a Read Response to key ${hex(stag)}`);
  const end = read.done + payload.length;
  if (to !== BigInt(sink.addr + read.done) || end > request.length || last !== (end === request.length)) {
    throw taggedError(CODE_BOUNDS, `a Read Response of ${payload.length} bytes to ${hex(to)}`);
  }
  const status = placeRead(transport.qp, request, read.done, payload);
  read.done = end;
  if (last) transport.reads.shift();
  if (last || status !== IBV_WC_SUCCESS) completeSend(transport.qp, request, status);
}

/** The other side has given up. */
function obeyTerminate({ link, qp }: WireTransport, { payload }: UntaggedSegment): void {
  const { layer, type, code } = decodeTerminate(payload);
  link.error = `the other side ended the stream: ${describeTerminate(layer, type, code)}`;
  failQp(qp);
}

/** Where the answer to a read goes. */
export function sinkOf({ wr }: SendRequest): { readonly addr: number; readonly lkey: number } {
  return wr.sgList[0] ?? { addr: 0, lkey: 0 };
}

function taggedError(code: number, message: string): WireError {
  return new WireError(LAYER_DDP, DDP_TAGGED, code, message);
}

function protectionError(code: number, message: string): WireError {
  return new WireError(LAYER_RDMAP, RDMAP_REMOTE_PROTECTION, code, message);
}

function catastrophe(message: string): WireError {
  return new WireError(LAYER_RDMAP, RDMAP_LOCAL_CATASTROPHIC, 0, message);
}

function hex(value: number | bigint): string {
  return `0x${value.toString(16)}`;
}
