/** The host may move fewer bytes than it was asked to: here it never moves more than 100 at a time. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished, vi } from 'vitest';
import { BIO_READ, BIO_WRITE } from '@mmkit/filemap';
import { closeFile, openFile, openFileAsync } from '@mmkit/filemap/node';
import { pattern } from './builds.ts';

const MOST = 100;

vi.mock('node:fs', async (original) => {
  const fs = await original<typeof import('node:fs')>();
  type Done = (error: Error | null, count: number) => void;
  return {
    ...fs,
    readSync: (fd: number, bytes: Uint8Array, at: number, length: number, position: number) =>
      fs.readSync(fd, bytes, at, Math.min(length, MOST), position),
    writeSync: (fd: number, bytes: Uint8Array, at: number, length: number, position: number) =>
      fs.writeSync(fd, bytes, at, Math.min(length, MOST), position),
    read: (fd: number, bytes: Uint8Array, at: number, length: number, position: number, done: Done) =>
      fs.read(fd, bytes, at, Math.min(length, MOST), position, done),
    write: (fd: number, bytes: Uint8Array, at: number, length: number, position: number, done: Done) =>
      fs.write(fd, bytes, at, Math.min(length, MOST), position, done),
  };
});

it('short transfers of the host go on until all is moved', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'filemap-'));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  const path = join(dir, 'file');
  const sync = openFile(path, { write: true, create: true });
  const into = new Uint8Array(512);
  expect(sync.write(0, pattern(512, 1))).toBe(512);
  expect([sync.read(0, into), sync.size]).toEqual([512, 512]);
  expect(into).toEqual(pattern(512, 1));
  closeFile(sync);

  const async = openFileAsync(path, { write: true });
  const submit = (op: number, offset: number, bytes: Uint8Array): Promise<number> =>
    new Promise((resolve) => async.submit(op, offset, bytes, resolve));
  expect(await submit(BIO_WRITE, 256, pattern(512, 2))).toBe(512);
  expect(async.size).toBe(768);
  expect(await submit(BIO_READ, 256, into)).toBe(512);
  expect(into).toEqual(pattern(512, 2));
  expect(await submit(BIO_READ, 512, into)).toBe(256);
  closeFile(async);
  expect(readFileSync(path).length).toBe(768);
});
