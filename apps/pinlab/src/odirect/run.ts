/**
 * One run of `pinlab odirect`: a machine, a process with a buffer, the file in, the buffer out, every byte verified, the
 * process gone, and what is left counted in the frame table.
 */
import { createHash } from 'node:crypto';
import { mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { errnoName } from '@mmkit/base';
import { createBlockDevice } from '@mmkit/filemap';
import { closeFile, type FileBackend, openFile, truncateFile } from '@mmkit/filemap/node';
import {
  createMachine,
  createProcess,
  type DirectIo,
  exitProcess,
  finishDirectIo,
  type Machine,
  peekBytes,
  type Process,
  submitDirectRead,
  submitDirectWrite,
} from '@mmkit/kernel';
import { MAP_ANONYMOUS, MAP_PRIVATE, mmap, PROT_READ, PROT_WRITE } from '@mmkit/mm';
import { countFrames } from '@mmkit/phys';
import { Failed } from '../exit.ts';
import type { OdirectPlan } from './options.ts';

/** The JSON document. */
export interface OdirectReport {
  ok: boolean;
  bytes: number;
  sha256: string;
  pagesPinned: number;
  fast: number;
  slow: number;
  faults: number;
  /** Host time of both ways together. */
  transferSeconds: number;
  leakedPins: number;
  leakedFrames: number;
}

export interface OdirectResult {
  readonly report: OdirectReport;
  /** SHA-256 of the same bytes of the file, read by the host. */
  readonly expected: string;
  /** SHA-256 of the copy, read by the host. */
  readonly copied: string;
}

/** Bytes hashed at a time. */
const SLICE = 8 << 20;
/** Bytes moved between two looks at the progress bar. */
const PROGRESS = 1 << 20;

/** Runs the plan; `progress` is told the bytes moved so far, of twice the buffer. Failed when the simulated kernel or the host refuses. */
export function runOdirect(plan: OdirectPlan, progress: (done: number, what: string) => void): OdirectResult {
  const folder =
    plan.out === null ? mkdtempSync(join(tmpdir(), 'pinlab-')) : mkdtempSync(join(dirname(plan.out), '.pinlab-'));
  try {
    const copy = join(folder, 'copy');
    const result = copyThrough(plan, copy, progress);
    // The copy appears under its name whole, or not at all.
    if (plan.out !== null && result.report.ok) renameSync(copy, plan.out);
    return result;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function copyThrough(plan: OdirectPlan, copy: string, progress: (done: number, what: string) => void): OdirectResult {
  const source = openFile(plan.file);
  const target = openFile(copy, { write: true, create: true });
  try {
    const machine = createMachine({ ramBytes: plan.ramBytes, format: plan.format });
    const before = countFrames(machine.memory.phys);
    const process = createProcess(machine)!;
    const buffer =
      plan.length === 0 ? 0 : mmap(process.mm, 0, plan.bufferSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
    if (buffer < 0) throw new Failed(`mmap: ${errnoName(buffer)}`);
    const start = performance.now();
    const pagesPinned = transfer(plan, machine, process, buffer, source, target, progress);
    const transferSeconds = (performance.now() - start) / 1000;
    const sha256 = hashMemory(machine, process, buffer, plan.length);
    const expected = hashFile(source, plan.offset, plan.length);
    const copied = hashFile(target, 0, target.size);
    const { gupFast, gupSlow, pgfault } = machine.memory.stat;
    const leakedPins = countFrames(machine.memory.phys).pins;
    exitProcess(machine, process);
    const leakedFrames = countFrames(machine.memory.phys).used - before.used;
    const ok = sha256 === expected && copied === expected && leakedPins === 0 && leakedFrames === 0;
    const report = {
      ok,
      bytes: plan.length,
      sha256,
      pagesPinned,
      fast: gupFast,
      slow: gupSlow,
      faults: pgfault,
      transferSeconds,
      leakedPins,
      leakedFrames,
    };
    return { report, expected, copied };
  } finally {
    closeFile(source);
    closeFile(target);
  }
}

/** File to buffer, buffer to copy, in requests of one block; how many pages were pinned. */
function transfer(
  plan: OdirectPlan,
  machine: Machine,
  process: Process,
  buffer: number,
  source: FileBackend,
  target: FileBackend,
  progress: (done: number, what: string) => void,
): number {
  const { sched, memory } = machine;
  const { blockSize, bufferSize } = plan;
  const input = createBlockDevice(sched, memory.phys, source);
  const output = createBlockDevice(sched, memory.phys, target);
  // The last block ends beyond what is wanted, or beyond the file: it may be short.
  const wanted = (at: number): number => Math.min(blockSize, plan.length - at);
  const read = (at: number): DirectIo =>
    submitDirectRead(machine, process, input, plan.offset + at, buffer + at, blockSize);
  const write = (at: number): DirectIo => submitDirectWrite(machine, process, output, at, buffer + at, blockSize);
  const pinned =
    moveBlocks(plan, read, wanted, (done) => progress(done, 'reading')) +
    moveBlocks(
      plan,
      write,
      () => blockSize,
      (done) => progress(bufferSize + done, 'writing'),
    );
  truncateFile(target, plan.length);
  return pinned;
}

/** Keeps `queueDepth` requests in flight, oldest awaited first; how many pages were pinned. */
function moveBlocks(
  plan: OdirectPlan,
  submit: (at: number) => DirectIo,
  atLeast: (at: number) => number,
  progress: (done: number) => void,
): number {
  const flight: DirectIo[] = [];
  let pinned = 0;
  let done = 0;
  const finishOldest = (): void => {
    const { result, pagesPinned } = finishDirectIo(flight.shift()!);
    if (result < atLeast(done))
      throw new Failed(`O_DIRECT at ${done}: ${result < 0 ? errnoName(result) : `only ${result} bytes`}`);
    pinned += pagesPinned;
    done += plan.blockSize;
    if (done % PROGRESS < plan.blockSize || done === plan.bufferSize) progress(done);
  };
  for (let at = 0; at < plan.bufferSize; at += plan.blockSize) {
    if (flight.length === plan.queueDepth) finishOldest();
    flight.push(submit(at));
  }
  while (flight.length > 0) finishOldest();
  return pinned;
}

/** SHA-256 of process memory, each byte found by the hardware walker. */
function hashMemory(machine: Machine, process: Process, address: number, length: number): string {
  const hash = createHash('sha256');
  const bytes = new Uint8Array(Math.min(SLICE, length));
  for (let at = 0; at < length; at += bytes.length) {
    const size = Math.min(bytes.length, length - at);
    if (peekBytes(machine, process, address + at, bytes, 0, size) !== size)
      throw new Failed('the buffer is not mapped');
    hash.update(bytes.subarray(0, size));
  }
  return hash.digest('hex');
}

/** SHA-256 of a part of a host file. */
function hashFile(file: FileBackend, offset: number, length: number): string {
  const hash = createHash('sha256');
  const bytes = new Uint8Array(Math.min(SLICE, length));
  for (let at = 0; at < length; at += bytes.length) {
    const size = Math.min(bytes.length, length - at);
    const got = file.read(offset + at, bytes.subarray(0, size));
    if (got !== size) throw new Failed(`reading ${file.path}: ${got < 0 ? errnoName(got) : 'short'}`);
    hash.update(bytes.subarray(0, size));
  }
  return hash.digest('hex');
}
