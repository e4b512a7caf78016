/** What each side of `rdma` does with a peer that is wrong: one clear error, no pin left, the connection ended. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  allocPd,
  deallocPd,
  deregMr,
  IBV_ACCESS_LOCAL_WRITE,
  IBV_ACCESS_REMOTE_READ,
  IBV_ACCESS_REMOTE_WRITE,
  IBV_WR_RDMA_READ,
  IBV_WR_RDMA_WRITE,
  regMr,
  type SendWr,
} from '@mmkit/kernel/sched';
import type { Task } from '@mmkit/task/sched';
import { BadInput, Failed } from '../src/exit.ts';
import { complete, type Endpoint, receiveMessage, register, runEndpoint, sendMessage } from '../src/rdma/endpoint.ts';
import { runInitiator } from '../src/rdma/initiator.ts';
import { createLink } from '../src/rdma/link.ts';
import { encodeMessage, MESSAGE_SIZE } from '../src/rdma/messages.ts';
import { planMachine } from '../src/rdma/options.ts';
import { HOST, runResponder } from '../src/rdma/responder.ts';
import { segmentMessage } from '../src/rdma/wire/ddp.ts';
import { encodeFpdu, encodeMpaStart, MPA_CRC, MPA_MARKERS, MPA_REJECT, MPA_REQUEST_KEY } from '../src/rdma/wire/mpa.ts';
import {
  encodeReadRequest,
  encodeTerminate,
  QN_READ_REQUEST,
  QN_TERMINATE,
  rdmapControl,
  RDMAP_READ_REQUEST,
  RDMAP_READ_RESPONSE,
  RDMAP_SEND_INVALIDATE,
  RDMAP_TERMINATE,
} from '../src/rdma/wire/rdmap.ts';
import {
  dialPeer,
  frame,
  hear,
  hearEnd,
  hearTerminate,
  listenPeer,
  nextSegment,
  type Peer,
  send,
  sendSegment,
  startAsInitiator,
  startAsResponder,
  tagged,
  tell,
} from './rdma-peer.ts';

const OPTIONS = { port: '0', ram: '2', arch: 'x86_64', timeout: '20000' };
const PLAN = planMachine(OPTIONS);
/** Key of the region with the messages, the first of every endpoint: not for the other side. */
const MESSAGES_KEY = 0x1f8;
const BYTES = Uint8Array.of(1, 2, 3, 4);

interface Region {
  readonly stag: number;
  readonly address: number;
  readonly length: number;
}

let folder = '';
let file = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pinlab-test-'));
  file = join(folder, 'file');
  writeFileSync(file, randomBytes(300_000));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A Read Request for `length` bytes. */
function readRequest(region: Region, length: number, sourceStag: number = region.stag): Parameters<typeof frame>[0] {
  const payload = encodeReadRequest({
    sinkStag: 1,
    sinkTo: 0n,
    length,
    sourceStag,
    sourceTo: BigInt(region.address),
  });
  const ulp = rdmapControl(RDMAP_READ_REQUEST);
  return { tagged: false, last: true, ulp, ulpWord: 0, qn: QN_READ_REQUEST, msn: 1, mo: 0, payload };
}

/** The one line of a Failed: anything else, a leak above all, is thrown on. */
async function failure(run: Promise<unknown>): Promise<string> {
  try {
    await run;
  } catch (error) {
    if (!(error instanceof Failed)) throw error;
    expect(error.message).toMatch(/^[^\n]+$/);
    return error.message;
  }
  throw new Error('it worked');
}

/** A responder and a peer connected to it. */
async function withResponder(timeout: number = PLAN.timeout): Promise<{ peer: Peer; failed: Promise<string> }> {
  let failed = Promise.resolve('');
  const port = await new Promise<number>((resolve) => {
    failed = failure(runResponder({ ...PLAN, timeout }, 0, resolve));
  });
  // Looked at later; until then it is nobody's unhandled rejection.
  failed.catch(() => {});
  return { peer: await dialPeer(port), failed };
}

