/** The arguments of `pinlab odirect`, checked: what comes out can be run. */
import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Format } from '@mmkit/pgtable';
import { archFormat } from '../arch.ts';
import { BadInput } from '../exit.ts';

/** As commander gives them. */
export interface OdirectOptions {
  readonly bs: string;
  readonly qd: string;
  readonly offset: string;
  readonly length?: string;
  readonly ram?: string;
  readonly out?: string;
  readonly arch: string;
  readonly ledger?: boolean;
  readonly json?: boolean;
}

/** A run that is possible, all sizes in bytes. */
export interface OdirectPlan {
  readonly file: string;
  readonly out: string | null;
  readonly blockSize: number;
  readonly queueDepth: number;
  readonly offset: number;
  readonly length: number;
  /** `length` rounded up to whole blocks. */
  readonly bufferSize: number;
  readonly ramBytes: number;
  /** Page-table format of the machine. */
  readonly format: Format;
  /** Whether a ledger of pins is kept. */
  readonly ledger: boolean;
}

const SECTOR = 512;
const PAGE = 4096;
const MIB = 1 << 20;
/** What a machine needs beside the buffer: tables (one page in 512), the kernel's own pages. */
const SPARE = 4 * MIB;

/** Checks everything that can be checked before anything is made. BadInput says what is wrong. */
export function planOdirect(file: string, options: OdirectOptions): OdirectPlan {
  const format = archFormat(options.arch);
  const blockSize = integer('--bs', options.bs, SECTOR, 64 * MIB);
  if (blockSize % SECTOR !== 0) throw new BadInput(`--bs: ${blockSize} is not a multiple of ${SECTOR}`);
  const queueDepth = integer('--qd', options.qd, 1, 1024);
  const size = fileSize(file);
  const offset = integer('--offset', options.offset, 0, Number.MAX_SAFE_INTEGER);
  if (offset % SECTOR !== 0) throw new BadInput(`--offset: ${offset} is not a multiple of ${SECTOR}`);
  if (offset > size) throw new BadInput(`--offset: ${offset} is beyond the end of ${file} (${size} bytes)`);
  const rest = size - offset;
  const length =
    options.length === undefined
      ? rest
      : Math.min(rest, integer('--length', options.length, 0, Number.MAX_SAFE_INTEGER));
  const bufferSize = Math.ceil(length / blockSize) * blockSize;
  const need = bufferSize + Math.ceil(bufferSize / 256 / PAGE) * PAGE + SPARE;
  const ramBytes = options.ram === undefined ? need : integer('--ram', options.ram, 1, 1 << 20) * MIB;
  if (ramBytes < need) {
    throw new BadInput(
      `--ram: ${ramBytes / MIB} MiB is too small for a buffer of ${bufferSize} bytes; it takes ${Math.ceil(need / MIB)} MiB`,
    );
  }
  if (Math.ceil(ramBytes / PAGE) >= 2 ** 29) throw new BadInput('the buffer is larger than a simulated machine can be');
  if (options.out !== undefined) checkOut(options.out, file);
  return {
    file,
    out: options.out ?? null,
    blockSize,
    queueDepth,
    offset,
    length,
    bufferSize,
    ramBytes: Math.ceil(ramBytes / PAGE) * PAGE,
    format,
    ledger: options.ledger === true,
  };
}

function integer(name: string, text: string, min: number, max: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : NaN;
  if (!(value >= min && value <= max))
    throw new BadInput(`${name}: expected an integer from ${min} to ${max}, got '${text}'`);
  return value;
}

function fileSize(file: string): number {
  let stat;
  try {
    stat = statSync(file);
    accessSync(file, constants.R_OK);
  } catch (error) {
    throw new BadInput(`cannot read ${file}: ${(error as NodeJS.ErrnoException).code}`);
  }
  if (stat.isDirectory()) throw new BadInput(`${file} is a directory`);
  if (!stat.isFile()) throw new BadInput(`${file} is not a regular file`);
  return stat.size;
}

function checkOut(out: string, file: string): void {
  const folder = dirname(out);
  try {
    accessSync(folder, constants.W_OK);
  } catch (error) {
    throw new BadInput(`--out: cannot write in ${folder}: ${(error as NodeJS.ErrnoException).code}`);
  }
  if (!existsSync(out)) return;
  const stat = statSync(out);
  if (!stat.isFile()) throw new BadInput(`--out: ${out} is not a regular file`);
  const source = statSync(file);
  if (stat.ino === source.ino && stat.dev === source.dev)
    throw new BadInput('--out: the copy would overwrite FILE itself');
}
