import { execFileSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EIO } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import * as filemap from '@mmkit/filemap';
import { closeFile, openFile, openFileAsync, truncateFile } from '@mmkit/filemap/node';
import { waitBio, waitIdle } from '@mmkit/filemap/sched';
import type { BlockDevice } from '@mmkit/filemap';
import { allocPages, createPhys } from '@mmkit/phys';
import { createSched } from '@mmkit/task';
import { runTaskAsync } from '@mmkit/task/async';
import { builds, pattern, thrown } from './builds.ts';

const { BIO_READ, BIO_WRITE, createBio, createBlockDevice, submitBio } = filemap;
const PAGE = 4096;

let dir = '';
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'filemap-'));
});
afterAll(() => rmSync(dir, { recursive: true }));

function file(name: string, bytes?: Uint8Array): string {
  const path = join(dir, name);
  if (bytes !== undefined) writeFileSync(path, bytes);
  return path;
}

describe('opening a host file', () => {
  it("a missing file and a directory are the host's errors", () => {
    mkdirSync(file('folder'));
    expect(thrown(() => openFile(file('missing')))).toBe('ENOENT');
    expect(thrown(() => openFile(file('folder')))).toBe('EISDIR');
    expect(thrown(() => openFileAsync(file('folder'), { write: true }))).toBe('EISDIR');
    expect(thrown(() => openFile(file('nowhere/x'), { write: true, create: true }))).toBe('ENOENT');
  });

  it('a refused open keeps no descriptor', () => {
    mkdirSync(file('again'));
    const lowest = (): number => {
      const fd = openSync(file('again'), 'r');
      closeSync(fd);
      return fd;
    };
    const before = lowest();
    expect(thrown(() => openFile(file('again')))).toBe('EISDIR');
    expect(lowest()).toBe(before);
  });

  it('a pipe that nobody writes to is EINVAL, not a hang', () => {
    execFileSync('mkfifo', [file('pipe')]);
    const program = `import { openFile } from '@mmkit/filemap/node';
      try { openFile(process.argv[1]); } catch (error) { console.log(error.code); }`;
    // A process of its own: should it hang, only this test fails.
    const args = ['--conditions=@mmkit/source', '--input-type=module', '-e', program, file('pipe')];
    const cwd = join(import.meta.dirname, '..');
    expect(execFileSync(process.execPath, args, { cwd, timeout: 4000, encoding: 'utf8' })).toBe('EINVAL\n');
  });

  it('create and truncate need write, and a refused open makes nothing', () => {
    expect(() => openFile(file('none'), { create: true })).toThrow(RangeError);
    expect(() => openFile(file('none'), { truncate: true })).toThrow(RangeError);
    expect(existsSync(file('none'))).toBe(false);
  });

  it('create makes it, truncate empties it, neither keeps it', () => {
    const made = openFile(file('made'), { write: true, create: true });
    expect([made.size, made.write(0, pattern(700, 1)), made.size]).toEqual([0, 700, 700]);
    closeFile(made);
    const kept = openFileAsync(file('made'), { write: true, create: true });
    expect(kept.size).toBe(700);
    closeFile(kept);
    const emptied = openFile(file('made'), { write: true, truncate: true });
    expect(emptied.size).toBe(0);
    closeFile(emptied);
    expect(readFileSync(file('made')).length).toBe(0);
  });
});