/** The same, with the region it lends. */
async function withRegion(): Promise<{ peer: Peer; failed: Promise<string>; region: Region }> {
  const { peer, failed } = await withResponder();
  await startAsInitiator(peer);
  tell(peer, { what: 'hello', round: 4096 });
  return { peer, failed, region: (await hear(peer)) as Region & { what: 'region' } };
}

describe('a responder with a peer that asks for what it must not have', () => {
  type Wrong = (region: Region, peer: Peer) => Parameters<typeof frame>[0];
  const end = ({ address, length }: Region): bigint => BigInt(address + length);
  it.each<[string, Wrong, string, RegExp]>([
    ['a Write with a wrong key', (r) => tagged(r.stag ^ 1, BigInt(r.address), BYTES), 'invalid STag', /no region/],
    ['a Write with key 0', (r) => tagged(0, BigInt(r.address), BYTES), 'invalid STag', /no region/],
    ['a Write across the end', (r) => tagged(r.stag, end(r) - 3n, BYTES), 'base or bounds violation', /not all/],
    [
      'a Write before the begin',
      (r) => tagged(r.stag, BigInt(r.address - 1), BYTES),
      'base or bounds violation',
      /not all/,
    ],
    ['a Write near 2^64', (r) => tagged(r.stag, 2n ** 64n - 2n, BYTES), 'base or bounds violation', /not all/],
    [
      'a Write to a region not lent',
      () => tagged(MESSAGES_KEY, 0n, BYTES),
      'access rights violation',
      /not be written/,
    ],
    ['a Read with a wrong key', (r) => readRequest(r, 4, r.stag ^ 1), 'invalid STag', /no region/],
    ['a Read of too much', (r) => readRequest(r, r.length + 1), 'base or bounds violation', /not all/],
    ['a Read of 4 GiB', (r) => readRequest(r, 0xffff_ffff), 'base or bounds violation', /not all/],
    ['a Read of a region not lent', (r) => readRequest(r, 4, MESSAGES_KEY), 'access rights violation', /not be read/],
    ['a Read in parts', (r) => ({ ...readRequest(r, 4), last: false }), 'layer 0, type 2, code 255', /in parts/],
    [
      'a response nobody asked for',
      (r) => tagged(r.stag, 0n, BYTES, RDMAP_READ_RESPONSE),
      'invalid STag',
      /nobody asked/,
    ],
    [
      'a Send longer than a receive',
      (_, p) => send(p, new Uint8Array(MESSAGE_SIZE + 1)),
      'message too long for its buffer',
      /longer/,
    ],
    ['a Send of a number again', (_, p) => send(p, BYTES, { msn: 1 }), 'invalid MSN', /expected 2/],
    ['a Send with an offset', (_, p) => send(p, BYTES, { mo: 4 }), 'invalid MO', /offset 4/],
    ['queue 3', (_, p) => send(p, BYTES, { qn: 3 }), 'invalid QN', /queue 3/],
    ['a Send in the queue of Reads', (_, p) => send(p, BYTES, { qn: 1 }), 'unexpected opcode', /opcode 3/],
    [
      'a Send with Invalidate',
      (_, p) => send(p, BYTES, { ulp: rdmapControl(RDMAP_SEND_INVALIDATE) }),
      'unexpected opcode',
      /opcode 4/,
    ],
    ['RDMAP version 2', (_, p) => send(p, BYTES, { ulp: 0x83 }), 'invalid RDMAP version', /version 2/],
  ])('%s: Terminate, and the end', async (_name, wrong, terminate, error) => {
    const { peer, failed, region } = await withRegion();
    sendSegment(peer, wrong(region, peer));
    expect(await hearTerminate(peer)).toBe(terminate);
    expect(await failed).toMatch(error);
  });

  it('17 Reads at a time: no buffer for the last', async () => {
    const { peer, failed, region } = await withRegion();
    const read = readRequest(region, 4);
    peer.socket.write(
      Buffer.concat(Array.from({ length: 17 }, (_, i) => frame({ ...read, msn: i + 1 } as typeof read))),
    );
    expect(await hearTerminate(peer)).toBe('no buffer for the message');
    expect(await failed).toMatch(/more than 16 RDMA Reads/);
  });

  it('more Sends than receives: no buffer for the first too many', async () => {
    const { peer, failed } = await withRegion();
    // Messages that make sense: what the program has answered so far is not wrong.
    const sends = Array.from({ length: 5 }, () => frame(send(peer, encodeMessage({ what: 'written', length: 0 }))));
    peer.socket.write(Buffer.concat(sends));
    expect(await hearTerminate(peer)).toBe('no buffer for the message');
    expect(await failed).toMatch(/no receive is posted/);
  });

  it('what was not asked wrongly before the error was done: the Write before it is read back', async () => {
    const { peer, failed, region } = await withRegion();
    sendSegment(peer, tagged(region.stag, BigInt(region.address), BYTES));
    sendSegment(peer, readRequest(region, 4));
    expect(await nextSegment(peer)).toMatchObject({
      tagged: true,
      last: true,
      stag: 1,
      to: 0n,
      payload: Buffer.from(BYTES),
    });
    peer.socket.destroy();
    expect(await failed).toMatch(/closed the connection|connection broke/);
  });
});

