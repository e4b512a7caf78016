/** The arguments of `pinlab rdma`, checked: what comes out can be run. */
import { accessSync, constants, statSync } from 'node:fs';
import type { Format } from '@mmkit/pgtable';
import { archFormat } from '../arch.ts';
import { BadInput } from '../exit.ts';

/** What both sides are told, as commander gives it. */
export interface MachineOptions {
  readonly port: string;
  readonly ram: string;
  readonly arch: string;
  readonly timeout: string;
  /** Whether a ledger of pins is kept. */
  readonly ledger?: boolean;
}

/** What the side with the file is told beside. */
export interface RdmaOptions extends MachineOptions {
  readonly json?: boolean;
  /** Instead of moving a file. */
  readonly story?: boolean;
}

/** A machine that is possible, all sizes in bytes. */
export interface MachinePlan {
  readonly ramBytes: number;
  readonly format: Format;
  /** Bytes of a region: what goes over before it is used again. */
  readonly roundBytes: number;
  /** How long the other side may be silent, ms. */
  readonly timeout: number;
  /** Whether a ledger of pins is kept. */
  readonly ledger: boolean;
}

const PAGE = 4096;
const MIB = 1 << 20;
/** Two of them and the messages stay below RLIMIT_MEMLOCK, 8 MiB. */
const MAX_ROUND = 2 * MIB;
/** What a machine needs beside its regions: tables, messages, the kernel's own pages. */
const SPARE = MIB / 2;
const MAX_RAM = 1 << 20;

/** Checks what both sides are told. BadInput says what is wrong. */
export function planMachine({ ram, arch, timeout, ledger }: MachineOptions): MachinePlan {
  const format = archFormat(arch);
  const ramBytes = integer('--ram', ram, 1, MAX_RAM) * MIB;
  const most = Math.floor((ramBytes - SPARE) / 2 / PAGE) * PAGE;
  return {
    ramBytes,
    format,
    roundBytes: Math.min(MAX_ROUND, most),
    timeout: integer('--timeout', timeout, 1, 3_600_000),
    ledger: ledger === true,
  };
}

/** A port number; 0: any. */
export function portNumber(name: string, text: string): number {
  return integer(name, text, 0, 65_535);
}

/** Bytes of a file that can be sent. BadInput when it cannot. */
export function checkFile(file: string): number {
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

function integer(name: string, text: string, min: number, max: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : NaN;
  if (!(value >= min && value <= max))
    throw new BadInput(`${name}: expected an integer from ${min} to ${max}, got '${text}'`);
  return value;
}
