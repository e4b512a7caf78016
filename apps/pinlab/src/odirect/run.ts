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
import { countFrames, openPinLedger, type PinReport, pinReport } from '@mmkit/phys';
import { Failed } from '../exit.ts';
import { ledgerField, type LedgerReport } from '../ledger.ts';
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
  /** With --ledger: who held pins when the first block began to be written, and at the end. */
  ledger?: LedgerReport;
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

/** Runs the plan; `progress` is told the bytes copied so far, of the buffer. Failed when the simulated kernel or the host refuses. */
export function runOdirect(plan: OdirectPlan, progress: (done: number) => void): OdirectResult {
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

function copyThrough(plan: OdirectPlan, copy: string, progress: (done: number) => void): OdirectResult {
  const source = openFile(plan.file);
  const target = openFile(copy, { write: true, create: true });
  try {
    const machine = createMachine({ ramBytes: plan.ramBytes, format: plan.format });
    const { phys } = machine.memory;
    if (plan.ledger) openPinLedger(phys, () => machine.sched.now);
    const before = countFrames(phys);
    const process = createProcess(machine)!;
    const buffer =
      plan.length === 0 ? 0 : mmap(process.mm, 0, plan.bufferSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
    if (buffer < 0) throw new Failed(`mmap: ${errnoName(buffer)}`);
    const start = performance.now();
    const { pagesPinned, held } = transfer(plan, machine, process, buffer, source, target, progress);
    const transferSeconds = (performance.now() - start) / 1000;
    const sha256 = hashMemory(machine, process, buffer, plan.length);
    const expected = hashFile(source, plan.offset, plan.length);
    const copied = hashFile(target, 0, target.size);
    const { gupFast, gupSlow, pgfault } = machine.memory.stat;
    const leakedPins = countFrames(phys).pins;
    const ledger = ledgerField(phys, held);
    exitProcess(machine, process);
    const leakedFrames = countFrames(phys).used - before.used;
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
      ...ledger,
    };
    return { report, expected, copied };
  } finally {
    closeFile(source);
    closeFile(target);
  }
}

/**
 * File to buffer, buffer to copy, in requests of one block: a block is written as soon as it has been read, while the
 * host's caches still hold it. At most `queueDepth` requests are in flight; writes are awaited first, then the oldest
 * read. How many pages were pinned, and, where a ledger is kept, by whom when the first block began to be written.
 */
function transfer(
  plan: OdirectPlan,
  machine: Machine,
  process: Process,
  buffer: number,
  source: FileBackend,
  target: FileBackend,
  progress: (done: number) => void,
): { pagesPinned: number; held: PinReport[] } {
  const { sched, memory } = machine;
  const { blockSize, bufferSize, queueDepth, length } = plan;
  const input = createBlockDevice(sched, memory.phys, source);
  const output = createBlockDevice(sched, memory.phys, target);
  const reads: DirectIo[] = [];
  const writes: DirectIo[] = [];
  let pagesPinned = 0;
  let held: PinReport[] = [];
  let read = 0;
  let written = 0;
  const finishRead = (): void => {
    // The last block ends beyond what is wanted, or beyond the file: it may be short.
    pagesPinned += finish(reads.shift()!, read, Math.min(blockSize, length - read));
    writes.push(submitDirectWrite(machine, process, output, read, buffer + read, blockSize));
    if (read === 0) held = pinReport(memory.phys);
    read += blockSize;
  };
  const finishWrite = (): void => {
    pagesPinned += finish(writes.shift()!, written, blockSize);
    written += blockSize;
    if (written % PROGRESS < blockSize || written === bufferSize) progress(written);
  };
  const finishOne = (): void => (writes.length > 0 ? finishWrite() : finishRead());
  for (let at = 0; at < bufferSize; at += blockSize) {
    while (reads.length + writes.length >= queueDepth) finishOne();
    reads.push(submitDirectRead(machine, process, input, plan.offset + at, buffer + at, blockSize));
  }
  while (reads.length + writes.length > 0) finishOne();
  truncateFile(target, length);
  return { pagesPinned, held };
}

/** Waits for the request of the block at `at`, which must move `atLeast` bytes; how many pages it pinned. */
function finish(io: DirectIo, at: number, atLeast: number): number {
  const { result, pagesPinned } = finishDirectIo(io);
  if (result < atLeast)
    throw new Failed(`O_DIRECT at ${at}: ${result < 0 ? errnoName(result) : `only ${result} bytes`}`);
  return pagesPinned;
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