describe('a responder with a peer that speaks wrongly', () => {
  it('a bad CRC: Terminate, and the end', async () => {
    const { peer, failed } = await withRegion();
    const bytes = frame(send(peer, BYTES));
    bytes[bytes.length - 1]! ^= 1;
    peer.socket.write(bytes);
    expect(await hearTerminate(peer)).toBe('MPA CRC error');
    expect(await failed).toMatch(/bad CRC32C/);
  });

  it.each<[string, Uint8Array, string, RegExp]>([
    ['DDP version 3', Uint8Array.of(0x43, 0x43, ...new Uint8Array(16)), 'invalid DDP version', /DDP version 3/],
    ['a segment of 3 bytes', Uint8Array.of(0x41, 0x43, 0), 'MPA framing error', /segment of 3 bytes/],
  ])('%s: Terminate, and the end', async (_name, ulpdu, terminate, error) => {
    const { peer, failed } = await withRegion();
    peer.socket.write(encodeFpdu(ulpdu, new Uint8Array(0), true));
    expect(await hearTerminate(peer)).toBe(terminate);
    expect(await failed).toMatch(error);
  });

  it.each<[string, Uint8Array | string, RegExp]>([
    ['HTTP', 'GET / HTTP/1.1\r\n\r\n', /does not begin with "MPA ID Req Frame"/],
    ['MPA revision 2', encodeMpaStart(MPA_REQUEST_KEY, 0, new Uint8Array(0)).fill(2, 17, 18), /revision 2/],
  ])('%s instead of an MPA Request: the end', async (_name, bytes, error) => {
    const { peer, failed } = await withResponder();
    peer.socket.write(bytes);
    expect(await failed).toMatch(error);
    await hearEnd(peer);
    expect(peer.queue.length).toBe(0);
  });

  it('markers are rejected by the Reply', async () => {
    const { peer, failed } = await withResponder();
    expect(await startAsInitiator(peer, MPA_CRC | MPA_MARKERS)).toBe(MPA_CRC | MPA_REJECT);
    expect(await failed).toMatch(/wants markers/);
    await hearEnd(peer);
  });

  it.each<[string, Uint8Array, RegExp]>([
    ['no JSON', Buffer.from('{'), /sent "\{", expected 'written' or 'end'/],
    ['another message', Buffer.from('{"what":"hello","round":1}'), /expected 'written' or 'end'/],
    ['a field missing', Buffer.from('{"what":"written"}'), /expected 'written' or 'end'/],
    ['a negative length', Buffer.from('{"what":"written","length":-1}'), /expected 'written' or 'end'/],
    ['null', Buffer.from('null'), /sent "null"/],
    ['more than the region', Buffer.from('{"what":"written","length":1e9}'), /a round of 1000000000 bytes/],
  ])('a Send that makes no sense, %s: the end', async (_name, bytes, error) => {
    const { peer, failed } = await withRegion();
    sendSegment(peer, send(peer, bytes));
    expect(await failed).toMatch(error);
    await hearEnd(peer);
  });
});

