/**
 * Fresh traces like the recorded ones of a profile: each operation is one of theirs, drawn at random, so kinds, lengths and flags
 * have the recorded weights and ranges; who acts, where, and on which slot is drawn anew, mostly where something is.
 */
import type { Random } from '../mmu/live/random.ts';
import type { Recording } from '../records.ts';
import { traceOf } from '../replay.ts';
import type { Op } from '../trace/ops.ts';
import { PINS, PROCESSES } from '../world/world.ts';

/** What traces of one profile are made of. */
export interface Pool {
  readonly profile: string;
  /** Pages of the arena. */
  readonly pages: number;
  /** First lines, one a recorded trace: the header up to the seed and what follows it, and the files. */
  readonly heads: readonly { readonly before: string; readonly after: string }[];
  /** Operations of each recorded trace. */
  readonly lengths: readonly number[];
  readonly ops: readonly Op[];
}

/** Pages that are mapped, as far as we know. */
interface Area {
  readonly at: number;
  readonly n: number;
}

/** What the trace so far has made, as far as that can be told without running it. */
interface World {
  readonly pages: number;
  /** By process; null: not alive. */
  readonly areas: (readonly Area[] | null)[];
  /** Bytes of each pinned buffer; 0: none. */
  readonly pins: number[];
}

type Fields = Map<string, string>;

/** Chances in 100: that an operation goes where something is mapped, that a mapping touches one, that a slot fits. */
const MAPPED = 85;
const ADJACENT = 50;
const FITTING = 85;
/** Areas of a process that are remembered. */
const AREAS = 12;

/** The pool of the recordings of one profile; at least one. */
export function poolOf(recordings: readonly Recording[]): Pool {
  const traces = recordings.map(traceOf);
  const heads = recordings.map(({ trace }) => {
    const lines = trace.split('\n').filter((line) => /^(trace|file) /.test(line));
    const [, before, after] = /^(.* seed=)\d+(.*)$/s.exec(lines.join('\n'))!;
    return { before: before!, after: after! };
  });
  const { profile, pages } = traces[0]!;
  return { profile, pages, heads, lengths: traces.map(({ ops }) => ops.length), ops: traces.flatMap(({ ops }) => ops) };
}

/** A trace of `seed`; `random` makes the choices. */
export function generateTrace(pool: Pool, seed: number, random: Random): string {
  const { before, after } = random.pick(pool.heads);
  const count = random.pick(pool.lengths);
  const world: World = {
    pages: pool.pages,
    areas: Array.from({ length: PROCESSES }, (_, p) => (p === 0 ? [] : null)),
    pins: new Array<number>(PINS).fill(0),
  };
  const lines = [`${before}${seed}${after}`];
  while (lines.length <= count) {
    const op = random.pick(pool.ops);
    const fields = fieldsOf(op);
    if (!place(world, op, fields, random)) continue;
    lines.push([op.name, ...Array.from(fields, ([key, value]) => `${key}=${value}`)].join(' '));
  }
  return `${lines.join('\n')}\n`;
}

function fieldsOf(op: Op): Fields {
  const pairs = op.text.split(' ').slice(1);
  return new Map(pairs.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]));
}

