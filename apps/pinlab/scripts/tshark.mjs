#!/usr/bin/env node
/**
 * Does Wireshark understand our wire? Captures on the loopback device one run of `pinlab rdma` and one connection that
 * asks with a wrong key, has tshark dissect it, and fails unless every byte of both directions lies in a Request, a Reply
 * or a frame that it takes for MPA, DDP and RDMAP with a good CRC32C, and nothing above TCP has an error or a warning.
 *
 *   node_modules/.bin/node --conditions=@mmkit/source apps/pinlab/scripts/tshark.mjs [BYTES]
 *
 * Needs Node 26 (for TypeScript), tshark 4 and the right to capture. Exit 0: it does; 1: it does not; 2: cannot be asked.
 */
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { dialPeer, hear, hearTerminate, sendSegment, startAsInitiator, tagged, tell } from '../test/rdma-peer.ts';

const MAIN = join(import.meta.dirname, '../src/main.ts');
const PINLAB = [...process.execArgv, MAIN];
/** After the last packet, until the capture has it, ms. */
const SETTLE_MS = 1000;
/** What the capture may be behind, MiB. */
const BUFFER_MIB = '256';
/** A capture on a busy machine may miss packets: then it is made again, this often. */
const ATTEMPTS = 5;

/** The question cannot be asked here: its message says why. */
class CannotAsk extends Error {}

function cannot(why) {
  throw new CannotAsk(why);
}

async function freePort() {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  return port;
}

/** Captures what goes over `port` while `run` lasts, into `file`. */
async function capture(port, file, run) {
  const tshark = spawn('tshark', ['-i', 'lo', '-f', `tcp port ${port}`, '-w', file, '-F', 'pcap', '-B', BUFFER_MIB]);
  let said = '';
  const ready = new Promise((resolve, reject) => {
    tshark.stderr.setEncoding('utf8').on('data', (text) => {
      said += text;
      if (said.includes('Capture started') || said.includes('Capturing on')) resolve();
    });
    tshark.on('exit', () => reject(new Error(said)));
  });
  await ready.catch((error) => cannot(`tshark cannot capture: ${error.message.trim().split('\n').at(-1)}`));
  await sleep(SETTLE_MS);
  try {
    await run();
    await sleep(SETTLE_MS);
  } finally {
    tshark.kill('SIGINT');
    await once(tshark, 'exit');
  }
}

/** One run of the program as people run it. */
function moveFile(file, port) {
  const { status, stderr } = spawnSync(process.execPath, [...PINLAB, 'rdma', file, '--port', String(port)], {
    encoding: 'utf8',
  });
  if (status !== 0) cannot(`pinlab rdma: ${stderr.trim()}`);
}

/** A peer of our own that writes with a wrong key: the responder answers with a Terminate. */
async function askWrongly(port) {
  const args = [...PINLAB, 'rdma-responder', '--port', String(port)];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  await once(createInterface({ input: child.stdout }), 'line');
  const peer = await dialPeer(port);
  await startAsInitiator(peer);
  tell(peer, { what: 'hello', round: 4096 });
  const { stag, address } = await hear(peer);
  sendSegment(peer, tagged(stag ^ 1, BigInt(address), new Uint8Array(100)));
  await hearTerminate(peer);
  peer.socket.destroy();
  await once(child, 'exit');
}

function tshark(...args) {
  const { status, stdout, stderr } = spawnSync('tshark', args, { encoding: 'utf8', maxBuffer: 2 ** 30 });
  if (status !== 0) cannot(`tshark ${args.join(' ')}: ${stderr.trim()}`);
  return stdout;
}

