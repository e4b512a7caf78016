/**
 * Guard markers in and out of a range (Linux: madvise_guard_install, madvise_guard_remove; FACTS 18). What is mapped
 * goes first, then markers go where nothing is; a page that somebody faults in between makes it begin again. Linux
 * gives up after three rounds and restarts the system call, which comes to the same.
 *
 * Caller holds mmap_lock for reading; entries change under the page-table lock.
 */
import type { Task } from '@mmkit/base';
import {
  clearEntry,
  createCursor,
  createDecoded,
  createEntry,
  ENTRY_LEAF,
  ENTRY_NONE,
  findEntry,
  leafIndex,
  leafTableAlloc,
  nextRun,
  readEntry,
  writeEntry,
} from '@mmkit/pgtable';
import { isGuardMarker, setGuardMarker } from './guard.ts';
import { ptlUnlock } from './folio.ts';
import { ptlLockLeaf } from './lock.co.ts';
import { MM_ROOT, Mm } from './mm.ts';
import { zapPageRange } from './zap.co.ts';
import { ZAP_KEEP_MARKERS } from './zap-flags.ts';

/** Makes every page of [start, end) (bytes, one VMA) a guard: 0, or -ENOMEM with the part before it done. */
export function* guardInstall(mm: Mm, start: number, end: number): Task<number> {
  for (;;) {
    const reached = yield* markRange(mm, start, end);
    if (reached < 0) return reached;
    if (reached === end) return 0;
    yield* zapPageRange(mm, start, end, ZAP_KEEP_MARKERS);
  }
}

/** Marks empty entries from `start` on: `end`, the address of the first page mapped, or -ENOMEM. */
function* markRange(mm: Mm, start: number, end: number): Task<number> {
  const { memory } = mm;
  const { tables, format, phys } = memory;
  const entry = createEntry();
  const decoded = createDecoded();
  let address = start;
  while (address < end) {
    if (isHugeMapped(mm, address)) return address;
    const table = leafTableAlloc(tables, mm.words[MM_ROOT]!, address);
    if (table < 0) return table;
    if (!(yield* ptlLockLeaf(mm, table, address))) continue;
    let mapped = false;
    for (let index = leafIndex(format, address); index < tables.entries && address < end; index++) {
      readEntry(tables, table, index, entry);
      format.decode(entry.lo, entry.hi, 0, decoded);
      if (decoded.kind === ENTRY_NONE) {
        setGuardMarker(decoded);
        format.encode(decoded, 0, entry);
        writeEntry(tables, table, index, entry);
      } else if (!isGuardMarker(decoded)) {
        mapped = true;
        break;
      }
      address += phys.pageSize;
    }
    ptlUnlock(memory, table);
    if (mapped) return address;
  }
  return end;
}

/** True when a large entry maps `address`. */
function isHugeMapped({ memory, words }: Mm, address: number): boolean {
  const cursor = createCursor(address, address);
  findEntry(memory.tables, words[MM_ROOT]!, address, cursor);
  if (cursor.level !== 1) return false;
  const entry = createEntry();
  const decoded = createDecoded();
  readEntry(memory.tables, cursor.table, cursor.index, entry);
  memory.format.decode(entry.lo, entry.hi, 1, decoded);
  return decoded.kind === ENTRY_LEAF;
}

/** Takes the guards out of [start, end); everything else stays. */
export function* guardRemove(mm: Mm, start: number, end: number): Task<void> {
  const { memory } = mm;
  const { tables, format } = memory;
  const entry = createEntry();
  const decoded = createDecoded();
  const cursor = createCursor(start, end);
  while (nextRun(tables, mm.words[MM_ROOT]!, cursor)) {
    if (cursor.level > 0) continue;
    if (!(yield* ptlLockLeaf(mm, cursor.table, cursor.address))) {
      cursor.next = cursor.address;
      continue;
    }
    for (let i = 0; i < cursor.count; i++) {
      readEntry(tables, cursor.table, cursor.index + i, entry);
      format.decode(entry.lo, entry.hi, 0, decoded);
      if (isGuardMarker(decoded)) clearEntry(tables, cursor.table, cursor.index + i, entry);
    }
    ptlUnlock(memory, cursor.table);
  }
}
