/**
 * Random riscv64 page-table images and probes for the recorder. The tables lie in the arena; leaves point into the islands,
 * now and then into empty RAM or outside RAM, never into the arena, so that no probe changes a table by writing data.
 * What QEMU 7.2 cannot witness is left out: see FORMAT-riscv64.md beside the data.
 */
import type { Case, Hex, Probe, Riscv64Mode } from '../src/mmu/format.ts';

const ARENA = 0x8200_0000n;
const ARENA_PAGES = 4096;
/** First byte and number of pages of the islands. */
const ISLANDS = [
  { start: 0x8400_0000n, pages: 8192 },
  { start: 0xc400_0000n, pages: 4096 },
];
/** RAM that holds zeros. */
const EMPTY = 0xa000_0000n;
const EMPTY_PAGES = 4096;

const V = 0x1n;
const R = 0x2n;
const W = 0x4n;
const X = 0x8n;
const U = 0x10n;
const G = 0x20n;
const A = 0x40n;
const D = 0x80n;
const PBMT_SHIFT = 61n;
const RSW_SHIFT = 8n;
const RESERVED_SHIFT = 54n;

/** R, W and X of leaves, each as often as it stands here. */
const RIGHTS = [R, R, R, R | W, R | W, R | W, R | W, R | X, R | X, R | W | X, R | W | X, X, X, W, W | X]
  // W without R is refused whatever else is there: it should be rare.
  .flatMap((rights) => ((rights & R) !== 0n || rights === X ? [rights, rights] : [rights]));

/** Numbers to choose by. */
interface Dice {
  /** An integer from 0 to `limit - 1`. */
  below(limit: number): number;
  /** True once in `n`. */
  once(n: number): boolean;
  pick<T>(list: readonly T[]): T;
}

/** mulberry32. */
function createDice(seed: number): Dice {
  let state = seed >>> 0;
  const below = (limit: number): number => {
    state = (state + 0x6d2b_79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * limit);
  };
  return { below, once: (n) => below(n) === 0, pick: (list) => list[below(list.length)]! };
}

interface Mapping {
  /** An address that reaches the start of a page of an island, if the entries allow it. */
  readonly va: bigint;
  /** The leaf. */
  readonly entry: bigint;
}

/** An image being made. */
interface Image {
  readonly dice: Dice;
  readonly mode: Riscv64Mode;
  /** Values by address. */
  readonly mem: Map<bigint, bigint>;
  /** By the address of a table entry: the table it points to. */
  readonly children: Map<bigint, bigint>;
  readonly tables: bigint[];
  readonly mappings: Mapping[];
}

function shiftOf(level: number): bigint {
  return BigInt(12 + 9 * level);
}

function hex(value: bigint): Hex {
  return `0x${value.toString(16)}`;
}

/** A random value of `bits` bits. */
function word(dice: Dice, bits: number): bigint {
  return BigInt.asUintN(bits, (BigInt(dice.below(2 ** 32)) << 32n) | BigInt(dice.below(2 ** 32)));
}

/** The same address with bits 63 up to the format's last one equal to it. */
function canonical(mode: Riscv64Mode, va: bigint): bigint {
  return BigInt.asUintN(64, BigInt.asIntN(12 + 9 * mode.levels, va));
}

function allocTable({ dice, tables }: Image): bigint {
  for (;;) {
    const table = ARENA + BigInt(dice.below(ARENA_PAGES)) * 4096n;
    if (tables.includes(table)) continue;
    tables.push(table);
    return table;
  }
}

/** A physical address no RAM answers at: below RAM, just above it, or anywhere in 56 bits. */
function outsideRam(dice: Dice): bigint {
  const kind = dice.below(3);
  if (kind === 0) return BigInt(dice.below(0x8_0000)) << 12n;
  if (kind === 1) return (0x10_0000n + BigInt(dice.below(0x10_0000))) << 12n;
  return ((word(dice, 44) | (1n << 32n)) << 12n) & ((1n << 56n) - 1n);
}

/** One of the bits that no extension gives a meaning; none with PBMTE, where QEMU looks at none of them. */
function reservedBit({ dice, mode }: Image): bigint {
  return mode.pbmte ? 0n : 1n << (RESERVED_SHIFT + BigInt(dice.below(10)));
}

function tableEntry(image: Image, child: bigint): bigint {
  const { dice } = image;
  let entry = ((child >> 12n) << 10n) | V | (BigInt(dice.below(4)) << RSW_SHIFT) | (dice.once(6) ? G : 0n);
  if (!dice.once(24)) return entry;
  const kind = dice.below(6);
  if (kind === 0) entry &= ~V;
  else if (kind === 1) entry |= dice.pick([A, D, A | D, U, U | A]);
  else if (kind === 2) entry |= reservedBit(image);
  else if (kind === 3) entry |= BigInt(1 + dice.below(2)) << PBMT_SHIFT;
  else if (kind === 4) entry = (entry & 0x3ffn) | ((outsideRam(dice) >> 12n) << 10n);
  else entry = (entry & 0x3ffn) | ((dice.pick(image.tables) >> 12n) << 10n);
  return entry;
}