describe('a host file that answers at once', () => {
  it('reads are short at the end, writes past it make the file longer', () => {
    const backend = openFile(file('sync', pattern(1000, 1)), { write: true });
    const into = new Uint8Array(600);
    expect(backend.read(900, into)).toBe(100);
    expect(into.slice(0, 100)).toEqual(pattern(1000, 1).slice(900));
    expect(backend.read(5000, into)).toBe(0);
    expect(backend.write(100, pattern(10, 2))).toBe(10);
    expect(backend.size).toBe(1000);
    expect(backend.write(1024, pattern(512, 2))).toBe(512);
    expect(backend.size).toBe(1536);
    closeFile(backend);
    const bytes = readFileSync(file('sync'));
    expect([bytes.length, bytes[1010]]).toEqual([1536, 0]);
    expect(new Uint8Array(bytes.subarray(1024))).toEqual(pattern(512, 2));
  });

  it('what the host refuses is -EIO: writing a file opened for reading, anything on a closed one', () => {
    const backend = openFile(file('readonly', pattern(512, 1)));
    expect(backend.write(0, pattern(512, 2))).toBe(-EIO);
    expect(backend.write(10_000, pattern(512, 2))).toBe(-EIO);
    expect(backend.size).toBe(512);
    closeFile(backend);
    expect(backend.read(0, new Uint8Array(1))).toBe(-EIO);
    expect(thrown(() => closeFile(backend))).toBe('FILE_CLOSED');
    expect(thrown(() => truncateFile(backend, 0))).toBe('FILE_CLOSED');
    expect(new Uint8Array(readFileSync(file('readonly')))).toEqual(pattern(512, 1));
  });

  it('truncateFile cuts and adds zeroes', () => {
    const backend = openFile(file('cut', pattern(1000, 1)), { write: true });
    truncateFile(backend, 300);
    expect(backend.size).toBe(300);
    truncateFile(backend, 400);
    expect(() => truncateFile(backend, -1)).toThrow(RangeError);
    closeFile(backend);
    const want = new Uint8Array(400);
    want.set(pattern(300, 1));
    expect(new Uint8Array(readFileSync(file('cut')))).toEqual(want);
  });

  it.each(builds)('%s build: a file is copied through frames, its tail written whole and cut', (name, build) => {
    const source = openFile(file(`in-${name}`, pattern(10_000, 5)));
    const target = openFile(file(`out-${name}`), { write: true, create: true });
    const sched = createSched();
    const phys = createPhys({ frames: 16 });
    const [from, to] = [createBlockDevice(sched, phys, source), createBlockDevice(sched, phys, target)];
    const pfns = Uint32Array.of(allocPages(phys, 0, 0), allocPages(phys, 0, 0));
    let total = 0;
    for (let offset = 0; offset < source.size; offset += 2 * PAGE) {
      const bio = createBio(BIO_READ, offset, pfns, 0, 2 * PAGE);
      submitBio(from, bio);
      expect(build.waitBio(from, bio)).toBe(0);
      total += bio.bytesDone;
      const back = createBio(BIO_WRITE, offset, pfns, 0, Math.ceil(bio.bytesDone / 512) * 512);
      submitBio(to, back);
      expect(build.waitBio(to, back)).toBe(0);
    }
    expect([total, target.size]).toEqual([10_000, 10_240]);
    truncateFile(target, total);
    closeFile(source);
    closeFile(target);
    expect(new Uint8Array(readFileSync(file(`out-${name}`)))).toEqual(pattern(10_000, 5));
  });
});

describe('a host file by callbacks, under the async driver', () => {
  function* copy(from: BlockDevice, to: BlockDevice, pfns: Uint32Array, length: number): Task<number> {
    const bios = Array.from(pfns, (_, i) => createBio(BIO_READ, i * PAGE, pfns.subarray(i, i + 1), 0, PAGE));
    for (const bio of bios) submitBio(from, bio);
    let total = 0;
    for (const bio of bios) {
      if ((yield* waitBio(from, bio)) !== 0) return bio.status;
      total += bio.bytesDone;
    }
    for (let i = 0; i * PAGE < length; i++) {
      submitBio(to, createBio(BIO_WRITE, i * PAGE, pfns.subarray(i, i + 1), 0, PAGE));
    }
    yield* waitIdle(to);
    return total;
  }

  it('many bios in flight copy a file; outside is 0 again at the end', async () => {
    const length = 20 * PAGE - 100;
    const source = openFileAsync(file('async-in', pattern(length, 7)));
    const target = openFileAsync(file('async-out'), { write: true, create: true });
    const sched = createSched();
    const phys = createPhys({ frames: 64 });
    const [from, to] = [createBlockDevice(sched, phys, source), createBlockDevice(sched, phys, target)];
    const pfns = Uint32Array.from({ length: 20 }, () => allocPages(phys, 0, 0));
    expect(await runTaskAsync(sched, copy(from, to, pfns, length))).toBe(length);
    expect([sched.outside, from.inFlight, to.inFlight, source.pending, target.pending]).toEqual([0, 0, 0, 0, 0]);
    expect(target.size).toBe(20 * PAGE);
    truncateFile(target, length);
    closeFile(source);
    closeFile(target);
    expect(new Uint8Array(readFileSync(file('async-out')))).toEqual(pattern(length, 7));
  });

  it('host errors are -EIO, and a file may not be closed or cut under an operation', async () => {
    const backend = openFileAsync(file('async-ro', pattern(512, 1)));
    const result = await new Promise<number>((resolve) => {
      backend.submit(BIO_WRITE, 0, pattern(512, 2), resolve);
      expect(thrown(() => closeFile(backend))).toBe('FILE_BUSY');
      expect(thrown(() => truncateFile(backend, 0))).toBe('FILE_BUSY');
    });
    expect([result, backend.pending, backend.size]).toEqual([-EIO, 0, 512]);
    const into = new Uint8Array(1024);
    expect(await new Promise<number>((resolve) => backend.submit(BIO_READ, 256, into, resolve))).toBe(256);
    closeFile(backend);
    expect(await new Promise<number>((resolve) => backend.submit(BIO_READ, 0, into, resolve))).toBe(-EIO);
    expect(new Uint8Array(readFileSync(file('async-ro')))).toEqual(pattern(512, 1));
  });
});
