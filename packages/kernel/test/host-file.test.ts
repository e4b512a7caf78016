/** Direct I/O with a real file of the host behind the device: answers at once, or by callbacks under the async driver. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createBlockDevice } from '@mmkit/filemap';
import { closeFile, openFile, openFileAsync, truncateFile } from '@mmkit/filemap/node';
import * as plain from '@mmkit/kernel';
import * as coloured from '@mmkit/kernel/sched';
import type { Machine, Process } from '@mmkit/kernel';
import { mmap } from '@mmkit/mm';
import type { Format } from '@mmkit/pgtable';
import { countFrames } from '@mmkit/phys';
import { runTask } from '@mmkit/task';
import { runTaskAsync } from '@mmkit/task/async';
import { ANON, formats, PAGE, pattern, RW } from './builds.ts';

const LENGTH = 37 * PAGE + 1000;
const OPTIONS = { bioPages: 4, queueDepth: 4 };
let folder = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'kernel-'));
  writeFileSync(join(folder, 'in'), pattern(LENGTH, 11));
});

afterAll(() => {
  rmSync(folder, { recursive: true });
});

function setUp(api: typeof plain, format: Format): { machine: Machine; process: Process; address: number } {
  const machine = api.createMachine({ ramBytes: 128 * PAGE, format });
  const process = api.createProcess(machine)!;
  return { machine, process, address: mmap(process.mm, 0, 40 * PAGE, RW, ANON) };
}

function check(machine: Machine, process: Process, address: number, read: number, written: number): void {
  expect([read, written]).toEqual([LENGTH, 38 * PAGE]);
  const bytes = new Uint8Array(LENGTH);
  expect(plain.peekBytes(machine, process, address, bytes, 0, LENGTH)).toBe(LENGTH);
  expect(bytes).toEqual(pattern(LENGTH, 11));
  expect(readFileSync(join(folder, 'out'))).toEqual(readFileSync(join(folder, 'in')));
  plain.checkMachine(machine);
  expect(countFrames(machine.memory.phys).pins).toBe(0);
}

it.each(formats)(
  'plain build, %s: a file is read short at its end, written as whole blocks and truncated',
  (_name, format) => {
    const { machine, process, address } = setUp(plain, format);
    const { sched, memory } = machine;
    const [source, target] = [
      openFile(join(folder, 'in')),
      openFile(join(folder, 'out'), { write: true, create: true }),
    ];
    const from = createBlockDevice(sched, memory.phys, source);
    const to = createBlockDevice(sched, memory.phys, target);
    const read = plain.directRead(machine, process, from, 0, address, 40 * PAGE, OPTIONS).result;
    const written = plain.directWrite(machine, process, to, 0, address, 38 * PAGE, OPTIONS).result;
    truncateFile(target, LENGTH);
    closeFile(source);
    closeFile(target);
    check(machine, process, address, read, written);
  },
);

it.each(formats)('async driver, %s: the same by callbacks of the host, in whatever order', async (_name, format) => {
  const { machine, process, address } = setUp(coloured as unknown as typeof plain, format);
  const { sched, memory } = machine;
  const source = openFileAsync(join(folder, 'in'));
  const target = openFileAsync(join(folder, 'out'), { write: true, create: true, truncate: true });
  const from = createBlockDevice(sched, memory.phys, source);
  const to = createBlockDevice(sched, memory.phys, target);
  const { result: read } = await runTaskAsync(
    sched,
    coloured.directRead(machine, process, from, 0, address, 40 * PAGE, OPTIONS),
  );
  const { result: written } = await runTaskAsync(
    sched,
    coloured.directWrite(machine, process, to, 0, address, 38 * PAGE, OPTIONS),
  );
  truncateFile(target, LENGTH);
  closeFile(source);
  closeFile(target);
  check(machine, process, address, read, written);
  runTask(sched, coloured.exitProcess(machine, process));
  expect(countFrames(memory.phys).used).toBe(0);
});
