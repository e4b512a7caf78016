/**
 * What is wrong with bytes that came over the wire, and what a Terminate message says about it (RFC 5040, section 4.8
 * and 7; RFC 5041, section 8.2; RFC 5044, section 8).
 */

/** Layer: RDMAP. */
export const LAYER_RDMAP = 0;
/** Layer: DDP. */
export const LAYER_DDP = 1;
/** Layer: MPA (LLP). */
export const LAYER_MPA = 2;

/** RDMAP error type: something the sender of the Terminate did wrong by itself. */
export const RDMAP_LOCAL_CATASTROPHIC = 0;
/** RDMAP error type: a key or a range of a Read Request, or the rights of any access. */
export const RDMAP_REMOTE_PROTECTION = 1;
/** RDMAP error type: a message that means nothing. */
export const RDMAP_REMOTE_OPERATION = 2;
/** DDP error type: a segment to a tagged buffer. */
export const DDP_TAGGED = 1;
/** DDP error type: a segment to an untagged buffer. */
export const DDP_UNTAGGED = 2;
/** MPA error type: the only one. */
export const MPA_ERROR = 0;

/** Remote protection, tagged buffer: no region has this key. */
export const CODE_INVALID_STAG = 0;
/** Remote protection, tagged buffer: bytes outside the region. */
export const CODE_BOUNDS = 1;
/** Remote protection: the region was not registered for this. */
export const CODE_ACCESS = 2;
/** Tagged buffer: the region is not of this stream. */
export const CODE_TAGGED_STREAM = 2;
/** Remote protection: the region is not of this stream. */
export const CODE_PROTECTION_STREAM = 3;
/** Tagged buffer: a DDP version other than 1. */
export const CODE_TAGGED_VERSION = 4;
/** Remote operation: an RDMAP version other than 1. */
export const CODE_RDMAP_VERSION = 5;
/** Remote operation: an opcode that is unknown, or not possible there. */
export const CODE_OPCODE = 6;
/** Remote operation, local catastrophic and elsewhere: none of the others. */
export const CODE_UNSPECIFIED = 0xff;
/** Untagged buffer: no such queue. */
export const CODE_QN = 1;
/** Untagged buffer: no buffer is posted for this message. */
export const CODE_NO_BUFFER = 2;
/** Untagged buffer: not the message number expected. */
export const CODE_MSN = 3;
/** Untagged buffer: not the offset expected. */
export const CODE_MO = 4;
/** Untagged buffer: the message is longer than the buffer. */
export const CODE_TOO_LONG = 5;
/** Untagged buffer: a DDP version other than 1. */
export const CODE_UNTAGGED_VERSION = 6;
/** MPA: the checksum is wrong. */
export const CODE_CRC = 2;
/** MPA: markers and length disagree; here: the length is impossible. */
export const CODE_FRAMING = 3;
/** MPA: the Request or Reply frame is not right. */
export const CODE_START = 4;

/** Bytes that cannot be understood or must not be obeyed; the message is one line. */
export class WireError extends Error {
  /** LAYER_*. */
  readonly layer: number;
  /** RDMAP_*, DDP_* or MPA_ERROR. */
  readonly type: number;
  /** CODE_*. */
  readonly code: number;

  constructor(layer: number, type: number, code: number, message: string) {
    super(message);
    this.layer = layer;
    this.type = type;
    this.code = code;
  }
}

/** What was wrong by the three numbers of a Terminate message, in a few words. */
export function describeTerminate(layer: number, type: number, code: number): string {
  return CAUSES[`${layer}.${type}.${code}`] ?? `layer ${layer}, type ${type}, code ${code}`;
}

const CAUSES: Readonly<Record<string, string>> = {
  '0.0.0': 'local catastrophic error',
  '0.1.0': 'invalid STag',
  '0.1.1': 'base or bounds violation',
  '0.1.2': 'access rights violation',
  '0.1.3': 'STag not associated with the stream',
  '0.1.4': 'TO wrap',
  '0.2.5': 'invalid RDMAP version',
  '0.2.6': 'unexpected opcode',
  '1.1.0': 'invalid STag',
  '1.1.1': 'base or bounds violation',
  '1.1.2': 'STag not associated with the stream',
  '1.1.3': 'TO wrap',
  '1.1.4': 'invalid DDP version',
  '1.2.1': 'invalid QN',
  '1.2.2': 'no buffer for the message',
  '1.2.3': 'invalid MSN',
  '1.2.4': 'invalid MO',
  '1.2.5': 'message too long for its buffer',
  '1.2.6': 'invalid DDP version',
  '2.0.2': 'MPA CRC error',
  '2.0.3': 'MPA framing error',
  '2.0.4': 'invalid MPA Request or Reply frame',
};