describe('a responder whose peer goes away', () => {
  it('before MPA', async () => {
    const { peer, failed } = await withResponder();
    peer.socket.destroy();
    expect(await failed).toMatch(/before MPA was set up/);
  });

  it('inside the MPA Request', async () => {
    const { peer, failed } = await withResponder();
    peer.socket.end(encodeMpaStart(MPA_REQUEST_KEY, 0, new Uint8Array(0)).subarray(0, 7));
    expect(await failed).toMatch(/closed the connection before MPA was set up/);
  });

  it('before the first Send', async () => {
    const { peer, failed } = await withResponder();
    await startAsInitiator(peer);
    peer.socket.end();
    expect(await failed).toMatch(/closed the connection/);
  });

  it('in mid-transfer, between frames', async () => {
    const { peer, failed, region } = await withRegion();
    sendSegment(peer, tagged(region.stag, BigInt(region.address), new Uint8Array(4096)));
    peer.socket.end();
    expect(await failed).toMatch(/closed the connection/);
  });

  it('in mid-transfer, inside a frame', async () => {
    const { peer, failed, region } = await withRegion();
    peer.socket.end(frame(tagged(region.stag, BigInt(region.address), new Uint8Array(4096))).subarray(0, 100));
    expect(await failed).toMatch(/ended inside a frame, after 100 bytes/);
  });

  it('in mid-transfer, by a reset', async () => {
    const { peer, failed } = await withRegion();
    peer.socket.resetAndDestroy();
    expect(await failed).toMatch(/connection broke: ECONNRESET/);
  });

  it('in silence', async () => {
    const { peer, failed } = await withResponder(300);
    await startAsInitiator(peer);
    expect(await failed).toMatch(/silent for 0.3 s/);
  });

  it('before it came', async () => {
    expect(await failure(runResponder({ ...PLAN, timeout: 100 }, 0, () => {}))).toBe('nobody connected for 0.1 s');
  });
});

