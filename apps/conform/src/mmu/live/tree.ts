/**
 * Random images and probes: a few paths from the root to leaves of every size, with random rights and sometimes an entry
 * no machine should take; tables in the arena, leaves in the islands mostly; probes inside the leaves, on their edges, and
 * where nothing is. The bits are the architecture's (x86_64.ts, aarch64.ts).
 *
 * The tree is kept beside its bits: it says where a probe leads if it goes through at all, so that nothing is executed or
 * written outside the islands, where the guest itself or a device could be hit.
 */
import { ARENA, ARENA_END, RAM_SIZE } from '../format.ts';
import type { Hex, Probe, ProbeFlags } from '../format.ts';
import { hexText } from '../image.ts';
import type { Random } from './random.ts';

/** Islands from the start of RAM: start, end. */
const ISLANDS: readonly (readonly [bigint, bigint])[] = [
  [0x400_0000n, 0x600_0000n],
  [0x4400_0000n, 0x4500_0000n],
];
/** Past it, from the start of RAM, nothing is at the addresses `Machine.beyond` makes. */
const DEVICES_END = 0x1_0000_0000n;
const ALL = 'rwx';
/** Bytes of a slot of an island, which an executed instruction fills. */
const SLOT = 16n;

/** A level of a machine's tables, the root first. */
export interface Level {
  /** An entry maps 2^shift bytes. */
  readonly shift: number;
  /** A table has 2^bits entries. */
  readonly bits: number;
  /** May an entry here be a leaf? */
  readonly leaf: boolean;
}

/** What the generator of an architecture says of a machine in one mode. */
export interface Machine {
  readonly ramBase: bigint;
  readonly levels: readonly Level[];
  /** Log2 of a table's size, the root's apart. */
  readonly tableShift: number;
  /** Log2 of the alignment of the root table. */
  readonly rootShift: number;
  /** Bits of the root register beside the address. */
  readonly rootFlags: bigint;
  /** Root entries below it are probed. */
  readonly rootEnd: number;
  /** Bits a physical address may have set above RAM where nothing is. */
  readonly beyond: readonly number[];
  /** Is an execution beyond RAM a plain fault? */
  readonly executesBeyond: boolean;
  /** A table entry that leads to a table at `address`. */
  table(address: bigint, level: number): bigint;
  /** A leaf. */
  leaf(address: bigint, level: number): bigint;
  /** An entry that leads nowhere. */
  hole(level: number): bigint;
  /** The whole address for one as the levels cover it: its upper bits, a tag, or an address the machine must refuse. */
  address(va: bigint, execute: boolean): bigint;
  /** Flags of a probe by the supervisor. */
  readonly flags: ProbeFlags;
}

interface Table {
  readonly address: bigint;
  readonly level: number;
  /** By index. */
  readonly entries: Map<number, Table | Leaf>;
}

/** A leaf, or a hole: then `span` is 0. */
interface Leaf {
  /** Physical address it leads to. */
  readonly base: bigint;
  /** Bytes. */
  readonly span: bigint;
}

export class Tree {
  readonly random: Random;
  readonly machine: Machine;
  readonly root: Table;
  /** Every table, by level. */
  readonly tables: Table[][];
  /** The image. */
  readonly words: Map<bigint, bigint>;
  /** Starts of the blocks of the arena that are taken, in units of tables. */
  readonly taken: Set<bigint>;

  constructor(random: Random, machine: Machine) {
    this.random = random;
    this.machine = machine;
    this.tables = machine.levels.map(() => []);
    this.words = new Map();
    this.taken = new Set();
    const unit = this.allocate();
    const places = 1 << (machine.tableShift - machine.rootShift);
    this.root = this.addTable(unit + (BigInt(random.below(places)) << BigInt(machine.rootShift)), 0);
  }

  /** The image as a case has it, by ascending address. */
  mem(): Record<Hex, Hex> {
    const sorted = [...this.words].sort(([a], [b]) => (a < b ? -1 : 1));
    return Object.fromEntries(sorted.map(([address, value]) => [hexText(address), hexText(value)]));
  }

  /** Adds a path as far as it is not there yet. */
  addPath(): void {
    const { random, machine } = this;
    let table = this.root;
    for (;;) {
      const index = this.newIndex(table);
      const found = table.entries.get(index);
      if (found !== undefined && 'entries' in found) {
        table = found;
        continue;
      }
      if (found !== undefined) return;
      const { level } = table;
      const last = level === machine.levels.length - 1;
      if (random.chance(5)) this.addHole(table, index);
      else if (last) return this.addLeaves(table, index);
      else if (machine.levels[level]!.leaf && random.chance(30)) this.addLeaf(table, index);
      else {
        const shared = this.tables[level + 1]!;
        const next =
          shared.length > 0 && random.chance(8) ? random.pick(shared) : this.addTable(this.allocate(), level + 1);
        this.set(table, index, next, machine.table(next.address, level));
        table = next;
        continue;
      }
      return;
    }
  }

