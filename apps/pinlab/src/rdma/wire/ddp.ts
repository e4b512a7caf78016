/**
 * DDP, Direct Data Placement (RFC 5041), version 1: segments that say where their bytes go. Pure: no I/O.
 *
 * | byte | tagged: to a key and an address | untagged: to the next buffer of a queue |
 * |---|---|---|
 * | 0 | T 0x80, L 0x40 (last segment of the message), version in the low 2 bits | the same, T clear |
 * | 1 | for the layer above | for the layer above |
 * | 2–5 | STag | for the layer above |
 * | 6– | 6–13 TO, tagged offset | 6–9 QN, 10–13 MSN, 14–17 MO: queue, message number from 1, offset in the message |
 * | then | payload from 14 on | payload from 18 on |
 */
import {
  CODE_FRAMING,
  CODE_MO,
  CODE_MSN,
  CODE_TAGGED_VERSION,
  CODE_UNTAGGED_VERSION,
  DDP_TAGGED,
  DDP_UNTAGGED,
  LAYER_DDP,
  LAYER_MPA,
  MPA_ERROR,
  WireError,
} from './error.ts';

/** Bytes before the payload of a tagged segment. */
export const DDP_TAGGED_HEADER = 14;
/** Bytes before the payload of an untagged segment. */
export const DDP_UNTAGGED_HEADER = 18;

const TAGGED = 0x80;
const LAST = 0x40;
const VERSION_MASK = 0x03;
const VERSION = 1;

export interface TaggedSegment {
  readonly tagged: true;
  /** Is it the last of its message? */
  readonly last: boolean;
  /** One byte for the layer above. */
  readonly ulp: number;
  readonly stag: number;
  /** Where its first byte goes. */
  readonly to: bigint;
  readonly payload: Uint8Array;
}

export interface UntaggedSegment {
  readonly tagged: false;
  /** Is it the last of its message? */
  readonly last: boolean;
  /** One byte for the layer above. */
  readonly ulp: number;
  /** Four more. */
  readonly ulpWord: number;
  readonly qn: number;
  readonly msn: number;
  /** Where in the message its first byte goes. */
  readonly mo: number;
  readonly payload: Uint8Array;
}

export type DdpSegment = TaggedSegment | UntaggedSegment;

/** The bytes of a segment before its payload. */
export function encodeDdpHeader(segment: DdpSegment): Uint8Array {
  const bytes = new Uint8Array(segment.tagged ? DDP_TAGGED_HEADER : DDP_UNTAGGED_HEADER);
  const view = new DataView(bytes.buffer);
  bytes[0] = (segment.tagged ? TAGGED : 0) | (segment.last ? LAST : 0) | VERSION;
  bytes[1] = segment.ulp;
  if (segment.tagged) {
    view.setUint32(2, segment.stag);
    view.setBigUint64(6, segment.to);
  } else {
    view.setUint32(2, segment.ulpWord);
    view.setUint32(6, segment.qn);
    view.setUint32(10, segment.msn);
    view.setUint32(14, segment.mo);
  }
  return bytes;
}

/** A ULPDU as a segment; its payload is a part of it. WireError: it is none. */
export function decodeDdp(ulpdu: Uint8Array): DdpSegment {
  const control = ulpdu[0] ?? 0;
  const tagged = (control & TAGGED) !== 0;
  const headerSize = tagged ? DDP_TAGGED_HEADER : DDP_UNTAGGED_HEADER;
  if (ulpdu.length < headerSize) {
    const message = `a DDP segment of ${ulpdu.length} bytes, its header alone has ${headerSize}`;
    throw new WireError(LAYER_MPA, MPA_ERROR, CODE_FRAMING, message);
  }
  const version = control & VERSION_MASK;
  if (version !== VERSION) {
    const message = `DDP version ${version}, only ${VERSION} is known`;
    if (tagged) throw new WireError(LAYER_DDP, DDP_TAGGED, CODE_TAGGED_VERSION, message);
    throw new WireError(LAYER_DDP, DDP_UNTAGGED, CODE_UNTAGGED_VERSION, message);
  }
  const view = new DataView(ulpdu.buffer, ulpdu.byteOffset, ulpdu.byteLength);
  const common = { last: (control & LAST) !== 0, ulp: ulpdu[1]!, payload: ulpdu.subarray(headerSize) };
  if (tagged) return { tagged, ...common, stag: view.getUint32(2), to: view.getBigUint64(6) };
  return {
    tagged,
    ...common,
    ulpWord: view.getUint32(2),
    qn: view.getUint32(6),
    msn: view.getUint32(10),
    mo: view.getUint32(14),
  };
}

/**
 * A message, given as one segment with all its payload, cut so that no segment is longer than `mulpdu` bytes with its
 * header. A message without payload is one segment.
 */
export function segmentMessage(message: DdpSegment, mulpdu: number): DdpSegment[] {
  const { payload } = message;
  const most = mulpdu - (message.tagged ? DDP_TAGGED_HEADER : DDP_UNTAGGED_HEADER);
  if (!(most >= 1)) throw new RangeError(`mulpdu: ${mulpdu} leaves no room for a payload`);
  const segments: DdpSegment[] = [];
  for (let at = 0; at === 0 || at < payload.length; at += most) {
    const part = { last: at + most >= payload.length, payload: payload.subarray(at, at + most) };
    if (message.tagged) segments.push({ ...message, ...part, to: message.to + BigInt(at) });
    else segments.push({ ...message, ...part, mo: message.mo + at });
  }
  return segments;
}

/** One untagged queue as its receiver sees it: segments come in order, as TCP keeps it. */
export class UntaggedQueue {
  readonly qn: number;
  /** Number of the message that is coming; the first is 1. `countUntagged` only. */
  msn: number;
  /** Bytes of it that came. `countUntagged` only. */
  mo: number;

  constructor(qn: number) {
    this.qn = qn;
    this.msn = 1;
    this.mo = 0;
  }
}

/** Counts the next segment of a queue. WireError: it is not the next, and nothing is counted. */
export function countUntagged(queue: UntaggedQueue, segment: UntaggedSegment): void {
  const { msn, mo, last } = segment;
  if (msn !== queue.msn) throw untaggedError(CODE_MSN, `message ${msn} in queue ${queue.qn}, expected ${queue.msn}`);
  if (mo !== queue.mo) throw untaggedError(CODE_MO, `message offset ${mo} in queue ${queue.qn}, expected ${queue.mo}`);
  queue.mo = last ? 0 : mo + segment.payload.length;
  if (last) queue.msn = (msn + 1) >>> 0;
}

/** What is wrong with an untagged segment. */
export function untaggedError(code: number, message: string): WireError {
  return new WireError(LAYER_DDP, DDP_UNTAGGED, code, message);
}
