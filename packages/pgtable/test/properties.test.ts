/** The editor against a naive map of pages, for every format, with an allocator that fails now and then. */
import { EINVAL, ENOMEM } from '@mmkit/base';
import { allocPages, createPhys, frameWordIndex, frameWords, freePages, GFP_KERNEL, GFP_ZERO } from '@mmkit/phys';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ACCESS_EXEC,
  ACCESS_READ,
  ACCESS_USER,
  ACCESS_WRITE,
  allocRoot,
  createCursor,
  createDecoded,
  createEntry,
  createTables,
  createTranslation,
  E_DIRTY,
  E_EXEC,
  E_PROTNONE,
  E_RIGHTS,
  E_USER,
  E_WRITE,
  E_YOUNG,
  ENTRY_LEAF,
  type Format,
  freeAllTables,
  hwWalk,
  joinAt,
  mapLargest,
  mapRange,
  nextEntry,
  protectRange,
  readEntry,
  setDecoded,
  splitAt,
  type Tables,
  testAndClear,
  unmapRange,
} from '@mmkit/pgtable';
import { formats } from './formats.ts';
import { codeOf } from './machine.ts';

/** A leaf of the model; every page it maps leads to it. */
interface Leaf {
  page: number;
  level: number;
  pfn: number;
  flags: number;
}

/** A machine whose table pages are counted, and its model. */
interface World {
  format: Format;
  tables: Tables;
  root: number;
  /** Table pages given out and not given back. */
  live: Set<number>;
  /** Calls of the allocator until one fails; -1: none does. */
  failIn: number;
  model: Map<number, Leaf>;
}

function createWorld(format: Format): World {
  const pageSize = 2 ** format.pageShift;
  if (pageSize !== 4096 && pageSize !== 16384 && pageSize !== 65536) throw new Error('page size');
  const phys = createPhys({ frames: 4096, pageSize });
  const live = new Set<number>();
  const tables = createTables(phys, format, {
    allocTable() {
      if (world.failIn >= 0 && world.failIn-- === 0) return -ENOMEM;
      const pfn = allocPages(phys, GFP_KERNEL | GFP_ZERO, 0);
      live.add(pfn);
      return pfn;
    },
    freeTable(pfn) {
      if (!live.delete(pfn)) throw new Error(`frame ${pfn} is no table`);
      freePages(phys, pfn, 0);
    },
  });
  const world: World = { format, tables, root: 0, live, failIn: -1, model: new Map() };
  world.root = allocRoot(tables);
  return world;
}

/** The words of every table, by table. */
function snapshot({ tables, live, format }: World): Map<number, Int32Array> {
  const words = (pfn: number): Int32Array => {
    const at = frameWordIndex(tables.phys, pfn);
    return frameWords(tables.phys, pfn).slice(at, at + 2 ** format.pageShift / 4);
  };
  return new Map([...live].map((pfn) => [pfn, words(pfn)]));
}

/** The tables whose words are not those of the snapshot. */
function changedSince(world: World, before: Map<number, Int32Array>): number[] {
  const now = snapshot(world);
  const same = (pfn: number): boolean =>
    before.get(pfn)?.every((word, index) => word === now.get(pfn)?.[index]) ?? false;
  return [...new Set([...before.keys(), ...now.keys()])].filter((pfn) => !same(pfn));
}

/** Pages of one leaf, by level. */
function leafPages(format: Format): number[] {
  return Array.from(format.spans, (span) => span / format.spans[0]!);
}

/** Highest level, 1 or more, of which a leaf has few enough pages for a naive model. */
function windowLevel(format: Format): number {
  return Math.max(
    leafPages(format).findLastIndex((pages) => pages <= 1024),
    1,
  );
}

/** First page of the pages played with: two leaves of `windowLevel`, on both sides of an edge of every table. */
function firstPage(format: Format): number {
  const pages = leafPages(format);
  const level = windowLevel(format);
  return level === format.levels - 1 ? 0 : pages[format.levels - 1]! - pages[level]!;
}

const KINDS = [
  'map',
  'map',
  'largest',
  'largest',
  'unmap',
  'protect',
  'note',
  'clear',
  'split',
  'join',
  'join',
] as const;

