/**
 * A TCP connection and the start of MPA on it: the host's side of the wire. After `startMpa` both sides agree and the
 * bytes belong to the transport (transport.ts).
 */
import type { Socket } from 'node:net';
import { Failed } from '../exit.ts';
import { ByteQueue, pushBytes } from './wire/bytes.ts';
import { WireError } from './wire/error.ts';
import {
  acceptMpaReply,
  answerMpaRequest,
  encodeMpaStart,
  MPA_CRC,
  MPA_REJECT,
  MPA_REPLY_KEY,
  MPA_REQUEST_KEY,
  type MpaStart,
  takeMpaStart,
} from './wire/mpa.ts';

/** How long a side that has closed waits for the other to do so, ms. */
const LINGER_MS = 1000;

export class Link {
  readonly socket: Socket;
  /** What came and was not yet looked at. */
  readonly queue: ByteQueue;
  /** Nothing more will come. */
  ended: boolean;
  /** Why the connection is of no more use, the first reason; null while it is. */
  error: string | null;
  /** Called after every change of the above. */
  onChange: () => void;

  constructor(socket: Socket) {
    this.socket = socket;
    this.queue = new ByteQueue();
    this.ended = false;
    this.error = null;
    this.onChange = () => {};
  }
}

/** Watches a connected socket; `timeout` ms without a byte either way are an error. */
export function createLink(socket: Socket, timeout: number): Link {
  const link = new Link(socket);
  const end = (error: string): void => {
    link.ended = true;
    link.error ??= error;
    link.onChange();
  };
  socket.setNoDelay(true);
  socket.setTimeout(timeout);
  socket.on('data', (chunk: Buffer) => {
    pushBytes(link.queue, chunk);
    link.onChange();
  });
  socket.on('end', () => end('the other side closed the connection'));
  socket.on('error', (error: NodeJS.ErrnoException) => end(`the connection broke: ${error.code ?? error.message}`));
  socket.on('timeout', () => {
    socket.destroy();
    end(`the other side was silent for ${timeout / 1000} s`);
  });
  return link;
}

/** Sends the Request and waits for the Reply: are checksums in use? Failed, with the connection closed, when it cannot be. */
export async function startMpaInitiator(link: Link): Promise<boolean> {
  link.socket.write(encodeMpaStart(MPA_REQUEST_KEY, MPA_CRC, new Uint8Array(0)));
  try {
    const reply = await receiveStart(link, MPA_REPLY_KEY);
    return acceptMpaReply(MPA_CRC, reply.flags);
  } catch (error) {
    throw await refuse(link, error);
  }
}

/** Waits for the Request and sends the Reply; otherwise as `startMpaInitiator`. */
export async function startMpaResponder(link: Link): Promise<boolean> {
  try {
    const request = await receiveStart(link, MPA_REQUEST_KEY);
    const { flags, crc } = answerMpaRequest(request.flags, true);
    link.socket.write(encodeMpaStart(MPA_REPLY_KEY, flags, new Uint8Array(0)));
    if ((flags & MPA_REJECT) !== 0) throw new Failed('the other side wants markers, which are not supported');
    return crc;
  } catch (error) {
    throw await refuse(link, error);
  }
}

/** Closes the connection, having sent what was written, and waits until it is closed. */
export function closeLink({ socket }: Link): Promise<void> {
  if (socket.closed) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(() => socket.destroy(), LINGER_MS);
    socket.on('close', () => {
      clearTimeout(timer);
      resolve();
    });
    socket.end();
  });
}

async function receiveStart(link: Link, key: string): Promise<MpaStart> {
  for (;;) {
    const start = takeMpaStart(link.queue, key);
    if (start !== null) return start;
    if (link.ended) throw new Failed(`${link.error} before MPA was set up`);
    await new Promise<void>((resolve) => {
      link.onChange = resolve;
    });
  }
}

/** The error to throw, once the connection is closed. */
async function refuse(link: Link, error: unknown): Promise<unknown> {
  await closeLink(link);
  return error instanceof WireError ? new Failed(error.message) : error;
}
