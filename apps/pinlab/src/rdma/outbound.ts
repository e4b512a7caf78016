/** The sending half of the transport: messages cut into segments, segments into frames, frames given to the host. */
import { interrupt } from '@mmkit/task/sched';
import type { WireTransport } from './transport.ts';
import { type DdpSegment, encodeDdpHeader, segmentMessage } from './wire/ddp.ts';
import { encodeFpdu } from './wire/mpa.ts';
import { encodeTerminate, QN_TERMINATE, rdmapControl, RDMAP_TERMINATE, type Terminate } from './wire/rdmap.ts';

/** Longest ULPDU sent: 32 KiB of payload, so that one segment of the loopback device holds a whole FPDU. */
const MULPDU = (32 << 10) + 18;

/** Says what is wrong, and with which segment, if anybody still listens. */
export function terminate(transport: WireTransport, what: Terminate, ulpdu: Uint8Array | null): void {
  sendUntagged(transport, RDMAP_TERMINATE, QN_TERMINATE, encodeTerminate(what, ulpdu), () => {});
}

/** A message to a key and an address; `taken` as for `write`. */
export function sendTagged(
  transport: WireTransport,
  opcode: number,
  stag: number,
  to: bigint,
  payload: Uint8Array,
  taken: () => void,
): void {
  write(transport, { tagged: true, last: true, ulp: rdmapControl(opcode), stag, to, payload }, taken);
}

/** The next message of a queue; `taken` as for `write`. */
export function sendUntagged(
  transport: WireTransport,
  opcode: number,
  qn: number,
  payload: Uint8Array,
  taken: () => void,
): void {
  const msn = ++transport.sent[qn]!;
  const header = { tagged: false, last: true, ulp: rdmapControl(opcode), ulpWord: 0, qn, msn, mo: 0 } as const;
  write(transport, { ...header, payload }, taken);
}

/** Writes a message; `taken` is called once the host has all its bytes, and never when the connection broke. */
function write({ link, crc, sched }: WireTransport, message: DdpSegment, taken: () => void): void {
  const { socket } = link;
  if (!socket.writable) return;
  socket.cork();
  for (const segment of segmentMessage(message, MULPDU)) {
    socket.write(encodeFpdu(encodeDdpHeader(segment), segment.payload, crc), (error) => {
      if (segment.last && (error ?? null) === null) interrupt(sched, taken);
    });
  }
  socket.uncork();
}
