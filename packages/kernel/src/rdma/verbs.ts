/**
 * What a verbs program reads and writes (libibverbs: infiniband/verbs.h; ibv_reg_mr(3), ibv_post_send(3),
 * ibv_post_recv(3), ibv_poll_cq(3)): constants with its names and values, work requests, work completions.
 *
 * Left out: immediate data, inline data, fences, atomics, memory windows, datagrams.
 */

/** The adapter may write the region for its owner: receives, the bytes an RDMA read brings. Reading is always allowed. */
export const IBV_ACCESS_LOCAL_WRITE = 1;
/** The other side may write the region; needs IBV_ACCESS_LOCAL_WRITE. */
export const IBV_ACCESS_REMOTE_WRITE = 2;
/** The other side may read the region. */
export const IBV_ACCESS_REMOTE_READ = 4;
/** The other side may do atomic operations; needs IBV_ACCESS_LOCAL_WRITE. No such operation exists here. */
export const IBV_ACCESS_REMOTE_ATOMIC = 8;

/** Queue pair: new, takes no work. */
export const IBV_QPS_RESET = 0;
/** Queue pair: takes receives, moves nothing yet. */
export const IBV_QPS_INIT = 1;
/** Queue pair: connected (Linux: ready to send). */
export const IBV_QPS_RTS = 3;
/** Queue pair: something failed; work posted before and after completes with IBV_WC_WR_FLUSH_ERR. */
export const IBV_QPS_ERR = 6;

/** Send work request: local bytes to the remote region. */
export const IBV_WR_RDMA_WRITE = 0;
/** Send work request: local bytes to the receive the other side posted first. */
export const IBV_WR_SEND = 2;
/** Send work request: bytes of the remote region to local memory. */
export const IBV_WR_RDMA_READ = 4;

/** Send flag: report success too, on a queue pair made with `sqSigAll` false. */
export const IBV_SEND_SIGNALED = 2;

/** It worked. */
export const IBV_WC_SUCCESS = 0;
/** Send: longer than a message may be. Receive: the message is longer than the buffer. */
export const IBV_WC_LOC_LEN_ERR = 1;
/** A local key is wrong, of another domain, does not cover the bytes, or does not allow to write them. */
export const IBV_WC_LOC_PROT_ERR = 4;
/** Not done: the queue pair was in error by then. */
export const IBV_WC_WR_FLUSH_ERR = 5;
/** The other side found the message impossible: its receive is too short. */
export const IBV_WC_REM_INV_REQ_ERR = 9;
/** The remote key is wrong, of another domain, does not cover the bytes, or does not allow the access. */
export const IBV_WC_REM_ACCESS_ERR = 10;
/** The other side could not do it: its receive names memory that is not its own. */
export const IBV_WC_REM_OP_ERR = 11;
/** The other side does not answer. */
export const IBV_WC_RETRY_EXC_ERR = 12;
/** The other side has no receive posted. */
export const IBV_WC_RNR_RETRY_EXC_ERR = 13;

/** Work completion: of IBV_WR_SEND. */
export const IBV_WC_SEND = 0;
/** Work completion: of IBV_WR_RDMA_WRITE. */
export const IBV_WC_RDMA_WRITE = 1;
/** Work completion: of IBV_WR_RDMA_READ. */
export const IBV_WC_RDMA_READ = 2;
/** Work completion: of a receive. */
export const IBV_WC_RECV = 128;

/** A piece of local memory (struct ibv_sge). */
export interface Sge {
  /** User address in the region, bytes. */
  readonly addr: number;
  /** Bytes; 0 names nothing, and its key is not looked at. */
  readonly length: number;
  /** Key of the region. */
  readonly lkey: number;
}

/** What `postSend` takes (struct ibv_send_wr). */
export interface SendWr {
  /** Comes back in the completion. */
  readonly wrId: number;
  /** IBV_WR_*. */
  readonly opcode: number;
  /** The local memory, in order. */
  readonly sgList: readonly Sge[];
  /** IBV_SEND_SIGNALED or 0 (default). */
  readonly sendFlags?: number;
  /** RDMA only: address in the remote region, bytes. */
  readonly remoteAddr?: number;
  /** RDMA only: key of the remote region. */
  readonly rkey?: number;
}

/** What `postRecv` takes (struct ibv_recv_wr). */
export interface RecvWr {
  /** Comes back in the completion. */
  readonly wrId: number;
  /** Where the message goes, in order. */
  readonly sgList: readonly Sge[];
}

/** What `pollCq` gives (struct ibv_wc). With an error only `wrId`, `status` and `qpNum` mean something. */
export interface WorkCompletion {
  readonly wrId: number;
  /** IBV_WC_SUCCESS or IBV_WC_*_ERR. */
  readonly status: number;
  /** IBV_WC_SEND, IBV_WC_RDMA_WRITE, IBV_WC_RDMA_READ or IBV_WC_RECV. */
  readonly opcode: number;
  /** Bytes moved. */
  readonly byteLen: number;
  /** Of which queue pair. */
  readonly qpNum: number;
}

/** Bytes that a list of pieces names. */
export function sgLength(sgList: readonly Sge[]): number {
  let length = 0;
  for (const sge of sgList) length += sge.length;
  return length;
}
