/**
 * The side without the file: lends a region for the rounds, hashes what arrives in it, and says so. It never touches the
 * bytes but by the walker: the other side's adapter writes them, and reads them back.
 */
import { createHash } from 'node:crypto';
import { createServer, type Server, type Socket } from 'node:net';
import { IBV_ACCESS_LOCAL_WRITE, IBV_ACCESS_REMOTE_READ, IBV_ACCESS_REMOTE_WRITE } from '@mmkit/kernel/sched';
import type { Task } from '@mmkit/task/sched';
import { BadInput, Failed } from '../exit.ts';
import {
  type Endpoint,
  type EndpointReport,
  hashRegion,
  receiveMessage,
  register,
  runEndpoint,
  sendMessage,
} from './endpoint.ts';
import { createLink, startMpaResponder } from './link.ts';
import type { MachinePlan } from './options.ts';

export const HOST = '127.0.0.1';

/** What the responder says at its end. */
export interface ResponderReport extends EndpointReport {
  /** SHA-256 of what arrived. */
  sha256: string;
}

/** Listens on `port` (0: any), tells `listening` which it is, serves one connection, and ends. BadInput: port in use. */
export async function runResponder(
  plan: MachinePlan,
  port: number,
  listening: (port: number) => void,
): Promise<ResponderReport> {
  const server = createServer();
  listening(await listen(server, port));
  const socket = await acceptOne(server, plan.timeout);
  const link = createLink(socket, plan.timeout);
  const crc = await startMpaResponder(link);
  const { result, report } = await runEndpoint(plan, link, crc, (endpoint) => respond(endpoint, plan.roundBytes));
  return { ...report, sha256: result };
}

/** The program: SHA-256 of all that arrived. */
function* respond(endpoint: Endpoint, roundBytes: number): Task<string> {
  const access = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ;
  const region = yield* register(endpoint, roundBytes, access);
  const hash = createHash('sha256');
  yield* receiveMessage(endpoint, 'hello');
  yield* sendMessage(endpoint, { what: 'region', stag: region.key, address: region.address, length: region.length });
  for (;;) {
    const message = yield* receiveMessage(endpoint, 'written', 'end');
    if (message.what === 'end') {
      const sha256 = hash.digest('hex');
      yield* sendMessage(endpoint, { what: 'done', sha256 });
      return sha256;
    }
    if (message.length > region.length)
      throw new Failed(`a round of ${message.length} bytes, at most ${region.length}`);
    hashRegion(hash, endpoint, region, message.length);
    yield* sendMessage(endpoint, { what: 'hashed', length: message.length });
  }
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.on('error', (error: NodeJS.ErrnoException) => {
      const reason = error.code === 'EADDRINUSE' ? 'is in use' : `cannot be used: ${error.code}`;
      reject(new BadInput(`--port: ${port} on ${HOST} ${reason}`));
    });
    server.listen(port, HOST, () => resolve((server.address() as { port: number }).port));
  });
}

function acceptOne(server: Server, timeout: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      server.close();
      reject(new Failed(`nobody connected for ${timeout / 1000} s`));
    }, timeout);
    server.once('connection', (socket) => {
      clearTimeout(timer);
      server.close();
      resolve(socket);
    });
  });
}
