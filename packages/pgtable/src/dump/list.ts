/**
 * Every mapping of a root, in the order of addresses: what the hardware translates, and what Linux keeps in entries that
 * the hardware does not look at. The counterpart of /proc/PID/maps for a dump, from the tables alone.
 *
 * A table that lies on its own path (x86's recursive mapping, or a damaged dump) is reported, not descended into, and so
 * is one that is not in memory. A table that several entries share is listed for each of them, so a list can be as long
 * as the address space: it is a generator, stop when you have seen enough.
 */
import { InvariantError } from '@mmkit/base';
import {
  createDecoded,
  type Decoded,
  E_KERNEL_EXEC,
  E_RIGHTS,
  ENTRY_LEAF,
  ENTRY_NONE,
  ENTRY_NONPRESENT,
  ENTRY_RESERVED,
  ENTRY_TABLE,
} from '../flags.ts';
import type { Format } from '../format.ts';
import type { TableMemory } from '../memory.ts';
import type { Mmu } from '../mmu.ts';

/** `Mapping.kind`: the entry points to a table that it is reached through. */
export const MAPPING_LOOP = 16;
/** `Mapping.kind`: the entry points to a table that is not in memory. */
export const MAPPING_UNKNOWN = 17;

/** What lists need of a format. A `Format` is one; for another mode lay an `Mmu` over it: `{ ...x86_64, ...x86Mmu(…) }`. */
export type ListedFormat = Mmu & Pick<Format, 'decode'>;

/** What one entry maps. */
export class Mapping {
  /** First address, 64 bits. */
  readonly start: bigint;
  /** Bytes the entry stands for. */
  readonly size: number;
  /** Level of the entry. */
  readonly level: number;
  /**
   * ENTRY_LEAF: memory (with E_PROTNONE or E_INVALID not for the hardware); ENTRY_NONPRESENT; ENTRY_RESERVED: present,
   * but the hardware refuses it; MAPPING_LOOP; MAPPING_UNKNOWN.
   */
  readonly kind: number;
  /** First frame, whether in memory or not; of loops and unknown tables the table's. 0 for the other kinds. */
  readonly pfn: number;
  /** E_*: rights as all levels together give them, the leaf's other flags as hardware and Linux see them. */
  readonly flags: number;
  /** Of ENTRY_NONPRESENT: swap type. Otherwise 0. */
  readonly type: number;
  /** Of ENTRY_NONPRESENT: swap offset. Otherwise 0. */
  readonly offset: number;

  constructor(start: bigint, size: number, level: number, kind: number, flags: number, entry: Decoded) {
    this.start = start;
    this.size = size;
    this.level = level;
    this.kind = kind;
    this.pfn = entry.pfn;
    this.flags = flags;
    this.type = entry.type;
    this.offset = entry.offset;
  }
}

const RIGHTS = E_RIGHTS | E_KERNEL_EXEC;

/** A table that is being listed. */
interface Open {
  readonly pfn: number;
  /** Its words, copied: memory may keep only so many pages. */
  readonly words: Int32Array;
  /** Address of its first entry, without the sign; a multiple of the page, so exact up to 2^64. */
  readonly base: number;
  /** What the levels above give. */
  readonly rights: number;
  /** Word of the next entry. */
  next: number;
}

/**
 * The mappings of the root table at physical address `root`, which need not begin a page. Entries of zero are left out.
 * `InvariantError('ROOT_OUTSIDE_MEMORY')` when there is no table; `RangeError` for a root of more than 64 bits or not
 * aligned to its size.
 */
export function* listMappings(format: ListedFormat, memory: TableMemory, root: bigint): Generator<Mapping, void> {
  const { pageShift, lowAt, highAt, indexBits, rootBits, spans } = format;
  const rootSize = 8 << rootBits;
  if (typeof root !== 'bigint' || root !== BigInt.asUintN(64, root) || root % BigInt(rootSize) !== 0n) {
    throw new RangeError(`root: expected a bigint of 64 bits, a multiple of ${rootSize}, got ${String(root)}`);
  }
  const top = format.levels - 1;
  const rootPfn = Number(root >> BigInt(pageShift));
  const rootAt = Number(BigInt.asUintN(pageShift, root)) >> 2;
  const first = copyTable(memory, rootPfn, rootAt, 2 << rootBits);
  if (first === null) {
    throw new InvariantError('ROOT_OUTSIDE_MEMORY', `no table at 0x${root.toString(16)}: it is not in memory`);
  }
  const signFrom = signedFrom(format);
  const path: Open[] = [{ pfn: rootAt === 0 ? rootPfn : -1, words: first, base: 0, rights: RIGHTS, next: 0 }];
  const seen = createDecoded();
  const kept = createDecoded();
  for (let table = path[0]; table !== undefined; table = path.at(-1)) {
    const { words, base, rights, next } = table;
    if (next >= words.length) {
      path.pop();
      continue;
    }
    table.next += 2;
    const lo = words[next + lowAt]!;
    const hi = words[next + highAt]!;
    if ((lo | hi) === 0) continue;
    const level = top + 1 - path.length;
    const span = spans[level]!;
    const at = base + (next >> 1) * span;
    const start = BigInt(at) + (at >= signFrom ? signBits(format) : 0n);
    format.hardware(lo, hi, level, seen);
    if (seen.kind === ENTRY_TABLE) {
      const { pfn, flags } = seen;
      const loop = path.some((open) => open.pfn === pfn);
      const child = loop ? null : copyTable(memory, pfn, 0, 2 << indexBits);
      if (child !== null) path.push({ pfn, words: child, base: at, rights: rights & flags, next: 0 });
      else yield new Mapping(start, span, level, loop ? MAPPING_LOOP : MAPPING_UNKNOWN, rights & flags, seen);
    } else if (seen.kind === ENTRY_RESERVED) {
      yield new Mapping(start, span, level, ENTRY_RESERVED, 0, seen);
    } else {
      format.decode(lo, hi, level, kept);
      const kind = kept.kind === ENTRY_NONPRESENT ? ENTRY_NONPRESENT : ENTRY_LEAF;
      if (kept.kind === ENTRY_NONE || kept.kind === ENTRY_TABLE) continue;
      yield new Mapping(start, span, level, kind, flagsOf(seen, kept, rights), kept);
    }
  }
}

/** The rights of all levels, the hardware's word on them where it has one, and the other flags of both. */
function flagsOf(seen: Decoded, kept: Decoded, rights: number): number {
  if (kept.kind === ENTRY_NONPRESENT) return kept.flags;
  if (seen.kind !== ENTRY_LEAF) return kept.flags & (rights | ~RIGHTS);
  return (seen.flags & rights & RIGHTS) | ((seen.flags | kept.flags) & ~RIGHTS);
}

function copyTable(memory: TableMemory, pfn: number, at: number, length: number): Int32Array | null {
  const words = memory.words(pfn);
  if (words === null) return null;
  const from = memory.wordIndex(pfn) + at;
  return words.slice(from, from + length);
}

/** Bits of an address that the tables translate. */
function addressBits({ pageShift, levels, indexBits, rootBits }: Mmu): number {
  return pageShift + (levels - 1) * indexBits + rootBits;
}

/** The first address, without the sign, that belongs to the half which begins with ones. */
function signedFrom(mmu: Mmu): number {
  if (!mmu.highHalf) return Infinity;
  return mmu.lowHalf ? 2 ** (addressBits(mmu) - 1) : 0;
}

/** The ones before the translated bits. */
function signBits(mmu: Mmu): bigint {
  return (1n << 64n) - (1n << BigInt(addressBits(mmu)));
}
