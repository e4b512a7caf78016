/**
 * One run of `pinlab rdma`: this process is the side with the file; the other side is a second process of the same
 * program, which says on its standard output where it listens and, at its end, what it counted.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { BadInput, EXIT_USAGE, Failed } from '../exit.ts';
import { type InitiatorReport, runInitiator } from './initiator.ts';
import type { LedgerReport } from '../ledger.ts';
import type { MachineOptions, MachinePlan } from './options.ts';
import type { ResponderReport } from './responder.ts';

/** The command of the second process. */
export const RESPONDER_COMMAND = 'rdma-responder';
/** How long the second process may take to begin or to end beyond the time-out of the connection, ms. */
const GRACE_MS = 10_000;

/** The JSON document; counts are of both machines together. */
export interface RdmaReport {
  ok: boolean;
  bytes: number;
  /** Of what arrived, seen by the walker of the other machine. */
  sha256: string;
  pagesPinned: number;
  fast: number;
  slow: number;
  faults: number;
  /** Host time of RDMA Writes and Reads. */
  transferSeconds: number;
  leakedPins: number;
  leakedFrames: number;
  /** Bytes of all memory regions. */
  registered: number;
  /** Most pages that were charged to one process at a time. */
  pinnedVmPeak: number;
  /** With --ledger: who held pins on each side, when the last byte had moved and at the end. */
  ledger?: { here: LedgerReport; there: LedgerReport };
}

export interface RdmaResult {
  readonly report: RdmaReport;
  /** SHA-256 of the file, read by the host. */
  readonly expected: string;
  /** SHA-256 of what was read back. */
  readonly readBack: string;
  readonly port: number;
}

/** Starts the other side and moves the file there and back. Failed or BadInput when it cannot be; then both sides have ended. */
export async function runRdma(
  plan: MachinePlan,
  options: MachineOptions,
  file: string,
  bytes: number,
  progress: (done: number) => void,
): Promise<RdmaResult> {
  const child = startResponder(options);
  try {
    const { port } = (await within(plan.timeout + GRACE_MS, child.nextLine())) as { port: number };
    const ours = await runInitiator(plan, file, port, progress);
    const theirs = (await within(plan.timeout + GRACE_MS, child.nextLine())) as ResponderReport;
    return { ...combine(bytes, ours, theirs), port };
  } finally {
    child.process.kill();
    await child.ended;
  }
}

/** What one side alone can say. */
export function combine(bytes: number, ours: InitiatorReport, theirs: ResponderReport): Omit<RdmaResult, 'port'> {
  const { expected, readBack, transferSeconds } = ours;
  const sum = (name: Exclude<keyof ResponderReport, 'sha256' | 'ledger'>): number => ours[name] + theirs[name];
  const leakedPins = sum('leakedPins');
  const leakedFrames = sum('leakedFrames');
  const same = theirs.sha256 === expected && ours.arrived === expected && readBack === expected;
  const report = {
    ok: same && leakedPins === 0 && leakedFrames === 0,
    bytes,
    sha256: theirs.sha256,
    pagesPinned: sum('pagesPinned'),
    fast: sum('fast'),
    slow: sum('slow'),
    faults: sum('faults'),
    transferSeconds,
    leakedPins,
    leakedFrames,
    registered: sum('registered'),
    pinnedVmPeak: Math.max(ours.pinnedVmPeak, theirs.pinnedVmPeak),
    ...(ours.ledger !== undefined &&
      theirs.ledger !== undefined && { ledger: { here: ours.ledger, there: theirs.ledger } }),
  };
  return { report, expected, readBack };
}

interface Responder {
  readonly process: ChildProcess;
  /** Resolves when the process is gone. */
  readonly ended: Promise<void>;
  /** The next JSON document it says; rejects with what it complained of when it ends before. */
  nextLine(): Promise<unknown>;
}

function startResponder({ port, ram, arch, timeout, ledger }: MachineOptions): Responder {
  const args = [RESPONDER_COMMAND, '--port', port, '--ram', ram, '--arch', arch, '--timeout', timeout];
  if (ledger === true) args.push('--ledger');
  const child = spawn(process.execPath, [...process.execArgv, process.argv[1]!, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (complaint += text));
  const ended = new Promise<void>((resolve) => {
    child.on('close', () => resolve());
    child.on('error', (error) => {
      complaint = error.message;
      resolve();
    });
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    process: child,
    ended,
    nextLine: async () => {
      const { done, value } = await lines.next();
      if (done !== true) return JSON.parse(value) as unknown;
      await ended;
      const line = complaint.trim().replace(/^pinlab: /, '');
      if (child.exitCode === EXIT_USAGE) throw new BadInput(line);
      throw new Failed(`the other side: ${line === '' ? `ended by ${child.signalCode ?? child.exitCode}` : line}`);
    },
  };
}

async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  let timer;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Failed(`the other side said nothing for ${ms / 1000} s`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
