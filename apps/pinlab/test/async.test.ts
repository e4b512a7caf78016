import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createBlockDevice } from '@mmkit/filemap/sched';
import { closeFile, openFileAsync, truncateFile } from '@mmkit/filemap/node';
import {
  createMachine,
  createProcess,
  directRead,
  directWrite,
  exitProcess,
  forkProcess,
  peekBytes,
} from '@mmkit/kernel/sched';
import { MAP_ANONYMOUS, MAP_PRIVATE, mmap, PROT_READ, PROT_WRITE } from '@mmkit/mm/sched';
import { countFrames } from '@mmkit/phys';
import { runTaskAsync } from '@mmkit/task/async';
import { type Task } from '@mmkit/task/sched';

const SIZE = 1_000_000;
const BUFFER = 245 * 4096;

it('the sched build does the same with real asynchronous I/O, and a fork in between', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pinlab-test-'));
  try {
    const bytes = randomBytes(SIZE);
    writeFileSync(join(folder, 'in'), bytes);
    const source = openFileAsync(join(folder, 'in'));
    const target = openFileAsync(join(folder, 'out'), { write: true, create: true });
    const machine = createMachine({ ramBytes: 1024 * 4096, cpus: 2 });
    const { sched, memory } = machine;
    const before = countFrames(memory.phys).used;
    const process = createProcess(machine)!;
    function* copy(): Task<number[]> {
      const at = yield* mmap(process.mm, 0, BUFFER, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
      const input = createBlockDevice(sched, memory.phys, source);
      const output = createBlockDevice(sched, memory.phys, target);
      const read = yield* directRead(machine, process, input, 0, at, BUFFER, { bioPages: 16, queueDepth: 4 });
      const child = (yield* forkProcess(machine, process)).process!;
      const written = yield* directWrite(machine, child, output, 0, at, BUFFER, { bioPages: 16, queueDepth: 4 });
      const seen = new Uint8Array(SIZE);
      const got = peekBytes(machine, process, at, seen, 0, SIZE);
      expect(Buffer.compare(seen, bytes)).toBe(0);
      yield* exitProcess(machine, child);
      yield* exitProcess(machine, process);
      return [read.result, written.result, got];
    }
    expect(await runTaskAsync(sched, copy())).toEqual([SIZE, BUFFER, SIZE]);
    truncateFile(target, SIZE);
    closeFile(source);
    closeFile(target);
    expect(Buffer.compare(readFileSync(join(folder, 'out')), bytes)).toBe(0);
    expect(countFrames(memory.phys)).toMatchObject({ used: before, pins: 0 });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
