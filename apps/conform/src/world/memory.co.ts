/** mmap and its relatives: system calls on ranges of the arena. */
import { InvariantError } from '@mmkit/base';
import type { Task } from '@mmkit/base';
import type { Process } from '@mmkit/kernel';
import * as abi from '@mmkit/mm';
import {
  madvise,
  mincore,
  mlock,
  mlock2,
  mmap,
  mprotect,
  mremap,
  mseal,
  msync,
  munlock,
  munmap,
} from '@mmkit/mm/sched';
import type { Op } from '../trace/ops.ts';
import { BADREF, RANGE, returned, UNSUPPORTED } from './result.ts';
import type { OpResult } from './result.ts';
import { addressOf, ARENA, PAGE, pagesInArena, World } from './world.ts';

/** Words of the traces that are not the ends of the constants' names. */
const LONG_WORDS: Readonly<Record<string, string>> = { anon: 'anonymous', noreplace: 'fixed_noreplace' };

/** The value of one of Linux's constants: `prefix` and the word in capitals. */
function abiValue(prefix: string, word: string): number {
  const name = `${prefix}_${(LONG_WORDS[word] ?? word).toUpperCase()}`;
  const value = (abi as Readonly<Record<string, unknown>>)[name];
  if (typeof value !== 'number') throw new InvariantError('NO_CONSTANT', `no value for ${name}`);
  return value;
}

/** The words of `flags` together. */
function flagsOf(prefix: string, op: Op): number {
  return op.words.reduce((flags, word) => (word === '0' ? flags : flags | abiValue(prefix, word)), 0);
}

/** PROT_* of `rwxG` letters. */
function protOf(text: string): number {
  let prot = abi.PROT_NONE;
  if (text.includes('r')) prot |= abi.PROT_READ;
  if (text.includes('w')) prot |= abi.PROT_WRITE;
  if (text.includes('x')) prot |= abi.PROT_EXEC;
  if (text.includes('G')) prot |= abi.PROT_GROWSDOWN;
  return prot;
}

/** Runs one of these calls. */
export function* memoryOp(world: World, process: Process, op: Op): Task<OpResult> {
  if (op.name === 'mmap') return yield* mapOp(world, process, op);
  if (op.name === 'mremap') return yield* moveOp(world, process, op);
  const { mm } = process;
  if (!pagesInArena(world, op.at!, op.n)) return RANGE;
  const at = addressOf(op.at!);
  const length = op.n * PAGE;
  switch (op.name) {
    case 'munmap':
      return returned(yield* munmap(mm, at, length));
    case 'mprotect':
      return returned(yield* mprotect(mm, at, length, protOf(op.prot)));
    case 'madvise':
      return returned(yield* madvise(mm, at, length, abiValue('MADV', op.words[0]!)));
    case 'mlock':
      return returned(yield* mlock(mm, at, length));
    case 'mlock2':
      return returned(yield* mlock2(mm, at, length, op.onfault === 0 ? 0 : abi.MLOCK_ONFAULT));
    case 'munlock':
      return returned(yield* munlock(mm, at, length));
    case 'mseal':
      return returned(yield* mseal(mm, at, length, 0));
    case 'msync':
      return returned(yield* msync(mm, at, length, flagsOf('MS', op)));
    default: {
      const vec = new Uint8Array(op.n);
      const error = yield* mincore(mm, at, length, vec);
      return returned(error, vec);
    }
  }
}

function* mapOp(world: World, process: Process, op: Op): Task<OpResult> {
  if (op.n < 0 || (op.at !== null && !pagesInArena(world, op.at, op.n))) return RANGE;
  const file = op.f < 0 ? null : (world.files[op.f] ?? null);
  if (op.f >= 0 && file === null) return BADREF;
  if (op.words.includes('hugetlb') || world.trace.files.some(({ id, kind }) => id === op.f && kind === 'hugetlb')) {
    return UNSUPPORTED;
  }
  const hint = op.at === null ? 0 : addressOf(op.at);
  const prot = protOf(op.prot);
  const address = yield* mmap(process.mm, hint, op.n * PAGE, prot, flagsOf('MAP', op), file, op.off * PAGE);
  return arenaPage(address);
}

function* moveOp(world: World, process: Process, op: Op): Task<OpResult> {
  const inArena = (at: number, n: number): boolean => pagesInArena(world, at, n);
  const flags = flagsOf('MREMAP', op);
  const fixed = (flags & abi.MREMAP_FIXED) !== 0;
  if (!inArena(op.at!, op.old) || op.new < 0) return RANGE;
  if ((flags === 0 && !inArena(op.at!, op.new)) || (fixed && !inArena(op.to, op.new))) return RANGE;
  const to = flags === 0 ? 0 : addressOf(op.to);
  return arenaPage(yield* mremap(process.mm, addressOf(op.at!), op.old * PAGE, op.new * PAGE, flags, to));
}

/** An address as a page of the arena. */
function arenaPage(address: number): OpResult {
  return returned(address < 0 ? address : (address - ARENA) / PAGE);
}
