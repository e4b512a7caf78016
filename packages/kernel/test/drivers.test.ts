/** One coloured function, `readFile`, under all four drivers: plain, scheduler, async, blocking. */
import { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';
import { createBlockDevice, createMemoryBackend } from '@mmkit/filemap';
import type { AsyncBackend, Backend } from '@mmkit/filemap';
import * as plain from '@mmkit/kernel';
import type { Machine, Process } from '@mmkit/kernel';
import * as coloured from '@mmkit/kernel/sched';
import { mmap } from '@mmkit/mm';
import type { OpenFile } from '@mmkit/filemap';
import { createLockdep, runTask, runTaskBlocking } from '@mmkit/task';
import { runTaskAsync } from '@mmkit/task/async';
import { ANON, formats, PAGE, pattern, RW } from './builds.ts';
import type { Format } from '@mmkit/pgtable';

const LENGTH = 3 * PAGE;
const DISK = pattern(LENGTH, 5);

interface Bench {
  machine: Machine;
  process: Process;
  file: OpenFile;
  address: number;
}

/** A process with a buffer, and a file of LENGTH bytes on a device over `backend`. */
function bench(api: typeof plain | typeof coloured, format: Format, backend: Backend | AsyncBackend): Bench {
  const machine = api.createMachine({ ramBytes: 128 * PAGE, format, lockdep: createLockdep() });
  const process = api.createProcess(machine)!;
  const device = createBlockDevice(machine.sched, machine.memory.phys, backend);
  const file = api.createDiskFile(machine, device, { size: LENGTH, offset: 0 });
  return { machine, process, file, address: mmap(process.mm, 0, LENGTH, RW, ANON) };
}

/** What a run is judged by: the result, the bytes in user memory, whether anything is left behind. */
function outcome({ machine, process, address }: Bench, result: number): unknown {
  const bytes = new Uint8Array(LENGTH);
  const seen = plain.peekBytes(machine, process, address, bytes, 0, LENGTH);
  plain.checkMachine(machine);
  const { tasks, outside, lockdep } = machine.sched;
  return { result, seen, same: Buffer.compare(bytes, DISK), tasks: tasks.length, outside, held: lockdep!.held.size };
}

/** A thread that answers request n (`words[0]` = n, from byte `words[2]` on, `words[3]` bytes) into `data`, then `words[1]` = n. */
const READER = `
  const { words, data, disk } = require('node:worker_threads').workerData;
  for (let n = 1; ; n++) {
    Atomics.wait(words, 0, n - 1);
    data.set(disk.subarray(words[2], words[2] + words[3]));
    Atomics.store(words, 1, n);
    Atomics.notify(words, 1);
  }`;

it.each(formats)('%s: the same text gives the same under each', async (_name, format) => {
  const want = { result: LENGTH, seen: LENGTH, same: 0, tasks: 1, outside: 0, held: 0 };

  const atOnce = bench(plain, format, createMemoryBackend(DISK.slice()));
  const { machine, process, file, address } = atOnce;
  expect(outcome(atOnce, plain.readFile(machine, process, file, 0, address, LENGTH))).toEqual(want);

  const body = (b: Bench): ReturnType<typeof coloured.readFile> =>
    coloured.readFile(b.machine, b.process, b.file, 0, b.address, LENGTH);
  const stepped = bench(coloured, format, createMemoryBackend(DISK.slice()));
  expect(outcome(stepped, runTask(stepped.machine.sched, body(stepped)))).toEqual(want);

  const later: AsyncBackend = {
    size: LENGTH,
    submit: (_op, offset, bytes, done) => {
      setTimeout(() => {
        bytes.set(DISK.subarray(offset, offset + bytes.length));
        done(bytes.length);
      }, 1);
    },
  };
  const real = bench(coloured, format, later);
  expect(outcome(real, await runTaskAsync(real.machine.sched, body(real)))).toEqual(want);

  const words = new Int32Array(new SharedArrayBuffer(16));
  const data = new Uint8Array(new SharedArrayBuffer(PAGE));
  const worker = new Worker(READER, { eval: true, workerData: { words, data, disk: DISK } });
  const waiting: (() => void)[] = [];
  const ofThread: AsyncBackend = {
    size: LENGTH,
    submit: (_op, offset, bytes, done) => {
      words.set([offset, bytes.length], 2);
      Atomics.add(words, 0, 1);
      Atomics.notify(words, 0);
      waiting.push(() => {
        bytes.set(data.subarray(0, bytes.length));
        done(bytes.length);
      });
    },
  };
  const block = (): void => {
    const asked = Atomics.load(words, 0);
    while (Atomics.load(words, 1) !== asked) Atomics.wait(words, 1, asked - 1);
    waiting.shift()!();
  };
  const blocked = bench(coloured, format, ofThread);
  expect(outcome(blocked, runTaskBlocking(blocked.machine.sched, body(blocked), block))).toEqual(want);
  await worker.terminate();
});