describe('an initiator', () => {
  /** An initiator and the peer it connects to, before the Reply. */
  async function withInitiator(timeout: number = PLAN.timeout): Promise<{ peer: Peer; failed: Promise<string> }> {
    const { port, peer } = await listenPeer();
    const failed = failure(runInitiator({ ...PLAN, timeout }, file, port, () => {}));
    failed.catch(() => {});
    return { peer: await peer, failed };
  }

  /** The same after the first messages: it now writes the first round to `stag`. */
  async function withRound(): Promise<{ peer: Peer; failed: Promise<string> }> {
    const { peer, failed } = await withInitiator();
    await startAsResponder(peer);
    expect(await hear(peer)).toEqual({ what: 'hello', round: PLAN.roundBytes });
    tell(peer, { what: 'region', stag: 7, address: 0x1000, length: 65_536 });
    return { peer, failed };
  }

  /** The same after the round was written: it now asks for it again. */
  async function withRead(): Promise<{ peer: Peer; failed: Promise<string>; sink: Region }> {
    const { peer, failed } = await withRound();
    let segment = await nextSegment(peer);
    for (; segment.tagged; segment = await nextSegment(peer)) expect(segment.stag).toBe(7);
    expect(Buffer.from(segment.payload).toString()).toBe('{"what":"written","length":65536}');
    tell(peer, { what: 'hashed', length: 65_536 });
    const { payload } = await nextSegment(peer);
    const view = new DataView(payload.buffer, payload.byteOffset);
    return { peer, failed, sink: { stag: view.getUint32(0), address: Number(view.getBigUint64(4)), length: 65_536 } };
  }

  it('cannot connect where nobody listens', async () => {
    const { port, peer } = await listenPeer();
    (await dialPeer(port)).socket.destroy();
    (await peer).socket.destroy();
    expect(await failure(runInitiator(PLAN, file, port, () => {}))).toMatch(/cannot connect to .*: ECONNREFUSED/);
  });

  it.each<[string, number, RegExp]>([
    ['rejects', MPA_REJECT | MPA_CRC, /rejected the connection/],
    ['wants markers', MPA_MARKERS | MPA_CRC, /markers/],
  ])('ends when the Reply %s', async (_name, flags, error) => {
    const { peer, failed } = await withInitiator();
    await startAsResponder(peer, flags);
    expect(await failed).toMatch(error);
    await hearEnd(peer);
  });

  it('ends when the Reply is none', async () => {
    const { peer, failed } = await withInitiator();
    peer.socket.write('SSH-2.0-OpenSSH\r\n');
    expect(await failed).toMatch(/does not begin with "MPA ID Rep Frame"/);
    await hearEnd(peer);
  });

  it('ends when the other side is silent', async () => {
    const { peer, failed } = await withInitiator(300);
    expect(await failed).toMatch(/silent for 0.3 s/);
    await hearEnd(peer);
  });

  it('ends when the other side goes away while it writes', async () => {
    const { peer, failed } = await withRound();
    peer.socket.destroy();
    expect(await failed).toMatch(/closed the connection|connection broke/);
  });

  it('ends when the other side goes away while it reads', async () => {
    const { peer, failed } = await withRead();
    peer.socket.destroy();
    expect(await failed).toMatch(/closed the connection|connection broke/);
  });

  it('says what a Terminate says', async () => {
    const { peer, failed } = await withRound();
    const payload = encodeTerminate({ layer: 1, type: 1, code: 0 }, null);
    sendSegment(peer, {
      ...send(peer, payload),
      ulp: rdmapControl(RDMAP_TERMINATE),
      qn: QN_TERMINATE,
      msn: 1,
    } as never);
    expect(await failed).toBe('the other side ended the stream: invalid STag');
    await hearEnd(peer);
  });

  it('lends nothing: the other side may not write where it reads into', async () => {
    const { peer, failed, sink } = await withRead();
    sendSegment(peer, tagged(sink.stag, BigInt(sink.address), BYTES));
    expect(await hearTerminate(peer)).toBe('access rights violation');
    expect(await failed).toMatch(/may not be written/);
  });

  const response = (stag: number, to: number, bytes: number, last: boolean): Parameters<typeof frame>[0] => ({
    ...tagged(stag, BigInt(to), new Uint8Array(bytes), RDMAP_READ_RESPONSE),
    last,
  });
  it.each<[string, (sink: Region) => Parameters<typeof frame>[0], string]>([
    ['to another key', (s) => response(s.stag + 1, s.address, 100, false), 'invalid STag'],
    ['to another place', (s) => response(s.stag, s.address + 1, 100, false), 'base or bounds violation'],
    ['that ends early', (s) => response(s.stag, s.address, 100, true), 'base or bounds violation'],
  ])('refuses a Read Response %s', async (_name, make, terminate) => {
    const { peer, failed, sink } = await withRead();
    sendSegment(peer, make(sink));
    expect(await hearTerminate(peer)).toBe(terminate);
    expect(await failed).toMatch(/a Read Response/);
  });

  it('refuses a Read Response that does not end', async () => {
    const { peer, failed, sink } = await withRead();
    sendSegment(peer, response(sink.stag, sink.address, 60_000, false));
    sendSegment(peer, response(sink.stag, sink.address + 60_000, 6000, false));
    expect(await hearTerminate(peer)).toBe('base or bounds violation');
    expect(await failed).toMatch(/a Read Response of 6000 bytes/);
  });

  it('refuses an answer about another round', async () => {
    const { peer, failed } = await withRound();
    tell(peer, { what: 'hashed', length: 5 });
    expect(await failed).toBe('5 bytes were hashed, expected 65536');
    await hearEnd(peer);
  });
});

