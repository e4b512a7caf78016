/** The arguments of `pinlab walk`, checked: what comes out is a dump with the root's table in it. */
import { InvariantError } from '@mmkit/base';
import type { TableMemory } from '@mmkit/pgtable';
import { type Dump, type DumpFormat, dumpMemory, openDump } from '@mmkit/pgtable/dump';
import { closeSource, type FileSource, openSource } from '@mmkit/pgtable/node';
import { BadInput } from '../exit.ts';
import { type WalkArch, walkArch } from './arch.ts';

/** As commander gives them. */
export interface WalkOptions {
  readonly arch: string;
  readonly root: string;
  readonly va?: string;
  readonly list?: boolean;
  readonly upper?: boolean;
  readonly format?: string;
  readonly base?: string;
}

/** A walk that is possible. */
export interface WalkPlan {
  readonly source: FileSource;
  readonly dump: Dump;
  readonly memory: TableMemory;
  readonly arch: WalkArch;
  /** Physical address of the root table. */
  readonly root: bigint;
  /** The address to walk; null: list. */
  readonly va: bigint | null;
}

const FORMATS: readonly string[] = ['raw', 'elf', 'lime'];
/** Of an address that the upper half has: arm64 tells by this bit, whatever the size of addresses. */
const UPPER_BIT = 55n;

/** Checks all, and opens the dump. BadInput says what is wrong. */
export function planWalk(file: string, options: WalkOptions): WalkPlan {
  if ((options.va === undefined) === (options.list !== true)) throw new BadInput('expected --va ADDR or --list');
  const va = options.va === undefined ? null : address('--va', options.va);
  const upper = options.upper === true || (va !== null && ((va >> UPPER_BIT) & 1n) === 1n);
  const arch = walkArch(options.arch, upper);
  const register = address('--root', options.root);
  const source = open(file);
  try {
    const dump = openDump(source, dumpOptions(options));
    checkMachine(dump, options.arch, arch);
    const memory = dumpMemory(dump, arch.format.pageShift);
    const root = checkRoot(memory, arch, register);
    return { source, dump, memory, arch, root, va };
  } catch (error) {
    closeSource(source);
    throw dumpError(file, error);
  }
}

/** What is wrong with a dump as BadInput; other errors as they are. */
export function dumpError(file: string, error: unknown): unknown {
  if (error instanceof BadInput) return new BadInput(`${file}: ${error.message}`);
  const known = error instanceof InvariantError && (error.code === 'BAD_DUMP' || error.code === 'DUMP_IO');
  return known ? new BadInput(`${file}: ${error.message.slice(error.code.length + 2)}`) : error;
}

function dumpOptions({ format, base }: WalkOptions): { format?: DumpFormat; base?: number } {
  if (format !== undefined && !FORMATS.includes(format)) {
    throw new BadInput(`--format: expected raw, elf or lime, got '${format}'`);
  }
  const start = base === undefined ? 0n : address('--base', base);
  if (start > 2n ** 52n) throw new BadInput(`--base: 0x${start.toString(16)} is beyond physical memory`);
  return { ...(format === undefined ? {} : { format: format as DumpFormat }), base: Number(start) };
}

function address(name: string, text: string): bigint {
  const value = /^(0x[0-9a-f]+|\d+)$/i.test(text) ? BigInt(text) : -1n;
  if (value < 0n || value >= 2n ** 64n) throw new BadInput(`${name}: expected an address of 64 bits, got '${text}'`);
  return value;
}

function open(file: string): FileSource {
  try {
    return openSource(file);
  } catch (error) {
    throw new BadInput(`cannot read ${file}: ${(error as NodeJS.ErrnoException).code}`);
  }
}

function checkMachine({ machine }: Dump, name: string, arch: WalkArch): void {
  if (machine !== null && machine !== arch.machine) {
    throw new BadInput(`the dump is of ELF machine ${machine}, ${name} is ${arch.machine}`);
  }
}

function checkRoot(memory: TableMemory, { format, rootOf }: WalkArch, register: bigint): bigint {
  const root = rootOf(register);
  const size = 8 << format.rootBits;
  if (root % BigInt(size) !== 0n) throw new BadInput(`--root: ${hex(root)} is not a multiple of ${size}`);
  if (memory.words(Number(root >> BigInt(format.pageShift))) === null) {
    throw new BadInput(`--root: there is no memory at ${hex(root)}`);
  }
  return root;
}

function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}
