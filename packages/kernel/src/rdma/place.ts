/**
 * The bytes of messages: from the memory a list names, and to it, through the frames of the regions. A list is checked
 * piece by piece as the bytes move, so that of one with a bad piece the pieces before may have been stored.
 */
import { MR_OK, rdmaGather, rdmaScatter } from './region.ts';
import { PENDING } from './queue-pair.ts';
import type { QueuePair, SendRequest } from './queue-pair.ts';
import {
  IBV_ACCESS_LOCAL_WRITE,
  IBV_WC_LOC_LEN_ERR,
  IBV_WC_LOC_PROT_ERR,
  IBV_WC_RNR_RETRY_EXC_ERR,
  IBV_WC_SUCCESS,
  IBV_WC_WR_FLUSH_ERR,
  IBV_WR_RDMA_READ,
  sgLength,
} from './verbs.ts';
import type { Sge } from './verbs.ts';

/** Longest message, bytes (max_msg_sz). */
export const MAX_MESSAGE: number = 2 ** 31;

/** Fills in the bytes of a message: IBV_WC_SUCCESS, or why not. */
export function readMessage(qp: QueuePair, request: SendRequest): number {
  const { device } = qp.pd;
  if (request.length > MAX_MESSAGE) return IBV_WC_LOC_LEN_ERR;
  if (request.wr.opcode === IBV_WR_RDMA_READ) return IBV_WC_SUCCESS;
  request.bytes = new Uint8Array(request.length);
  let at = 0;
  for (const { addr, length, lkey } of request.wr.sgList) {
    if (rdmaGather(device, qp.pd, lkey, addr, request.bytes.subarray(at, at + length), 0) !== MR_OK)
      return IBV_WC_LOC_PROT_ERR;
    at += length;
  }
  return IBV_WC_SUCCESS;
}

/**
 * Stores bytes that an RDMA read has brought, from byte `offset` of its answer on, in the memory its list names:
 * IBV_WC_SUCCESS, or IBV_WC_LOC_PROT_ERR, or IBV_WC_WR_FLUSH_ERR when the request is done; the transport reports it by
 * `completeSend`.
 */
export function placeRead(qp: QueuePair, request: SendRequest, offset: number, bytes: Uint8Array): number {
  if (request.status !== PENDING) return IBV_WC_WR_FLUSH_ERR;
  return placeInList(qp, request.wr.sgList, offset, bytes);
}

/**
 * Stores bytes of an incoming message, from byte `offset` of it on, in the oldest receive: IBV_WC_SUCCESS; there is no
 * receive: IBV_WC_RNR_RETRY_EXC_ERR; IBV_WC_LOC_LEN_ERR or IBV_WC_LOC_PROT_ERR, which the transport then reports by
 * `completeReceive`.
 */
export function placeReceive(qp: QueuePair, offset: number, bytes: Uint8Array): number {
  const receive = qp.receives[0];
  if (receive === undefined) return IBV_WC_RNR_RETRY_EXC_ERR;
  if (offset + bytes.length > sgLength(receive.sgList)) return IBV_WC_LOC_LEN_ERR;
  return placeInList(qp, receive.sgList, offset, bytes);
}

function placeInList(qp: QueuePair, sgList: readonly Sge[], offset: number, bytes: Uint8Array): number {
  let start = 0;
  for (const { addr, length, lkey } of sgList) {
    const from = Math.max(offset, start);
    const to = Math.min(offset + bytes.length, start + length);
    if (from < to) {
      const part = bytes.subarray(from - offset, to - offset);
      const at = addr + (from - start);
      if (rdmaScatter(qp.pd.device, qp.pd, lkey, at, part, IBV_ACCESS_LOCAL_WRITE) !== MR_OK)
        return IBV_WC_LOC_PROT_ERR;
    }
    start += length;
  }
  return IBV_WC_SUCCESS;
}