describe('an endpoint whose own program is wrong, or more than the flow needs', () => {
  /** An endpoint that runs `program`, and its peer. */
  async function withProgram(
    program: (endpoint: Endpoint) => Task<unknown>,
  ): Promise<{ peer: Peer; failed: Promise<string> }> {
    const { port, peer } = await listenPeer();
    const socket = connect(port, HOST);
    const failed = failure(runEndpoint(PLAN, createLink(socket, PLAN.timeout), true, program));
    failed.catch(() => {});
    return { peer: await peer, failed };
  }

  const piece = { addr: 0, length: 4, lkey: 99 };
  it.each<[string, SendWr]>([
    ['a Write from memory that is not registered', { wrId: 0, opcode: IBV_WR_RDMA_WRITE, sgList: [piece] }],
    [
      'a Read into two pieces, which one key cannot name',
      { wrId: 0, opcode: IBV_WR_RDMA_READ, sgList: [piece, piece] },
    ],
  ])('%s: the peer is told that this side has failed', async (_name, wr) => {
    const { peer, failed } = await withProgram((endpoint) => complete(endpoint, wr));
    expect(await hearTerminate(peer)).toBe('local catastrophic error');
    expect(await failed).toBe('a local error ended the connection');
  });

  /** Registers a page in a domain that is not the connection's, tells its key, and waits for what comes. */
  function* lendElsewhere(endpoint: Endpoint): Task<void> {
    const { process, pd } = endpoint;
    const other = allocPd(pd.device, process);
    const access = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ;
    const { address } = yield* register(endpoint, 4096, access);
    const mr = (yield* regMr(other, address, 4096, access)).mr!;
    try {
      yield* sendMessage(endpoint, { what: 'region', stag: mr.key, address, length: 4096 });
      yield* receiveMessage(endpoint, 'end');
    } finally {
      yield* deregMr(mr);
      deallocPd(other);
    }
  }

  it.each<[string, (region: Region) => Parameters<typeof frame>[0]]>([
    ['written', (r) => tagged(r.stag, BigInt(r.address), BYTES)],
    ['read', (r) => readRequest(r, 4)],
  ])('a region of another protection domain cannot be %s', async (_name, make) => {
    const { peer, failed } = await withProgram(lendElsewhere);
    sendSegment(peer, make((await hear(peer)) as Region & { what: 'region' }));
    expect(await hearTerminate(peer)).toBe('STag not associated with the stream');
    expect(await failed).toMatch(/another domain/);
  });

  it('a Send that comes in parts is one message', async () => {
    const { peer, failed } = await withProgram(function* (endpoint) {
      const { sha256 } = yield* receiveMessage(endpoint, 'end');
      throw new Failed(sha256);
    });
    const whole = send(peer, encodeMessage({ what: 'end', sha256: 'a'.repeat(100) }));
    for (const part of segmentMessage(whole, 40)) sendSegment(peer, part);
    expect(await failed).toBe('a'.repeat(100));
    await hearEnd(peer);
  });
});

it('a port in use is bad input', async () => {
  const { port, peer } = await listenPeer();
  await expect(runResponder(PLAN, port, () => {})).rejects.toThrow(
    new BadInput(`--port: ${port} on 127.0.0.1 is in use`),
  );
  (await dialPeer(port)).socket.destroy();
  (await peer).socket.destroy();
});
