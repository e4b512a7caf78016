/**
 * A large folio that one address space alone maps becomes small ones (Linux: split_folio, split_huge_page_to_list_to_order;
 * N.21): its large entry is split first, what any entry noted as dirty goes to the folio, pages nobody maps are freed, and
 * pages of zeroes give way to the shared zero page, as measured on 6.18.
 *
 * Differs from Linux: in place of the reverse map the whole address space is looked through; and entries are read-only
 * meanwhile, where Linux puts migration entries: whoever stores in between keeps its page.
 */
import type { Task } from '@mmkit/base';
import { folioInode, folioMarkDirty, folioTrylock, folioUnlock } from '@mmkit/filemap';
import { splitFileFolio } from '@mmkit/filemap/sched';
import {
  createCursor,
  createDecoded,
  createEntry,
  type Decoded,
  E_DIRTY,
  E_SPECIAL,
  E_WRITE,
  ENTRY_LEAF,
  nextRun,
  readEntry,
  writeEntry,
} from '@mmkit/pgtable';
import {
  compoundHead,
  folioMapcount,
  folioNrPages,
  frameBytes,
  getPage,
  pageRefCount,
  Phys,
  putPage,
  splitFolio,
} from '@mmkit/phys';
import { flushTlbRange } from './flush.co.ts';
import { folioRemoveRmap, ptlUnlock } from './folio.ts';
import { ptlLockLeaf } from './lock.co.ts';
import { MM_ROOT, Mm } from './mm.ts';
import { splitHugePmd } from './split-huge.co.ts';

/**
 * Splits the folio of `pfn`, which is mapped at `address` of `mm` and nowhere outside `mm`: false, with nothing
 * changed but the large entry split, when it is locked, pinned or otherwise held; one of a file loses its mappings (`splitFileFolio`). mmap_lock is held, no page-table lock;
 * no mlocked VMA maps it.
 */
export function* splitMappedFolio(mm: Mm, address: number, pfn: number): Task<boolean> {
  const { memory } = mm;
  const { phys, files } = memory;
  const folio = compoundHead(phys, pfn);
  const inode = folioInode(files, folio);
  if (inode !== null) return yield* splitFileFolio(inode, folio);
  const end = folio + folioNrPages(phys, folio);
  if (pageRefCount(phys, folio) !== folioMapcount(phys, folio) || !folioTrylock(memory, folio)) return false;
  getPage(phys, folio);
  yield* splitHugePmd(mm, address);
  const writable = new Set<number>();
  yield* changeEntries(mm, folio, end, (decoded) => {
    if ((decoded.flags & E_DIRTY) !== 0) folioMarkDirty(files, folio);
    if ((decoded.flags & E_WRITE) !== 0) writable.add(decoded.pfn);
    decoded.flags &= ~E_WRITE;
  });
  const done = splitFolio(phys, folio, 0) === 0;
  const zeroes: number[] = [];
  yield* changeEntries(mm, folio, end, (decoded) => {
    const { pfn: page } = decoded;
    if (done && (decoded.flags & E_WRITE) === 0 && isZeroFrame(phys, page)) {
      decoded.pfn = phys.zeroPfn;
      decoded.flags = (decoded.flags & ~E_DIRTY) | E_SPECIAL;
      folioRemoveRmap(mm, page);
      mm.anonPages--;
      zeroes.push(page);
    } else if (writable.has(page)) decoded.flags |= E_WRITE;
  });
  for (const page of zeroes) putPage(phys, page);
  folioUnlock(memory, folio);
  putPage(phys, folio);
  return done;
}

/** Lets `change` have its way with each entry of `mm` that maps a frame of [first, end), then flushes TLBs. */
function* changeEntries(mm: Mm, first: number, end: number, change: (decoded: Decoded) => void): Task<void> {
  const { memory } = mm;
  const { tables, format } = memory;
  const entry = createEntry();
  const decoded = createDecoded();
  const cursor = createCursor(0, format.userEnd);
  while (nextRun(tables, mm.words[MM_ROOT]!, cursor)) {
    if (cursor.level > 0) continue;
    if (!(yield* ptlLockLeaf(mm, cursor.table, cursor.address))) {
      cursor.next = cursor.address;
      continue;
    }
    for (let i = cursor.index; i < cursor.index + cursor.count; i++) {
      readEntry(tables, cursor.table, i, entry);
      format.decode(entry.lo, entry.hi, 0, decoded);
      if (decoded.kind !== ENTRY_LEAF || decoded.pfn < first || decoded.pfn >= end) continue;
      change(decoded);
      format.encode(decoded, 0, entry);
      writeEntry(tables, cursor.table, i, entry);
    }
    ptlUnlock(memory, cursor.table);
  }
  yield* flushTlbRange(mm, 0, format.userEnd);
}

function isZeroFrame(phys: Phys, pfn: number): boolean {
  return frameBytes(phys, pfn, 1)!.every((byte) => byte === 0);
}
