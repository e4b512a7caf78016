/**
 * RDMAP, the RDMA protocol over DDP (RFC 5040), version 1: what a DDP message is. Pure: no I/O.
 *
 * Control byte, the one DDP keeps for the layer above: version in bits 7–6, opcode in bits 3–0.
 *
 * | opcode | message | DDP |
 * |---|---|---|
 * | 0 | RDMA Write | tagged |
 * | 1 | RDMA Read Request | untagged, queue 1 |
 * | 2 | RDMA Read Response | tagged: the sink of the request |
 * | 3–6 | Send, with Invalidate, with Solicited Event, with both | untagged, queue 0 |
 * | 7 | Terminate | untagged, queue 2 |
 *
 * Read Request, 28 bytes: sink STag (4), sink TO (8), length (4), source STag (4), source TO (8).
 *
 * Terminate: a word of layer (bits 31–28), error type (27–24), error code (23–16), M (15), D (14), R (13). M: the
 * length of the DDP segment in error follows, 2 bytes; D: then its DDP header; R: then the Read Request it is.
 *
 * Differs: no Send with Invalidate: they are refused as unexpected opcodes. The headers in a Terminate of the other side
 * are not looked at.
 */
import { DDP_TAGGED_HEADER, DDP_UNTAGGED_HEADER, type DdpSegment } from './ddp.ts';
import {
  CODE_OPCODE,
  CODE_RDMAP_VERSION,
  CODE_UNSPECIFIED,
  LAYER_RDMAP,
  RDMAP_REMOTE_OPERATION,
  WireError,
} from './error.ts';

export const RDMAP_WRITE = 0;
export const RDMAP_READ_REQUEST = 1;
export const RDMAP_READ_RESPONSE = 2;
export const RDMAP_SEND = 3;
export const RDMAP_SEND_INVALIDATE = 4;
export const RDMAP_SEND_SE = 5;
export const RDMAP_SEND_SE_INVALIDATE = 6;
export const RDMAP_TERMINATE = 7;

/** Untagged queue of Sends. */
export const QN_SEND = 0;
/** Untagged queue of Read Requests. */
export const QN_READ_REQUEST = 1;
/** Untagged queue of the Terminate. */
export const QN_TERMINATE = 2;

const VERSION_SHIFT = 6;
const VERSION = 1;
const OPCODE_MASK = 0x0f;
const READ_REQUEST_SIZE = 28;
const TERMINATE_SIZE = 4;
/** Terminate: M, D and R. */
const WITH_LENGTH = 0x80;
const WITH_DDP = 0x40;
const WITH_RDMAP = 0x20;

/** Untagged queue of each opcode; -1: tagged. Those not listed are refused. */
const QUEUES: Readonly<Record<number, number>> = {
  [RDMAP_WRITE]: -1,
  [RDMAP_READ_REQUEST]: QN_READ_REQUEST,
  [RDMAP_READ_RESPONSE]: -1,
  [RDMAP_SEND]: QN_SEND,
  [RDMAP_SEND_SE]: QN_SEND,
  [RDMAP_TERMINATE]: QN_TERMINATE,
};

/** The control byte of an opcode. */
export function rdmapControl(opcode: number): number {
  return (VERSION << VERSION_SHIFT) | opcode;
}

/** The opcode of a segment. WireError: a version or opcode that is unknown, or cannot come in such a segment. */
export function rdmapOpcode(segment: DdpSegment): number {
  const version = segment.ulp >> VERSION_SHIFT;
  if (version !== VERSION) throw operationError(CODE_RDMAP_VERSION, `RDMAP version ${version}, only 1 is known`);
  const opcode = segment.ulp & OPCODE_MASK;
  const queue = QUEUES[opcode];
  if (queue === undefined) throw operationError(CODE_OPCODE, `RDMAP opcode ${opcode} is not supported`);
  const found = segment.tagged ? -1 : segment.qn;
  if (found !== queue) {
    const where = segment.tagged ? 'a tagged buffer' : `queue ${segment.qn}`;
    throw operationError(CODE_OPCODE, `RDMAP opcode ${opcode} in ${where}`);
  }
  return opcode;
}

export interface ReadRequest {
  readonly sinkStag: number;
  readonly sinkTo: bigint;
  /** Bytes, a 32-bit number. */
  readonly length: number;
  readonly sourceStag: number;
  readonly sourceTo: bigint;
}

export function encodeReadRequest(request: ReadRequest): Uint8Array {
  const bytes = new Uint8Array(READ_REQUEST_SIZE);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, request.sinkStag);
  view.setBigUint64(4, request.sinkTo);
  view.setUint32(12, request.length);
  view.setUint32(16, request.sourceStag);
  view.setBigUint64(20, request.sourceTo);
  return bytes;
}

/** WireError when it has not the right length. */
export function decodeReadRequest(bytes: Uint8Array): ReadRequest {
  if (bytes.length !== READ_REQUEST_SIZE) {
    throw operationError(CODE_UNSPECIFIED, `a Read Request of ${bytes.length} bytes, expected ${READ_REQUEST_SIZE}`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return {
    sinkStag: view.getUint32(0),
    sinkTo: view.getBigUint64(4),
    length: view.getUint32(12),
    sourceStag: view.getUint32(16),
    sourceTo: view.getBigUint64(20),
  };
}

/** What a Terminate says: see error.ts. */
export interface Terminate {
  readonly layer: number;
  readonly type: number;
  readonly code: number;
}

/** A Terminate with the headers of `ulpdu`, the DDP segment in error; null: there is none, or it is not to be trusted. */
export function encodeTerminate({ layer, type, code }: Terminate, ulpdu: Uint8Array | null): Uint8Array {
  const word = [(layer << 4) | type, code];
  const tagged = ((ulpdu?.[0] ?? 0) & 0x80) !== 0;
  const ddpSize = tagged ? DDP_TAGGED_HEADER : DDP_UNTAGGED_HEADER;
  if (ulpdu === null || ulpdu.length < ddpSize) return Uint8Array.of(...word, 0, 0);
  const isRead =
    !tagged && ulpdu.length === ddpSize + READ_REQUEST_SIZE && ulpdu[1] === rdmapControl(RDMAP_READ_REQUEST);
  const flags = isRead ? WITH_LENGTH | WITH_DDP | WITH_RDMAP : WITH_LENGTH | WITH_DDP;
  const headers = ulpdu.subarray(0, ddpSize + (isRead ? READ_REQUEST_SIZE : 0));
  return Uint8Array.of(...word, flags, 0, ulpdu.length >> 8, ulpdu.length & 0xff, ...headers);
}

/** WireError when it is too short. */
export function decodeTerminate(bytes: Uint8Array): Terminate {
  if (bytes.length < TERMINATE_SIZE) {
    throw operationError(CODE_UNSPECIFIED, `a Terminate of ${bytes.length} bytes, at least ${TERMINATE_SIZE} expected`);
  }
  return { layer: bytes[0]! >> 4, type: bytes[0]! & 0x0f, code: bytes[1]! };
}

function operationError(code: number, message: string): WireError {
  return new WireError(LAYER_RDMAP, RDMAP_REMOTE_OPERATION, code, message);
}