interface Step {
  kind: (typeof KINDS)[number];
  first: number;
  pages: number;
  level: number;
  shift: number;
  rights: number;
  notes: number;
  failIn: number;
}

function stepOf(format: Format): fc.Arbitrary<Step> {
  const top = windowLevel(format);
  const sizes = leafPages(format).slice(0, top + 1);
  const limit = 2 * sizes[top]!;
  const places = [0, ...sizes.slice(1), ...sizes.slice(1).map((size) => limit - size)];
  const place = fc
    .tuple(fc.constantFrom(...places), fc.constantFrom(0, 0, 0, 1, -1))
    .map(([at, off]) => Math.min(Math.max(at + off, 0), limit));
  return fc
    .record({
      kind: fc.constantFrom(...KINDS),
      first: place,
      last: fc.oneof(
        place,
        place,
        place,
        fc.integer({ min: 0, max: 6 }).map((n) => -n),
      ),
      level: fc.integer({ min: 1, max: top }),
      shift: fc.constantFrom(0, 0, 0, 0, 0, 1),
      rights: fc.constantFrom(E_USER, E_USER | E_WRITE, E_USER | E_EXEC, E_RIGHTS, E_WRITE, E_PROTNONE),
      notes: fc.constantFrom(E_YOUNG, E_DIRTY, E_YOUNG | E_DIRTY),
      failIn: fc.constantFrom(-1, -1, -1, -1, -1, -1, -1, -1, 0, 1, 2, 3),
    })
    .map(({ last, ...step }) => {
      const end = last <= 0 ? Math.min(step.first - last, limit) : last;
      return { ...step, first: Math.min(step.first, end), pages: Math.abs(end - step.first) };
    });
}

/** What comes first: nothing, or all of the pages mapped, as leaves of every size or of one page. */
const STARTS: readonly (readonly Step['kind'][])[] = [[], ['largest'], ['map']];

/** A step over all the pages. */
function whole(format: Format): Omit<Step, 'kind'> {
  const top = windowLevel(format);
  const pages = 2 * leafPages(format)[top]!;
  return { first: 0, pages, level: top, shift: 0, rights: E_USER | E_WRITE, notes: E_YOUNG, failIn: -1 };
}

/** True when the format has such a leaf. */
function hasLeaf(format: Format, level: number, flags: number): boolean {
  const d = createDecoded();
  setDecoded(d, ENTRY_LEAF, 0, flags);
  return codeOf(() => format.encode(d, level, createEntry())) === undefined;
}

function leavesIn(world: World, first: number, end: number): Set<Leaf> {
  const found = new Set<Leaf>();
  for (let page = first; page < end; page++) {
    const leaf = world.model.get(page);
    if (leaf !== undefined) found.add(leaf);
  }
  return found;
}

function addLeaf(world: World, leaf: Leaf): void {
  const pages = leafPages(world.format)[leaf.level]!;
  for (let page = leaf.page; page < leaf.page + pages; page++) world.model.set(page, leaf);
}

/** True when a leaf of the model lies across `page`. */
function isCut(world: World, page: number): boolean {
  const leaf = world.model.get(page);
  return leaf !== undefined && leaf.page < page;
}

/** The tables the leaves of the model need, the root included. */
function tablesNeeded({ format, model }: World): number {
  const pages = leafPages(format);
  const needed = new Set<string>();
  for (const { page, level } of new Set(model.values())) {
    for (let l = level; l < format.levels - 1; l++) needed.add(`${l} ${Math.floor(page / pages[l + 1]!)}`);
  }
  return needed.size + 1;
}

/** Runs `call`; when it gives -ENOMEM, -EINVAL or throws, no word of a table may differ and no table come or go. */
function attempt(world: World, call: () => number): unknown {
  const before = snapshot(world);
  let result: unknown;
  const code = codeOf(() => {
    result = call();
  });
  if (code !== undefined) result = code;
  if (result === -ENOMEM || result === -EINVAL || code !== undefined) expect(changedSince(world, before)).toEqual([]);
  return result;
}

