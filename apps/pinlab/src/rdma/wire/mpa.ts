/**
 * MPA, Marker PDU Aligned Framing for TCP (RFC 5044), revision 1: a stream of bytes cut into frames. Pure: no I/O.
 *
 * Request and Reply frame, one each at the start of a connection:
 *
 * | bytes | meaning |
 * |---|---|
 * | 0–15 | key: "MPA ID Req Frame" or "MPA ID Rep Frame" |
 * | 16 | M 0x80, C 0x40, R 0x20; the rest is not looked at |
 * | 17 | revision |
 * | 18–19 | length of the private data, 0 to 512 |
 * | 20– | private data |
 *
 * FPDU, everything after that:
 *
 * | bytes | meaning |
 * |---|---|
 * | 0–1 | length n of the ULPDU |
 * | 2 – n+1 | ULPDU: a DDP segment |
 * | | 0 to 3 bytes of padding, so that the checksum begins at a multiple of 4 |
 * | last 4 | CRC32C of all before, the low byte first (as in iSCSI); 0 when none was agreed on |
 *
 * Differs: no markers. Who asks for them is rejected, though the RFC has every sender able to insert them.
 */
import crc32c from 'crc-32/crc32c.js';
import { type ByteQueue, peekQueue, takeBytes } from './bytes.ts';
import { CODE_CRC, CODE_FRAMING, CODE_START, LAYER_MPA, MPA_ERROR, WireError } from './error.ts';

/** Flag: the sender of the frame wants markers in what it receives. */
export const MPA_MARKERS = 0x80;
/** Flag: the sender of the frame wants checksums, both ways. */
export const MPA_CRC = 0x40;
/** Flag of a Reply: the connection is rejected. */
export const MPA_REJECT = 0x20;
/** The only revision. */
export const MPA_REVISION = 1;
/** Most bytes of private data. */
export const MPA_MAX_PRIVATE = 512;
/** Most bytes of a ULPDU. */
export const MPA_MAX_ULPDU = 0xffff;

export const MPA_REQUEST_KEY = 'MPA ID Req Frame';
export const MPA_REPLY_KEY = 'MPA ID Rep Frame';

const KEY_SIZE = 16;
const START_SIZE = 20;
const LENGTH_SIZE = 2;
const CRC_SIZE = 4;

/** A Request or Reply frame. */
export interface MpaStart {
  /** MPA_MARKERS, MPA_CRC, MPA_REJECT. */
  readonly flags: number;
  readonly privateData: Uint8Array;
}

/** A Request or Reply frame (by `key`) as bytes. RangeError for too much private data. */
export function encodeMpaStart(key: string, flags: number, privateData: Uint8Array): Uint8Array {
  const { length } = privateData;
  if (length > MPA_MAX_PRIVATE) throw new RangeError(`privateData: ${length} bytes, at most ${MPA_MAX_PRIVATE}`);
  const bytes = new Uint8Array(START_SIZE + length);
  for (let i = 0; i < KEY_SIZE; i++) bytes[i] = key.charCodeAt(i);
  bytes[16] = flags;
  bytes[17] = MPA_REVISION;
  bytes[18] = length >> 8;
  bytes[19] = length & 0xff;
  bytes.set(privateData, START_SIZE);
  return bytes;
}

/** Takes the Request or Reply frame (by `key`) from the stream; null: more bytes are needed. WireError: it is none. */
export function takeMpaStart(queue: ByteQueue, key: string): MpaStart | null {
  // A wrong key is seen at its first wrong byte: who does not speak MPA may never send 20.
  const begin = peekQueue(queue, Math.min(queue.length, KEY_SIZE))!;
  for (let i = 0; i < begin.length; i++) {
    if (begin[i] !== key.charCodeAt(i)) throw badStart(`the stream does not begin with "${key}"`);
  }
  const header = peekQueue(queue, START_SIZE);
  if (header === null) return null;
  const revision = header[17]!;
  if (revision !== MPA_REVISION) throw badStart(`MPA revision ${revision}, only ${MPA_REVISION} is known`);
  const length = (header[18]! << 8) | header[19]!;
  if (length > MPA_MAX_PRIVATE) {
    throw badStart(`${length} bytes of private data, at most ${MPA_MAX_PRIVATE} are allowed`);
  }
  const frame = takeBytes(queue, START_SIZE + length);
  return frame === null ? null : { flags: frame[16]!, privateData: frame.slice(START_SIZE) };
}

