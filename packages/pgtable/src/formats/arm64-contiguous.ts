/**
 * arm64's contiguous bit: a naturally aligned group of leaves of one level (`Arm64Format.contiguous` entries) that map
 * consecutive frames from an aligned one, with the same attributes, may share one TLB entry. Arm ARM, "The Contiguous
 * bit"; Linux: `contpte_try_fold`, `contpte_try_unfold`, `contpte_ptep_get`; reference N.20.
 *
 * The hardware marks whichever member it read, so the group was used or written when one member was. The bit changes no
 * translation, and the walker does not look at it. Differs from Linux: nothing folds by itself, and which pages may be
 * folded (one folio's) is the caller's question. Page-table lock: the caller's, over the whole call.
 */
import { checkInteger, InvariantError, isAligned } from '@mmkit/base';
import { createDecoded, type Decoded, E_DIRTY, E_INVALID, E_PROTNONE, E_YOUNG, ENTRY_LEAF } from '../flags.ts';
import { clearEntry, readEntry, type Tables, writeEntry } from '../tables.ts';
import type { Arm64Format } from './arm64.ts';
import { CONTIGUOUS } from './arm64-descriptor.ts';

/** What any member may note for the group. */
const NOTES = E_YOUNG | E_DIRTY;

/**
 * Sets the contiguous bit in the group of entry `index` of a table of `level`, all members with the notes (used, dirty) of
 * any. False, with nothing changed, when they are not all valid leaves that agree. Break before make: the members are
 * cleared, then `flush` is called, which has to drop their translations from every TLB, then they are written.
 * `InvariantError('NO_CONTIGUOUS_BIT')` where the format or the level has none.
 */
export function setContiguous(tables: Tables, table: number, level: number, index: number, flush: () => void): boolean {
  return convert(tables, table, level, index, CONTIGUOUS, flush);
}

/** The same to clear the bit, before one member alone is changed. */
export function clearContiguous(
  tables: Tables,
  table: number,
  level: number,
  index: number,
  flush: () => void,
): boolean {
  return convert(tables, table, level, index, 0, flush);
}

/** Reads entry `index` of a table of `level` into `out`; of a contiguous leaf with the notes of the whole group. */
export function readContiguous(tables: Tables, table: number, level: number, index: number, out: Decoded): void {
  const { decoded } = tables;
  checkInteger('index', index, 0, tables.entries - 1);
  readDecoded(tables, table, level, index, out);
  if (out.kind !== ENTRY_LEAF || (out.restHi & CONTIGUOUS) === 0) return;
  const count = groupSize(tables, level);
  const first = index - (index % count);
  for (let i = first; i < first + count; i++) {
    readDecoded(tables, table, level, i, decoded);
    if (decoded.kind === ENTRY_LEAF) out.flags |= decoded.flags & NOTES;
  }
}

/** Entries of a group of `level`, 1 where the bit means nothing. */
function groupSize({ format }: Tables, level: number): number {
  const { contiguous } = format as Partial<Arm64Format>;
  return contiguous?.[level] ?? 1;
}

function readDecoded(tables: Tables, table: number, level: number, index: number, out: Decoded): void {
  const { format, entry } = tables;
  readEntry(tables, table, index, entry);
  format.decode(entry.lo, entry.hi, level, out);
}

function convert(
  tables: Tables,
  table: number,
  level: number,
  index: number,
  hint: number,
  flush: () => void,
): boolean {
  const { format, entry, decoded } = tables;
  checkInteger('index', index, 0, tables.entries - 1);
  const count = groupSize(tables, level);
  if (count === 1) throw new InvariantError('NO_CONTIGUOUS_BIT', `${format.name} has none at level ${level}`);
  const first = index - (index % count);
  const group = createDecoded();
  readPlain(tables, table, level, first, group);
  const pages = format.spans[level]! / format.spans[0]!;
  if (!isValid(group) || !isAligned(group.pfn, count * pages)) return false;
  for (let i = 1; i < count; i++) {
    readPlain(tables, table, level, first + i, decoded);
    if (!isValid(decoded) || decoded.pfn !== group.pfn + i * pages || !agrees(decoded, group)) return false;
  }
  for (let i = first; i < first + count; i++) {
    clearEntry(tables, table, i, entry);
    format.decode(entry.lo, entry.hi, level, decoded);
    group.flags |= decoded.flags & NOTES;
  }
  flush();
  group.restHi |= hint;
  for (let i = first; i < first + count; i++) {
    format.encode(group, level, entry);
    writeEntry(tables, table, i, entry);
    group.pfn += pages;
  }
  return true;
}

/** The entry without notes and without the bit. */
function readPlain(tables: Tables, table: number, level: number, index: number, out: Decoded): void {
  const { format, entry } = tables;
  readDecoded(tables, table, level, index, out);
  if (!isValid(out)) return;
  // Encoded without the notes, so that who made it dirty is forgotten.
  out.flags &= ~NOTES;
  out.restHi &= ~CONTIGUOUS;
  format.encode(out, level, entry);
  format.decode(entry.lo, entry.hi, level, out);
}

function isValid({ kind, flags }: Decoded): boolean {
  return kind === ENTRY_LEAF && (flags & (E_PROTNONE | E_INVALID)) === 0;
}

function agrees(a: Decoded, b: Decoded): boolean {
  return a.flags === b.flags && a.restLo === b.restLo && a.restHi === b.restHi;
}