/** Bytes of payload that TCP carried, both ways of all connections. */
function countTcpBytes(file) {
  const ends = new Map();
  const fields = ['tcp.stream', 'tcp.srcport', 'tcp.seq', 'tcp.len'].flatMap((name) => ['-e', name]);
  for (const line of tshark('-r', file, '-Y', 'tcp.len > 0', '-T', 'fields', ...fields)
    .trim()
    .split('\n')) {
    const [stream, source, seq, length] = line.split('\t').map(Number);
    const key = `${stream} ${source}`;
    ends.set(key, Math.max(ends.get(key) ?? 0, seq + length - 1));
  }
  return [...ends.values()].reduce((sum, end) => sum + end, 0);
}

/** What the dissection says, and the bytes it covers. */
function dissect(file) {
  const text = tshark('-r', file, '-O', 'iwarp_mpa,iwarp_ddp_rdmap');
  const found = { starts: 0, good: 0, bad: 0, bytes: 0, types: new Map() };
  for (const line of text.split('\n')) {
    const data = /Private data length: (\d+)/i.exec(line);
    if (data !== null) {
      found.starts++;
      found.bytes += 20 + Number(data[1]);
    }
    const length = /ULPDU length: (\d+)/i.exec(line);
    if (length !== null) found.bytes += Math.ceil((2 + Number(length[1])) / 4) * 4 + 4;
    if (line.includes('Good CRC32')) found.good++;
    else if (/bad CRC/i.test(line)) found.bad++;
    const opcode = /OpCode: (.+) \(0x[0-9a-f]+\)/.exec(line);
    if (opcode !== null) found.types.set(opcode[1], (found.types.get(opcode[1]) ?? 0) + 1);
  }
  return found;
}

/** Did the capture miss packets? */
function isIncomplete(file) {
  return tshark('-r', file, '-Y', 'tcp.analysis.lost_segment || tcp.analysis.ack_lost_segment') !== '';
}

/** Errors and warnings of protocols above TCP; those of TCP are the host's affair (full windows of a fast sender). */
function complaints(file) {
  const lines = tshark('-r', file, '-q', '-z', 'expert,warn').split('\n');
  return lines.filter((line) => /^\s+\d+\s/.test(line) && !/\sTCP\s/.test(line));
}

const folder = mkdtempSync(join(tmpdir(), 'pinlab-'));
try {
  if (spawnSync('tshark', ['--version']).error !== undefined) {
    cannot('tshark is not installed (Debian: apt-get install tshark)');
  }
  const file = join(folder, 'file');
  const pcap = join(folder, 'run.pcap');
  writeFileSync(file, randomBytes(Number(process.argv[2] ?? 5_000_000)));
  for (let attempt = 1; ; attempt++) {
    const port = await freePort();
    await capture(port, pcap, async () => {
      moveFile(file, port);
      await askWrongly(port);
    });
    if (!isIncomplete(pcap)) break;
    if (attempt === ATTEMPTS) cannot(`${ATTEMPTS} captures all missed packets: try on a quieter machine`);
  }
  const carried = countTcpBytes(pcap);
  const { starts, good, bad, bytes, types } = dissect(pcap);
  const warnings = complaints(pcap);
  process.stdout.write(`${carried} bytes of TCP payload, ${bytes} of them dissected\n`);
  process.stdout.write(`${starts} MPA Request and Reply frames, ${good + bad} FPDUs, ${good} with a good CRC32C\n`);
  for (const [name, count] of types) process.stdout.write(`  ${String(count).padStart(6)}  ${name}\n`);
  for (const line of warnings) process.stdout.write(`  ${line.trim()}\n`);
  const all = ['Write', 'Read Request', 'Read Response', 'Send', 'Terminate'].every((name) => types.has(name));
  const ok = bytes === carried && starts === 4 && bad === 0 && warnings.length === 0 && all;
  process.stdout.write(ok ? 'tshark understands it all\n' : 'TSHARK DOES NOT UNDERSTAND IT ALL\n');
  process.exitCode = ok ? 0 : 1;
} catch (error) {
  if (!(error instanceof CannotAsk)) throw error;
  process.stderr.write(`tshark.mjs: ${error.message}\n`);
  process.exitCode = 2;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
