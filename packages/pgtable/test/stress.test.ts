/**
 * DESIGN, State: on shared memory an entry changes as on x86-PAE. Two threads, one entry: whatever the reader gets must
 * have been written together. Each rule is shown to matter by the same run on the package with that rule taken out.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { createPhys } from '@mmkit/phys';
import { describe, expect, it } from 'vitest';
import { allocRoot, createTables, E_USER, leafTable, mapRange, x86_64 } from '@mmkit/pgtable';
import { CHANGES, READS, type Replacement, type Side, STOP, TORN } from './stress-worker.ts';

const FRAMES = 64;
/** A busy machine takes long; the test ends as soon as it has seen enough. */
const LIMIT_MS = 100_000;
const TIMEOUT = LIMIT_MS + 20_000;

/** Runs both sides until `done`, or for LIMIT_MS; gives what was counted. */
async function run(
  what: Side['what'],
  replacements: readonly Replacement[],
  done: (control: Int32Array) => boolean,
): Promise<{ torn: number; reads: number; changes: number }> {
  const phys = createPhys({ frames: FRAMES, shared: true });
  const tables = createTables(phys, x86_64);
  const root = allocRoot(tables);
  mapRange(tables, root, 0, 4096, 1, E_USER);
  const control = new Int32Array(new SharedArrayBuffer(16));
  const chunks = phys.chunks.map((chunk) => chunk!);
  const side = { what, replacements, control, chunks, frames: FRAMES, root, table: leafTable(tables, root, 0) };
  const start = (role: Side['role']): Worker =>
    new Worker(new URL('stress-worker.ts', import.meta.url), {
      workerData: { ...side, role } satisfies Side,
      execArgv: ['--conditions=@mmkit/source'],
    });
  const workers = [start('write'), start('read')];
  const ends = workers.map((worker) => once(worker, 'exit'));
  let failed: unknown;
  for (const worker of workers) {
    worker.on('error', (error) => {
      failed ??= error;
    });
  }
  const limit = Date.now() + LIMIT_MS;
  while (failed === undefined && !done(control) && Date.now() < limit) {
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
  }
  Atomics.store(control, STOP, 1);
  await Promise.all(ends);
  if (failed !== undefined) throw failed;
  return { torn: control[TORN]!, reads: control[READS]!, changes: control[CHANGES]! };
}

const MANY_READS = 2_000_000;
const MANY_CHANGES = 1000;
const isEnough = (control: Int32Array): boolean => control[READS]! >= MANY_READS && control[CHANGES]! >= MANY_CHANGES;

/** A place of the package where an entry is read or changed: its statements, and an order that is wrong. */
interface Place {
  naive: string;
  what: Side['what'];
  file: string;
  statements: readonly string[];
  /** Indexes of `statements`; those that are missing are left out. */
  order: readonly number[];
}

const PLACES: readonly Place[] = [
  {
    naive: 'a reader that does not take the low word again',
    what: 'entry',
    file: '/src/tables.ts',
    statements: ['out.lo = words[low]!;', 'out.hi = words[at + highAt]!;', '} while (words[low] !== out.lo);'],
    order: [0, 1],
  },
  {
    naive: 'a write that does not clear the low word first',
    what: 'entry',
    file: '/src/tables.ts',
    statements: ['words[at + lowAt] = 0;', 'words[at + highAt] = entry.hi;', 'words[at + lowAt] = entry.lo;'],
    order: [1, 2],
  },
  {
    naive: 'a get-and-clear that takes the high word first',
    what: 'entry',
    file: '/src/tables.ts',
    statements: [
      'old.lo = words[at + lowAt]!;',
      'words[at + lowAt] = 0;',
      'old.hi = words[at + highAt]!;',
      'words[at + highAt] = 0;',
    ],
    order: [2, 3, 0, 1],
  },
  {
    naive: 'a map that writes the low word first',
    what: 'range',
    file: '/src/map.ts',
    statements: ['words[at ^ 1] = hi;', 'words[at] = lo ^ pfnBits;'],
    order: [1, 0],
  },
  {
    naive: 'an unmap that clears the high word first',
    what: 'range',
    file: '/src/range.ts',
    statements: ['words[low] = 0;', 'words[low ^ 1] = 0;'],
    order: [1, 0],
  },
  {
    naive: 'a protect that does not clear the low word first',
    what: 'range',
    file: '/src/protect.ts',
    statements: ['words[at + lowAt] = 0;', 'words[at + highAt] = hi;', 'words[at + lowAt] = lo;'],
    order: [1, 2],
  },
];

/** Time for the other side to come in between. */
const PAUSE = ' for (let i = 0; i < 20; i++) Atomics.load(words, 0);\n';

/** The statements of a place, in that order, with time between them. */
function slow({ file, statements }: Place, order: readonly number[]): Replacement {
  const lines = order.map((index) => statements[index]!);
  if (statements.some((line) => line.startsWith('}')) && order.length < statements.length)
    lines.push('} while (false);');
  return { file, statements, text: lines.join(PAUSE) };
}

describe('on shared memory, a reader against a writer in another thread', () => {
  it.each(['entry', 'range'] as const)(
    '%s: no torn entry in millions of reads',
    async (what) => {
      const { torn, reads, changes } = await run(what, [], isEnough);
      expect(torn).toBe(0);
      expect(reads).toBeGreaterThanOrEqual(MANY_READS);
      expect(changes).toBeGreaterThanOrEqual(MANY_CHANGES);
    },
    TIMEOUT,
  );

  it.each(['entry', 'range'] as const)(
    '%s: none when every step of a change takes its time',
    async (what) => {
      // A reader that took its time too would never find the entry the same twice: the first place is left alone.
      const changes = PLACES.slice(1).map((place) => slow(place, [...place.statements.keys()]));
      const { torn, reads } = await run(what, changes, isEnough);
      expect(torn).toBe(0);
      expect(reads).toBeGreaterThanOrEqual(MANY_READS);
    },
    TIMEOUT,
  );

  it.each(PLACES)(
    'torn entries with $naive',
    async (place) => {
      const { torn } = await run(place.what, [slow(place, place.order)], (control) => control[TORN]! > 0);
      expect(torn).toBeGreaterThan(0);
    },
    TIMEOUT,
  );
});