/** What a responder does with a Request. */
export interface MpaAnswer {
  /** Flags of its Reply. */
  readonly flags: number;
  /** Are checksums in use, both ways? */
  readonly crc: boolean;
}

/** The answer to a Request with `flags` from a side that wants checksums (`wantCrc`) or does not care. */
export function answerMpaRequest(flags: number, wantCrc: boolean): MpaAnswer {
  const crc = wantCrc || (flags & MPA_CRC) !== 0;
  const reject = (flags & MPA_MARKERS) !== 0;
  return { flags: (crc ? MPA_CRC : 0) | (reject ? MPA_REJECT : 0), crc };
}

/** What a Reply with `flags` means to who sent a Request with `requested`: are checksums in use? WireError: no connection. */
export function acceptMpaReply(requested: number, flags: number): boolean {
  if ((flags & MPA_REJECT) !== 0) throw badStart('the other side rejected the connection');
  if ((flags & MPA_MARKERS) !== 0) throw badStart('the other side wants markers, which are not supported');
  return ((requested | flags) & MPA_CRC) !== 0;
}

/** An FPDU around a ULPDU given in two parts. RangeError when it is too long. */
export function encodeFpdu(header: Uint8Array, payload: Uint8Array, crc: boolean): Uint8Array {
  const length = header.length + payload.length;
  if (length > MPA_MAX_ULPDU) throw new RangeError(`ULPDU of ${length} bytes, at most ${MPA_MAX_ULPDU}`);
  const bytes = new Uint8Array(fpduSize(length));
  bytes[0] = length >> 8;
  bytes[1] = length & 0xff;
  bytes.set(header, LENGTH_SIZE);
  bytes.set(payload, LENGTH_SIZE + header.length);
  const end = bytes.length - CRC_SIZE;
  if (crc) viewOf(bytes).setUint32(end, crc32c.buf(bytes.subarray(0, end)) >>> 0, true);
  return bytes;
}

/** Takes the next ULPDU from the stream; null: more bytes are needed. WireError: the checksum is wrong. */
export function takeUlpdu(queue: ByteQueue, crc: boolean): Uint8Array | null {
  const header = peekQueue(queue, LENGTH_SIZE);
  if (header === null) return null;
  const length = (header[0]! << 8) | header[1]!;
  const bytes = takeBytes(queue, fpduSize(length));
  if (bytes === null) return null;
  const end = bytes.length - CRC_SIZE;
  if (crc && viewOf(bytes).getUint32(end, true) !== crc32c.buf(bytes.subarray(0, end)) >>> 0) {
    throw new WireError(LAYER_MPA, MPA_ERROR, CODE_CRC, `bad CRC32C in a frame of ${bytes.length} bytes`);
  }
  return bytes.subarray(LENGTH_SIZE, LENGTH_SIZE + length);
}

/** The stream has ended. WireError when it did so inside a frame. */
export function checkMpaEnd(queue: ByteQueue): void {
  if (queue.length === 0) return;
  throw new WireError(
    LAYER_MPA,
    MPA_ERROR,
    CODE_FRAMING,
    `the stream ended inside a frame, after ${queue.length} bytes`,
  );
}

/** Bytes of an FPDU with a ULPDU of `length`. */
function fpduSize(length: number): number {
  return Math.ceil((LENGTH_SIZE + length) / 4) * 4 + CRC_SIZE;
}

function badStart(message: string): WireError {
  return new WireError(LAYER_MPA, MPA_ERROR, CODE_START, message);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
