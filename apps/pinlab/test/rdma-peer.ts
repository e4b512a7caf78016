/** A peer made for tests: a socket that speaks the wire frame by frame, rightly or wrongly, with no machine behind it. */
import { connect, createServer, type Socket } from 'node:net';
import { once } from 'node:events';
import { encodeMessage, type Message } from '../src/rdma/messages.ts';
import { HOST } from '../src/rdma/responder.ts';
import { ByteQueue, pushBytes } from '../src/rdma/wire/bytes.ts';
import { type DdpSegment, decodeDdp, encodeDdpHeader } from '../src/rdma/wire/ddp.ts';
import { describeTerminate } from '../src/rdma/wire/error.ts';
import {
  encodeFpdu,
  encodeMpaStart,
  MPA_CRC,
  MPA_REPLY_KEY,
  MPA_REQUEST_KEY,
  takeMpaStart,
  takeUlpdu,
} from '../src/rdma/wire/mpa.ts';
import {
  decodeTerminate,
  QN_SEND,
  QN_TERMINATE,
  rdmapControl,
  RDMAP_SEND,
  RDMAP_WRITE,
} from '../src/rdma/wire/rdmap.ts';

export class Peer {
  readonly socket: Socket;
  readonly queue: ByteQueue;
  ended: boolean;
  /** Sends sent. */
  sent: number;
  /** Called after every change of `queue` and `ended`. */
  onChange: () => void;

  constructor(socket: Socket) {
    this.socket = socket;
    this.queue = new ByteQueue();
    this.ended = false;
    this.sent = 0;
    this.onChange = () => {};
    const end = (): void => {
      this.ended = true;
      this.onChange();
    };
    socket.on('data', (chunk: Buffer) => {
      pushBytes(this.queue, chunk);
      this.onChange();
    });
    // A connection reset by the other side is an end like any other.
    socket.on('error', end);
    socket.on('close', end);
    socket.on('end', end);
  }
}

function changed(peer: Peer): Promise<void> {
  return new Promise((resolve) => {
    peer.onChange = resolve;
  });
}

export async function dialPeer(port: number): Promise<Peer> {
  const socket = connect(port, HOST);
  await once(socket, 'connect');
  return new Peer(socket);
}

/** Listens; the peer is who connects. */
export async function listenPeer(): Promise<{ port: number; peer: Promise<Peer> }> {
  const server = createServer();
  server.listen(0, HOST);
  await once(server, 'listening');
  const peer = once(server, 'connection').then(([socket]) => {
    server.close();
    return new Peer(socket as Socket);
  });
  return { port: (server.address() as { port: number }).port, peer };
}

async function take<T>(peer: Peer, from: (queue: ByteQueue) => T | null): Promise<T> {
  for (;;) {
    const value = from(peer.queue);
    if (value !== null) return value;
    if (peer.ended) throw new Error('the side under test closed the connection');
    await changed(peer);
  }
}

/** The start of MPA by who connected. */
export async function startAsInitiator(peer: Peer, flags: number = MPA_CRC): Promise<number> {
  peer.socket.write(encodeMpaStart(MPA_REQUEST_KEY, flags, new Uint8Array(0)));
  return (await take(peer, (queue) => takeMpaStart(queue, MPA_REPLY_KEY))).flags;
}

/** The start of MPA by who listened. */
export async function startAsResponder(peer: Peer, flags: number = MPA_CRC): Promise<void> {
  await take(peer, (queue) => takeMpaStart(queue, MPA_REQUEST_KEY));
  peer.socket.write(encodeMpaStart(MPA_REPLY_KEY, flags, new Uint8Array(0)));
}

export function frame(segment: DdpSegment): Uint8Array {
  return encodeFpdu(encodeDdpHeader(segment), segment.payload, true);
}

export function sendSegment(peer: Peer, segment: DdpSegment): void {
  peer.socket.write(frame(segment));
}

/** A Send, right unless `wrong` says something else. */
export function send(peer: Peer, payload: Uint8Array, wrong: Partial<DdpSegment> = {}): DdpSegment {
  const ulp = rdmapControl(RDMAP_SEND);
  const msn = ++peer.sent;
  return { tagged: false, last: true, ulp, ulpWord: 0, qn: QN_SEND, msn, mo: 0, payload, ...wrong } as DdpSegment;
}

export function tell(peer: Peer, message: Message): void {
  sendSegment(peer, send(peer, encodeMessage(message)));
}

export function tagged(stag: number, to: bigint, payload: Uint8Array, opcode: number = RDMAP_WRITE): DdpSegment {
  return { tagged: true, last: true, ulp: rdmapControl(opcode), stag, to, payload };
}

export function nextSegment(peer: Peer): Promise<DdpSegment> {
  return take(peer, (queue) => {
    const ulpdu = takeUlpdu(queue, true);
    return ulpdu === null ? null : decodeDdp(ulpdu);
  });
}

/** The next Send's message. */
export async function hear(peer: Peer): Promise<Message> {
  const { payload } = await nextSegment(peer);
  return JSON.parse(Buffer.from(payload).toString()) as Message;
}

/** Skips what comes up to a Terminate, and gives what it says; then the connection must end. */
export async function hearTerminate(peer: Peer): Promise<string> {
  for (;;) {
    const segment = await nextSegment(peer);
    if (segment.tagged || segment.qn !== QN_TERMINATE) continue;
    await hearEnd(peer);
    const { layer, type, code } = decodeTerminate(segment.payload);
    return describeTerminate(layer, type, code);
  }
}

/** Waits until the side under test has closed. */
export async function hearEnd(peer: Peer): Promise<void> {
  while (!peer.ended) await changed(peer);
}