function runMap(world: World, step: Step, top: number): void {
  const { format, tables, root } = world;
  const size = format.spans[0]!;
  const sizes = leafPages(format);
  const first = firstPage(format) + step.first;
  const end = first + step.pages;
  const flags = step.rights | step.notes;
  const pfn = (first % (2 * sizes[windowLevel(format)]!)) + step.shift;
  const result = attempt(world, () =>
    (top > 0 ? mapLargest : mapRange)(tables, root, first * size, end * size, pfn, flags),
  );
  if (leavesIn(world, first, end).size > 0) {
    expect(result).toBe('ALREADY_MAPPED');
  } else if (result !== -ENOMEM) {
    expect(result).toBe(0);
    const levels = sizes.map((_, level) => level).filter((level) => level <= top && hasLeaf(format, level, flags));
    for (let page = first; page < end; ) {
      const frame = pfn + page - first;
      const level = levels.findLast(
        (l) => page % sizes[l]! === 0 && frame % sizes[l]! === 0 && page + sizes[l]! <= end,
      )!;
      addLeaf(world, { page, level, pfn: frame, flags });
      page += sizes[level]!;
    }
  } else expect(world.failIn).toBe(-1);
}

/** Unmap, protect, test-and-clear. */
function runRange(world: World, step: Step): void {
  const { format, tables, root, model } = world;
  const size = format.spans[0]!;
  const first = firstPage(format) + step.first;
  const end = first + step.pages;
  const { kind, rights, notes } = step;
  const result = attempt(world, () => {
    if (kind === 'unmap') return unmapRange(tables, root, first * size, end * size);
    if (kind === 'clear') return testAndClear(tables, root, first * size, end * size, notes);
    if (kind === 'note') return protectRange(tables, root, first * size, end * size, notes, 0);
    return protectRange(tables, root, first * size, end * size, rights, E_RIGHTS | E_PROTNONE);
  });
  if (isCut(world, first) || isCut(world, end)) {
    expect(result).toBe('HUGE_LEAF');
    return;
  }
  const leaves = leavesIn(world, first, end);
  let changed = 0;
  for (const leaf of leaves) {
    const before = leaf.flags;
    if (kind === 'clear') leaf.flags &= ~notes;
    else if (kind === 'note') leaf.flags |= notes;
    else if (kind === 'protect') leaf.flags = (leaf.flags & ~(E_RIGHTS | E_PROTNONE)) | rights;
    if (leaf.flags !== before) changed++;
  }
  if (kind !== 'unmap') {
    expect(result).toBe(changed);
  } else {
    expect(result).toBe(leaves.size);
    for (let page = first; page < end; page++) model.delete(page);
  }
}

function runSplit(world: World, step: Step): void {
  const { format, tables, root, model } = world;
  const page = firstPage(format) + step.first;
  const result = attempt(world, () => splitAt(tables, root, page * format.spans[0]!));
  if (!isCut(world, page)) world.failIn = -1;
  if (result === -ENOMEM) {
    expect(world.failIn).toBe(-1);
    return;
  }
  expect(result).toBe(0);
  const sizes = leafPages(format);
  while (isCut(world, page)) {
    const leaf = model.get(page)!;
    const level = leaf.level - 1;
    for (let at = 0; at < sizes[leaf.level]!; at += sizes[level]!) {
      addLeaf(world, { page: leaf.page + at, level, pfn: leaf.pfn + at, flags: leaf.flags });
    }
  }
}

function runJoin(world: World, step: Step): void {
  const { format, tables, root, model } = world;
  const sizes = leafPages(format);
  const { level } = step;
  const pages = sizes[level]!;
  const page = firstPage(format) + step.first - (step.first % pages);
  const result = attempt(world, () => joinAt(tables, root, page * format.spans[0]!, level));
  const parts = [...leavesIn(world, page, page + pages)];
  const { pfn, flags } = parts[0] ?? { pfn: 0, flags: 0 };
  const notes = E_YOUNG | E_DIRTY;
  const agree =
    parts.length === 2 ** format.indexBits &&
    pfn % pages === 0 &&
    hasLeaf(format, level, flags) &&
    parts.every((part, index) => {
      const same = (part.flags & ~notes) === (flags & ~notes) && part.level === level - 1;
      return same && part.pfn === pfn + index * sizes[level - 1]!;
    });
  expect(result).toBe(agree ? 0 : -EINVAL);
  if (!agree) return;
  const all = parts.reduce((sum, part) => sum | part.flags, 0);
  addLeaf(world, { page, level, pfn, flags: all });
  expect(model.get(page)!.level).toBe(level);
}

