/**
 * One side of the stress test: a thread that changes an entry of a shared machine without end, or one that reads it
 * and looks for words that were never written together. It loads the package with some of its text replaced, so that
 * the same two sides run on the package as it is and on a naive one.
 *
 * No low word comes twice while a reader may still hold it (the lock and the TLB flush see to that in Linux), so the
 * high word that belongs to it can be computed.
 */
import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { workerData } from 'node:worker_threads';
import type { Entry, Tables } from '@mmkit/pgtable';

/** `statements`, which stand together in the file whose path ends in `file`, become `text`. */
export interface Replacement {
  readonly file: string;
  readonly statements: readonly string[];
  readonly text: string;
}

/** Words of `control`. */
export const STOP = 0;
export const TORN = 1;
export const READS = 2;
export const CHANGES = 3;

export interface Side {
  readonly role: 'write' | 'read';
  readonly what: 'entry' | 'range';
  readonly replacements: readonly Replacement[];
  readonly control: Int32Array;
  /** The machine's RAM. */
  readonly chunks: readonly Int32Array[];
  readonly frames: number;
  readonly root: number;
  readonly table: number;
}

/** The entry under test, of the leaf table for address 0; its neighbour 0 keeps the table alive. */
export const INDEX = 1;
const BATCH = 1000;

/** The high word that belongs to a low one. */
function highOf(what: Side['what'], lo: number): number {
  if (what === 'entry') return Math.imul(lo, 0x9e37_79b1);
  return frameHigh(lo >>> 12) | ((lo & 2) << 30);
}

/** Bits 28:20 of the PFN whose bits 19:0 are `low`. */
function frameHigh(low: number): number {
  return (Math.imul(low, 0x9e37_79b1) >>> 9) & 0x1ff;
}

async function run(side: Side): Promise<void> {
  const missing = new Set(side.replacements);
  registerHooks({
    load(url, context, next) {
      const here = side.replacements.filter(({ file }) => url.endsWith(file));
      if (here.length === 0) return next(url, context);
      let source = readFileSync(new URL(url), 'utf8');
      for (const replacement of here) {
        const escaped = replacement.statements.map((line) => line.replaceAll(/[^\w\s]/g, '\\$&'));
        const found = new RegExp(escaped.join('\\s+')).exec(source);
        if (found === null) throw new Error(`${url}: not found: ${replacement.statements[0]}`);
        source = source.replace(found[0], () => replacement.text);
        missing.delete(replacement);
      }
      return { format: 'module-typescript', source, shortCircuit: true };
    },
  });
  const pt = await import('@mmkit/pgtable');
  const { createPhys } = await import('@mmkit/phys');
  if (missing.size > 0) throw new Error('a replacement was not made');
  const phys = createPhys({ frames: side.frames, shared: true });
  phys.chunks.push(...side.chunks);
  const tables = pt.createTables(phys, pt.x86_64);
  if (side.role === 'read') read(pt, tables, side);
  else if (side.what === 'entry') writeEntries(pt, tables, side);
  else writeRanges(pt, tables, side);
}

type Package = typeof import('@mmkit/pgtable');

function read(pt: Package, tables: Tables, { what, table, control }: Side): void {
  const entry: Entry = pt.createEntry();
  let last = 0;
  while (Atomics.load(control, STOP) === 0) {
    let torn = 0;
    let changes = 0;
    for (let n = 0; n < BATCH; n++) {
      pt.readEntry(tables, table, INDEX, entry);
      const { lo, hi } = entry;
      if (lo !== last) changes++;
      last = lo;
      // A low word of 0 is none, or an entry being changed.
      if (lo !== 0 && hi !== highOf(what, lo)) torn++;
    }
    Atomics.add(control, READS, BATCH);
    Atomics.add(control, TORN, torn);
    Atomics.add(control, CHANGES, changes);
  }
}

function writeEntries(pt: Package, tables: Tables, { table, control }: Side): void {
  const entry = pt.createEntry();
  const old = pt.createEntry();
  for (let n = 1; Atomics.load(control, STOP) === 0; ) {
    for (const end = n + BATCH; n < end; n++) {
      entry.lo = (n << 1) | 1;
      entry.hi = highOf('entry', entry.lo);
      pt.writeEntry(tables, table, INDEX, entry);
      if (n % 4 !== 0) continue;
      pt.clearEntry(tables, table, INDEX, old);
      if (old.lo !== entry.lo || old.hi !== entry.hi) throw new Error('get-and-clear lost the entry');
    }
  }
}

function writeRanges(pt: Package, tables: Tables, { root, control }: Side): void {
  const { E_EXEC, E_USER, E_WRITE } = pt;
  const start = INDEX * 4096;
  for (let n = 0; Atomics.load(control, STOP) === 0; ) {
    for (const end = n + BATCH; n < end; n++) {
      const low = n & 0xf_ffff;
      pt.mapRange(tables, root, start, start + 4096, low | (frameHigh(low) << 20), E_USER | E_WRITE);
      pt.protectRange(tables, root, start, start + 4096, E_EXEC, E_WRITE);
      pt.unmapRange(tables, root, start, start + 4096);
    }
  }
}

if (workerData !== null) await run(workerData);
