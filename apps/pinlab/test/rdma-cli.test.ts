import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { InitiatorReport } from '../src/rdma/initiator.ts';
import type { ResponderReport } from '../src/rdma/responder.ts';
import { combine } from '../src/rdma/run.ts';

const MAIN = resolve(import.meta.dirname, '../src/main.ts');
const NODE = resolve(import.meta.dirname, '../../../node_modules/.bin/node');
const ENV = { ...process.env, NODE_OPTIONS: '' };

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pinlab-test-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function pinlab(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const env = { ...ENV, TMPDIR: join(folder, 'tmp') };
  mkdirSync(env.TMPDIR, { recursive: true });
  return spawnSync(NODE, ['--conditions=@mmkit/source', MAIN, ...args], { encoding: 'utf8', env });
}

function makeFile(size: number): string {
  const path = join(folder, `file-${size}`);
  writeFileSync(path, randomBytes(size));
  return path;
}

function sha256(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

describe('pinlab rdma: a file goes to another process and comes back the same', () => {
  it.each([
    [0, 'x86_64', '16'],
    [1, 'arm64', '16'],
    [4096, 'x86_64', '1'],
    [2_097_153, 'arm64', '16'],
    [3_000_001, 'x86_64', '1'],
  ])('%i bytes on %s with %s MiB of RAM', (size, arch, ram) => {
    const file = makeFile(size);
    const { status, stdout, stderr } = pinlab('rdma', file, '--arch', arch, '--ram', ram, '--json');
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const report = JSON.parse(stdout) as Record<string, unknown>;
    expect(report).toMatchObject({ ok: true, bytes: size, sha256: sha256(file), leakedPins: 0, leakedFrames: 0 });
    expect(report['pagesPinned']).toBe((report['fast'] as number) + (report['slow'] as number));
  });

  it('--json prints the fields of odirect, then registered and pinnedVmPeak, and nothing else', () => {
    const { stdout } = pinlab('rdma', makeFile(100_000), '--json', '--ram', '16');
    const report = JSON.parse(stdout) as Record<string, unknown>;
    expect(Object.keys(report)).toEqual([
      'ok',
      'bytes',
      'sha256',
      'pagesPinned',
      'fast',
      'slow',
      'faults',
      'transferSeconds',
      'leakedPins',
      'leakedFrames',
      'registered',
      'pinnedVmPeak',
    ]);
    // Three regions of 2 MiB, two of messages; the side with the file has two and one page.
    expect(report).toMatchObject({ registered: 3 * 2 ** 21 + 2 * 1280, pinnedVmPeak: 2 * 512 + 1 });
  });

  it('--ledger: who held pins on each side, and nobody at the end', () => {
    const file = makeFile(100_000);
    const report = JSON.parse(pinlab('rdma', file, '--ram', '16', '--ledger', '--json').stdout) as object;
    // Messages and two regions of 2 MiB here, messages and one there.
    const row = { name: 'memory region, process 1', since: 0 };
    const here = { held: [{ ...row, scopes: 3, pages: 1025, pins: 1025 }], left: [] };
    const there = { held: [{ ...row, scopes: 2, pages: 513, pins: 513 }], left: [] };
    expect(report).toMatchObject({ ok: true, ledger: { here, there } });
    const { status, stdout } = pinlab('rdma', file, '--ledger');
    expect(status).toBe(0);
    expect(stdout).toMatch(
      /pins here when the last byte had moved:\n.*\n +memory region, process 1 +3 +1025 +1025 +0 ns\n/,
    );
    expect(stdout).toMatch(/pins on the other side at the end:\n +no pins\n +all is well\n$/);
    expect(pinlab('rdma', '--story', '--ledger').status).toBe(2);
  });

  it('says it for people, and leaves no file behind', () => {
    const { status, stdout } = pinlab('rdma', makeFile(5000));
    expect(status).toBe(0);
    expect(stdout).toMatch(/read back {3}the same/);
    expect(stdout).toMatch(/leaked {6}0 pins, 0 frames\n {2}all is well\n$/);
    expect(readdirSync(join(folder, 'tmp'))).toEqual([]);
  });

  it.each<[string, Partial<InitiatorReport>, Partial<ResponderReport>]>([
    ['what arrived is different', {}, { sha256: 'b' }],
    ['what arrived is said to be different', { arrived: 'b' }, {}],
    ['what was read back is different', { readBack: 'b' }, {}],
    ['a pin leaked here', { leakedPins: 1 }, {}],
    ['a frame leaked there', {}, { leakedFrames: 1 }],
  ])('is not ok when %s', (_name, wrongHere, wrongThere) => {
    const counts = {
      pagesPinned: 1,
      fast: 1,
      slow: 0,
      faults: 0,
      leakedPins: 0,
      leakedFrames: 0,
      registered: 1,
      pinnedVmPeak: 1,
    };
    const ours = { ...counts, expected: 'a', arrived: 'a', readBack: 'a', transferSeconds: 1 };
    const theirs = { ...counts, sha256: 'a' };
    expect(combine(1, ours, theirs).report.ok).toBe(true);
    expect(combine(1, { ...ours, ...wrongHere }, { ...theirs, ...wrongThere }).report.ok).toBe(false);
  });
});

describe('pinlab rdma: bad usage is one clear line on stderr, exit 2', () => {
  it.each<[string, (file: string) => string[]]>([
    ['missing file', () => ['/no/such/file']],
    ['a directory', () => [folder]],
    ['no regular file', () => ['/dev/null']],
    ['port not a number', (file) => [file, '--port', 'http']],
    ['port too large', (file) => [file, '--port', '65536']],
    ['RAM 0', (file) => [file, '--ram', '0']],
    ['RAM not a number', (file) => [file, '--ram', '1.5']],
    ['unknown architecture', (file) => [file, '--arch', 'vax']],
    ['an architecture every object has', (file) => [file, '--arch', 'toString']],
    ['time-out 0', (file) => [file, '--timeout', '0']],
    ['neither a file nor the story', () => []],
    ['both', (file) => [file, '--story']],
  ])('%s', (_name, args) => {
    const { status, stdout, stderr } = pinlab('rdma', ...args(makeFile(10)));
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
  });

  it('port in use', async () => {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const { status, stdout, stderr } = pinlab('rdma', makeFile(10), '--port', String(port));
    server.close();
    expect({ status, stdout, stderr }).toEqual({
      status: 2,
      stdout: '',
      stderr: `pinlab: --port: ${port} on 127.0.0.1 is in use\n`,
    });
  });
});

describe('pinlab rdma: one process dies in mid-transfer, the other ends too', () => {
  /** A run of a file too large to be through soon, and the number of its second process, once bytes may move. */
  async function startLong(): Promise<{ child: ReturnType<typeof spawn>; other: number; stderr: () => string }> {
    const told = join(folder, 'pid');
    rmSync(told, { force: true });
    // Both processes run this first; the second one leaves its number.
    const hook = join(folder, 'hook.mjs');
    writeFileSync(
      hook,
      `import { writeFileSync } from 'node:fs';
       if (process.argv[2] === 'rdma-responder') writeFileSync(${JSON.stringify(told)}, \`\${process.pid} \`);`,
    );
    const env = { ...ENV, NODE_OPTIONS: `--import=${hook}` };
    const file = makeFile(0);
    truncateSync(file, 2 ** 30);
    const child = spawn(NODE, ['--conditions=@mmkit/source', MAIN, 'rdma', file], { env });
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    let pid = '';
    while (!pid.endsWith(' ')) {
      await sleep(20);
      pid = existsSync(told) ? readFileSync(told, 'utf8') : '';
    }
    await sleep(1000);
    return { child, other: Number(pid), stderr: () => stderr };
  }

  function isAlive(pid: number): boolean {
    try {
      process.kill(pid, 0);
      return true;
    } catch {
      return false;
    }
  }

  it('the responder', async () => {
    const { child, other, stderr } = await startLong();
    process.kill(other, 'SIGKILL');
    const [status] = (await once(child, 'close')) as [number];
    expect(status).toBe(1);
    expect(stderr()).toMatch(/^pinlab: (the other side|the connection)[^\n]*\n$/);
  });

  it('the initiator', async () => {
    const { child, other } = await startLong();
    child.kill('SIGKILL');
    await once(child, 'close');
    while (isAlive(other)) await sleep(20);
  });
});