function leafEntry(image: Image, level: number, base: bigint): bigint {
  const { dice, mode } = image;
  let pa = base;
  let entry = (dice.once(14) ? 0n : V) | (level === 0 && dice.once(20) ? 0n : dice.pick(RIGHTS));
  if (dice.once(2)) entry |= U;
  if (dice.once(5)) entry |= G;
  if (dice.once(2)) entry |= A;
  if (dice.once(2)) entry |= D;
  entry |= BigInt(dice.below(4)) << RSW_SHIFT;
  if (mode.pbmte) entry |= BigInt(dice.below(3)) << PBMT_SHIFT;
  if (dice.once(6)) {
    const kind = dice.below(4);
    if (kind === 0) entry |= reservedBit(image);
    else if (kind === 1 && level > 0) pa |= 1n << BigInt(12 + dice.below(9 * level));
    else if (kind === 2) pa = (outsideRam(dice) >> shiftOf(level)) << shiftOf(level);
    else if (level === 0) pa = EMPTY + BigInt(dice.below(EMPTY_PAGES)) * 4096n;
  }
  return ((pa >> 12n) << 10n) | entry;
}

/** Adds a leaf and the tables above it; nothing where another leaf is in the way. */
function addMapping(image: Image): void {
  const { dice, mode, mem, children, mappings } = image;
  const bits = 12 + 9 * mode.levels;
  const level = dice.pick([0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, mode.levels - 2, mode.levels - 1]);
  // Neighbours of older mappings share tables with them.
  let va = word(dice, bits);
  if (mappings.length > 0 && !dice.once(3)) {
    const shared = shiftOf(1 + dice.below(mode.levels - 1));
    va = (dice.pick(mappings).va & (~0n << shared)) | (va & ((1n << shared) - 1n));
  }
  let table = image.tables[0]!;
  for (let at = mode.levels - 1; ; at--) {
    const address = table + ((va >> shiftOf(at)) & 511n) * 8n;
    if (at === level) {
      if (mem.has(address)) return;
      const island = dice.pick(ISLANDS);
      const target = island.start + BigInt(dice.below(island.pages)) * 4096n;
      const base = (target >> shiftOf(level)) << shiftOf(level);
      const entry = leafEntry(image, level, base);
      mem.set(address, entry);
      va = BigInt.asUintN(bits, ((va >> shiftOf(level)) << shiftOf(level)) + (target - base));
      mappings.push({ va, entry });
      return;
    }
    const next = children.get(address);
    if (next !== undefined) table = next;
    else if (mem.has(address)) return;
    else {
      const child = allocTable(image);
      children.set(address, child);
      mem.set(address, tableEntry(image, child));
      table = child;
    }
  }
}

function makeProbe({ dice, mode, mappings }: Image): Probe {
  const bits = 12 + 9 * mode.levels;
  const access = dice.pick(['r', 'r', 'w', 'w', 'x'] as const);
  const mapping = dice.pick(mappings);
  const who = dice.once(4) ? dice.pick(['u', 's'] as const) : (mapping.entry & U) !== 0n ? 'u' : 's';
  let va = mapping.va | BigInt(dice.below(4096));
  const kind = dice.below(16);
  if (kind === 0) va ^= 1n << BigInt(12 + dice.below(bits - 12));
  if (kind === 1) va = word(dice, bits);
  va = canonical(mode, va);
  if (kind === 2) va ^= 1n << BigInt(bits - 1 + dice.below(65 - bits));
  if (kind === 3)
    va = dice.once(2) ? va ^ (BigInt(1 + dice.below(255)) << 56n) : BigInt.asUintN(64, va ^ (~0n << BigInt(bits)));
  if (access === 'x') va &= ~15n;
  return [hex(va), access, who];
}

/** Case `index` of `seed`, with `probes` probes and no results. */
export function makeCase(seed: number, index: number, probes: number): Case {
  const dice = createDice(Math.imul(seed, 0x9e37_79b1) ^ Math.imul(index + 1, 0x85eb_ca6b));
  const levels = ([3, 4, 5] as const)[index % 3]!;
  const mode: Riscv64Mode = { levels, sum: dice.once(2), mxr: dice.once(2), adue: true, pbmte: dice.once(4) };
  const image: Image = { dice, mode, mem: new Map(), children: new Map(), tables: [], mappings: [] };
  allocTable(image);
  const count = 6 + dice.below(14);
  for (let i = 0; i < count; i++) addMapping(image);
  const words = [...image.mem].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    id: `riscv64-${seed}-${index}`,
    mode,
    root: hex(index % 50 === 49 ? outsideRam(dice) : image.tables[0]!),
    mem: Object.fromEntries(words.map((pair) => pair.map(hex))),
    probes: Array.from({ length: probes }, () => makeProbe(image)),
    ...(index % 10 === 9 ? { cumulative: true } : {}),
  };
}
