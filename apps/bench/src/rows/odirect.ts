/**
 * `pinlab odirect` on a file of 1 GiB, as a program: the time from its first submission to its last completion beside a
 * plain Node stream copy of the same file, and what stays resident beside the simulated RAM.
 */
import { spawn } from 'node:child_process';
import { createReadStream, createWriteStream, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { type Measured, quantile, type WholeRow } from '../row.ts';

const SIZE = 2 ** 30;
const RUNS = 3;
const COPY = 'Node stream copy';
const RAM = 'simulated RAM';
/** MiB the program may take beside the simulated RAM. */
const OWN = 200;

interface Run {
  readonly seconds: number;
  /** MiB: the most that was ever resident. */
  readonly resident: number;
}

/** One run of the program. */
async function odirect(file: string): Promise<Run> {
  const main = fileURLToPath(new URL('../../pinlab/dist/main.js', import.meta.url));
  const child = spawn(process.execPath, [main, 'odirect', file, '--json'], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  let resident = 0;
  child.stdout.on('data', (part) => (text += part));
  const look = setInterval(() => {
    try {
      const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
      resident = Math.max(resident, Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024);
    } catch {
      // It has just ended.
    }
  }, 20);
  const code = await new Promise((done) => child.on('close', done));
  clearInterval(look);
  if (code !== 0) throw new Error(`pinlab odirect ended with ${code}`);
  return { seconds: (JSON.parse(text) as { transferSeconds: number }).transferSeconds, resident };
}

async function streamCopy(file: string, copy: string): Promise<number> {
  const start = performance.now();
  await pipeline(createReadStream(file), createWriteStream(copy));
  return (performance.now() - start) / 1000;
}

/** `use` with a folder that holds the file. */
async function withFile(use: (file: string, folder: string) => Promise<Measured>): Promise<Measured> {
  const folder = mkdtempSync(join(tmpdir(), 'mmkit-bench-'));
  try {
    const file = join(folder, 'file');
    const fd = openSync(file, 'w');
    const part = new Uint8Array(1 << 20);
    for (let i = 0; i < SIZE / part.length; i++) {
      part.fill(i);
      writeSync(fd, part);
    }
    return await use(file, folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function spreadOf(samples: readonly number[]): [number, number] {
  const middle = quantile(samples, 0.5);
  return [Math.min(...samples) / middle, Math.max(...samples) / middle];
}

async function transferTime(): Promise<Measured> {
  return await withFile(async (file, folder) => {
    const ours: number[] = [];
    const copies: number[] = [];
    for (let i = 0; i < RUNS; i++) {
      copies.push(await streamCopy(file, join(folder, 'copy')));
      ours.push((await odirect(file)).seconds);
    }
    const ratios = ours.map((seconds, i) => seconds / copies[i]!);
    return {
      ours: quantile(ours, 0.5),
      others: { [COPY]: quantile(copies, 0.5) },
      ratio: { [COPY]: quantile(ratios, 0.5) },
      spread: spreadOf(ours),
    };
  });
}

async function resident(): Promise<Measured> {
  return await withFile(async (file) => {
    const ours: number[] = [];
    for (let i = 0; i < RUNS; i++) ours.push((await odirect(file)).resident);
    const inUse = SIZE / 2 ** 20;
    return {
      ours: quantile(ours, 0.5),
      others: { [RAM]: inUse },
      ratio: { [RAM]: quantile(ours, 0.5) / inUse },
      spread: spreadOf(ours),
    };
  });
}

export const odirectRows: readonly WholeRow[] = [
  { name: 'pinlab odirect, 1 GiB in and out', unit: 's', goal: null, ratioGoal: 1.5, run: transferTime },
  { name: 'pinlab odirect, 1 GiB, resident', unit: 'MiB', goal: SIZE / 2 ** 20 + OWN, ratioGoal: null, run: resident },
];