/** What of a leaf every format keeps, in a line. */
function essence({ page, level, pfn, flags }: Leaf): string {
  const kept = (flags & E_PROTNONE) !== 0 ? E_PROTNONE | E_YOUNG | E_DIRTY : E_RIGHTS | E_YOUNG | E_DIRTY;
  return `page ${page} level ${level} frame ${pfn} flags ${flags & kept}`;
}

/** The tables say what the model says: every leaf, by the cursor; and the hardware reads what the user may read. */
function checkWorld(world: World): void {
  const { format, tables, root, model } = world;
  const size = format.spans[0]!;
  const found: Leaf[] = [];
  const entry = createEntry();
  const d = createDecoded();
  const first = firstPage(format);
  const cursor = createCursor(first * size, (first + 2 * leafPages(format)[windowLevel(format)]!) * size);
  while (nextEntry(tables, root, cursor)) {
    readEntry(tables, cursor.table, cursor.index, entry);
    format.decode(entry.lo, entry.hi, cursor.level, d);
    expect(d.kind).toBe(ENTRY_LEAF);
    found.push({ page: cursor.address / size, level: cursor.level, pfn: d.pfn, flags: d.flags });
  }
  const want = [...new Set(model.values())].toSorted((a, b) => a.page - b.page);
  expect(found.map(essence).join('\n')).toBe(want.map(essence).join('\n'));
  const out = createTranslation();
  for (const leaf of want.slice(0, 64)) {
    const page = leaf.page + leafPages(format)[leaf.level]! - 1;
    for (const access of [ACCESS_READ, ACCESS_WRITE, ACCESS_EXEC]) {
      const allowed = isAllowed(format, leaf.flags, access);
      expect(hwWalk(tables, root, page * size + 8, access | ACCESS_USER, out) === 0).toBe(allowed);
      if (allowed) expect([out.pfn, out.level]).toEqual([leaf.pfn + page - leaf.page, leaf.level]);
    }
  }
}

/** True when user mode may use a leaf with these flags; where the MMU makes no notes, software has to have made them. */
function isAllowed(format: Format, flags: number, access: number): boolean {
  let need = E_USER;
  if (access === ACCESS_WRITE) need |= E_WRITE;
  if (access === ACCESS_EXEC) need |= E_EXEC;
  if (format.accessedLo === 0) need |= E_YOUNG;
  if (access === ACCESS_WRITE && (format.dirtySetLo | format.dirtyClearLo) === 0) need |= E_DIRTY;
  return (flags & (need | E_PROTNONE)) === need;
}

describe('the editor, against a naive map of pages', () => {
  it.each(formats)(
    '$name: map, unmap, protect, split, join, test-and-clear; refused changes nothing; no table too many',
    (format) => {
      fc.assert(
        fc.property(
          fc.constantFrom(...STARTS),
          fc.array(stepOf(format), { maxLength: 20, size: 'max' }),
          (kinds, rest) => {
            const world = createWorld(format);
            const free = world.tables.phys.freeFrames + 1;
            const steps = [...kinds.map((kind) => ({ ...whole(format), kind })), ...rest];
            for (const step of steps) {
              const { kind } = step;
              world.failIn = kind === 'map' || kind === 'largest' || kind === 'split' ? step.failIn : -1;
              if (kind === 'map') runMap(world, step, 0);
              else if (kind === 'largest') runMap(world, step, windowLevel(format));
              else if (kind === 'split') runSplit(world, step);
              else if (kind === 'join') runJoin(world, step);
              else runRange(world, step);
              expect(world.live.size).toBe(tablesNeeded(world));
            }
            checkWorld(world);
            freeAllTables(world.tables, world.root);
            expect(world.live.size).toBe(0);
            expect(world.tables.phys.freeFrames).toBe(free);
          },
        ),
        // A leaf of 64K pages is 8192 of them: fewer runs for those.
        { numRuns: Math.min(100, Math.floor(80_000 / leafPages(format)[windowLevel(format)]!)) },
      );
    },
  );
});