  /** A probe that does no harm. */
  probe(): Probe {
    const { random, machine } = this;
    let va = this.target();
    let allowed = this.allowed(va);
    while (allowed === '') allowed = this.allowed((va = this.target()));
    const access = random.pick([...allowed]) as Probe[1];
    const whole = hexText(machine.address(access === 'x' ? va & -SLOT : va, access === 'x'));
    if (random.chance(50)) return [whole, access, 'u'];
    return random.chance(60) ? [whole, access, 's'] : [whole, access, 's', machine.flags];
  }

  /** A table's index: often one that is used, or beside one. */
  newIndex(table: Table): number {
    const { random, machine } = this;
    const end = table === this.root ? machine.rootEnd : 1 << machine.levels[table.level]!.bits;
    const used = [...table.entries.keys()];
    if (used.length > 0 && random.chance(60)) {
      const near = random.pick(used) + random.pick([0, 0, 0, 1, -1]);
      if (near >= 0 && near < end) return near;
    }
    return random.below(end);
  }

  /** A run of leaves in a last table. */
  addLeaves(table: Table, index: number): void {
    const end = table === this.root ? this.machine.rootEnd : 1 << this.machine.levels[table.level]!.bits;
    const stop = Math.min(end, index + this.random.between(1, 4));
    for (let i = index; i < stop; i++) if (!table.entries.has(i)) this.addLeaf(table, i);
  }

  addLeaf(table: Table, index: number): void {
    const { random, machine } = this;
    const span = 1n << BigInt(machine.levels[table.level]!.shift);
    const [start, end] = random.pick(ISLANDS);
    const target = machine.ramBase + start + BigInt(random.below(Number(end - start)));
    const beyond = random.chance(6) ? 1n << BigInt(random.pick(machine.beyond)) : 0n;
    const base = (target | beyond) & -span;
    this.set(table, index, { base, span }, machine.leaf(base, table.level));
  }

  addHole(table: Table, index: number): void {
    this.set(table, index, { base: 0n, span: 0n }, this.machine.hole(table.level));
  }

  addTable(address: bigint, level: number): Table {
    const table: Table = { address, level, entries: new Map() };
    this.tables[level]!.push(table);
    return table;
  }

  set(table: Table, index: number, entry: Table | Leaf, word: bigint): void {
    table.entries.set(index, entry);
    this.words.set(table.address + BigInt(index * 8), word);
  }

  /** A free block of the arena, of the size of a table. */
  allocate(): bigint {
    const { random, machine } = this;
    const size = 1n << BigInt(machine.tableShift);
    const blocks = Number((ARENA_END - ARENA) / size);
    for (;;) {
      const address = machine.ramBase + ARENA + BigInt(random.below(blocks)) * size;
      if (this.taken.has(address)) continue;
      this.taken.add(address);
      return address;
    }
  }

  /** An address as the levels cover it: in a leaf, at an edge, or anywhere. */
  target(): bigint {
    const { random, machine } = this;
    let table = this.root;
    let va = 0n;
    for (;;) {
      const { shift, bits } = machine.levels[table.level]!;
      const used = [...table.entries.keys()];
      const any = used.length === 0 || random.chance(3);
      const end = table === this.root ? machine.rootEnd : 1 << bits;
      const index = any ? random.below(end) : random.pick(used);
      va |= BigInt(index) << BigInt(shift);
      const entry = table.entries.get(index);
      if (entry === undefined) return va | random.bits(shift);
      if ('entries' in entry) table = entry;
      else return this.inside(va, entry, shift);
    }
  }

  inside(va: bigint, { base, span }: Leaf, shift: number): bigint {
    const { random, machine } = this;
    const size = 1n << BigInt(shift);
    if (random.chance(8)) {
      // An edge of the entry; the byte before it or after it is another's.
      const edge = va + random.pick([0n, size - 1n, size, -1n]);
      const end = BigInt(machine.rootEnd) << BigInt(machine.levels[0]!.shift);
      return edge < 0n || edge >= end ? va : edge;
    }
    // Bytes of the leaf that are in an island, if there are any.
    const parts = ISLANDS.map(([start, end]) => [
      max(machine.ramBase + start - base, 0n),
      min(machine.ramBase + end - base, span),
    ]).filter(([from, to]) => from! < to!);
    if (parts.length === 0) return va | random.bits(shift);
    const [from, to] = random.pick(parts) as [bigint, bigint];
    return va + from + (random.bits(64) % (to - from));
  }

  /** The accesses that do no harm at `va`, wherever it leads; none where a device may be. */
  allowed(va: bigint): string {
    const { machine } = this;
    let table = this.root;
    for (;;) {
      const { shift, bits } = machine.levels[table.level]!;
      const index = Number((va >> BigInt(shift)) & ((1n << BigInt(bits)) - 1n));
      const entry = table.entries.get(index);
      if (entry === undefined) return ALL;
      if ('entries' in entry) {
        table = entry;
        continue;
      }
      if (entry.span === 0n) return ALL;
      const offset = entry.base + (va & (entry.span - 1n)) - machine.ramBase;
      if (ISLANDS.some(([start, end]) => offset >= start && offset < end)) return ALL;
      if (offset < RAM_SIZE) return offset < 0n ? '' : 'r';
      if (offset < DEVICES_END) return '';
      return machine.executesBeyond ? ALL : 'rw';
    }
  }
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

function min(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}