/** Fits an operation into the world, and notes what it does there. False: it has no place here. */
function place(world: World, op: Op, fields: Fields, random: Random): boolean {
  const alive = world.areas.flatMap((areas, p) => (areas === null ? [] : [p]));
  const p = alive.includes(op.p) ? op.p : random.pick(alive);
  if (fields.has('p')) fields.set('p', String(p));
  const areas = world.areas[p]!;
  switch (op.name) {
    case 'fork': {
      const free = world.areas.flatMap((one, c) => (one === null ? [c] : []));
      if (free.length === 0) return false;
      const child = random.pick(free);
      fields.set('c', String(child));
      world.areas[child] = areas;
      return true;
    }
    case 'exit':
      // The first process stays: without it little can happen.
      if (p === 0) return false;
      world.areas[p] = null;
      return true;
    case 'pin':
      placePin(world, op, fields, random);
      break;
    case 'unpin':
    case 'dmaw':
    case 'dmar':
      placeDevice(world, op, fields, random);
      return true;
  }
  if (op.at === null) return true;
  // Where nothing is mapped yet there is nothing else to do.
  if (areas.length === 0 && op.name !== 'mmap' && random.chance(MAPPED)) return false;
  const at = op.name === 'mmap' ? placeMap(world, op, areas, random) : placeAccess(world, op, areas, random);
  fields.set('at', String(at));
  if (op.name === 'mmap') world.areas[p] = remember(areas, { at, n: op.n });
  if (op.name === 'munmap') world.areas[p] = without(areas, at, op.n);
  if (op.name === 'mremap' && op.words.includes('fixed')) {
    const to = random.chance(ADJACENT) ? beside(world, op.new, areas, random) : op.to;
    fields.set('to', String(to));
    world.areas[p] = remember(without(areas, at, op.words.includes('dontunmap') ? 0 : op.old), { at: to, n: op.new });
  }
  return true;
}

function placeMap(world: World, op: Op, areas: readonly Area[], random: Random): number {
  return random.chance(ADJACENT) ? beside(world, op.n, areas, random) : op.at!;
}

/** Where `n` pages touch or overlap a mapped area; anywhere when nothing is mapped. */
function beside(world: World, n: number, areas: readonly Area[], random: Random): number {
  if (areas.length === 0) return inside(world, random.below(world.pages), n);
  const area = random.pick(areas);
  return inside(world, random.pick([area.at - n, area.at + area.n, area.at + random.below(area.n + 1)]), n);
}

function placeAccess(world: World, op: Op, areas: readonly Area[], random: Random): number {
  if (areas.length === 0 || !random.chance(MAPPED)) return op.at!;
  const area = random.pick(areas);
  const around = random.chance(MAPPED) ? random.below(area.n) : random.between(-3, area.n);
  const first = area.at + (random.chance(ADJACENT) ? 0 : around);
  return inside(world, first, Math.max(op.n, op.old, Math.ceil((op.o + op.len) / 4096)));
}

/** The nearest to `at` that leaves room for `n` pages. */
function inside(world: World, at: number, n: number): number {
  return Math.max(0, Math.min(at, world.pages - n));
}

/** With the area, which replaces what it covers. */
function remember(areas: readonly Area[], area: Area): readonly Area[] {
  return area.n === 0 ? areas : [...without(areas, area.at, area.n), area].slice(-AREAS);
}

function without(areas: readonly Area[], at: number, n: number): readonly Area[] {
  return areas.flatMap((area) => {
    const below = { at: area.at, n: Math.min(area.n, at - area.at) };
    const start = Math.max(area.at, at + n);
    const above = { at: start, n: area.at + area.n - start };
    return n === 0 ? [area] : [below, above].filter((part) => part.n > 0);
  });
}

function placePin(world: World, op: Op, fields: Fields, random: Random): void {
  const free = world.pins.flatMap((bytes, slot) => (bytes === 0 ? [slot] : []));
  const slot = free.length > 0 && random.chance(FITTING) ? random.pick(free) : op.s;
  fields.set('s', String(slot));
  if (world.pins[slot] === 0) world.pins[slot] = op.len;
}

function placeDevice(world: World, op: Op, fields: Fields, random: Random): void {
  const used = world.pins.flatMap((bytes, slot) => (bytes > 0 ? [slot] : []));
  if (used.length === 0 || !random.chance(FITTING)) return;
  const slot = random.pick(used);
  fields.set('s', String(slot));
  const bytes = world.pins[slot]!;
  if (op.name === 'unpin') {
    world.pins[slot] = 0;
  } else if (op.off + op.len > bytes) {
    const off = random.below(bytes);
    fields.set('off', String(off));
    fields.set('len', String(1 + random.below(bytes - off)));
  }
}
