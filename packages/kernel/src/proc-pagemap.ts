/** /proc/PID/pagemap, as its owner with CAP_SYS_ADMIN reads it (Linux: pagemap_pmd_range). Shared by both builds. */
import { checkAddress, checkInteger } from '@mmkit/base';
import { folioTestAnon, isGuardMarker, MM_ROOT, vmNormalPage } from '@mmkit/aspace';
import {
  createCursor,
  createDecoded,
  createEntry,
  E_UFFD_WP,
  ENTRY_LEAF,
  ENTRY_NONE,
  nextRun,
  readEntry,
} from '@mmkit/pgtable';
import { pageMapCount } from '@mmkit/phys';
import { checkAlive, Process } from './process.ts';

/** The page is mapped once (PM_MMAP_EXCLUSIVE); of a huge page its first one is asked. */
export const PM_MMAP_EXCLUSIVE: bigint = 1n << 56n;
/** Its entry is write-protected by userfaultfd (PM_UFFD_WP). */
export const PM_UFFD_WP: bigint = 1n << 57n;
/** There is a guard (PM_GUARD_REGION). */
export const PM_GUARD_REGION: bigint = 1n << 58n;
/** The page belongs to a file or shared memory (PM_FILE). */
export const PM_FILE: bigint = 1n << 61n;
/** There is an entry of the kernel's own instead of a page: the low bits are its type (5) and offset (PM_SWAP). */
export const PM_SWAP: bigint = 1n << 62n;
/** A page is mapped: the low 55 bits are its PFN (PM_PRESENT). */
export const PM_PRESENT: bigint = 1n << 63n;

/** Bits of a swap type, below the offset. */
const TYPE_BITS = 5n;

/**
 * The words for `pages` pages from the page of `address` on; 0: nothing there. As the kernel without CONFIG_MEM_SOFT_DIRTY,
 * bit 55 is never set. RangeError for a range that is not user memory.
 */
export function procPagemap(process: Process, address: number, pages: number): BigUint64Array {
  checkAlive(process);
  checkAddress('address', address);
  const { mm } = process;
  const { tables, format, phys } = mm.memory;
  const start = address - (address % phys.pageSize);
  checkInteger('pages', pages, 0, Math.floor((format.taskSize - start) / phys.pageSize));
  const words = new BigUint64Array(pages);
  const entry = createEntry();
  const decoded = createDecoded();
  const end = start + pages * phys.pageSize;
  const cursor = createCursor(start, end);
  while (nextRun(tables, mm.words[MM_ROOT]!, cursor)) {
    for (let i = 0; i < cursor.count; i++) {
      readEntry(tables, cursor.table, cursor.index + i, entry);
      format.decode(entry.lo, entry.hi, cursor.level, decoded);
      const span = format.spans[cursor.level]!;
      const at = cursor.address + i * span;
      // A large entry may begin before the range and end after it.
      for (let page = Math.max(at, start); page < Math.min(at + span, end); page += phys.pageSize)
        words[(page - start) / phys.pageSize] = pagemapWord((page - at) / phys.pageSize);
    }
  }
  return words;

  /** The word of page `index` of what `decoded` maps. */
  function pagemapWord(index: number): bigint {
    if (decoded.kind === ENTRY_NONE) return 0n;
    let word = (decoded.flags & E_UFFD_WP) !== 0 ? PM_UFFD_WP : 0n;
    if (decoded.kind !== ENTRY_LEAF) {
      word |= (BigInt(decoded.offset) << TYPE_BITS) | BigInt(decoded.type) | PM_SWAP;
      return isGuardMarker(decoded) ? word | PM_GUARD_REGION : word;
    }
    word |= BigInt(decoded.pfn + index) | PM_PRESENT;
    const first = vmNormalPage(decoded);
    if (first < 0) return word;
    if (!folioTestAnon(phys, first)) word |= PM_FILE;
    return pageMapCount(phys, first) === 1 ? word | PM_MMAP_EXCLUSIVE : word;
  }
}
